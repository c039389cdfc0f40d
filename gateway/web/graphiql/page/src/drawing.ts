// From a plan to its picture: a row for each field, in the column of its round trip, and arrows from each to those below it.
// `receipts-gateway operations cost --format mermaid` draws the same boxes and arrows.

import type { Plan } from "./answers";
import { short } from "./calls";
import { decimal, many } from "./numbers";

export interface Box {
  /** The path in the answer, without Relay's steps. */
  path: string;
  /** The last step of the path. */
  name: string;
  /** From 1; a field without a call is where the field above it is. */
  roundTrip: number;
  /** Null for a field without a call. */
  calls: number | null;
  /** The calls for one list that are made one after another. */
  inSequence: number;
  mayBeSkipped: boolean;
  /** Why there is no call. */
  reason: string;
  /** How many boxes above it, one below another, are in the same column. */
  indent: number;
}

export interface Arrow {
  from: Box;
  to: Box;
  /** Whether `to` waits for the answers to `from`. */
  waits: boolean;
}

export interface Drawing {
  /** One for each row, top to bottom. */
  boxes: Box[];
  arrows: Arrow[];
  /** The numbers of the round trips in which something leaves, one for each column. */
  roundTrips: number[];
}

export function drawingOf(plan: Plan): Drawing {
  const found = new Map<string, Box>();
  for (const edge of plan.edges) {
    const box = found.get(short(edge.field)) ?? newBox(short(edge.field), edge.roundTrip);
    box.calls = (box.calls ?? 0) + edge.calls;
    box.roundTrip = Math.min(box.roundTrip, edge.roundTrip);
    box.inSequence = Math.max(box.inSequence, edge.inSequence);
    box.mayBeSkipped ||= edge.mayBeSkipped;
    found.set(box.path, box);
  }
  for (const { field, reason } of plan.skipped) {
    if (!found.has(short(field))) found.set(short(field), { ...newBox(short(field), 0), reason });
  }
  const below = new Map<Box | null, Box[]>();
  for (const box of found.values()) {
    const above = aboveOf(box, found);
    below.set(above, [...(below.get(above) ?? []), box]);
  }
  const drawing: Drawing = { boxes: [], arrows: [], roundTrips: [] };
  const place = (box: Box, above: Box | null): void => {
    if (box.calls === null) box.roundTrip = above?.roundTrip ?? 1;
    box.indent = above?.roundTrip === box.roundTrip ? above.indent + 1 : 0;
    drawing.boxes.push(box);
    if (above) drawing.arrows.push({ from: above, to: box, waits: above.calls !== null && above.roundTrip < box.roundTrip });
    for (const each of below.get(box) ?? []) place(each, box);
  };
  for (const box of below.get(null) ?? []) place(box, null);
  drawing.roundTrips = [...new Set(drawing.boxes.map((box) => box.roundTrip))].sort((one, other) => one - other);
  return drawing;
}

const newBox = (path: string, roundTrip: number): Box => ({
  path,
  name: path.slice(path.lastIndexOf(".") + 1),
  roundTrip,
  calls: null,
  inSequence: 1,
  mayBeSkipped: false,
  reason: "",
  indent: 0,
});

/** The nearest field above a box that has a box itself. */
function aboveOf({ path }: Box, found: Map<string, Box>): Box | null {
  for (let end = path.lastIndexOf("."); end > 0; end = path.lastIndexOf(".", end - 1)) {
    const above = found.get(path.slice(0, end));
    if (above) return above;
  }
  return null;
}

/** What stands below the name in a box. */
export function wordsOf({ calls, mayBeSkipped }: Box): string {
  if (calls === null) return "no call";
  return mayBeSkipped ? `${decimal(calls)} or fewer` : many(calls, "call");
}

/** A box as a sentence without its end. */
export function phrase({ path, calls, inSequence, mayBeSkipped, reason }: Box): string {
  if (calls === null) return `${path}, no call: ${reason}`;
  const facts = [
    `${path}, ${many(calls, "call")} at most`,
    inSequence > 1 ? `up to ${decimal(inSequence)} one after another` : "",
    mayBeSkipped ? "fewer where summaries show that there is nothing to read" : "",
  ];
  return facts.filter(Boolean).join(", ");
}

/** The picture in sentences: what leaves in each round trip, and what needs no call. */
export function describe({ boxes, arrows, roundTrips }: Drawing): string {
  const waiting = new Map(arrows.filter((arrow) => arrow.waits).map(({ from, to }) => [to, from]));
  const trips = roundTrips.map((trip) => {
    const leaving = boxes.filter((box) => box.calls !== null && box.roundTrip === trip);
    const phrases = leaving.map((box) => `${phrase(box)}${waiting.has(box) ? `, after ${waiting.get(box)?.path}` : ""}`);
    return phrases.length ? `Round trip ${trip}: ${phrases.join("; ")}.` : "";
  });
  const skipped = boxes.filter((box) => box.calls === null).map(phrase);
  return [...trips, skipped.length ? `${skipped.join("; ")}.` : ""].filter(Boolean).join(" ");
}

// From a trace to what the waterfall draws: lanes, lots of one kind, round trips, and why it took as long as it did.

import type { Call, Upstream } from "./answers";

export interface Timed extends Call {
  startMs: number;
  waitMs: number;
  durationMs: number;
  attempt: number;
  /** When it was back. */
  endMs: number;
  roundTrip: number;
}

/** All attempts at one path, one after another. */
export interface Lane {
  path: string;
  attempts: Timed[];
}

/** The lanes of one kind of record. */
export interface Lot {
  name: string;
  lanes: Lane[];
  calls: number;
}

/** What was not called, for one reason. */
export interface Spared {
  name: string;
  source: string;
  reason: string;
  paths: string[];
}

export interface Waterfall {
  lots: Lot[];
  spared: Spared[];
  /** Where each round trip begins. */
  trips: number[];
  endMs: number;
}

const REASONS: Record<string, string> = {
  shared: "known from before, in the cache",
  memo: "read already in this operation",
  skipped: "not needed",
  coalesced: "another request was reading it",
};

/** A path's last collection: `Messages` for a list of them, `Message` for one. */
export function kindOf(path: string): string {
  const segments = path.replace(/\?.*/, "").split("/");
  const name = segments[segments.length - (segments.length % 2 ? 1 : 2)] ?? path;
  return segments.length % 2 ? name : name.replace(/s$/, "");
}

const isTimed = (call: Call): boolean => call.startMs !== null;

export function waterfallOf(upstream: Upstream): Waterfall {
  const timed = upstream.calls.filter(isTimed).map(
    (call): Timed => ({
      ...call,
      startMs: call.startMs ?? 0,
      waitMs: call.waitMs ?? 0,
      durationMs: call.durationMs ?? 0,
      attempt: call.attempt ?? 1,
      endMs: (call.startMs ?? 0) + (call.waitMs ?? 0) + (call.durationMs ?? 0),
      roundTrip: 1,
    }),
  );
  const trips = roundTrips(timed, upstream.roundTrips);
  const lots = new Map<string, Lot>();
  for (const call of timed) {
    const name = kindOf(call.path);
    const lot = lots.get(name) ?? { name, lanes: [], calls: 0 };
    lots.set(name, lot);
    lot.calls += 1;
    const before = call.attempt > 1 ? lot.lanes.find((lane) => lane.path === call.path) : undefined;
    if (before) before.attempts.push(call);
    else lot.lanes.push({ path: call.path, attempts: [call] });
  }
  const spared = new Map<string, Spared>();
  for (const call of upstream.calls) {
    if (isTimed(call)) continue;
    const [name, reason] = [kindOf(call.path), call.reason ?? REASONS[call.source] ?? ""];
    const key = `${call.source} ${name} ${reason}`;
    const some = spared.get(key) ?? { name, source: call.source, reason, paths: [] };
    spared.set(key, some);
    some.paths.push(call.path);
  }
  const endMs = Math.max(...timed.map((call) => call.endMs), 0);
  return { lots: [...lots.values()], spared: [...spared.values()], trips, endMs };
}

/** Tell each call its round trip, as the gateway counts them: one begins when what it waited for is back. */
function roundTrips(calls: Timed[], count: number): number[] {
  const backs: number[] = [];
  for (const call of [...calls].sort((one, other) => one.endMs - other.endMs)) {
    const last = backs.at(-1);
    if (last === undefined || call.startMs + 0.15 >= last) backs.push(call.endMs);
  }
  const starts: number[] = [];
  for (const call of calls) {
    const before = backs.filter((back) => back <= call.startMs + 0.15).length;
    call.roundTrip = Math.min(before + 1, Math.max(count, 1));
    const place = call.roundTrip - 1;
    starts[place] = Math.min(starts[place] ?? Infinity, call.startMs);
  }
  return starts.filter((start) => start !== undefined && start < Infinity);
}

/** Why it took as long as it did, in sentences; the first is what to change first. */
export function reasons(upstream: Upstream, waterfall: Waterfall): string[] {
  const calls = waterfall.lots.flatMap((lot) => lot.lanes.flatMap((lane) => lane.attempts));
  if (!calls.length) return ["Nothing was called: all was known from before. The header Cache-Control: no-cache has it read."];
  const told: string[] = [];
  const bad = calls.filter((call) => isBad(call));
  const again = calls.filter((call) => call.attempt > 1);
  if (bad.length || again.length) {
    const words = [...new Set(bad.map((call) => String(call.status ?? "no answer")))].join(", ");
    const failed = bad.length ? `${many(bad.length, "call")} failed (${words})` : "";
    const retried = again.length ? `${many(again.length, "call")} had to be made again` : "";
    told.push(`${[failed, retried].filter(Boolean).join(", ")}.`);
  }
  const queued = calls.filter((call) => call.waitMs >= 1);
  const waited = Math.max(...calls.map((call) => call.waitMs));
  if (queued.length) told.push(`${many(queued.length, "call")} waited for a slot, up to ${ms(waited)}.`);
  if (upstream.roundTrips > 1) {
    const legs = waterfall.trips.map((start, place) => {
      const ends = calls.filter((call) => call.roundTrip === place + 1).map((call) => call.endMs);
      return ms(Math.max(...ends, start) - start);
    });
    told.push(`${upstream.roundTrips} round trips, each waiting for the one before: ${legs.join(" + ")}.`);
  }
  const slowest = calls.reduce((one, other) => (other.durationMs > one.durationMs ? other : one));
  told.push(`The slowest answer, to ${kindOf(slowest.path)}, took ${ms(slowest.durationMs)}.`);
  return told;
}

export const isBad = (call: Call): boolean => call.status === null || call.status === 429 || call.status >= 500;

export const many = (count: number, noun: string): string =>
  `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

export const ms = (value: number): string =>
  value >= 1000 ? `${(value / 1000).toFixed(2)}\u00a0s` : `${value < 10 ? value.toFixed(1) : Math.round(value)}\u00a0ms`;

/** A command that makes the call, with the reader's own credentials from the environment. */
export function asCurl(path: string, upstream: string): string {
  const address = `${upstream.replace(/\/$/, "")}/${path}`.replaceAll("'", "%27");
  return `curl --globoff -u "$TWILIO_ACCOUNT_SID:$TWILIO_AUTH_TOKEN" '${address}'`;
}

/** A field's place without Relay's steps. */
export const short = (field: string): string =>
  field
    .split(".")
    .filter((part) => part !== "edges" && part !== "node")
    .join(".");

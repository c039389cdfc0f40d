// From a trace to what the waterfall draws: lanes, lots of one kind, round trips, and the waits between attempts.

import type { Call, Upstream } from "./answers";

export interface Timed extends Call {
  startMs: number;
  waitMs: number;
  durationMs: number;
  attempt: number;
  roundTrip: number;
  /** When the request was sent. */
  sentMs: number;
  /** When it was answered. */
  endMs: number;
  /** The wait between the attempt before and this one. */
  pause: Pause | null;
}

export interface Pause {
  startMs: number;
  endMs: number;
  /** What Twilio asked for, with Retry-After. */
  askedMs: number | null;
}

/** All attempts at one read, one after another. */
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
  /** When each round trip begins. */
  trips: number[];
  endMs: number;
}

const REASONS: Record<string, string> = {
  shared: "cached",
  memo: "read before in this operation",
  skipped: "not needed",
};

/** A path's last collection: `Messages` for a list of them, `Message` for one. */
export function kindOf(path: string): string {
  const segments = path.replace(/\?.*/, "").split("/");
  const name = segments[segments.length - (segments.length % 2 ? 1 : 2)] ?? path;
  return segments.length % 2 ? name : singular(name);
}

/** The kind of record that a 404 for this path reports as missing: for a list, the record above it. */
export function recordOf(path: string): string {
  const segments = path.replace(/\?.*/, "").split("/");
  return singular(segments[segments.length - (segments.length % 2 ? 3 : 2)] ?? "record").toLowerCase();
}

const singular = (name: string): string => name.replace(/s$/, "");

const isTimed = (call: Call): boolean => call.startMs !== null;

export const attemptsIn = (waterfall: Waterfall): Timed[] =>
  waterfall.lots.flatMap((lot) => lot.lanes.flatMap((lane) => lane.attempts));

/** How many of the calls are further attempts of this operation's own reads. */
export const retriesIn = (upstream: Upstream): number =>
  upstream.calls.filter((call) => call.source === "network" && (call.attempt ?? 1) > 1).length;

export function waterfallOf(upstream: Upstream): Waterfall {
  const timed = upstream.calls.filter(isTimed).map((call): Timed => {
    const [startMs, waitMs, durationMs] = [call.startMs ?? 0, call.waitMs ?? 0, call.durationMs ?? 0];
    const sentMs = startMs + waitMs;
    const [attempt, roundTrip] = [call.attempt ?? 1, call.roundTrip ?? 1];
    return { ...call, startMs, waitMs, durationMs, attempt, roundTrip, sentMs, endMs: sentMs + durationMs, pause: null };
  });
  const trips: number[] = [];
  const lots = new Map<string, Lot>();
  for (const call of timed) {
    const name = kindOf(call.path);
    const lot = lots.get(name) ?? { name, lanes: [], calls: 0 };
    lots.set(name, lot);
    lot.calls += 1;
    trips[call.roundTrip - 1] = Math.min(trips[call.roundTrip - 1] ?? Infinity, call.startMs);
    const lane = call.attempt > 1 ? lot.lanes.find((each) => isNext(each, call)) : undefined;
    const before = lane?.attempts.at(-1);
    if (lane && before) {
      call.pause = { startMs: before.endMs, endMs: call.startMs, askedMs: before.retryAfterMs };
      lane.attempts.push(call);
    } else lot.lanes.push({ path: call.path, attempts: [call] });
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
  return { lots: [...lots.values()], spared: [...spared.values()], trips: trips.filter((start) => start < Infinity), endMs };
}

/** Whether the call retries the last attempt of a lane. A trace shows the same path for all pages of a list. */
function isNext({ path, attempts }: Lane, call: Timed): boolean {
  const last = attempts.at(-1);
  return path === call.path && last !== undefined && last.attempt === call.attempt - 1 && last.endMs <= call.startMs + 0.15;
}

export const isBad = (call: Call): boolean => call.status === null || call.status === 429 || call.status >= 500;

export const isRefused = (call: Call): boolean => !isBad(call) && (call.status ?? 0) >= 400;

/** A status with its meaning, if it is not a success: `404: no such conversation`. */
export function statusInWords({ status, path }: Call): string {
  if (status === null) return "no answer";
  if (status < 400) return String(status);
  const words: Record<number, string> = {
    401: "Twilio refused the credentials",
    403: "these credentials may not read it",
    404: `no such ${recordOf(path)}`,
    429: "too many requests",
  };
  return `${status}: ${words[status] ?? (status >= 500 ? "Twilio failed" : "Twilio refused it")}`;
}

/** A command that makes the call; null if the trace leaves out a name or a page token that the call needs. */
export function asCurl(path: string, upstream: string, user: string): string | null {
  if (/\{\w+\}/.test(path)) return null;
  return `curl --globoff -u "${user}" '${upstream.replace(/\/$/, "")}/${path}'`;
}

/** A field's place without Relay's steps. */
export const short = (field: string): string =>
  field
    .split(".")
    .filter((part) => part !== "edges" && part !== "node")
    .join(".");

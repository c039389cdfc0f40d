// Explains a run in sentences: which errors it had and what to do, what Twilio does not have, and what took the time.

import type { Failure, Per } from "./answers";
import { type Timed, type Waterfall, attemptsIn, isBad, isRefused, kindOf, statusInWords } from "./calls";
import type { Run } from "./live";
import { duration, many } from "./numbers";

export interface Explanation {
  /** Errors, and records that were not found. */
  problems: string[];
  /** Why it took as long as it did; the first is what to change first. */
  reasons: string[];
}

const ADVICE: Record<string, string> = {
  UNAUTHENTICATED: 'Send a caller’s token: write {"Authorization": "Bearer …"} into Headers, below the query.',
  FORBIDDEN: "The token in Headers, below the query, is limited to other services.",
  PERSISTED_QUERY_NOT_FOUND: "This gateway accepts trusted documents only.",
  UPSTREAM_RATE_LIMITED: "Twilio has too many requests from this account: run it again later.",
  UPSTREAM_UNAVAILABLE: "Run it again later.",
  UPSTREAM_TIMEOUT: "Select fewer records, or run it again.",
};

export function explain(run: Run, waterfall: Waterfall | null): Explanation {
  const calls = waterfall ? attemptsIn(waterfall) : [];
  const problems = [...refusals(run), ...missing(calls)];
  if (calls.length && run.upstream && waterfall) return { problems, reasons: reasons(calls, run.upstream.roundTrips, waterfall) };
  return { problems, reasons: [whyNoCall(run, waterfall)] };
}

/** What is said after a number of calls; without it, they are those of the whole operation. */
export const forEach = (per: Per): string => (per === "event" ? " for each event" : "");

/** Each error once, with its place, and what to do about it. */
function refusals({ errors, emptyVariables }: Run): string[] {
  const sentences = [...new Set(errors.map(sentence))];
  const shown = sentences.slice(0, 3);
  if (sentences.length > shown.length) shown.push(`${many(sentences.length - shown.length, "other error")}: see the answer.`);
  if (errors.length && emptyVariables.length) {
    const names = emptyVariables.map((name) => `$${name}`).join(" and ");
    shown.push(`${names} ${emptyVariables.length === 1 ? "is" : "are"} empty: write a sid into Variables, below the query, or run Conversations and continue with one of its rows.`);
  }
  const codes = new Set(errors.map((error) => error.extensions?.code ?? ""));
  return [...shown, ...[...codes].map((code) => ADVICE[code]).filter((advice) => advice !== undefined)];
}

/** An error as a sentence with its place. */
export function sentence({ message, path, locations }: Failure): string {
  const steps = path?.filter((step) => step !== "edges" && step !== "node" && typeof step === "string") ?? [];
  const line = locations?.[0]?.line;
  return `${message}${steps.length ? ` (at ${steps.join(".")})` : line ? ` (line ${line})` : ""}`;
}

/** What Twilio does not have or does not allow. */
export function missing(calls: Timed[]): string[] {
  const counts = new Map<string, number>();
  for (const call of calls.filter(isRefused)) counts.set(statusInWords(call), (counts.get(statusInWords(call)) ?? 0) + 1);
  return [...counts].map(([words, count]) => `${words}${count > 1 ? ` (${many(count, "call")})` : ""}.`);
}

function whyNoCall({ errors, upstream }: Run, waterfall: Waterfall | null): string {
  const codes = errors.map((error) => error.extensions?.code);
  if (codes.includes(undefined)) return "The gateway did not reply, so its calls are not known.";
  const sources = new Set(waterfall?.spared.map((some) => some.source));
  if (sources.has("shared")) {
    return "Nothing was called: every value is cached. With the header Cache-Control: no-cache, all are read again.";
  }
  if (sources.has("skipped")) return "Nothing was called: no value that is selected needs a call.";
  if (codes.some((code) => code && /^(UPSTREAM_|OVERLOADED|INTERNAL_)/.test(code))) return "Nothing was called.";
  if (errors.length) return "Nothing was called: the operation was refused.";
  return upstream ? "Nothing was called: the operation needs no data from Twilio." : "Nothing was called.";
}

function reasons(calls: Timed[], roundTrips: number, waterfall: Waterfall): string[] {
  const sentences: string[] = [];
  const bad = calls.filter(isBad);
  const again = calls.filter((call) => call.attempt > 1);
  if (bad.length || again.length) {
    const words = [...new Set(bad.map((call) => String(call.status ?? "no answer")))].join(", ");
    const failed = bad.length ? `${many(bad.length, "call")} failed (${words})` : "";
    const retried = again.length ? `${many(again.length, "call")} had to be made again` : "";
    sentences.push(`${[failed, retried].filter(Boolean).join(", ")}.`);
  }
  const pauses = calls.flatMap(({ pause }) => (pause ? [pause] : []));
  if (pauses.length) {
    const longest = Math.max(...pauses.map((pause) => pause.endMs - pause.startMs));
    const asked = Math.max(...pauses.map((pause) => pause.askedMs ?? 0));
    sentences.push(`Before another attempt, up to ${duration(longest)} passed${asked ? `: Retry-After was ${duration(asked)}` : ""}.`);
  }
  const queued = calls.filter((call) => call.waitMs >= 1);
  if (queued.length) {
    sentences.push(`${many(queued.length, "call")} waited for a slot, up to ${duration(Math.max(...queued.map((call) => call.waitMs)))}.`);
  }
  if (roundTrips > 1) {
    const legs = waterfall.trips.map((start, place) => {
      const ends = calls.filter((call) => call.roundTrip === place + 1).map((call) => call.endMs);
      return duration(Math.max(...ends, start) - start);
    });
    sentences.push(`${many(roundTrips, "round trip")}, each waiting for the one before: ${legs.join(" + ")}.`);
  }
  const slowest = calls.reduce((one, other) => (other.durationMs > one.durationMs ? other : one));
  sentences.push(`The slowest answer, to ${kindOf(slowest.path)}, took ${duration(slowest.durationMs)}.`);
  return sentences;
}

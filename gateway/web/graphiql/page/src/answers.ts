// The gateway's answers, as far as the page reads them.

export interface Call {
  path: string;
  status: number | null;
  startMs: number | null;
  waitMs: number | null;
  durationMs: number | null;
  attempt: number | null;
  roundTrip: number | null;
  /** How long Twilio asked to wait before another attempt. */
  retryAfterMs: number | null;
  source: "network" | "coalesced" | "shared" | "memo" | "skipped";
  reason: string | null;
}

export interface Upstream {
  count: number;
  totalMs: number;
  roundTrips: number;
  calls: Call[];
}

export interface Cost {
  requested: number;
  planned: number;
  actual: number;
}

export interface Edge {
  field: string;
  upstream: string;
  calls: number;
  /** The calls for one record or list, one after another, such as the pages of a list. */
  inSequence: number;
  roundTrip: number;
  isAhead: boolean;
  /** Whether rows that are read before it can show that there is nothing to read. */
  mayBeSkipped: boolean;
}

/** What a cost is of: each event of a subscription, or one operation. */
export type Per = "event" | "operation";

export interface Plan {
  per: Per;
  requested: number;
  roundTrips: number;
  singlePageRoundTrips: number;
  /** Fields that will read nothing, because of their arguments or the caller's rights. */
  refused: { field: string; message: string; code: string }[];
  edges: Edge[];
  /** Fields that need no call. */
  skipped: { field: string; reason: string }[];
  /** What the document says about the operation; absent where it says nothing. */
  operation?: { description?: string };
}

export interface Refusal {
  per: Per;
  requested: number;
  limit: number;
  contributors: { field: string; calls: number }[];
  suggestion: string | null;
}

export interface Failure {
  message: string;
  path?: (string | number)[];
  locations?: { line: number; column: number }[];
  extensions?: { code?: string; retryable?: boolean } & Partial<Refusal>;
}

export interface Part {
  data?: unknown;
  errors?: Failure[];
  extensions?: { upstream?: Upstream; cost?: Cost; plan?: Plan } & Record<string, unknown>;
  incremental?: Part[];
}

/** An answer, or one of its frames: with `hasNext` where something was deferred. */
export interface Answer extends Part {
  hasNext?: boolean;
  /** The fragments that are complete, with the errors of those that failed. */
  completed?: { errors?: Failure[]; extensions?: undefined }[];
}

// The gateway's answers, as far as the page reads them.

export interface Call {
  path: string;
  status: number | null;
  startMs: number | null;
  waitMs: number | null;
  durationMs: number | null;
  attempt: number | null;
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
  roundTrip: number;
  isAhead: boolean;
}

export interface Plan {
  requested: number;
  roundTrips: number;
  edges: Edge[];
}

export interface Refusal {
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

// What the panels show: the last run and the present plan. One place, outside React, that the fetcher writes to.

import { useSyncExternalStore } from "react";
import type { Failure, Plan, Refusal, Upstream, Cost } from "./answers";

export interface Run {
  operation: string | null;
  upstream: Upstream | null;
  cost: Cost | null;
  errors: Failure[];
  /** As the browser saw it. */
  milliseconds: number;
}

export type Outlook =
  | { kind: "none" }
  | { kind: "plan"; plan: Plan }
  | { kind: "refused"; refusal: Refusal }
  | { kind: "unclear"; message: string };

export interface Live {
  run: Run | null;
  isRunning: boolean;
  outlook: Outlook;
}

let live: Live = { run: null, isRunning: false, outlook: { kind: "none" } };
const listeners = new Set<() => void>();

export function tell(change: Partial<Live>): void {
  live = { ...live, ...change };
  for (const listener of listeners) listener();
}

export function useLive(): Live {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => live,
  );
}

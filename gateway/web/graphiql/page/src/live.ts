// The state that the panels show, by tab: its last run and its plan. It is outside React, since the fetcher writes to it.

import { useSyncExternalStore } from "react";
import type { Row } from "./rows";
import type { Cost, Failure, Plan, Refusal, Upstream } from "./answers";

/** A response without its body. */
export interface Head {
  status: number;
  /** Empty over HTTP/2. */
  statusText: string;
  /** Those that the browser shows to the page, with names in lower case. */
  headers: [name: string, value: string][];
}

/** So many events of a subscription are kept. */
export const EVENTS_MAX = 100;

export interface Run {
  query: string;
  operation: string | null;
  /** Null if there was none. */
  response: Head | null;
  upstream: Upstream | null;
  cost: Cost | null;
  errors: Failure[];
  /** The names of variables whose value was an empty string. */
  emptyVariables: string[];
  /** The records in its answer that other examples can start from. */
  rows: Row[];
  /** Of a subscription: how many events have come, and the data of the last ones, the newest first. */
  events: { count: number; last: unknown[] } | null;
  /** As the browser saw it. */
  milliseconds: number;
}

export type Outlook =
  | { kind: "none" }
  | { kind: "plan"; plan: Plan }
  | { kind: "refused"; refusal: Refusal }
  | { kind: "unclear"; message: string; code?: string };

export interface Live {
  run: Run | null;
  isRunning: boolean;
  outlook: Outlook;
}

const NEW: Live = { run: null, isRunning: false, outlook: { kind: "none" } };

const byTab = new Map<string, Live>();
let open = "";
const listeners = new Set<() => void>();

/** The id of the tab that is open. */
export const openTab = (): string => open;

/** Show a tab, and drop the state of tabs that are not among `all`. */
export function showTab(id: string, all: string[]): void {
  open = id;
  for (const other of byTab.keys()) if (!all.includes(other)) byTab.delete(other);
  for (const listener of listeners) listener();
}

export function update(tab: string, change: Partial<Live>): void {
  byTab.set(tab, { ...(byTab.get(tab) ?? NEW), ...change });
  for (const listener of listeners) listener();
}

export function useLive(): Live {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => byTab.get(open) ?? NEW,
  );
}

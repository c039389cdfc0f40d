// On narrow screens the page is one column, and shows one of its parts at a time. On others this has no effect.

import { useSyncExternalStore } from "react";

export type View = "query" | "answer" | "panel";

const NARROW = window.matchMedia("(max-width: 820px)");

let shown: View = "query";
const listeners = new Set<() => void>();

export const isNarrow = (): boolean => NARROW.matches;

/** Show a part of the page. The style sheet hides the others by this attribute. */
export function showView(view: View): void {
  shown = view;
  document.documentElement.dataset.view = view;
  for (const listener of listeners) listener();
}

export function useView(): View {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => shown,
  );
}

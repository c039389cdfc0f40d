// The tabs of narrow screens: query, answer and panel. The style sheet shows them there only.

import { pick, useGraphiQL } from "@graphiql/react";
import { useEffect, useRef } from "react";
import { createPortal } from "react-dom";
import { useLive } from "./live";
import { type View, isNarrow, showView, useView } from "./views";

export function ViewTabs() {
  const { visiblePlugin } = useGraphiQL(pick("visiblePlugin"));
  const { isRunning } = useLive();
  const view = useView();
  const panel = visiblePlugin?.title ?? null;
  useFollowing(panel, isRunning);
  useSidebar(view);
  const tabs: [View, string][] = [
    ["query", "Query"],
    ["answer", "Answer"],
  ];
  if (panel) tabs.push(["panel", panel]);
  return createPortal(
    <nav className="view-tabs" aria-label="Parts of the page" data-testid="view-tabs">
      {tabs.map(([each, name]) => (
        <button key={each} type="button" aria-current={each === view ? "true" : undefined} onClick={() => showView(each)}>
          {name}
        </button>
      ))}
    </nav>,
    document.getElementById("views") as HTMLElement,
  );
}

/** Show the answer of a run that begins, a panel that is opened, and the query when the panel is closed. */
function useFollowing(panel: string | null, isRunning: boolean): void {
  const before = useRef<string | null>(null);
  useEffect(() => {
    if (panel && before.current !== null) showView("panel");
    else if (!panel || before.current === null) showView("query");
    before.current = panel ?? "";
  }, [panel]);
  useEffect(() => {
    if (isRunning) showView("answer");
  }, [isRunning]);
}

/** The button of the panel that is open shows it again, where another part of the page is in its place. */
function useSidebar(view: View): void {
  useEffect(() => {
    const reopen = (event: MouseEvent): void => {
      const button = (event.target as Element).closest('.graphiql-sidebar [aria-label^="Hide "]');
      if (!button || !isNarrow() || view === "panel") return;
      event.stopPropagation();
      showView("panel");
    };
    document.addEventListener("click", reopen, true);
    return () => document.removeEventListener("click", reopen, true);
  }, [view]);
}

// The line below the answer: what the operation would cost, what the last run did, or what went wrong, in words.

import { pick, useGraphiQL, useGraphiQLActions } from "@graphiql/react";
import { parse as parseJson, type ParseError } from "jsonc-parser";
import { useEffect } from "react";
import type { Failure } from "./answers";
import { foresee } from "./ask";
import { many, ms } from "./calls";
import { keepHeaders, sessionHeaders } from "./memory";
import { type Outlook, tell, useLive } from "./live";

export const CALLS = "Upstream calls";
export const PLAN = "Plan";

const PAUSE_MS = 300;

export function StatusLine() {
  usePlan();
  useSessionHeaders();
  const { run, isRunning, outlook } = useLive();
  const { setVisiblePlugin } = useGraphiQLActions();
  return (
    <div className="status" data-testid="status">
      <button type="button" onClick={() => setVisiblePlugin(PLAN)} className={outlook.kind === "refused" ? "wrong" : ""}>
        <span>Plan</span> {planned(outlook)}
      </button>
      <button type="button" onClick={() => setVisiblePlugin(CALLS)} className={run?.errors.length ? "wrong" : ""}>
        <span>Last run</span>{" "}
        {isRunning ? "running…" : !run ? "none yet" : run.errors.length ? told(run.errors) : made(run)}
      </button>
    </div>
  );
}

function planned(outlook: Outlook): string {
  if (outlook.kind === "plan") {
    return `${many(outlook.plan.requested, "call")} at most, ${many(outlook.plan.roundTrips, "round trip")}`;
  }
  if (outlook.kind === "refused") {
    const { requested, limit } = outlook.refusal;
    return `too dear: ${requested.toLocaleString("en")} calls, ${limit.toLocaleString("en")} allowed`;
  }
  return outlook.kind === "unclear" ? `not yet clear: ${outlook.message}` : "nothing written";
}

function made({ upstream, milliseconds }: { upstream: { count: number; roundTrips: number } | null; milliseconds: number }) {
  if (!upstream) return ms(milliseconds);
  return `${many(upstream.count, "call")}, ${many(upstream.roundTrips, "round trip")}, ${ms(milliseconds)}`;
}

/** The first error as a sentence with its place, and how many there are besides. */
function told(errors: Failure[]): string {
  const [first] = errors;
  if (!first) return "";
  const steps = first.path?.filter((step) => step !== "edges" && step !== "node").map(String) ?? [];
  const line = first.locations?.[0]?.line;
  const place = steps.length ? ` (at ${steps.join(".")})` : line ? ` (line ${line})` : "";
  const more = errors.length > 1 ? ` And ${errors.length - 1} more.` : "";
  return `${first.message}${place}${more}`;
}

/** Keep the plan up with what is written: a dry run when nothing has changed for a moment. */
function usePlan(): void {
  const { queryEditor, variableEditor, headerEditor, operationName } = useGraphiQL(
    pick("queryEditor", "variableEditor", "headerEditor", "operationName"),
  );
  useEffect(() => {
    if (!queryEditor) return;
    let timer: ReturnType<typeof setTimeout>;
    let asking = new AbortController();
    async function plan(): Promise<void> {
      asking.abort();
      asking = new AbortController();
      const { signal } = asking;
      const query = queryEditor?.getValue() ?? "";
      if (!query.replace(/#.*/g, "").trim()) return tell({ outlook: { kind: "none" } });
      const problems: ParseError[] = [];
      const read = (text: string): Record<string, never> => parseJson(text || "{}", problems, { allowTrailingComma: true }) ?? {};
      const variables = read(variableEditor?.getValue().trim() ?? "");
      const headers = read(headerEditor?.getValue().trim() ?? "");
      if (problems.length) return tell({ outlook: { kind: "unclear", message: "The variables, or the headers, are not JSON." } });
      try {
        const outlook = await foresee({ query, variables, operationName }, headers, signal);
        if (!signal.aborted) tell({ outlook });
      } catch (error) {
        if (!signal.aborted) tell({ outlook: { kind: "unclear", message: error instanceof Error ? error.message : "" } });
      }
    }
    const later = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => void plan(), PAUSE_MS);
    };
    const watches = [queryEditor, variableEditor, headerEditor].map((editor) => editor?.onDidChangeModelContent(later));
    later();
    return () => {
      clearTimeout(timer);
      asking.abort();
      for (const watch of watches) watch?.dispose();
    };
  }, [queryEditor, variableEditor, headerEditor, operationName]);
}

/** A tab without headers of its own has the session's, so that a caller's token is given once. */
function useSessionHeaders(): void {
  const { headerEditor, tabs, activeTabIndex } = useGraphiQL(pick("headerEditor", "tabs", "activeTabIndex"));
  const tab = tabs[activeTabIndex]?.id;
  useEffect(() => {
    const watch = headerEditor?.onDidChangeModelContent(() => {
      const text = headerEditor.getValue();
      // Emptied by a change of tabs it says nothing; by its reader, that there are none any more.
      if (text.trim() || headerEditor.hasTextFocus()) keepHeaders(text);
    });
    return () => watch?.dispose();
  }, [headerEditor]);
  useEffect(() => {
    if (headerEditor && !headerEditor.getValue().trim()) headerEditor.setValue(sessionHeaders());
  }, [headerEditor, tab]);
}

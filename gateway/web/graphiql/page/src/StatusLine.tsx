// The lines below the answer: what the operation would cost, what the last run did or why it failed, and where its rows lead.

import { pick, useGraphiQL, useGraphiQLActions } from "@graphiql/react";
import { parse as parseJson, type ParseError } from "jsonc-parser";
import { useEffect } from "react";
import { FirstHint } from "./FirstHint";
import { ReceiptTable } from "./ReceiptTable";
import { RowsLine } from "./RowsLine";
import { ViewTabs } from "./ViewTabs";
import { foresee } from "./ask";
import { attemptsIn, retriesIn, waterfallOf } from "./calls";
import { forEach, missing, sentence } from "./explain";
import { type Outlook, type Run, openTab, showTab, update, useLive } from "./live";
import { isFirstRun, keepHeaders, sessionHeaders } from "./memory";
import { decimal, duration, many } from "./numbers";
import { CALLS, PLAN, openPanel } from "./panels";
import { useEditorOptions, useRepairs } from "./repairs";
import { useLinks } from "./tabs";
import { isNarrow } from "./views";

/** How long the editors must be unchanged before a dry run, and how long it waits for all editors at the start. */
const PAUSE_MS = 300;
const START_MS = 50;

export function StatusLine() {
  useTabs();
  usePlan();
  useSessionHeaders();
  useSchemaForToken();
  useEditorOptions();
  useLinks();
  useRepairs();
  const { run, isRunning, outlook } = useLive();
  const { visiblePlugin: panel } = useGraphiQL(pick("visiblePlugin"));
  useEffect(() => {
    if (run && !run.events && isFirstRun() && !panel && !isNarrow()) openPanel(CALLS);
  }, [run]);
  return (
    <>
      <FirstHint />
      <ViewTabs />
      <ReceiptTable />
      <div className="status" data-testid="status">
        <RowsLine rows={run?.rows ?? []} />
        <Line panel={PLAN} name="Plan" text={planned(outlook)} isWrong={isWrong(outlook)} />
        <Line
          panel={CALLS}
          name="Last run"
          text={isRunning ? running(run) : run ? result(run) : "none yet"}
          isWrong={!isRunning && run !== null && run.errors.length > 0}
        />
      </div>
    </>
  );
}

/** A line that opens its panel. Its text is a live region, which a button cannot contain. */
function Line({ panel, name, text, isWrong }: { panel: string; name: string; text: string; isWrong: boolean }) {
  return (
    <div className={isWrong ? "line wrong" : "line"}>
      <button type="button" onClick={() => openPanel(panel)}>
        {name}
      </button>{" "}
      <span role="status">{text}</span>
    </div>
  );
}

const isWrong = (outlook: Outlook): boolean =>
  outlook.kind === "refused" || (outlook.kind === "plan" && outlook.plan.refused.length > 0);

function planned(outlook: Outlook): string {
  if (outlook.kind === "plan") {
    const { per, requested, roundTrips, refused } = outlook.plan;
    const [first] = refused;
    if (first) return `${refused.length > 1 ? "errors" : "an error"} at ${first.field}: ${first.message}`;
    return `${many(requested, "call")} and ${many(roundTrips, "round trip")} at most${forEach(per)}`;
  }
  if (outlook.kind === "refused") {
    const { per, requested, limit } = outlook.refusal;
    return `too expensive: ${many(requested, "call")}${forEach(per)}, ${decimal(limit)} allowed`;
  }
  if (outlook.kind === "none") return "no operation";
  return outlook.code === "UNAUTHENTICATED" ? "needs a caller’s token in Headers, below the query" : `none yet: ${outlook.message}`;
}

const running = (run: Run | null): string => (run?.events ? `subscribed, ${many(run.events.count, "event")} so far` : "running…");

/** The first error and how many others there are, or else what was called; and what Twilio does not have. */
function result({ errors, upstream, events, milliseconds }: Run): string {
  const [first] = errors;
  if (first) return `${sentence(first)}${errors.length > 1 ? ` And ${decimal(errors.length - 1)} more.` : ""}`;
  if (events) return many(events.count, "event");
  if (!upstream) return duration(milliseconds);
  const retries = retriesIn(upstream);
  const facts = [many(upstream.count - retries, "call"), many(upstream.roundTrips, "round trip"), duration(milliseconds)];
  if (retries) facts.splice(1, 0, many(retries, "retry", "retries"));
  return [facts.join(", "), ...missing(attemptsIn(waterfallOf(upstream)))].join(". ");
}

/** Keep the state of each tab apart; a run ends when its tab is left, since GraphiQL would show its answer in the other. */
function useTabs(): void {
  const { tabs, activeTabIndex } = useGraphiQL(pick("tabs", "activeTabIndex"));
  const { stop } = useGraphiQLActions();
  const [tab, all] = [tabs[activeTabIndex]?.id ?? "", tabs.map(({ id }) => id).join(" ")];
  useEffect(() => {
    if (openTab() && openTab() !== tab) stop();
    showTab(tab, all.split(" "));
  }, [tab, all, stop]);
}

/** Read the schema again once there is a token, without which it was refused; and remove that error from the answer. */
function useSchemaForToken(): void {
  const { schema, headerEditor, responseEditor, tabs, activeTabIndex } = useGraphiQL(
    pick("schema", "headerEditor", "responseEditor", "tabs", "activeTabIndex"),
  );
  const response = tabs[activeTabIndex]?.response;
  const { introspect } = useGraphiQLActions();
  const { run, outlook } = useLive();
  const hasAnswer = outlook.kind === "plan" || outlook.kind === "refused" || (run !== null && run.upstream !== null);
  useEffect(() => {
    if (!schema && hasAnswer && headerEditor?.getValue().trim()) void introspect();
  }, [schema, hasAnswer, headerEditor, introspect]);
  useEffect(() => {
    if (schema && !response) responseEditor?.setValue("");
  }, [schema, response, responseEditor]);
}

/** Keep the plan up to date: a dry run whenever the editors have not changed for a moment. */
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
      const tab = openTab();
      if (!query.replace(/#.*/g, "").trim()) return update(tab, { outlook: { kind: "none" } });
      const problems: ParseError[] = [];
      const read = (text: string): Record<string, never> => parseJson(text || "{}", problems, { allowTrailingComma: true }) ?? {};
      const variables = read(variableEditor?.getValue().trim() ?? "");
      const headers = read(headerEditor?.getValue().trim() ?? "");
      if (problems.length) return update(tab, { outlook: { kind: "unclear", message: "The variables, or the headers, are not JSON." } });
      try {
        const outlook = await foresee({ query, variables, operationName }, headers, signal);
        if (!signal.aborted) update(tab, { outlook });
      } catch (error) {
        if (!signal.aborted) update(tab, { outlook: { kind: "unclear", message: error instanceof Error ? error.message : "" } });
      }
    }
    const later = (delay: number): void => {
      clearTimeout(timer);
      timer = setTimeout(() => void plan(), delay);
    };
    const editors = [queryEditor, variableEditor, headerEditor];
    const watches = editors.map((editor) => editor?.onDidChangeModelContent(() => later(PAUSE_MS)));
    later(START_MS);
    return () => {
      clearTimeout(timer);
      asking.abort();
      for (const watch of watches) watch?.dispose();
    };
  }, [queryEditor, variableEditor, headerEditor, operationName]);
}

/** Give each tab without headers those of the session, so that a caller's token is written once. */
function useSessionHeaders(): void {
  const { headerEditor, tabs, activeTabIndex } = useGraphiQL(pick("headerEditor", "tabs", "activeTabIndex"));
  const tab = tabs[activeTabIndex]?.id;
  useEffect(() => {
    const watch = headerEditor?.onDidChangeModelContent(() => {
      const text = headerEditor.getValue();
      // A change of tabs may empty the editor; only the user's own change removes the headers.
      if (text.trim() || headerEditor.hasTextFocus()) keepHeaders(text);
    });
    return () => watch?.dispose();
  }, [headerEditor]);
  useEffect(() => {
    if (headerEditor && !headerEditor.getValue().trim()) headerEditor.setValue(sessionHeaders());
  }, [headerEditor, tab]);
}

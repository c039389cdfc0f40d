// The page: GraphiQL with its explorer, docs and history, the examples as tabs, and the gateway's two panels.

import "./workers";
import { explorerPlugin } from "@graphiql/plugin-explorer";
import { HISTORY_PLUGIN } from "@graphiql/plugin-history";
import { useGraphiQLActions } from "@graphiql/react";
import { GraphiQL } from "graphiql";
import { useEffect } from "react";
import { createRoot } from "react-dom/client";
import "graphiql/graphiql.css";
import "@graphiql/react/style.css";
import "@graphiql/plugin-doc-explorer/style.css";
import "@graphiql/plugin-history/style.css";
import "@graphiql/plugin-explorer/style.css";
import "./page.css";
import { CallsPanel } from "./CallsPanel";
import { PlanPanel } from "./PlanPanel";
import { CALLS, PLAN, StatusLine } from "./StatusLine";
import { fetcher } from "./ask";
import { FACTS } from "./facts";
import { STORAGE, hasTabs, sessionHeaders } from "./memory";

const EXPLORER = explorerPlugin({ showAttribution: false });
const CALLS_PLUGIN = { title: CALLS, icon: CallsIcon, content: CallsPanel };
const PLAN_PLUGIN = { title: PLAN, icon: PlanIcon, content: PlanPanel };
const PLUGINS = [EXPLORER, HISTORY_PLUGIN, CALLS_PLUGIN, PLAN_PLUGIN];

function CallsIcon() {
  return (
    <svg viewBox="0 0 20 20" fill="none" stroke="currentColor" strokeWidth="2" strokeLinecap="round">
      <path d="M2 4h6M5 8h8M9 12h5M11 16h7" />
    </svg>
  );
}

function PlanIcon() {
  return (
    <svg viewBox="0 0 20 20" fill="none" stroke="currentColor" strokeWidth="1.6" strokeLinecap="round">
      <path d="M3 15a8 8 0 1 1 14 0" />
      <path d="M10 11l4-4" />
      <circle cx="10" cy="11" r="1.2" fill="currentColor" />
    </svg>
  );
}

const ADDRESS = new URLSearchParams(window.location.search);

/** What is open at first: an operation that the address has, or the examples, the first of them shown. */
function opening() {
  const named = ADDRESS.get("q");
  const tabs = named === null ? FACTS.tabs : [{ query: named, variables: ADDRESS.get("variables") ?? "" }, ...FACTS.tabs];
  const [first] = tabs;
  const isNew = named !== null || !hasTabs();
  return { defaultTabs: tabs.length ? tabs : undefined, ...(isNew && first ? { initialQuery: first.query, initialVariables: first.variables } : {}) };
}

/** Selects an operation of the document that is open at first, where it has several. */
function SelectedOperation({ name }: { name: string | null }) {
  const { setOperationName } = useGraphiQLActions();
  useEffect(() => {
    if (name) setOperationName(name);
  }, [name, setOperationName]);
  return null;
}

const headers = sessionHeaders();

createRoot(document.getElementById("root") as HTMLElement).render(
  <GraphiQL
    {...opening()}
    fetcher={fetcher}
    storage={STORAGE}
    plugins={PLUGINS}
    defaultEditorToolsVisibility="variables"
    defaultHeaders={headers || undefined}
    initialHeaders={headers || undefined}
    shouldPersistHeaders={false}
    showPersistHeadersSettings={false}
    inputValueDeprecation
  >
    <GraphiQL.Logo>
      <div className="logo">
        <h1>
          receipts<em>-gateway</em>
        </h1>
        <a href="graphiql/docs">Docs</a>
      </div>
    </GraphiQL.Logo>
    <GraphiQL.Footer>
      <StatusLine />
      <SelectedOperation name={ADDRESS.get("operationName")} />
    </GraphiQL.Footer>
  </GraphiQL>,
);

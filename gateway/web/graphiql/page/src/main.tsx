// The page: GraphiQL with its docs, the examples as tabs, and the gateway's panels.

import "./workers";
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
import "./answer.css";
import "./narrow.css";
import { StatusLine } from "./StatusLine";
import { fetcher } from "./ask";
import type { Operation } from "./copies";
import { FACTS } from "./facts";
import { STORAGE, sessionHeaders, storedTab } from "./memory";
import { PANELS } from "./panels";
import { brightenComments } from "./repairs";
import { takeLinkedOperation } from "./tabs";

const ADDRESS = new URLSearchParams(window.location.search);

/** The operation that the address has: in its fragment, as in a link copied from the page, or as the endpoint redirects here. */
function addressed(): Operation | null {
  const query = ADDRESS.get("q");
  const asked = query === null ? null : { query, variables: ADDRESS.get("variables") ?? "", operationName: ADDRESS.get("operationName") };
  return takeLinkedOperation() ?? asked;
}

/**
 * What is open at first: an operation that the address has, or the tab that was open last, or the first example. GraphiQL itself
 * takes the editors' values from their last changes, and so has none of an editor that was never changed.
 */
function opening(named: Operation | null) {
  const tabs = named === null ? FACTS.tabs : [{ query: named.query, variables: named.variables }, ...FACTS.tabs];
  const shown = named ?? storedTab() ?? tabs[0];
  return { defaultTabs: tabs.length ? tabs : undefined, initialQuery: shown?.query, initialVariables: shown?.variables };
}

/** Selects an operation of the document that is open at first, where it has several. */
function SelectedOperation({ name }: { name: string | null }) {
  const { setOperationName } = useGraphiQLActions();
  useEffect(() => {
    if (name) setOperationName(name);
  }, [name, setOperationName]);
  return null;
}

brightenComments();
const named = addressed();
const headers = sessionHeaders();

createRoot(document.getElementById("root") as HTMLElement).render(
  <GraphiQL
    {...opening(named)}
    fetcher={fetcher}
    storage={STORAGE}
    plugins={PANELS}
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
      <SelectedOperation name={named?.operationName ?? null} />
    </GraphiQL.Footer>
  </GraphiQL>,
);

// How operations get into GraphiQL's tabs, and out of them.

import { pick, useGraphiQL, useGraphiQLActions } from "@graphiql/react";
import { parse as parseJson } from "jsonc-parser";
import { useEffect } from "react";
import { type Operation, linkedOperation } from "./copies";

/** Return a function that opens an operation in a new tab, or its variables in the tab with the `title` that is given. */
export function useOpen(): (operation: Operation, title?: string) => void {
  const { tabs, queryEditor, variableEditor } = useGraphiQL(pick("tabs", "queryEditor", "variableEditor"));
  const { addTab, changeTab, setOperationName } = useGraphiQLActions();
  return ({ query, variables, operationName }, title) => {
    const place = title === undefined ? -1 : tabs.findIndex((tab) => tab.title === title);
    if (place < 0) {
      addTab();
      queryEditor?.setValue(query);
    } else changeTab(place);
    variableEditor?.setValue(variables);
    if (operationName) setOperationName(operationName);
  };
}

/** Return functions that read what the editors hold: the operation, and the request's headers. */
export function useEditors(): { operation(): Operation; headers(): Record<string, string> } {
  const { queryEditor, variableEditor, headerEditor, operationName } = useGraphiQL(
    pick("queryEditor", "variableEditor", "headerEditor", "operationName"),
  );
  return {
    operation: () => ({
      query: queryEditor?.getValue() ?? "",
      variables: variableEditor?.getValue() ?? "",
      operationName: operationName ?? null,
    }),
    headers: () => {
      const headers: unknown = parseJson(headerEditor?.getValue() ?? "", [], { allowTrailingComma: true });
      return typeof headers === "object" && headers !== null ? (headers as Record<string, string>) : {};
    },
  };
}

/** Return the operation in the page's fragment, and remove it from the address: a reload does not open it again. */
export function takeLinkedOperation(): Operation | null {
  const operation = linkedOperation(window.location.hash);
  if (operation) history.replaceState(null, "", window.location.pathname + window.location.search);
  return operation;
}

/** Open a link that is followed while the page is open. */
export function useLinks(): void {
  const open = useOpen();
  useEffect(() => {
    const follow = (): void => {
      const operation = takeLinkedOperation();
      if (operation) open(operation);
    };
    window.addEventListener("hashchange", follow);
    return () => window.removeEventListener("hashchange", follow);
  });
}

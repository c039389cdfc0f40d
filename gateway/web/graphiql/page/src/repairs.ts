// Repairs of GraphiQL's markup: what keyboards and screen readers need of it, and it does not have.

import { pick, useGraphiQL } from "@graphiql/react";
import { TabFocus } from "monaco-editor/esm/vs/editor/browser/config/tabFocus.js";
import { editor } from "monaco-graphql/esm/monaco-editor.js";
import { useEffect } from "react";

/** The parts of the page that are repaired. The editors, whose markup changes with every key, are not among them. */
const PARTS = ".graphiql-session-header, .graphiql-plugin";

export function useRepairs(): void {
  useEffect(() => {
    const watches = [...document.querySelectorAll(PARTS)].map((part) => {
      const watch = new MutationObserver(() => repair(part));
      watch.observe(part, { attributeFilter: ["aria-selected"], childList: true, subtree: true });
      repair(part);
      return watch;
    });
    document.addEventListener("keydown", closeTab);
    return () => {
      for (const watch of watches) watch.disconnect();
      document.removeEventListener("keydown", closeTab);
    };
  }, []);
}

/** Wrap long lines, so that nothing of an operation is outside its editor, and let the keyboard leave it: Escape, then Tab. */
export function useEditorOptions(): void {
  const { queryEditor, variableEditor, headerEditor } = useGraphiQL(pick("queryEditor", "variableEditor", "headerEditor"));
  useEffect(() => {
    const watches = [[queryEditor, "Operation"] as const, [variableEditor, "Variables"] as const, [headerEditor, "Headers"] as const].flatMap(
      ([each, name]) => {
        const ariaLabel = `${name}: Escape, then Tab leaves the editor`;
        each?.updateOptions({ ariaLabel, fontSize: 13, lineHeight: 19, wordWrap: "on", wrappingIndent: "indent" });
        const onEscape = each?.onKeyDown(({ browserEvent }) => browserEvent.key === "Escape" && TabFocus.setTabFocusMode(true));
        const onLeave = each?.onDidBlurEditorText(() => TabFocus.setTabFocusMode(false));
        return [onEscape, onLeave];
      },
    );
    return () => {
      for (const watch of watches) watch?.dispose();
    };
  }, [queryEditor, variableEditor, headerEditor]);
}

/** Make comments legible in GraphiQL's dark theme, which it defines after it has been rendered. */
export function brightenComments(): void {
  const { defineTheme } = editor;
  const COMMENT = { token: "comment", foreground: "#8fb87e" };
  Object.assign(editor, {
    defineTheme: ((name, theme) =>
      defineTheme(name, theme.base === "vs-dark" ? { ...theme, rules: [...theme.rules, COMMENT] } : theme)) satisfies typeof defineTheme,
  });
}

function repair(part: Element): void {
  // A panel that scrolls may have nothing inside that the keyboard reaches.
  if (part.matches(".graphiql-plugin") && !part.hasAttribute("tabindex")) part.setAttribute("tabindex", "0");
  // A tab must not contain buttons (ARIA 1.2, children presentational): its button is the tab, and Delete closes it.
  for (const item of part.querySelectorAll("li.graphiql-tab[aria-selected]")) {
    const tab = item.querySelector(".graphiql-tab-button");
    tab?.setAttribute("role", "tab");
    tab?.setAttribute("aria-selected", item.getAttribute("aria-selected") ?? "false");
    item.setAttribute("role", "presentation");
    item.removeAttribute("aria-selected");
  }
  for (const button of part.querySelectorAll(".graphiql-tab-close:not([aria-hidden])")) {
    button.setAttribute("aria-hidden", "true");
    button.setAttribute("tabindex", "-1");
  }
  // The entries of the history are named by their operations.
  for (const button of part.querySelectorAll('.graphiql-history-item-label[aria-label="Set active"]')) {
    button.removeAttribute("aria-label");
  }
  // The explorer's inputs have no names: each is named by its argument, which only a class tells.
  for (const input of part.querySelectorAll(".graphiql-explorer-root :is(input, select):not([aria-label])")) {
    const argument = input.closest('[class^="graphiql-explorer-"]:not(.graphiql-explorer-root, .graphiql-explorer-actions)');
    input.setAttribute("aria-label", argument?.className.replace("graphiql-explorer-", "") ?? "Kind of operation");
  }
}

function closeTab(event: KeyboardEvent): void {
  const tab = event.key === "Delete" && event.target instanceof Element ? event.target.closest(".graphiql-tab-button") : null;
  tab?.parentElement?.querySelector<HTMLButtonElement>(".graphiql-tab-close")?.click();
}

// The hint in the place of the answer, until there is one.

import { pick, useGraphiQL } from "@graphiql/react";
import { useLive } from "./live";

export function FirstHint() {
  const { tabs, activeTabIndex, fetchError } = useGraphiQL(pick("tabs", "activeTabIndex", "fetchError"));
  const { isRunning, outlook } = useLive();
  if (isRunning || tabs[activeTabIndex]?.response) return null;
  const needsToken = outlook.kind === "unclear" && outlook.code === "UNAUTHENTICATED";
  return (
    <div className={fetchError ? "first-hint below" : "first-hint"} data-testid="first-hint">
      {needsToken ? (
        <p>
          This gateway needs a caller’s token: write <code>{'{"Authorization": "Bearer …"}'}</code> into <b>Headers</b>, below the
          query. It is kept for this browser session only.
        </p>
      ) : (
        <p>
          Run the operation with <b>▶</b> or <kbd>Ctrl</kbd>+<kbd>Enter</kbd>. Its answer appears here, and its calls to Twilio beside
          the query.
        </p>
      )}
    </div>
  );
}

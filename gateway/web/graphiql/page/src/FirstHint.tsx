// What stands in the place of the answer until there is one.

import { pick, useGraphiQL } from "@graphiql/react";
import { useLive } from "./live";

export function FirstHint() {
  const { tabs, activeTabIndex } = useGraphiQL(pick("tabs", "activeTabIndex"));
  const { isRunning, outlook } = useLive();
  if (isRunning || tabs[activeTabIndex]?.response) return null;
  const needsToken = outlook.kind === "unclear" && outlook.code === "UNAUTHENTICATED";
  return (
    <div className="first-hint" data-testid="first-hint">
      {needsToken ? (
        <p>
          This gateway needs a caller’s token: write <code>{'{"Authorization": "Bearer …"}'}</code> into <b>Headers</b>, below the
          query. It is kept until this browser window is closed.
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

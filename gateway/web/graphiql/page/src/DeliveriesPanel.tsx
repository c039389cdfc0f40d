// The panel "Deliveries": what the last webhooks said, and a subscription to the same changes.

import { useEffect, useRef, useState } from "react";
import { type Webhook, recentWebhooks } from "./ask";
import { FACTS } from "./facts";
import { many } from "./numbers";
import { toneOf } from "./receipts";
import { useEditors, useOpen } from "./tabs";

const REFRESH_MS = 2000;

const SUBSCRIPTION = `# Receipts as they change. Events arrive until you stop it.
subscription Deliveries($serviceSid: ID!) {
  deliveryUpdated(serviceSid: $serviceSid) {
    __typename
    ... on DeliveriesReady {
      cursor
      refetch
      webhooks
    }
    ... on ReceiptChange {
      cursor
      previousStatus
      receipt {
        id
        sid
        messageSid
        status
        error {
          code
          title
        }
        dateUpdated
      }
    }
  }
}
`;

export function DeliveriesPanel() {
  const { webhooks, problem } = useWebhooks();
  const open = useOpen();
  const subscribe = (): void =>
    open({ query: SUBSCRIPTION, variables: JSON.stringify({ serviceSid: knownService() }, null, 2), operationName: null });
  return (
    <section className="panel" data-testid="deliveries" aria-label="Deliveries">
      <h2>Deliveries</h2>
      <p className="hint">The last webhooks that the gateway received from Twilio, and what became of each. A subscription is sent the changes.</p>
      <p className="buttons">
        <button type="button" className="graphiql-button" onClick={subscribe}>
          Open a subscription
        </button>
      </p>
      {problem && (
        <p className="problems" role="status">
          {problem}
        </p>
      )}
      {webhooks && <Webhooks webhooks={webhooks} />}
    </section>
  );
}

/** The last webhooks, read every two seconds while the page is visible; null before they are known. */
function useWebhooks(): { webhooks: Webhook[] | null; problem: string | null } {
  const [webhooks, setWebhooks] = useState<Webhook[] | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const { headers } = useEditors();
  const current = useRef(headers);
  current.current = headers; // The editors may change while the panel is open.
  useEffect(() => {
    const stopping = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    const read = async (): Promise<void> => {
      try {
        if (!document.hidden) setWebhooks(await recentWebhooks(current.current(), stopping.signal));
        setProblem(null);
      } catch (error) {
        if (stopping.signal.aborted) return;
        setProblem(error instanceof TypeError || !(error instanceof Error) ? "The gateway cannot be reached." : error.message);
      }
      if (!stopping.signal.aborted) timer = setTimeout(() => void read(), REFRESH_MS);
    };
    void read();
    return () => {
      stopping.abort();
      clearTimeout(timer);
    };
  }, []);
  return { webhooks, problem };
}

function Webhooks({ webhooks }: { webhooks: Webhook[] }) {
  if (!webhooks.length) {
    return (
      <p className="hint">
        None has arrived. <a href="graphiql/docs/webhooks">How to configure them</a>; in the demo, the option <code>--live</code> sends them.
      </p>
    );
  }
  return (
    <div className="scrolled" tabIndex={0} role="region" aria-label={many(webhooks.length, "webhook")}>
      <table className="headers">
        <thead>
          <tr>
            <th scope="col">Time</th>
            <th scope="col">Event</th>
            <th scope="col">Status</th>
            <th scope="col">Verdict</th>
            <th scope="col">Record</th>
          </tr>
        </thead>
        <tbody>
          {webhooks.map((each, place) => (
            <tr key={`${each.receivedAt} ${place}`}>
              <td>{new Date(each.receivedAt).toLocaleTimeString("en-GB")}</td>
              <td>{each.event ?? "–"}</td>
              <td>
                {each.status && <span className={`chip ${toneOf(each.status.toUpperCase())}`}>{each.status}</span>}
                {each.errorCode !== null && ` ${each.errorCode}`}
              </td>
              <td>
                {each.verdict}
                {each.reason && `: ${each.reason}`}
              </td>
              <td>
                <code>{recordOf(each.sids)}</code>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The sid of the record that a webhook is about; the recipient of a receipt is beside it. */
const recordOf = ({ receiptSid, messageSid, participantSid, conversationSid, serviceSid }: Record<string, string>): string =>
  receiptSid ?? messageSid ?? participantSid ?? conversationSid ?? serviceSid ?? "";

/** The service that the examples start from; empty where none is known. */
function knownService(): string {
  for (const { variables } of FACTS.tabs) {
    const { serviceSid } = JSON.parse(variables || "{}") as { serviceSid?: string };
    if (serviceSid) return serviceSid;
  }
  return "";
}

// The panel "Deliveries": how the gateway learns of changes, what the last webhooks said, and a subscription to the same changes.

import { useEffect, useRef, useState } from "react";
import { type Webhook, recentWebhooks } from "./ask";
import { FACTS } from "./facts";
import { decimal, many } from "./numbers";
import { toneOf } from "./receipts";
import { useEditors, useOpen } from "./tabs";

const REFRESH_MS = 2000;

const { webhooks: HAS_WEBHOOKS, subscriptions: HAS_SUBSCRIPTIONS, pollSeconds: POLL_SECONDS, note: NOTE } = FACTS.changes;

/** Without webhooks, a subscription is sent the changes of the conversations that it names. */
const [DECLARED, NAMED] = HAS_WEBHOOKS ? ["", ""] : [", $conversationSids: [ID!]", ", conversationSids: $conversationSids"];

const SUBSCRIPTION = `# Receipts as they change. Events arrive until you stop it.
subscription Deliveries($serviceSid: ID!${DECLARED}) {
  deliveryUpdated(serviceSid: $serviceSid${NAMED}) {
    __typename
    ... on DeliveriesReady {
      cursor
      refetch
      webhooks
      pollSeconds
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
  const open = useOpen();
  const subscribe = (): void => open({ query: SUBSCRIPTION, variables: JSON.stringify(knownVariables(), null, 2), operationName: null });
  return (
    <section className="panel" data-testid="deliveries" aria-label="Deliveries">
      <h2>Deliveries</h2>
      <p className="hint">{aboutChanges()}</p>
      {HAS_SUBSCRIPTIONS && (HAS_WEBHOOKS || POLL_SECONDS !== null) && (
        <p className="buttons">
          <button type="button" className="graphiql-button" onClick={subscribe}>
            Open a subscription
          </button>
        </p>
      )}
      {HAS_WEBHOOKS ? (
        <LastWebhooks />
      ) : (
        <p className="hint">
          <Origin />
        </p>
      )}
    </section>
  );
}

/** How the gateway learns of changes, and what follows for subscriptions. */
function aboutChanges(): string {
  const polled = POLL_SECONDS === null ? "" : `polled every ${decimal(POLL_SECONDS)} s`;
  if (HAS_WEBHOOKS) {
    const webhooks = "The last webhooks that the gateway received, and what became of each.";
    if (!HAS_SUBSCRIPTIONS) return `${webhooks} Subscriptions are turned off.`;
    return `${webhooks} A subscription is sent the changes.${polled && ` The conversations that it names are also ${polled}.`}`;
  }
  if (!HAS_SUBSCRIPTIONS) return "This gateway receives no webhooks, and subscriptions are turned off.";
  if (polled) return `This gateway receives no webhooks. A subscription is sent the changes of the conversations that it names, which are ${polled}.`;
  return "This gateway receives no webhooks and polls no conversations, so that a subscription would be sent no changes.";
}

/** Where webhooks come from: the gateway's own note, or how to configure them at Twilio. */
function Origin() {
  if (NOTE !== null) return <>{NOTE.split("`").map((part, place) => (place % 2 ? <code key={place}>{part}</code> : part))}</>;
  return (
    <>
      <a href="graphiql/docs/webhooks">How to configure webhooks at Twilio</a>
      {HAS_WEBHOOKS && (
        <>
          ; <code>receipts-gateway check --webhooks</code> says what is missing
        </>
      )}
      .
    </>
  );
}

function LastWebhooks() {
  const { webhooks, problem } = useWebhooks();
  return (
    <>
      {problem && (
        <p className="problems" role="status">
          {problem}
        </p>
      )}
      {webhooks && <Webhooks webhooks={webhooks} />}
    </>
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
        None has arrived. <Origin />
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

/** The variables of the subscription, as far as the examples start from known sids. */
function knownVariables(): Record<string, string | string[]> {
  const known = (name: string): string =>
    FACTS.tabs.map(({ variables }) => (JSON.parse(variables || "{}") as Record<string, string>)[name]).find(Boolean) ?? "";
  const service = { serviceSid: known("serviceSid") };
  return HAS_WEBHOOKS ? service : { ...service, conversationSids: [known("conversationSid")] };
}

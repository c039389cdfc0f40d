import { createOperationDescriptor, Environment, fetchQuery, getFragment, getRequest, getSingularSelector, graphql } from "relay-runtime";
import { RecordSource, requestSubscription, Store } from "relay-runtime";

import { close, keepBoth, Log, makeEvents, makeSocket, type Ended, type Screen } from "../caches/screen.ts";
import { current, type Conversation, type Lists as Shown } from "../caches/world.ts";
import pageQuery, { type screenPageQuery } from "./__generated__/screenPageQuery.graphql.ts";
import type { screenQuery } from "./__generated__/screenQuery.graphql.ts";
import type { screen_lists$key } from "./__generated__/screen_lists.graphql.ts";
import type { screen_pages$key } from "./__generated__/screen_pages.graphql.ts";
import { ask } from "./environment.ts";
import { DELIVERIES, makeNetwork, MESSAGES, onDelivery, onMessage, onStale, type Lists } from "./live.ts";

const SCREEN = graphql`
  query screenQuery($serviceSid: ID!, $conversationSid: ID!) {
    service(sid: $serviceSid) { conversation(sid: $conversationSid) { id ...screen_pages ...screen_lists } }
  }
`;

const PAGES = graphql`
  fragment screen_pages on Conversation
  @argumentDefinitions(first: { type: "Int", defaultValue: 3 }, after: { type: "String" })
  @refetchable(queryName: "screenPageQuery") {
    oldest: messages(first: $first, after: $after) @connection(key: "screen_oldest") {
      edges { node { ...screen_row @relay(mask: false) } }
      pageInfo { hasNextPage endCursor }
    }
  }
`;

const LISTS = graphql`
  fragment screen_lists on Conversation {
    newest: messages(first: 3, order: DESC) @connection(key: "screen_newest") {
      edges { node { ...screen_row @relay(mask: false) } }
      pageInfo { hasNextPage endCursor }
    }
    unsuccessful: messages(first: 50, deliveryStatus: [FAILED, PARTLY_FAILED]) @connection(key: "screen_unsuccessful") {
      edges { node { ...screen_row @relay(mask: false) } }
      pageInfo { hasNextPage endCursor }
    }
  }
`;

graphql`
  fragment screen_row on Message {
    id
    index
    body
    deliveryStatus
    conversation { id }
    receipts { totalCount edges { cursor node { id status errorCode } } pageInfo { hasNextPage } }
    failed: receipts(status: [FAILED, UNDELIVERED]) { totalCount edges { cursor node { id status errorCode } } pageInfo { hasNextPage } }
  }
`;

const SHOWN: Lists = {
  messages: [
    { key: "screen_oldest", filters: {} },
    { key: "screen_newest", filters: { order: "DESC" } },
    { key: "screen_unsuccessful", filters: { deliveryStatus: ["FAILED", "PARTLY_FAILED"] } },
  ],
  receipts: [{}, { status: ["FAILED", "UNDELIVERED"] }],
};

export function open(transport: "websocket" | "sse") {
  return (conversation: Conversation): Screen => {
    const { serviceSid, conversationSid } = conversation.variables;
    const live = transport === "websocket" ? makeSocket() : makeEvents(conversation.url);
    const network = makeNetwork((...of) => ask(conversation.url, current.token)(...of), live as never);
    const environment = new Environment({ network, store: new Store(new RecordSource()) });
    const descriptor = createOperationDescriptor(getRequest(SCREEN), conversation.variables);
    const retained = environment.retain(descriptor);
    let id: string | undefined;
    let stale: { dispose(): void } | undefined;
    const load = async () => {
      const data = await fetchQuery<screenQuery>(environment, SCREEN, conversation.variables).toPromise();
      id = data?.service?.conversation?.id;
      if (id) stale ??= onStale(environment, id, () => void load().catch(() => {}));
    };
    const lists = () => {
      const { data } = environment.lookup(descriptor.fragment);
      return (data as screenQuery["response"] | null | undefined)?.service?.conversation as (screen_lists$key & screen_pages$key) | null | undefined;
    };
    const show = () => {
      const key = lists();
      const read = (fragment: typeof LISTS) => environment.lookup(getSingularSelector(getFragment(fragment), key!)!).data;
      return key ? ({ ...read(PAGES), ...read(LISTS) } as unknown as Shown) : null;
    };
    const log = new Log(conversation);
    const subscribe = (field: "deliveryUpdated" | "messageChanged", ended: Ended) => {
      const { dispose } = requestSubscription<any>(environment, {
        subscription: field === "deliveryUpdated" ? DELIVERIES : MESSAGES,
        variables: { serviceSid, conversationSids: [conversationSid] },
        updater: field === "deliveryUpdated" ? onDelivery(SHOWN) : onMessage(SHOWN),
        onNext: (data) => log.next(field, data),
        onError: (error) => {
          const errors = (error as { source?: { errors?: { extensions?: { code?: string } }[] } }).source?.errors;
          log.ends.push(errors?.[0]?.extensions?.code ?? String(error));
          ended(errors);
        },
        onCompleted: () => ended(),
      });
      return dispose;
    };
    void load().catch(() => {});
    const stop = keepBoth(subscribe);
    return {
      show,
      get begun() {
        return log.begun;
      },
      ends: log.ends,
      events: log.events,
      async more() {
        const { hasNextPage, endCursor } = show()?.oldest?.pageInfo ?? {};
        if (hasNextPage && id) await fetchQuery<screenPageQuery>(environment, pageQuery, { id, after: endCursor }).toPromise();
      },
      reload: load,
      close() {
        stop();
        stale?.dispose();
        retained.dispose();
        close(live);
      },
    };
  };
}

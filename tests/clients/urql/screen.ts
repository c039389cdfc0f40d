import { Client, fetchExchange, subscriptionExchange } from "@urql/core";
import { cacheExchange } from "@urql/exchange-graphcache";

import { close, keepBoth, Log, makeSocket, type Ended, type Screen } from "../caches/screen.ts";
import { authorized, type Conversation, type Lists } from "../caches/world.ts";
import { cache } from "./client.ts";
import { graphql, type ResultOf } from "./graphql.ts";
import { DELIVERIES, inOrder, keys, MESSAGES, updates } from "./live.ts";

const ROW = graphql(`
  fragment UrqlRow on Message @_unmask {
    id
    index
    body
    deliveryStatus
    conversation { id }
    receipts { totalCount edges { cursor node { id status errorCode } } pageInfo { hasNextPage } }
    failed: receipts(status: [FAILED, UNDELIVERED]) { totalCount edges { cursor node { id status errorCode } } pageInfo { hasNextPage } }
  }
`);

const SCREEN = graphql(
  `
    query UrqlScreen($serviceSid: ID!, $conversationSid: ID!, $after: String) {
      service(sid: $serviceSid) {
        id
        conversation(sid: $conversationSid) {
          id
          oldest: messages(first: 3, after: $after) { edges { cursor node { ...UrqlRow } } pageInfo { hasNextPage endCursor } }
          newest: messages(first: 3, order: DESC) { edges { cursor node { ...UrqlRow } } pageInfo { hasNextPage endCursor } }
          unsuccessful: messages(deliveryStatus: [FAILED, PARTLY_FAILED]) {
            edges { cursor node { ...UrqlRow } }
            pageInfo { hasNextPage endCursor }
          }
        }
      }
    }
  `,
  [ROW],
);

export function open(transport: "websocket" | "sse") {
  return (conversation: Conversation): Screen => {
    const socket = makeSocket();
    const client = new Client({
      url: conversation.url,
      fetch: authorized,
      preferGetMethod: false,
      fetchSubscriptions: transport === "sse",
      exchanges: [
        inOrder(cacheExchange({ ...cache, keys: { ...cache.keys, ...keys }, updates })),
        fetchExchange,
        ...(transport === "sse"
          ? []
          : [
              subscriptionExchange({
                forwardSubscription: (request) => ({
                  subscribe: (sink) => ({ unsubscribe: socket.subscribe({ ...request, query: request.query! }, sink as never) }),
                }),
              }),
            ]),
      ],
    });
    const { variables } = conversation;
    let shown: ResultOf<typeof SCREEN> | undefined;
    const query = client.query(SCREEN, variables as never).subscribe(({ data }) => (shown = data));
    const log = new Log(conversation);
    const subscribe = (field: "deliveryUpdated" | "messageChanged", ended: Ended) => {
      const document = (field === "deliveryUpdated" ? DELIVERIES : MESSAGES) as any;
      const given = { serviceSid: variables.serviceSid, conversationSids: [variables.conversationSid] };
      let isOver = false;
      const subscription = client.subscription<any>(document, given).subscribe(({ data, error, hasNext }) => {
        if (isOver) return;
        if (!error && hasNext) return log.next(field, data);
        isOver = true;
        log.ends.push(String(error?.graphQLErrors[0]?.extensions.code ?? error?.message ?? ""));
        ended(error?.graphQLErrors);
      });
      return () => subscription.unsubscribe();
    };
    const stop = keepBoth(subscribe);
    return {
      show: () => (shown?.service?.conversation ?? null) as Lists | null,
      get begun() {
        return log.begun;
      },
      ends: log.ends,
      events: log.events,
      async more() {
        const { hasNextPage, endCursor } = this.show()?.oldest?.pageInfo ?? {};
        if (hasNextPage) await client.query(SCREEN, { ...variables, after: endCursor } as never).toPromise();
      },
      reload: () => client.query(SCREEN, variables as never, { requestPolicy: "network-only" }).toPromise(),
      close() {
        stop();
        query.unsubscribe();
        close(socket);
      },
    };
  };
}

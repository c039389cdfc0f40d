import { ApolloClient, HttpLink, InMemoryCache } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { CombinedGraphQLErrors, CombinedProtocolErrors } from "@apollo/client/errors";
import { OperationTypeNode } from "graphql";

import { close, keepBoth, Log, makeSocket, type Ended, type Screen } from "../caches/screen.ts";
import { authorized, type Conversation, type Lists } from "../caches/world.ts";
import { graphql } from "../gql/index.ts";
import { possibleTypes, typePolicies } from "./client.ts";
import { DELIVERIES, inOrder, MESSAGES, onDelivery, onMessage } from "./live.ts";

export const SCREEN = graphql(`
  query ApolloScreen($serviceSid: ID!, $conversationSid: ID!, $after: String) {
    service(sid: $serviceSid) {
      id
      conversation(sid: $conversationSid) {
        id
        oldest: messages(first: 3, after: $after) { edges { cursor node { ...ApolloRow } } pageInfo { hasNextPage endCursor } }
        newest: messages(first: 3, order: DESC) { edges { cursor node { ...ApolloRow } } pageInfo { hasNextPage endCursor } }
        unsuccessful: messages(deliveryStatus: [FAILED, PARTLY_FAILED]) {
          edges { cursor node { ...ApolloRow } }
          pageInfo { hasNextPage endCursor }
        }
      }
    }
  }
  fragment ApolloRow on Message {
    id
    index
    body
    deliveryStatus
    conversation { id }
    receipts { totalCount edges { cursor node { id status errorCode } } pageInfo { hasNextPage } }
    failed: receipts(status: [FAILED, UNDELIVERED]) { totalCount edges { cursor node { id status errorCode } } pageInfo { hasNextPage } }
  }
`);

export function open(transport: "websocket" | "multipart") {
  return (conversation: Conversation): Screen => {
    const http = new HttpLink({ uri: conversation.url, fetch: authorized });
    const socket = makeSocket();
    const live = transport === "websocket" ? new GraphQLWsLink(socket) : http;
    const client = new ApolloClient({
      cache: new InMemoryCache({ possibleTypes, typePolicies }),
      link: inOrder().split(({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION, live, http),
      defaultOptions: { query: { errorPolicy: "all" }, watchQuery: { errorPolicy: "all" } },
    });
    const { variables } = conversation;
    const query = client.watchQuery({ query: SCREEN, variables, fetchPolicy: "cache-and-network" });
    const shown = query.subscribe({});
    const log = new Log(conversation);
    const subscribe = (field: "deliveryUpdated" | "messageChanged", ended: Ended) => {
      const subscription = client
        .subscribe<any>({
          query: (field === "deliveryUpdated" ? DELIVERIES : MESSAGES) as never,
          variables: { serviceSid: variables.serviceSid, conversationSids: [variables.conversationSid] },
        })
        .subscribe({
          next: ({ data, error }) => {
            log.next(field, data);
            if (data) (field === "deliveryUpdated" ? onDelivery : onMessage)(client, data);
            if (!error) return;
            const errors = CombinedGraphQLErrors.is(error) || CombinedProtocolErrors.is(error) ? error.errors : [];
            log.ends.push(String(errors[0]?.extensions?.code ?? error.message));
            ended(errors);
          },
          complete: () => ended(),
        });
      return () => subscription.unsubscribe();
    };
    const stop = keepBoth(subscribe);
    return {
      show: () => (query.getCurrentResult().data?.service?.conversation ?? null) as Lists | null,
      get begun() {
        return log.begun;
      },
      ends: log.ends,
      events: log.events,
      async more() {
        const { hasNextPage, endCursor } = this.show()?.oldest?.pageInfo ?? {};
        if (hasNextPage) await query.fetchMore({ variables: { after: endCursor } });
      },
      reload: () => query.refetch(),
      close() {
        stop();
        shown.unsubscribe();
        client.stop();
        close(socket);
      },
    };
  };
}

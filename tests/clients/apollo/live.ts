import { ApolloLink, gql, type ApolloClient } from "@apollo/client";
import type { ResultOf } from "@graphql-typed-document-node/core";
import { OperationTypeNode } from "graphql";
import { Observable } from "rxjs";
import { graphql } from "../gql/index.ts"; // By codegen.
import { stepFor, type Change } from "../live/lists.ts";
import { Order } from "../live/order.ts";
import { pagesFrom, type Page, type Pages } from "./client.ts";

export const DELIVERIES = graphql(`
  subscription ApolloDeliveries($serviceSid: ID!, $conversationSids: [ID!]) {
    deliveryUpdated(serviceSid: $serviceSid, conversationSids: $conversationSids) {
      __typename
      ... on DeliveriesReady { refetch }
      ... on ReceiptChange {
        previousStatus
        previousDeliveryStatus
        incomplete
        receipt { id status errorCode message { id conversation { id } } }
        receiptEdge { cursor }
        message { id index deliveryStatus }
      }
    }
  }
`);

export const MESSAGES = graphql(`
  subscription ApolloMessages($serviceSid: ID!, $conversationSids: [ID!]) {
    messageChanged(serviceSid: $serviceSid, conversationSids: $conversationSids) {
      __typename
      ... on DeliveriesReady { refetch }
      ... on MessageChange {
        message { # What lists of messages show: a new one has to be complete.
          id
          index
          body
          deliveryStatus
          conversation { id }
          receipts { totalCount edges { cursor node { id status errorCode } } pageInfo { hasNextPage } }
          failed: receipts(status: [FAILED, UNDELIVERED]) { totalCount edges { cursor node { id status errorCode } } pageInfo { hasNextPage } }
        }
      }
      ... on MessageRemoval { messageId }
    }
  }
`);

/** Goes before the links that send queries and subscriptions. */
export function inOrder() {
  const order = new Order();
  return new ApolloLink((operation, forward) => {
    const isSubscription = operation.operationType === OperationTypeNode.SUBSCRIPTION;
    return new Observable((sink) => {
      const ask = (to: object) => {
        const subscription = forward(operation).subscribe(to);
        return () => subscription.unsubscribe();
      };
      if (!isSubscription) return order.query(ask, sink);
      const next = (result: ApolloLink.Result) => order.event(result.data, () => sink.next(result));
      return ask({ next, error: (error: unknown) => sink.error(error), complete: () => sink.complete() });
    });
  });
}

/** Makes the lists of a record right again, whatever their filters. `isWhole` says whether the event has all that a row shows. */
function change(client: ApolloClient, parent: { __typename: string; id: string }, field: keyof typeof EDGES, change: Change, isWhole = true, cursor = "") {
  const id = client.cache.identify(parent);
  const has = (pages: Pages, { readField }: any) => pagesFrom(pages, pages[""]).some(({ edges }) => edges?.some(({ node }) => readField("id", node) === change.id));
  let isKnown = isWhole; // What no list shows was not read again after a loss.
  const look = (pages: Pages, details: any) => ((isKnown ||= has(pages, details)), pages);
  if (!isKnown) client.cache.modify<any>({ id, fields: { [field]: look } });
  const edge = { __typename: EDGES[field], cursor };
  const node = { __typename: EDGES[field].replace("Edge", ""), id: change.id };
  const update = (pages: Pages, { storeFieldName, readField, toReference, DELETE }: any) => {
    const { order, status, deliveryStatus } = JSON.parse(storeFieldName.slice(field.length + 1) || "{}");
    const known = pagesFrom(pages, pages[""]);
    const [first, last] = [known[0], known.at(-1)];
    if (!first || !last) return pages; // It could not be read: null stays null.
    const edges = known.flatMap((page) => page.edges ?? []);
    const rows = edges.map(({ node }) => ({ id: readField("id", node), index: readField("index", node) }));
    const hasNextPage = last.pageInfo?.hasNextPage ?? false;
    const step = stepFor({ filter: status ?? deliveryStatus, order, rows, hasNextPage, isCounted: field === "receipts" }, change);
    if (step === "keep") return pages;
    if (step === "refetch" || (step !== "remove" && !isKnown)) return DELETE; // A query that shows it reads it again.
    if (step === "remove") edges.splice(rows.findIndex(({ id }) => id === change.id), 1);
    else edges.splice(step, 0, { ...edge, node: toReference(node) });
    const { startCursor, hasPreviousPage } = first.pageInfo ?? {};
    const page: Page = { ...first, edges, pageInfo: { ...last.pageInfo, startCursor, hasPreviousPage } };
    if (first.totalCount != null) page.totalCount = first.totalCount + (step === "remove" ? -1 : 1);
    return { "": page };
  };
  client.cache.modify<any>({ id, fields: { [field]: update } });
}

const EDGES = { messages: "MessageEdge", receipts: "ReceiptEdge" };

const refetch = (client: ApolloClient) => void client.refetchQueries({ include: "active" });

/** Handles an event of `deliveryUpdated`. */
export function onDelivery(client: ApolloClient, { deliveryUpdated: event }: ResultOf<typeof DELIVERIES>) {
  if (event?.__typename === "DeliveriesReady" && event.refetch) refetch(client);
  if (event?.__typename !== "ReceiptChange") return;
  const { receipt, receiptEdge, message, incomplete } = event;
  const { id, conversation } = receipt.message!;
  const { status } = receipt;
  change(client, { __typename: "Message", id }, "receipts", { id: receipt.id, status, previous: event.previousStatus ?? null }, true, receiptEdge.cursor);
  if (!message && !incomplete) return; // It was removed.
  const known = { id, index: message?.index, status: message?.deliveryStatus, previous: event.previousDeliveryStatus ?? null };
  change(client, { __typename: "Conversation", id: conversation!.id }, "messages", known, false);
}

const OWNER = gql`fragment OwnerOfMessage on Message { conversation { id } }`;

/** Handles an event of `messageChanged`. */
export function onMessage(client: ApolloClient, { messageChanged: event }: ResultOf<typeof MESSAGES>) {
  const { cache } = client;
  if (event?.__typename === "DeliveriesReady" && event.refetch) refetch(client);
  if (event?.__typename === "MessageChange" && event.message) {
    const { id, index, deliveryStatus: status, conversation } = event.message;
    change(client, { __typename: "Conversation", id: conversation!.id }, "messages", { id, index, status, previous: null });
  }
  if (event?.__typename === "MessageRemoval") {
    const message = { __typename: "Message", id: event.messageId };
    const conversation = cache.readFragment<any>({ from: message, fragment: OWNER })?.conversation;
    if (conversation) change(client, conversation, "messages", { id: event.messageId, status: null, previous: null });
    cache.evict({ id: cache.identify(message) });
  }
}

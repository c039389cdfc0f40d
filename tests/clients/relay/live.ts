import type { Client } from "graphql-ws"; // That of graphql-sse will do, too.
import { ConnectionHandler, graphql, Network, Observable } from "relay-runtime";
import type { FetchFunction, IEnvironment, RecordProxy, RecordSourceSelectorProxy, SelectorStoreUpdater, SubscribeFunction, Variables } from "relay-runtime";
import { stepFor, type Change } from "../live/lists.ts";
import { Order } from "../live/order.ts";
import type { liveDeliveriesSubscription$data } from "./__generated__/liveDeliveriesSubscription.graphql.ts";
import type { liveMessagesSubscription$data } from "./__generated__/liveMessagesSubscription.graphql.ts";

export const DELIVERIES = graphql`
  subscription liveDeliveriesSubscription($serviceSid: ID!, $conversationSids: [ID!]) {
    deliveryUpdated(serviceSid: $serviceSid, conversationSids: $conversationSids) {
      __typename
      ... on DeliveriesReady { refetch }
      ... on ReceiptChange {
        previousStatus
        previousDeliveryStatus
        incomplete
        receipt { id status errorCode message { id conversation { id } } }
        receiptEdge { cursor node { id } }
        message { id index deliveryStatus }
      }
    }
  }
`;

export const MESSAGES = graphql`
  subscription liveMessagesSubscription($serviceSid: ID!, $conversationSids: [ID!]) {
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
`;

/** The receipts of one message: `$connections` are the ids of its lists without a `status`. */
export const RECEIPTS = graphql`
  subscription liveReceiptsSubscription($serviceSid: ID!, $messageSids: [ID!], $connections: [ID!]!) {
    deliveryUpdated(serviceSid: $serviceSid, messageSids: $messageSids) {
      __typename
      ... on ReceiptChange { receiptEdge @appendEdge(connections: $connections) { cursor node { id status errorCode } } }
    }
  }
`;

/** Creates the network, of what asks queries and of what subscribes. */
export function makeNetwork(ask: FetchFunction, client: Pick<Client, "subscribe">) {
  const order = new Order();
  const fetch: FetchFunction = (...of) =>
    Observable.create((sink) =>
      order.query((to) => {
        const subscription = Observable.from(ask(...of) as never).subscribe(to as never);
        return () => subscription.unsubscribe();
      }, sink as never),
    );
  const subscribe: SubscribeFunction = ({ name, text }, variables) =>
    Observable.create((sink) => {
      const next = (result: any) => order.event(result.data, () => sink.next(result));
      const to = { next, error: sink.error, complete: sink.complete };
      return client.subscribe({ operationName: name, query: text!, variables }, to as never);
    });
  return Network.create(fetch, subscribe);
}

/** Runs a query again whenever a conversation that it shows is stale. Components have `useSubscribeToInvalidationState`. */
export function onStale(environment: IEnvironment, conversationID: string, run: () => void) {
  const store = environment.getStore();
  return store.subscribeToInvalidationState(store.lookupInvalidationState([conversationID]), run);
}

/** The lists that the application shows, by the arguments they are selected with: Relay does not list what it has stored. */
export interface Lists {
  /** Of messages, each with the key of its `@connection`. */
  messages: readonly { key: string; filters: Variables }[];
  /** Of receipts, without a `@connection`. */
  receipts: readonly Variables[];
}

const rowsOf = (list: RecordProxy) =>
  (list.getLinkedRecords("edges") ?? []).map((edge) => {
    const node = edge?.getLinkedRecord("node");
    return { id: node?.getDataID() ?? "", index: node?.getValue("index") as number | null };
  });

/**
 * Makes a list, selected with these arguments, right again; returns whether it has to be read again. `isKnown` says whether all
 * that a row shows is in the store, as it is now.
 */
function change(store: RecordSourceSelectorProxy, list: RecordProxy | null | undefined, args: Variables, change: Change, isKnown = true) {
  if (!list) return false; // It has not been read, or could not be: null stays null.
  const { status, deliveryStatus, order } = args;
  const edges = [...(list.getLinkedRecords("edges") ?? [])];
  const rows = rowsOf(list);
  const total = list.getValue("totalCount");
  const hasNextPage = list.getLinkedRecord("pageInfo")?.getValue("hasNextPage") === true;
  const isCounted = list.getType() === "ReceiptConnection";
  const step = stepFor({ filter: status ?? deliveryStatus, order, rows, hasNextPage, isCounted }, change);
  if (typeof step === "string" && step !== "remove") return step === "refetch";
  if (step === "remove") edges.splice(rows.findIndex(({ id }) => id === change.id), 1);
  else {
    if (!isKnown) return true;
    const node = store.get(change.id)!;
    const edge = ConnectionHandler.createEdge(store, list, node, `${node.getType()}Edge`);
    edges.splice(step, 0, edge.setValue(edge.getValue("cursor") ?? "", "cursor"));
  }
  list.setLinkedRecords(edges, "edges");
  if (typeof total === "number") list.setValue(total + (step === "remove" ? -1 : 1), "totalCount");
  return false;
}

function changeMessage(store: RecordSourceSelectorProxy, conversation: RecordProxy, { messages }: Lists, known: Change, isWhole = false) {
  const lists = messages.map(({ key, filters }) => ({ filters, list: ConnectionHandler.getConnection(conversation, key, filters) }));
  // What no list shows was not read again after a loss.
  const isKnown = isWhole || lists.some(({ list }) => list && rowsOf(list).some(({ id }) => id === known.id));
  for (const { list, filters } of lists) if (change(store, list, filters, known, isKnown)) conversation.invalidateRecord();
}

/** Returns the `updater` of `DELIVERIES`. */
export const onDelivery = (lists: Lists): SelectorStoreUpdater<liveDeliveriesSubscription$data> => (store, data) => {
  const event = data?.deliveryUpdated;
  if (event?.__typename === "DeliveriesReady" && event.refetch) store.invalidateStore(); // See `onStale`.
  if (event?.__typename !== "ReceiptChange") return;
  const { receipt, message, incomplete } = event;
  const { id, conversation } = receipt.message!;
  const owner = store.get(conversation!.id)!;
  const known = { id: receipt.id, status: receipt.status, previous: event.previousStatus ?? null };
  for (const args of lists.receipts)
    if (change(store, store.get(id)?.getLinkedRecord("receipts", args), args, known)) owner.invalidateRecord(); // See `onStale`.
  if (!message && !incomplete) return; // It was removed.
  const { index, deliveryStatus: status } = message ?? {};
  changeMessage(store, owner, lists, { id, index, status, previous: event.previousDeliveryStatus ?? null });
};

/** Returns the `updater` of `MESSAGES`. */
export const onMessage = (lists: Lists): SelectorStoreUpdater<liveMessagesSubscription$data> => (store, data) => {
  const event = data?.messageChanged;
  if (event?.__typename === "DeliveriesReady" && event.refetch) store.invalidateStore();
  if (event?.__typename === "MessageChange" && event.message) {
    const { id, index, deliveryStatus: status, conversation } = event.message;
    changeMessage(store, store.get(conversation!.id)!, lists, { id, index, status, previous: null }, true);
  }
  if (event?.__typename === "MessageRemoval") {
    const conversation = store.get(event.messageId)?.getLinkedRecord("conversation");
    if (conversation) changeMessage(store, conversation, lists, { id: event.messageId, status: null, previous: null });
    store.delete(event.messageId);
  }
};

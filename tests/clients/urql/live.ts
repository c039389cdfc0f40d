import { gql, type Exchange, type ExchangeIO, type Operation, type OperationResult } from "@urql/core";
import { parse } from "graphql";
import { filter, makeSubject, map, merge, pipe, share } from "wonka";
import type { Cache, UpdatesConfig, Variables } from "@urql/exchange-graphcache";
import { stepFor, type Change } from "../live/lists.ts";
import { Order } from "../live/order.ts";
import { pagesOf } from "./client.ts";
import { graphql, type ResultOf } from "./graphql.ts";

export const DELIVERIES = graphql(`
  subscription UrqlDeliveries($serviceSid: ID!, $conversationSids: [ID!]) {
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
  subscription UrqlMessages($serviceSid: ID!, $conversationSids: [ID!]) {
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

/** The `extensions` of results that go no further than graphcache. */
const NO_DATA = {};

/**
 * Wraps the cacheExchange. While a query is under way, graphcache writes what arrives in layers, one for each operation, and an older
 * event may hide a newer one, or an answer. A result without data ends the layer of a query: all is then written as it arrives.
 */
export const inOrder = (cache: Exchange): Exchange => (input) => {
  const order = new Order();
  const active = new Map<number, Operation>();
  /** Queries that wait for an answer, one at a time of each. */
  const waiting = new Map<number, ReturnType<Order["begin"]>>();
  const asked = makeSubject<Operation>();
  const results = makeSubject<OperationResult>();
  const ask = (operation: Operation) => {
    const { key } = operation;
    if (!active.has(key) || waiting.has(key)) return;
    waiting.set(key, order.begin());
    asked.next(operation);
  };
  const end = (key: number) => {
    const query = waiting.get(key);
    if (waiting.delete(key)) order.end(query!);
  };
  const forward: ExchangeIO = (operations) => {
    const others = filter<Operation>((operation) => {
      const { key, kind } = operation;
      if (kind === "teardown" && active.delete(key)) end(key);
      if (kind !== "query") return true;
      active.set(key, operation);
      results.next({ operation, extensions: NO_DATA, stale: true, hasNext: false });
      ask(operation);
      return false;
    });
    const passed = filter<OperationResult>((result) => {
      const { operation, hasNext } = result;
      if (operation.kind === "subscription") {
        order.event(result.data, () => results.next(result));
        const isLoss = Object.values<any>(result.data ?? {})[0]?.refetch === true; // A query that waits is asked again when it is answered.
        if (isLoss) for (const query of active.values()) setTimeout(() => ask(query));
        return false;
      }
      const query = waiting.get(operation.key);
      if (!query || hasNext) return !query?.isStale;
      end(operation.key);
      if (query.isStale) setTimeout(() => ask(operation));
      return !query.isStale;
    });
    return share(merge([pipe(merge([pipe(operations, others), asked.source]), input.forward, passed), results.source]));
  };
  const exchange = cache({ ...input, forward });
  return (operations) =>
    pipe(
      exchange(operations),
      filter(({ extensions }) => extensions !== NO_DATA),
      map((result) => (!result.hasNext && waiting.has(result.operation.key) ? { ...result, stale: true } : result)),
    );
};

/** Edges have no id. Only those that are inserted below have a `key`; those of results are embedded in their list. */
export const keys = { MessageEdge: inserted, ReceiptEdge: inserted };
function inserted(edge: { key?: unknown; __typename?: string }) {
  return typeof edge.key === "string" ? edge.key : null;
}

const EDGES = {
  messages: gql`fragment InsertedMessage on MessageEdge { __typename cursor node { __typename id } }`,
  receipts: gql`fragment InsertedReceipt on ReceiptEdge { __typename cursor node { __typename id } }`,
};
const TYPES = { messages: ["Conversation", "Message"], receipts: ["Message", "Receipt"] } as const;

/** Makes the lists of a record right again, whatever their filters. `isWhole` says whether the event has all that a row shows. */
function change(cache: Cache, id: string, field: "messages" | "receipts", change: Change, isWhole = true, cursor = "") {
  const [parent, type] = TYPES[field];
  const owner = cache.keyOfEntity({ __typename: parent, id })!;
  const fields = cache.inspectFields(owner).filter((each) => each.fieldName === field);
  const lists = fields.filter(({ arguments: given }) => given?.after == null).map(({ fieldKey, arguments: given }) => {
    const args = given ?? {};
    const { info, chain } = pagesOf(cache, owner, field, args);
    const pages = chain(cache.resolve(owner, fieldKey)); // None if it could not be read: null stays null.
    const edges = pages.map((page) => (cache.resolve(page, "edges") ?? []) as string[]);
    const rows = edges.flat().map((edge) => {
      const node = cache.resolve(edge, "node") as string;
      return { id: cache.resolve(node, "id") as string, index: cache.resolve(node, "index") as number | null };
    });
    return { args, info, pages, edges, rows };
  });
  for (const { fieldKey, arguments: given } of fields) {
    const page = cache.resolve(owner, fieldKey) as string | null | undefined;
    const isReached = lists.some(({ pages }) => pages.includes(page!));
    if (page && !isReached) cache.invalidate(owner, field, given ?? undefined); // It misses changes of its list.
  }
  // What no list shows was not read again after a loss.
  const isKnown = isWhole || lists.some(({ rows }) => rows.some((row) => row.id === change.id));
  for (const { args, info, pages, edges, rows } of lists) {
    if (!pages.length) continue;
    const step = stepFor(
      {
        filter: (args.status ?? args.deliveryStatus) as string[] | null,
        order: args.order as string | null,
        rows,
        hasNextPage: info(pages.at(-1)!, "hasNextPage") === true,
        isCounted: field === "receipts",
      },
      change,
    );
    if (step === "keep") continue;
    if (step === "refetch" || (step !== "remove" && !isKnown)) { // A query that shows it reads it again.
      for (const each of fields) cache.invalidate(owner, each.fieldName, each.arguments ?? undefined);
      return;
    }
    let row = step === "remove" ? rows.findIndex((each) => each.id === change.id) : step;
    let page = 0;
    while (page < pages.length - 1 && row >= edges[page]!.length) row -= edges[page++]!.length;
    const changed = [...edges[page]!];
    if (step === "remove") changed.splice(row, 1);
    else {
      const edge = { __typename: `${type}Edge`, key: `${pages[page]} ${change.id}`, cursor, node: { __typename: type, id: change.id } };
      cache.writeFragment(EDGES[field], edge);
      changed.splice(row, 0, cache.keyOfEntity(edge)!);
    }
    cache.link(pages[page]!, "edges", changed);
    const total = cache.resolve(pages[0]!, "totalCount");
    if (typeof total === "number") count(cache, id, args, total + (step === "remove" ? -1 : 1));
  }
}

/** Writes the `totalCount` of a list of receipts. */
function count(cache: Cache, id: string, args: Variables, totalCount: number) {
  const given = Object.keys(args).map((name) => `${name}: $${name}`);
  const list = `receipts${given.length ? `(${given.join(", ")})` : ""}`;
  const receipts = { __typename: "ReceiptConnection", totalCount };
  const fragment = parse(`fragment Counted on Message { __typename id ${list} { __typename totalCount } }`);
  cache.writeFragment(fragment, { __typename: "Message", id, receipts }, args);
}

/** Has all queries read again. Further pages of lists begin with what was missed, and are forgotten. */
function refetch(cache: Cache) {
  const seen = new Set<unknown>();
  const forgetPages = (key: unknown) => {
    if (Array.isArray(key)) key.forEach(forgetPages);
    if (typeof key !== "string" || seen.has(key)) return;
    seen.add(key);
    for (const { fieldKey, fieldName, arguments: given } of cache.inspectFields(key)) {
      forgetPages(cache.resolve(key, fieldKey));
      if (given?.after != null) cache.invalidate(key, fieldName, given);
    }
  };
  forgetPages("Query");
  for (const { fieldName, arguments: given } of cache.inspectFields("Query")) cache.invalidate("Query", fieldName, given ?? undefined);
}

export const updates: UpdatesConfig = {
  Subscription: {
    deliveryUpdated(result, _args, cache) {
      const { deliveryUpdated: event } = result as ResultOf<typeof DELIVERIES>;
      if (event?.__typename === "DeliveriesReady" && event.refetch) refetch(cache);
      if (event?.__typename !== "ReceiptChange") return;
      const { receipt, receiptEdge, message, incomplete } = event;
      const { id, conversation } = receipt.message!;
      const { status } = receipt;
      change(cache, id, "receipts", { id: receipt.id, status, previous: event.previousStatus ?? null }, true, receiptEdge.cursor);
      if (!message && !incomplete) return; // It was removed.
      const known = { id, index: message?.index, status: message?.deliveryStatus, previous: event.previousDeliveryStatus ?? null };
      change(cache, conversation!.id, "messages", known, false);
    },
    messageChanged(result, _args, cache) {
      const { messageChanged: event } = result as ResultOf<typeof MESSAGES>;
      if (event?.__typename === "DeliveriesReady" && event.refetch) refetch(cache);
      if (event?.__typename === "MessageChange" && event.message) {
        const { id, index, deliveryStatus: status, conversation } = event.message;
        change(cache, conversation!.id, "messages", { id, index, status, previous: null });
      }
      if (event?.__typename === "MessageRemoval") {
        const message = { __typename: "Message", id: event.messageId };
        const conversation = cache.resolve(cache.resolve(message, "conversation") as string | null, "id");
        if (typeof conversation === "string") change(cache, conversation, "messages", { id: event.messageId, status: null, previous: null });
        cache.invalidate(message);
      }
    },
  },
};

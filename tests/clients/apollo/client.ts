import { ApolloClient, HttpLink, InMemoryCache, type FieldPolicy } from "@apollo/client";
import { GraphQL17Alpha9Handler } from "@apollo/client/incremental";

declare module "@apollo/client" {
  namespace ApolloClient.DeclareDefaultOptions {
    interface Query { errorPolicy: "all" }
    interface WatchQuery { errorPolicy: "all" }
  }
}

export interface Page {
  edges?: readonly { cursor?: string; node?: unknown }[];
  totalCount?: number | null;
  pageInfo?: { endCursor?: string | null; hasNextPage?: boolean; startCursor?: string | null; hasPreviousPage?: boolean };
  scan?: { messages?: number; conversations?: number; unread?: number };
}

/** The pages of a list that are known, by the cursors that they come after; null for one that could not be read. */
export type Pages = Record<string, Page | null>;

const following = (pages: Pages, { pageInfo }: Page) =>
  pageInfo?.hasNextPage && pageInfo.endCursor ? pages[pageInfo.endCursor] : null;

/** The pages from one on that are known. */
export function pagesFrom(pages: Pages, page: Page | null | undefined) {
  const known = new Set<Page>();
  for (let next = page; next && !known.has(next); next = following(pages, next)) known.add(next);
  return [...known];
}

/** The `scan` of several pages of failures: lists that one of them could not read stay counted. */
const scanOf = (pages: readonly Page[]) => {
  const sum = (name: "messages" | "conversations" | "unread") => pages.reduce((sum, { scan }) => sum + (scan?.[name] ?? 0), 0);
  const { scan } = pages.at(-1)!;
  return scan && { ...scan, messages: sum("messages"), conversations: sum("conversations"), unread: sum("unread") };
};

/** A list that grows page by page: one for each choice of filters and page size. */
const list = (...filters: string[]): FieldPolicy<Pages, Page | null, Page | null> => ({
  keyArgs: [...filters, "first"],
  read(pages, { args }) {
    const page = pages?.[args?.after ?? ""];
    if (!pages || !page) return page;
    const known = pagesFrom(pages, page);
    const { startCursor, hasPreviousPage } = page.pageInfo ?? {};
    const edges = known.flatMap((each) => each.edges ?? []);
    return { ...page, edges, scan: scanOf(known), pageInfo: { ...known.at(-1)!.pageInfo, startCursor, hasPreviousPage } };
  },
  merge(pages = {}, page, { args }): Pages {
    const after = args?.after ?? "";
    const before = pages[after];
    const merged = page ? { ...before, ...page, pageInfo: { ...before?.pageInfo, ...page.pageInfo } } : (before ?? null);
    return after || !page ? { ...pages, [after]: merged } : { "": merged }; // A first page begins the list again.
  },
});

export const possibleTypes = {
  Node: ["Conversation", "Message", "Participant", "Receipt", "Service"],
  DeliveryEvent: ["DeliveriesReady", "ReceiptChange"],
  MessageEvent: ["DeliveriesReady", "MessageChange", "MessageRemoval"],
};
export const typePolicies = {
  Query: { fields: { services: list() } },
  Service: {
    fields: {
      conversations: list("state", "createdFrom", "createdTo"),
      participations: list("by"),
      failures: list("sentFrom", "sentTo", "conversationsFrom", "status", "codes", "channels", "state", "scan"),
      deliveryStatistics: { merge: true },
    },
  },
  Conversation: {
    fields: {
      messages: list("order", "deliveryStatus", "scan"),
      participants: list(),
      deliveryStatistics: { merge: true },
    },
  },
  Message: { fields: { receipts: list("status"), recipients: list("status"), delivery: { merge: true } } },
  Receipt: { fields: { error: { merge: true } } },
  Participant: { fields: { messagingBinding: { merge: true } } },
};

export const makeClient = (uri: string, token: string) =>
  new ApolloClient({
    link: new HttpLink({ uri, headers: { authorization: `Bearer ${token}` } }),
    cache: new InMemoryCache({ possibleTypes, typePolicies }),
    incrementalHandler: new GraphQL17Alpha9Handler(), // For @defer; Defer20220824Handler will do, too.
    defaultOptions: { query: { errorPolicy: "all" }, watchQuery: { errorPolicy: "all" } },
  });

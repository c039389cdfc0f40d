import { Client, fetchExchange, stringifyVariables, type Exchange } from "@urql/core";
import { cacheExchange, type Cache, type CacheExchangeOpts, type Resolver, type Variables } from "@urql/exchange-graphcache";
import schema from "../gql/introspection.json"; // By codegen.

const embedded = () => null;
const values = [
  ...["CountRange", "DeliveryError", "DeliveryStatistics", "DeliverySummary", "Media", "MessageCount"],
  ...["MessagingBinding", "Participation", "ReceiptCount", "Recipient", "ScanProgress"],
];
const events = ["DeliveriesReady", "MessageChange", "MessageRemoval", "ReceiptChange"];

/** The pages of a list that are known: those that follow one, and what `pageInfo` says. */
export function pagesOf(cache: Cache, parentKey: string, fieldName: string, args: Variables) {
  const identity = ({ after: _, ...others }: Variables) => stringifyVariables(others);
  const pages = new Map<unknown, unknown>(); // By the cursors that they come after.
  for (const field of cache.inspectFields(parentKey)) {
    const given = field.arguments ?? {};
    if (field.fieldName === fieldName && identity(given) === identity(args))
      pages.set(given.after ?? null, cache.resolve(parentKey, field.fieldKey));
  }
  const info = (of: string, field: string) => cache.resolve(cache.resolve(of, "pageInfo") as string, field);
  const chain = (first: unknown) => {
    const known: string[] = [];
    for (let next = first; typeof next === "string" && !known.includes(next); ) {
      known.push(next);
      next = info(next, "hasNextPage") ? pages.get(info(next, "endCursor")) : null;
    }
    return known;
  };
  return { pages, info, chain };
}

/** A list that grows page by page, one for each choice of arguments other than `after`; it continues behind empty pages. */
const list: Resolver = (_parent, args, cache, { parentKey, fieldName }) => {
  const { pages, info, chain } = pagesOf(cache, parentKey, fieldName, args);
  const page = pages.get(args.after ?? null);
  if (typeof page !== "string") return page as null | undefined; // Not read yet, or not readable.
  const fromStart = chain(pages.get(null));
  const known = fromStart.includes(page) ? fromStart : chain(page);
  if (known.length === 1) return page;
  const last = known[known.length - 1]!;
  const scan = (of: string, field: string) => cache.resolve(cache.resolve(of, "scan") as string, field);
  const sum = (field: string) => known.reduce((sum, each) => sum + Number(scan(each, field) ?? 0), 0);
  return {
    __typename: cache.resolve(page, "__typename"),
    edges: known.flatMap((each) => cache.resolve(each, "edges") ?? []),
    pageInfo: {
      __typename: "PageInfo",
      startCursor: info(known[0]!, "startCursor"),
      hasPreviousPage: info(known[0]!, "hasPreviousPage"),
      endCursor: info(last, "endCursor"),
      hasNextPage: info(last, "hasNextPage"),
    },
    ...(cache.resolve(last, "scan") != null && {
      scan: {
        __typename: "ScanProgress",
        messages: sum("messages"),
        conversations: sum("conversations"),
        through: scan(last, "through"),
        unread: sum("unread"), // Lists that one of the pages could not read stay counted.
      },
    }),
  } as never;
};

export const cache: CacheExchangeOpts = {
  schema,
  keys: Object.fromEntries([...values, ...events].map((name) => [name, embedded])),
  // Not for `receipts`: a message has 50 at most.
  resolvers: {
    Query: { services: list },
    Service: { conversations: list, failures: list, participations: list },
    Conversation: { messages: list, participants: list },
    Message: { recipients: list },
  },
};

export const makeClient = (url: string, token: string, more: Exchange[] = []) =>
  new Client({
    url,
    fetchOptions: { headers: { authorization: `Bearer ${token}` } },
    exchanges: [cacheExchange(cache), ...more, fetchExchange],
  });

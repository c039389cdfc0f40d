import { ApolloClient, HttpLink, InMemoryCache, type FieldMergeFunction, type FieldPolicy } from "@apollo/client";
import { GraphQL17Alpha9Handler } from "@apollo/client/incremental";
import { relayStylePagination } from "@apollo/client/utilities";

declare module "@apollo/client" {
  namespace ApolloClient.DeclareDefaultOptions {
    interface Query { errorPolicy: "all" }
    interface WatchQuery { errorPolicy: "all" }
  }
}

/** A list that grows page by page, one for each choice of filters. Null, a list that could not be read, stays null. */
function list(...filters: string[]): FieldPolicy {
  const pages = relayStylePagination(filters);
  const merge = pages.merge as FieldMergeFunction;
  return { ...pages, merge: (before, page, options) => (page ? merge(before, page, options) : (before ?? null)) };
}

export const possibleTypes = { Node: ["Conversation", "Message", "Participant", "Receipt", "Service"] };
export const typePolicies = {
  Query: { fields: { services: list() } },
  Service: { fields: { conversations: list("state", "createdFrom", "createdTo") } },
  Conversation: { fields: { messages: list("order", "deliveryStatus", "scan"), participants: list() } },
  Message: { fields: { receipts: list("status"), delivery: { merge: true } } },
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

import { Client, fetchExchange, type Exchange } from "@urql/core";
import { cacheExchange } from "@urql/exchange-graphcache";
import { relayPagination } from "@urql/exchange-graphcache/extras";
import schema from "../gql/introspection.json"; // By codegen.

const embedded = () => null;

export const makeClient = (url: string, token: string, more: Exchange[] = []) =>
  new Client({
    url,
    fetchOptions: { headers: { authorization: `Bearer ${token}` } },
    exchanges: [
      cacheExchange({
        schema,
        keys: { DeliverySummary: embedded, DeliveryError: embedded, Media: embedded, MessagingBinding: embedded },
        // Not for `receipts`: a message has 50 at most, and relayPagination drops `totalCount`.
        resolvers: {
          Query: { services: relayPagination() },
          Service: { conversations: relayPagination() },
          Conversation: { messages: relayPagination(), participants: relayPagination() },
        },
      }),
      ...more,
      fetchExchange,
    ],
  });

// Receipts behind their messages. The document stands apart, since Apollo's manifest tool takes none with @defer.

import { graphql } from "../gql/index.ts";

export const DEFERRED = graphql(`
  query ApolloDeferred($serviceSid: ID!, $conversationSid: ID!, $first: Int) {
    service(sid: $serviceSid) {
      id
      conversation(sid: $conversationSid) {
        id
        messages(first: $first) {
          edges { node { id index ... @defer { receipts { edges { node { id status participant { id channel } } } } } } }
        }
      }
    }
  }
`);

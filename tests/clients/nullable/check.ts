// Apollo Client and Relay as clients that handle errors themselves: fields that are null only on error have types without
// null, and `onError: NULL` keeps the rest of an answer where an error meets such a type.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ApolloClient, CombinedGraphQLErrors, HttpLink, InMemoryCache } from "@apollo/client";
import type { ResultOf } from "@graphql-typed-document-node/core";
import relay from "relay-runtime";

import { demo } from "../demo.ts";
import { graphql } from "./gql/index.ts";
import type { statisticsQuery, statisticsQuery$data } from "./relay/__generated__/statisticsQuery.graphql.ts";
import { STATISTICS as RELAY_STATISTICS } from "./relay/statistics.ts";

const STATISTICS = graphql(`
  query ApolloStatistics($serviceSid: ID!) {
    service(sid: $serviceSid) {
      deliveryStatistics { messages }
      failures(first: 1) { scan { unread } }
    }
  }
`);

const NODES = graphql(`
  query ApolloNodes($ids: [ID!]!) {
    nodes(ids: $ids) { id }
    deliveryErrors(codes: [30003]) { code }
  }
`);

// tsc refuses both if the statistics may be null, and the connection's `?.` is needed: it may be.
const apolloMessages = (data: ResultOf<typeof STATISTICS>) => data.service?.deliveryStatistics.messages;
const relayMessages = (data: statisticsQuery$data) => data.service?.deliveryStatistics.messages;
type Nullable<T> = null extends T ? true : false;
const isNullable: Nullable<NonNullable<ResultOf<typeof STATISTICS>["service"]>["failures"]> = true;

const variables = { serviceSid: demo.service_sid };

/** Sends `onError` with each request, where a client has no option for it. */
const withOnError: typeof fetch = (address, options) =>
  fetch(address, { ...options, body: JSON.stringify({ ...JSON.parse(String(options?.body)), onError: "NULL" }) });

const apollo = (fetchWith: typeof fetch) =>
  new ApolloClient({ link: new HttpLink({ uri: demo.graphql, fetch: fetchWith }), cache: new InMemoryCache() });

test("Apollo Client reads what is null only on error", async () => {
  const { data } = await apollo(fetch).query({ query: STATISTICS, variables, errorPolicy: "all" });
  assert.ok(data);
  assert.ok(apolloMessages(data));
  assert.ok(isNullable);
});

test("Relay reads what is null only on error", async () => {
  const { Environment, Network, RecordSource, Store, fetchQuery } = relay;
  const network = Network.create(async ({ text }, values) => {
    const headers = { "Content-Type": "application/json" };
    const body = JSON.stringify({ query: text, variables: values, onError: "NULL" });
    return (await fetch(demo.graphql, { method: "POST", headers, body })).json();
  });
  const environment = new Environment({ network, store: new Store(new RecordSource()) });
  const data = await fetchQuery<statisticsQuery>(environment, RELAY_STATISTICS, variables).toPromise();
  assert.ok(data);
  assert.ok(relayMessages(data));
});

test("with onError NULL, an error where null is not allowed leaves the rest", async () => {
  const ids = Array.from({ length: 101 }, () => "x");
  const query = { query: NODES, variables: { ids }, errorPolicy: "all", fetchPolicy: "no-cache" } as const;
  const propagated = await apollo(fetch).query(query);
  assert.equal(propagated.data ?? null, null);
  const { data, error } = await apollo(withOnError).query(query);
  assert.deepEqual(data?.deliveryErrors.map(({ code }) => code), [30003]);
  assert.equal(data?.nodes, null);
  assert.ok(CombinedGraphQLErrors.is(error));
});

// Apollo Client: pages, the normalized cache, data beside errors.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ApolloClient, CombinedGraphQLErrors, HttpLink } from "@apollo/client";
import { Defer20220824Handler, GraphQL17Alpha9Handler } from "@apollo/client/incremental";
import type { ResultOf } from "@graphql-typed-document-node/core";
import { parse } from "graphql";
import { filter, firstValueFrom, lastValueFrom, takeWhile, toArray } from "rxjs";

import { demo, departed, facts, FAILURE, FIRST_RECEIPTS, INDEXES, landmark, told } from "../demo.ts";
import { watchRequests, withoutFirstReceipts } from "../demo.ts";
import { graphql } from "../gql/index.ts";
import schema from "../gql/introspection.json";
import { makeClient, possibleTypes, typePolicies } from "./client.ts";
import { testFailures, testLists, type Ask } from "../lists.ts";
import { DEFERRED } from "./deferred.ts";
import { persistedQueries } from "./persisted.ts";

const THREAD = graphql(`
  query ApolloThread($serviceSid: ID!, $conversationSid: ID!, $first: Int, $after: String, $only: [MessageDeliveryStatus!]) {
    service(sid: $serviceSid) {
      id
      conversation(sid: $conversationSid) {
        id
        messages(first: $first, after: $after, deliveryStatus: $only) {
          edges {
            node {
              id
              index
              delivery { total }
              receipts { edges { node { id status errorCode participant { id channel } } } }
            }
          }
          pageInfo { endCursor hasNextPage }
        }
      }
    }
  }
`);

const MESSAGE = graphql(`
  query ApolloMessage($id: ID!) {
    node(id: $id) { id ... on Message { deliveryStatus delivery { undelivered } } }
  }
`);

const RECEIPT = graphql(`
  query ApolloReceipt($serviceSid: ID!, $conversationSid: ID!, $messageSid: ID!, $receiptSid: ID!) {
    service(sid: $serviceSid) {
      id
      conversation(sid: $conversationSid) {
        id
        message(sid: $messageSid) { id receipt(sid: $receiptSid) { id status participant { id channel } } }
      }
    }
  }
`);

const start = () => makeClient(demo.graphql, "the demo asks for none");

test("who got a message", async () => {
  const { data, error } = await start().query({ query: THREAD, variables: { ...landmark, first: 1 } });
  assert.equal(error, undefined);
  assert.deepEqual(told(data?.service?.conversation?.messages?.edges[0]?.node.receipts), FIRST_RECEIPTS);
});

test("pages, with nothing twice and nothing left out", async () => {
  const query = start().watchQuery({ query: THREAD, variables: { ...landmark, first: 100 } });
  const shown = async () => {
    const result = await firstValueFrom(query.pipe(filter(({ loading }) => !loading)));
    assert.equal(result.dataState, "complete");
    return result.data.service!.conversation!.messages!;
  };
  const { edges, pageInfo } = await shown();
  assert.deepEqual([edges.length, pageInfo.hasNextPage], [100, true]);
  await query.fetchMore({ variables: { after: pageInfo.endCursor } });
  const all = await shown();
  assert.deepEqual(all.edges.map(({ node }) => node.index), INDEXES);
  assert.equal(all.pageInfo.hasNextPage, false);
  for (const { node } of all.edges) assert.equal(node.receipts?.edges.length, node.delivery?.total ?? 0);
});

test("a list for each choice of filters", async () => {
  const client = start();
  await client.query({ query: THREAD, variables: { ...landmark, first: 5 } });
  const chosen = await client.query({ query: THREAD, variables: { ...landmark, first: 5, only: ["PARTLY_FAILED"] } });
  const all = client.readQuery({ query: THREAD, variables: { ...landmark, first: 5 } });
  const indexes = [chosen.data, all].map((data) => data?.service?.conversation?.messages?.edges.map(({ node }) => node.index));
  assert.deepEqual(indexes, [[0, 1, 2, 4, 24], [0, 1, 2, 3, 4]]);
});

test("a record again, by its id, which adds to what was known of it", async () => {
  const client = start();
  const variables = { ...landmark, first: 1 };
  const { data } = await client.query({ query: THREAD, variables });
  const { id } = data!.service!.conversation!.messages!.edges[0]!.node;
  const again = await client.query({ query: MESSAGE, variables: { id } });
  const delivery = { __typename: "DeliverySummary", undelivered: "SOME" };
  assert.deepEqual(again.data?.node, { __typename: "Message", id, deliveryStatus: "PARTLY_FAILED", delivery });
  const kept = client.cache.extract() as Record<string, { delivery?: unknown }>;
  assert.deepEqual(kept[`Message:${id}`]?.delivery, { ...delivery, total: 4 });
  assert(client.readQuery({ query: THREAD, variables }));
});

test("null, without an error, for a recipient who has left", async () => {
  const { data, error } = await start().query({ query: RECEIPT, variables: departed });
  assert.equal(error, undefined);
  const receipt = data?.service?.conversation?.message?.receipt;
  assert.deepEqual([receipt?.status, receipt?.participant], ["DELIVERED", null]);
});

test("all that came, beside the error for what did not, which is null and not empty", () =>
  withoutFirstReceipts(async () => {
    const { data, error } = await start().query({ query: THREAD, variables: { ...landmark, first: 2 } });
    assert(CombinedGraphQLErrors.is(error));
    assert.deepEqual(error.errors.map(facts), [FAILURE]);
    const [first, second] = data!.service!.conversation!.messages!.edges;
    assert.equal(first?.node.receipts, null);
    assert.equal(second?.node.receipts?.edges.length, 4);
  }));

for (const incrementalHandler of [new GraphQL17Alpha9Handler(), new Defer20220824Handler()]) {
  test(`receipts behind their messages, by ${incrementalHandler.constructor.name}`, async () => {
    const { link, cache } = start();
    const defaultOptions = { query: { errorPolicy: "all" }, watchQuery: { errorPolicy: "all" } } as const;
    const client = new ApolloClient({ link, cache, defaultOptions, incrementalHandler });
    const asked = { query: DEFERRED, variables: { ...landmark, first: 2 } };
    const counts = (data: unknown) => {
      const messages = (data as ResultOf<typeof DEFERRED>).service?.conversation?.messages;
      return messages?.edges.map(({ node: { receipts } }) => receipts && receipts.edges.length);
    };

    await withoutFirstReceipts(async () => {
      const results = client.watchQuery(asked).pipe(takeWhile(({ loading }) => loading, true), toArray());
      const [empty, first, last] = await lastValueFrom(results);
      assert.deepEqual([empty?.dataState, first?.dataState, last?.dataState], ["empty", "streaming", "complete"]);
      assert.deepEqual([counts(first?.data), counts(last?.data)], [[undefined, undefined], [null, 4]]);
      assert(CombinedGraphQLErrors.is(last?.error));
      assert.deepEqual(last.error.errors.map(facts), [FAILURE]);
    });

    const { data, error } = await client.query({ ...asked, fetchPolicy: "network-only" }); // Once the whole stream is read.
    assert.equal(error, undefined);
    assert.deepEqual(counts(data), [4, 4]);
  });

  test(`a part that fails leaves what was shown, by ${incrementalHandler.constructor.name}`, async () => {
    const { link, cache } = start();
    const defaultOptions = { query: { errorPolicy: "all" }, watchQuery: { errorPolicy: "all" } } as const;
    const client = new ApolloClient({ link, cache, defaultOptions, incrementalHandler });
    const query = parse(`query Totals($serviceSid: ID!, $conversationSid: ID!) {
      service(sid: $serviceSid) { id conversation(sid: $conversationSid) { id messages(first: 1) { edges { node {
        id receipts { totalCount } ... @defer(label: "A") { receipts { edges { cursor } } } ... @defer(label: "B") { body }
      } } } } }
    }`);
    await withoutFirstReceipts(async () => {
      const results = client.watchQuery<any>({ query, variables: landmark }).pipe(takeWhile(({ loading }) => loading, true), toArray());
      const shown = (await lastValueFrom(results)).filter(({ data }) => data);
      const nodes = shown.map(({ data }) => data.service.conversation.messages.edges[0].node);
      assert.deepEqual(nodes.map(({ receipts }) => receipts.totalCount), nodes.map(() => 4));
      assert.equal(typeof nodes.at(-1).body, "string");
      const { error } = shown.at(-1)!;
      assert(CombinedGraphQLErrors.is(error));
      assert.deepEqual(error.errors.map(facts), [FAILURE]);
    });
  });
}

test("a deferred fragment that fails as a whole: no longer loading, with its error, and streaming still", async () => {
  const deferred = parse(`query { services { __typename ... @defer(label: "edges") { edges { __typename cursor } } } }`);
  const payloads = [
    { data: { services: { __typename: "ServiceConnection" } }, pending: [{ id: "0", path: ["services"], label: "edges" }], hasNext: true },
    { completed: [{ id: "0", errors: [{ message: "It failed.", path: ["services", "edges"] }] }], hasNext: false },
  ];
  const body = payloads.map((payload) => `\r\n---\r\nContent-Type: application/json\r\n\r\n${JSON.stringify(payload)}`).join("");
  const headers = { "content-type": 'multipart/mixed; boundary="-"; incrementalSpec=v0.2' };
  const link = new HttpLink({ uri: demo.graphql, fetch: async () => new Response(`${body}\r\n-----\r\n`, { headers }) });
  const client = start();
  client.setLink(link);
  const last = await lastValueFrom(client.watchQuery({ query: deferred }).pipe(takeWhile(({ loading }) => loading, true)));
  assert.deepEqual([last.loading, last.dataState], [false, "streaming"]);
  assert(CombinedGraphQLErrors.is(last.error));
});

test("persisted queries: a text once, its hash from then on", async () => {
  const query = parse(`query Once${Date.now()}($id: ID!) { node(id: $id) { id } }`); // The demo has not seen it.
  const requests = watchRequests();
  for (let times = 0; times < 2; times++) {
    const client = start();
    client.setLink(persistedQueries().concat(client.link));
    const { data } = await client.query({ query, variables: { id: demo.conversation_id } });
    assert.deepEqual(data, { node: { __typename: "Conversation", id: demo.conversation_id } });
  }
  assert.deepEqual(requests, ["GET hash", "POST text", "GET hash"]);
});

const startLists = (): Ask => {
  const client = start();
  return async (document, variables, again) => {
    const fetchPolicy = again ? "network-only" : "cache-first";
    const data = (await client.query({ query: parse(document), variables, fetchPolicy })).data as any;
    const { failures, participations, conversation } = data.service ?? {};
    return data.services ?? failures ?? participations ?? conversation?.messages;
  };
};
testLists(startLists);
testFailures(startLists, true);

test("a policy for every list, with its filters, and for every object that has no id", () => {
  const policies = typePolicies as Record<string, { fields?: Record<string, { keyArgs?: string[]; merge?: unknown }> }>;
  const types = schema.__schema.types;
  const identified = new Set(types.filter(({ fields }) => fields?.some(({ name }) => name === "id")).map(({ name }) => name));
  for (const { name: type, fields } of types) {
    if (/Connection$|Edge$|^__/.test(type)) continue;
    for (const { name, args, type: of } of fields ?? []) {
      const policy = policies[type]?.fields?.[name];
      const filters = args.map(({ name }) => name).filter((name) => name !== "after");
      if (of.name?.endsWith("Connection")) assert.deepEqual(policy?.keyArgs?.sort(), filters.sort(), `${type}.${name}`);
      else if (of.kind === "OBJECT" && !identified.has(of.name!)) assert.equal(policy?.merge, true, `${type}.${name}`);
    }
  }
  const kinds = types.flatMap(({ name, possibleTypes: of }) => (of ? [[name, of.map(({ name }) => name).sort()] as const] : []));
  assert.deepEqual(Object.fromEntries(kinds), possibleTypes);
});

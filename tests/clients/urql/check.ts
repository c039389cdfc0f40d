// urql with graphcache, its documents typed by gql.tada: pages, the normalized cache, data beside errors.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Client, fetchExchange, type OperationResult } from "@urql/core";
import { persistedExchange } from "@urql/exchange-persisted";

import { demo, departed, facts, FAILURE, FIRST_RECEIPTS, INDEXES, landmark, told } from "../demo.ts";
import { watchRequests, withoutFirstReceipts } from "../demo.ts";
import { testFailures, testLists, type Ask } from "../lists.ts";
import { graphql, readFragment, type ResultOf, type VariablesOf } from "./graphql.ts";
import { makeClient } from "./client.ts";

const RECEIPTS = graphql(`
  fragment Receipts on Message {
    delivery { total }
    receipts { totalCount edges { node { id status errorCode participant { id channel } } } }
  }
`);

const THREAD = graphql(
  `
    query UrqlThread($serviceSid: ID!, $conversationSid: ID!, $first: Int, $after: String, $only: [MessageDeliveryStatus!]) {
      service(sid: $serviceSid) {
        id
        conversation(sid: $conversationSid) {
          id
          dateCreated
          messages(first: $first, after: $after, deliveryStatus: $only) {
            edges { node { id index ...Receipts } }
            pageInfo { endCursor hasNextPage }
          }
        }
      }
    }
  `,
  [RECEIPTS],
);

const PARTICIPATIONS = graphql(`
  query UrqlParticipations($serviceSid: ID!, $by: PersonInput!) {
    service(sid: $serviceSid) { id participations(by: $by) { edges { node { conversationSid participantSid } } } }
  }
`);

({ identity: "ada" }) satisfies VariablesOf<typeof PARTICIPATIONS>["by"];
// @ts-expect-error One of the two has to be given.
({}) satisfies VariablesOf<typeof PARTICIPATIONS>["by"];

const DEFERRED = graphql(`
  query UrqlDeferred($serviceSid: ID!, $conversationSid: ID!, $first: Int) {
    service(sid: $serviceSid) {
      id
      conversation(sid: $conversationSid) {
        id
        messages(first: $first) { edges { node { id index ... @defer { receipts { edges { node { id status } } } } } } }
      }
    }
  }
`);

const MESSAGE = graphql(`
  query UrqlMessage($id: ID!) {
    node(id: $id) { __typename id ... on Message { deliveryStatus delivery { undelivered } } }
  }
`);

const RECEIPT = graphql(`
  query UrqlReceipt($serviceSid: ID!, $conversationSid: ID!, $messageSid: ID!, $receiptSid: ID!) {
    service(sid: $serviceSid) {
      id
      conversation(sid: $conversationSid) {
        id
        message(sid: $messageSid) { id receipt(sid: $receiptSid) { id status participant { id channel } } }
      }
    }
  }
`);

type Thread = ResultOf<typeof THREAD>;
// @ts-expect-error A time is text, not just anything.
({}) as Thread satisfies { service: { conversation: { dateCreated: number | null } | null } | null };

const messagesOf = (data: Thread | null | undefined) => data?.service?.conversation?.messages;
const receiptsOf = (data: Thread | undefined, place: number) =>
  readFragment(RECEIPTS, messagesOf(data)?.edges[place]?.node)?.receipts;
const indexesOf = (data: Thread | null | undefined) => messagesOf(data)?.edges.map(({ node }) => node.index);

const start = () => makeClient(demo.graphql, "the demo asks for none");

test("who got a message", async () => {
  const { data, error } = await start().query(THREAD, { ...landmark, first: 1 });
  assert.equal(error, undefined);
  assert.deepEqual(told(receiptsOf(data, 0)), FIRST_RECEIPTS);
  assert.equal(receiptsOf(data, 0)?.totalCount, 4);
});

test("pages, with nothing twice and nothing left out", async () => {
  const client = start();
  const { data } = await client.query(THREAD, { ...landmark, first: 100 });
  const { endCursor, hasNextPage } = messagesOf(data)!.pageInfo;
  assert.deepEqual([indexesOf(data)?.length, hasNextPage], [100, true]);
  const all = await client.query(THREAD, { ...landmark, first: 100, after: endCursor });
  assert.deepEqual(indexesOf(all.data), INDEXES);
  assert.equal(messagesOf(all.data)?.pageInfo.hasNextPage, false);
});

test("a list for each choice of filters", async () => {
  const client = start();
  await client.query(THREAD, { ...landmark, first: 5 });
  const chosen = await client.query(THREAD, { ...landmark, first: 5, only: ["PARTLY_FAILED"] });
  const all = client.readQuery(THREAD, { ...landmark, first: 5 });
  assert.deepEqual([chosen.data, all?.data].map(indexesOf), [[0, 1, 2, 4, 24], [0, 1, 2, 3, 4]]);
});

test("a record again, by its id, which adds to what was known of it", async () => {
  const client = start();
  const { data } = await client.query(THREAD, { ...landmark, first: 1 });
  const { id } = messagesOf(data)!.edges[0]!.node;
  const again = await client.query(MESSAGE, { id });
  const delivery = { undelivered: "SOME" };
  assert.deepEqual(again.data?.node, { __typename: "Message", id, deliveryStatus: "PARTLY_FAILED", delivery });
  const kept = client.readQuery(THREAD, { ...landmark, first: 1 });
  assert.equal(kept?.stale, false);
  assert.deepEqual(kept.data, data);
});

test("null, without an error, for a recipient who has left", async () => {
  const { data, error } = await start().query(RECEIPT, departed);
  assert.equal(error, undefined);
  const receipt = data?.service?.conversation?.message?.receipt;
  assert.deepEqual([receipt?.status, receipt?.participant], ["DELIVERED", null]);
});

test("all that came, beside the error for what did not", () =>
  withoutFirstReceipts(async () => {
    const { data, error } = await start().query(THREAD, { ...landmark, first: 2 });
    assert.deepEqual(error?.graphQLErrors.map(facts), [FAILURE]);
    assert.equal(receiptsOf(data, 0), null);
    assert.equal(receiptsOf(data, 1)?.edges.length, 4);
  }));

test("receipts behind their messages, with the error for those that did not come", () =>
  withoutFirstReceipts(async () => {
    const shown: OperationResult<ResultOf<typeof DEFERRED>>[] = [];
    await new Promise<void>((done) => {
      const show = (result: (typeof shown)[number]) => (shown.push(result), result.hasNext || done());
      start().query(DEFERRED, { ...landmark, first: 2 }).subscribe(show);
    });
    const receipts = shown.map(({ data }) =>
      data?.service?.conversation?.messages?.edges.map(({ node }) => "receipts" in node && node.receipts?.edges.length),
    );
    assert.deepEqual(receipts, [[false, false], [false, 4]]);
    assert.deepEqual(shown.at(-1)?.error?.graphQLErrors.map(facts), [FAILURE]);
  }));

test("a part that fails leaves what was shown", async () => {
  const selection = `body receipts { totalCount } ... @defer { receipts { edges { cursor } } }`;
  const failing = `query ($id: ID!) { node(id: $id) { __typename id ... on Message { ${selection} } } }`;
  const missing = `{ service(sid: "IS${"0".repeat(32)}") { __typename sid ... @defer { friendlyName } } }`;
  const last = async (query: string, variables: object) => {
    const client = new Client({ url: demo.graphql, exchanges: [fetchExchange], preferGetMethod: false });
    return new Promise<OperationResult<any>>((done) => {
      client.query(query, variables).subscribe((result) => result.hasNext || done(result));
    });
  };
  await withoutFirstReceipts(async () => {
    const { data, error } = await last(failing, { id: demo.message_id });
    assert.equal(data.node.receipts.totalCount, 4);
    assert.equal(error?.graphQLErrors.length, 1);
  });
  const { data, error } = await last(missing, {});
  assert.equal(data.service.sid, `IS${"0".repeat(32)}`);
  assert.equal(error?.graphQLErrors.length, 1);
});

test("a list that has not been read is null while the result is stale", async () => {
  const client = start();
  await client.query(THREAD, { ...landmark, first: 1 });
  const shown: OperationResult<Thread>[] = [];
  await new Promise<void>((done) => {
    client.query(THREAD, { ...landmark, first: 2 }).subscribe((result) => (shown.push(result), result.stale || done()));
  });
  assert.deepEqual(shown.map(({ stale, data }) => [stale, indexesOf(data)]), [[true, undefined], [false, [0, 1]]]);
});

test("persisted queries: a text once, its hash from then on", async () => {
  const query = `query Once${Date.now()}($id: ID!) { node(id: $id) { __typename id } }`; // The demo has not seen it.
  const requests = watchRequests();
  for (let times = 0; times < 2; times++) {
    const client = makeClient(demo.graphql, "the demo asks for none", [persistedExchange()]);
    const { data } = await client.query(query, { id: demo.conversation_id });
    assert.deepEqual(data, { node: { __typename: "Conversation", id: demo.conversation_id } });
  }
  assert.deepEqual(requests, ["GET hash", "GET text", "GET hash"]);
});

const startLists = (): Ask => {
  const client = start();
  return async (document, variables, again) => {
    const requestPolicy = again ? "network-only" : "cache-first";
    const preferGetMethod = document.includes("participations") ? false : "within-url-limit"; // A person must not stand in a URL.
    const { data } = await client.query(document, variables, { requestPolicy, preferGetMethod });
    const { failures, participations, conversation } = data.service ?? {};
    return data.services ?? failures ?? participations ?? conversation?.messages;
  };
};
testLists(startLists);
testFailures(startLists, true);

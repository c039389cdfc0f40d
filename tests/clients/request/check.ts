// graphql-request with TanStack Query: an infinite query over pages, data beside errors, what is tried again.

import assert from "node:assert/strict";
import { test } from "node:test";

import { InfiniteQueryObserver } from "@tanstack/query-core";
import { parse } from "graphql";
import { ClientError } from "graphql-request";

import { demo, departed, facts, FAILURE, FIRST_RECEIPTS, INDEXES, landmark, told, withoutFirstReceipts } from "../demo.ts";
import { graphql } from "../gql/index.ts";
import { testLists } from "../lists.ts";
import { makeAsk, makeQueryClient } from "./client.ts";

const THREAD = graphql(`
  query RequestThread($serviceSid: ID!, $conversationSid: ID!, $first: Int, $after: String) {
    service(sid: $serviceSid) {
      conversation(sid: $conversationSid) {
        messages(first: $first, after: $after) {
          edges { node { index receipts { edges { node { status errorCode participant { channel } } } } } }
          pageInfo { endCursor hasNextPage }
        }
      }
    }
  }
`);

const RECEIPT = graphql(`
  query RequestReceipt($serviceSid: ID!, $conversationSid: ID!, $messageSid: ID!, $receiptSid: ID!) {
    service(sid: $serviceSid) {
      conversation(sid: $conversationSid) {
        message(sid: $messageSid) { receipt(sid: $receiptSid) { status participant { channel } } }
      }
    }
  }
`);

const DEFERRED = graphql(`
  query RequestDeferred($serviceSid: ID!, $conversationSid: ID!) {
    service(sid: $serviceSid) {
      conversation(sid: $conversationSid) {
        messages(first: 1) {
          edges { node { ... @defer { receipts { edges { node { status errorCode participant { channel } } } } } } }
        }
      }
    }
  }
`);

const ask = makeAsk(demo.graphql, "the demo asks for none");

test("who got a message", async () => {
  const { data, errors } = await makeQueryClient().fetchQuery({
    queryKey: ["thread", landmark],
    queryFn: ({ signal }) => ask(THREAD, { ...landmark, first: 1 }, signal),
  });
  assert.deepEqual(errors, []);
  assert.deepEqual(told(data.service?.conversation?.messages?.edges[0]?.node.receipts), FIRST_RECEIPTS);
});

test("pages, with nothing twice and nothing left out", async () => {
  const pages = new InfiniteQueryObserver(makeQueryClient(), {
    queryKey: ["pages", landmark],
    queryFn: async ({ pageParam, signal }) => {
      const { data } = await ask(THREAD, { ...landmark, first: 100, after: pageParam }, signal);
      return data.service!.conversation!.messages!;
    },
    initialPageParam: null as string | null,
    getNextPageParam: ({ pageInfo }) => (pageInfo.hasNextPage ? pageInfo.endCursor : undefined),
  });
  await pages.refetch();
  assert.equal(pages.getCurrentResult().hasNextPage, true);
  const { data, hasNextPage } = await pages.fetchNextPage();
  assert.deepEqual(data?.pages.map(({ edges }) => edges.length), [100, 80]);
  assert.deepEqual(data?.pages.flatMap(({ edges }) => edges.map(({ node }) => node.index)), INDEXES);
  assert.equal(hasNextPage, false);
});

test("null, without an error, for a recipient who has left", async () => {
  const { data, errors } = await ask(RECEIPT, departed);
  assert.deepEqual(errors, []);
  assert.deepEqual(data.service?.conversation?.message?.receipt, { status: "DELIVERED", participant: null });
});

test("all that came, beside the error for what did not", () =>
  withoutFirstReceipts(async () => {
    const { data, errors } = await ask(THREAD, { ...landmark, first: 2 });
    assert.deepEqual(errors.map(facts), [FAILURE]);
    const [first, second] = data.service!.conversation!.messages!.edges;
    assert.equal(first?.node.receipts, null);
    assert.equal(second?.node.receipts?.edges.length, 4);
  }));

test("the whole answer at once, since it takes no parts", async () => {
  const { data } = await ask(DEFERRED, landmark);
  assert.deepEqual(told(data.service?.conversation?.messages?.edges[0]?.node.receipts), FIRST_RECEIPTS);
});

test("tries again what may pass, and nothing else", async () => {
  const attempts = async (question: () => Promise<unknown>) => {
    let count = 0;
    const queryFn = () => (count++, question());
    const failed = makeQueryClient().fetchQuery({ queryKey: ["tried"], queryFn, retryDelay: 0 });
    const error: unknown = await failed.then(() => undefined, (error) => error);
    return { count, error };
  };
  const wrong = await attempts(() => ask(parse("{ nonsense }"), {}));
  assert(wrong.error instanceof ClientError);
  assert.equal(wrong.error.response.errors?.[0]?.extensions.code, "GRAPHQL_VALIDATION_FAILED");
  assert.equal(wrong.count, 1);
  const away = await attempts(() => makeAsk("http://127.0.0.1:9/graphql", "")(THREAD, landmark));
  assert.equal(away.count, 4);
});

testLists(() => {
  const [ask, queries] = [makeAsk(demo.graphql, "the demo asks for none"), makeQueryClient()];
  return async (document, variables) => {
    const queryFn = () => ask<any, object>(parse(document), variables);
    const { data } = await queries.fetchQuery({ queryKey: [document, variables], queryFn });
    return data.services ?? data.service?.participations ?? data.service?.conversation?.messages;
  };
});

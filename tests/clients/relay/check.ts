// Relay: compiled documents, a connection that grows, a fragment fetched again through `node`, @required and @catch.

import assert from "node:assert/strict";
import { test } from "node:test";

import { fetchQuery, getFragment, getSingularSelector, graphql, type Environment } from "relay-runtime";

import { demo, departed, facts, FAILURE, FIRST_RECEIPTS, INDEXES, landmark, told, withoutFirstReceipts } from "../demo.ts";
import { testFailures, testLists } from "../lists.ts";
import type { check_failures$data, check_failures$key } from "./__generated__/check_failures.graphql.ts";
import type { checkFailuresQuery } from "./__generated__/checkFailuresQuery.graphql.ts";
import failuresPageQuery, { type checkFailuresPageQuery } from "./__generated__/checkFailuresPageQuery.graphql.ts";
import type { check_cursors$key } from "./__generated__/check_cursors.graphql.ts";
import type { checkDeferredQuery } from "./__generated__/checkDeferredQuery.graphql.ts";
import type { checkListQuery } from "./__generated__/checkListQuery.graphql.ts";
import listPageQuery, { type checkListPageQuery } from "./__generated__/checkListPageQuery.graphql.ts";
import type { checkReceiptQuery } from "./__generated__/checkReceiptQuery.graphql.ts";
import type { checkThreadQuery } from "./__generated__/checkThreadQuery.graphql.ts";
import type { checkTotalsQuery } from "./__generated__/checkTotalsQuery.graphql.ts";
import pageQuery, { type checkThreadPageQuery } from "./__generated__/checkThreadPageQuery.graphql.ts";
import type { checkParticipationsQuery } from "./__generated__/checkParticipationsQuery.graphql.ts";
import type { checkServicesQuery } from "./__generated__/checkServicesQuery.graphql.ts";
import type { check_list$data, check_list$key } from "./__generated__/check_list.graphql.ts";
import type { check_receipts$data, check_receipts$key } from "./__generated__/check_receipts.graphql.ts";
import type { check_thread$data, check_thread$key } from "./__generated__/check_thread.graphql.ts";
import { makeEnvironment } from "./environment.ts";
import { partsOf } from "./parts.ts";

const THREAD = graphql`
  query checkThreadQuery($serviceSid: ID!, $conversationSid: ID!, $first: Int) {
    service(sid: $serviceSid) {
      conversation(sid: $conversationSid) {
        id
        ...check_thread @arguments(first: $first)
      }
    }
  }
`;

const MESSAGES = graphql`
  fragment check_thread on Conversation
  @argumentDefinitions(first: { type: "Int" }, after: { type: "String" })
  @refetchable(queryName: "checkThreadPageQuery") {
    friendlyName
    messages(first: $first, after: $after) @connection(key: "check_messages") {
      edges {
        node {
          index
          receipts @catch(to: RESULT) {
            edges { node { status errorCode participant { channel } } }
          }
        }
      }
      pageInfo { endCursor hasNextPage }
    }
  }
`;

const DEFERRED = graphql`
  query checkDeferredQuery($serviceSid: ID!, $conversationSid: ID!, $first: Int) {
    service(sid: $serviceSid) {
      conversation(sid: $conversationSid) {
        messages(first: $first) { edges { node { index ...check_receipts @defer(label: "receipts") } } }
      }
    }
  }
`;

const RECEIPTS = graphql`
  fragment check_receipts on Message {
    receipts @catch(to: RESULT) { edges { node { status errorCode participant { channel } } } }
  }
`;

const PARTICIPATIONS = graphql`
  query checkParticipationsQuery($serviceSid: ID!, $by: PersonInput!, $first: Int, $after: String) {
    service(sid: $serviceSid) {
      participations(by: $by, first: $first, after: $after) {
        edges { node { conversationSid } }
        pageInfo { endCursor hasNextPage }
      }
    }
  }
`;

const TOTALS = graphql`
  query checkTotalsQuery($serviceSid: ID!, $conversationSid: ID!) {
    service(sid: $serviceSid) {
      conversation(sid: $conversationSid) {
        messages(first: 1) {
          edges { node { receipts(first: 1) { totalCount } ...check_cursors @defer(label: "cursors") } }
        }
      }
    }
  }
`;

const CURSORS = graphql`
  fragment check_cursors on Message { receipts(first: 1) { edges { cursor } } }
`;

const RECEIPT = graphql`
  query checkReceiptQuery($serviceSid: ID!, $conversationSid: ID!, $messageSid: ID!, $receiptSid: ID!) {
    service(sid: $serviceSid) {
      conversation(sid: $conversationSid) {
        message(sid: $messageSid) {
          receipt(sid: $receiptSid) { status participant { channel } }
          reached: receipt(sid: $receiptSid) { participant @required(action: NONE) { channel } }
        }
      }
    }
  }
`;

const FAILURES = graphql`
  query checkFailuresQuery($serviceSid: ID!, $first: Int, $scan: Int, $codes: [Int!]) {
    service(sid: $serviceSid) { ...check_failures @arguments(first: $first, scan: $scan, codes: $codes) }
  }
`;

const FAILURES_PAGES = graphql`
  fragment check_failures on Service
  @argumentDefinitions(first: { type: "Int" }, after: { type: "String" }, scan: { type: "Int" }, codes: { type: "[Int!]" })
  @refetchable(queryName: "checkFailuresPageQuery") {
    failures(first: $first, after: $after, scan: $scan, codes: $codes) @connection(key: "check_failures") {
      edges { node { id } }
      pageInfo { endCursor hasNextPage }
      scan { messages unread }
    }
  }
`;

const LIST = graphql`
  query checkListQuery(
    $serviceSid: ID!
    $conversationSid: ID!
    $first: Int
    $scan: Int
    $order: MessageOrder
    $only: [MessageDeliveryStatus!]
  ) {
    service(sid: $serviceSid) {
      conversation(sid: $conversationSid) { ...check_list @arguments(first: $first, scan: $scan, order: $order, only: $only) }
    }
  }
`;

const PAGES = graphql`
  fragment check_list on Conversation
  @argumentDefinitions(
    first: { type: "Int" }
    after: { type: "String" }
    scan: { type: "Int" }
    order: { type: "MessageOrder" }
    only: { type: "[MessageDeliveryStatus!]" }
  )
  @refetchable(queryName: "checkListPageQuery") {
    messages(first: $first, after: $after, scan: $scan, order: $order, deliveryStatus: $only)
      @connection(key: "check_list_messages") {
      edges { node { index } }
      pageInfo { endCursor hasNextPage }
    }
  }
`;

const SERVICES = graphql`
  query checkServicesQuery { services { edges { node { id } } } }
`;

const start = () => makeEnvironment(demo.graphql, "the demo asks for none");

/** Ask for the thread; gives its conversation's id, and a function that reads the fragment as it stands. */
async function askThread(environment: Environment, first: number) {
  const data = await fetchQuery<checkThreadQuery>(environment, THREAD, { ...landmark, first }).toPromise();
  const conversation = data!.service!.conversation!;
  const selector = getSingularSelector(getFragment(MESSAGES), conversation as check_thread$key)!;
  const read = () => (environment.lookup(selector).data as unknown as check_thread$data).messages!;
  return { id: conversation.id, read };
}

test("who got a message", async () => {
  const { read } = await askThread(start(), 1);
  const receipts = read().edges[0]!.node.receipts;
  assert(receipts.ok);
  assert.deepEqual(told(receipts.value), FIRST_RECEIPTS);
});

test("pages through node, with nothing twice and nothing left out", async () => {
  const environment = start();
  const { id, read } = await askThread(environment, 100);
  assert.deepEqual([read().edges.length, read().pageInfo.hasNextPage], [100, true]);
  const after = read().pageInfo.endCursor;
  await fetchQuery<checkThreadPageQuery>(environment, pageQuery, { id, first: 100, after }).toPromise();
  assert.deepEqual(read().edges.map(({ node }) => node.index), INDEXES);
  assert.equal(read().pageInfo.hasNextPage, false);
});

test("null, without an error, for a recipient who has left; @required leaves such a receipt out", async () => {
  const data = await fetchQuery<checkReceiptQuery>(start(), RECEIPT, departed).toPromise();
  const message = data!.service!.conversation!.message!;
  assert.deepEqual(message, { receipt: { status: "DELIVERED", participant: null }, reached: null });
});

test("all that came, and at what did not, its error", () =>
  withoutFirstReceipts(async () => {
    const { read } = await askThread(start(), 2);
    const [first, second] = read().edges.map(({ node }) => node.receipts);
    assert(!first!.ok);
    assert.deepEqual(first!.errors.map((error) => facts(error as object)), [{ ...FAILURE, path: undefined }]);
    assert(second!.ok);
    assert.equal(second.value?.edges.length, 4);
  }));

test("receipts behind their messages, with the error for those that did not come", () =>
  withoutFirstReceipts(async () => {
    const environment = start();
    const receiptsOf = (message: check_receipts$key) => {
      const { data, isMissingData } = environment.lookup(getSingularSelector(getFragment(RECEIPTS), message)!);
      if (isMissingData) return "to come";
      const { receipts } = data as unknown as check_receipts$data;
      return receipts.ok ? receipts.value?.edges.length : receipts.errors.map((error) => facts(error as object).code);
    };
    const shown: unknown[] = [];
    await new Promise<void>((complete, error) => {
      const next = ({ service }: checkDeferredQuery["response"]) =>
        shown.push(service!.conversation!.messages!.edges.map(({ node }) => receiptsOf(node)));
      const variables = { ...landmark, first: 2 };
      fetchQuery<checkDeferredQuery>(environment, DEFERRED, variables).subscribe({ next, complete, error });
    });
    assert.deepEqual(shown, [["to come", "to come"], [[FAILURE.code], 4]]);
  }));

test("a part that fails leaves what was shown", () =>
  withoutFirstReceipts(async () => {
    const environment = start();
    const shown: unknown[] = [];
    const isMissing: boolean[] = [];
    const warnings: string[] = [];
    const { error: warn } = console;
    console.error = (...words) => warnings.push(words.join(" "));
    await new Promise<void>((complete, error) => {
      const next = ({ service }: checkTotalsQuery["response"]) => {
        const { node } = service!.conversation!.messages!.edges[0]!;
        shown.push(node.receipts?.totalCount);
        isMissing.push(environment.lookup(getSingularSelector(getFragment(CURSORS), node as check_cursors$key)!).isMissingData);
      };
      fetchQuery<checkTotalsQuery>(environment, TOTALS, landmark).subscribe({ next, complete, error });
    }).finally(() => (console.error = warn));
    assert.deepEqual([shown, isMissing], [[4, 4], [true, true]]);
    assert.match(warnings.join(), /^Warning: RelayResponseNormalizer: Payload did not contain a value for field `edges/);
  }));

test("an answer without data is thrown", async () => {
  const variables = { id: demo.conversation_id, first: "many" as unknown as number };
  await assert.rejects(fetchQuery<checkThreadPageQuery>(start(), pageQuery, variables).toPromise(), /first/);
});

testLists(() => {
  const environment = start();
  return async (document, { serviceSid, conversationSid, after, by, ...rest }) => {
    if (by) {
      const variables = { serviceSid: serviceSid!, by, after, ...rest };
      return (await fetchQuery<checkParticipationsQuery>(environment, PARTICIPATIONS, variables).toPromise())!.service!.participations;
    }
    if (document.includes("services {")) {
      const { services } = (await fetchQuery<checkServicesQuery>(environment, SERVICES, {}).toPromise())!;
      return services as { edges: { node: object }[] } | null | undefined;
    }
    const request = async () => {
      if (after) {
        const variables = { id: demo.conversation_id, after, ...rest };
        return (await fetchQuery<checkListPageQuery>(environment, listPageQuery, variables).toPromise())!.node;
      }
      const variables = { serviceSid: serviceSid!, conversationSid: conversationSid!, ...rest };
      return (await fetchQuery<checkListQuery>(environment, LIST, variables).toPromise())!.service!.conversation;
    };
    const selector = getSingularSelector(getFragment(PAGES), (await request()) as check_list$key)!;
    return (environment.lookup(selector).data as unknown as check_list$data).messages;
  };
});

testFailures(() => {
  const environment = start();
  return async (_document, { serviceSid, after, ...rest }) => {
    const request = async () => {
      if (after) {
        const variables = { id: demo.service_id, after, ...rest };
        return (await fetchQuery<checkFailuresPageQuery>(environment, failuresPageQuery, variables).toPromise())!.node;
      }
      return (await fetchQuery<checkFailuresQuery>(environment, FAILURES, { serviceSid: serviceSid!, ...rest }).toPromise())!.service;
    };
    const selector = getSingularSelector(getFragment(FAILURES_PAGES), (await request()) as check_failures$key)!;
    return (environment.lookup(selector).data as unknown as check_failures$data).failures;
  };
}, false);

/** A response in these pieces. */
function inPieces(pieces: Uint8Array[], contentType: string) {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const piece of pieces) controller.enqueue(piece);
      controller.close();
    },
  });
  return new Response(body, { headers: { "content-type": contentType } });
}

async function read(pieces: Uint8Array[], contentType: string) {
  const parts: unknown[] = [];
  for await (const part of partsOf(inPieces(pieces, contentType))) parts.push(part);
  return parts;
}

test("the same parts wherever chunks end", async () => {
  const query = `query ($serviceSid: ID!, $conversationSid: ID!) { service(sid: $serviceSid) {
    conversation(sid: $conversationSid) { messages(first: 2) { edges { node { body author ... @defer { receipts { totalCount } } } } } } } }`;
  const response = await fetch(demo.graphql, {
    method: "POST",
    headers: { accept: "multipart/mixed", "content-type": "application/json" },
    body: JSON.stringify({ query, variables: landmark }),
  });
  const contentType = response.headers.get("content-type")!;
  const bytes = new Uint8Array(await response.arrayBuffer());
  const whole = await read([bytes], contentType);
  assert.equal(whole.length, 2);
  for (let cut = 0; cut <= bytes.length; cut++)
    assert.deepEqual(await read([bytes.slice(0, cut), bytes.slice(cut)], contentType), whole, `cut at ${cut}`);
  assert.deepEqual(await read(Array.from(bytes, (byte) => Uint8Array.of(byte)), contentType), whole);

  const text = new TextDecoder().decode(bytes);
  const encode = (changed: string) => [new TextEncoder().encode(changed)];
  assert.deepEqual(await read(encode(`\r\n${text}`), contentType), whole);
  assert.deepEqual(await read(encode(`A preamble.\r\n${text}An epilogue.\r\n---\r\n\r\n{}`), contentType), whole);
  assert.deepEqual(await read(encode(text.replaceAll("---", "--a b")), 'multipart/mixed; boundary="a b"'), whole);
  assert.deepEqual(await read(encode(text.replaceAll("---", "--ab")), "multipart/mixed;boundary=ab; deferSpec=20220824"), whole);
  await assert.rejects(read([bytes.slice(0, -6)], contentType), /ended before its last part/);
});

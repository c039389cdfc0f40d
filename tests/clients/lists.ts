// What every client with a cache must show of a list, in whatever order its pages are requested.

import assert from "node:assert/strict";
import { test } from "node:test";

import { demo, INDEXES, landmark, without } from "./demo.ts";

export interface Variables {
  serviceSid?: string;
  conversationSid?: string;
  first?: number | null;
  after?: string | null;
  scan?: number;
  order?: "ASC" | "DESC";
  only?: readonly "PARTLY_FAILED"[] | null;
  by?: { identity: string } | { address: string };
  codes?: readonly number[];
}

interface Row {
  readonly index?: number | null;
  readonly id?: string;
  readonly conversationSid?: string;
}

export interface List {
  readonly edges: readonly { readonly node: Row }[];
  readonly scan?: { readonly messages: number; readonly unread: number };
  readonly pageInfo?: { readonly endCursor?: string | null; readonly hasNextPage: boolean };
}

/** Returns the list that a document requests, of a client that keeps what it has read. `again` passes the cache by. */
export type Ask = (document: string, variables: Variables, again?: boolean) => Promise<List | null | undefined>;

const inConversation = (definitions: string, field: string) => `
  query ${definitions} {
    service(sid: $serviceSid) { __typename id conversation(sid: $conversationSid) { __typename id
      ${field} { __typename edges { __typename node { __typename id index } } pageInfo { __typename endCursor hasNextPage } }
    } }
  }`;
const SIDS = "$serviceSid: ID!, $conversationSid: ID!";
const SERVICES = "query Services { services { __typename edges { __typename node { __typename id } } } }";
const PARTICIPATIONS = `
  query Participations($serviceSid: ID!, $by: PersonInput!, $first: Int, $after: String) {
    service(sid: $serviceSid) { __typename id participations(by: $by, first: $first, after: $after) {
      __typename edges { __typename node { __typename conversationSid } } pageInfo { __typename endCursor hasNextPage }
    } }
  }`;
const WITHOUT_ARGUMENTS = inConversation(`WithoutArguments(${SIDS})`, "messages");
const MESSAGES = inConversation(
  `Messages(${SIDS}, $first: Int, $after: String, $scan: Int, $order: MessageOrder, $only: [MessageDeliveryStatus!])`,
  "messages(first: $first, after: $after, scan: $scan, order: $order, deliveryStatus: $only)",
);

export const FAILURES = `
  query Failures($serviceSid: ID!, $first: Int, $after: String, $scan: Int, $codes: [Int!]) {
    service(sid: $serviceSid) { __typename id
      failures(first: $first, after: $after, scan: $scan, codes: $codes) { __typename
        edges { __typename node { __typename id } }
        pageInfo { __typename endCursor hasNextPage }
        scan { __typename messages unread }
      }
    }
  }`;

const ids = (list: List | null | undefined) => list?.edges.map(({ node }) => node.id);
const indexes = (list: List | null | undefined) => list?.edges.map(({ node }) => node.index);
const from = (start: number, end: number) => INDEXES.slice(start, end);

export function testLists(start: () => Ask): void {
  const messages = (ask: Ask, variables: Variables, again?: boolean) => ask(MESSAGES, { ...landmark, ...variables }, again);

  test("a list without arguments", async () => {
    const ask = start();
    assert.equal((await ask(SERVICES, {}))?.edges.length, 4);
    const list = await ask(WITHOUT_ARGUMENTS, landmark);
    assert.deepEqual(indexes(list), from(0, 50));
    assert.equal(list?.pageInfo?.hasNextPage, true);
  });

  test("a list whose variables are undefined, or null", async () => {
    for (const first of [undefined, null]) assert.deepEqual(indexes(await messages(start(), { first })), from(0, 50));
  });

  test("a longer list after a shorter one, and a shorter one after a longer one", async () => {
    const ask = start();
    for (const first of [1, 5, 1, 3]) {
      const list = await messages(ask, { first });
      assert.deepEqual(indexes(list), from(0, first));
      assert.equal(list?.pageInfo?.hasNextPage, true);
    }
  });

  test("another order, and the first one again", async () => {
    const ask = start();
    const shown = { ASC: [0, 1, 2], DESC: [179, 178, 177] };
    for (const order of ["ASC", "DESC", "ASC"] as const) assert.deepEqual(indexes(await messages(ask, { first: 3, order })), shown[order]);
  });

  test("another filter, and none again", async () => {
    const ask = start();
    for (const [only, shown] of [
      [null, [0, 1, 2, 3, 4]],
      [["PARTLY_FAILED"], [0, 1, 2, 4, 24]],
      [null, [0, 1, 2, 3, 4]],
      [[], []],
    ] as const) {
      assert.deepEqual(indexes(await messages(ask, { first: 5, only })), shown);
    }
  });

  test("the second page, then the first one; and the other way round", async () => {
    const after = (await messages(start(), { first: 5 }))?.pageInfo?.endCursor;
    const backwards = start();
    assert.deepEqual(indexes(await messages(backwards, { first: 5, after })), from(5, 10));
    assert.deepEqual(indexes(await messages(backwards, { first: 5 }))?.slice(0, 5), from(0, 5));
    const forwards = start();
    assert.deepEqual(indexes(await messages(forwards, { first: 5 })), from(0, 5));
    assert.deepEqual(indexes(await messages(forwards, { first: 5, after }))?.slice(-5), from(5, 10));
  });

  test("a list after a failure", async () => {
    const ask = start();
    await without(`*/Conversations/${demo.conversation_sid}/Messages?*`, async () => {
      assert.equal((await messages(ask, { first: 5 })) ?? null, null);
    });
    assert.deepEqual(indexes(await messages(ask, { first: 5 }, true)), from(0, 5));
  });

  test("the conversations of a person, page by page, and those of another", async () => {
    const ask = start();
    const found = (by: Variables["by"], after?: string | null) =>
      ask(PARTICIPATIONS, { serviceSid: landmark.serviceSid, by, first: 5, after });
    const seen = new Set<unknown>();
    let list = await found({ identity: demo.identity });
    for (let pages = 1; pages < 3; pages++) {
      list?.edges.forEach(({ node }) => seen.add(node.conversationSid));
      list = await found({ identity: demo.identity }, list?.pageInfo?.endCursor);
    }
    list?.edges.forEach(({ node }) => seen.add(node.conversationSid));
    assert.deepEqual([seen.size, list?.pageInfo?.hasNextPage], [13, false]);
    const other = await found({ address: demo.address });
    assert.deepEqual(other?.edges.map(({ node }) => node.conversationSid), [demo.conversation_sid]);
  });

  test("thirty pages, many of them empty", async () => {
    const ask = start();
    const variables = { first: 5, scan: 5, only: ["PARTLY_FAILED"] } as const;
    const seen = new Set<unknown>();
    let list = await messages(ask, variables);
    let pages = 1;
    for (; list?.pageInfo?.hasNextPage && pages < 100; pages++) {
      indexes(list)?.forEach((index) => seen.add(index));
      list = await messages(ask, { ...variables, after: list.pageInfo.endCursor });
    }
    indexes(list)?.forEach((index) => seen.add(index));
    assert(pages >= 30, `${pages} pages`);
    const whole = await messages(start(), { first: 1000, scan: 1000, only: ["PARTLY_FAILED"] });
    assert.deepEqual([...seen], indexes(whole));
    assert(seen.size > 5 && seen.size < pages * 5);
  });
}

/** `addsUp` tells whether the list of all pages has the sum of their `scan`; otherwise it has that of the last one. */
export function testFailures(start: () => Ask, addsUp: boolean): void {
  const { serviceSid } = landmark;
  const variables = { serviceSid, first: 10, scan: 20, codes: [63018] };

  /** Loads all pages; returns the list that has them all, how many pages brought nothing, and the most that a page could not read. */
  async function load(ask: Ask) {
    let list = await ask(FAILURES, variables);
    const seen = new Set(ids(list));
    let empty = 0;
    let unread = list?.scan?.unread ?? 0;
    for (let pages = 1; list?.pageInfo?.hasNextPage && pages < 100; pages++) {
      const before = seen.size;
      list = await ask(FAILURES, { ...variables, after: list.pageInfo.endCursor });
      ids(list)?.forEach((id) => seen.add(id));
      empty += Number(seen.size === before);
      unread = Math.max(unread, list?.scan?.unread ?? 0);
    }
    return { seen: [...seen], list: addsUp ? await ask(FAILURES, variables) : list, empty, unread };
  }

  test("failures of a service in many pages, some of them empty", async () => {
    const whole = await start()(FAILURES, { ...variables, first: 1000, scan: 1000 });
    const { seen, list, empty, unread } = await load(start());
    assert.deepEqual(seen, ids(whole));
    assert.deepEqual(ids(list), ids(whole));
    assert(empty > 0 && unread === 0);
    if (addsUp) assert.equal(list?.scan?.messages, whole?.scan?.messages);
  });

  test("a list that one page of failures could not read stays counted", async () => {
    await without(`*/Conversations/${demo.unique_name_conversation_sid}/Messages?*`, async () => {
      const { list, unread } = await load(start());
      assert.equal(unread, 1);
      if (addsUp) assert.equal(list?.scan?.unread, 1);
    });
  });
}

// What graphql-ws and graphql-sse, with their own retry, make of the limits on streams.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { createClient as createEventsClient, NetworkError } from "graphql-sse";
import { createClient, type ClientOptions } from "graphql-ws";
import WebSocket from "ws";

import { Conversation, facts, serviceSid, steer, streams, until } from "../caches/world.ts";

Object.assign(globalThis, { WebSocket }); // Browsers have it, and Node.js 22.

const DEFAULTS = { sockets: 10_000, sockets_per_second: 2_000, operations_per_socket: 100, most: 10_000, per_caller: 0 };
const opened: (() => unknown)[] = [];

afterEach(async () => {
  opened.splice(0).forEach((close) => close());
  await steer("limits", DEFAULTS);
  await until(async () => (await streams()).length === 0, "all have left");
});

const query = "subscription ($serviceSid: ID!) { messageChanged(serviceSid: $serviceSid) { __typename } }";
const variables = { serviceSid };
const token = { authorization: `Bearer ${facts.token}` };
const wait = () => new Promise<void>((done) => setTimeout(done, 20)); // The clients' own is 1 to 4 seconds.

interface Result {
  data?: Record<string, { __typename: string }> | null;
  errors?: readonly { message: string; extensions?: Record<string, unknown> }[];
}

/** What a subscriber is told. */
class Told {
  readonly results: Result[] = [];
  error: any;
  isComplete = false;
  stop = () => {};

  get events() {
    return this.results.flatMap(({ data }) => (data ? Object.values(data).map((event) => event.__typename) : []));
  }

  get sink() {
    return {
      next: (result: unknown) => void this.results.push(result as Result),
      error: (error: unknown) => (this.error = error),
      complete: () => void (this.isComplete = true),
    };
  }
}

function subscribe(client: Pick<ReturnType<typeof createEventsClient>, "subscribe">) {
  const told = new Told();
  told.stop = client.subscribe({ query, variables }, told.sink);
  opened.push(told.stop);
  return told;
}

/** Subscribes, and waits until nothing is missed from then on. */
async function subscribed(client: Parameters<typeof subscribe>[0]) {
  const told = subscribe(client);
  await until(() => told.events.length, "DeliveriesReady");
  return told;
}

/** A client over WebSocket, the codes that its sockets were closed with, and how many were acknowledged. */
function overSocket(options: Partial<ClientOptions> = {}) {
  const codes: number[] = [];
  const acknowledged: unknown[] = [];
  const client = createClient({
    url: facts.graphql.replace(/^http/, "ws"),
    connectionParams: token,
    retryWait: wait,
    on: { closed: (event) => codes.push((event as CloseEvent).code), connected: () => acknowledged.push(null) },
    ...options,
  });
  opened.push(() => void Promise.resolve(client.dispose()).catch(() => {}));
  return { client, codes, acknowledged };
}

/** A client over server-sent events, and the statuses that it was answered, with their `Retry-After`. */
function overEvents(retryAttempts = 5) {
  const answers: (readonly [number, string | null])[] = [];
  const client = createEventsClient({
    url: facts.graphql,
    headers: token,
    retryAttempts,
    retry: wait,
    fetchFn: async (...of: Parameters<typeof fetch>) => {
      const response = await fetch(...of);
      answers.push([response.status, response.headers.get("retry-after")]);
      return response;
    },
  });
  opened.push(() => client.dispose());
  return { client, answers };
}

test("graphql-ws, one operation too many on a socket: its error, and the socket stays", async () => {
  await steer("limits", { operations_per_socket: 2 });
  const { client, acknowledged } = overSocket();
  const [first, second] = [await subscribed(client), await subscribed(client)];
  const third = subscribe(client);
  await until(() => third.error, "the error");
  assert.match(third.error[0].message, /^This socket has 2 operations in progress, as many as it may\./);
  assert.equal(third.error[0].extensions.code, "OVERLOADED");
  await Conversation.open(0, 1);
  await until(() => first.events.includes("MessageChange"), "the event of the first one");
  second.stop();
  await subscribed(client);
  assert.deepEqual([third.results, third.isComplete, acknowledged.length], [[], false, 1]);
});

for (const [name, limits] of Object.entries({
  "the gateway has too many subscriptions": { most: 1 },
  "a caller has too many subscriptions": { per_caller: 1 },
})) {
  test(`graphql-ws, ${name}: the error of the last one, and the socket stays`, async () => {
    await steer("limits", limits);
    const { client, acknowledged } = overSocket();
    const first = await subscribed(client);
    const second = subscribe(client);
    await until(() => second.error, "the error");
    assert.equal(second.error[0].extensions.code, "OVERLOADED");
    await Conversation.open(0, 1);
    await until(() => first.events.includes("MessageChange"), "the event of the first one");
    assert.equal(acknowledged.length, 1);
  });
}

test("graphql-ws, one socket too many: closed before it is acknowledged, and comes back once another one has left", async () => {
  await steer("limits", { sockets: 1 });
  const first = overSocket();
  const told = await subscribed(first.client);
  const second = overSocket({ retryAttempts: Infinity });
  const waiting = subscribe(second.client);
  await until(() => second.codes.length >= 2, "it is closed, and again");
  assert.deepEqual([new Set(second.codes), second.acknowledged, waiting.results], [new Set([1013]), [], []]);
  told.stop();
  await until(() => waiting.events.length, "DeliveriesReady");
  assert.deepEqual([second.acknowledged.length, waiting.error, first.codes], [1, undefined, [1000]]);
});

test("graphql-ws as it comes gives up after 6 sockets that were not acknowledged, and says why", async () => {
  await steer("limits", { sockets: 0 });
  const { client, codes } = overSocket();
  const told = subscribe(client);
  await until(() => told.error, "it gives up");
  assert.deepEqual(codes, Array(6).fill(1013));
  assert.deepEqual([told.error.code, told.error.reason], [1013, "The gateway has too many open sockets. Try again."]);
});

test("graphql-ws, too many sockets at once: all of them are subscribed in the end", async () => {
  await steer("limits", { sockets_per_second: 5 });
  const clients = Array.from({ length: 8 }, () => overSocket({ retryAttempts: Infinity }));
  const told = clients.map(({ client }) => subscribe(client));
  await until(() => told.every(({ events }) => events.length), "all are subscribed");
  const codes = clients.flatMap((each) => each.codes);
  assert(codes.length >= 1 && codes.every((code) => code === 1013), codes.join());
});

test("graphql-sse, where trying again is of no use: the error as an event, the end, and no further request", async () => {
  await steer("limits", { per_caller: 1 });
  const { client, answers } = overEvents();
  const first = await subscribed(client);
  const second = subscribe(client);
  await until(() => second.isComplete, "the end");
  const { data, errors } = second.results[0]!;
  assert.deepEqual([second.results.length, data, errors?.length, second.error], [1, undefined, 1, undefined]);
  assert.match(errors![0]!.message, /^This caller has 1 subscriptions, the most that it may have/);
  await Conversation.open(0, 1);
  await until(() => first.events.includes("MessageChange"), "the event of the first one");
  await wait();
  await wait(); // It would have asked again.
  assert.deepEqual(answers, [[200, null], [200, null]]);
});

test("graphql-sse, where it is: 503 with Retry-After, and asks again until it is subscribed", async () => {
  await steer("limits", { most: 1 });
  const { client, answers } = overEvents(1000);
  const first = await subscribed(client);
  const second = subscribe(client);
  await until(() => answers.length >= 3, "it asks again");
  assert.deepEqual(answers.slice(0, 3), [[200, null], [503, "1"], [503, "1"]]);
  first.stop();
  await until(() => second.events.length, "DeliveriesReady");
  assert.deepEqual([second.error, second.isComplete], [undefined, false]);
});

test("graphql-sse as it comes gives up after 6 requests, whatever Retry-After says", async () => {
  await steer("limits", { most: 1 });
  await subscribed(overSocket().client);
  const { client, answers } = overEvents();
  const began = Date.now();
  const told = subscribe(client);
  await until(() => told.error, "it gives up");
  assert(told.error instanceof NetworkError);
  assert.equal(told.error.response.status, 503);
  assert.deepEqual(answers, Array(6).fill([503, "1"]));
  assert(Date.now() - began < 5_000, "it waits for its own time");
});

// Caches that subscriptions keep right: Apollo over WebSocket and multipart, graphcache over WebSocket and SSE, Relay over both.

import assert from "node:assert/strict";
import { test } from "node:test";

import WebSocket from "ws";

import { open as apollo } from "../apollo/screen.ts";
import { stepFor } from "../live/lists.ts";
import { Order } from "../live/order.ts";
import { watchReceipts } from "../relay/receipts.ts";
import { open as relay } from "../relay/screen.ts";
import { open as urql } from "../urql/screen.ts";
import { histories } from "./histories.ts";
import type { Open, Screen } from "./screen.ts";
import { Conversation, current, fail, settled, steer, streams, until } from "./world.ts";

Object.assign(globalThis, { WebSocket }); // Browsers have it, and Node.js 22.

export const clients: Record<string, Open> = {
  "Apollo over WebSocket": apollo("websocket"),
  "Apollo over multipart": apollo("multipart"),
  "graphcache over WebSocket": urql("websocket"),
  "graphcache over SSE": urql("sse"),
  "Relay over WebSocket": relay("websocket"),
  "Relay over SSE": relay("sse"),
};

const indexes = (list: { edges: readonly { node: { index: number } }[] } | null | undefined) =>
  list?.edges.map(({ node }) => node.index);

/** Opens a screen on a conversation of this many messages; waits until it shows them, and nothing is missed from then on. */
async function opened(open: Open, messages: number): Promise<[Conversation, Screen, string[]]> {
  const conversation = await Conversation.open(2, messages);
  const truth = await conversation.truth();
  const sids = truth.oldest!.edges.map(({ node }) => node.id);
  const screen = open(conversation);
  await until(() => screen.begun >= 1, "the subscriptions begin");
  await settled(screen.show, conversation, 5);
  return [conversation, screen, sids];
}

/** Holds the next requests of a conversation; the value is what releases each. */
async function hold(conversation: Conversation) {
  await until(() => conversation.quiet > 50, "the answers to earlier ones");
  const held: (() => void)[] = [];
  conversation.before = () => new Promise((done) => held.push(done));
  return held;
}

for (const [name, open] of Object.entries(clients)) {
  test(`${name}: lists are right after each change, without a request`, async () => {
    const conversation = await Conversation.open(2, 0);
    const sids = [await conversation.send("first"), await conversation.send("second")];
    const screen = open(conversation);
    try {
      await until(() => screen.begun >= 1, "the subscriptions begin");
      await settled(screen.show, conversation, 5);
      const made = conversation.requests.length;
      assert(made > 0);
      const shown = async (what: string, events: number) => {
        await until(() => screen.events.length >= events, what);
        await settled(screen.show, conversation);
      };

      await conversation.progress(sids[0]!, 0, "delivered");
      await shown("a receipt that changed", 1);
      assert.deepEqual(indexes(screen.show()!.unsuccessful), []);
      await conversation.progress(sids[1]!, 0, "failed");
      await shown("a message that enters a list", 2);
      assert.deepEqual(indexes(screen.show()!.unsuccessful), [1]);
      await conversation.progress(sids[0]!, 1, "undelivered");
      await shown("a message that enters a list before another one", 3);
      assert.deepEqual(indexes(screen.show()!.unsuccessful), [0, 1]);
      await conversation.progress(sids[0]!, 1, "delivered");
      await shown("a message and a receipt that leave a list", 4);
      assert.deepEqual(indexes(screen.show()!.unsuccessful), [1]);
      sids.push(await conversation.send("third"));
      await shown("a message that was added", 5);
      assert.deepEqual([indexes(screen.show()!.oldest), indexes(screen.show()!.newest)], [[0, 1, 2], [2, 1, 0]]);
      await conversation.edit(sids[2]!, "The third.");
      await shown("a message that was changed", 6);
      await conversation.remove(sids[1]!);
      await shown("a message that was removed", 7);
      assert.deepEqual([indexes(screen.show()!.newest), indexes(screen.show()!.unsuccessful)], [[2, 0], []]);
      assert.deepEqual(conversation.requests.slice(made), []);
    } finally {
      screen.close();
    }
  });

  test(`${name}: nothing is appended to messages that are not fully loaded`, async () => {
    const [conversation, screen] = await opened(open, 5);
    try {
      await conversation.send("sixth");
      await until(() => screen.events.length >= 1, "a message that was added");
      await settled(screen.show, conversation);
      assert.deepEqual([indexes(screen.show()!.oldest), indexes(screen.show()!.newest)], [[0, 1, 2], [5, 4, 3, 2]]);
      await screen.more();
      await settled(screen.show, conversation);
      assert.deepEqual(indexes(screen.show()!.oldest), [0, 1, 2, 3, 4, 5]);
    } finally {
      screen.close();
    }
  });

  test(`${name}: a subscription that is cut begins again, and what was missed is read`, async () => {
    const [conversation, screen] = await opened(open, 2);
    try {
      const begun = screen.begun;
      assert((await steer("end", { reason: "DEAD" })) >= 1);
      const sid = await conversation.send("missed");
      await until(() => screen.begun > begun, "the subscriptions begin again");
      await settled(screen.show, conversation);
      await conversation.remove(sid);
      await settled(screen.show, conversation);
    } finally {
      screen.close();
    }
  });
}

for (const name of ["Apollo over multipart", "graphcache over SSE", "Relay over SSE"]) {
  test(`${name}: an event that another subscription's later one overtakes does not take it back`, async () => {
    const [conversation, screen] = await opened(clients[name]!, 2);
    try {
      const sids = await conversation.messages();
      let lags = [300];
      conversation.lag = () => lags.shift() ?? 0;
      await conversation.edit(sids[0]!, "The first.");
      await conversation.progress(sids[0]!, 0, "delivered");
      await until(() => screen.events.some((event: any) => event.__typename === "MessageChange"), "the event that was overtaken");
      await settled(screen.show, conversation);

      lags = [300];
      await conversation.progress(sids[1]!, 0, "failed");
      await conversation.remove(sids[1]!);
      await until(() => screen.events.some((event: any) => event.receipt?.status === "FAILED"), "the event that was overtaken");
      await settled(screen.show, conversation);
    } finally {
      screen.close();
    }
  });
}

for (const name of ["Apollo over multipart", "graphcache over SSE", "Relay over SSE"]) {
  test(`${name}: an event that is older than the answers after a loss is not applied`, async () => {
    const [conversation, screen] = await opened(clients[name]!, 2);
    try {
      const [sid] = await conversation.messages();
      await conversation.progress(sid!, 0, "sent");
      await until(() => screen.events.length, "the event");
      const lags = [300];
      conversation.lag = () => lags.shift() ?? 0;
      await conversation.edit(sid!, "The first.");
      await until(() => !lags.length, "the event is on its way");
      const arrival = Date.now() + 400;
      const begun = screen.begun;
      assert.equal(await steer("end", { reason: "DEAD", conversation: conversation.sid, most: 1 }), 1);
      await conversation.progress(sid!, 0, "delivered");
      await until(() => screen.begun > begun, "the subscriptions begin again");
      await until(() => Date.now() > arrival, "the event would have arrived");
      await settled(screen.show, conversation);
    } finally {
      screen.close();
    }
  });
}

for (const [name, open] of Object.entries(clients)) {
  test(`${name}: queries that run again beside each other come to an end`, async () => {
    const [conversation, screen] = await opened(open, 1);
    try {
      const [sid] = await conversation.messages();
      const made = conversation.requests.length;
      // The events arrive before the answers are made, and there is always another answer to wait for.
      conversation.before = () => new Promise((done) => setTimeout(done, conversation.requests.length % 2 ? 100 : 150));
      const reloads = [screen.reload(), screen.reload()];
      await conversation.progress(sid!, 0, "failed");
      await conversation.remove(sid!);
      await Promise.allSettled(reloads);
      await until(() => conversation.quiet > 100, "all answers");
      assert(conversation.requests.length - made <= 6, `${conversation.requests.length - made} requests`);
      await settled(screen.show, conversation);
    } finally {
      screen.close();
    }
  });

  test(`${name}: a change is shown that arrives while a page is loaded whose list begins again`, async () => {
    const [conversation, screen] = await opened(open, 8);
    try {
      await screen.more();
      await until(() => screen.show()?.oldest?.edges.length === 6, "the second page");
      const sids = await conversation.messages();
      const held = await hold(conversation);
      const more = screen.more();
      await until(() => held.length === 1, "its request");
      conversation.before = async () => {};
      await screen.reload();
      await conversation.progress(sids[1]!, 0, "delivered");
      await until(() => screen.events.length, "the event");
      held[0]!();
      await more;
      await settled(screen.show, conversation);
    } finally {
      screen.close();
    }
  });

  test(`${name}: events are shown in order while a query waits for its answer`, async () => {
    const [conversation, screen] = await opened(open, 8);
    try {
      const sids = await conversation.messages();
      const held = await hold(conversation);
      const more = screen.more();
      await until(() => held.length === 1, "its request");
      conversation.before = async () => {};
      await screen.reload();
      const changes = [
        () => conversation.progress(sids[1]!, 0, "sent"),
        () => conversation.edit(sids[1]!, "The second."),
        () => conversation.progress(sids[1]!, 0, "delivered"),
      ];
      for (const [events, change] of changes.entries()) {
        await change();
        await until(() => screen.events.length > events, "its event");
      }
      await settled(screen.show, conversation);
      held[0]!();
      await more;
      await settled(screen.show, conversation);
    } finally {
      screen.close();
    }
  });

  test(`${name}: a query that runs again is not over before its answer`, async () => {
    const [conversation, screen] = await opened(open, 1);
    try {
      const [sid] = await conversation.messages();
      const held = await hold(conversation);
      let isOver = false;
      const reload = screen.reload().then(() => (isOver = true));
      await until(() => held.length === 1, "its request");
      await conversation.progress(sid!, 0, "delivered");
      await until(() => screen.events.length, "the event");
      await settled(screen.show, conversation);
      assert(!isOver);
      held[0]!();
      await reload;
    } finally {
      screen.close();
    }
  });

  test(`${name}: a page is right that arrives while its list is read again`, async () => {
    const [conversation, screen] = await opened(open, 8);
    try {
      const sids = await conversation.messages();
      const held = await hold(conversation);
      const more = screen.more();
      await until(() => held.length === 1, "its request");
      await conversation.progress(sids[4]!, 0, "failed"); // A message that no list shows.
      await until(() => held.length === 2, "the list is read again");
      conversation.before = async () => {};
      held[0]!();
      await more;
      await conversation.remove(sids[4]!);
      await until(() => screen.events.some((event: any) => event.__typename === "MessageRemoval"), "the removal");
      await conversation.send("ninth");
      await until(() => screen.events.some((event: any) => event.message?.index === 8), "a message that was added");
      held[1]!();
      await settled(screen.show, conversation);
    } finally {
      screen.close();
    }
  });

  test(`${name}: a record that no list showed when changes were missed is read before it enters one`, async () => {
    const [conversation, screen, ids] = await opened(open, 8);
    try {
      await screen.more();
      await until(() => screen.show()?.oldest?.edges.length === 6, "the second page");
      const sids = await conversation.messages();
      assert.equal(sids.length, ids.length);
      await conversation.progress(sids[4]!, 0, "sent");
      await until(() => screen.events.length >= 1, "its event");
      const begun = screen.begun;
      assert((await steer("end", { reason: "DEAD", conversation: conversation.sid })) >= 1);
      await conversation.progress(sids[4]!, 0, "delivered");
      await until(() => screen.begun > begun && conversation.isQuiet, "the subscriptions begin again");
      await settled(screen.show, conversation);
      await conversation.progress(sids[4]!, 1, "failed");
      await until(() => indexes(screen.show()?.unsuccessful)?.length, "the message enters a list");
      await settled(screen.show, conversation);
    } finally {
      screen.close();
    }
  });
}

/** What the application is told of an end; none where the client subscribes again by itself. */
const TOLD: Record<string, Record<string, string | RegExp>> = {
  "Apollo over multipart": { restart: /OVERLOADED|fetch failed/, cut: /terminated|multipart/, token: "UNAUTHENTICATED" },
  "graphcache over SSE": { restart: /terminated|Network/, cut: /terminated|Network/, token: "UNAUTHENTICATED" },
  "Relay over SSE": { restart: /NetworkError/, cut: /NetworkError/, token: "UNAUTHENTICATED" },
};

for (const [name, open] of Object.entries(clients)) {
  test(`${name}: comes back after each end that passes, with the token of that moment, and not after one for good`, async () => {
    const callers = async () => new Set((await streams()).map(({ caller }) => caller));
    const [conversation, screen] = await opened(open, 1);
    const first = current.token;
    try {
      const ends: Record<string, () => Promise<unknown>> = {
        cut: () => steer("end", { reason: "TOO_SLOW" }),
        restart: () => steer("restart"),
        token: () => {
          current.token = "a token for the second hour";
          return steer("tokens", { second: [current.token, null] });
        },
      };
      for (const [what, end] of Object.entries(ends)) {
        const { begun } = screen;
        const told = screen.ends.length;
        await end();
        await until(() => screen.begun > begun, `begins again after ${what}`);
        await conversation.send(what);
        await settled(screen.show, conversation);
        const expected = TOLD[name]?.[what];
        for (const each of screen.ends.slice(told)) assert.match(each, new RegExp(expected ?? "^$"), what);
        assert.equal(screen.ends.length > told, expected !== undefined, what);
      }
      assert.deepEqual([...(await callers())], ["second"]);

      const { begun } = screen;
      await steer("tokens", { second: [current.token, [`IS${"0".repeat(32)}`]] });
      await until(async () => screen.ends.filter((each) => each === "FORBIDDEN").length === 2, "both end for good");
      await new Promise((done) => setTimeout(done, 100)); // Longer than any client waits here.
      assert.equal(screen.begun, begun);
    } finally {
      screen.close();
      current.token = first;
      await steer("tokens", { frontend: [first, null] });
    }
  });
}

for (const name of ["Apollo over WebSocket", "graphcache over WebSocket", "Relay over WebSocket"]) {
  test(`${name}: a new receipt is added once, and counted`, async () => {
    const conversation = await Conversation.open(1, 1);
    const screen = clients[name]!(conversation);
    try {
      await until(() => screen.begun >= 1, "the subscriptions begin");
      await settled(screen.show, conversation, 5);
      await new Promise((done) => setTimeout(done, 50)); // Queries that run again have been sent.
      await until(() => conversation.isQuiet, "their answers");
      const [message] = await conversation.messages();
      for (const [events, status] of ["sent", "failed"].entries()) {
        await conversation.receive(message!, `DY${"5".repeat(32)}`, status, events);
        const shown = () => {
          const { receipts, failed } = screen.show()?.oldest?.edges[0]?.node ?? {};
          const statuses = receipts?.edges.map(({ node }) => node.status).join();
          return [statuses, receipts?.totalCount, failed?.totalCount, failed?.edges.length].join(" ");
        };
        await until(() => shown() === `PENDING,${status.toUpperCase()} 2 ${events} ${events}`, status);
      }
    } finally {
      screen.close();
    }
  });

  test(`${name}: a list that could not be read stays null`, async () => {
    const conversation = await Conversation.open(1, 1);
    const [message] = await conversation.messages();
    const [receipt] = await conversation.receipts(message!);
    const mend = await fail(`*/Messages/${message}/Receipts*`);
    const screen = clients[name]!(conversation);
    try {
      await until(() => screen.begun >= 1 && screen.show()?.oldest?.edges[0]?.node.receipts === null, "a list of null", 20);
      await conversation.receive(message!, receipt!.sid, "failed", 1);
      await until(() => screen.events.some((event: any) => event.receipt?.status === "FAILED"), "a receipt that changed");
      assert.equal(screen.show()!.oldest!.edges[0]!.node.receipts, null);
    } finally {
      await mend();
      screen.close();
    }
  });
}

test("Relay: @appendEdge adds a new receipt to the list of one message, once", async () => {
  const conversation = await Conversation.open(0, 1);
  const [message] = await conversation.messages();
  const shown = await watchReceipts(conversation, message!);
  try {
    for (const [second, status] of ["sent", "delivered"].entries()) {
      await conversation.receive(message!, `DY${"6".repeat(32)}`, status, second);
      await until(() => shown.statuses().join() === status.toUpperCase(), status);
    }
  } finally {
    shown.close();
  }
});

test("what makes a list right again", () => {
  const rows = [1, 3].map((index) => ({ id: `M${index}`, index }));
  const list = { rows, hasNextPage: false, isCounted: false };
  const change = { id: "M2", index: 2, status: "FAILED", previous: "SENT" };
  const filter = ["FAILED"];
  const more = { hasNextPage: true };
  const counted = { rows: [{ id: "R1" }], isCounted: true };
  for (const [of, to, step] of [
    [{}, {}, 1],
    [{ order: "DESC", rows: [...rows].reverse() }, {}, 1],
    [{}, { index: 4 }, 2],
    [more, { index: 4 }, "keep"],
    [{ ...more, filter }, { index: 4 }, "refetch"],
    [{ ...more, filter }, { index: 4, previous: "FAILED" }, "keep"],
    [{ ...more, filter }, { index: 4, status: "SENT", previous: null }, "keep"],
    [{ filter }, { id: "M3", index: 3, status: "SENT", previous: "FAILED" }, "remove"],
    [{ filter }, { id: "M3", index: 3 }, "keep"],
    [{ filter }, { status: undefined }, "refetch"],
    [{}, { status: undefined }, "keep"],
    [counted, { id: "R2", index: undefined }, 1],
    [{ ...counted, ...more }, { id: "R2", index: undefined, previous: null }, "refetch"],
    [{ ...counted, ...more, filter }, { id: "R2", status: "SENT", previous: null }, "refetch"],
    [{ ...counted, ...more, filter }, { id: "R2", status: "READ", previous: "SENT" }, "keep"],
  ] as const)
    assert.equal(stepFor({ ...list, ...of }, { ...change, ...to }), step, JSON.stringify([of, to]));
});

test("after an answer, events are applied again, but none that a lost one may have followed", async () => {
  const order = new Order();
  const [applied, shown] = [new Array<string>(), new Array<string>()];
  const event = (name: string) => order.event({ deliveryUpdated: { __typename: "ReceiptChange" } }, () => applied.push(name));
  const loss = () => order.event({ deliveryUpdated: { __typename: "DeliveriesReady", refetch: true } }, () => {});
  const asked: { next(result: string): void; error(error: unknown): void; complete(): void }[] = [];
  const ask = () => order.query((sink) => (asked.push(sink), () => {}), { next: (result: string) => void shown.push(result), error() {}, complete() {} });
  const answer = (sink: (typeof asked)[number], result: string) => (sink.next(result), sink.complete());

  ask();
  event("first");
  loss();
  event("second");
  answer(asked[0]!, "before the loss");
  event("third");
  answer(asked[1]!, "after the loss");
  await new Promise((done) => setTimeout(done));
  assert.deepEqual([applied, shown], [["first", "second", "third", "third"], ["after the loss"]]);

  ask();
  event("fourth");
  loss();
  asked[2]!.error("no answer");
  await new Promise((done) => setTimeout(done));
  assert.deepEqual(applied.slice(4), ["fourth"]);
});

test("changes of receipts are applied again after one of their message, and a removal after anything else of it", () => {
  const order = new Order();
  const applied: string[] = [];
  const receive = (name: string, event: object) => order.event({ [name.split(" ")[0]!]: event }, () => applied.push(name));
  const ready = { __typename: "DeliveriesReady", refetch: true };
  const delivery = (id: string) => ({ __typename: "ReceiptChange", receipt: { message: { id } } });
  const changed = (id: string) => ({ __typename: "MessageChange", message: { id } });
  const after = (name: string, event: object) => (receive(name, event), applied.splice(0));

  assert.deepEqual(after("deliveryUpdated of 1", delivery("1")), ["deliveryUpdated of 1"]);
  assert.deepEqual(after("messageChanged of 2", changed("2")), ["messageChanged of 2"]);
  assert.deepEqual(after("messageChanged of 1", changed("1")), ["messageChanged of 1", "deliveryUpdated of 1"]);
  assert.deepEqual(after("messageChanged removes 1", { __typename: "MessageRemoval", messageId: "1" }), ["messageChanged removes 1"]);
  assert.deepEqual(after("deliveryUpdated again", delivery("1")), ["deliveryUpdated again", "messageChanged removes 1"]);
  receive("messageChanged", ready);
  applied.splice(0);
  assert.deepEqual(after("deliveryUpdated at last", delivery("1")), ["deliveryUpdated at last"]);
});

histories(clients);

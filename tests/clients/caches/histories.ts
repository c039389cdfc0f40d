// Random histories: events, queries, drops and page loads, after which each cache has to be what the sandbox has.
//
// Some are on a slow line: answers are late, and events arrive before them, or those of one subscription before those of the other.

import { test } from "node:test";

import type { Open } from "./screen.ts";
import { Conversation, settled, steer, until } from "./world.ts";

const COUNT = Number(process.env.HISTORIES ?? 2);
const SEED = Number(process.env.SEED ?? 1);
const TOGETHER = Number(process.env.TOGETHER ?? 4);
/** The seeds of histories that failed once. */
const MENDED = [17, 117, 134, 160, 249, 252, 285, 677, 898, 1359, 1401, 1967, 31358];

/** Numbers from 0 to 1 that a seed decides (mulberry32). */
function random(seed: number) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The statuses that follow each: a receipt goes only forward. */
const FOLLOWING: Record<string, readonly string[]> = {
  pending: ["sent", "failed", "undelivered", "delivered", "read"],
  sent: ["failed", "undelivered", "delivered", "read"],
  failed: ["undelivered", "delivered", "read"],
  undelivered: ["failed", "delivered", "read"],
  delivered: ["read"],
  read: [],
};

/** The milliseconds that each history took after its last event. */
const took: number[] = [];

/** Runs a history; returns what checks, later, that the screen is still right, and closes it. */
async function run(open: Open, seed: number, steps: string[]) {
  const next = random(seed);
  const line = random(seed ^ 0x9e3779b9);
  const choose = <T>(of: readonly T[]) => of[Math.floor(next() * of.length)]!;
  const conversation = await Conversation.open(2);
  const slowness = [0, 0, 30, 300][Math.floor(line() * 4)]!;
  conversation.delay = () => line() * slowness;
  const lag = [0, 0, 100][Math.floor(line() * 3)]!;
  conversation.lag = () => (line() < 0.3 ? line() * lag : 0);
  const sids: string[] = [];
  for (let message = Math.floor(next() * 10); message > 0; message--) sids.push(await conversation.send(`before ${message}`));
  const screen = open(conversation);
  const work: Promise<unknown>[] = []; // Queries go on beside what follows.
  const progress = async () => {
    if (!sids.length) return;
    const sid = choose(sids);
    const place = Math.floor(next() * 2);
    const { status } = (await conversation.receipts(sid))[place]!;
    const to = choose(FOLLOWING[status ?? "pending"]!);
    if (to) await conversation.progress(sid, place, to);
  };
  const actions: [number, string, () => Promise<unknown> | unknown][] = [
    [8, "progress", progress],
    [3, "send", async () => sids.push(await conversation.send(`message ${sids.length}`))],
    [2, "edit", () => sids.length && conversation.edit(choose(sids), `edited ${steps.length}`)],
    [2, "remove", () => sids.length && conversation.remove(sids.splice(Math.floor(next() * sids.length), 1)[0]!)],
    [2, "more", () => void work.push(screen.more().catch(() => {}))],
    [2, "reload", () => void work.push(screen.reload().catch(() => {}))],
    [2, "drop", () => steer("end", { reason: "DEAD", conversation: conversation.sid, ...(line() < 0.5 && { most: 1 }) })],
    [2, "wait", () => new Promise((done) => setTimeout(done, next() * 20))],
  ];
  const bag = actions.flatMap((action) => Array.from({ length: action[0] }, () => action));
  try {
    if (next() < 0.7) await until(() => screen.begun >= 1, "the subscriptions begin");
    for (let length = 5 + Math.floor(next() * 15); length > 0; length--) {
      const [, name, act] = choose(bag);
      steps.push(name);
      await act();
    }
    await Promise.all(work);
    await until(() => screen.begun >= 1, "the subscriptions begin");
    took.push(await settled(screen.show, conversation));
  } catch (error) {
    screen.close();
    throw error;
  }
  return async () => {
    try {
      await until(() => conversation.isQuiet, "all answers");
      await settled(screen.show, conversation, 0);
    } finally {
      screen.close();
    }
  };
}

/** Runs histories, each checked once more, and closed, after the next one; returns what failed. */
async function runAll(clients: [string, Open][], seeds: readonly number[]) {
  const failures: string[] = [];
  const waiting = [...seeds];
  const worker = async () => {
    let finish = async () => {};
    while (waiting.length && failures.length < 5) {
      const seed = waiting.shift()!;
      const steps: string[] = [];
      const [name, open] = clients[seed % clients.length]!;
      const failed = (error: Error) => void failures.push(`SEED=${seed}, ${name}: ${steps.join(" ")}\n${error.message}`);
      const check = await run(open, seed, steps).catch(failed);
      await finish();
      finish = async () => check && check().catch(failed);
    }
    await finish();
  };
  await Promise.all(Array.from({ length: TOGETHER }, worker));
  return { failures, took: took.splice(0).sort((one, other) => one - other) };
}

export function histories(clients: Record<string, Open>) {
  const seeds = [...(process.env.SEED ? [] : MENDED), ...Array.from({ length: COUNT }, (_, place) => SEED + place)];
  for (const name of ["Apollo", "graphcache", "Relay"]) {
    const ofName = Object.entries(clients).filter(([each]) => each.startsWith(`${name} over`));
    test(`${name}: ${seeds.length} random histories`, async (context) => {
      const { failures, took } = await runAll(ofName, seeds);
      const late = took.filter((milliseconds) => milliseconds > 2000).length;
      context.diagnostic(`after the last event: median ${took[took.length >> 1]} ms, slowest ${took.at(-1)} ms, ${late} over 2 s`);
      if (failures.length) throw new Error(failures.join("\n\n"));
    });
  }
}

// The gateway that `tests/clients/world.py` serves: what steers it, and a conversation that a check has for itself.

import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";

type Fact = "graphql" | "sandbox" | "service_sid" | "account_sid" | "auth_token" | "control" | "truth" | "token";

export const facts: Record<Fact, string> = JSON.parse(process.env.WORLD!);
export const serviceSid = facts.service_sid;

/** The token that clients have. */
export const current = { token: facts.token };

/** Sends what `fetch` does, with the token of that moment. */
export const authorized: typeof fetch = (input, init) =>
  fetch(input, { ...init, headers: { ...Object.fromEntries(new Headers(init?.headers)), authorization: `Bearer ${current.token}` } });

/** Steers the gateway: see the table in `world.py`. */
export async function steer(route: string, body: object = {}) {
  const response = await fetch(`${facts.control}/${route}`, { method: "POST", body: JSON.stringify(body) });
  assert(response.ok, route);
  return response.json();
}

export async function streams(): Promise<{ transport: string; caller: string }[]> {
  return (await fetch(`${facts.control}/streams`)).json();
}

const fetched = globalThis.fetch;

/** Has Twilio fail the calls of this pattern; returns what mends it. */
export async function fail(pattern: string) {
  const faults = `${facts.sandbox}/sandbox/faults`;
  const fault = { pattern, kind: "status", status: 500 };
  await fetched(faults, { method: "POST", body: JSON.stringify(fault) });
  return () => fetched(faults, { method: "DELETE" });
}

const conversations = new Map<string, Conversation>();
globalThis.fetch = async (input, init) => {
  const [url, sid] = String(input).split("#");
  const conversation = conversations.get(sid ?? "");
  if (!conversation) return fetched(input, init);
  const isQuery = /"query":"\s*(query|fragment)/.test(String(init?.body));
  return isQuery ? conversation.asked(String(init?.body), () => fetched(url!, init)) : conversation.subscribed(await fetched(url!, init), init?.signal ?? undefined);
};

async function twilio(path: string, form: Record<string, string> | null, method = "POST") {
  const authorization = `Basic ${btoa(`${facts.account_sid}:${facts.auth_token}`)}`;
  const response = await fetched(`${facts.sandbox}/v1/Services/${serviceSid}/${path}`, {
    method,
    headers: { authorization, "x-twilio-webhook-enabled": "true" },
    ...(form && { body: new URLSearchParams(form) }),
  });
  assert(response.ok, `${method} ${path}: ${response.status}`);
  return method === "DELETE" ? null : ((await response.json()) as { sid: string });
}

export interface Row {
  id: string;
  index: number;
  body: string | null;
  deliveryStatus: string;
  receipts: Receipts | null;
  failed: Receipts | null;
}

interface Receipts {
  totalCount: number | null;
  edges: readonly { node: { id: string; status: string; errorCode: number | null } }[];
}

export interface MessageList {
  edges: readonly { node: Row }[];
  pageInfo: { hasNextPage: boolean; endCursor?: string | null };
}

/** What a screen shows of a conversation. */
export interface Lists {
  oldest: MessageList | null;
  newest: MessageList | null;
  unsuccessful: MessageList | null;
}

const ROW = `id index body deliveryStatus
  receipts { totalCount edges { node { id status errorCode } } }
  failed: receipts(status: [FAILED, UNDELIVERED]) { totalCount edges { node { id status errorCode } } }`;
const TRUTH = `query ($serviceSid: ID!, $conversationSid: ID!) {
  service(sid: $serviceSid) { conversation(sid: $conversationSid) {
    oldest: messages(first: 1000) { edges { node { ${ROW} } } pageInfo { hasNextPage } }
    newest: messages(first: 1000, order: DESC) { edges { node { ${ROW} } } pageInfo { hasNextPage } }
    unsuccessful: messages(first: 1000, scan: 1000, deliveryStatus: [FAILED, PARTLY_FAILED]) { edges { node { ${ROW} } } pageInfo { hasNextPage } }
  } }
}`;

/** A conversation of the sandbox. */
export class Conversation {
  /** The address of the gateway for its screen: what is behind `#` is not sent, and says whose request it is. */
  readonly url: string;
  /** The requests of its screen, other than subscriptions. */
  readonly requests: string[] = [];
  /** What its screen asked, was answered and was told, to be read when it shows something wrong. */
  readonly trace: string[] = [];
  /** Milliseconds that the next answer takes longer. */
  delay = () => 0;
  /** Milliseconds that the next event takes longer, over server-sent events and multipart. */
  lag = () => 0;
  /** Delays the next requests. */
  before = async () => {};
  private underWay = 0;
  private quietSince = 0;

  private constructor(readonly sid: string) {
    this.url = `${facts.graphql}#${sid}`;
    conversations.set(sid, this);
  }

  /** Whether its screen waits for no answer. */
  get isQuiet() {
    return this.underWay === 0;
  }

  /** For how many milliseconds it has waited for none. */
  get quiet() {
    return this.isQuiet ? Date.now() - this.quietSince : 0;
  }

  /** Delays the events of a subscription, which stay in order, until it is aborted. */
  subscribed(response: Response, signal?: AbortSignal) {
    const transform = async (part: Uint8Array, to: TransformStreamDefaultController<Uint8Array>) => {
      const lag = this.lag();
      if (lag) await wait(lag, undefined, { signal });
      to.enqueue(part);
    };
    return new Response(response.body?.pipeThrough(new TransformStream({ transform })), response);
  }

  async asked(request: string, ask: () => Promise<Response>) {
    const name = `query ${this.requests.push(request)}`;
    this.underWay++;
    this.trace.push(`${name} ${JSON.stringify(JSON.parse(request).variables)}`);
    try {
      await this.before();
      const response = await ask();
      const answer = JSON.parse(await response.clone().text()).data;
      this.trace.push(`${name} was answered`);
      const delay = this.delay();
      if (delay) await wait(delay);
      this.trace.push(`${name} has ${indexesOf(answer?.service?.conversation ?? answer?.node)}`);
      return response;
    } catch (error) {
      this.trace.push(`${name}: ${error}`);
      throw error;
    } finally {
      this.underWay--;
      this.quietSince = Date.now();
    }
  }

  static async open(people = 2, messages = 0) {
    const { sid } = (await twilio("Conversations", { FriendlyName: "Live" }))!;
    for (let person = 0; person < people; person++)
      await twilio(`Conversations/${sid}/Participants`, {
        "MessagingBinding.Address": `+1555000000${person}`,
        "MessagingBinding.ProxyAddress": "+15559999999",
      });
    const opened = new Conversation(sid);
    for (let message = 0; message < messages; message++) await opened.send(`Message ${message}`);
    return opened;
  }

  get variables() {
    return { serviceSid, conversationSid: this.sid };
  }

  async send(body: string) {
    return (await twilio(`Conversations/${this.sid}/Messages`, { Body: body }))!.sid;
  }

  edit(sid: string, body: string) {
    return twilio(`Conversations/${this.sid}/Messages/${sid}`, { Body: body });
  }

  remove(sid: string) {
    return twilio(`Conversations/${this.sid}/Messages/${sid}`, null, "DELETE");
  }

  async receipts(messageSid: string): Promise<{ sid: string; status: string | null }[]> {
    const authorization = `Basic ${btoa(`${facts.account_sid}:${facts.auth_token}`)}`;
    const path = `Conversations/${this.sid}/Messages/${messageSid}/Receipts`;
    const response = await fetched(`${facts.sandbox}/v1/Services/${serviceSid}/${path}`, { headers: { authorization } });
    return ((await response.json()) as any).delivery_receipts;
  }

  /** Changes a receipt of a message, by its place in the list. */
  async progress(messageSid: string, place: number, to: string) {
    const receipt = (await this.receipts(messageSid))[place]!;
    const body = JSON.stringify({ message_sid: messageSid, receipt_sid: receipt.sid, to });
    const response = await fetched(`${facts.sandbox}/sandbox/progress`, { method: "POST", body });
    assert(response.ok, await response.text());
  }

  /** The sids of its messages. */
  async messages(): Promise<string[]> {
    const authorization = `Basic ${btoa(`${facts.account_sid}:${facts.auth_token}`)}`;
    const path = `Conversations/${this.sid}/Messages`;
    const response = await fetched(`${facts.sandbox}/v1/Services/${serviceSid}/${path}`, { headers: { authorization } });
    return ((await response.json()) as any).messages.map(({ sid }: { sid: string }) => sid);
  }

  /** Tells the gateway of a receipt that the sandbox does not have, by a webhook as Twilio signs it. */
  async receive(messageSid: string, receiptSid: string, status: string, second: number) {
    const url = new URL("/webhooks/twilio", facts.graphql).href;
    const date = `2026-11-29T20:00:0${second}.000Z`;
    const parameters: Record<string, string> = {
      EventType: "onDeliveryUpdated",
      AccountSid: facts.account_sid,
      ChatServiceSid: serviceSid,
      ConversationSid: this.sid,
      MessageSid: messageSid,
      DeliveryReceiptSid: receiptSid,
      Status: status,
      ...(status === "failed" && { ErrorCode: "30008" }),
      DateCreated: "2026-11-29T20:00:00.000Z",
      DateUpdated: date,
    };
    const signed = url + Object.keys(parameters).sort().map((name) => name + parameters[name]).join("");
    const signature = createHmac("sha1", facts.auth_token).update(signed).digest("base64");
    const headers = { "x-twilio-signature": signature };
    const response = await fetched(url, { method: "POST", headers, body: new URLSearchParams(parameters) });
    assert.equal(response.status, 204);
  }

  async truth(): Promise<Lists> {
    const response = await fetched(facts.truth, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ query: TRUTH, variables: this.variables }),
    });
    const { data, errors } = (await response.json()) as any;
    assert.equal(errors, undefined);
    return data.service.conversation;
  }
}

const receiptsOf = (receipts: Receipts | null, isOrdered: boolean) => {
  const rows = receipts?.edges.map(({ node: { id, status, errorCode } }) => [id, status, errorCode].join(" "));
  return receipts && { totalCount: receipts.totalCount, rows: isOrdered ? rows : rows!.sort() };
};

const row = ({ node: { id, index, body, deliveryStatus, receipts, failed } }: { node: Row }) => ({
  id,
  index,
  body,
  deliveryStatus,
  receipts: receiptsOf(receipts, true),
  failed: receiptsOf(failed, false),
});

/** The indexes of the messages in lists, with their last cursor. */
export const indexesOf = (lists: Partial<Lists> | null | undefined) =>
  (["oldest", "newest", "unsuccessful"] as const)
    .map((name) => {
      const list = lists?.[name];
      const end = list?.pageInfo.hasNextPage ? `… ${createHash("sha1").update(list.pageInfo.endCursor ?? "").digest("hex").slice(0, 4)}` : "";
      return `${name} ${list?.edges.map(({ node }) => node?.index).join() ?? "-"}${end}`;
    })
    .join("; ");

/** What a screen shows, and what it should: as much of each list as it has loaded. */
export function compare(shown: Lists | null, truth: Lists) {
  const names = ["oldest", "newest", "unsuccessful"] as const;
  const is = Object.fromEntries(names.map((name) => [name, shown?.[name]?.edges.map(row) ?? null]));
  const should = Object.fromEntries(
    names.map((name) => {
      const rows = truth[name]!.edges.map(row);
      const list = shown?.[name];
      return [name, list?.pageInfo.hasNextPage ? rows.slice(0, list.edges.length) : rows];
    }),
  );
  return [is, should] as const;
}

/**
 * Waits until a screen shows the truth, 2 seconds at most after the last event; returns the milliseconds that it took. On a machine
 * that is too busy to answer in that time, it waits for the answers.
 */
export async function settled(show: () => Lists | null, conversation: Conversation, seconds = 2) {
  const began = Date.now();
  const truth = await conversation.truth();
  for (;;) {
    const [is, should] = compare(show(), truth);
    try {
      assert.deepEqual(is, should);
      return Date.now() - began;
    } catch (difference) {
      const isLate = Date.now() - began > seconds * 1000;
      if ((isLate && conversation.quiet > 100) || Date.now() - began > 20_000) {
        (difference as Error).message += `\n\nshown: ${indexesOf(show())}\ntruth: ${indexesOf(truth)}\n${conversation.trace.join("\n")}`;
        throw difference;
      }
    }
    await wait(10);
  }
}

/** Waits until something holds. */
export async function until(holds: () => unknown, what: string, seconds = 10) {
  for (const end = Date.now() + seconds * 1000; !(await holds()); await wait(10)) assert(Date.now() < end, `not in time: ${what}`);
}

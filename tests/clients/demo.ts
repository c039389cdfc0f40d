// The demo that the checks ask: its ready file, what its landmark conversation holds, and a fault to set on its sandbox.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after } from "node:test";

type Fact =
  | "graphql"
  | "sandbox"
  | "service_sid"
  | "conversation_sid"
  | "conversation_id"
  | "service_id"
  | "unique_name_conversation_sid"
  | "message_sid"
  | "message_id"
  | "departed_participant_receipt_message_sid"
  | "departed_participant_receipt_sid"
  | "identity"
  | "address";

export const demo: Record<Fact, string> = JSON.parse(readFileSync(process.env.READY_FILE!, "utf8"));

/** The variables that lead to the landmark conversation, and to its receipt of someone who has left. */
export const landmark = { serviceSid: demo.service_sid, conversationSid: demo.conversation_sid };
export const departed = {
  ...landmark,
  messageSid: demo.departed_participant_receipt_message_sid,
  receiptSid: demo.departed_participant_receipt_sid,
};

/** The `index` of each of its messages. */
export const INDEXES = Array.from({ length: 180 }, (_, index) => index);

/** The receipts of its first message. */
export const FIRST_RECEIPTS = [
  { status: "DELIVERED", errorCode: null, channel: "sms" },
  { status: "UNDELIVERED", errorCode: 30003, channel: "sms" },
  { status: "SENT", errorCode: null, channel: "whatsapp" },
  { status: "DELIVERED", errorCode: null, channel: "sms" },
];

interface Receipts {
  readonly edges: readonly { readonly node: Receipt }[];
}

interface Receipt {
  readonly status: string;
  readonly errorCode?: number | null;
  readonly participant?: { readonly channel: string } | null;
}

/** What the receipts of a list say, as `FIRST_RECEIPTS` has it. */
export const told = (receipts: Receipts | null | undefined) =>
  receipts?.edges.map(({ node: { status, errorCode, participant } }) => ({ status, errorCode, channel: participant?.channel }));

/** What stands beside the data while Twilio does not give the first message's receipts. */
export const FAILURE = {
  path: ["service", "conversation", "messages", "edges", 0, "node", "receipts"],
  code: "UPSTREAM_UNAVAILABLE",
  retryable: true,
};

interface Failure {
  readonly path?: readonly (string | number)[];
  readonly extensions?: { readonly code?: unknown; readonly retryable?: unknown };
}

/** What an error says to programs, as `FAILURE` has it. */
export const facts = ({ path, extensions }: Failure) => ({ path, code: extensions?.code, retryable: extensions?.retryable });

/** Do something while Twilio does not give the first message's receipts. */
export const withoutFirstReceipts = (run: () => Promise<void>) => without(`*/Messages/${demo.message_sid}/Receipts*`, run);

/** Do something while Twilio fails the calls of this pattern. */
export async function without(pattern: string, run: () => Promise<void>) {
  const faults = `${demo.sandbox}/sandbox/faults`;
  const fault = { pattern, kind: "status", status: 500, latency: 0.05 };
  await fetch(faults, { method: "POST", body: JSON.stringify(fault) });
  try {
    await run();
  } finally {
    await fetch(faults, { method: "DELETE" });
  }
}

/** Note each request from now on: its method, and whether it has a document's text. */
export function watchRequests() {
  const seen: string[] = [];
  const send = globalThis.fetch;
  globalThis.fetch = (input, init) => {
    const body = init?.body ? Object.keys(JSON.parse(String(init.body))) : [...new URL(String(input)).searchParams.keys()];
    seen.push(`${init?.method ?? "GET"} ${body.includes("query") ? "text" : "hash"}`);
    return send(input, init);
  };
  return seen;
}

// A client warns of what is missing in its set-up.
const warnings: string[] = [];
console.warn = console.error = (...words) => warnings.push(words.join(" "));
after(() => assert.deepEqual(warnings, []));

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { buildSchema } from "graphql";
import { asCsv } from "page/csv";
import { columnsOf, countsOf, receiptsIn, sorted, toneOf } from "page/receipts";

const SCHEMA = buildSchema(readFileSync(process.env.SCHEMA ?? "", "utf8"));

const QUERY = `query Q {
  service(sid: "IS1") { conversation(sid: "CH1") { sid messages { edges { node { index body
    ...Receipts
    again: receipts(status: [FAILED]) { edges { node { state: status } } } } } } } }
}
fragment Receipts on Message { receipts { edges { node { ...R why: error { code title advice resend category } } } } }
fragment R on Receipt { id: sid state: status participant { sid who: identity messagingBinding { address type } } }`;

const receipt = (state: string, rest: object = {}) => ({ node: { id: `DY${state}`, state, why: null, participant: null, ...rest } });
const DATA = {
  service: {
    conversation: {
      sid: "CH1",
      messages: {
        edges: [
          {
            node: {
              index: 10,
              body: "=1+1",
              receipts: {
                edges: [
                  receipt("READ", { participant: { sid: "MB1", who: "ann", messagingBinding: { address: "+4179", type: "sms" } } }),
                  receipt("FAILED", { why: { code: 30003, title: "Unreachable", advice: 'Say "no", or wait', resend: "LATER", category: "RECIPIENT" } }),
                ],
              },
              again: { edges: [{ node: { state: "FAILED" } }] },
            },
          },
          { node: { index: 9, body: null, receipts: null, again: { edges: [receipt("SENT")] } } },
          null,
        ],
      },
    },
  },
};

test("receipts are found by their type, with aliases, fragments and nulls", () => {
  const rows = receiptsIn(DATA, QUERY, "Q", SCHEMA);
  assert.deepEqual(rows.map((row) => [row.status, row.message]), [["READ", "#10"], ["FAILED", "#10"], ["FAILED", "#10"], ["SENT", "#9"]]);
  assert.deepEqual(rows[0], {
    receiptSid: "DYREAD", conversationSid: "CH1", status: "READ", message: "#10", body: "=1+1",
    participantSid: "MB1", channel: "sms", identity: "ann", address: "+4179",
  });
  assert.deepEqual(
    [rows[1]?.errorCode, rows[1]?.error, rows[1]?.resend, rows[1]?.category],
    ["30003", "Unreachable", "LATER", "RECIPIENT"],
  );
});

test("a receipt by its id is found with and without __typename", () => {
  const query = (name: string) => `{ node(id: "x") { ${name} ... on Receipt { status messageSid message { index } } ... on Message { sid } } }`;
  const node = { status: "SENT", messageSid: "IM0123456789", message: { index: 3 } };
  assert.deepEqual(receiptsIn({ node }, query(""), null, SCHEMA), [{ messageSid: "IM0123456789", status: "SENT", message: "#3" }]);
  const named = { ...node, __typename: "Receipt" };
  assert.equal(receiptsIn({ node: named }, query("__typename"), null, SCHEMA).length, 1);
  assert.deepEqual(receiptsIn({ node: { __typename: "Message", sid: "IM1" } }, query("__typename"), null, SCHEMA), []);
});

test("an answer without receipts, or to another document, has none", () => {
  for (const [data, query] of [[null, QUERY], [{}, QUERY], [{ services: null }, "{ services { edges { node { sid } } } }"], [DATA, "{ nothing }"], [DATA, "{"]] as const) {
    assert.deepEqual(receiptsIn(data, query, null, SCHEMA), []);
  }
});

test("rows are sorted by meaning, those without a value last, and counted", () => {
  const rows = receiptsIn(DATA, QUERY, "Q", SCHEMA);
  const order = (column: Parameters<typeof sorted>[1], isDescending = false) => sorted(rows, column, isDescending).map((row) => row.status);
  assert.deepEqual(order("status"), ["FAILED", "FAILED", "SENT", "READ"]);
  assert.deepEqual(order("status", true), ["READ", "SENT", "FAILED", "FAILED"]);
  assert.deepEqual(order("message"), ["SENT", "READ", "FAILED", "FAILED"]);
  assert.deepEqual(order("error"), ["FAILED", "READ", "FAILED", "SENT"]);
  assert.deepEqual(order("recipient", true)[0], "READ");
  assert.deepEqual(countsOf(rows), [{ status: "FAILED", count: 2 }, { status: "SENT", count: 1 }, { status: "READ", count: 1 }]);
  assert.deepEqual(columnsOf(rows).map(({ name }) => name), ["status", "message", "recipient", "error", "advice"]);
  assert.deepEqual(["FAILED", "PENDING", "READ"].map(toneOf), ["bad", "open", "good"]);
});

test("CSV has addresses only if asked for, and nothing that a spreadsheet calculates", () => {
  const rows = receiptsIn(DATA, QUERY, "Q", SCHEMA).slice(0, 2);
  const without = asCsv(rows, { hasAddresses: false });
  assert.doesNotMatch(without, /\bann\b|4179|identity|address/);
  assert.equal(
    without,
    "conversationSid,receiptSid,status,errorCode,errorTitle,errorCategory,resend,advice,participantSid,channel\r\n" +
      "CH1,DYREAD,READ,,,,,,MB1,sms\r\n" +
      'CH1,DYFAILED,FAILED,30003,Unreachable,RECIPIENT,LATER,"Say ""no"", or wait",,\r\n',
  );
  assert.ok(asCsv(rows, { hasAddresses: true }).includes('MB1,sms,ann,"\'+4179"\r\n'));
  for (const formula of ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1", "＝1"]) {
    assert.equal(asCsv([{ error: formula }], { hasAddresses: false }), `errorTitle\r\n"'${formula}"\r\n`);
  }
});

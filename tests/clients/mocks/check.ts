// The schema with made-up values, with graphql 16 and 17: bundled with each.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { graphql, graphqlSync, versionInfo } from "graphql";

import { mockedSchema } from "./schema.ts";

const SDL = readFileSync("../../schema.graphql", "utf8");
const source = `{ service(sid: "IS1") { dateCreated url conversation(sid: "CH1") { messages(first: 2) { edges { node {
  body dateCreated receipts { edges { node { status participant { channel } } } }
} } } } } }`;

test(`values of every kind, with graphql ${versionInfo.major}`, async () => {
  const schema = mockedSchema(SDL, { Message: () => ({ body: "Hello" }) });
  for (const { data, errors } of [await graphql({ schema, source }), graphqlSync({ schema, source })]) {
    assert.equal(errors, undefined);
    const { dateCreated, url, conversation } = data!.service as any;
    assert.deepEqual([dateCreated, url], ["2026-01-31T12:00:00Z", "https://example.com/"]);
    const [{ node: message }] = conversation.messages.edges;
    assert.equal(message.body, "Hello");
    assert.equal(typeof message.receipts.edges[0].node.status, "string");
  }
});

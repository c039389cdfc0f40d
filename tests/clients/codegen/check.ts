// codegen's client preset without a client: types that tell scalars and words apart, masked fragments, the manifest.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import type { ResultOf, TypedDocumentNode } from "@graphql-typed-document-node/core";
import { print } from "graphql";

import { demo, landmark } from "../demo.ts";
import { getFragmentData, graphql } from "../gql/index.ts";
import type { MessageDeliveryStatus, PersonInput } from "../gql/graphql.ts";
import manifest from "../gql/persisted-documents.json";

const SUMMARY = graphql(`
  fragment Summary on Message {
    deliveryStatus
    delivery { total sent delivered read failed undelivered }
  }
`);

const THREAD = graphql(`
  query CodegenThread($serviceSid: ID!, $conversationSid: ID!, $first: Int!) {
    service(sid: $serviceSid) {
      conversation(sid: $conversationSid) {
        url
        dateCreated
        messages(first: $first) { edges { node { index ...Summary } } }
      }
    }
  }
`);

const PARTICIPATIONS = graphql(`
  query CodegenParticipations($serviceSid: ID!, $by: PersonInput!) {
    service(sid: $serviceSid) {
      participations(by: $by) { edges { node { conversationSid conversation { messages(first: 1) { edges { node {
        recipients(status: [READ]) { edges { node { via status participant { unreadMessages } } } }
      } } } } } } }
    }
  }
`);

({ identity: "ada" }) satisfies PersonInput;
({ address: "+15550100" }) satisfies PersonInput;
// @ts-expect-error One of the two, not both.
({ identity: "ada", address: "+15550100" }) satisfies PersonInput;
// @ts-expect-error Nor none.
({}) satisfies PersonInput;

type Conversation = NonNullable<NonNullable<ResultOf<typeof THREAD>["service"]>["conversation"]>;
// @ts-expect-error A time is text, not just anything.
({}) as Conversation["dateCreated"] satisfies number | null;
// @ts-expect-error So is an address.
({}) as Conversation["url"] satisfies number | null;

async function ask<Data, Variables>(document: TypedDocumentNode<Data, Variables>, variables: Variables) {
  const headers = { accept: "application/graphql-response+json", "content-type": "application/json" };
  const body = JSON.stringify({ query: print(document), variables });
  return (await (await fetch(demo.graphql, { method: "POST", headers, body })).json()) as { data: Data; errors?: object[] };
}

test("how the first messages stand", async () => {
  const { data, errors } = await ask(THREAD, { ...landmark, first: 4 });
  assert.equal(errors, undefined);
  const { dateCreated, url, messages } = data.service!.conversation!;
  assert.match(dateCreated!, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  assert.equal(new URL(url!).pathname, `/v1/Services/${landmark.serviceSid}/Conversations/${landmark.conversationSid}`);
  const summaries = messages!.edges.map(({ node }) => getFragmentData(SUMMARY, node));
  const words: MessageDeliveryStatus[] = summaries.map(({ deliveryStatus }) => deliveryStatus);
  assert.deepEqual(words, ["PARTLY_FAILED", "PARTLY_FAILED", "PARTLY_FAILED", "DELIVERED"]);
  assert.deepEqual(summaries[3]!.delivery, {
    total: 4,
    sent: "ALL",
    delivered: "ALL",
    read: "SOME",
    failed: "NONE",
    undelivered: "NONE",
  });
});

test("a person by one of two", async () => {
  const { data, errors } = await ask(PARTICIPATIONS, { serviceSid: landmark.serviceSid, by: { address: demo.address } });
  assert.equal(errors, undefined);
  const [{ node }] = data.service!.participations!.edges as [{ node: { conversationSid: string; conversation: any } }];
  assert.equal(node.conversationSid, landmark.conversationSid);
  const [message] = node.conversation.messages.edges;
  const shown = message.node.recipients.edges.map((edge: any) => [edge.node.via, edge.node.participant.unreadMessages]);
  assert.deepEqual(shown, [["READ_HORIZON", 179], ["READ_HORIZON", 74]]);
});

test("the manifest has every operation under its hash", () => {
  const names = Object.entries(manifest).map(([id, text]) => {
    assert.equal(id, `sha256:${createHash("sha256").update(text).digest("hex")}`);
    return /(?:query|subscription) (\w+)/.exec(text)?.[1];
  });
  assert.deepEqual(
    names.sort(),
    [
      ...["ApolloDeferred", "ApolloDeliveries", "ApolloMessage", "ApolloMessages", "ApolloReceipt", "ApolloScreen", "ApolloThread"],
      ...["CodegenParticipations", "CodegenThread", "RequestDeferred", "RequestReceipt", "RequestThread", "idsQuery"],
    ],
  );
});

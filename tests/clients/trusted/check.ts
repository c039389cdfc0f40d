// Trusted documents: what the manifests of codegen, Apollo and Relay hold, by its ids, at a gateway that takes nothing else.

import assert from "node:assert/strict";
import { test } from "node:test";

import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { generatePersistedQueryIdsFromManifest } from "@apollo/persisted-query-lists";
import { fetchQuery } from "relay-runtime";

import { makeClient } from "../apollo/client.ts";
import { demo, landmark, watchRequests } from "../demo.ts";
import { ApolloMessageDocument, RequestThreadDocument, type RequestThreadQuery } from "../gql/graphql.ts";
import threadQuery, { type checkThreadQuery } from "../relay/__generated__/checkThreadQuery.graphql.ts";
import { makeEnvironment } from "../relay/environment.ts";
import manifest from "./apollo.json";

const TOKEN = "this gateway asks for none";
const requests = watchRequests();

async function post<Data>(body: object) {
  const headers = { accept: "application/graphql-response+json", "content-type": "application/json" };
  const response = await fetch(demo.graphql, { method: "POST", headers, body: JSON.stringify(body) });
  return (await response.json()) as { data?: Data; errors?: { extensions: { code: string } }[] };
}

test("codegen's, by documentId", async () => {
  const { hash } = (RequestThreadDocument as unknown as { __meta__: { hash: string } }).__meta__;
  const { data } = await post<RequestThreadQuery>({ documentId: hash, variables: { ...landmark, first: 2 } });
  assert.deepEqual(data?.service?.conversation?.messages?.edges.map(({ node }) => node.index), [0, 1]);
});

test("Apollo's, by its link", async () => {
  const client = makeClient(demo.graphql, TOKEN);
  const ids = generatePersistedQueryIdsFromManifest({ loadManifest: () => manifest });
  client.setLink(new PersistedQueryLink(ids).concat(client.link));
  const { data } = await client.query({ query: ApolloMessageDocument, variables: { id: demo.message_id } });
  assert(data?.node && "deliveryStatus" in data.node);
  assert.equal(data.node.deliveryStatus, "PARTLY_FAILED");
});

test("Relay's, by the ids in its artifacts", async () => {
  assert.equal(threadQuery.params.text, null);
  const data = await fetchQuery<checkThreadQuery>(makeEnvironment(demo.graphql, TOKEN), threadQuery, landmark).toPromise();
  assert.equal(data?.service?.conversation?.id, demo.conversation_id);
});

test("no text was sent, and none is taken", async () => {
  assert.deepEqual(requests, ["POST hash", "POST hash", "POST hash"]);
  const { data, errors } = await post({ query: "{ __typename }" });
  assert.deepEqual([data, errors?.map(({ extensions }) => extensions.code)], [undefined, ["FORBIDDEN"]]);
});

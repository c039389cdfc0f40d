// Trusted documents: what the manifests of codegen, Apollo and Relay hold, by its ids, at a gateway that takes nothing else.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Client, fetchExchange, type Exchange } from "@urql/core";
import { cacheExchange } from "@urql/exchange-graphcache";
import { persistedExchange } from "@urql/exchange-persisted";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { generatePersistedQueryIdsFromManifest } from "@apollo/persisted-query-lists";
import { print } from "graphql";
import { fetchQuery } from "relay-runtime";

import { makeClient } from "../apollo/client.ts";
import { IDS } from "../apollo/ids.ts";
import { demo, landmark, watchRequests } from "../demo.ts";
import { ApolloMessageDocument, RequestThreadDocument, type RequestThreadQuery } from "../gql/graphql.ts";
import threadQuery, { type checkThreadQuery } from "../relay/__generated__/checkThreadQuery.graphql.ts";
import { makeEnvironment } from "../relay/environment.ts";
import persisted from "../gql/persisted-documents.json";
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

/** The hash that urql sends in place of the text. */
async function urqlId(...exchanges: Exchange[]): Promise<string> {
  let sent: URLSearchParams | undefined;
  const fetch = async (url: unknown) => {
    sent = new URL(String(url)).searchParams;
    return new Response('{"data": {"node": null}}', { headers: { "content-type": "application/json" } });
  };
  const client = new Client({ url: demo.graphql, exchanges: [...exchanges, persistedExchange(), fetchExchange], fetch: fetch as never });
  await client.query(IDS as never, { id: "1" });
  return JSON.parse(sent!.get("extensions")!).persistedQuery.sha256Hash;
}

test("one document has another id in each client, a hash of what that client sends", async () => {
  const named = (texts: Record<string, string>) => Object.entries(texts).find(([, text]) => text.startsWith("query idsQuery"))!;
  const hash = (text: string) => createHash("sha256").update(text).digest("hex");
  const { id: apolloId, body } = manifest.operations.find(({ name }) => name === "idsQuery")!;
  const [codegenId, codegenText] = named(persisted);
  const [relayId, relayText] = named(JSON.parse(readFileSync("trusted/relay.json", "utf8")) as Record<string, string>);
  assert.deepEqual([apolloId, codegenId, relayId], [hash(body), `sha256:${hash(codegenText)}`, hash(relayText)]);
  assert.deepEqual([body, codegenText, relayText, print(IDS)].map((text) => text.includes("__typename")), [true, false, true, false]);
  const ids = {
    "Apollo Client": apolloId,
    "GraphQL Code Generator": codegenId,
    Relay: relayId,
    urql: await urqlId(),
    "urql with graphcache": await urqlId(cacheExchange()),
  };
  assert.equal(ids.urql, hash(print(IDS)));
  assert.deepEqual(ids, {
    "Apollo Client": "ae20fd57cd6f7bf34ef5cfe366041550f4ee3c685b91e00ce6319041b6d46971",
    "GraphQL Code Generator": "sha256:2a13a2e46fc0a9257aace0340563d1a47e67488cc142feae6e8f18374149b840",
    Relay: "9626d78d983b8185ed32df28a81d7898517b58fa4af46158e7cc12d1dbd47021",
    urql: "27c233f8c1d22706272b91abd7d480bfc27bb59916e5b0e432f07050d5e5044a",
    "urql with graphcache": "ae20fd57cd6f7bf34ef5cfe366041550f4ee3c685b91e00ce6319041b6d46971",
  });
});

test("no text was sent, and none is taken", async () => {
  assert.deepEqual(requests, ["POST hash", "POST hash", "POST hash"]);
  const { data, errors } = await post({ query: "{ __typename }" });
  assert.deepEqual([data, errors?.map(({ extensions }) => extensions.code)], [undefined, ["FORBIDDEN"]]);
});

#!/usr/bin/env bash
# Hive Gateway sends each part of an answer with @defer as the whole data again, and refuses clients that accept JSON only.
#
# `hive-gateway proxy` (@graphql-hive/gateway 2.15.1) in front of a server that supports @defer: each part of its answer is
# `{"data": …}` with all data so far, in place of `incremental` or `pending` with `hasNext`, so that clients which merge parts
# have nothing to merge. With `Accept: application/json` a document with @defer is answered with status 406 and no body; a
# server that follows the draft of incremental delivery may answer it in one piece. Documents without @defer are answered as
# usual, with errors beside data and their extensions.
#
# It needs the command receipts-gateway on the PATH. It also tries the set-up of gateway/docs/federation.md: the token of a
# caller is passed on with `propagateHeaders`.
#
# Output seen:
#   without a token: UNAUTHENTICATED
#   data, an error with its code, and its path: BAD_USER_INPUT services
#   @defer, multipart/mixed: 200, 2 parts, each with `data` alone
#   @defer, application/json: 406
set -euo pipefail
schema=$(cd "$(dirname "$0")/.." && pwd)/schema.graphql
folder=$(mktemp -d)
started=()
trap 'kill "${started[@]}" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --omit=optional @graphql-hive/gateway@2.15.1 graphql@16.15.0 >/dev/null
wait_for() { for _ in {1..300}; do "$@" && return; sleep 0.1; done; echo "It did not start: $*" >&2; exit 1; }
receipts-gateway demo --port 0 --ready-file sandbox.json >/dev/null & started+=($!)
wait_for test -s sandbox.json
read -r account token upstream < <(node -p '
  const { account_sid, auth_token, sandbox } = require("./sandbox.json"); [account_sid, auth_token, sandbox].join(" ")')
secret=0123456789abcdef0123456789abcdef
port() { node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close() })'; }
gateway=$(port) hive=$(port)
TWILIO_ACCOUNT_SID=$account TWILIO_AUTH_TOKEN=$token GATEWAY_UPSTREAM_URL=$upstream GATEWAY_TOKENS=frontend:$secret \
  receipts-gateway serve --port "$gateway" >/dev/null 2>&1 & started+=($!)
cat >gateway.config.ts <<'CONFIG'
import { defineConfig } from "@graphql-hive/gateway";

export const gatewayConfig = defineConfig({
  propagateHeaders: {
    fromClientToSubgraphs: ({ request }) => ({ authorization: request.headers.get("authorization") ?? undefined }),
  },
});
CONFIG
node_modules/.bin/hive-gateway proxy "http://127.0.0.1:$gateway/graphql" --schema "$schema" -h 127.0.0.1 -p "$hive" >/dev/null & started+=($!)
wait_for curl -so /dev/null "http://127.0.0.1:$gateway/graphql"
wait_for curl -so /dev/null "http://127.0.0.1:$hive/healthcheck"
HIVE="http://127.0.0.1:$hive/graphql" SECRET=$secret node --input-type=module - <<'NODE'
import assert from "node:assert/strict";

const ask = (query, accept, token = process.env.SECRET) => fetch(process.env.HIVE, {
  method: "POST",
  headers: { accept, "content-type": "application/json", authorization: `Bearer ${token}` },
  body: JSON.stringify({ query }),
});
const anonymous = await (await ask("{ services { edges { cursor } } }", "application/json", "wrong")).json();
console.log(`without a token: ${anonymous.errors[0].extensions.code}`);
assert.equal(anonymous.errors[0].extensions.code, "UNAUTHENTICATED");

const { data, errors } = await (await ask("{ good: services(first: 1) { edges { cursor } } services(first: 5000) { edges { cursor } } }", "application/json")).json();
assert.deepEqual([data.good.edges.length, data.services, errors.length], [1, null, 1]);
console.log(`data, an error with its code, and its path: ${errors[0].extensions.code} ${errors[0].path}`);
assert.deepEqual([errors[0].extensions.code, errors[0].path], ["BAD_USER_INPUT", ["services"]]);

const deferred = "{ services(first: 1) { edges { node { sid ... @defer { conversations(first: 1) { edges { cursor } } } } } } }";
const multipart = await ask(deferred, "multipart/mixed; deferSpec=20220824, application/json");
const parts = (await multipart.text()).split("\r\n---").flatMap((part) => part.match(/^\{.*\}$/m) ?? []).map((part) => JSON.parse(part));
console.log(`@defer, multipart/mixed: ${multipart.status}, ${parts.length} parts, each with \`data\` alone`);
assert.deepEqual(parts.map((part) => Object.keys(part)), [["data"], ["data"]]);
assert.deepEqual(parts.map((part) => part.data.services.edges[0].node.sid.slice(0, 2)), ["IS", "IS"]);

const json = await ask(deferred, "application/json");
console.log(`@defer, application/json: ${json.status}`);
assert.equal(json.status, 406);
NODE

#!/usr/bin/env bash
# With urql's normalized cache, an older event of one subscription hides a newer one of another, for good, if a query waited meanwhile.
#
# Two subscriptions tell the status of the same entity, and their events arrive in the order first (by A), second (by B), third (by A).
# Without a query under way, the cache has the third. While a query about something else waits for its answer, graphcache writes what
# arrives into layers, one for each operation, so that answers apply in the order of the questions (its docs call it "commutativity").
# All events of one subscription share a layer, and B's layer lies above A's: the third event is written below the second. When the
# answer comes, the layers are merged from below, and the second event stays in the cache until the entity changes again. Nothing tells
# that the third was lost. A slow query beside two subscriptions is all that it takes.
#
# Seen with @urql/core 6.0.3, @urql/exchange-graphcache 9.0.2 and wonka 6.3.6.
#
# Output seen:
#   no query waits: third, by A
#   a query waits: second, by B
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --prefix . \
  @urql/core@6.0.3 @urql/exchange-graphcache@9.0.2 wonka@6.3.6 graphql@16.11.0 >/dev/null

cat >cache.mjs <<'SOURCE'
import { Client, gql } from "@urql/core";
import { cacheExchange } from "@urql/exchange-graphcache";
import { filter, makeSubject, merge, pipe } from "wonka";

/** Returns the status in the cache after three events, and after the answer of a query that waited for it, if one did. */
async function statusAtLast(doesQueryWait) {
  const { source, next } = makeSubject();
  const operations = {};
  /** An exchange in place of a network: each operation gets what `answer` says, in the order of these calls. */
  const network = () => (sent) => merge([pipe(sent, filter((one) => ((operations[one.variables.name] ??= one), false))), source]);
  const client = new Client({ url: "http://localhost", exchanges: [cacheExchange({}), network] });
  const begin = (kind, document, name) => client[kind](gql(document), { name }).subscribe(() => {});
  const answer = async (name, data) => {
    const operation = operations[name];
    const isSubscription = operation.kind === "subscription";
    next({ operation, data: { __typename: isSubscription ? "Subscription" : "Query", ...data }, stale: false, hasNext: isSubscription });
    await new Promise((done) => setTimeout(done, 5));
  };
  const item = (status) => ({ __typename: "Item", id: "1", status });

  begin("query", "query Shown($name: ID) { item { id status } }", "shown");
  await answer("shown", { item: item("old") });
  begin("subscription", "subscription A($name: ID) { a { id status } }", "a");
  begin("subscription", "subscription B($name: ID) { b { id status } }", "b");
  begin("query", "query Slow($name: ID) { other { id } }", "slow");
  begin("query", "query Quick($name: ID) { third { id } }", "quick");
  if (!doesQueryWait) await answer("slow", { other: { __typename: "Item", id: "2" } });
  await answer("quick", { third: { __typename: "Item", id: "3" } });
  await answer("a", { a: item("first, by A") });
  await answer("b", { b: item("second, by B") });
  await answer("a", { a: item("third, by A") });
  if (doesQueryWait) await answer("slow", { other: { __typename: "Item", id: "2" } });
  return client.readQuery(gql("query Shown($name: ID) { item { id status } }"), { name: "shown" }).data.item.status;
}

console.log(`no query waits: ${await statusAtLast(false)}`);
console.log(`a query waits: ${await statusAtLast(true)}`);
SOURCE
output=$(node cache.mjs)
echo "$output"
[ "$output" = "no query waits: third, by A
a query waits: second, by B" ]

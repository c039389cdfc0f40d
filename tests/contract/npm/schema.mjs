// Reads pairs of schemas from standard input, as JSON; prints what graphql-js and GraphQL Inspector find in each pair.
import { readFileSync } from "node:fs";
import { diff } from "@graphql-inspector/core";
import { buildSchema, findBreakingChanges, findDangerousChanges } from "graphql";

async function compare({ before, after }) {
  const [old, now] = [buildSchema(before), buildSchema(after)];
  return {
    graphqlJs: [
      ...findBreakingChanges(old, now).map(({ type }) => ["breaking", type]),
      ...findDangerousChanges(old, now).map(({ type }) => ["dangerous", type]),
    ],
    inspector: (await diff(old, now)).map(({ criticality, type }) => [
      { BREAKING: "breaking", DANGEROUS: "dangerous", NON_BREAKING: "safe" }[criticality.level],
      type,
    ]),
  };
}

const pairs = JSON.parse(readFileSync(0, "utf-8"));
console.log(JSON.stringify(await Promise.all(pairs.map(compare))));

// Composes the schema on standard input with another subgraph, with each tool; prints the supergraphs, as JSON.
import { readFileSync } from "node:fs";
import { composeServices } from "@apollo/composition";
import { composeServices as composeWithGuild } from "@theguild/federation-composition";
import { parse } from "graphql";

const schema = readFileSync(0, "utf-8");
const link = 'extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@composeDirective"])';
const upstream = '@link(url: "https://receipts.example/upstream/v1.0", import: ["@upstream"]) @composeDirective(name: "@upstream")';
const others = { name: "others", url: "http://others.example", typeDefs: parse("type Query { users: [User] } type User { name: String }") };
const prefixes = { plain: "", federation2: link, composed: `${link} ${upstream}` };
const found = {};
for (const [tool, compose] of Object.entries({ apollo: composeServices, guild: composeWithGuild }))
  for (const [name, prefix] of Object.entries(prefixes)) {
    const receipts = { name: "receipts", url: "http://receipts.example", typeDefs: parse(`${prefix}\n${schema}`) };
    const { supergraphSdl, errors } = compose([receipts, others]);
    found[`${tool} ${name}`] = supergraphSdl ?? errors.map(({ message }) => message);
  }
console.log(JSON.stringify(found));

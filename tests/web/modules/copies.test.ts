import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { gatewayCurl, linkTo, linkedOperation, queryCommand } from "page/copies";

const ENDPOINT = "http://127.0.0.1:8000/tools/graphql";
const OPERATION = {
  query: "# It's $HOME and `x`\nquery Q($sid: ID!, $n: Int) {\n  service(sid: $sid) { sid }\n}\n",
  variables: '{"sid": "IS\'1", /* As GraphiQL reads them. */ "n": 2,}',
  operationName: "Q",
};

/** The words that a shell makes of a command, and what it sends to its standard input, with no command run. */
function words(command: string, environment: Record<string, string> = {}): string[] {
  const shown = 'show() { printf "%s\\0" "$@"; [ -t 0 ] || cat; }';
  const named = command.replace(/^(curl|receipts-gateway)/, "show $&");
  return execFileSync("sh", ["-c", `${shown}\n${named}`], { env: environment, input: "", encoding: "utf8" }).split("\0");
}

test("a curl command sends what the page sends, and reads secrets from the environment", () => {
  const headers = { authorization: "Bearer a-secret", "X-Api-Key": "another", "Cache-Control": "no-cache", "content-type": "text/plain" };
  assert.doesNotMatch(gatewayCurl(ENDPOINT, OPERATION, { "X-Upstream": "bearer a-secret" }), /a-secret/);
  const command = gatewayCurl(ENDPOINT, OPERATION, headers);
  assert.doesNotMatch(command, /a-secret|another/);
  const [, url, ...rest] = words(command, { RECEIPTS_GATEWAY_TOKEN: "ann", X_API_KEY: "key" });
  assert.equal(url, ENDPOINT);
  assert.deepEqual(rest.slice(0, 8), [
    "--header", "Content-Type: application/json",
    "--header", "authorization: Bearer ann",
    "--header", "X-Api-Key: key",
    "--header", "Cache-Control: no-cache",
  ]);
  assert.deepEqual(JSON.parse(rest[9] ?? ""), { query: OPERATION.query, variables: { sid: "IS'1", n: 2 }, operationName: "Q" });
});

test("a header of another scheme is wholly from the environment", () => {
  assert.match(gatewayCurl(ENDPOINT, OPERATION, { Authorization: "Basic dXNlcg==" }), /"Authorization: \$AUTHORIZATION"/);
});

test("a query command has the variables that the document declares, each in the form that --var reads", () => {
  const query = `${OPERATION.query}\nGRAPHQL\nquery R($text: String, $list: [ID!], $none: Int) { a }`;
  const variables = JSON.stringify({ sid: "IS1", text: "3", list: ["a"], none: null, extra: 1 });
  const said = words(queryCommand(ENDPOINT, { query: query.replace("GRAPHQL\n", "# GRAPHQL\n"), variables, operationName: "R" }));
  assert.deepEqual(said.slice(0, 7), ["receipts-gateway", "query", "-", "--url", ENDPOINT, "--operation", "R"]);
  assert.deepEqual(said.slice(7, 15), ["--var", "sid=IS1", "--var", 'text="3"', "--var", 'list=["a"]', "--var", "none=null"]);
});

test("a query command ends its document with a word that is no line of it", () => {
  const query = '{ a(b: """\nGRAPHQL\n""") }';
  assert.equal(words(queryCommand(ENDPOINT, { query, variables: "", operationName: null })).at(-1), `${query}\n`);
});

test("a link holds query and variables in its fragment, and nothing else", () => {
  const link = linkTo("http://127.0.0.1/graphiql?q=old#older", OPERATION);
  assert.ok(link.startsWith("http://127.0.0.1/graphiql#query="));
  assert.deepEqual(linkedOperation(new URL(link).hash), OPERATION);
  assert.deepEqual(linkedOperation("#query=%7Ba%7D"), { query: "{a}", variables: "", operationName: null });
  for (const none of ["", "#", "#section", "#query=", "#variables=%7B%7D"]) assert.equal(linkedOperation(none), null);
});

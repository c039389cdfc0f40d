import assert from "node:assert/strict";
import { test } from "node:test";
import { Refused, asGraphql, asJson, defaultName, descriptionOf, fromJson, importFile, merged, without } from "page/collections";

const FILE = `# Who is there.
query People { services { ...S } }

# Unused by People.
query Other { ...T }
fragment T on Query { services { ...S } }
fragment S on ServiceConnection { edges { node { sid } } }
`;
const A = { name: "A", query: "query A { services { edges { cursor } } }", variables: '{"n": 1}' };

test("a .graphql file becomes a collection: each operation with the fragments that it needs, and its comments", () => {
  const [collection] = importFile("support.graphql", FILE);
  assert.equal(collection?.name, "support");
  const fragment = "fragment S on ServiceConnection { edges { node { sid } } }\n";
  assert.deepEqual(collection?.operations, [
    { name: "People", query: `# Who is there.\nquery People { services { ...S } }\n\n${fragment}`, variables: "" },
    { name: "Other", query: `# Unused by People.\nquery Other { ...T }\n\nfragment T on Query { services { ...S } }\n\n${fragment}`, variables: "" },
  ]);
  const [again] = importFile("again.gql", asGraphql(collection));
  assert.equal(asGraphql(again ?? collection), asGraphql(collection));
  assert.equal(again?.operations.length, 2);
});

test("JSON has everything, and is read as it was written only", () => {
  const collections = [{ name: "Mine", operations: [A] }];
  assert.deepEqual(importFile("x.json", asJson(collections)), collections);
  assert.deepEqual(fromJson(asJson([])), []);
  for (const text of ["", "null", "{}", "[]", asJson(collections).replace('"version": 1', '"version": 2'), asJson([{ name: "x", operations: [null] }] as never)]) {
    assert.equal(fromJson(text), null);
    assert.throws(() => importFile("x.json", text), Refused);
  }
  for (const none of [[], [{ name: "Mine", operations: [] }]]) {
    assert.throws(() => importFile("x.json", asJson(none)), /x\.json has no operations/);
  }
  const unnamed = asJson([{ name: " ", operations: [{ ...A, name: "" }] }]);
  assert.deepEqual(importFile("x.json", unnamed), [{ name: "My operations", operations: [A] }]);
});

test("what does not fit into one document is refused, with the reason", () => {
  const refused = (...operations: { name: string; query: string }[]) => () =>
    asGraphql({ name: "Mine", operations: operations.map((each) => ({ ...each, variables: "" })) });
  assert.throws(refused(A, { ...A, query: `${A.query} ` }), /Mine has two operations named A/);
  assert.throws(refused(A, { name: "None", query: "{ __typename }" }), /None needs a name/);
  assert.equal(refused({ name: "None", query: "{ __typename }" })(), "{ __typename }\n");
  const fragment = (field: string, name: string) => ({ name, query: `query ${name} { ...F } fragment F on Query { ${field} }` });
  assert.throws(refused(fragment("a", "A"), fragment("b", "B")), /two fragments named F/);
  assert.equal(refused(fragment("a", "A"), fragment("a", "B"))().match(/fragment F/g)?.length, 1);
  assert.throws(() => importFile("x.graphql", "query {"), /x\.graphql is not a GraphQL document: Syntax Error.*\(line 1, column 8\)/);
  assert.throws(() => importFile("x.graphql", "fragment F on Query { a }"), /has no operations/);
});

test("collections are merged by name, without doubles, and end with their last operation", () => {
  const B = { ...A, variables: "" };
  const others = [{ name: "Mine", operations: [A, B] }, { name: "New", operations: [A, A] }, { name: "Empty", operations: [] }];
  const all = merged([{ name: "Mine", operations: [A] }], others);
  assert.deepEqual(all.map(({ name, operations }) => [name, operations.length]), [["Mine", 2], ["New", 1]]);
  assert.deepEqual(without(without(all, "New", A), "Mine", A), [{ name: "Mine", operations: [B] }]);
});

test("an operation is saved under its own name", () => {
  assert.equal(defaultName("# query Not\nquery Yes { a }", null), "Yes");
  assert.equal(defaultName("query A { a } query B { b }", "B"), "B");
  assert.equal(defaultName("{ query }", null), "Operation without a name");
});

test("an operation's description is its own", () => {
  const query = '"One." query A { a } """\nTwo,\nthree.\n""" query B { b } query C { c }';
  assert.deepEqual(["A", "B", "C", null].map((name) => descriptionOf(query, name)), ["One.", "Two,\nthree.", "", "One."]);
  assert.equal(descriptionOf("query {", null), "");
});

"""Which operations a change affects: those that select, pass, omit or spread what it changes, and no others."""

import pytest
from graphql import DocumentNode, GraphQLSchema, build_schema, parse, validate
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.contract.schema.change import Change, Criticality
from gateway.contract.schema.changes import find_changes
from gateway.contract.schema.usage import usages

from .conftest import BEFORE, EDITS, Edit

SCHEMA = build_schema(BEFORE)


def affecting(old: GraphQLSchema, new: GraphQLSchema, document: DocumentNode) -> list[Change]:
    """The breaking and dangerous changes that affect an operation."""
    assert not validate(old, document)
    used = usages(old, document)
    return [change for change in find_changes(old, new) if not used.isdisjoint(change.affects)]


def thread(selection: str, variables: str = "") -> str:
    return f"query {variables and f'({variables})'} {{ thread(id: 1) {{ {selection} }} }}"


AFFECTED = [
    # An operation, text of the schema, its replacement, and the coordinates of the changes that affect the operation.
    (thread("new"), "new: Int", "", ["Thread.new"]),
    (thread("topic"), "new: Int", "", []),
    (thread("alias: new"), "new: Int", "new: Float", ["Thread.new"]),
    (thread("...F") + "fragment F on Thread { ...G } fragment G on Thread { new }", "new: Int", "", ["Thread.new"]),
    ("mutation { close(id: 1) { new } }", "new: Int", "", ["Thread.new"]),
    # Through an interface
    (thread("near { id }"), "Message implements Node { id: ID!", "Message implements Node { id: ID! @upstream(per: PARENT)",
     ["Message.id"]),
    (thread("near { ... on Service { id } }"), "Message implements Node { id: ID!",
     "Message implements Node { id: ID! @upstream(per: PARENT)", []),
    (thread("...F") + "fragment F on Node { id }", "Message implements Node { id: ID!",
     "Message implements Node { id: ID! @upstream(per: PARENT)", []),
    (thread("near { id }"), "type Robot {", "type Robot implements Node { id: ID!", ["Robot"]),
    (thread("service { id }"), "type Robot {", "type Robot implements Node { id: ID!", []),
    (thread("near { ... on Message { body } }"), "type Message implements Node", "type Message", ["Message"]),
    (thread("messages { ... on Node { id } }"), "type Message implements Node", "type Message", ["Message"]),
    (thread("messages { id }"), "type Message implements Node", "type Message", []),
    # Unions
    (thread("messages { author { __typename } }"), "= Person |", "= Robot | Person |", ["Author"]),
    (thread("messages { author { ... on Person { nick } } }"), "= Person | Service", "= Service", ["Author"]),
    (thread("messages { author { ... on Service { id } } }"), "= Person | Service", "= Service", []),
    # Arguments
    (thread("messages(after: \"\") { id }"), "after: String, ", "", ["Thread.messages(after:)"]),
    (thread("messages { id }"), "after: String, ", "", []),
    (thread("messages { id }"), "first: Int = 50", "first: Int = 20", ["Thread.messages(first:)"]),
    (thread("messages(first: 5) { id }"), "first: Int = 50", "first: Int = 20", []),
    (thread("messages(first: $n) { id }", "$n: Int"), "first: Int = 50", "first: Int = 20", ["Thread.messages(first:)"]),
    (thread("messages(first: $n) { id }", "$n: Int = 5"), "first: Int = 50", "first: Int = 20", []),
    (thread("messages(first: $n) { id }", "$n: Int!"), "first: Int = 50", "first: Int = 20", []),
    (thread("messages { id }"), "after: String", "after: String!", ["Thread.messages(after:)"]),
    (thread("messages(after: null) { id }"), "after: String", "after: String!", ["Thread.messages(after:)"]),
    (thread('messages(after: "") { id }'), "after: String", "after: String!", []),
    (thread("messages(after: $a) { id }", "$a: String!"), "after: String", "after: String!", []),
    (thread("messages(after: $a) { id }", '$a: String = ""'), "after: String", "after: String!", ["Thread.messages(after:)"]),
    ("{ robot { name } }", "robot: Robot", "robot(of: Int!): Robot", ["Query.robot(of:)"]),
    ("{ robot { name } }", "robot: Robot", "robot(of: Int): Robot", ["Query.robot(of:)"]),
    ("{ one }", "robot: Robot", "robot(of: Int!): Robot", []),
    # Input objects
    (thread('messages(filter: { text: "", since: 1 }) { id }'), "since: DateTime", "", ["Filter.since"]),
    (thread('messages(filter: { text: "" }) { id }'), "since: DateTime", "", []),
    (thread("messages(filter: $f) { id }", "$f: Filter"), "since: DateTime", "", ["Filter.since"]),
    (thread('messages(filter: { text: "" }) { id }'), "depth: Int = 2", "depth: Int = 3", ["Filter.depth"]),
    (thread('messages(filter: { text: "", depth: 1 }) { id }'), "depth: Int = 2", "depth: Int = 3", []),
    (thread("messages { id }"), "depth: Int = 2", "depth: Int = 3", ["Filter.depth"]),  # The default of `filter` has none.
    (thread("messages { id }"), "size: Int! = 10", "size: Int! = 5", []),
    (thread("messages(filter: null) { id }"), "depth: Int = 2", "depth: Int = 3", []),
    ("{ one(of: { a: 1 }) }", "b: Int }", "b: Int c: Int! }", ["One.c"]),
    ("query ($o: One) { one(of: $o) }", "b: Int }", "b: Int c: Int! }", ["One.c"]),
    ("{ one }", "b: Int }", "b: Int c: Int! }", []),
    (thread("messages(filter: $f) { id }", "$f: Filter"), "size: Int! = 10", "size: Int!", ["Filter.size"]),
    ("{ one(of: { a: 1 }) }", "input One {", "input One @oneOf {", ["One"]),
    # Enums
    (thread("messages(order: DESC) { id }"), "ASC DESC", "ASC", ["Order.DESC"]),
    (thread("messages(order: ASC) { id }"), "ASC DESC", "ASC", []),
    (thread("messages(order: $o) { id }", "$o: Order"), "ASC DESC", "ASC", ["Order.DESC"]),
    (thread("state"), "{ OPEN", "{ OPEN LATE", ["State.LATE"]),
    (thread('messages(filter: { text: "", state: OPEN }) { id }'), "{ OPEN", "{ OPEN LATE", []),
    (thread("state"), "HIDDEN @deprecated(reason: \"Gone.\")", "", ["State.HIDDEN"]),
    # Types and scalars
    ("{ robot { __typename } }", "type Robot {", "interface Robot {", ["Robot"]),
    (thread("at"), "example.com/date-time", "example.com/time", ["DateTime"]),
    (thread("messages(filter: $f) { id }", "$f: Filter"), "example.com/date-time", "example.com/time", ["DateTime"]),
    (thread("new"), "example.com/date-time", "example.com/time", []),
    # Prices and directives
    (thread("service { id }"), "per: ITEM", "per: PAGE", ["Thread.service"]),
    (thread("new @spare"), "directive @spare on FIELD", "", ["@spare"]),
    (thread("new"), "directive @spare on FIELD", "", []),
    (thread("new @mask(level: 1)"), "with: String! = \"*\"", "with: String!", ["@mask(with:)"]),
    (thread("new @mask(level: 1, only: 2)"), "only: [Int],", "", ["@mask(only:)"]),
    (thread("new @mask(level: 1)"), "only: [Int],", "only: [Int], odd: Int!,", ["@mask(odd:)"]),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "old", "new", "coordinates"), AFFECTED)
def test_what_affects_an_operation(operation: str, old: str, new: str, coordinates: list[str]) -> None:
    assert BEFORE.count(old) == 1, old
    changes = affecting(SCHEMA, build_schema(BEFORE.replace(old, new)), parse(operation))
    assert [change.coordinate for change in changes] == coordinates
    assert all(change.criticality is not Criticality.SAFE for change in changes)


@settings(max_examples=100)
@given(st.sampled_from(EDITS), st.booleans(), st.sampled_from([row[0] for row in AFFECTED]))
def test_what_breaks_an_operation_affects_it(edit: Edit, is_back: bool, operation: str) -> None:
    old, new = SCHEMA, build_schema(edit.apply(BEFORE))
    if is_back:
        old, new = new, old
    document = parse(operation)
    assume(not validate(old, document))
    if validate(new, document):
        assert any(change.criticality is Criticality.BREAKING for change in affecting(old, new, document))

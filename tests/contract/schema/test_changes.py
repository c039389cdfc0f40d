"""Every way a schema can change, there and back: how bad it is, what happened, and where."""

import re
from contextlib import suppress
from functools import cache

import pytest
from graphql import GraphQLError, GraphQLSchema, build_schema, parse, resolve_schema_coordinate, validate_schema
from graphql.utilities import BreakingChangeType, DangerousChangeType, SafeChangeType, find_schema_changes
from graphql.validation.validate import validate_sdl
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.contract.schema.change import Change
from gateway.contract.schema.changes import find_changes

from .conftest import BEFORE, EDITS, Edit


@cache
def schema_of(text: str) -> GraphQLSchema:
    return build_schema(text)


def changes(old: str, new: str) -> list[Change]:
    return find_changes(schema_of(old), schema_of(new))


def lines(old: str, new: str) -> list[str]:
    return [f"{each.criticality} {each.kind} {each.coordinate}" for each in changes(old, new)]


def name_of(edit: Edit) -> str:
    return " ".join(f"{old} → {new}" for old, new in edit.pairs).replace("\n", " ")[:60]


@pytest.mark.parametrize("edit", EDITS, ids=name_of)
def test_what_an_edit_changes(edit: Edit) -> None:
    after = edit.apply(BEFORE)
    assert validate_schema(schema_of(after)) == []
    assert lines(BEFORE, after) == edit.there
    assert lines(after, BEFORE) == edit.back


@pytest.mark.parametrize("edit", EDITS, ids=name_of)
def test_every_change_has_a_coordinate_and_a_sentence(edit: Edit) -> None:
    old, new = schema_of(BEFORE), schema_of(edit.apply(BEFORE))
    for change in [*find_changes(old, new), *find_changes(new, old)]:
        assert re.fullmatch(rf"{re.escape(change.coordinate)} .*[.”]", change.message), change.message
        if change.kind != "SCHEMA_DESCRIPTION_CHANGED":
            assert any(_resolves(schema, change.coordinate) for schema in (old, new)), change


def _resolves(schema: object, coordinate: str) -> bool:
    try:
        return resolve_schema_coordinate(schema, coordinate) is not None  # type: ignore[arg-type]
    except TypeError:  # What it is part of is not there.
        return False


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('old: Int @deprecated(reason: "Use new.")', "", "Thread.old was removed; it had been deprecated: “Use new.”"),
        ("new: Int\n", "\n", "Thread.new was removed, and had not been deprecated."),
        ("first: Int = 50", "first: Int!", "Thread.messages(first:) was Int and is Int! now; it is required."),
    ],
)
def test_what_is_said(old: str, new: str, message: str) -> None:
    assert message in [change.message for change in changes(BEFORE, BEFORE.replace(old, new))]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ID = 1", 'ID = "1"'),
        ("[Int] = 1", "[Int] = [1]"),
        ("[[Int!]!] = 1", "[[Int!]!] = [[1]]"),
        ("Float = 1", "Float = 1.0"),
        ("[Float] = 1", "[Float] = [1.0]"),
        ("[Filter] = {}", "[Filter] = [{ deep: { id: 7 } }]"),
        ("Filter = { size: [2] }", "Filter = { size: 2, order: [ASC] }"),
        ("Any = { a: 1, b: [true] }", "Any = { b: [true], a: 1 }"),
        ('String = "a"', 'String = """a"""'),
    ],
)  # fmt: skip
def test_a_default_written_otherwise_is_the_same_value(old: str, new: str) -> None:
    rest = """scalar Any enum Order { ASC DESC }
    input Filter { size: [Int], order: [Order] = ASC, deep: Deep = { id: 7 } } input Deep { id: ID, any: Any }"""
    before, after = (f"type Query {{ a(x: {each}): Int }} input In {{ x: {each} }} {rest}" for each in (old, new))
    assert lines(before, after) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Any = 1", "Any = true"),
        ('Any = "1"', "Any = 1"),
        ("[Int] = []", "[Int] = [null]"),
        ("[Int] = null", "[Int] = []"),
    ],
)
def test_another_default_is_another_value(old: str, new: str) -> None:
    before, after = (f"type Query {{ a(x: {each}): Int }} scalar Any" for each in (old, new))
    assert lines(before, after) == ["dangerous ARG_DEFAULT_VALUE_CHANGE Query.a(x:)"]


LEVELS = {
    kind.name: level
    for kinds, level in ((SafeChangeType, "safe"), (DangerousChangeType, "dangerous"), (BreakingChangeType, "breaking"))
    for kind in kinds
}
"""Kinds of graphql-core's, and how bad it finds them."""

STRICTER = {
    "ARG_DEFAULT_VALUE_ADDED": "dangerous",  # Who leaves the argument out is answered otherwise.
    "INPUT_FIELD_DEFAULT_VALUE_ADDED": "dangerous",
}
MILDER = {"VALUE_ADDED_TO_ENUM": "safe"}  # When no field returns the enum.
UNSEEN = re.compile(r"DEPRECATION_|SPECIFIED_BY_|ONE_OF_|UPSTREAM_|ROOT_TYPE_|SCHEMA_DESCRIPTION_|IMPLEMENTATION_")
HIDDEN = re.compile(r".*_CHANGED_KIND_SAFE|.*_DEFAULT_VALUE_(ADDED|CHANGE)")
"""Of an input's type and its default graphql-core tells one change alone."""

EQUAL = re.compile(
    r"Thread\.messages\(filter:\) has changed defaultValue from \{ (depth: 2, )?(size.*) \} to \{ (depth: 2, )?\2 \}\."
)
"""A default that graphql-core compares as text: `depth` is 2 where it is not written."""


BEFORE_PLACE = {"IMPLEMENTED_INTERFACE_ADDED": "implemented by ", "IMPLEMENTED_INTERFACE_REMOVED": "^"}
"""What stands before the coordinate in sentences with two names."""


def is_sdl(text: str) -> bool:
    """Whether edits go together: two may put in the same, or stand in each other's way."""
    with suppress(GraphQLError):
        return not validate_sdl(parse(text))
    return False


@settings(max_examples=25)
@given(st.sets(st.integers(0, len(EDITS) - 1), min_size=1, max_size=12), st.booleans())
def test_what_graphql_core_sees_is_seen(numbers: set[int], is_back: bool) -> None:
    after = BEFORE
    for number in sorted(numbers):
        after = EDITS[number].apply(after) if EDITS[number].fits(after) else after
    assume(is_sdl(after))
    old, new = (build_schema(text) for text in ((after, BEFORE) if is_back else (BEFORE, after)))
    theirs = [
        (change.type.name, change.description)
        for change in find_schema_changes(old, new)
        if not re.match(r"Standard scalar|(Int|Float|ID|String|Boolean) was added", change.description)
        and not EQUAL.fullmatch(change.description)
    ]
    for change in find_changes(old, new):
        if UNSEEN.match(change.kind):
            continue
        kind = change.kind.replace("BECAME_REQUIRED", "DEFAULT_VALUE_CHANGE")
        assert kind != change.kind or change.criticality in {LEVELS[kind], STRICTER.get(kind), MILDER.get(kind)}
        place = change.coordinate
        if kind == "DESCRIPTION_CHANGED":  # There an argument has no colon, and a directive's has the directive's name.
            place = re.sub(r"@(\w+)\(\w+", r"@\1(\1", place).replace(":", "")
        pattern = BEFORE_PLACE.get(kind, r"(?<![\w.])") + re.escape(place) + r"(?!\w|\.\w|\()"
        same = [each for each in theirs if each[0] == kind and re.search(pattern, each[1])]
        assert same or HIDDEN.match(kind), change
        theirs = [each for each in theirs if each not in same[:1]]
    assert theirs == []

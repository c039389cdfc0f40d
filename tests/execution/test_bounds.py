"""Limits on documents: one that exceeds any of them is rejected before validation; ordinary ones pass."""

import pytest
from graphql import GraphQLSyntaxError, get_introspection_query, parse

from gateway.accounts.operation import Operation
from gateway.errors import ValidationFailed
from gateway.execution.bounds import Bounds, check_document, parse_within
from gateway.execution.executor import Executor

from .conftest import SCHEMA, bare_context

SMALL = Bounds(depth=3, fields=10, root_fields=4, aliases=2, directives=2, directives_each=2, overlap=3)
CHAIN = " ".join(f"fragment F{i} on Q {{ ...F{i + 1} ...F{i + 1} }}" for i in range(30)) + " fragment F30 on Q { a }"


@pytest.mark.parametrize(
    "document",
    [
        "{ a b c d }",
        "{ a { b { c { d } } } }",
        "{ ...F } fragment F on Q { a { b { c } } }",
        "{ x: a y: b c }",
        "{ a @skip(if: true) @include(if: true) }",
        "{ a a a }",
        "{ ...Missing }",
        "query A { a b c } query B { a b c }",
        "fragment Unused on Q { a }",
        "{ a } fragment Unused on Q { a b c d e }",
    ],
)
def test_what_is_within_bounds_passes(document: str) -> None:
    check_document(parse(document), SMALL)


@pytest.mark.parametrize(
    ("document", "column"),
    [
        ("{ }", 3),
        ("{}", 2),
        ("{ services(first: 1) { } }", 24),
        ("{ a ... { } }", 11),
        ("{ a ... on Q { } }", 16),
        ("{ a } fragment Unused on Q { }", 30),
        ("{ a # nothing\n}{ }", 4),
    ],
)
def test_an_empty_selection_set_is_a_syntax_error(document: str, column: int) -> None:
    """As for graphql 16 and graphql.web; graphql 17 and graphql-core take it."""
    with pytest.raises(GraphQLSyntaxError, match="Expected Name, found '}'") as caught:
        parse_within(document, Bounds())
    assert caught.value.locations is not None
    assert caught.value.locations[0].column == column


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("{ a b c d e }", "fields at its root"),
        ("{ ...F } fragment F on Q { a b c d e }", "fields at its root"),
        ("{ a { b { c { d { e } } } } }", "levels"),
        ("{ ...F } fragment F on Q { a { b { c { d { e } } } } }", "levels"),
        ("{ ... { ... { ... { ... { ... { a } } } } } }", "levels"),
        ("{ a { b c d e f } g { b c d e f } }", "fields"),
        ("{ x: a y: b z: c }", "aliases"),
        ("{ a @skip(if: true) @skip(if: true) b @skip(if: true) }", "directives"),
        ("query @a @b { a @c }", "directives"),
        ("{ ...F @a @b @c } fragment F on Q { a }", "directives"),
        ("{ a a a a }", "3 pairs of overlapping fields"),
        ("{ a { b } a { b } a { b } }", "pairs"),
        ("{ ...F } fragment F on Q { ...G } fragment G on Q { ...F }", "contains itself"),
        ("{ ...F } fragment F on Q { a { ...F } }", "contains itself|levels"),
        ("{ ...F0 } " + CHAIN, "levels"),
        ("{ a } fragment Unused on Q { a a a a }", "pairs"),
        ("query A { a } query B { x: a y: b z: c }", "aliases"),
    ],
)
def test_what_is_out_of_bounds_is_refused(document: str, words: str) -> None:
    with pytest.raises(ValidationFailed, match=words):
        check_document(parse(document), SMALL)


@pytest.mark.parametrize(("times", "is_refused"), [(225, False), (316, False), (317, True)])
@pytest.mark.parametrize(
    "shape", ["{ a { %s } }", "{ ...F } fragment F on Q { a { %s } }", "{ a { ...F } } fragment F on A { %s }"]
)
def test_each_pair_of_overlapping_fields_counts_once(times: int, is_refused: bool, shape: str) -> None:
    """316 fields make 49,770 pairs, 317 make 50,086."""
    document = shape % ("sid " * times)
    if is_refused:
        with pytest.raises(ValidationFailed, match="50000 pairs of overlapping fields"):
            parse_within(document, Bounds())
    else:
        parse_within(document, Bounds())


def test_fragments_cannot_multiply_a_document() -> None:
    wide = (
        " ".join(f"fragment F{i} on Q {{ {'...F%d ' % (i + 1) * 10} }}" for i in range(20)) + " fragment F20 on Q { a }"
    )
    with pytest.raises(ValidationFailed, match="fields"):
        check_document(parse("{ ...F0 } " + wide), Bounds())


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("{ __typename " + "#" * 70_000 + "\n}", "characters"),
        ("{" + " a" * 5_000 + " }", "4000 tokens"),
        ("{" + "a{" * 30 + "b" + "}" * 30 + "}", "25 levels"),
        ("{" + "a{" * 1_900 + "b" + "}" * 1_900 + "}", "deep"),
    ],
)
async def test_an_executor_has_bounds(document: str, words: str) -> None:
    outcome = await Executor(SCHEMA).run(Operation(document), bare_context())
    assert not outcome.executed
    assert words in outcome.failures[0].error.message


async def test_the_introspection_query_passes() -> None:
    document = get_introspection_query(specified_by_url=True, schema_description=True, input_value_deprecation=True)
    outcome = await Executor(SCHEMA).run(Operation(document), bare_context())
    assert not outcome.failures
    assert outcome.data is not None


async def test_the_schema_can_be_kept_to_oneself() -> None:
    executor = Executor(SCHEMA, introspection=False)
    for document in (
        "{ __schema { types { name } } }",
        '{ __type(name: "Query") { name } }',
        "{ servics { edges { cursor } } }",
    ):
        outcome = await executor.run(Operation(document), bare_context())
        assert not outcome.executed
        assert "services" not in outcome.failures[0].error.message
    assert (await executor.run(Operation("{ __typename }"), bare_context())).data == {"__typename": "Query"}


MESSAGES = '{ service(sid: "IS1") { conversation(sid: "CH1") { messages(%s) { edges { cursor } } } } }'
ORDERED = "query Q($order: MessageOrder) " + MESSAGES % "order: $order"


@pytest.mark.parametrize(
    ("document", "variables"),
    [
        ("{ servics { edges { cursor } } }", {}),
        ("{ services { edges { nod { id } } } }", {}),
        ('{ node(id: "x") { friendlyName } }', {}),
        ("{ services(frst: 1) { edges { cursor } } }", {}),
        ("{ services @skip(iff: true) { edges { cursor } } }", {}),
        ("{ services { edges { node { ... on Servce { id } } } } }", {}),
        ("query Q($first: Itn) { services(first: $first) { edges { cursor } } }", {}),
        (MESSAGES % "order: DES", {}),
        (MESSAGES % 'order: "DESC"', {}),
        (MESSAGES % "deliveryStatus: [DELIVRED]", {}),
        (ORDERED, {"order": "DES"}),
        (ORDERED.replace("MessageOrder", "MessageOrder = DES"), {}),
    ],
)
async def test_who_may_not_see_the_schema_is_not_helped_to_guess_it(document: str, variables: dict[str, str]) -> None:
    for introspection in (True, False):
        executor = Executor(SCHEMA, introspection=introspection)
        outcome = await executor.run(Operation(document, variables=variables), bare_context())
        assert not outcome.executed
        suggestions = [failure for failure in outcome.failures if "Did you mean" in failure.error.message]
        assert bool(suggestions) is introspection


async def test_introspection_does_not_go_in_circles() -> None:
    document = "{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }"
    outcome = await Executor(SCHEMA).run(Operation(document), bare_context())
    assert not outcome.executed

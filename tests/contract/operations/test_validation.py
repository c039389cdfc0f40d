"""Documents that are validated together have the errors that each has alone."""

import random

import pytest
from graphql import parse, validate

from gateway.contract.operations.validation import validate_all
from gateway.graph.schema import make_schema

SCHEMA = make_schema()._schema
ROW = "fragment Row on Service { sid }"
CURSORS = "fragment Row on Service { conversations(first: $first) { edges { cursor } } }"
DOCUMENTS = [
    "query A { services { edges { node { sid } } } }",
    "query A { services { edges { node { nope } } } }",
    "query B { services { edges { node { ...Row } } } } " + ROW,
    "query C { services { edges { node { ...Row } } } } " + ROW,
    "query D { services { edges { node { ...Row } } } } fragment Row on Service { friendlyName }",
    "query E($first: Int) { services { edges { node { ...Row } } } } " + CURSORS,
    "query F { services { edges { node { ...Row } } } } " + CURSORS,
    "query G($unused: Int) { services { edges { node { ...Row } } } } " + ROW,
    'query H($id: ID!) { node(id: $id) { ... @defer(label: "a") { id } } }',
    'query I($id: ID!) { node(id: $id) { ... @defer(label: "a") { id } } }',
    "query J { a: services { edges { cursor } } a: node(id: 1) { id } }",
    "{ services { edges { cursor } } }",
    "{ nope }",
    "mutation K { nope }",
    "query L { services { ...Loop } } fragment Loop on ServiceConnection { ...Loop }",
]


@pytest.mark.parametrize("seed", range(20))
def test_documents_have_the_same_errors_together_and_alone(seed: int) -> None:
    documents = [parse(text) for text in random.Random(seed).sample(DOCUMENTS, len(DOCUMENTS))]
    assert validate_all(SCHEMA, documents) == [validate(SCHEMA, each) for each in documents]


def test_many_documents_have_their_own_errors() -> None:
    fields = ["nope" if each % 7 == 0 else "sid" for each in range(100)]
    documents = [
        parse(f"query Q{at} {{ services {{ edges {{ node {{ {field} }} }} }} }}") for at, field in enumerate(fields)
    ]
    assert [bool(errors) for errors in validate_all(SCHEMA, documents)] == [field == "nope" for field in fields]

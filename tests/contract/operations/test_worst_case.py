"""What an operation costs at most: its variables at their worst, and never less than it then takes."""

from pathlib import Path
from typing import Any

import pytest
from graphql import DocumentNode, parse, validate

from gateway.accounts.account import Account
from gateway.accounts.limits import Limits
from gateway.accounts.operation import Operation
from gateway.contract.operations.worst_case import OperationCost, operation_cost
from gateway.demo import landmark_variables
from gateway.graph.schema import make_schema
from gateway.sandbox import Sandbox
from gateway.twilio.client import Client

SCHEMA = make_schema()
THREAD = 'service(sid: "IS%s") { conversation(sid: "CH%s") { %%s } }' % ("0" * 32, "1" * 32)
RECEIPTS = "receipts { edges { node { status } } }"
MESSAGES = f"edges {{ node {{ {RECEIPTS} }} }}"


def valid(text: str) -> DocumentNode:
    document = parse(text)
    assert validate(SCHEMA._schema, document) == []
    return document


def priced(text: str, **given: Any) -> OperationCost:
    price = operation_cost(SCHEMA, valid(text), given)
    assert isinstance(price, OperationCost), price
    return price


def refused(text: str, **given: Any) -> list[str]:
    errors = operation_cost(SCHEMA, valid(text), given)
    assert not isinstance(errors, OperationCost)
    return [f"{error.locations[0].column if error.locations else 0}: {error.message}" for error in errors]


@pytest.mark.parametrize(
    ("declared", "used", "given", "calls", "assumed"),
    [
        # A number of messages: given, by default, left out, and required, which may be as many as the schema takes.
        ("$n: Int!", f"messages(first: $n) {{ {MESSAGES} }}", {"n": 20}, 21, {}),
        ("$n: Int = 7", f"messages(first: $n) {{ {MESSAGES} }}", {}, 8, {}),
        ("$n: Int! = 7", f"messages(first: $n) {{ {MESSAGES} }}", {}, 8, {}),
        ("$n: Int = 7", f"messages(first: $n) {{ {MESSAGES} }}", {"n": 3}, 4, {}),
        ("$n: Int", f"messages(first: $n) {{ {MESSAGES} }}", {}, 51, {}),
        ("$n: Int!", f"messages(first: $n) {{ {MESSAGES} }}", {}, 1010, {"n": "1000"}),
        ("$n: Int!", "messages(scan: $n, deliveryStatus: [FAILED]) { edges { cursor } }", {}, 10, {"n": "1000"}),
        # A page further on is priced as the first.
        ("$c: String!", f"messages(first: 9, after: $c) {{ {MESSAGES} }}", {}, 10, {"c": "null, the first page"}),
        ("$c: String", f"messages(first: 9, after: $c) {{ {MESSAGES} }}", {}, 10, {}),
        # Conditions are tried both ways, whatever their default; together, where they exclude each other.
        ("$x: Boolean!", f"messages(first: 9) @include(if: $x) {{ {MESSAGES} }}", {}, 10, {"x": "true"}),
        ("$x: Boolean = false", f"messages(first: 9) @include(if: $x) {{ {MESSAGES} }}", {}, 10, {"x": "true"}),
        ("$x: Boolean = true", f"messages(first: 9) @skip(if: $x) {{ {MESSAGES} }}", {}, 10, {"x": "false"}),
        ("$x: Boolean!", f"messages(first: 9) @include(if: $x) {{ {MESSAGES} }} sid", {"x": False}, 0, {}),
        ("$x: Boolean!", f"a: messages(first: 9) @include(if: $x) {{ {MESSAGES} }} "
         f"b: messages(first: 20) @skip(if: $x) {{ {MESSAGES} }}", {}, 21, {"x": "false"}),
        # Of more than can be tried, both sides are taken together.
        (" ".join(f"$x{n}: Boolean!" for n in range(7)),
         " ".join(f"a{n}: messages(first: {n + 1}) @include(if: $x{n}) {{ edges {{ cursor }} }}" for n in range(7))
         + " b: messages @skip(if: $x0) { edges { cursor } }", {}, 8, {}),
        # Filters that must be given choose everything.
        ("$s: [DeliveryStatus!]!", "messages(first: 9) { edges { node { receipts(status: $s) { totalCount } } } }", {}, 10, {}),
        ("$s: [DeliveryStatus!]", "messages(first: 9) { edges { node { receipts(status: $s) { totalCount } } } }", {}, 10, {}),
        ("$s: DeliveryStatus!", "messages(first: 9) { edges { node { receipts(status: [$s]) { totalCount } } } }", {}, 10, {}),
        ("$s: [DeliveryStatus!]!", "messages(first: 9) { edges { node { receipts(status: $s) { totalCount } } } }",
         {"s": []}, 1, {}),
        ("$o: MessageOrder!", "messages(order: $o) { edges { cursor } }", {}, 1, {}),
        ("$i: String!", "participantByIdentity(identity: $i) { channel }", {}, 1, {}),
    ],
)  # fmt: skip
def test_variables_are_taken_at_their_worst(
    declared: str, used: str, given: dict[str, Any], calls: int, assumed: dict[str, str]
) -> None:
    price = priced(f"query Q({declared}) {{ {THREAD % used} }}", **given)
    assert (price.calls, price.assumed) == (calls, assumed)
    assert sum(price.calls_by_field.values()) == calls


@pytest.mark.parametrize(
    ("text", "calls", "assumed"),
    [
        # An id may be of any kind of record: the dearest counts.
        ("query Q($id: ID!) { node(id: $id) { id } }", 0, "the id of a Service"),
        ("query Q($id: ID!) { node(id: $id) { ... on Message { %s } ... on Conversation { messages(first: 9) { %s } } } }"
         % (RECEIPTS, MESSAGES), 10, "the id of a Conversation"),
        ("query Q($id: ID!) { node(id: $id) { ... on Message { %s } ... on Conversation { state } } }" % RECEIPTS.replace(
            "status", "participant { channel }"), 11, "the id of a Message"),
        ("query Q($id: [ID!]!) { nodes(ids: $id) { ... on Message { %s } } }" % RECEIPTS, 1, "the id of one Message"),
    ],
)  # fmt: skip
def test_an_id_is_of_the_dearest_record(text: str, calls: int, assumed: str) -> None:
    price = priced(text)
    assert (price.calls, price.assumed["id"]) == (calls, assumed)


def test_what_is_made_up_for_two_variables_differs() -> None:
    two = "query Q($a: ID!, $b: ID!) { a: service(sid: $a) { url } b: service(sid: $b) { url } c: service(sid: $a) { url } }"
    assert priced(two).calls == 2
    two = "query Q($a: ID!, $b: ID!) { a: node(id: $a) { ...M } b: node(id: $b) { ...M } } fragment M on Message { %s }"
    assert priced(two % RECEIPTS).calls == 2


@pytest.mark.parametrize("declared", ["", "($x: Boolean)", "($x: Boolean!)", "($x: Boolean! = false)"])
def test_deferring_costs_as_much(declared: str) -> None:
    condition = "(if: $x)" if declared else ""
    price = priced(
        f"query Q{declared} {{ {THREAD % f'... @defer{condition} {{ messages(first: 9) {{ {MESSAGES} }} }}'} }}"
    )
    assert (price.calls, price.assumed) == (10, {})


@pytest.mark.parametrize(
    ("text", "given", "errors"),
    [
        ("{ services(first: 1001) { edges { cursor } } }", {}, ["3: services: `first` must be from 0 to 1000."]),
        ("query Q($n: Int!) { services(first: $n) { edges { cursor } } }", {"n": -1},
         ["21: services: `first` must be from 0 to 1000."]),
        ('{ service(sid: "CH1") { url } }', {},
         ["3: service: Expected a sid of the form IS followed by 32 hexadecimal digits."]),
        ('{ nodes(ids: ["x"]) { id } }', {},
         ["3: nodes: This is not an id of this API. Ids are opaque: pass the value of an `id` field."]),
        ("query Q($n: Int!) { services(first: $n) { edges { cursor } } }", {"n": "many"},
         ["9: Variable '$n' has invalid value: Int cannot represent non-integer value: 'many'"]),
        ("query Q($x: ID!) { service(sid: $x) { url } node(id: $x) { id } }", {},
         ["45: node: This is not an id of this API. Ids are opaque: pass the value of an `id` field. The sample for $x is "
          "not valid here: give it a value, --var x=…"]),
        # Whatever a condition's outcome: both are to be right.
        ("query Q($x: Boolean!) { services @skip(if: $x) { edges { cursor } } "
         "b: services(first: -1) @include(if: $x) { edges { cursor } } }", {},
         ["69: services: `first` must be from 0 to 1000."]),
    ],
)  # fmt: skip
def test_what_would_fail_is_told_instead_of_a_price(text: str, given: dict[str, Any], errors: list[str]) -> None:
    assert refused(text, **given) == errors


def test_edges_are_told_by_their_fields() -> None:
    price = priced("query Q($s: ID!) { service(sid: $s) { conversations(first: 3) { edges { node { %s } } } } }"
                   % f"messages(first: 2) {{ {MESSAGES} }}")  # fmt: skip
    assert [(edge.round_trip, edge.calls, edge.field, edge.upstream) for edge in price.edges] == [
        (1, 1, "Query.service.conversations", "Services/{sid}/Conversations?PageSize=3"),
        (2, 3, "Query.service.conversations.messages", "Services/{sid}/Conversations/{sid}/Messages?PageSize=2"),
        (3, 6, "Query.service.conversations.messages.receipts",
         "Services/{sid}/Conversations/{sid}/Messages/{sid}/Receipts?PageSize=50"),
    ]  # fmt: skip
    assert (price.calls, price.round_trips) == (10, 3)
    assert price.fitting(5) == "Query.service.conversations(first: 1)"
    assert price.fitting(1) is None


EXAMPLES = {
    path.stem: path.read_text(encoding="utf-8")
    for path in sorted((Path(__file__).parents[3] / "gateway" / "examples").glob("*.graphql"))
}


@pytest.mark.parametrize("example", EXAMPLES)
async def test_no_operation_takes_more_than_its_worst_case(client: Client, sandbox: Sandbox, example: str) -> None:
    text = EXAMPLES[example]
    variables = landmark_variables(text, sandbox.landmarks)
    price = priced(text)
    outcome = await Account(client).run(Operation(text, variables=variables))
    assert (outcome.calls > 0) == (example != "legend")
    assert outcome.calls <= price.calls == outcome.requested


async def test_what_is_assumed_is_what_a_dry_run_tells(client: Client) -> None:
    text = (
        "query Q($s: ID!, $c: ID!, $n: Int!)"
        "{ service(sid: $s) { conversation(sid: $c) { state messages(first: $n) { %s } } } }" % MESSAGES
    )
    given = {"s": "IS" + "a" * 32, "c": "CH" + "b" * 32, "n": 1000}
    outcome = await Account(client, Limits(cost_max=10**6)).run(Operation(text, variables=given, dry_run=True))
    price = priced(text)
    plan = outcome.extensions["plan"]
    assert (price.calls, price.round_trips) == (plan["requested"], plan["roundTrips"])


SERVICE = 'service(sid: "IS%s") { %%s }' % ("0" * 32)
FOUND = "edges { node { conversation { state } participant { unreadMessages } } }"


@pytest.mark.parametrize(
    ("declared", "used", "calls"),
    [
        ("$by: PersonInput!", f"participations(by: $by, first: 60) {{ {FOUND} }}", 2 + 60 + 60 + 60),
        ("$who: String!", f"participations(by: {{address: $who}}) {{ {FOUND} }}", 1 + 50 + 50 + 50),
        ("$n: Int!", 'participations(by: {identity: "a"}, first: $n) { edges { cursor } }', 20),
    ],
)
def test_a_person_by_one_of_two_is_priced(declared: str, used: str, calls: int) -> None:
    assert priced(f"query Q({declared}) {{ {SERVICE % used} }}").calls == calls


@pytest.mark.parametrize(
    ("used", "calls"),
    [
        ("recipients { edges { node { status } } }", 1 + 9 + 10),
        ("recipients { edges { node { receipt { status } participant { channel } } } }", 1 + 9 + 10),
        ("recipients(first: 3) { edges { node { participant { unreadMessages } } } }", 1 + 9 + 10 + 27),
        ("participant { unreadMessages }", 1 + 10 + 9),
    ],
)
def test_recipients_are_priced(used: str, calls: int) -> None:
    assert priced("{ %s }" % THREAD % f"messages(first: 9) {{ edges {{ node {{ {used} }} }} }}").calls == calls


def test_an_address_is_priced_by_the_record_that_takes_most() -> None:
    receipts = "... on Message { receipts { edges { node { participant { channel } } } } }"
    price = priced(f"query Q($url: URL!) {{ nodeByUrl(url: $url) {{ id {receipts} }} }}")
    assert (price.calls, price.assumed) == (11, {"url": "the address of a Message"})

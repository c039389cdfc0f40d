"""The engine beyond equal results: round trips, prefetch, and what graphql-core executes instead."""

from collections import Counter
from typing import Any

import pytest

from gateway.accounts.operation import Operation
from gateway.execution.executor import Executor
from gateway.execution.outcome import Outcome

from .conftest import MARKS, MESSAGE, SCHEMA, SERVICE, THREAD, Rounds, context_over, message, thread


async def run(query: str, *, no_cache: bool = False, **variables: Any) -> tuple[Outcome, list[list[str]], Counter[str]]:
    upstream = Rounds()
    async with context_over(upstream, no_cache=no_cache) as context:
        outcome = await Executor(SCHEMA).run(Operation(query, variables=variables), context)
    return outcome, upstream.rounds, context.runs


WITH_PARTICIPANT = "{ edges { node { participant { channel } } } }"


async def test_the_reference_query_takes_two_round_trips() -> None:
    receipts = "receipts { edges { node { status participant { channel } } } }"
    selection = "friendlyName messages(first: 50) { edges { node { body %s } } }" % receipts
    query = thread(selection).replace("{ conversation", "{ friendlyName conversation")
    outcome, rounds, runs = await run(query)
    assert not outcome.failures
    assert rounds[0] == [SERVICE, THREAD, f"{THREAD}/Messages?PageSize=50", f"{THREAD}/Participants?PageSize=100"]
    assert [len(calls) for calls in rounds] == [4, 50]
    assert runs == {"engine": 1}


@pytest.mark.parametrize(
    ("query", "rounds"),
    [
        (message("receipts { edges { node { status } } }"), [[f"{MESSAGE}/Receipts?PageSize=50"]]),
        (message("sid"), []),
        (thread("messages(first: 3) { edges { node { deliveryStatus } } }"), [[f"{THREAD}/Messages?PageSize=3"]]),
        (thread("uniqueName service { friendlyName }"), [[THREAD, SERVICE]]),
        # The message, once read, may tell that it has no receipts.
        (message("body receipts { edges { node { sid } } }"), [[MESSAGE], [f"{MESSAGE}/Receipts?PageSize=50"]]),
        # Participants that may well not be needed are not read ahead.
        (
            thread("messages(first: 1) { edges { node { receipts(status: [READ]) %s } } }" % WITH_PARTICIPANT),
            [[f"{THREAD}/Messages?PageSize=1"]],
        ),
        (
            thread("messages(first: 1) { edges { node { receipts { edges { node { participant { sid } } } } } } }"),
            [[f"{THREAD}/Messages?PageSize=1"], [f"{MESSAGE}/Receipts?PageSize=50"]],
        ),
        (thread("friendlyName", "CH" + "0" * 32), [[f"{SERVICE}/Conversations/CH{'0' * 32}"]]),
        (thread("friendlyName", "nonsense"), []),
        ("{ services(first: 1) { edges { node { sid } } } }", [["Services?PageSize=1"]]),
    ],
)  # fmt: skip
async def test_what_is_certain_leaves_together(query: str, rounds: list[list[str]]) -> None:
    outcome, got, runs = await run(query)
    assert got == rounds
    assert runs == {"engine": 1}
    assert outcome.executed


async def test_a_record_that_an_earlier_level_brings_is_not_read_by_itself() -> None:
    """The receipt is known as early as the conversation, whose list of participants includes the receipt's."""
    sid = MARKS["unique_name_conversation_sid"]
    found, _, _ = await run(thread("messages { edges { node { sid receipts { edges { node { sid } } } } } }", sid))
    assert found.data is not None
    messages = [edge["node"] for edge in found.data["service"]["conversation"]["messages"]["edges"]]
    message, receipt = next(
        (message["sid"], edge["node"]["sid"]) for message in messages for edge in message["receipts"]["edges"]
    )
    query = """query Q($service: ID!, $name: String!, $sid: ID!, $message: ID!, $receipt: ID!) { service(sid: $service) {
      conversationByUniqueName(uniqueName: $name) { friendlyName participants(first: 100) { edges { node { sid } } } }
      conversation(sid: $sid) { message(sid: $message) { receipt(sid: $receipt) { participant { identity } } } } } }"""
    given = {"name": MARKS["unique_name"], "sid": sid, "message": message, "receipt": receipt}
    outcome, rounds, _ = await run(query, service=MARKS["service_sid"], **given)
    assert not outcome.failures
    assert [len(calls) for calls in rounds] == [2, 1]


async def test_a_read_ahead_that_proves_useless_is_no_error() -> None:
    sid = "CH" + "0" * 32
    query = thread(
        "friendlyName messages { edges { node { receipts { edges { node { participant { channel } } } } } } }", sid
    )
    outcome, rounds, _ = await run(query)
    assert (outcome.data, outcome.failures) == ({"service": {"conversation": None}}, ())
    assert [len(calls) for calls in rounds] == [3]


async def test_no_cache_reads_all_at_once() -> None:
    _, rounds, _ = await run(message("sid receipts { edges { node { sid } } }"), no_cache=True)
    assert [set(calls) for calls in rounds] == [{SERVICE, THREAD, MESSAGE, f"{MESSAGE}/Receipts?PageSize=50"}]


async def test_conditions_of_another_operation_are_nothing_to_this_one() -> None:
    query = "query A { __typename } query B($yes: Boolean!) { ...F } fragment F on Query { __typename @skip(if: $yes) }"
    async with context_over() as context:
        outcome = await Executor(SCHEMA).run(Operation(query, name="A"), context)
    assert (outcome.data, outcome.failures) == ({"__typename": "Query"}, ())


async def test_conditions_are_not_remembered_from_one_run_to_the_next() -> None:
    executor = Executor(SCHEMA)
    query = "query Q($yes: Boolean!) { a: __typename @include(if: $yes) b: __typename @skip(if: $yes) }"
    for value, key in ((True, "a"), (False, "b"), (True, "a")):
        async with context_over() as context:
            outcome = await executor.run(Operation(query, variables={"yes": value}), context)
        assert outcome.data == {key: "Query"}
        assert context.runs["engine"] == 1


async def test_arguments_are_not_remembered_from_one_run_to_the_next() -> None:
    executor = Executor(SCHEMA)
    query = "query Q($n: Int = 2) { services(first: $n) { edges { node { sid } } } }"
    for variables, count in (({"n": 1}, 1), ({}, 2), ({"n": None}, 4), ({"n": 3}, 3)):
        async with context_over() as context:
            outcome = await executor.run(Operation(query, variables=variables), context)
        assert outcome.data is not None
        assert len(outcome.data["services"]["edges"]) == count


@pytest.mark.parametrize(
    ("query", "runs"),
    [
        ("{ __schema { queryType { name } } }", {"engine": 1, "introspection": 1}),
        ('{ __type(name: "Query") { name } service(sid: "x") { sid } }', {"engine": 1, "introspection": 1}),
        ("{ nodes(ids: [%s]) { id } }" % ('"x" ' * 101), {"null where none may be": 1}),
    ],
)
async def test_what_is_not_for_the_engine_is_counted_by_its_reason(query: str, runs: dict[str, int]) -> None:
    _, _, counted = await run(query)
    assert counted == runs


async def test_what_is_asked_about_the_schema_stands_beside_the_rest() -> None:
    query = """
      query Q($no: Boolean = false) { a: __typename ...F services(first: 1) { edges { node { sid } } } last: __typename }
      fragment F on Query {
        __schema { queryType { name } } t: __type(name: "Nope") { name } __schema @skip(if: $no) { __typename }
      }
    """
    outcome, rounds, _ = await run(query)
    assert outcome.data is not None
    assert list(outcome.data) == ["a", "__schema", "t", "services", "last"]
    assert outcome.data["__schema"] == {"queryType": {"name": "Query"}, "__typename": "__Schema"}
    assert outcome.data["t"] is None
    assert outcome.data["services"]["edges"]
    assert rounds == [["Services?PageSize=1"]]


async def test_a_condition_must_be_true_or_false() -> None:
    outcome, _, _ = await run("query Q($x: Boolean = true) { a: __typename @include(if: $x) }", x=None)
    assert not outcome.executed
    assert [failure.error.code for failure in outcome.failures] == ["BAD_USER_INPUT"]


async def test_errors_are_listed_up_to_a_bound() -> None:
    aliases = " ".join(f'c{number}: conversation(sid: "x") {{ sid }}' for number in range(20))
    query = thread("messages(first: 60) { edges { node { service { %s } } } }" % aliases)
    outcome, _, _ = await run(query)
    assert len(outcome.failures) == 1001
    assert "more errors" in outcome.failures[-1].error.message


async def test_what_is_written_once_counts_wherever_it_stands() -> None:
    aliases = " ".join(f"s{number}: service {{ sid }}" for number in range(90))
    query = thread(
        "messages(first: 100) { edges { node { conversation { messages(first: 100) { edges { node { %s } } } } } } }"
    )
    outcome, _, _ = await run(query % aliases)
    assert {failure.error.code for failure in outcome.failures} == {"COST_LIMIT_EXCEEDED"}


async def test_the_same_record_is_written_once_and_stands_everywhere() -> None:
    selection = (
        "messages(first: 5) { edges { node { receipts { edges { node { participant { sid channel identity } } } } } } }"
    )
    outcome, _, _ = await run(thread(selection))
    assert outcome.data is not None
    found: dict[str, Any] = {}
    for edge in outcome.data["service"]["conversation"]["messages"]["edges"]:
        for row in edge["node"]["receipts"]["edges"]:
            participant = row["node"]["participant"]
            assert found.setdefault(participant["sid"], participant) is participant
    assert len(found) > 1


async def test_plans_are_kept_by_what_they_weigh() -> None:
    executor = Executor(SCHEMA)
    flags = [f"$v{number}: Boolean!" for number in range(6)]
    nodes = " ".join(f'a{number}: node(id: "x") @include(if: $v{number}) {{ ...M }}' for number in range(6))
    below = "... on Message { conversation { service { sid } participants { edges { node { channel } } } } }"
    document = "query Q(%s) { %s } fragment M on Node { %s }" % (", ".join(flags), nodes, below * 20)
    for values in range(64):
        async with context_over() as context:
            given = {f"v{number}": bool(values >> number & 1) for number in range(6)}
            outcome = await executor.run(Operation(document, variables=given), context)
        assert outcome.executed
    assert len(executor._plans) == 64  # They are light: all of them fit.
    padded = "query P { __typename } #" + "x" * 60_000
    for number in range(30):
        async with context_over() as context:
            assert (await executor.run(Operation(f"{padded}{number}"), context)).data == {"__typename": "Query"}
    assert {text[:7] for (text, _), *_ in executor._plans} == {"query P"}
    assert len(executor._plans) == 10  # Each of their documents weighs a tenth of the cache.

"""`@defer`: the initial result, what is delivered together in subsequent payloads, and errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.accounts.operation import Operation
from gateway.errors import UpstreamUnavailable
from gateway.execution.context import OperationLimits
from gateway.execution.deferred import IncrementalPayload
from gateway.execution.executor import Executor
from gateway.execution.outcome import Outcome
from gateway.sandbox.api import Api
from gateway.sandbox.world import World
from gateway.twilio.responses import Response

from ..conftest import Answers, Steps
from .conftest import MARKS, MESSAGE, SCHEMA, THREAD, Rounds, context_over, message, sandbox_answer, thread


class Altered(Rounds):
    """Rounds with altered responses."""

    def __init__(self, alter: Callable[[str, Response], Response]) -> None:
        super().__init__()
        self._alter = alter

    async def answer(self, target: str) -> Response:
        return self._alter(target, await super().answer(target))


async def run(
    query: str, upstream: Rounds | None = None, *, no_cache: bool = False, **variables: Any
) -> tuple[Outcome, list[IncrementalPayload], list[list[str]]]:
    upstream = upstream or Rounds()
    payloads: list[IncrementalPayload] = []
    async with context_over(upstream, no_cache=no_cache) as context:
        initial = await Executor(SCHEMA).run(Operation(query, variables=variables, defer=True), context)
        if initial.subsequent is not None:
            payloads = [payload async for payload in initial.subsequent]
    return initial, payloads, upstream.rounds


def paths(payload: IncrementalPayload) -> list[tuple[str | int, ...]]:
    return [part.pending.path for part in payload.incremental]


async def test_receipts_behind_their_messages_come_in_one_payload_and_one_round_trip() -> None:
    receipts = (
        'edges { node { sid ... @defer(label: "R") { receipts { edges { node { participant { channel } } } } } } }'
    )
    initial, payloads, rounds = await run(thread("messages(first: 20) { %s }" % receipts))
    assert rounds[0] == [f"{THREAD}/Messages?PageSize=20"]
    assert [len(calls) for calls in rounds] == [1, 21]  # With the conversation's participants, which all will need.
    assert f"{THREAD}/Participants?PageSize=100" in rounds[1]
    assert initial.data is not None
    assert set(initial.data["service"]["conversation"]["messages"]["edges"][0]["node"]) == {"sid"}
    (payload,) = payloads
    assert not payload.has_next
    assert {part.pending.label for part in payload.incremental} == {"R"}
    here = ("service", "conversation", "messages", "edges")
    assert paths(payload) == [(*here, number, "node") for number in range(20)]
    assert [later.path for later in initial.pending] == paths(payload)
    assert all(part.data and part.data["receipts"]["edges"][0]["node"]["participant"] for part in payload.incremental)
    assert initial.requested == 1 + 20 + 10


async def test_a_fragment_does_not_wait_for_another() -> None:
    query = thread(
        "... @defer { participants(first: 1) { edges { node { sid } } } }"
        "... @defer { messages(first: 2) { edges { node { receipts { edges { node { sid } } } } } } }"
    )
    _, payloads, _ = await run(query)
    assert [[list(part.data or {}) for part in payload.incremental] for payload in payloads] == [
        [["participants"]],
        [["messages"]],
    ]
    assert [payload.has_next for payload in payloads] == [True, False]


async def test_what_comes_at_one_time_comes_in_the_order_of_the_query() -> None:
    labels = [f"l{number}" for number in range(20)]
    query = message(" ".join(f'... @defer(label: "{label}") {{ body }}' for label in labels))
    _, payloads, _ = await run(query)
    assert [[part.pending.label for part in payload.incremental] for payload in payloads] == [labels]


async def test_a_fragment_within_one_comes_after_it() -> None:
    query = message('sid ... @defer(label: "a") { body ... @defer(label: "b") { receipts { totalCount } } }')
    initial, payloads, _ = await run(query)
    assert [later.label for later in initial.pending] == ["a"]
    assert [[part.pending.label for part in payload.incremental] for payload in payloads] == [["a"], ["b"]]
    assert [[later.label for later in payload.pending] for payload in payloads] == [["b"], []]


async def test_a_record_is_not_looked_up_before_the_answer_when_only_deferred_fields_need_it() -> None:
    initial, payloads, rounds = await run(thread("sid ... @defer { friendlyName }"))
    assert initial.data == {"service": {"conversation": {"sid": MARKS["conversation_sid"]}}}
    assert (initial.requested, rounds) == (1, [[THREAD]])
    assert [part.data for part in payloads[0].incremental] == [{"friendlyName": "Boiler inspection"}]


async def test_what_the_answer_rules_out_is_not_read_for_what_is_deferred() -> None:
    receipts = "... @defer { receipts { edges { node { sid } } } }"
    query = thread('message(sid: "%s") { body %s }' % (MARKS["chat_only_message_sid"], receipts))
    _, payloads, rounds = await run(query)
    assert rounds == [[f"{THREAD}/Messages/{MARKS['chat_only_message_sid']}"]]
    assert [part.data for part in payloads[0].incremental] == [{"receipts": {"edges": []}}]


async def test_a_record_that_proves_not_to_be_there_is_an_error_in_its_part() -> None:
    _, payloads, _ = await run(thread("sid ... @defer { friendlyName }", "CH" + "0" * 32))
    ((part,),) = (payload.incremental for payload in payloads)
    assert part.data is None
    assert [(failure.error.code, failure.path) for failure in part.failures] == [("NOT_FOUND", part.pending.path)]


async def test_a_failure_is_told_with_the_part_that_it_is_in() -> None:
    second = f"{THREAD}/Messages/"

    def alter(target: str, answer: Response) -> Response:
        return Response(503, {}, b"") if target.startswith(second) and MARKS["message_sid"] in target else answer

    receipts = "... @defer { receipts { edges { node { sid } } } }"
    query = thread("messages(first: 3) { edges { node { sid %s } } }" % receipts)
    initial, payloads, _ = await run(query, Altered(alter))
    assert not initial.failures
    ((*parts,),) = (payload.incremental for payload in payloads)
    failed = [part for part in parts if part.failures]
    (failure,) = failed[0].failures
    assert isinstance(failure.error, UpstreamUnavailable)
    assert failure.path == (*failed[0].pending.path, "receipts")
    assert failed[0].data == {"receipts": None}
    assert all(part.data and part.data["receipts"] for part in parts if part not in failed)


class Many(Answers):
    """Twilio with many messages, and without latency."""

    def __init__(self) -> None:
        self.api = Api(World(1, "medium", None))

    async def answer(self, target: str) -> Response:
        return sandbox_answer(target, self.api)


async def test_many_failures_take_no_more_work_each_than_a_few() -> None:
    """If each result looked at all errors, four times as many errors would take four times the work each."""
    messages = "messages(first: 50) { edges { node { ... @defer { receipts { edges { node { sid } } } } } } }"
    query = '{ service(sid: "%s") { conversations(first: %d) { edges { node { %s } } } } }'
    failures, work = [], []
    for size in (5, 20):
        document = query % (MARKS["service_sid"], size, messages)
        async with context_over(Many(), limits=OperationLimits(cost_max=100_000, cost_limit=25)) as context:
            initial = await Executor(SCHEMA).run(Operation(document, defer=True), context)
            assert initial.subsequent is not None
            with Steps() as steps:
                results = [result async for payload in initial.subsequent for result in payload.incremental]
        failures.append(sum(len(result.failures) for result in results))
        work.append(steps.count / failures[-1])
    assert failures[1] > 3 * failures[0] > 300
    assert work[1] < 1.5 * work[0]


async def test_where_null_may_not_stand_one_part_alone_comes_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    query = thread("messages(first: 3) { edges { node { sid ... @defer { deliveryStatus index } } } }")
    executor = Executor(SCHEMA)
    async with context_over() as context:
        initial = await executor.run(Operation(query, defer=True), context)
        plan = next(cached.plan for cached in executor._plans.values())
        node = plan.root
        for _ in range(5):
            step: Any = node.steps[0] if not hasattr(node.steps[0], "reads_row") else node.steps[1]
            node = step.selection if hasattr(step, "selection") else next(iter(step.selections.values()))
        status = node.deferred[0].selection.steps[0]
        read = status.read  # type: ignore[union-attr]
        monkeypatch.setattr(status, "read", lambda row: None if row.index == 1 else read(row))
        assert initial.subsequent is not None
        (payload,) = [payload async for payload in initial.subsequent]
    assert [part.data is None for part in payload.incremental] == [False, True, False]
    (failure,) = payload.incremental[1].failures
    assert (failure.error.code, failure.path) == ("INTERNAL_SERVER_ERROR", payload.incremental[1].pending.path)


@pytest.mark.parametrize(
    ("variables", "parts"),
    [({"yes": True}, 1), ({"yes": False}, 0), ({}, 1)],
)
async def test_a_variable_decides(variables: Any, parts: int) -> None:
    query = "query Q($yes: Boolean! = true) " + thread("sid ... @defer(if: $yes) { uniqueName }")
    initial, payloads, _ = await run(query, **variables)
    assert len(payloads) == len(initial.pending) == parts


async def test_a_null_variable_is_refused() -> None:
    initial, _, _ = await run("query Q($yes: Boolean = true) " + thread("... @defer(if: $yes) { sid }"), yes=None)
    assert [failure.error.code for failure in initial.failures] == ["BAD_USER_INPUT"]


@pytest.mark.parametrize(
    "query",
    [
        "{ ... @defer { __schema { queryType { name } } } }",
        '{ ... @defer { sid: __typename } ... @defer { ...S } } fragment S on Query { __type(name: "Query") { name } }',
    ],
)
@pytest.mark.parametrize("defer", [True, False])
async def test_what_asks_about_the_schema_comes_whole(query: str, defer: bool) -> None:
    async with context_over() as context:
        outcome = await Executor(SCHEMA).run(Operation(query, defer=defer), context)
    assert (outcome.failures, outcome.pending) == ((), [])
    assert '{"name": "Query"}' in json.dumps(outcome.data)


async def test_stream_is_unknown() -> None:
    initial, _, _ = await run("{ services { edges @stream { cursor } } }")
    assert [failure.error.code for failure in initial.failures] == ["GRAPHQL_VALIDATION_FAILED"]


async def test_nobody_listens_to_the_end() -> None:
    upstream = Rounds()
    query = message("sid ... @defer { receipts { edges { node { sid } } } } ... @defer { body }")
    async with context_over(upstream) as context:
        initial = await Executor(SCHEMA).run(Operation(query, defer=True), context)
        assert initial.subsequent is not None
        async for _ in initial.subsequent:
            break
        await initial.subsequent.aclose()
    assert upstream.rounds == [[MESSAGE], [f"{MESSAGE}/Receipts?PageSize=50"]]


async def test_without_a_client_that_takes_parts_defer_means_nothing() -> None:
    query = '{ service(sid: "%s") { sid ... @defer { friendlyName } } }' % MARKS["service_sid"]
    executor = Executor(SCHEMA)
    for engine in (True, False):
        async with context_over() as context:
            outcome = await executor.run(Operation(query, reference=not engine), context)
        assert outcome.subsequent is None
        assert outcome.data is not None
        assert set(outcome.data["service"]) == {"sid", "friendlyName"}


def delivered(payloads: list[IncrementalPayload]) -> list[list[tuple[str | None, tuple[str | int, ...], list[str]]]]:
    """For each payload the parts: the label of the fragment that each has the id of, its path below, and its keys."""
    return [
        [
            (place.label, part.path[len(place.path) :], list(part.data or {}))
            for result in payload.incremental
            for place, part in result.parts
        ]
        for payload in payloads
    ]


async def test_a_field_of_two_fragments_is_executed_and_delivered_once() -> None:
    shared = "receipts(first: 1) { totalCount }"
    query = message(f'... @defer(label: "A") {{ {shared} }} ... @defer(label: "B") {{ body {shared} }}')
    _, payloads, rounds = await run(query)
    assert rounds == [[MESSAGE]]  # As without `@defer`: its summary has the number of receipts.
    assert [part for parts in delivered(payloads) for part in parts] == [("A", (), ["receipts"]), ("B", (), ["body"])]
    a, b = (result for payload in payloads for result in payload.incremental)
    assert a.data is not None
    assert b.data is not None
    assert a.data["receipts"] == b.data["receipts"] == {"totalCount": 4}
    assert b.data["body"]


async def test_a_field_of_two_fragments_has_one_outcome() -> None:
    def alter(target: str, answer: Response) -> Response:
        return Response(503, {}, b"") if "/Receipts" in target else answer

    shared = "receipts(first: 1) { edges { node { sid } } }"
    query = message(f'... @defer(label: "A") {{ {shared} }} ... @defer(label: "B") {{ {shared} body }}')
    _, payloads, rounds = await run(query, Altered(alter))
    assert len({target for calls in rounds for target in calls}) == 2
    results = {result.pending.label: result for payload in payloads for result in payload.incremental}
    assert {label: (result.data or {})["receipts"] for label, result in results.items()} == {"A": None, "B": None}
    assert results["A"].failures == results["B"].failures
    assert sum(len(payload.failures) for payload in payloads) == 1
    assert [keys for each in delivered(payloads) for _, _, keys in each].count(["receipts"]) == 1


@pytest.mark.parametrize(
    ("selection", "parts"),
    [
        (  # The innermost fragment by place has the shared field.
            '... @defer(label: "A") { delivery { total } } delivery { ... @defer(label: "B") { total } }',
            [[("B", (), ["total"])]],
        ),
        (  # A fragment within one does not repeat its fields.
            '... @defer(label: "A") { body ... @defer(label: "B") { body author } }',
            [[("A", (), ["body"])], [("B", (), ["author"])]],
        ),
        (  # Nor the fields of the initial answer.
            'body ... @defer(label: "A") { body author ... @defer(label: "B") { body } }',
            [[("A", (), ["author"])]],
        ),
        (  # Below a field that is delivered, only what it lacks.
            'delivery { total } ... @defer(label: "A") { delivery { total sent } }',
            [[("A", ("delivery",), ["sent"])]],
        ),
        (
            '... @defer(label: "A") { delivery { total } } ... @defer(label: "B") { delivery { total sent } body }',
            [[("A", (), ["delivery"]), ("B", (), ["body"]), ("B", ("delivery",), ["sent"])]],
        ),
    ],
)
async def test_no_field_is_delivered_twice(selection: str, parts: Any) -> None:
    _, payloads, _ = await run(message(selection))
    merged: list[list[Any]] = []
    for each in delivered(payloads):  # What is complete at once may come in one payload or in several.
        merged.append(sorted(each))
    if len(merged) > len(parts):
        merged = [sorted(part for each in merged for part in each)]
    assert merged == parts


async def test_a_fragment_without_fields_of_its_own_is_not_deferred() -> None:
    initial, payloads, _ = await run(message("sid body ... @defer { body ... @defer { sid } }"))
    assert initial.data is not None
    assert (initial.pending, initial.subsequent, payloads) == ([], None, [])


RECEIPTS_FAIL_LATER = message("body receipts(first: 1) { totalCount } ... @defer { %s }")


async def test_a_deferred_field_that_fails_leaves_what_was_delivered() -> None:
    def alter(target: str, answer: Response) -> Response:
        return Response(503, {}, b"") if "/Receipts" in target else answer

    query = RECEIPTS_FAIL_LATER % "author receipts(first: 1) { edges { node { sid } } }"
    initial, payloads, _ = await run(query, Altered(alter))
    assert initial.data is not None
    assert initial.data["service"]["conversation"]["message"]["receipts"] == {"totalCount": 4}
    results = [result for payload in payloads for result in payload.incremental]
    (result,) = results
    assert result.data is not None
    assert (result.data["receipts"], list(result.data)) == ({}, ["receipts", "author"])
    (failure,) = result.errors
    assert failure.path == (*result.pending.path, "receipts")
    assert [keys for each in delivered(payloads) for _, _, keys in each] == [["author"]]


async def test_one_record_that_fails_leaves_the_others_of_its_fragment() -> None:
    def alter(target: str, answer: Response) -> Response:
        return Response(503, {}, b"") if f"{MESSAGE}/Receipts" in target else answer

    query = thread(
        "messages(first: 3) { edges { node { receipts { totalCount } } } }"
        "... @defer { messages(first: 3) { edges { node { receipts { edges { node { sid } } } } } } }"
    )
    _, payloads, rounds = await run(query, Altered(alter))
    ((result,),) = (payload.incremental for payload in payloads)
    assert [failure.path for failure in result.errors] == [
        ("service", "conversation", "messages", "edges", 0, "node", "receipts")
    ]
    below = [part.path for _, part in result.parts]
    assert below == [("service", "conversation", "messages", "edges", n, "node", "receipts") for n in (1, 2)]
    assert len({target for calls in rounds for target in calls}) == 4


@pytest.mark.parametrize("inner", ["", "... @defer { author body }"])
async def test_many_parts_of_one_fragment_take_no_more_work_each_than_a_few(inner: str) -> None:
    work = []
    for size in (10, 80):
        query = thread(
            f"messages(first: {size}) {{ edges {{ node {{ sid }} }} }}"
            f"... @defer {{ messages(first: {size}) {{ edges {{ node {{ body {inner} }} }} }} }}"
        )
        async with context_over(Many()) as context:
            initial = await Executor(SCHEMA).run(Operation(query, defer=True), context)
            assert initial.subsequent is not None
            with Steps() as steps:
                results = [result async for payload in initial.subsequent for result in payload.incremental]
                assert len(results[0].parts) == size
                assert all(result.data for result in results)
        work.append(steps.count / size)
    assert work[1] < 1.5 * work[0]

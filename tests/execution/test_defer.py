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
    assert upstream.rounds == [[f"{MESSAGE}/Receipts?PageSize=50", MESSAGE]]


async def test_without_a_client_that_takes_parts_defer_means_nothing() -> None:
    query = '{ service(sid: "%s") { sid ... @defer { friendlyName } } }' % MARKS["service_sid"]
    executor = Executor(SCHEMA)
    for engine in (True, False):
        async with context_over() as context:
            outcome = await executor.run(Operation(query, reference=not engine), context)
        assert outcome.subsequent is None
        assert outcome.data is not None
        assert set(outcome.data["service"]) == {"sid", "friendlyName"}

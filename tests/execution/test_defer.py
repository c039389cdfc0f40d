"""`@defer`: what comes first, what comes later and together, and what becomes of it when something is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.accounts.operation import Operation
from gateway.errors import UpstreamUnavailable
from gateway.execution.engine import IncrementalPayload
from gateway.execution.executor import Executor
from gateway.execution.outcome import Outcome
from gateway.graph.context import Context
from gateway.graph.types import RESOURCES
from gateway.sandbox import Switches
from gateway.sandbox.api import Api
from gateway.sandbox.world import World
from gateway.source.loaders import Loaders
from gateway.source.options import ReadOptions
from gateway.source.source import Source
from gateway.twilio.responses import Response

from ..conftest import Answers, Steps, client_over
from .test_engine import MARKS, MESSAGE, SCHEMA, THREAD, Rounds, message, thread


class Altered(Rounds):
    """Rounds whose answers are altered first."""

    def __init__(self, alter: Callable[[str, Response], Response]) -> None:
        super().__init__()
        self._alter = alter

    async def answer(self, target: str) -> Response:
        return self._alter(target, await super().answer(target))


async def run(
    query: str, upstream: Rounds | None = None, *, no_cache: bool = False, **variables: Any
) -> tuple[Outcome, list[IncrementalPayload], list[list[str]], Executor]:
    executor, upstream = Executor(SCHEMA), upstream or Rounds()
    frames: list[IncrementalPayload] = []
    async with (
        client_over(upstream) as client,
        Loaders(Source(client, RESOURCES), ReadOptions(no_cache=no_cache)) as loaders,
    ):
        first = await executor.run(Operation(query, variables=variables, defer=True), Context(loaders))
        if first.subsequent is not None:
            frames = [frame async for frame in first.subsequent]
    return first, frames, upstream.rounds, executor


def paths(frame: IncrementalPayload) -> list[tuple[str | int, ...]]:
    return [part.at.path for part in frame.parts]


async def test_receipts_behind_their_messages_come_in_one_frame_and_one_round_trip() -> None:
    receipts = (
        'edges { node { sid ... @defer(label: "R") { receipts { edges { node { participant { channel } } } } } } }'
    )
    first, frames, rounds, _ = await run(thread("messages(first: 20) { %s }" % receipts))
    assert rounds[0] == [f"{THREAD}/Messages?PageSize=20"]
    assert [len(calls) for calls in rounds] == [1, 21]  # With the conversation's participants, which all will need.
    assert f"{THREAD}/Participants?PageSize=100" in rounds[1]
    assert first.data is not None
    assert set(first.data["service"]["conversation"]["messages"]["edges"][0]["node"]) == {"sid"}
    (frame,) = frames
    assert frame.is_last
    assert {part.at.label for part in frame.parts} == {"R"}
    here = ("service", "conversation", "messages", "edges")
    assert paths(frame) == [(*here, number, "node") for number in range(20)]
    assert [later.path for later in first.pending] == paths(frame)
    assert all(part.data and part.data["receipts"]["edges"][0]["node"]["participant"] for part in frame.parts)
    assert first.requested == 1 + 20 + 10


async def test_a_fragment_does_not_wait_for_another() -> None:
    query = thread(
        "... @defer { participants(first: 1) { edges { node { sid } } } }"
        "... @defer { messages(first: 2) { edges { node { receipts { edges { node { sid } } } } } } }"
    )
    _, frames, _, _ = await run(query)
    assert [[list(part.data or {}) for part in frame.parts] for frame in frames] == [[["participants"]], [["messages"]]]
    assert [frame.is_last for frame in frames] == [False, True]


async def test_what_comes_at_one_time_comes_in_the_order_of_the_query() -> None:
    labels = [f"l{number}" for number in range(20)]
    query = message(" ".join(f'... @defer(label: "{label}") {{ body }}' for label in labels))
    _, frames, _, _ = await run(query)
    assert [[part.at.label for part in frame.parts] for frame in frames] == [labels]


async def test_a_fragment_within_one_comes_after_it() -> None:
    query = message('sid ... @defer(label: "a") { body ... @defer(label: "b") { receipts { totalCount } } }')
    first, frames, _, _ = await run(query)
    assert [later.label for later in first.pending] == ["a"]
    assert [[part.at.label for part in frame.parts] for frame in frames] == [["a"], ["b"]]
    assert [[later.label for later in frame.later] for frame in frames] == [["b"], []]


async def test_a_record_is_not_looked_up_before_the_answer_when_only_deferred_fields_need_it() -> None:
    first, frames, rounds, _ = await run(thread("sid ... @defer { friendlyName }"))
    assert first.data == {"service": {"conversation": {"sid": MARKS["conversation_sid"]}}}
    assert (first.requested, rounds) == (1, [[THREAD]])
    assert [part.data for part in frames[0].parts] == [{"friendlyName": "Boiler inspection"}]


async def test_what_the_answer_rules_out_is_not_read_for_what_is_deferred() -> None:
    receipts = "... @defer { receipts { edges { node { sid } } } }"
    query = thread('message(sid: "%s") { body %s }' % (MARKS["chat_only_message_sid"], receipts))
    _, frames, rounds, _ = await run(query)
    assert rounds == [[f"{THREAD}/Messages/{MARKS['chat_only_message_sid']}"]]
    assert [part.data for part in frames[0].parts] == [{"receipts": {"edges": []}}]


async def test_a_record_that_proves_not_to_be_there_is_an_error_in_its_part() -> None:
    _, frames, _, _ = await run(thread("sid ... @defer { friendlyName }", "CH" + "0" * 32))
    ((part,),) = (frame.parts for frame in frames)
    assert part.data is None
    assert [(failure.error.code, failure.path) for failure in part.failures] == [("NOT_FOUND", part.at.path)]


async def test_a_failure_is_told_with_the_part_that_it_is_in() -> None:
    second = f"{THREAD}/Messages/"

    def alter(target: str, answer: Response) -> Response:
        return Response(503, {}, b"") if target.startswith(second) and MARKS["message_sid"] in target else answer

    receipts = "... @defer { receipts { edges { node { sid } } } }"
    query = thread("messages(first: 3) { edges { node { sid %s } } }" % receipts)
    first, frames, _, _ = await run(query, Altered(alter))
    assert not first.failures
    ((*parts,),) = (frame.parts for frame in frames)
    failed = [part for part in parts if part.failures]
    (failure,) = failed[0].failures
    assert isinstance(failure.error, UpstreamUnavailable)
    assert failure.path == (*failed[0].at.path, "receipts")
    assert failed[0].data == {"receipts": None}
    assert all(part.data and part.data["receipts"] for part in parts if part not in failed)


class Many(Answers):
    """Twilio with many messages, and no wait."""

    def __init__(self) -> None:
        self.api = Api(World(1, "medium", None))

    async def answer(self, target: str) -> Response:
        path, _, query = target.partition("?")
        answer = self.api.answer("GET", f"/v1/{path}", query, "http://twilio.test", Switches(), b"")
        return Response(answer.status, {}, answer.body)


async def test_many_failures_take_no_more_work_each_than_a_few() -> None:
    """Where each part looked at the errors of all, four times as many would take four times the work each."""
    messages = "messages(first: 50) { edges { node { ... @defer { receipts { edges { node { sid } } } } } } }"
    query = '{ service(sid: "%s") { conversations(first: %d) { edges { node { %s } } } } }'
    failures, work = [], []
    for size in (5, 20):
        async with client_over(Many()) as client, Loaders(Source(client, RESOURCES)) as loaders:
            context = Context(loaders, cost_max=100_000, cost_limit=25)
            first = await Executor(SCHEMA).run(
                Operation(query % (MARKS["service_sid"], size, messages), defer=True), context
            )
            assert first.subsequent is not None
            with Steps() as steps:
                parts = [part async for frame in first.subsequent for part in frame.parts]
        failures.append(sum(len(part.failures) for part in parts))
        work.append(steps.count / failures[-1])
    assert failures[1] > 3 * failures[0] > 300
    assert work[1] < 1.5 * work[0]


async def test_where_null_may_not_stand_one_part_alone_comes_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    query = thread("messages(first: 3) { edges { node { sid ... @defer { deliveryStatus index } } } }")
    executor = Executor(SCHEMA)
    async with client_over(Rounds()) as client, Loaders(Source(client, RESOURCES)) as loaders:
        first = await executor.run(Operation(query, defer=True), Context(loaders))
        plan = next(plan for plan, _ in executor._plans.values())
        node = plan.root
        for _ in range(5):
            step: Any = node.steps[0] if not hasattr(node.steps[0], "of_row") else node.steps[1]
            node = step.selection if hasattr(step, "selection") else next(iter(step.selections._made.values()))
        status = node.deferred[0].selection.steps[0]
        read = status.read  # type: ignore[union-attr]
        monkeypatch.setattr(status, "read", lambda row: None if row.index == 1 else read(row))
        assert first.subsequent is not None
        (frame,) = [frame async for frame in first.subsequent]
    assert [part.data is None for part in frame.parts] == [False, True, False]
    (failure,) = frame.parts[1].failures
    assert (failure.error.code, failure.path) == ("INTERNAL_SERVER_ERROR", frame.parts[1].at.path)


@pytest.mark.parametrize(
    ("variables", "parts"),
    [({"yes": True}, 1), ({"yes": False}, 0), ({}, 1)],
)
async def test_a_variable_decides(variables: Any, parts: int) -> None:
    query = "query Q($yes: Boolean! = true) " + thread("sid ... @defer(if: $yes) { uniqueName }")
    first, frames, _, _ = await run(query, **variables)
    assert len(frames) == len(first.pending) == parts


async def test_a_null_variable_is_refused() -> None:
    first, _, _, _ = await run("query Q($yes: Boolean = true) " + thread("... @defer(if: $yes) { sid }"), yes=None)
    assert [failure.error.code for failure in first.failures] == ["BAD_USER_INPUT"]


@pytest.mark.parametrize(
    "query",
    [
        "{ ... @defer { __schema { queryType { name } } } }",
        '{ ... @defer { sid: __typename } ... @defer { ...S } } fragment S on Query { __type(name: "Query") { name } }',
    ],
)
@pytest.mark.parametrize("defer", [True, False])
async def test_what_asks_about_the_schema_comes_whole(query: str, defer: bool) -> None:
    async with client_over(Rounds()) as client, Loaders(Source(client, RESOURCES)) as loaders:
        outcome = await Executor(SCHEMA).run(Operation(query, defer=defer), Context(loaders))
    assert (outcome.failures, outcome.pending) == ((), [])
    assert '{"name": "Query"}' in json.dumps(outcome.data)


async def test_stream_is_unknown() -> None:
    first, _, _, _ = await run("{ services { edges @stream { cursor } } }")
    assert [failure.error.code for failure in first.failures] == ["GRAPHQL_VALIDATION_FAILED"]


async def test_nobody_listens_to_the_end() -> None:
    upstream = Rounds()
    query = message("sid ... @defer { receipts { edges { node { sid } } } } ... @defer { body }")
    async with client_over(upstream) as client, Loaders(Source(client, RESOURCES)) as loaders:
        first = await Executor(SCHEMA).run(Operation(query, defer=True), Context(loaders))
        assert first.subsequent is not None
        async for _ in first.subsequent:
            break
        await first.subsequent.aclose()
    assert upstream.rounds == [[f"{MESSAGE}/Receipts?PageSize=50", MESSAGE]]


async def test_without_a_client_that_takes_parts_defer_means_nothing() -> None:
    query = '{ service(sid: "%s") { sid ... @defer { friendlyName } } }' % MARKS["service_sid"]
    executor = Executor(SCHEMA)
    for engine in (True, False):
        async with client_over(Rounds()) as client, Loaders(Source(client, RESOURCES)) as loaders:
            outcome = await executor.run(Operation(query, reference=not engine), Context(loaders))
        assert outcome.subsequent is None
        assert outcome.data is not None
        assert set(outcome.data["service"]) == {"sid", "friendlyName"}

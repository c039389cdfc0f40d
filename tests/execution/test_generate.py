"""Generated code: what its text holds, when it is generated, and what the interpreter executes instead."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from gateway.accounts.operation import Operation
from gateway.execution.context import OperationLimits
from gateway.execution.executor import Executor
from gateway.execution.generate import GeneratedPlan
from gateway.execution.outcome import Outcome
from gateway.graph.context import OperationContext
from gateway.graph.types import RESOURCES
from gateway.source.loaders import Loaders
from gateway.source.memory import MemoryCache
from gateway.source.source import Source
from gateway.twilio.responses import Response

from ..conftest import client_over
from .conftest import MARKS, SCHEMA, THREAD, Rounds, context_over, message, thread

ORDINARY = thread(
    "friendlyName dateCreated messages(first: 5) { pageInfo { hasNextPage endCursor } edges { cursor node { id sid index "
    "dateCreated delivery { total read } media { sid } participant { identity } service { friendlyName } "
    "receipts { totalCount edges { node { status errorCode error { title category advice resend } dateUpdated "
    "conversationSid participant { sid channel messagingBinding { address } } } } } } } }"
)


class Altered(Rounds):
    """An upstream whose bodies are altered."""

    def __init__(self, alter: Callable[[str, bytes], bytes]) -> None:
        super().__init__()
        self.alter = alter

    async def answer(self, target: str) -> Response:
        response = await super().answer(target)
        return Response(response.status, response.headers, self.alter(target, response.body))


async def execute(
    query: str, *, generate_at: int, upstream: Rounds | None = None, limits: OperationLimits | None = None, **more: Any
) -> tuple[Outcome, list[list[str]], Counter[str]]:
    upstream = upstream or Rounds()
    async with context_over(upstream, limits=limits) as context:
        outcome = await Executor(SCHEMA, generate_at=generate_at).run(Operation(query, **more), context)
    return outcome, upstream.rounds, context.runs


def code_of(executor: Executor) -> list[GeneratedPlan | str | None]:
    return [planned.generated for planned in executor._plans.values()]


@pytest.mark.parametrize(
    "query",
    [
        ORDINARY,
        thread(
            "participants(first: 150) { pageInfo { endCursor hasNextPage } edges { cursor node { sid } } }",
            MARKS["crowded_conversation_sid"],
        ),
        thread(
            "messages(deliveryStatus: [FAILED]) { pageInfo { endCursor } edges { cursor node { id receipts(status: FAILED) "
            "{ totalCount edges { cursor node { id message { id } } } } } } }"
        ),
        thread("messages(first: 60) { edges { node { receipts(first: 1) { totalCount edges { node { sid } } } } } }"),
    ],
)
async def test_what_is_ordinary_is_executed_by_generated_code(query: str) -> None:
    generated, rounds, runs = await execute(query, generate_at=1)
    interpreted, expected, _ = await execute(query, generate_at=2)
    assert runs == {"engine": 1, "generated": 1}
    assert rounds == expected
    assert (generated.data, generated.failures) == (interpreted.data, ())


@pytest.mark.parametrize(
    "node",
    [
        "id __typename",  # Relay
        "__typename id sid chatServiceSid conversationSid url attributes delivery { total __typename } deliveryStatus",
    ],
)
async def test_what_clients_add_to_lists_makes_no_object_for_each_row(node: str) -> None:
    query = thread(
        f"messages(first: 5) {{ __typename pageInfo {{ endCursor hasNextPage startCursor __typename }} edges {{ cursor "
        f"__typename node {{ {node} receipts {{ totalCount pageInfo {{ endCursor hasNextPage }} edges {{ cursor node "
        "{ __typename id messageSid participant { id __typename } } } } } } }"
    )
    executor = Executor(SCHEMA, generate_at=1)
    async with context_over() as context:
        generated = await executor.run(Operation(query), context)
    (code,) = code_of(executor)
    assert isinstance(code, GeneratedPlan)
    assert "node(row)" not in code.source
    assert context.runs == {"engine": 1, "generated": 1}
    interpreted, _, _ = await execute(query, generate_at=2)
    assert generated.data == interpreted.data


async def test_code_is_generated_once_for_a_plan_that_is_used_again() -> None:
    executor = Executor(SCHEMA)
    codes = []
    for _ in range(3):
        async with context_over() as context:
            await executor.run(Operation(OFFSET), context)
        codes += code_of(executor)
    assert codes[0] is None
    assert isinstance(codes[1], GeneratedPlan)
    assert codes[1] is codes[2]


async def test_the_text_holds_nothing_that_clients_wrote() -> None:
    query = (
        "query Operation_name($text: ID!, $number: Int = 971) { alias_1: service(sid: $text) { alias_2: conversation("
        'sid: "%s") { ...Fragment_name } } node(id: "literal_id") { alias_5: __typename ... on Message { alias_6: body } } } '
        "fragment Fragment_name on Conversation { alias_3: messages(first: $number, order: DESC, deliveryStatus: [FAILED]) "
        "{ alias_4: edges { alias_7: node { sid alias_8: delivery { total } } } } }"
    )
    executor = Executor(SCHEMA, generate_at=1)
    async with context_over() as context:
        given = {"text": MARKS["service_sid"]}
        await executor.run(Operation(query % MARKS["conversation_sid"], variables=given), context)
    (code,) = code_of(executor)
    assert isinstance(code, GeneratedPlan)
    assert "row.sid" in code.source
    for text in (
        "alias_",
        "_name_1",
        "Fragment",
        "Operation_name",
        "literal_id",
        "971",
        "DESC",
        "FAILED",
        *given.values(),
    ):
        assert text not in code.source
    assert MARKS["conversation_sid"] not in code.source


ORDINARY_MESSAGES = "messages(first: 3) { edges { node { sid receipts { edges { node { sid } } } } } }"
LARGE = thread(
    " ".join(
        "m%d: messages(first: 1) { edges { node { id sid url index author body attributes accountSid } } }" % number
        for number in range(50)
    )
)
OFFSET = thread("messages(first: 3) { edges { node { dateCreated } } }")


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("{ nodes(ids: []) { id } }", "list of reads"),
        (LARGE, "size"),
        (thread("messages { edges { cursor } }", "nonsense"), "error"),
    ],
)
async def test_what_is_not_ordinary_is_executed_by_the_interpreter(query: str, reason: str) -> None:
    generated, rounds, runs = await execute(query, generate_at=1)
    interpreted, expected, _ = await execute(query, generate_at=2)
    assert runs == {"engine": 1, f"not generated: {reason}": 1}
    assert rounds == expected
    assert generated.data == interpreted.data
    assert [each.as_json() for each in generated.failures] == [each.as_json() for each in interpreted.failures]


async def test_receipts_of_several_pages_are_read_by_the_interpreter() -> None:
    """Twilio may fill its pages with fewer rows than it was asked for."""

    def alter(target: str, body: bytes) -> bytes:
        if "/Receipts?" not in target or "PageToken" in target:
            return body
        page = json.loads(body)
        page["meta"]["next_page_url"] = f"http://twilio.test/v1/{target}&PageToken=2"
        return json.dumps(page).encode()

    query = thread("messages(first: 3) { edges { node { receipts { edges { node { sid } } } } } }")
    generated, rounds, runs = await execute(query, generate_at=1, upstream=Altered(alter))
    interpreted, expected, _ = await execute(query, generate_at=2, upstream=Altered(alter))
    assert runs == {"engine": 1, "not generated: list": 1}
    assert len(rounds) == 3
    assert rounds == expected
    assert generated.data == interpreted.data


@pytest.mark.parametrize("collection", ["Receipts", "Messages"])
async def test_a_row_that_a_page_repeats_is_shown_once(collection: str) -> None:
    def repeat(target: str, body: bytes) -> bytes:
        page = json.loads(body)
        if f"/{collection}?" in target:
            rows = page[page["meta"]["key"]]
            rows[1:1] = rows[:1]
        return json.dumps(page).encode()

    query = thread("messages(first: 5) { edges { cursor node { sid receipts { totalCount edges { node { id } } } } } }")
    outcomes = [(await execute(query, generate_at=at, upstream=Altered(repeat)))[0].data for at in (1, 2)]
    assert outcomes[0] == outcomes[1]
    messages = json.loads(json.dumps(outcomes[1]))["service"]["conversation"]["messages"]["edges"]
    for rows in [messages, *[edge["node"]["receipts"]["edges"] for edge in messages]]:
        assert len({json.dumps(row) for row in rows}) == len(rows)


async def test_deferred_fragments_are_executed_by_the_interpreter() -> None:
    outcome, _, runs = await execute(message("sid ... @defer { body }"), generate_at=1, defer=True)
    assert outcome.pending
    assert runs == {"engine": 1, "not generated: defer": 1}


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        (b"2026-01-31T12:00:00+02:00", "2026-01-31T10:00:00Z"),
        (b"2026-01-31T12:00:00Z\\n2026-01-31T12:00:00Z", None),
        (b"yesterday", None),
    ],
)
async def test_a_time_that_is_not_in_utc_is_left_to_the_interpreter(time: bytes, shown: str | None) -> None:
    """One value of one row is another; the calls are made once."""

    def alter(target: str, body: bytes) -> bytes:
        start = body.index(b'"date_created"', body.index(b'"date_created"') + 1)
        first, last = body.index(b'"', start + 15) + 1, body.index(b'"', body.index(b'"', start + 15) + 1)
        return body[:first] + time + body[last:]

    outcome, rounds, runs = await execute(OFFSET, generate_at=1, upstream=Altered(alter))
    assert runs == {"engine": 1, "not generated: value": 1}
    assert rounds == [[f"{THREAD}/Messages?PageSize=3"]]
    assert outcome.data is not None
    times = [edge["node"]["dateCreated"] for edge in outcome.data["service"]["conversation"]["messages"]["edges"]]
    assert times[1] == shown
    assert len(outcome.failures) == (shown is None)


@pytest.mark.parametrize("limits", [OperationLimits(cost_limit=6), OperationLimits(records_max=9)])
async def test_a_limit_is_reported_by_the_interpreter(limits: OperationLimits) -> None:
    generated, rounds, runs = await execute(ORDINARY, generate_at=1, limits=limits)
    interpreted, expected, _ = await execute(ORDINARY, generate_at=2, limits=limits)
    assert runs == {"engine": 1, "not generated: error": 1}
    assert rounds == expected
    assert generated.data == interpreted.data
    assert {failure.error.code for failure in generated.failures} == {"COST_LIMIT_EXCEEDED"}


@pytest.mark.parametrize("generate_at", [1, 2])
async def test_cached_reads_do_not_count_towards_the_limit(generate_at: int) -> None:
    async with client_over(Rounds()) as client:
        source = Source(client, RESOURCES, MemoryCache(2**20))
        for limits in (OperationLimits(), OperationLimits(cost_limit=1)):
            async with Loaders(source) as loaders:
                context = OperationContext(loaders, limits=limits)
                outcome = await Executor(SCHEMA, generate_at=generate_at).run(Operation(ORDINARY), context)
                assert not outcome.failures
            assert bool(loaders.calls) is (limits.cost_limit > 1)


async def test_the_same_reads_are_skipped() -> None:
    """Also where the interpreter executes what generated code has begun."""
    begun = "messages(first: 60) { edges { node { receipts { edges { node { sid } } } service { sid } } } } "
    for selection in (begun, f"{begun} participants(first: 1000) {{ edges {{ node {{ sid }} }} }}"):
        skipped = []
        for generate_at in (1, 2):
            async with context_over() as context:
                query = thread(selection, MARKS["crowded_conversation_sid"])
                await Executor(SCHEMA, generate_at=generate_at).run(Operation(query), context)
            skipped.append(context.skipped)
        assert skipped[0] == skipped[1] != {}


@pytest.mark.parametrize("mark", ["service_sid", "other_service_sid"])
async def test_a_caller_of_some_services_reads_no_others(mark: str) -> None:
    """Neither a service by its sid, nor one in the list of services."""
    query = "{ services { edges { node { sid friendlyName } } } %s }" % thread(ORDINARY_MESSAGES)[1:-1]
    results = []
    for generate_at in (1, 2):
        upstream = Rounds()
        async with context_over(upstream) as context:
            context.services = frozenset({MARKS[mark]})
            outcome = await Executor(SCHEMA, generate_at=generate_at).run(Operation(query), context)
        assert outcome.data is not None
        assert [edge["node"]["sid"] for edge in outcome.data["services"]["edges"]] == [MARKS[mark]]
        codes = [failure.error.code for failure in outcome.failures]
        results.append((outcome.data, codes, upstream.rounds))
    assert results[0] == results[1]
    assert results[0][1] == ([] if mark == "service_sid" else ["FORBIDDEN"])

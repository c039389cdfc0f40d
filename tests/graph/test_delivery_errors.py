"""Delivery errors: the table of codes, and the field `deliveryErrors`."""

import re
from collections import Counter
from typing import Any

import pytest
from graphql import parse

from gateway.accounts.operation import Operation
from gateway.contract.operations.worst_case import OperationCost, operation_cost
from gateway.execution.executor import Executor
from gateway.execution.outcome import Outcome
from gateway.graph.delivery_error_table import ENTRIES, DeliveryErrorCategory, ResendAdvice
from gateway.graph.limits import CODES_MAX
from gateway.sandbox.conversation import ERROR_CODES, FIXED_STATUSES

from ..conftest import Ask
from ..docs.blocks import blocks
from ..execution.conftest import SCHEMA, Rounds, context_over

LEGEND = (
    "query Q($codes: [Int!]) { deliveryErrors(codes: $codes) { code category title advice resend documentationUrl } }"
)

CATEGORY, RESEND = DeliveryErrorCategory, ResendAdvice


def test_the_table_is_in_order() -> None:
    assert list(ENTRIES) == sorted(ENTRIES)
    assert all(10_000 <= code < 100_000 for code in ENTRIES)


@pytest.mark.parametrize("code", ENTRIES)
def test_texts_are_short_and_plain(code: int) -> None:
    _, _, title, advice = ENTRIES[code]
    assert re.fullmatch(r"[A-Z][^.!?]{10,78}", title), "A title is a short phrase, without a full stop."
    if advice is not None:
        sentences = re.split(r"(?<=\.) (?=[A-Z])", advice)
        assert len(sentences) <= 2, "Advice is one or two sentences."
        assert 10 < len(advice) <= 140
        assert advice[0].isupper()
        assert advice.endswith(".")
        assert advice.rstrip(".") != title
    assert not re.search(r"please|sorry|error \d|https?:|\s\s", f"{title} {advice}", re.IGNORECASE)


@pytest.mark.parametrize("code", ENTRIES)
def test_advice_agrees_with_whether_to_resend(code: int) -> None:
    category, resend, _, advice = ENTRIES[code]
    if resend is RESEND.UNKNOWN:
        assert category in {CATEGORY.UNKNOWN, CATEGORY.CHANNEL, CATEGORY.CONTENT}
    else:
        assert advice is not None, "An entry that says whether to resend says how."
    if resend is RESEND.NO:
        assert category in {CATEGORY.RECIPIENT, CATEGORY.CHANNEL}, (
            "A change of anything else makes sending useful again."
        )
    if resend is RESEND.YES:
        assert category is CATEGORY.CARRIER
    if category is CATEGORY.CONTENT:
        assert resend in {RESEND.AFTER_CHANGE, RESEND.UNKNOWN}, "The same content fails again."


def test_every_category_and_every_advice_about_resending_has_codes() -> None:
    assert {entry.category for entry in ENTRIES.values()} == set(DeliveryErrorCategory)
    assert {entry.resend for entry in ENTRIES.values()} == set(ResendAdvice)


@pytest.mark.parametrize(
    ("code", "category", "resend"),
    [
        (21610, CATEGORY.RECIPIENT, RESEND.NO),
        (21408, CATEGORY.ACCOUNT, RESEND.AFTER_CHANGE),
        (30003, CATEGORY.RECIPIENT, RESEND.LATER),
        (30007, CATEGORY.CONTENT, RESEND.AFTER_CHANGE),
        (30008, CATEGORY.UNKNOWN, RESEND.LATER),
        (30017, CATEGORY.CARRIER, RESEND.LATER),
        (30034, CATEGORY.SENDER, RESEND.AFTER_CHANGE),
        (30500, CATEGORY.CARRIER, RESEND.YES),
        (63016, CATEGORY.CONTENT, RESEND.AFTER_CHANGE),
        (63018, CATEGORY.CHANNEL, RESEND.LATER),
        (63049, CATEGORY.CHANNEL, RESEND.LATER),
    ],
)
def test_what_common_codes_mean(code: int, category: DeliveryErrorCategory, resend: ResendAdvice) -> None:
    assert (ENTRIES[code].category, ENTRIES[code].resend) == (category, resend)


def test_the_sandbox_has_codes_of_most_categories() -> None:
    codes = {code for several in ERROR_CODES.values() for code in several} | {
        code for _, code in FIXED_STATUSES.values()
    }
    categories = {ENTRIES[code].category for code in codes - {0}}
    assert categories == set(DeliveryErrorCategory) - {CATEGORY.ACCOUNT}
    assert {ENTRIES[code].resend for code in codes - {0}} >= {RESEND.LATER, RESEND.AFTER_CHANGE, RESEND.NO}


async def execute(
    query: str, *, generate_at: int, reference: bool = False, **variables: Any
) -> tuple[Outcome, list[list[str]], Counter[str]]:
    upstream = Rounds()
    async with context_over(upstream) as context:
        operation = Operation(query, variables=variables, reference=reference)
        outcome = await Executor(SCHEMA, generate_at=generate_at).run(operation, context)
    return outcome, upstream.rounds, context.runs


def entry_as_json(code: int) -> dict[str, Any]:
    entry = ENTRIES.get(code)
    title, advice = (entry.title, entry.advice) if entry is not None else (None, None)
    category = entry.category if entry is not None else CATEGORY.UNKNOWN
    resend = entry.resend if entry is not None else RESEND.UNKNOWN
    return {
        "code": code,
        "category": category.name,
        "title": title,
        "advice": advice,
        "resend": resend.name,
        "documentationUrl": f"https://www.twilio.com/docs/errors/{code}",
    }


@pytest.mark.parametrize("codes", [None, [], [30003], [63016, 30003, 63016, 99999], list(ENTRIES)[:CODES_MAX]])
async def test_every_executor_returns_the_same_without_an_upstream_call(codes: list[int] | None) -> None:
    expected = {"deliveryErrors": [entry_as_json(code) for code in (ENTRIES if codes is None else codes)]}
    for generate_at, reference, run in ((1, False, "generated"), (2, False, "engine"), (2, True, "not asked")):
        outcome, rounds, runs = await execute(LEGEND, generate_at=generate_at, reference=reference, codes=codes)
        assert (outcome.data, outcome.failures, outcome.requested) == (expected, (), 0)
        assert rounds == []
        assert runs[run] == 1
        assert not [name for name in runs if name.startswith("not generated")]


async def test_the_documented_legend(ask: Ask) -> None:
    (block,) = blocks("errors", "graphql")
    answer = await ask(block)
    assert answer.data == {
        "deliveryErrors": [
            {key: value for key, value in entry_as_json(code).items() if key != "documentationUrl"}
            for code in (30003, 63016)
        ]
    }
    assert answer.paths == []


async def test_a_literal_and_an_alias() -> None:
    query = "{ a: deliveryErrors(codes: [30003, 7]) { code } b: deliveryErrors(codes: []) { title } __typename }"
    for generate_at in (1, 2):
        outcome, _, _ = await execute(query, generate_at=generate_at)
        assert outcome.data == {"a": [{"code": 30003}, {"code": 7}], "b": [], "__typename": "Query"}


@pytest.mark.parametrize(
    ("codes", "message"),
    [([1] * (CODES_MAX + 1), f"`codes` must be at most {CODES_MAX}."), ([30003, 0], "`codes` must be positive.")],
)
async def test_what_is_no_list_of_codes_is_refused(codes: list[int], message: str) -> None:
    for generate_at, reference in ((1, False), (2, False), (2, True)):
        outcome, rounds, _ = await execute(LEGEND, generate_at=generate_at, reference=reference, codes=codes)
        assert outcome.data is None
        (failure,) = outcome.failures
        assert (failure.error.code, failure.error.message, failure.path) == (
            "BAD_USER_INPUT",
            message,
            ("deliveryErrors",),
        )
        assert rounds == []


@pytest.mark.parametrize("kind", ["[Int!]", "[Int!]!"])
def test_the_legend_is_free_in_the_worst_case(kind: str) -> None:
    document = f"query Q($codes: {kind}) {{ deliveryErrors(codes: $codes) {{ code title }} }}"
    cost = operation_cost(SCHEMA, parse(document), {})
    assert isinstance(cost, OperationCost)
    assert (cost.calls, cost.round_trips, cost.edges) == (0, 0, [])


async def test_a_receipt_beside_the_legend(ask: Ask) -> None:
    answer = await ask(
        """query Q($serviceSid: ID!, $conversationSid: ID!, $failedReceiptMessageSid: ID!, $failedReceiptSid: ID!) {
          deliveryErrors(codes: [30003]) { category advice resend }
          service(sid: $serviceSid) { conversation(sid: $conversationSid) { message(sid: $failedReceiptMessageSid) {
            receipt(sid: $failedReceiptSid) { error { category advice resend } } } } } }"""
    )
    assert not answer.errors
    receipt = answer.data["service"]["conversation"]["message"]["receipt"]
    assert answer.data["deliveryErrors"] == [receipt["error"]]
    assert receipt["error"]["category"] == "RECIPIENT"
    assert len(answer.paths) == 1

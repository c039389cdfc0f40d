"""Delivery statistics: true of every count, exact where summaries are, in the calls of the pages alone."""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import Any

import msgspec

from gateway.graph.delivery import DeliveryStatus
from gateway.graph.delivery_counts import counts_of, counts_of_rows
from gateway.graph.types import Message, Receipt
from gateway.sandbox.conversation import ConversationRecord
from gateway.twilio.summaries import amounts_of

from ..conftest import Ask
from ..execution.conftest import WORLD
from .service import CONVERSATIONS, MESSAGES, RECEIPTS, Service

FIELDS = """{
  messages receipts complete since
  byMessage { deliveryStatus count }
  byReceipt { status count { least most } }
}"""
OF_CONVERSATION = (
    "query S($serviceSid: ID!, $conversationSid: ID!, $last: Int, $exact: Boolean) { service(sid: $serviceSid) {"
    " conversation(sid: $conversationSid) { deliveryStatistics(last: $last, exact: $exact) %s } } }" % FIELDS
)
OF_SERVICE = (
    "query S($serviceSid: ID!, $from: DateTime, $to: DateTime, $scan: Int) { service(sid: $serviceSid) {"
    " deliveryStatistics(from: $from, to: $to, scan: $scan) %s } }" % FIELDS
)
NAMES = {None: "PENDING", "queued": "UNKNOWN"}
LANDMARK = WORLD.services[0].conversations[0]


def true_counts(conversation: ConversationRecord, last: int) -> Counter[str]:
    """How many receipts of the last messages have which status."""
    messages = map(conversation.message, conversation.message_indexes()[-last:])
    statuses = (receipt.status for message in messages for receipt in conversation.receipts(message))
    return Counter(NAMES.get(status, (status or "").upper()) for status in statuses)


def ranges(statistics: Any) -> dict[str, tuple[int, int]]:
    return {each["status"]: (each["count"]["least"], each["count"]["most"]) for each in statistics["byReceipt"]}


# From the words of a summary to numbers


def test_the_counts_of_a_summary_are_the_tightest_that_are_true() -> None:
    """Of every message with up to four receipts, whether or not Twilio counts failed receipts as sent."""
    truths: dict[tuple[int, tuple[str, ...]], list[tuple[int, ...]]] = {}
    for counts in product(range(5), repeat=len(DeliveryStatus)):
        total = sum(counts)
        if not 1 <= total <= 4:
            continue
        _, sent, delivered, read, failed, undelivered, _ = counts
        reached = sent + delivered + read
        for as_sent in (reached, reached + failed + undelivered):
            numbers = (as_sent, delivered + read, read, failed, undelivered)
            words = tuple("none" if not number else "all" if number == total else "some" for number in numbers)
            truths.setdefault((total, words), []).append(counts)
    for (total, words), possible in truths.items():
        found = counts_of(message_with(total, *words))
        assert found is not None
        assert found.receipts == total
        for place, status in enumerate(DeliveryStatus):
            true = [counts[place] for counts in possible]
            assert found.by_status[status] == (min(true), max(true)), (total, words, status)


def test_words_that_are_not_known_leave_everything_open() -> None:
    found = counts_of(message_with(3, None, "most", None, None, None))
    assert found is not None
    assert set(found.by_status.values()) == {(0, 3)}


def test_words_that_contradict_each_other_leave_everything_open() -> None:
    found = counts_of(message_with(3, "none", "all", "none", "none", "none"))
    assert found is not None
    assert set(found.by_status.values()) == {(0, 3)}


def test_receipts_that_were_read_are_counted() -> None:
    rows = [
        Receipt.resource.row(sid=f"DY{number:032x}", status=status)
        for number, status in enumerate(["sent", None, "new"])
    ]
    found = counts_of_rows(rows)
    assert found.receipts == 3
    assert found.is_exact
    assert [status.name for status, count in found.by_status.items() if count.least] == ["PENDING", "SENT", "UNKNOWN"]


def message_with(total: int, *words: str | None) -> Any:
    names = ("sent", "delivered", "read", "failed", "undelivered")
    body = {"sid": "IM" + "0" * 32, "delivery": {"total": total, **dict(zip(names, words, strict=True))}}
    return msgspec.convert(body, Message.resource.row)


# Of a conversation


async def test_a_conversation_is_counted_in_one_call_per_hundred_messages(ask: Ask) -> None:
    for last, pages in ((100, 1), (180, 2), (1000, 2)):
        answer = await ask(OF_CONVERSATION, last=last)
        assert not answer.errors
        assert len(answer.paths) == pages
        assert not any("Receipts" in path for path in answer.paths)
        statistics = answer.data["service"]["conversation"]["deliveryStatistics"]
        assert statistics["messages"] == min(last, 180)
        assert statistics["complete"] is True
        truth = true_counts(LANDMARK, last)
        assert statistics["receipts"] == truth.total()
        found = ranges(statistics)
        assert all(least <= truth[status] <= most for status, (least, most) in found.items())
        assert sum(each["count"] for each in statistics["byMessage"]) == statistics["messages"]


async def test_every_status_is_listed(ask: Ask) -> None:
    answer = await ask(OF_CONVERSATION, last=0)
    assert answer.paths == []
    statistics = answer.data["service"]["conversation"]["deliveryStatistics"]
    assert ranges(statistics) == {status.name: (0, 0) for status in DeliveryStatus}
    assert statistics == {
        "messages": 0,
        "receipts": 0,
        "complete": True,
        "since": None,
        "byMessage": [{"deliveryStatus": each["deliveryStatus"], "count": 0} for each in statistics["byMessage"]],
        "byReceipt": statistics["byReceipt"],
    }
    assert len(statistics["byMessage"]) == 8


async def test_exact_counts_read_the_receipts_that_summaries_leave_open(ask: Ask) -> None:
    answer = await ask(OF_CONVERSATION, last=100, exact=True)
    statistics = answer.data["service"]["conversation"]["deliveryStatistics"]
    truth = true_counts(LANDMARK, 100)
    assert ranges(statistics) == {status.name: (truth[status.name],) * 2 for status in DeliveryStatus}
    open_ones = 0
    for index in LANDMARK.message_indexes()[-100:]:
        statuses = [receipt.status for receipt in LANDMARK.receipts(LANDMARK.message(index))]
        words = amounts_of(statuses)
        counts = counts_of(message_with(len(statuses), *words.values())) if statuses and words else None
        open_ones += bool(statuses) and (counts is None or not counts.is_exact)
    assert sum("Receipts" in path for path in answer.paths) == open_ones < 90


async def test_since_is_when_the_oldest_message_was_sent(ask: Ask) -> None:
    both = OF_CONVERSATION.replace(
        "deliveryStatistics", "messages(first: 1, order: DESC) { edges { node { dateCreated } } } deliveryStatistics"
    )
    found = (await ask(both, last=1)).data["service"]["conversation"]
    assert found["deliveryStatistics"]["since"] == found["messages"]["edges"][0]["node"]["dateCreated"]


async def test_wrong_arguments_are_refused_without_a_call(ask: Ask) -> None:
    for last in (-1, 1001):
        answer = await ask(OF_CONVERSATION, last=last)
        assert (answer.codes, answer.paths) == (["BAD_USER_INPUT"], [])


async def test_a_conversation_that_does_not_exist_has_no_statistics(ask: Ask) -> None:
    answer = await ask(OF_CONVERSATION, conversationSid="CH" + "0" * 32)
    assert answer.codes == ["NOT_FOUND"]


def test_receipts_that_cannot_be_read_leave_their_counts_open() -> None:
    upstream = Service(conversations=1, messages=4, failing=2)
    sid = upstream.service.conversations[0].sid
    upstream.failing_targets = "/Receipts"
    exact = upstream.run(OF_CONVERSATION, conversationSid=sid, exact=True)
    assert exact.data is not None
    # All four messages have one receipt, whose summary leaves no room: nothing has to be read.
    assert exact.data["service"]["conversation"]["deliveryStatistics"]["complete"] is True
    conversation = upstream.service.conversations[0]
    message = conversation.message(0)
    conversation.update_receipt(message, conversation.receipts(message)[0], None, 0, 0)
    upstream.world.version += 1
    for reference in (False, True):
        outcome = upstream.run(OF_CONVERSATION, conversationSid=sid, exact=True, reference=reference)
        assert outcome.data is not None
        statistics = outcome.data["service"]["conversation"]["deliveryStatistics"]
        assert statistics["complete"] is False
        assert ranges(statistics)["PENDING"] == (0, 1)
        (failure,) = outcome.failures
        assert failure.path == ("service", "conversation", "deliveryStatistics")
        assert failure.error.code == "UPSTREAM_UNAVAILABLE"


# Of a service


def test_a_service_is_counted_by_the_pages_of_its_messages() -> None:
    upstream = Service(conversations=10, messages=100, failing=10)
    outcome = upstream.run(OF_SERVICE, scan=1000)
    assert outcome.data is not None
    statistics = outcome.data["service"]["deliveryStatistics"]
    assert (statistics["messages"], statistics["receipts"], statistics["complete"]) == (1000, 1000, True)
    found = ranges(statistics)
    assert (found["FAILED"], found["DELIVERED"], found["SENT"]) == ((10, 10), (990, 990), (0, 0))
    assert sorted(upstream.calls) == sorted([CONVERSATIONS, *[MESSAGES] * 10])
    assert RECEIPTS not in upstream.calls


def test_a_limit_is_seen_in_complete() -> None:
    upstream = Service(conversations=3, messages=10, failing=1)
    outcome = upstream.run(OF_SERVICE, scan=15)
    assert outcome.data is not None
    statistics = outcome.data["service"]["deliveryStatistics"]
    assert (statistics["messages"], statistics["complete"]) == (15, False)


def test_a_list_that_cannot_be_read_has_an_error() -> None:
    upstream = Service(conversations=3, messages=10, failing=1)
    upstream.failing_targets = f"/{upstream.service.conversations[1].sid}/Messages"
    outcome = upstream.run(OF_SERVICE)
    assert outcome.data is not None
    statistics = outcome.data["service"]["deliveryStatistics"]
    assert (statistics["messages"], statistics["complete"]) == (20, False)
    assert [failure.path for failure in outcome.failures] == [("service", "deliveryStatistics")]


async def test_only_the_messages_of_a_period_are_counted(ask: Ask) -> None:
    period: dict[str, Any] = {"from": "2025-09-05T00:00:00Z", "to": "2025-09-06T00:00:00Z"}
    answer = await ask(OF_SERVICE, scan=1000, **period)
    statistics = answer.data["service"]["deliveryStatistics"]
    begin, end = 1_757_030_400, 1_757_116_800
    expected = [
        message
        for conversation in WORLD.services[0].conversations.values()
        for message in map(conversation.message, conversation.message_indexes())
        if begin <= message.date_created <= end
    ]
    assert statistics["messages"] == len(expected) > 0

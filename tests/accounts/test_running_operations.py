"""Operations in progress while events arrive: their answers have what was read before an event, merged with it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from gateway.accounts.operation import Operation
from gateway.execution.outcome import Outcome
from gateway.sandbox import Fault, Sandbox
from gateway.twilio.client import Client
from gateway.twilio.events import Change, Event

from .live import Live

TWO_PAGES = """query ($serviceSid: ID!, $conversationSid: ID!) {
  service(sid: $serviceSid) { conversation(sid: $conversationSid) { messages(first: 120) { edges { node { sid body } } } } }
}"""


@pytest.fixture
def live(sandbox: Sandbox, client: Client) -> Live:
    return Live(sandbox, client)


async def _outcome(live: Live, event: Event, document: str = TWO_PAGES, **options: Any) -> Outcome:
    """Return the outcome of an operation; the event comes while its second page is read."""
    sandbox, marks = live.sandbox, live.marks
    sandbox.faults.add("*PageToken=*", Fault("latency", latency=0.5, times=1))
    variables = {"serviceSid": marks["service_sid"], "conversationSid": marks["conversation_sid"]}
    answering = asyncio.create_task(live.account.run(Operation(document, variables=variables, **options)))
    await sandbox.until(lambda: any("PageToken=" in path for path in sandbox.paths))
    live.apply(event)
    outcome = await answering
    assert not outcome.failures
    return outcome


def _sids(outcome: Outcome) -> list[str]:
    assert outcome.data is not None
    return [edge["node"]["sid"] for edge in outcome.data["service"]["conversation"]["messages"]["edges"]]


@pytest.mark.parametrize("reference", [False, True], ids=["engine", "graphql-core"])
async def test_a_message_that_is_removed_after_it_was_read_is_not_shown(live: Live, reference: bool) -> None:
    message = live.marks["message_sid"]
    outcome = await _outcome(live, Event(Change.REMOVED, live.message, {}, "2026-11-29T20:37:00Z"), reference=reference)
    assert message not in _sids(outcome)[:99]


async def test_an_operation_that_no_event_is_about_is_executed_once(live: Live) -> None:
    other = f"{live.service}/Conversations/CH{'0' * 32}/Messages/IM{'0' * 32}"
    outcome = await _outcome(live, live.event("sent", receipt=1, message=other))
    assert (len(_sids(outcome)), len(live.sandbox.paths)) == (120, 2)


async def _parts(outcome: Outcome) -> list[Any]:
    """Return the data of the deferred fragments."""
    assert outcome.subsequent is not None
    async with aclosing(outcome.subsequent):
        return [
            part.data async for payload in outcome.subsequent for each in payload.incremental for _, part in each.parts
        ]


async def test_a_message_that_is_removed_has_no_deferred_part(live: Live) -> None:
    document = TWO_PAGES.replace("body", "... @defer { body }")
    removed = Event(Change.REMOVED, live.message, {}, "2026-11-29T20:37:00Z")
    outcome = await _outcome(live, removed, document, defer=True)
    assert live.marks["message_sid"] not in _sids(outcome)[:99]
    assert len(await _parts(outcome)) == len(_sids(outcome))


RECEIPT = """query ($serviceSid: ID!, $conversationSid: ID!, $messageSid: ID!, $receiptSid: ID!) {
  service(sid: $serviceSid) { conversation(sid: $conversationSid) { message(sid: $messageSid) {
    receipt(sid: $receiptSid) { dateCreated ... @defer { status %s } }
  } } }
}"""


async def _receipt(live: Live, also: str = "") -> Outcome:
    """Return the outcome of an operation that defers the status of the landmarks' receipt, and something else of it."""
    marks = live.marks
    variables = {
        "serviceSid": marks["service_sid"],
        "conversationSid": marks["conversation_sid"],
        "messageSid": marks["message_sid"],
        "receiptSid": marks["receipt_sid"],
    }
    outcome = await live.account.run(Operation(RECEIPT % also, variables=variables, defer=True))
    assert not outcome.failures
    return outcome


async def test_what_is_deferred_is_as_new_as_the_last_event(live: Live) -> None:
    outcome = await _receipt(live)
    live.apply(live.event("read"))
    assert await _parts(outcome) == [{"status": "READ"}]


FAILURES = """query ($serviceSid: ID!) {
  service(sid: $serviceSid) { failures(first: 20) { edges { node { conversationSid messageSid sid participant { sid } } } } }
}"""


async def _failures(live: Live) -> list[dict[str, Any]]:
    operation = Operation(FAILURES, variables={"serviceSid": live.marks["service_sid"]}, no_cache=True)
    outcome = await live.account.run(operation)
    assert outcome.data is not None
    return [edge["node"] for edge in outcome.data["service"]["failures"]["edges"]]


async def test_a_search_does_not_find_what_an_event_has_changed_since(live: Live) -> None:
    sandbox = live.sandbox
    first = (await _failures(live))[0]
    before = len(sandbox.paths)
    sandbox.faults.add("*/Participants*", Fault("latency", latency=0.5))
    searching = asyncio.create_task(_failures(live))
    await sandbox.until(lambda: any("/Participants" in path for path in sandbox.paths[before:]))
    message = f"{live.service}/Conversations/{first['conversationSid']}/Messages/{first['messageSid']}"
    event = live.event("delivered", message=message)
    live.apply(Event(event.change, f"{message}/Receipts/{first['sid']}", event.properties, event.date))
    assert first["sid"] not in [each["sid"] for each in await searching]


async def test_an_event_while_a_deferred_field_is_read_is_in_its_part(live: Live) -> None:
    sandbox = live.sandbox
    outcome = await _receipt(live, "participant { identity }")
    sandbox.faults.add("*/Participants*", Fault("latency", latency=0.5))
    parts = asyncio.create_task(_parts(outcome))
    await sandbox.until(lambda: any("/Participants" in path for path in sandbox.paths))
    live.apply(live.event("read"))
    (part,) = await parts
    assert part["status"] == "READ"
    assert sum("/Participants" in path for path in sandbox.paths) == 1

"""Operations in progress while events arrive: their answers have what was read before an event, merged with it."""

from __future__ import annotations

import asyncio

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


async def _outcome(live: Live, event: Event) -> Outcome:
    """Return the outcome of an operation to whose second page the event comes before the answer."""
    sandbox, marks = live.sandbox, live.marks
    sandbox.faults.add("*PageToken=*", Fault("latency", latency=0.5, times=1))
    variables = {"serviceSid": marks["service_sid"], "conversationSid": marks["conversation_sid"]}
    answering = asyncio.create_task(live.account.run(Operation(TWO_PAGES, variables=variables)))
    await sandbox.until(lambda: any("PageToken=" in path for path in sandbox.paths))
    live.apply(event)
    outcome = await answering
    assert not outcome.failures
    return outcome


def _sids(outcome: Outcome) -> list[str]:
    assert outcome.data is not None
    return [edge["node"]["sid"] for edge in outcome.data["service"]["conversation"]["messages"]["edges"]]


async def test_a_message_that_is_removed_after_it_was_read_is_not_shown(live: Live) -> None:
    message = live.marks["message_sid"]
    outcome = await _outcome(live, Event(Change.REMOVED, live.message, {}, "2026-11-29T20:37:00Z"))
    assert message not in _sids(outcome)[:99]


async def test_an_operation_that_no_event_is_about_is_executed_once(live: Live) -> None:
    other = f"{live.service}/Conversations/CH{'0' * 32}/Messages/IM{'0' * 32}"
    outcome = await _outcome(live, live.event("sent", receipt=1, message=other))
    assert (len(_sids(outcome)), len(live.sandbox.paths)) == (120, 2)

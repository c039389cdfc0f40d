"""The events of the subscription type: what is known of a change, what it costs, and what its fields say."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from graphql import parse

from gateway.accounts.operation import Operation
from gateway.contract.operations.worst_case import OperationCost, operation_cost
from gateway.graph.schema import make_schema
from gateway.sandbox import Sandbox
from gateway.source.lifetimes import Lifetimes
from gateway.twilio.client import Client
from gateway.twilio.events import Change, Event

from ..accounts.live import Live, take
from ..docs.blocks import blocks, rows, section

CONVERSATION = (
    "query Q($serviceSid: ID!, $conversationSid: ID!) "
    "{ service(sid: $serviceSid) { conversation(sid: $conversationSid) { %s } } }"
)
THREAD = CONVERSATION % (
    "messages(first: 50) { edges { node { body deliveryStatus receipts { edges { cursor node { id status url "
    "participant { identity channel } } } } } } }"
)


@pytest.fixture
def live(sandbox: Sandbox, client: Client) -> Live:
    return Live(sandbox, client, lifetimes=Lifetimes(*[3600.0] * 6))  # So that events alone make it read again.


async def ask(live: Live, document: str, **variables: Any) -> Any:
    """Execute a query, and return the conversation."""
    names = {"serviceSid": "service_sid", "conversationSid": "conversation_sid"}
    given = {name: live.marks[mark] for name, mark in names.items()} | variables
    outcome = await live.account.run(Operation(document, variables=given))
    assert not outcome.failures
    data: Any = outcome.data
    return data["service"]["conversation"]


async def event_with(live: Live, selection: str, *events: Event, field: str = "deliveryUpdated") -> Any:
    """Subscribe, apply the events, and return the last payload."""
    kind = {"deliveryUpdated": "ReceiptChange", "messageChanged": "MessageChange"}[field]
    document = (
        f"subscription S($serviceSid: ID!) {{ {field}(serviceSid: $serviceSid) {{ ... on {kind} {{ {selection} }} }} }}"
    )
    subscription = live.subscribe(document)
    await take(subscription)
    live.sandbox.reset()
    found = None
    for event in events:
        for name in ("participant_sid", "channel_message_sid"):
            event.properties.pop(name, None)
        live.apply(event)
        found = await take(subscription)
    subscription.close()
    return found


async def test_what_queries_have_read_is_not_read_for_an_event(live: Live) -> None:
    await ask(live, THREAD)
    selection = (
        "incomplete receipt { id status url participant { identity channel } message { body } } message { body }"
    )
    event = await event_with(live, selection, live.event("sent"))
    # An event for which the summary of its message is not proved removes the pages that have it: the message is read.
    assert live.sandbox.paths == [live.message]
    assert event["incomplete"] is None
    assert event["receipt"]["participant"]["channel"] == "sms"
    assert event["receipt"]["message"] == event["message"]
    again = await event_with(live, selection, live.event("read", 1))
    assert live.sandbox.paths == [] or live.sandbox.paths == [live.message]
    assert again["receipt"]["status"] == "READ"


async def test_a_message_is_taken_from_the_page_that_has_it(live: Live) -> None:
    await ask(live, CONVERSATION % "messages(first: 50) { edges { node { body attributes } } }")
    event = Event(Change.UPDATED, live.message, {"body": "x"}, "2020-01-01T00:00:00Z")
    found = await event_with(live, "message { body attributes }", event, field="messageChanged")
    assert found["message"]["attributes"]
    assert live.sandbox.paths == []


async def test_what_is_known_of_a_receipt_before(live: Live) -> None:
    selection = "isNew previousStatus previousDeliveryStatus source receivedAt"
    first = await event_with(live, selection, live.event("sent"))
    assert (first["isNew"], first["previousStatus"], first["previousDeliveryStatus"]) == (True, None, None)
    assert first["source"] == "WEBHOOK"
    assert first["receivedAt"].endswith("Z")
    later = await event_with(live, selection, live.event("delivered", 1))
    assert (later["isNew"], later["previousStatus"]) == (False, "SENT")


async def test_a_read_that_has_found_the_change_makes_the_previous_status_unknown(live: Live) -> None:
    thread = await ask(live, CONVERSATION % 'message(sid: "%s") { deliveryStatus receipts { edges { node { sid status } } } }'
                       % live.marks["message_sid"])  # fmt: skip
    [now] = [
        edge["node"]["status"]
        for edge in thread["message"]["receipts"]["edges"]
        if edge["node"]["sid"] == live.marks["receipt_sid"]
    ]
    event = await event_with(
        live, "isNew previousStatus previousDeliveryStatus receipt { status }", live.event(now.lower())
    )
    assert event == {
        "isNew": False,
        "previousStatus": None,
        "previousDeliveryStatus": thread["message"]["deliveryStatus"],
        "receipt": {"status": now},
    }


async def test_the_cursor_of_the_edge_is_one_of_the_message_s_receipts(live: Live) -> None:
    event = await event_with(live, "receiptEdge { cursor node { sid } }", live.event("sent"))
    receipts = CONVERSATION % 'message(sid: "%s") { receipts%s { edges { node { sid } } } }'
    whole = await ask(live, receipts % (live.marks["message_sid"], ""))
    after = await ask(
        live, receipts % (live.marks["message_sid"], f"(after: {json.dumps(event['receiptEdge']['cursor'])})")
    )
    sids = [edge["node"]["sid"] for edge in whole["message"]["receipts"]["edges"]]
    place = sids.index(event["receiptEdge"]["node"]["sid"])
    assert [edge["node"]["sid"] for edge in after["message"]["receipts"]["edges"]] == sids[place + 1 :]
    assert len(sids) > 1


async def test_a_message_that_was_added_is_new(live: Live) -> None:
    path = f"{live.conversation}/Messages/IM{1:032x}"
    added = Event(Change.ADDED, path, {"body": "hello"}, "2026-11-29T20:37:00Z")
    changed = Event(Change.UPDATED, path, {"body": "hello there"}, "2026-11-29T20:37:01Z")
    selection = "isNew messageSid message { id body }"
    first = await event_with(live, selection, added, field="messageChanged")
    assert (first["isNew"], first["messageSid"], first["message"]["body"]) == (True, f"IM{1:032x}", "hello")
    later = await event_with(live, selection, changed, field="messageChanged")
    assert (later["isNew"], later["message"]) == (False, {"id": first["message"]["id"], "body": "hello there"})
    assert live.sandbox.paths == []


async def test_a_message_that_shows_no_receipts_yet_is_not_called_untracked(live: Live) -> None:
    message = f"{live.conversation}/Messages/{live.marks['chat_only_message_sid']}"
    event = await event_with(
        live, "incomplete message { deliveryStatus }", live.event("sent", message=message, receipt=1)
    )
    assert event == {"incomplete": "UPSTREAM_INVALID_RESPONSE", "message": None}
    event = await event_with(live, "incomplete message { body }", live.event("read", 1, message=message, receipt=1))
    assert event["incomplete"] is None
    assert event["message"]["body"]


async def test_the_documented_subscription_is_executed(live: Live) -> None:
    (document,) = blocks("live", "graphql")
    subscription = live.subscribe(document)
    assert (await take(subscription))["refetch"] is True
    live.apply(live.event("sent"))
    event = await take(subscription)
    assert (event["receipt"]["status"], event["incomplete"]) == ("SENT", None)


def test_the_documented_prices_are_those_of_the_schema() -> None:
    prices = {
        cells[0].strip("`"): int(re.findall(r"\d+", cells[1])[0])
        for cells in rows(section("live", "What an event costs"), "selected")
    }
    assert len(prices) == 5
    for selection, calls in prices.items():
        document = 'subscription { deliveryUpdated(serviceSid: "IS%032x") { ... on ReceiptChange { %s } } }' % (
            0,
            selection,
        )
        cost = operation_cost(make_schema(), parse(document), {})
        assert isinstance(cost, OperationCost)
        assert cost.calls == calls, selection

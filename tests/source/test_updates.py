"""Events over the caches: what they change, what they leave, and that no answer is older than an event."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.accounts.account import Account
from gateway.accounts.operation import Operation
from gateway.demo import landmark_variables
from gateway.sandbox import Fault, Sandbox
from gateway.sandbox.occurrences import Occurrence
from gateway.sandbox.resources import Renderer
from gateway.sandbox.webhook_events import webhook_event
from gateway.source.journal import Update
from gateway.source.lifetimes import Lifetimes
from gateway.source.memory import MemoryCache
from gateway.twilio.client import Client
from gateway.twilio.events import Event, read_event
from gateway.twilio.responses import Page

VARIABLES = "($serviceSid: ID!, $conversationSid: ID!, $messageSid: ID!, $receiptSid: ID!)"


def query(selection: str) -> str:
    text = f"query Q{VARIABLES} {{ service(sid: $serviceSid) {{ conversation(sid: $conversationSid) {{ {selection} }} }} }}"
    for name in ("messageSid", "receiptSid"):
        if f"${name}" not in selection:
            text = text.replace(f", ${name}: ID!", "")
    return text


RECEIPT = query("message(sid: $messageSid) { receipt(sid: $receiptSid) { status errorCode dateUpdated } }")
RECEIPTS = query("message(sid: $messageSid) { receipts { edges { node { sid status errorCode } } } }")
MESSAGE = query("message(sid: $messageSid) { body deliveryStatus delivery { sent delivered read failed undelivered } }")
PAGE = query(
    "messages(first: 3) { edges { node { sid body deliveryStatus delivery { sent delivered read failed } } } }"
)
NEWEST = query("messages(first: 3, order: DESC) { edges { node { sid body } } }")
PEOPLE = query("participants(first: 20) { edges { node { sid identity lastReadMessageIndex } } }")
STATE = query("state")
THREAD = query(
    "messages(first: 4) { edges { node { sid deliveryStatus receipts { edges { node { sid status errorCode } } } } } }"
)
QUERIES = [RECEIPT, RECEIPTS, MESSAGE, PAGE, NEWEST, PEOPLE, STATE, THREAD]
FOREVER = Lifetimes(*[3600.0] * 6)


class Live:
    """An account that caches everything for an hour, so that events alone make it read again."""

    def __init__(self, sandbox: Sandbox, client: Client) -> None:
        self.sandbox, self.client = sandbox, client
        self.account = Account(client, cache=MemoryCache(2**24), lifetimes=FOREVER)
        self.events: list[Event] = []
        """The events of changes, which have not been applied."""
        sandbox.world.progress(sandbox.landmarks["message_sid"], to="sent")
        sandbox.world.on_occurrence = self._collect

    def _collect(self, occurrence: Occurrence) -> None:
        renderer = Renderer(self.sandbox.account_sid, "", self.sandbox.switches)
        self.events.append(read_event(webhook_event(occurrence, renderer).parameters))

    async def ask(self, document: str, account: Account | None = None, **options: Any) -> Any:
        given = landmark_variables(document, self.sandbox.landmarks)
        outcome = await (account or self.account).run(Operation(document, variables=given, **options))
        assert not outcome.failures, outcome.failures
        data: Any = outcome.data
        return data["service"]["conversation"]

    async def calls(self, document: str) -> list[str]:
        """Return the upstream calls that a query takes."""
        self.sandbox.reset()
        await self.ask(document)
        return self.sandbox.paths

    async def truth(self, document: str) -> Any:
        return await self.ask(document, Account(self.client), no_cache=True)

    def apply(self) -> list[Update | None]:
        events, self.events = self.events, []
        return [self.account.updates.apply(event) for event in events]

    def progress(self, to: str, *, one: bool = True, code: int = 30006) -> None:
        marks = self.sandbox.landmarks
        receipt_sid = marks["receipt_sid"] if one else None
        self.sandbox.world.progress(marks["message_sid"], receipt_sid=receipt_sid, to=to, error_code=code)

    def write(self, change: Callable[[Any], tuple[str, Any]]) -> None:
        """Change the landmark conversation, and fire the event that `change` names."""
        marks, world = self.sandbox.landmarks, self.sandbox.world
        conversation = world.find_conversation(marks["conversation_sid"])
        event, record = change(conversation)
        world.fire(Occurrence(event, conversation, world.tick(), record))


@pytest.fixture
def live(sandbox: Sandbox, client: Client) -> Live:
    return Live(sandbox, client)


def add_message(conversation: Any) -> tuple[str, Any]:
    values = {"body": "new", "media": None, "attributes": "{}", "content_sid": None}
    return "onMessageAdded", conversation.add_message(
        "me", **values, date_created=2_000_000_000, date_updated=2_000_000_000
    )


def edit_message(conversation: Any) -> tuple[str, Any]:
    return "onMessageUpdated", conversation.change_message(
        conversation.message(0), body="edited", date_updated=2_000_000_000
    )


def remove_message(conversation: Any) -> tuple[str, Any]:
    conversation.remove_message(message := conversation.message(1))
    return "onMessageRemoved", message


def edit_participant(conversation: Any) -> tuple[str, Any]:
    person = conversation.participants[0]
    changed = conversation.change_participant(person, last_read_message_index=7, date_updated=2_000_000_000)
    return "onParticipantUpdated", changed


def remove_participant(conversation: Any) -> tuple[str, Any]:
    conversation.remove_participant(person := conversation.participants[1])
    return "onParticipantRemoved", person


async def test_a_receipt_is_written_through_without_a_call(live: Live) -> None:
    for document in (RECEIPT, RECEIPTS):
        await live.ask(document)
    live.progress("failed")
    live.apply()
    for document in (RECEIPT, RECEIPTS):
        assert await live.calls(document) == []
        assert await live.ask(document) == await live.truth(document)


async def test_a_summary_is_written_through_if_all_receipts_are_known(live: Live) -> None:
    for document in (THREAD, PAGE, MESSAGE):
        await live.ask(document)
    live.progress("read")
    live.apply()
    for document in (THREAD, MESSAGE, PAGE):
        assert await live.calls(document) == []
        assert await live.ask(document) == await live.truth(document)


@pytest.mark.parametrize(("knows_receipts", "status"), [(False, "read"), (True, "undelivered")])
async def test_a_summary_that_is_not_proved_is_read_again(live: Live, knows_receipts: bool, status: str) -> None:
    """The other receipts are not known, or whether the failed one still counts as sent."""
    await live.ask(PAGE)
    if knows_receipts:
        await live.ask(THREAD)
    assert await live.calls(PAGE) == []
    live.progress(status)
    live.apply()
    assert len(await live.calls(PAGE)) == 1
    assert await live.ask(PAGE) == await live.truth(PAGE)


async def test_nothing_is_fetched_because_of_an_event(live: Live) -> None:
    for document in QUERIES:
        await live.ask(document)
    live.sandbox.reset()
    live.progress("read", one=False)
    for change in (add_message, edit_message, remove_message, edit_participant, remove_participant):
        live.write(change)
    assert all(update is not None for update in live.apply())
    await asyncio.sleep(0)
    assert live.sandbox.calls == []


@pytest.mark.parametrize(
    ("change", "documents"),
    [
        (add_message, [NEWEST]),
        (edit_message, [PAGE, MESSAGE]),
        (remove_message, [PAGE]),
        (edit_participant, [PEOPLE]),
        (remove_participant, [PEOPLE]),
    ],
)
async def test_messages_and_participants_are_those_of_twilio_after_an_event(
    live: Live, change: Callable[[Any], tuple[str, Any]], documents: list[str]
) -> None:
    before = [await live.ask(document) for document in documents]
    live.write(change)
    assert [await live.ask(document) for document in documents] == before  # They are cached.
    live.apply()
    after = [await live.ask(document) for document in documents]
    assert after == [await live.truth(document) for document in documents]
    assert after != before


async def test_an_updated_record_is_written_through_without_a_call(live: Live) -> None:
    for document in (MESSAGE, PEOPLE):
        await live.ask(document)
    live.write(edit_message)
    live.write(edit_participant)
    live.apply()
    assert (await live.ask(MESSAGE))["message"]["body"] == "edited"
    assert await live.calls(MESSAGE) == []
    assert await live.calls(PEOPLE) == []


async def test_a_row_that_a_page_repeats_is_shown_once_after_an_event_too(live: Live) -> None:
    cache = MemoryCache(2**24)
    live.account = Account(live.client, cache=cache, lifetimes=FOREVER)
    before = [edge["node"]["sid"] for edge in (await live.ask(PAGE))["messages"]["edges"]]
    (entry,) = [entry for key, entry in cache.records() if "/Messages?" in key]
    entry.value = Page(entry.value.target, [entry.value.rows[0], *entry.value.rows], entry.value.next, True)
    live.write(edit_message)
    live.apply()
    edges = (await live.ask(PAGE))["messages"]["edges"]
    assert edges[0]["node"]["body"] == "edited"
    assert [edge["node"]["sid"] for edge in edges] == before


async def test_a_value_that_changes_and_changes_back_within_a_second_is_read_again(live: Live) -> None:
    """Events of one second that have different values prove neither: what was read between them may be out of date."""
    first, second = (
        edit_message,
        (
            lambda conversation: (
                "onMessageUpdated",
                conversation.change_message(conversation.message(0), body="between", date_updated=2_000_000_000),
            )
        ),
    )
    for change in (first, second):
        live.write(change)
    live.apply()
    assert (await live.ask(MESSAGE))["message"]["body"] == "between"
    live.write(first)
    live.apply()
    assert (await live.ask(MESSAGE))["message"]["body"] == "edited"


async def test_a_conversation_s_state_is_written_through(live: Live) -> None:
    assert await live.ask(STATE) == {"state": "ACTIVE"}
    conversation = live.sandbox.world.find_conversation(live.sandbox.landmarks["conversation_sid"])
    service = live.sandbox.world.services[0]
    now = live.sandbox.world.tick()
    closed = replace(conversation.settings, state="closed", date_updated=now)
    live.sandbox.world.change_conversation(service, conversation, closed)
    live.sandbox.world.fire(Occurrence("onConversationStateUpdated", conversation, now, state_from="active"))
    live.apply()
    assert await live.calls(STATE) == []
    assert await live.ask(STATE) == {"state": "CLOSED"} == await live.truth(STATE)


EVERYTHING = RECEIPT.replace(
    "status", "sid accountSid channelMessageSid participantSid rawStatus dateCreated dateUpdated url"
)


async def test_a_receipt_that_an_event_proves_whole_is_not_read(live: Live) -> None:
    await live.ask(STATE)  # Its URL shows where Twilio's REST API is.
    live.progress("failed")
    live.apply()
    assert await live.calls(EVERYTHING) == []
    assert await live.ask(EVERYTHING) == await live.truth(EVERYTHING)


@pytest.mark.parametrize("absent", ["url", "error_code", "channel_message_sid"])
async def test_a_field_that_the_event_did_not_carry_is_read(live: Live, absent: str) -> None:
    if absent != "url":
        await live.ask(STATE)
    live.progress("failed")
    [event] = live.events
    event.properties.pop(absent, None)
    live.apply()
    row, missing = live.account.updates.row(event.path) or (None, ())
    assert getattr(row, "status", None) == "failed"
    assert set(missing) == {absent}
    assert len(await live.calls(EVERYTHING)) == 1
    assert await live.ask(EVERYTHING) == await live.truth(EVERYTHING)


async def test_a_message_that_only_an_event_names_is_read(live: Live) -> None:
    live.write(edit_message)
    [event] = live.events
    live.apply()
    _, missing = live.account.updates.row(event.path) or (None, frozenset())
    assert "delivery" in missing
    live.write(remove_message)
    [event] = live.events
    live.apply()
    assert live.account.updates.row(event.path) is None


async def test_answers_made_of_changed_records_are_no_longer_served(live: Live) -> None:
    await live.ask(THREAD)
    await live.ask(THREAD)
    kept = await live.ask(THREAD)
    assert live.account.lookups["answer"] >= 1
    served = live.account.lookups["answer"]
    live.progress("read")
    live.apply()
    assert await live.ask(THREAD) != kept
    assert live.account.lookups["answer"] == served


@pytest.mark.parametrize("document", [RECEIPT, RECEIPTS, MESSAGE, THREAD])
async def test_a_read_that_began_before_an_event_is_merged_forward(live: Live, document: str) -> None:
    """The read's response was made before the change, and arrives after the event."""
    live.progress("sent")
    live.events.clear()
    old = live.sandbox.faults.add("*", Fault("drip", size=200, pause=0.02))  # The body is made, then held back.
    asking = asyncio.create_task(live.ask(document))
    await live.sandbox.until(lambda: len(live.sandbox.calls) >= 1)
    live.progress("read")
    live.apply()
    answer = await asking
    live.sandbox.faults.remove(old)
    if document == RECEIPT:
        assert answer["message"]["receipt"]["status"] == "READ"
    later = await live.ask(document)
    assert later == await live.truth(document)


async def test_a_request_after_an_event_shares_no_older_read(live: Live) -> None:
    live.sandbox.faults.add("*Messages?*", Fault("drip", size=20_000, pause=0.05, times=1))
    first = asyncio.create_task(live.ask(NEWEST))
    await live.sandbox.until(lambda: any("Messages?" in path for path in live.sandbox.paths))
    live.write(add_message)
    live.apply()
    later = await live.ask(NEWEST)
    assert later["messages"]["edges"][0]["node"]["body"] == "new"
    await first
    assert await live.ask(NEWEST) == later  # What the first one read is not cached.


async def test_the_first_error_code_is_kept_and_goes_with_delivery(live: Live) -> None:
    await live.ask(RECEIPT)
    live.progress("failed", code=30003)
    live.progress("undelivered", code=30008)
    live.apply()
    assert (await live.ask(RECEIPT))["message"]["receipt"]["errorCode"] == 30003
    live.progress("delivered")
    live.apply()
    found = (await live.ask(RECEIPT))["message"]["receipt"]
    assert (found["status"], found["errorCode"]) == ("DELIVERED", None)


async def test_listeners_are_notified_of_each_change_once(live: Live) -> None:
    heard: list[Update] = []
    stop = live.account.updates.add_listener(heard.append)
    live.progress("read")
    events = live.events * 2
    live.progress("sent")
    for event in [*events, *live.events]:
        live.account.updates.apply(event)
    assert [(each.properties["status"], each.previous) for each in heard] == [("read", None)]
    stop()
    live.write(edit_message)
    live.apply()
    assert len(heard) == 1
    known = live.account.updates.known(heard[0].event.path)
    assert known is not None
    assert known["status"] == "read"


@pytest.mark.parametrize("seed", range(12))
async def test_random_histories_end_as_twilio_has_it_in_any_order(live: Live, seed: int) -> None:
    """With lifetimes of an hour, events alone make the caches current; they arrive late, twice and in any order."""
    chance = random.Random(seed)
    marks, world = live.sandbox.landmarks, live.sandbox.world
    changes = [add_message, edit_message, edit_participant]
    waiting: list[Event] = []
    for _ in range(30):
        if chance.random() < 0.5:
            await live.ask(chance.choice(QUERIES))
        if chance.random() < 0.8:
            world.progress(marks["message_sid"], receipt_sid=marks["receipt_sid"] if chance.random() < 0.5 else None)
        else:
            live.write(chance.choice(changes))
        waiting += live.events * chance.choice([1, 1, 2])
        live.events.clear()
        chance.shuffle(waiting)
        for event in waiting[: chance.randrange(4)]:
            live.account.updates.apply(event)
            if chance.random() < 0.5:
                waiting.remove(event)
    chance.shuffle(waiting)
    for event in waiting:
        live.account.updates.apply(event)
    for document in QUERIES:
        assert await live.ask(document) == await live.truth(document), document

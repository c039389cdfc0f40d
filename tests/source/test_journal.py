"""The journal of events: what it proves of a record, whatever the order of events, and that it stays bounded."""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.source import journal as module
from gateway.source.journal import Journal
from gateway.twilio.events import Change, Event

CONVERSATION = f"Services/IS{'1' * 32}/Conversations/CH{'2' * 32}"
MESSAGE = f"{CONVERSATION}/Messages/IM{'3' * 32}"
RECEIPT = f"{MESSAGE}/Receipts/DY{'4' * 32}"


def at(second: int) -> str:
    return f"2026-03-24T20:37:{second:02d}Z"


def message(change: Change, second: int, **properties: Any) -> Event:
    return Event(change, MESSAGE, properties, at(second))


def receipt(status: str | None, second: int, code: int | None = None, number: int = 4) -> Event:
    properties = {"status": status, "date_updated": at(second), "error_code": code, "participant_sid": "MB"}
    return Event(Change.UPDATED, RECEIPT[:-1] + f"{number:x}", properties, at(second))


def proved(events: list[Event]) -> Any:
    journal = Journal()
    for event in events:
        journal.add(event)
    known = journal.get(events[0].path)
    assert known is not None
    return known.change, known.properties, known.date, known.contested


ADDED, UPDATED, REMOVED = Change.ADDED, Change.UPDATED, Change.REMOVED


@pytest.mark.parametrize(
    ("events", "change", "properties"),
    [
        ([message(ADDED, 1, body="a")], ADDED, {"body": "a"}),
        ([message(ADDED, 1, body="a"), message(UPDATED, 2, body="b")], UPDATED, {"body": "b"}),
        ([message(ADDED, 1, body="a"), message(UPDATED, 1, body="b")], UPDATED, {"body": "b"}),
        ([message(UPDATED, 2, body="b"), message(UPDATED, 3, body="c")], UPDATED, {"body": "c"}),
        ([message(UPDATED, 2, body="b", index=1), message(UPDATED, 2, body="c")], UPDATED, {"index": 1}),
        (
            [message(UPDATED, 2, body="b"), message(UPDATED, 2, body="c"), message(UPDATED, 2, body="b")],
            UPDATED,
            {},
        ),
        ([message(UPDATED, 9, body="b"), message(REMOVED, 2)], REMOVED, {}),
        ([message(REMOVED, 2), message(ADDED, 9, body="a")], REMOVED, {}),
        ([receipt("sent", 1), receipt("failed", 2, 30003)], UPDATED, None),
    ],
)
def test_the_order_of_arrival_does_not_matter(events: list[Event], change: Change, properties: Any) -> None:
    results = [proved(list(order)) for order in permutations(events)]
    assert all(each[:2] == results[0][:2] and each[3] == results[0][3] for each in results)
    assert results[0][0] is change
    if properties is not None:
        assert results[0][1] == properties


@given(
    st.lists(
        st.builds(
            message,
            st.sampled_from(list(Change)),
            st.integers(0, 2),
            body=st.sampled_from("ab"),
            author=st.sampled_from("xy"),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_every_order_of_a_message_s_events_ends_alike(events: list[Event]) -> None:
    events = [Event(each.change, each.path, {}, each.date) if each.change is REMOVED else each for each in events]
    ends = {repr(proved(list(order))[:2]) for order in permutations(events)}
    # A message that is removed several times keeps one of the dates.
    assert len({end.replace("'author'", "'a'") for end in map(_sorted, ends)}) == 1


def _sorted(text: str) -> str:
    return "".join(sorted(text))


def test_an_event_that_adds_nothing_is_no_update() -> None:
    journal = Journal()
    first = journal.add(receipt("delivered", 2))
    assert first is not None
    assert first.previous is None
    assert journal.add(receipt("delivered", 2)) is None
    assert journal.add(receipt("sent", 3)) is None
    later = journal.add(receipt("read", 4))
    assert later is not None
    assert later.previous is not None
    assert (later.previous["status"], later.properties["status"]) == ("delivered", "read")
    assert first.properties["status"] == "delivered"
    assert journal.add(receipt("failed", 1, 30003)) is None


def test_a_failure_without_a_code_does_not_prove_that_there_is_none() -> None:
    journal = Journal()
    journal.add(Event(UPDATED, RECEIPT, {"status": "failed", "date_updated": at(2)}, at(2)))
    known = journal.get(RECEIPT)
    assert known is not None
    assert "error_code" not in known.properties


def test_the_events_of_a_journal_lead_to_the_same_journal() -> None:
    journal, other = Journal(), Journal()
    history = [
        receipt("failed", 1, 30003),
        receipt("undelivered", 2, 30008),
        receipt("failed", 1, 30003, number=5),
        receipt("delivered", 2, number=5),
        message(UPDATED, 2, body="b"),
    ]
    for event in history:
        journal.add(event)
    for event in journal.events():
        other.add(event)
    for path in {event.path for event in history}:
        known, same = journal.get(path), other.get(path)
        assert known is not None
        assert same is not None
        assert (known.properties, known.receipt, known.date) == (same.properties, same.receipt, same.date)


def test_a_journal_is_bounded_in_time_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    journal = Journal(lambda: now)
    journal.add(receipt("sent", 1, number=1))
    now += 200
    journal.add(receipt("sent", 1, number=2))
    assert len(journal.below(f"{MESSAGE}/Receipts")) == 2
    assert journal.owners_in(f"{CONVERSATION}/Messages") == {MESSAGE.rpartition("/")[2]}
    now += 200
    journal.add(message(ADDED, 1))
    assert len(journal) == 2
    now += 200
    journal.add(message(UPDATED, 1))
    assert (len(journal), journal.owners_in(f"{CONVERSATION}/Messages")) == (1, ())
    monkeypatch.setattr(module, "_RECORDS_MAX", 3)
    for number in range(10):
        journal.add(receipt("sent", 1, number=number))
    assert len(journal) == 3

"""The history: what can be replayed after a position, and which cursors are refused."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadUserInput
from gateway.source.history import History, Position, decode_position, encode_position
from gateway.source.journal import Journal, Update
from gateway.twilio.events import Change, Event

A, B, C = (bytes([letter]) * 8 for letter in b"ABC")
Entry = tuple[bytes, int]


def update(origin: bytes, number: int, at: float = 0.0) -> Update:
    path = f"Services/IS1/Conversations/CH1/Messages/IM1/Receipts/DY{origin[:1].decode()}{number}"
    found = Journal(lambda: at).add(Event(Change.UPDATED, path, {"status": "sent"}, ""))
    assert found is not None
    return found


def history_of(entries: Iterable[Entry], **bounds: float) -> History:
    history = History(clock=lambda: 0.0, **bounds)  # type: ignore[arg-type]
    for origin, number in entries:
        history.add(origin, number, update(origin, number))
    return history


def after(history: History, position: Position) -> list[Entry] | None:
    found = history.after(position, lambda _: True)
    return [(past.origin, past.number) for past, _ in found] if found is not None else None


HELD = [(A, 1), (B, 7), (A, 2), (B, 8), (A, 3)]


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        ({A: 3, B: 8}, []),
        ({A: 2, B: 8}, [(A, 3)]),
        ({A: 0, B: 6}, HELD),
        ({B: 8}, [(A, 1), (A, 2), (A, 3)]),  # It saw nothing of A, whose first event is held.
        ({A: 9, B: 9}, []),  # Another process is further ahead.
        ({A: 3}, None),  # It saw nothing of B, whose first six events are not held.
        ({A: 3, B: 5}, None),  # The sixth is not held.
        ({A: 3, B: 8, C: 1}, None),  # Nothing is known of C.
        ({}, None),
    ],
)
def test_what_is_replayed_after_a_position(position: Position, expected: list[Entry] | None) -> None:
    assert after(history_of(HELD), position) == expected


def test_each_event_comes_with_the_position_after_it() -> None:
    found = history_of(HELD).after({A: 1, B: 7}, lambda update: not update.event.path.endswith("DYB8"))
    assert found is not None
    assert [position for _, position in found] == [{A: 2, B: 7}, {A: 3, B: 8}]


def test_an_event_that_changed_nothing_is_not_missed() -> None:
    history = history_of([(A, 1)])
    history.add(A, 2, None)
    history.add(A, 3, update(A, 3))
    assert after(history, {A: 1}) == [(A, 3)]
    assert history.position == {A: 3}


def test_after_a_gap_the_events_before_it_are_forgotten() -> None:
    history = history_of([(A, 1), (B, 1), (A, 2), (A, 4)])
    assert after(history, {A: 2, B: 0}) is None
    assert after(history, {A: 3, B: 0}) == [(B, 1), (A, 4)]


def test_a_position_of_a_process_that_was_met_begins_there() -> None:
    history = history_of([(A, 1)])
    history.begin(B, 5)
    assert after(history, {A: 1, B: 5}) == []
    assert after(history, {A: 1, B: 4}) is None
    history.add(B, 6, update(B, 6))
    history.begin(B, 6)  # Nothing new.
    assert after(history, {A: 1, B: 5}) == [(B, 6)]


def test_nothing_is_replayed_after_a_position_before_a_possible_loss() -> None:
    history = history_of(HELD)
    history.begin(A, 4)  # At A, it takes the next number.
    assert after(history, {A: 3, B: 8}) is None
    assert history.position == {A: 4, B: 8}
    history.add(B, 9, update(B, 9))
    assert after(history, {A: 4, B: 8}) == [(B, 9)]


def test_the_history_is_bounded_in_number_time_and_origins() -> None:
    history = history_of([(A, number) for number in range(1, 11)], events=4)
    assert len(history) == 4
    assert after(history, {A: 6}) == [(A, 7), (A, 8), (A, 9), (A, 10)]
    assert after(history, {A: 5}) is None
    now = 0.0
    history = History(seconds=10.0, clock=lambda: now)
    history.add(A, 1, update(A, 1, at=0.0))
    history.add(A, 2, update(A, 2, at=9.0))
    now = 11.0
    assert after(history, {A: 0}) is None
    assert after(history, {A: 1}) == [(A, 2)]
    history = history_of([(bytes([origin]) * 8, 1) for origin in range(64)])
    assert not history.add(A, 1, None)
    assert len(history.position) == 64
    assert bytes(8) not in history.position
    assert history.add(A, 2, None)


@given(
    st.lists(st.sampled_from([A, B, C]), max_size=30),
    st.randoms(use_true_random=False),
    st.integers(0, 30),
    st.integers(1, 30),
)
def test_nothing_is_missed_at_another_process(order: list[bytes], random: object, left_at: int, held: int) -> None:
    """It saw the same events in another order, and holds some of them."""
    numbers: dict[bytes, int] = {}
    entries = []
    for origin in order:
        numbers[origin] = numbers.get(origin, 0) + 1
        entries.append((origin, numbers[origin]))
    shuffled = sorted(order, key=lambda _: random.random())  # type: ignore[attr-defined]
    counts = dict.fromkeys((A, B, C), 0)
    elsewhere = []
    for origin in shuffled:
        counts[origin] += 1
        elsewhere.append((origin, counts[origin]))
    seen = entries[:left_at]
    position = {origin: number for origin, number in seen}  # noqa: C416 The last one of each wins.
    other = history_of(elsewhere, events=held)
    found = other.after(position, lambda _: True)
    if found is None:
        assert left_at == 0 or len(elsewhere) > held or position.keys() - dict(elsewhere).keys()
        return
    replayed = [(past.origin, past.number) for past, _ in found]
    assert {*seen, *replayed} == set(entries)
    for count, (_, reached) in enumerate(found, 1):  # A connection that ends here resumes from there.
        again = after(other, reached)
        assert again is not None
        assert {*seen, *replayed[:count], *again} == set(entries)


SUBJECT = "deliveryUpdated IS1"


def encoded(value: object) -> str:
    return urlsafe_b64encode(msgspec.msgpack.encode(value)).rstrip(b"=").decode()


def test_a_cursor_is_the_position_that_it_was_made_of() -> None:
    for position in ({}, {A: 0}, {A: 3, B: 2**40}):
        assert decode_position(encode_position(position, SUBJECT), SUBJECT) == position
    assert len(encode_position({bytes([each]) * 8: 10**6 for each in range(8)}, SUBJECT)) < 200


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "é",
        "A" * 5000,
        urlsafe_b64encode(b"\x91" * 3000).decode(),
        encode_position({A: 1}, SUBJECT)[:-2],
        encoded([1, b"123456", b"short", 1]),
        encoded([1, b"123456", A]),
        encoded([1, b"123456", A, -1]),
        encoded([1, b"123456", A, True]),
        encoded([1, b"123456", A, 1, A, 2]),
        encoded([2, b"123456", A, 1]),
        encoded([1, "123456", A, 1]),
        encoded({"version": 1}),
        encoded([]),
    ],
)
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(BadUserInput, match="`after` is not a cursor"):
        decode_position(text, SUBJECT)


def test_a_cursor_of_another_field_or_service_is_refused() -> None:
    for subject in ("messageChanged IS1", "deliveryUpdated IS2"):
        with pytest.raises(BadUserInput, match="another field, or of another service"):
            decode_position(encode_position({A: 1}, subject), SUBJECT)

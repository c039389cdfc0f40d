"""Merging the states of a receipt: the table at the head of the file, and that the order of arrival never matters."""

import re
from collections.abc import Sequence
from functools import reduce
from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.twilio import merge as module
from gateway.twilio.merge import FAILURES, ReceiptState, merge, receipt_state

STATUSES: list[str | None] = [None, "queued", "sent", "failed", "undelivered", "delivered", "read"]
NAMES = dict(zip(["null", "other", "sent", "failed", "undelivered", "delivered", "read"], STATUSES, strict=True))
EARLY, LATE = "2026-03-24T20:37:57Z", "2026-03-24T20:37:58Z"
PENDING = receipt_state(None, None, None)


def table() -> dict[tuple[str, str], str]:
    """Return the cells of the table in the docstring, by the known and the new status."""
    lines = (module.__doc__ or "").splitlines()
    head = next(number for number, line in enumerate(lines) if "known \\ new" in line)
    columns = lines[head].split()[3:]
    rows = [line.split() for line in lines[head + 1 : head + 1 + len(columns)]]
    return {(row[0], column): cell for row in rows for column, cell in zip(columns, row[1:], strict=True)}


CELLS = table()


def test_the_table_has_a_cell_for_each_pair() -> None:
    assert CELLS.keys() == set(product(NAMES, NAMES))
    assert set(CELLS.values()) == {"new", "known", "date", "later"}


@pytest.mark.parametrize(("known", "new"), CELLS)
def test_each_cell_of_the_table(known: str, new: str) -> None:
    def merged(known_date: str, new_date: str) -> ReceiptState:
        return merge(receipt_state(NAMES[known], known_date, 1), receipt_state(NAMES[new], new_date, 2))

    match CELLS[known, new]:
        case "new":
            for dates in product([EARLY, LATE], repeat=2):
                assert merged(*dates)[:2] == (NAMES[new], dates[1])
        case "known":
            for dates in product([EARLY, LATE], repeat=2):
                assert merged(*dates)[:2] == (NAMES[known], dates[0])
        case "date":
            assert merged(EARLY, LATE)[:2] == merged(LATE, EARLY)[:2] == (NAMES[known], LATE)
        case "later":
            assert merged(EARLY, LATE)[:2] == (NAMES[new], LATE)
            assert merged(LATE, EARLY)[:2] == (NAMES[known], LATE)
            assert merged(LATE, LATE).status == "undelivered"


def test_of_two_statuses_that_are_not_known_the_later_stays() -> None:
    one, other = receipt_state("queued", LATE, None), receipt_state("accepted", EARLY, None)
    assert merge(one, other) == merge(other, one) == one


@pytest.mark.parametrize(
    ("history", "error_code"),
    [
        ([("failed", EARLY, 30003), ("undelivered", LATE, 30008)], 30003),
        ([("undelivered", LATE, 30008), ("failed", EARLY, 30003)], 30003),
        ([("undelivered", LATE, 30008), ("sent", EARLY, None)], 30008),
        ([("failed", EARLY, None), ("undelivered", LATE, 30008)], 30008),
        ([("failed", EARLY, 30003), ("delivered", EARLY, None)], None),
        ([("failed", EARLY, 30003), ("delivered", LATE, None), ("undelivered", LATE, 30008)], None),
        ([("read", EARLY, None), ("failed", LATE, 30003)], None),
        ([("failed", EARLY, 0)], None),
    ],
)
def test_the_error_code_is_that_of_the_earliest_failure_until_delivery(
    history: Sequence[tuple[str, str, int | None]], error_code: int | None
) -> None:
    assert reduce(merge, [receipt_state(*each) for each in history]).error_code == error_code


def test_a_state_that_adds_nothing_leaves_the_known_one() -> None:
    known = receipt_state("delivered", LATE, None)
    for status in ("sent", "delivered", None):
        assert merge(known, receipt_state(status, EARLY, None)) is known
    assert merge(known, receipt_state("delivered", LATE, None)) is known


states = st.builds(
    lambda status, second, code: receipt_state(
        status, f"2026-03-24T20:37:0{second}Z", code if status in FAILURES else None
    ),
    st.sampled_from(STATUSES),
    st.integers(0, 3),
    st.sampled_from([None, 30003, 30005, 30008]),
)


def shown(state: ReceiptState) -> tuple[str | None, str, int | None]:
    """Return what clients see of a state."""
    return state.status, state.date_updated, state.error_code


@given(st.lists(states, min_size=1, max_size=6), st.data())
def test_every_order_with_duplicates_ends_in_one_state_and_never_goes_back(
    events: list[ReceiptState], data: st.DataObject
) -> None:
    """A loss is a shorter list: that, too, ends in one state whatever its order."""
    repeated = events + data.draw(st.lists(st.sampled_from(events), max_size=6 - len(events)))
    ends = set()
    for order in permutations(repeated):
        state = PENDING
        for event in order:
            before, state = state, merge(state, event)
            assert (state.rank, state.date_updated) >= (before.rank, before.date_updated)
            assert merge(state, event) is state
        ends.add(shown(state))
    assert ends == {shown(reduce(merge, events, PENDING))}
    assert reduce(merge, events, PENDING).rank == max(event.rank for event in events)


@given(states, states, states)
def test_merging_is_commutative_associative_and_idempotent(
    one: ReceiptState, two: ReceiptState, three: ReceiptState
) -> None:
    assert merge(one, two) == merge(two, one)
    assert merge(merge(one, two), three) == merge(one, merge(two, three))
    assert merge(one, one) is one


def test_the_statuses_that_the_docstring_ranks_are_those_of_the_code() -> None:
    text = module.__doc__ or ""
    for lower, higher in re.findall(r"^    (\w+) < (\w+)", text, re.MULTILINE):
        ranks = [receipt_state(NAMES[name], EARLY, None).rank for name in (lower, higher)]
        assert ranks[0] < ranks[1], (lower, higher)

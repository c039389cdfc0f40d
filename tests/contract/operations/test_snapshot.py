"""Prices in a file: what a review sees of them, and what a change does to them."""

import json
from pathlib import Path

import msgspec
import pytest

from gateway.contract import CheckError
from gateway.contract.operations.snapshot import RecordedCost, compare_costs, read_snapshot, write_snapshot

LIST, RECEIPTS, PEOPLE = "Query.messages", "Query.messages.receipts", "Query.messages.receipts.participant"


def cost(messages: int = 1, receipts: int = 0, people: int = 0, trips: int = 2) -> RecordedCost:
    edges = {LIST: messages, RECEIPTS: receipts, PEOPLE: people}
    return RecordedCost(messages + receipts + people, trips, {place: calls for place, calls in edges.items() if calls})


def per_event(messages: int = 1, receipts: int = 0) -> RecordedCost:
    return msgspec.structs.replace(cost(messages, receipts), per="event")


@pytest.mark.parametrize(
    ("before", "after", "kind", "words"),
    [
        (cost(receipts=11), cost(receipts=60), "dearer", f"A 12 → 61 calls: {RECEIPTS} 11 → 60"),
        (cost(receipts=1), cost(receipts=50, people=10), "dearer",
         f"A 2 → 61 calls: {RECEIPTS} 1 → 50, {PEOPLE} 0 → 10"),
        (cost(messages=9, receipts=1), cost(messages=1, receipts=50), "dearer", f"A 10 → 51 calls: {RECEIPTS} 1 → 50"),
        (cost(trips=1), cost(trips=3), "dearer", "A 1 → 3 round trips"),
        (cost(trips=1), cost(receipts=4, trips=2), "dearer", f"A 1 → 5 calls, 1 → 2 round trips: {RECEIPTS} 0 → 4"),
        (cost(receipts=60), cost(receipts=11), "cheaper", f"A 61 → 12 calls: {RECEIPTS} 60 → 11"),
        (cost(receipts=60, people=10), cost(messages=2, trips=9), "cheaper",
         f"A 71 → 2 calls, 2 → 9 round trips: {RECEIPTS} 60 → 0, {PEOPLE} 10 → 0"),
        (cost(trips=2), cost(trips=1), "cheaper", "A 2 → 1 round trips"),
        (None, cost(receipts=1), "new", "A is new: 2 calls"),
        (cost(receipts=1), None, "removed", "A is gone: 2 calls"),
        (per_event(receipts=1), per_event(receipts=2), "dearer",
         f"A 2 → 3 calls for each event: {RECEIPTS} 1 → 2"),
        (None, per_event(), "new", "A is new: 1 call for each event"),
        (per_event(), None, "removed", "A is gone: 1 call for each event"),
        # Snapshots were written without `per`.
        (cost(receipts=1), per_event(receipts=2), "dearer", f"A 2 → 3 calls for each event: {RECEIPTS} 1 → 2"),
    ],
)  # fmt: skip
def test_a_change_says_which_field_did_it(
    before: RecordedCost | None, after: RecordedCost | None, kind: str, words: str
) -> None:
    (change,) = compare_costs({"A": before} if before else {}, {"A": after} if after else {})
    assert (change.kind, str(change)) == (kind, words)


def test_many_fields_are_counted() -> None:
    (change,) = compare_costs(
        {"A": RecordedCost(0, 1, {})},
        {"A": RecordedCost(28, 1, {f"Query.a{number}": number for number in range(1, 8)})},
    )
    assert str(change).endswith("Query.a4 0 → 4, Query.a3 0 → 3, and 2 more")


def test_what_costs_the_same_is_no_change() -> None:
    same = {"A": cost(messages=1, receipts=2), "B": cost()}
    assert compare_costs(same, {"B": cost(), "A": cost(messages=2, receipts=1)}) == []
    assert [change.name for change in compare_costs(same, {"C": cost(), "A": cost()})] == ["A", "B", "C"]


def test_a_file_is_sorted_stable_and_readable_in_a_review(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    write_snapshot(path, {"B": cost(), "A": RecordedCost(3, 2, {"Query.b": 1, "Query.a": 2})})
    assert (
        path.read_text(encoding="utf-8")
        == """\
{
  "operations": {
    "A": {
      "calls": 3,
      "edges": {
        "Query.a": 2,
        "Query.b": 1
      },
      "roundTrips": 2
    },
    "B": {
      "calls": 1,
      "edges": {
        "Query.messages": 1
      },
      "roundTrips": 2
    }
  },
  "version": 1
}
"""
    )
    again = read_snapshot(path)
    assert again == {"A": RecordedCost(3, 2, {"Query.b": 1, "Query.a": 2}), "B": cost()}
    written = path.read_bytes()
    write_snapshot(path, again)
    assert path.read_bytes() == written


def test_no_file_is_no_snapshot(tmp_path: Path) -> None:
    assert read_snapshot(tmp_path / "prices.json") is None


PRICE = {"calls": 1, "edges": {}, "roundTrips": 1}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a snapshot of costs"),
        (b"\xff\xfe", "not a snapshot of costs"),
        (b"[]", "not a snapshot of costs"),
        (b"<<<<<<< HEAD\n{}", "not a snapshot of costs"),
        (b"{}", "`version`"),
        (json.dumps({"version": 2, "anything": {}}), "has version 2, and this release supports 1"),
        (json.dumps({"version": "1"}), "Expected `int`"),
        (json.dumps({"version": 1}), "`operations`"),
        (json.dumps({"version": 1, "operations": []}), "Expected `object`"),
        (json.dumps({"version": 1, "operations": {"A": {}}}), "`calls`"),
        (json.dumps({"version": 1, "operations": {"A": PRICE | {"calls": "1"}}}), "Expected `int`"),
        (json.dumps({"version": 1, "operations": {"A": PRICE | {"edges": {"x": None}}}}), "Expected `int`"),
        (json.dumps({"version": 1, "operations": {"A": PRICE | {"more": 1}}}), "`more`"),
        ("[" * 100_000, "not a snapshot of costs"),
    ],
)
def test_an_unreadable_snapshot_is_rejected_with_its_reason(tmp_path: Path, content: str | bytes, words: str) -> None:
    path = tmp_path / "prices.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(CheckError) as caught:
        read_snapshot(path)
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    assert "--update" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match=r"cannot be read \(Is a directory"):
        read_snapshot(tmp_path)
    with pytest.raises(CheckError, match=r"cannot be written \(No such file"):
        write_snapshot(tmp_path / "missing" / "prices.json", {})


@pytest.mark.parametrize("content", ["{ services { edges { cursor } } }", '{"name": "client"}'])
def test_a_file_that_is_not_a_snapshot_is_not_overwritten(tmp_path: Path, content: str) -> None:
    path = tmp_path / "package.json"
    path.write_text(content)
    with pytest.raises(CheckError, match="not overwritten"):
        write_snapshot(path, {"A": cost()})
    assert path.read_text() == content

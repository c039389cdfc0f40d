"""What the statuses of receipts prove about a summary, as tables, and against the sandbox's own summaries."""

from itertools import combinations_with_replacement

import pytest

from gateway.sandbox.conversation import ConversationRecord, ReceiptRecord
from gateway.sandbox.resources import Renderer
from gateway.sandbox.switches import Switches
from gateway.sandbox.world import World
from gateway.twilio.summaries import amounts_of, at_least

LETTERS = {"p": None, "s": "sent", "d": "delivered", "r": "read", "f": "failed", "x": "undelivered", "?": "queued"}
NAMES = ("sent", "delivered", "read", "failed", "undelivered")
AMOUNTS = {"0": "none", "+": "some", "*": "all", "?": None}


def statuses(letters: str) -> list[str | None]:
    return [LETTERS[letter] for letter in letters]


def amounts(letters: str) -> dict[str, str | None]:
    return {name: AMOUNTS[letter] for name, letter in zip(NAMES, letters, strict=True)}


@pytest.mark.parametrize(
    ("receipts", "expected"),
    [
        ("pp", "00000"),
        ("ps", "+0000"),
        ("ss", "*0000"),
        ("sd", "*+000"),
        ("rd", "**+00"),
        ("rr", "***00"),
        ("psf", "+00+0"),  # Some are sent, whether the failed one counts or not.
        ("pf", None),  # None are sent, or some.
        ("sx", None),
        ("f", None),
        ("s?", None),
        ("", "00000"),
    ],
)
def test_amounts_are_those_of_all_receipts_where_they_are_proved(receipts: str, expected: str | None) -> None:
    assert amounts_of(statuses(receipts)) == (amounts(expected) if expected is not None else None)


@pytest.mark.parametrize(
    ("known", "total", "receipts", "raised"),
    [
        ("00000", 3, "s", {"sent": "some"}),
        ("00000", 1, "d", {"sent": "all", "delivered": "all"}),
        ("+0000", 2, "ss", {"sent": "all"}),
        ("*+000", 3, "r", {"read": "some"}),
        ("*++00", 3, "r", {}),
        ("+0000", 3, "f", {"failed": "some"}),
        ("***00", 3, "p", {}),
        ("?????", 3, "rrr", {}),
        ("00000", 0, "s", {"sent": "some"}),
    ],
)
def test_amounts_are_raised_and_never_lowered(known: str, total: int, receipts: str, raised: dict[str, str]) -> None:
    assert at_least(amounts(known), total, statuses(receipts)) == raised


@pytest.mark.parametrize("failed_count", ["apart", "sent"])
def test_proved_amounts_are_those_of_twilio_whatever_failures_count_as(failed_count: str) -> None:
    world = World()
    conversation = next(iter(world.conversations()))
    assert isinstance(conversation, ConversationRecord)
    switches = Switches(failed_count="sent" if failed_count == "sent" else "apart")
    renderer = Renderer(world.account_sid, "", switches)
    (one, *_) = conversation.receipts(conversation.message(0))
    for size in range(1, 5):
        for letters in combinations_with_replacement("psdrfx", size):
            given = statuses("".join(letters))
            receipts = [ReceiptRecord(one.participant, status, 0, 0, None) for status in given]
            delivery = renderer.delivery(receipts)
            assert delivery is not None
            proved = amounts_of(given)
            assert proved is None or {**proved, "total": size} == delivery
            some = at_least(dict.fromkeys(NAMES, "none"), size, given[: size - 1])
            ranks = ["none", "some", "all"]
            assert all(ranks.index(some[name]) <= ranks.index(delivery[name]) for name in some)

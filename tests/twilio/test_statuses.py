"""The statuses of receipts: which are final, and how a list compares with its message's delivery summary, as tables."""

from types import SimpleNamespace

import pytest

from gateway.twilio.partial_rows import PartialRow
from gateway.twilio.statuses import Agreement, ReceiptSummary, agreement, is_terminal, statuses_of

LETTERS = {
    "p": None,
    "s": "sent",
    "d": "delivered",
    "r": "read",
    "f": "failed",
    "x": "undelivered",
    "?": "queued",
}
AMOUNTS = {"0": "none", "+": "some", "*": "all", "?": None, "!": "most"}
UNCHANGED, OUTDATED, UNDECIDED = Agreement.UNCHANGED, Agreement.OUTDATED, Agreement.UNDECIDED


def summary(amounts: str, total: int) -> ReceiptSummary:
    """A summary from five letters: sent, delivered, read, failed, undelivered."""
    return ReceiptSummary(total, *(AMOUNTS[letter] for letter in amounts))


@pytest.mark.parametrize("channel_sid", ["SM0", "MM0", "WA0", None])
@pytest.mark.parametrize(
    ("status", "final"),
    [
        ("read", True),
        ("failed", True),
        ("undelivered", True),
        ("delivered", False),
        ("sent", False),
        (None, False),
        ("queued", False),
        ("", False),
    ],
)
def test_a_status_is_final_whatever_the_channel_s_sid_is(
    status: str | None, channel_sid: str | None, final: bool
) -> None:
    assert is_terminal(SimpleNamespace(status=status, channel_message_sid=channel_sid)) is final


@pytest.mark.parametrize(
    ("letters", "amounts", "expected"),
    [
        # Delivered: unchanged while none is read.
        ("dd", "**000", UNCHANGED),
        ("dd", "***00", OUTDATED),
        ("dd", "**+00", OUTDATED),
        ("dd", "**?00", UNDECIDED),
        ("dd", "**!00", UNDECIDED),
        ("d", "***00", OUTDATED),
        # Some are read: perhaps others by now.
        ("dr", "**+00", UNDECIDED),
        ("dr", "***00", OUTDATED),
        ("dr", "**000", UNDECIDED),  # The summary is older than the list.
        # Delivered and failed: failures count as sent, or not.
        ("df", "++0+0", UNCHANGED),
        ("df", "*+0+0", UNCHANGED),
        ("df", "++00+", OUTDATED),
        ("df", "0+0+0", UNDECIDED),
        ("dx", "++00+", UNCHANGED),
        # Final ones alone.
        ("rr", "***00", UNCHANGED),
        ("rf", "+++" + "+0", UNCHANGED),
        ("ff", "000*0", UNCHANGED),
        ("fx", "000++", UNCHANGED),
        ("fx", "*00++", UNCHANGED),
        ("rr", "**000", UNDECIDED),  # The summary is older than the list.
        ("rr", "*****", OUTDATED),
        ("rr", "***?0", UNDECIDED),
        ("rr", "?????", UNDECIDED),
        # What can still change in ways that no amount shows.
        ("ss", "*0000", UNDECIDED),
        ("ss", "*+000", OUTDATED),
        ("sd", "*+000", UNDECIDED),
        ("sd", "**000", OUTDATED),
        ("pp", "00000", UNDECIDED),
        ("pp", "+0000", OUTDATED),
        ("pp", "0000+", OUTDATED),
        ("d?", "**000", UNDECIDED),
        ("??", "*****", UNDECIDED),
        ("d?", "***00", OUTDATED),
    ],
)
def test_a_list_compared_with_its_message_s_summary(letters: str, amounts: str, expected: Agreement) -> None:
    statuses = statuses_of([SimpleNamespace(status=LETTERS[letter]) for letter in letters])
    assert agreement(statuses, summary(amounts, len(letters))) is expected
    for total in (len(letters) - 1, len(letters) + 1):
        assert agreement(statuses, summary(amounts, total)) is UNDECIDED


def test_a_status_that_cannot_be_read_is_not_final_and_decides_nothing() -> None:
    rows = [PartialRow({}, {"status"}), SimpleNamespace(status="delivered")]
    assert not is_terminal(rows[0])
    assert statuses_of(rows) == ("", "delivered")
    assert agreement(statuses_of(rows), summary("**000", 2)) is UNDECIDED

"""The statuses of delivery receipts, and what a message's delivery summary says about the receipts that were read.

https://www.twilio.com/docs/conversations/delivery-receipts
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import Any, NamedTuple

from gateway.twilio.partial_rows import readable

__all__ = ["Agreement", "ReceiptStatuses", "ReceiptSummary", "is_terminal"]

_FINAL = frozenset({"read", "failed", "undelivered"})
_RANKS: dict[str | None, int] = {"none": 0, "some": 1, "all": 2}
_UNKNOWN = -1


def is_terminal(row: Any) -> bool:
    """Whether the receipt's status is final. `delivered` may become `read`: a channel's sid does not name the channel."""
    return readable(row, "status") in _FINAL


class ReceiptSummary(NamedTuple):
    """A message's delivery summary: the number of its receipts, and how many have reached each status.

    An amount is `none`, `some` or `all`; it is None, or another text, if it is unknown.
    """

    total: int
    sent: str | None
    delivered: str | None
    read: str | None
    failed: str | None
    undelivered: str | None


class Agreement(Enum):
    """How a list of receipts compares with a summary."""

    UNCHANGED = auto()
    """No receipt has changed since the list was read."""
    OUTDATED = auto()
    """A receipt has changed since the list was read."""
    UNDECIDED = auto()
    """The summary shows neither."""


class ReceiptStatuses:
    """How many receipts of a whole list have each status."""

    __slots__ = ("_agreement", "_least", "_may_be_read", "_may_change", "_most", "_summary", "total")

    def __init__(self, rows: Sequence[Any]) -> None:
        """Count the statuses of a list's rows."""
        count = [readable(row, "status", "") for row in rows].count
        self.total = len(rows)
        pending, only_sent, only_delivered = count(None), count("sent"), count("delivered")
        read, failed, undelivered = count("read"), count("failed"), count("undelivered")
        unknown = self.total - pending - only_sent - only_delivered - read - failed - undelivered
        delivered = only_delivered + read
        sent = only_sent + delivered
        # Positive amounts are cumulative. Whether failures count as sent is undocumented, and an unknown status may count
        # as any other: each amount is that of one of two counts.
        self._least = self._ranks(sent, delivered, read, failed, undelivered)
        counted_as_sent = sent + failed + undelivered
        self._most = (
            self._ranks(*(each + unknown for each in (counted_as_sent, delivered, read, failed, undelivered)))
            if unknown or failed or undelivered
            else self._least
        )
        self._may_be_read = only_delivered > 0
        self._may_change = pending + only_sent + unknown > 0
        self._summary: ReceiptSummary | None = None
        self._agreement = Agreement.UNDECIDED

    def agreement(self, summary: ReceiptSummary) -> Agreement:
        """Return how the list compares with its message's summary, which may be older than the list.

        Statuses only advance, so a summary with a higher amount is newer than the list. One with equal amounts shows that no
        receipt has changed if each of them is final, or delivered with `read: none`.
        """
        if summary != self._summary:
            self._summary, self._agreement = summary, self._compare(summary)
        return self._agreement

    def _compare(self, summary: ReceiptSummary) -> Agreement:
        if summary.total != self.total:
            return Agreement.UNDECIDED
        ranks = [_RANKS.get(amount, _UNKNOWN) for amount in summary[1:]]
        if any(rank > most for rank, most in zip(ranks, self._most, strict=True)):
            return Agreement.OUTDATED
        if self._may_change or (self._may_be_read and summary.read != "none"):
            return Agreement.UNDECIDED
        are_equal = all(rank in bounds for rank, *bounds in zip(ranks, self._least, self._most, strict=True))
        return Agreement.UNCHANGED if are_equal else Agreement.UNDECIDED

    def _ranks(self, *counts: int) -> tuple[int, ...]:
        return tuple([0 if count == 0 else 2 if count == self.total else 1 for count in counts])

"""The statuses of delivery receipts, and what a message's delivery summary says about the receipts that were read.

https://www.twilio.com/docs/conversations/delivery-receipts
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from functools import lru_cache
from typing import Any, NamedTuple

from gateway.errors import UpstreamInvalidResponse
from gateway.twilio.partial_rows import readable

__all__ = ["Agreement", "ReceiptSummary", "Statuses", "agreement", "is_terminal", "statuses_of"]

Statuses = tuple[str | None, ...]
"""The statuses of the receipts in a list, in its order."""
_FINAL = frozenset({"read", "failed", "undelivered"})
_RANKS: dict[str | None, int] = {"none": 0, "some": 1, "all": 2}
_UNKNOWN = -1


def is_terminal(row: Any) -> bool:
    """Whether the receipt's status is final. `delivered` may become `read`: a channel's sid does not name the channel."""
    try:
        return row.status in _FINAL
    except UpstreamInvalidResponse:
        return False


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


def statuses_of(rows: Sequence[Any]) -> Statuses:
    """Return the statuses of the rows of a list; "" for one that could not be read."""
    try:
        return tuple([row.status for row in rows])
    except UpstreamInvalidResponse:
        return tuple([readable(row, "status", "") for row in rows])


@lru_cache(maxsize=4096)  # The lists of a conversation have the same few statuses.
def agreement(statuses: Statuses, summary: ReceiptSummary) -> Agreement:
    """Return how the statuses of a whole list compare with its message's summary, which may be older than the list.

    Statuses only advance, so a summary with a higher amount is newer than the list. One with equal amounts shows that no
    receipt has changed if each of them is final, or delivered with `read: none`.
    """
    total = len(statuses)
    if summary.total != total:
        return Agreement.UNDECIDED
    count = statuses.count
    pending, only_sent, only_delivered = count(None), count("sent"), count("delivered")
    read, failed, undelivered = count("read"), count("failed"), count("undelivered")
    unknown = total - pending - only_sent - only_delivered - read - failed - undelivered
    # Positive amounts are cumulative. Whether failures count as sent is undocumented, and an unknown status may count as any
    # other: each amount is that of one of two counts.
    delivered = only_delivered + read
    sent = only_sent + delivered
    least = [_rank(each, total) for each in (sent, delivered, read, failed, undelivered)]
    counted_as_sent = sent + failed + undelivered
    most = [_rank(each + unknown, total) for each in (counted_as_sent, delivered, read, failed, undelivered)]
    ranks = [_RANKS.get(amount, _UNKNOWN) for amount in summary[1:]]
    if any(rank > highest for rank, highest in zip(ranks, most, strict=True)):
        return Agreement.OUTDATED
    if pending or only_sent or unknown or (only_delivered and summary.read != "none"):
        return Agreement.UNDECIDED
    are_equal = all(rank in bounds for rank, *bounds in zip(ranks, least, most, strict=True))
    return Agreement.UNCHANGED if are_equal else Agreement.UNDECIDED


def _rank(count: int, total: int) -> int:
    return 0 if count == 0 else 2 if count == total else 1

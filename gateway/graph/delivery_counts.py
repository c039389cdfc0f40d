"""How many receipts have a status, as far as the messages' delivery summaries show it. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from gateway.graph.delivery import DeliveryStatus, receipt_status
from gateway.twilio.partial_rows import readable
from gateway.twilio.statuses import ReceiptSummary

__all__ = ["NO_RECEIPTS", "Counts", "Range", "counts_of", "counts_of_rows", "counts_of_summary"]

NO_RECEIPTS = ReceiptSummary(0, None, None, None, None, None)
"""The summary of a message without receipts."""
_UNREADABLE = object()


class Range(NamedTuple):
    """A number that lies between two others, both included."""

    least: int
    most: int


class Counts(NamedTuple):
    """How many receipts messages have, and for each status how many have it as their latest."""

    receipts: int
    by_status: dict[DeliveryStatus, Range]

    @property
    def is_exact(self) -> bool:
        """Whether no number is open."""
        return all(least == most for least, most in self.by_status.values())


def counts_of(message: Any) -> Counts | None:
    """Return the counts that the summary of a message's row proves; None if the number of receipts could not be read."""
    delivery = readable(message, "delivery", _UNREADABLE)
    if delivery is _UNREADABLE:
        return None
    if delivery is None:
        return counts_of_summary(NO_RECEIPTS)
    total = readable(delivery, "total")
    if total is None:
        return None
    return counts_of_summary(ReceiptSummary(total, *(readable(delivery, word) for word in ReceiptSummary._fields[1:])))


def counts_of_rows(rows: Iterable[Any]) -> Counts:
    """Return the counts of receipts that were read."""
    found = Counter(map(receipt_status, rows))
    return Counts(found.total(), {status: Range(found[status], found[status]) for status in DeliveryStatus})


@lru_cache(maxsize=4096)  # The messages of a conversation have the same few summaries.
def counts_of_summary(summary: ReceiptSummary) -> Counts:
    """Return the counts that a summary proves. The words for positive statuses are cumulative: a read receipt was sent too.

    Whether failed receipts count as sent is undocumented, so `sent` is read in both ways. A status that is pending or unknown
    counts for no word.
    """
    total, *words = summary
    total = max(0, total)
    sent, delivered, read, failed, undelivered = (_range(word, total) for word in words)
    most_failed, least_failed = failed.most + undelivered.most, failed.least + undelivered.least
    # How many receipts are sent, delivered or read; delivered or read; and read.
    most_sent = min(sent.most, total - least_failed)
    most_delivered = min(delivered.most, most_sent)
    most_read = min(read.most, most_delivered)
    least_read = read.least
    least_delivered = max(delivered.least, least_read)
    least_sent = max(sent.least - most_failed, least_delivered, 0)
    # With `sent: some`, one receipt is sent and did not fail, or one is not sent.
    rest = total - max(least_sent, total - sent.most if sent.least else 0)
    failed = Range(failed.least, min(failed.most, rest - undelivered.least))
    undelivered = Range(undelivered.least, min(undelivered.most, rest - failed.least))
    others = 0 if sent.least == total else total - least_sent - least_failed
    rooms = (most_sent - least_sent, most_delivered - least_delivered, most_read - least_read, others)
    if (
        min(*rooms, failed.most - failed.least, undelivered.most - undelivered.least) < 0
    ):  # The words contradict each other.
        return Counts(total, dict.fromkeys(DeliveryStatus, Range(0, total)))
    by_status = {
        DeliveryStatus.PENDING: Range(0, others),
        DeliveryStatus.SENT: Range(max(0, least_sent - most_delivered), most_sent - least_delivered),
        DeliveryStatus.DELIVERED: Range(max(0, least_delivered - most_read), most_delivered - least_read),
        DeliveryStatus.READ: Range(least_read, most_read),
        DeliveryStatus.FAILED: failed,
        DeliveryStatus.UNDELIVERED: undelivered,
        DeliveryStatus.UNKNOWN: Range(0, others),
    }
    return Counts(total, by_status)


def _range(word: str | None, total: int) -> Range:
    """Return how many of `total` receipts an amount stands for."""
    if word == "none":
        return Range(0, 0)
    if word == "all":
        return Range(total, total)
    if word == "some" and total > 1:
        return Range(1, total - 1)
    return Range(0, total)

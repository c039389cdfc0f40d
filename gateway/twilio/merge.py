"""How the states of a receipt are merged that arrive late, twice, or in any order: forward only.

Twilio promises no order of webhooks, and a receipt that was read from REST may be older than an event. The rule below is the
gateway's own, not documented by Twilio, which only says what each status means
(https://www.twilio.com/docs/conversations/delivery-receipts). A row is the status that is known, a column the one that arrives:

    known \\ new    null   other  sent   failed undelivered delivered read
    null           date   new    new    new    new         new       new
    other          known  date   new    new    new         new       new
    sent           known  known  date   new    new         new       new
    failed         known  known  known  date   later       new       new
    undelivered    known  known  known  later  date        new       new
    delivered      known  known  known  known  known       date      new
    read           known  known  known  known  known       known     date

    new      The status that arrives replaces the known one: it is further along.
    known    The known status stays: the other one is out of date.
    date     The status stays, with the later of both dates. `other` is a status that Twilio added later; of two, the later.
    later    The one with the later `date_updated` stays; in the same second, `undelivered`: it reports on an attempt.

    null < other     Twilio has not passed the message on; a status that the gateway does not know shows that more has happened.
    other < sent     A known status is preferred, since its meaning is known.
    sent < failed, undelivered    A failure overrides `sent`, and Twilio does not send the message again.
    failed, undelivered < delivered    A carrier's report that was wrong or early is corrected by proof of delivery.
    delivered < read    Only a delivered message can be read.

The error code is that of the earliest failure, by its date, as long as the status is a failure: a later one often names a
consequence instead of the cause. Once the message is delivered or read, there is no error code.

Dates are compared in whole seconds, as REST returns them. Merging is commutative, associative and idempotent, so that the
result depends neither on the order of the states nor on how often each arrives.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["FAILURES", "ReceiptState", "merge", "receipt_state"]

_RANKS: dict[str | None, int] = {None: 0, "sent": 2, "failed": 3, "undelivered": 3, "delivered": 4, "read": 5}
_OTHER = 1
FAILURES = frozenset({"failed", "undelivered"})
"""The statuses of a message that has an error code."""


class ReceiptState(NamedTuple):
    """The state of a receipt that changes: all other properties stay as they are."""

    status: str | None
    date_updated: str
    """An ISO 8601 date in whole seconds; empty if the status never changed."""
    failure: tuple[str, str, int] | None = None
    """The earliest failure with an error code: its date, its status and the code."""

    @property
    def error_code(self) -> int | None:
        """The error code to show: that of the earliest failure, unless the message was delivered after all."""
        return self.failure[2] if self.failure is not None and self.status in FAILURES else None

    @property
    def rank(self) -> int:
        """How far along the status is."""
        return _RANKS.get(self.status, _OTHER)


def receipt_state(status: str | None, date_updated: str | None, error_code: int | None) -> ReceiptState:
    """Return the state that an event or a row of REST describes; an error code of 0 is none."""
    date = date_updated or ""
    failure = (date, status, error_code) if status is not None and status in FAILURES and error_code else None
    return ReceiptState(status, date, failure)


def merge(known: ReceiptState, new: ReceiptState) -> ReceiptState:
    """Return the state that follows from two, whichever came first; `known` itself if `new` adds nothing."""
    ahead = max(known, new, key=_order)
    failures = [state.failure for state in (known, new) if state.failure is not None]
    failure = min(failures, default=None)
    if ahead is known and failure == known.failure:
        return known
    return ReceiptState(ahead.status, ahead.date_updated, failure)


def _order(state: ReceiptState) -> tuple[int, str, str]:
    return state.rank, state.date_updated, state.status or ""

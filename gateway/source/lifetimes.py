"""How long what was read is good: told by what it is, and by what is in it. Decisions without I/O; times in seconds.

A receipt holds its latest status only, and some statuses are the last
(https://www.twilio.com/docs/conversations/delivery-receipts). A message's summary says how many receipts it has, so that a
list of that many, all at their last status, does not change any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.twilio.paths import collection_of
from gateway.twilio.responses import Page
from gateway.twilio.statuses import is_terminal

__all__ = ["Lifetime", "Lifetimes", "is_final"]


def is_final(target: str, value: Any) -> bool:
    """Whether these are receipts, all at their last status, with none on a further page."""
    if collection_of(target) != "Receipts":
        return False
    if isinstance(value, Page):
        return value.next is None and all(is_terminal(row) for row in value.rows)
    return is_terminal(value)


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long one value is good; told once, since it takes a look at every row."""

    good: float
    stale: float = 0.0
    """How much longer it may be shown while it is read again."""
    final: float = 0.0
    """How long it is good if it is all there is, so that it will not change any more."""
    final_rows: int | None = None
    """How many rows there are in all, if it is all there is."""

    def given(self, total: int | None) -> float:
        """How long it is good when there are known to be so many rows."""
        return self.final if self.final_rows is not None and total == self.final_rows else self.good


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Seconds for which each kind of record is good; 0 for not at all."""

    services: float = 60.0
    conversations: float = 30.0
    participants: float = 30.0
    messages: float = 2.0
    """Messages, whose summaries follow their receipts; and lists of conversations, to which new ones come."""
    receipts: float = 2.0
    final_receipts: float = 21_600.0
    """Receipts that will not change any more."""

    def of(self, target: str, value: Any) -> Lifetime:
        """How long the value read at `target` is good. What changes seldom may be shown as long once more."""
        kind, is_list = collection_of(target), isinstance(value, Page)
        if kind == "Receipts":
            if not is_final(target, value):
                return Lifetime(self.receipts)
            if is_list:
                return Lifetime(self.receipts, final=self.final_receipts, final_rows=len(value.rows))
            return Lifetime(self.final_receipts)
        if kind == "Services":
            return Lifetime(self.services, self.services)
        if kind == "Participants":
            return Lifetime(self.participants, self.participants)
        if kind == "Conversations" and not is_list:
            return Lifetime(self.conversations, self.conversations)
        return Lifetime(self.messages)

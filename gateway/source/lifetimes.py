"""How long a value may be cached: decided from what kind of record it is and what it holds, without I/O; times in seconds.

A receipt has its latest status only, and some statuses are final (https://www.twilio.com/docs/conversations/delivery-receipts).
A message's delivery summary says how many receipts it has, so a list of that many, all with a final status, is immutable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.source.memory import Entry
from gateway.twilio.paths import collection_of
from gateway.twilio.responses import Page
from gateway.twilio.statuses import is_terminal

__all__ = ["Lifetime", "Lifetimes", "is_final"]


def is_final(target: str, value: Any) -> bool:
    """Whether the value is a receipt with a final status, or a list of such receipts without a further page."""
    if collection_of(target) != "Receipts":
        return False
    if isinstance(value, Page):
        return value.next is None and all(is_terminal(row) for row in value.rows)
    return is_terminal(value)


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long one value may be cached."""

    seconds: float
    """For how long it is fresh (RFC 9111, 4.2)."""
    stale_seconds: float = 0.0
    """For how long after that it may be served while it is revalidated (RFC 5861, 3)."""
    immutable_seconds: float = 0.0
    """For how long it is fresh if it is complete: then it does not change any more."""
    complete_rows: int | None = None
    """The number of rows with which it is complete; None if it cannot be immutable."""

    def seconds_for(self, total: int | None) -> float:
        """Return for how long the value is fresh, given the number of rows that there are in all."""
        is_immutable = self.complete_rows is not None and total == self.complete_rows
        return self.immutable_seconds if is_immutable else self.seconds


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Seconds for which each kind of record is fresh; 0 disables caching."""

    services: float = 60.0
    conversations: float = 30.0
    participants: float = 30.0
    messages: float = 2.0
    """Messages, whose summaries follow their receipts; and lists of conversations, which grow."""
    receipts: float = 2.0
    final_receipts: float = 21_600.0
    """Receipts with a final status."""

    def of(self, target: str, value: Any) -> Lifetime:
        """Return the lifetime of the value read at `target`; it looks at every row."""
        kind, is_list = collection_of(target), isinstance(value, Page)
        if kind == "Receipts":
            if not is_final(target, value):
                return Lifetime(self.receipts)
            if is_list:
                return Lifetime(self.receipts, immutable_seconds=self.final_receipts, complete_rows=len(value.rows))
            return Lifetime(self.final_receipts)
        if kind == "Services":
            return Lifetime(self.services, self.services)
        if kind == "Participants":
            return Lifetime(self.participants, self.participants)
        if kind == "Conversations" and not is_list:
            return Lifetime(self.conversations, self.conversations)
        return Lifetime(self.messages)

    def lifetime_of(self, key: str, entry: Entry) -> Lifetime:
        """Return the lifetime of an entry's value, computed once."""
        lifetime: Lifetime | None = entry.lifetime
        if lifetime is None:
            lifetime = entry.lifetime = self.of(key, entry.value)
        return lifetime

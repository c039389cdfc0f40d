"""How long a value may be cached: decided from what kind of record it is and what it holds, without I/O; times in seconds.

A receipt has its latest status only, and some statuses are final (https://www.twilio.com/docs/conversations/delivery-receipts).
A message's delivery summary, which comes with every page of messages, shows whether a cached list of its receipts has changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.twilio.resources import Resource
from gateway.twilio.responses import Page
from gateway.twilio.statuses import Agreement, ReceiptSummary, Statuses, agreement, statuses_of

__all__ = ["Lifetime", "Lifetimes", "is_final"]

_SERVED_STALE = frozenset({"services", "conversations", "participants"})
"""The settings for values that change rarely, and may be served stale for as long again while they are read anew."""


def is_final(resource: Resource, value: Any) -> bool:
    """Whether the value no longer changes: a final record, or a list of final records without a further page."""
    if resource.is_final is None:
        return False
    if isinstance(value, Page):
        return value.next is None and all(map(resource.is_final, value.rows))
    return resource.is_final(value)


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long one value may be cached."""

    seconds: float
    """For how long it is fresh (RFC 9111, 4.2)."""
    stale_seconds: float = 0.0
    """For how long after that it may be served while it is revalidated (RFC 5861, 3)."""
    unchanged_seconds: float = 0.0
    """For how long a list of receipts is fresh while its message's summary shows that none has changed."""
    statuses: Statuses | None = None
    """The statuses of a whole list of receipts; None for all other values."""

    def seconds_for(self, summary: ReceiptSummary | None) -> float:
        """Return for how long the value is fresh, given the delivery summary of its message, if that has been read.

        It is 0 for a list that the summary shows to be outdated.
        """
        if summary is None or self.statuses is None:
            return self.seconds
        found = agreement(self.statuses, summary)
        if found is Agreement.UNDECIDED:
            return self.seconds
        return self.unchanged_seconds if found is Agreement.UNCHANGED else 0.0


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Seconds for which each kind of record is fresh; 0 disables caching. The fields are the settings `GATEWAY_TTL_…`.

    Example:
        lifetimes = gateway.Lifetimes(messages=0.5, participants=300)
        app = gateway.create_app(dataclasses.replace(settings, lifetimes=lifetimes))
    """

    services: float = 60.0
    conversations: float = 30.0
    participants: float = 30.0
    messages: float = 2.0
    """Messages, whose summaries follow their receipts; and lists of conversations, which grow."""
    receipts: float = 2.0
    final_receipts: float = 21_600.0
    """Receipts with a final status, and lists that their message's summary shows to be unchanged."""

    def of(self, resource: Resource, value: Any) -> Lifetime:
        """Return the lifetime of a record or page of a resource, by the settings that the resource names."""
        is_list = isinstance(value, Page)
        setting = resource.list_lifetime if is_list else resource.lifetime
        seconds: float = getattr(self, setting)
        if resource.final_lifetime is not None:
            final: float = getattr(self, resource.final_lifetime)
            if is_list and value.next is None:
                # A summary that is cached for longer than receipts shows only that their status was final.
                is_current = self.messages <= self.receipts or is_final(resource, value)
                return Lifetime(
                    seconds,
                    unchanged_seconds=final if is_current else seconds,
                    statuses=statuses_of(value.rows),
                )
            if not is_list and is_final(resource, value):
                return Lifetime(final)
        return Lifetime(seconds, seconds if setting in _SERVED_STALE else 0.0)

"""How long what was read is good: told by what it is, and by what is in it. Decisions without I/O; times in seconds.

A receipt holds its latest status only, and some statuses are the last
(https://www.twilio.com/docs/conversations/delivery-receipts). A message's summary says how many receipts it has, so that a
list of that many, all at their last status, does not change any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.twilio.resources import Resource
from gateway.twilio.responses import Page

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

    def of(self, resource: Resource, value: Any) -> Lifetime:
        """Return the lifetime of a record or page of a resource, by the settings that the resource names."""
        is_list = isinstance(value, Page)
        setting = resource.list_lifetime if is_list else resource.lifetime
        seconds: float = getattr(self, setting)
        if resource.final_lifetime is not None and is_final(resource, value):
            final: float = getattr(self, resource.final_lifetime)
            return Lifetime(seconds, final=final, final_rows=len(value.rows)) if is_list else Lifetime(final)
        return Lifetime(seconds, seconds if setting in _SERVED_STALE else 0.0)

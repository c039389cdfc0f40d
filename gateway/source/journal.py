"""The latest events of one account, merged by record. No I/O.

Receipts are merged as `gateway.twilio.merge` says, in any order. For other records:

    event that arrives                          result
    removed                                     the record stays removed: its sid is never used again
    later than the last one, or an update in    its properties replace the known ones
      the second in which it was added
    earlier than the last one                   nothing
    an equal one                                nothing
    another one of the same second              those of both; one of which they have different values is not proved, and what
                                                was read of it before each of these events may be out of date

The journal has a bounded size and time: it proves what changed during a read that began before an event arrived.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from time import time
from typing import Any

import msgspec

from gateway.twilio.events import Change, Event
from gateway.twilio.merge import FAILURES, ReceiptState, merge, receipt_state
from gateway.twilio.paths import parent_of
from gateway.twilio.resources import Row
from gateway.twilio.statuses import ReceiptSummary

__all__ = ["Before", "Journal", "Known", "Update"]

_RECORDS_MAX = 10_000
_SECONDS = 300.0


class Known(msgspec.Struct, gc=False):
    """What events prove about one record."""

    path: str
    change: Change
    properties: dict[str, Any]
    """The properties that are proved, by REST's names."""
    date: str
    """Of the last change, by Twilio's clock."""
    changed_at: float
    """When the last event that changed it arrived, in seconds since the epoch."""
    receipt: ReceiptState | None = None
    """The state of a receipt."""
    contested: frozenset[str] = frozenset()
    """The properties of which events of one second have different values, so that neither is proved."""


class Before(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What was known of a record before an event, from reads and earlier events."""

    is_known: bool = False
    """Whether the record was known."""
    has_status: bool = False
    """Whether its status was known: that of a receipt."""
    status: str | None = None
    """That status; null is one too."""
    summary: ReceiptSummary | None = None
    """The delivery summary of the receipt's message, if it was known."""

    def filled(self, other: Before | None) -> Before:
        """Return this with what is not known taken from another process."""
        if other is None:
            return self
        known = self if self.has_status else other
        return Before(self.is_known or other.is_known, known.has_status, known.status, self.summary or other.summary)


class Update(msgspec.Struct, frozen=True, gc=False):
    """An event that changed the journal."""

    event: Event
    known: Known
    """The record after the event. It changes with later events."""
    properties: Mapping[str, Any]
    """The properties that were proved after this event."""
    previous: Mapping[str, Any] | None
    """Those that were proved before it; None for a record that no earlier event of the journal names."""
    received_at: float
    """Seconds since the epoch."""
    before: Before = Before()
    row: Row | None = None
    """The record after the event, as far as events and cached reads show it. A property that they do not show is None."""


class Journal:
    """The records that recent events name."""

    def __init__(self, clock: Callable[[], float] = time) -> None:
        """Create an empty journal; `clock` returns seconds since the epoch."""
        self._clock = clock
        self._records: OrderedDict[str, Known] = OrderedDict()
        """By path, in the order of the last change."""
        self._by_list: dict[str, dict[str, Known]] = {}
        """By the path of the record's list, then by sid."""
        self._owners: dict[str, set[str]] = {}
        """The sids of records with a list in `_by_list`, by the path of the list that they are in."""
        self.complete_since = 0.0
        """Seconds since the epoch: the journal has every event that was added since."""

    def __len__(self) -> int:
        return len(self._records)

    def add(self, event: Event, before: Before = Before()) -> Update | None:  # noqa: B008 It is immutable.
        """Merge an event, and return the update; None if it changes nothing. `before` becomes that of the update."""
        known = self._records.get(event.path)
        previous = dict(known.properties) if known is not None else None
        merged = self._first(event) if known is None else self._merged(known, event)
        if merged is None:
            return None
        merged.changed_at = self._clock()
        self._records[event.path] = merged
        self._records.move_to_end(event.path)
        list_path, _, sid = event.path.rpartition("/")
        if list_path not in self._by_list:
            self._by_list[list_path] = {}
            owners, _, owner = parent_of(event.path).rpartition("/")
            self._owners.setdefault(owners, set()).add(owner)
        self._by_list[list_path][sid] = merged
        self._prune(merged.changed_at)
        return Update(event, merged, dict(merged.properties), previous, merged.changed_at, before)

    def get(self, path: str) -> Known | None:
        """Return what events prove about the record at `path`, if there were any."""
        return self._records.get(path)

    def below(self, list_path: str) -> Mapping[str, Known]:
        """Return the records of a list that events name, by sid."""
        return self._by_list.get(list_path, {})

    def owners_in(self, list_path: str) -> Collection[str]:
        """Return the sids of the records of a list that own records which events name, such as messages with receipts."""
        return self._owners.get(list_path, ())

    def events(self) -> list[Event]:
        """Return events that lead to the same journal, in the order of the last changes."""
        found = []
        for known in self._records.values():
            if known.receipt is not None and known.receipt.failure is not None:
                date, status, code = known.receipt.failure
                failed = {**known.properties, "status": status, "error_code": code, "date_updated": date}
                found.append(Event(Change.UPDATED, known.path, failed, date))
            found.append(Event(known.change, known.path, known.properties, known.date))
        return found

    def _first(self, event: Event) -> Known:
        state = _state(event) if event.path.count("/") == _RECEIPT_DEPTH else None
        return Known(event.path, event.change, _properties(event.properties, state), event.date, 0.0, state)

    def _merged(self, known: Known, event: Event) -> Known | None:
        """Return the record with an event merged; None if the event changes nothing."""
        if known.receipt is not None:
            state = merge(known.receipt, _state(event))
            before, known.receipt = known.receipt, state
            if (state.status, state.date_updated, state.error_code) == (
                before.status,
                before.date_updated,
                before.error_code,
            ):
                return None  # Perhaps an earlier failure of a message that was delivered after all.
            known.properties = _properties(known.properties | event.properties, state)
            known.date = state.date_updated or known.date
            return known
        if known.change is Change.REMOVED:
            return None
        if event.change is Change.REMOVED:
            known.change, known.properties, known.date, known.contested = Change.REMOVED, {}, event.date, frozenset()
            return known
        order, last = (event.date, event.change is Change.UPDATED), (known.date, known.change is Change.UPDATED)
        if order < last:
            return None
        properties, contested = event.properties, frozenset[str]()
        if order == last:
            differ = {name for name, value in properties.items() if known.properties.get(name, value) != value}
            contested = known.contested | differ
            properties = {
                name: value for name, value in (known.properties | properties).items() if name not in contested
            }
            if properties == known.properties and contested == known.contested.difference(event.properties):
                return None  # Unless it has a contested value: a read since the last event may have another one.
        known.change, known.properties, known.date, known.contested = event.change, properties, event.date, contested
        return known

    def _prune(self, now: float) -> None:
        while self._records:
            path, oldest = next(iter(self._records.items()))
            if len(self._records) <= _RECORDS_MAX and oldest.changed_at > now - _SECONDS:
                return
            del self._records[path]
            self.complete_since = oldest.changed_at
            list_path, _, sid = path.rpartition("/")
            of_list = self._by_list[list_path]
            del of_list[sid]
            if not of_list:
                del self._by_list[list_path]
                owners, _, owner = parent_of(path).rpartition("/")
                self._owners[owners].discard(owner)
                if not self._owners[owners]:
                    del self._owners[owners]


_RECEIPT_DEPTH = "Services/IS/Conversations/CH/Messages/IM/Receipts/DY".count("/")


def _state(event: Event) -> ReceiptState:
    properties = event.properties
    return receipt_state(properties.get("status"), properties.get("date_updated"), properties.get("error_code"))


def _properties(properties: Mapping[str, Any], state: ReceiptState | None) -> dict[str, Any]:
    """Return the properties after a merge: the state of a receipt in place of that of one event."""
    found = dict(properties)
    if state is not None:
        found["status"], found["date_updated"] = state.status, state.date_updated or None
        found["error_code"] = state.error_code
        if state.error_code is None and state.status in FAILURES:
            del found["error_code"]  # No event has carried it.
    return found

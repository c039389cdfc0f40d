"""What events change: cached records and lists, reads that began earlier, and the listeners that are notified.

An event is merged into the journal first. If it adds nothing there, it has no effect. Otherwise:

    event on              cached records and lists                            reads in flight
    a receipt             merged into it, or cached if all of it is proved;   merged into the receipts; the message's summary is
                          its message has the new summary if all receipts     raised as far as that is proved, and not cached
                          are known, and is removed if not
    a message or a        replaced by its properties, if they are later; one  merged, if the read began earlier; one without it,
    participant           that was added or removed: its lists are removed    or with one that was removed, is not cached
    a conversation        its state is replaced, and lists are removed        merged, if the read began earlier

Nothing is read because of an event: a removed value is read when a request needs it. Requests that begin after an event do not
share reads that began before it, where these could not be merged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from time import time
from typing import Any

import msgspec

from gateway.source.journal import Before, Journal, Known, Update
from gateway.source.source import Source
from gateway.twilio.events import Change, Event
from gateway.twilio.merge import ReceiptState, merge, receipt_state
from gateway.twilio.partial_rows import PartialRow, readable
from gateway.twilio.paths import collection_of, list_of, parent_of, sids_of
from gateway.twilio.resources import Row
from gateway.twilio.responses import Page
from gateway.twilio.statuses import ReceiptSummary
from gateway.twilio.summaries import amounts_of, at_least

__all__ = ["Updates"]

_RECEIPTS = "Receipts"
_UNREADABLE = object()
_AMOUNTS = ("sent", "delivered", "read", "failed", "undelivered")


class Updates:
    """Applies events to the data source of one account."""

    def __init__(self, source: Source, clock: Callable[[], float] = time) -> None:
        """Apply events to `source`, whose reads they are merged into; `clock` returns seconds since the epoch."""
        self._source = source
        self._journal = Journal(clock)
        self._listeners: list[Callable[[Update], None]] = []
        source.amend = self.amend

    def add_listener(self, listener: Callable[[Update], None]) -> Callable[[], None]:
        """Call `listener` with every update once it has been applied; return a function that stops this."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def known(self, path: str) -> Mapping[str, Any] | None:
        """Return the properties that recent events prove of the record at `path`; None if there were none."""
        known = self._journal.get(path)
        return known.properties if known is not None else None

    def row(self, path: str) -> tuple[Row, frozenset[str]] | None:
        """Return the record at `path` as far as recent events prove it, and the properties that they do not prove.

        Those are None in the row. None if no event names the record, or if it was removed.
        """
        known = self._journal.get(path)
        if known is None or known.change is Change.REMOVED:
            return None
        return self._row_of(known)

    @property
    def complete_since(self) -> float:
        """Seconds since the epoch: a value that was read since is merged with every event that has been applied."""
        return self._journal.complete_since

    def events(self) -> list[Event]:
        """Return the recent events, merged: a process that starts later applies them to catch up."""
        return self._journal.events()

    def before(self, path: str) -> Before:
        """Return what is known of the record at `path` now, from events and cached reads, however old."""
        list_path, _, sid = path.rpartition("/")
        known, rows = self._journal.get(path), self._cached_rows(list_path, sid)
        if not list_path.endswith(_RECEIPTS):
            return Before(known is not None or bool(rows))
        statuses = (
            {known.receipt.status}
            if known is not None and known.receipt is not None
            else {readable(row, "status", _UNREADABLE) for row in rows} - {_UNREADABLE}
        )
        messages, _, message_sid = parent_of(path).rpartition("/")
        deliveries = [readable(row, "delivery") for row in self._cached_rows(messages, message_sid)]
        summaries = {
            ReceiptSummary(delivery.total, **_amounts(delivery))
            for delivery in deliveries
            if delivery is not None and not isinstance(delivery, PartialRow)
        }
        return Before(
            known is not None or bool(rows),
            len(statuses) == 1,  # Of several that were read at different times, none is proved.
            next(iter(statuses)) if len(statuses) == 1 else None,
            next(iter(summaries)) if len(summaries) == 1 else None,
        )

    def _cached_rows(self, list_path: str, sid: str) -> list[Row]:
        """Return what is cached of the record with that sid: alone, and in pages of its list."""
        values = [value for _, value in self._source.cached_below(list_path)]
        found = [value.by_sid.get(sid) if isinstance(value, Page) else value for value in values]
        return [row for row in found if row is not None and row.sid == sid]

    def apply(self, event: Event, before: Before | None = None) -> Update | None:
        """Apply an event, and notify the listeners; return the update, or None if the event adds nothing.

        `before` is what was known before, if the record has been read since.
        """
        update = self._journal.add(event, before if before is not None else self.before(event.path))
        if update is None:
            return None
        self._source.events += 1
        if update.known.receipt is not None:
            self._apply_receipt(update.known)
        else:
            self._apply_record(update.known)
        update = msgspec.structs.replace(update, row=self._row_after(update.known))
        for listener in list(self._listeners):
            listener(update)
        return update

    def _row_after(self, known: Known) -> Row | None:
        """Return the record after an event, from the cache or as far as events prove it; None for one that was removed."""
        list_path, _, sid = known.path.rpartition("/")
        cached = self._cached_rows(list_path, sid) if known.change is not Change.REMOVED else []
        proved = self.row(known.path) if not cached else None
        return cached[0] if cached else proved[0] if proved is not None else None

    # Cached values

    def _apply_receipt(self, known: Known) -> None:
        source, list_path = self._source, list_of(known.path)
        message_path = list_path.rpartition("/")[0]
        messages, _, message_sid = message_path.rpartition("/")
        before, after = None, self._journal_statuses(list_path)
        for key, value in source.cached_below(list_path):
            merged, is_current = self.amend(key, value, known.changed_at)
            self._write(key, value, merged, is_current)
            if is_current and isinstance(merged, Page) and merged.next is None:
                before, after = _statuses(value), _statuses(merged)
        self._cache_whole(known)
        for key, value in source.cached_below(messages):
            row = (
                value.by_sid.get(message_sid)
                if isinstance(value, Page)
                else value
                if value.sid == message_sid
                else None
            )
            if row is not None:
                summarized = _summarized(row, before, after)
                self._write(key, value, _with_row(value, summarized or row), summarized is not None)
        source.detach(messages)

    def _apply_record(self, known: Known) -> None:
        source, list_path = self._source, list_of(known.path)
        if known.change is Change.REMOVED:
            for key, _ in source.cached_below(f"{known.path}/{_RECEIPTS}"):
                source.remove(key)
        is_moved = known.change is not Change.UPDATED or collection_of(known.path) == "Conversations"
        for key, value in source.cached_below(list_path):
            merged, is_current = self.amend(key, value, known.changed_at)
            self._write(key, value, merged, is_current and not (is_moved and isinstance(value, Page)))
        source.detach(list_path)

    def _cache_whole(self, known: Known) -> None:
        """Cache a record of which an event proves every property, if it is not cached."""
        if self._source.is_held(known.path):
            return
        found = self._row_of(known)
        if found is not None and not found[1]:
            self._source.add(known.path, found[0], known.changed_at)

    def _row_of(self, known: Known) -> tuple[Row, frozenset[str]] | None:
        resource = self._source.resource(list_of(known.path))
        sids = sids_of(known.path)
        values: dict[str, Any] = {"url": self._source.url_of(known.path), **known.properties}
        values |= {owner.sid_property: sid for owner, sid in zip(resource.ancestors, sids, strict=False)}
        values["sid"] = sids[-1]
        types = _types_of(resource.row)
        missing = types.keys() - values.keys()
        if values["url"] is None:
            missing |= {"url"}
        try:
            row = msgspec.convert({name: values.get(name) for name in types}, resource.row, strict=False)
        except msgspec.ValidationError:  # A property that cannot be read, or one that no row lacks.
            return None
        return row, frozenset(missing)

    def _write(self, key: str, value: Any, merged: Any, is_current: bool) -> None:
        """Replace a cached value by the merged one, or remove it if that is out of date."""
        if not is_current:
            self._source.remove(key)
        elif merged is not value:
            self._source.replace(key, merged)

    def _journal_statuses(self, list_path: str) -> list[str | None]:
        states = [known.receipt for known in self._journal.below(list_path).values()]
        return [state.status for state in states if state is not None]

    # Reads

    def amend(self, key: str, value: Any, began_at: float) -> tuple[Any, bool]:
        """Return a value of `key` with what events prove merged in, and whether it may be cached.

        `began_at` is when its read began, in seconds since the epoch. It may not be cached if an event shows that it is out of
        date, and does not prove what takes its place.
        """
        if not self._journal:
            return value, True
        list_path = list_of(key)
        below = self._journal.below(list_path)
        owners = self._journal.owners_in(list_path) if collection_of(key) == "Messages" else ()
        if not below and not owners:
            return value, True
        is_current, rows = True, []
        for row in value.rows if isinstance(value, Page) else [value]:
            known = below.get(row.sid)
            merged = row if known is None else self._merged(row, known, began_at)
            is_current = is_current and merged is not None
            if row.sid in owners:
                raised = self._raised(f"{list_path}/{row.sid}/{_RECEIPTS}", merged or row)
                is_current = is_current and raised is (merged or row)
                merged = raised
            rows.append(merged or row)
        if not isinstance(value, Page):
            return rows[0], is_current
        if any(merged is not row for merged, row in zip(rows, value.rows, strict=True)):
            value = value.with_rows(rows)
        removed = [sid for sid in value.by_sid if sid in below and below[sid].change is Change.REMOVED]
        if removed:
            return value.with_rows([row for row in rows if row.sid not in removed]), False
        return value, is_current and not _lacks(value, below, began_at)

    def _merged(self, row: Row, known: Known, began_at: float) -> Row | None:
        """Return a row with what events prove; None if it is out of date, and they do not prove what takes its place."""
        if known.receipt is not None:
            return _with_state(row, known.receipt)
        if known.change is Change.REMOVED:
            return None
        date = readable(row, "date_updated") or readable(row, "date_created") or ""
        if known.change is Change.ADDED or date > known.date or began_at > known.changed_at:
            return row
        types = _types_of(self._source.resource(list_of(known.path)).row)
        if isinstance(row, PartialRow) or known.contested:
            return None
        try:
            values = {
                name: msgspec.convert(value, types[name], strict=False)
                for name, value in known.properties.items()
                if name in types
            }
        except msgspec.ValidationError:
            return None
        if all(getattr(row, name) == value for name, value in values.items()):
            return row
        # In the same second, the row may be the later one.
        return _replaced(row, values) if date < known.date else None

    def _raised(self, list_path: str, row: Row) -> Row:
        """Return a message with the summary that its receipts in the journal prove at least."""
        delivery = readable(row, "delivery")
        if delivery is None or isinstance(row, PartialRow) or isinstance(delivery, PartialRow):
            return row
        raised = at_least(_amounts(delivery), delivery.total, self._journal_statuses(list_path))
        return _replaced(row, {"delivery": _replaced(delivery, raised)}) if raised else row


def _lacks(page: Page, below: Mapping[str, Known], began_at: float) -> bool:
    """Whether a page that was read before lacks a record that an event names: a receipt, or one that was added."""
    is_whole = page.next is None
    return any(
        known.changed_at >= began_at
        and sid not in page.by_sid
        and (known.change is Change.ADDED or (known.receipt is not None and is_whole))
        for sid, known in below.items()
    )


def _with_state(row: Row, state: ReceiptState) -> Row:
    """Return a receipt with the state that its own and that of events have been merged to."""
    own = receipt_state(readable(row, "status"), readable(row, "date_updated"), readable(row, "error_code"))
    merged = merge(own, state)
    shown = (merged.status, merged.date_updated or None, merged.error_code)
    if isinstance(row, PartialRow) or (own.status, own.date_updated or None, own.error_code) == shown:
        return row
    return _replaced(row, {"status": shown[0], "date_updated": shown[1], "error_code": shown[2]})


def _summarized(row: Row, before: list[str | None] | None, after: list[str | None]) -> Row | None:
    """Return a message with the summary of its receipts; None if it is not proved.

    The statuses prove it if they are those of all receipts, and if the summary was that of the statuses `before` the event.
    """
    delivery = readable(row, "delivery")
    if delivery is None or isinstance(row, PartialRow) or isinstance(delivery, PartialRow):
        return None
    known = _amounts(delivery)
    amounts = amounts_of(after) if len(after) == delivery.total else None
    if amounts is None or (before is not None and amounts_of(before) != known):
        return None
    return row if amounts == known else _replaced(row, {"delivery": _replaced(delivery, amounts)})


def _statuses(page: Page) -> list[str | None]:
    return [readable(row, "status", "") for row in page.rows]


def _amounts(delivery: Any) -> dict[str, str | None]:
    return {name: getattr(delivery, name) for name in _AMOUNTS}


def _with_row(value: Any, row: Row) -> Any:
    """Return a page with one of its rows replaced, or the row itself in place of a record."""
    if not isinstance(value, Page):
        return row
    return value.with_rows([row if each.sid == row.sid else each for each in value.rows])


def _replaced(struct: Any, values: Mapping[str, Any]) -> Any:
    return msgspec.structs.replace(struct, **values)


@lru_cache(maxsize=16)
def _types_of(row: type[msgspec.Struct]) -> Mapping[str, Any]:
    """Return the types of a row's properties, by name."""
    return {field.name: field.type for field in msgspec.structs.fields(row)}

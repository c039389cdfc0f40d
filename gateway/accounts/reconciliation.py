"""Reconciliation: watched conversations are polled for the changes that no webhook has reported.

Each round reads the newest messages of a conversation in one call, and the receipts of those messages only whose summary has
moved, unless they are final. A difference from the last round becomes an event like those of webhooks, marked `POLL`, which is
merged forward like these. One process polls a conversation at a time: the one that has its lease.

    what happens to a conversation                        when it is polled    who is notified
    it is watched, and no round has read it               now                  its watchers: it has been polled, or cannot be
    a round reads it that has not seen it before          every round          its watchers: changes before may have been missed
    another process has its lease                         by that one          its watchers, the first time
    it no longer exists, or may no longer be read         every round          its watchers
    nobody watches it any longer                          no longer            other processes, which may have its lease now
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Protocol, Self

import structlog

from gateway.accounts.account import Account
from gateway.accounts.subscriptions import PollListener, is_gone
from gateway.errors import GatewayError, raised_at
from gateway.graph.delivery import receipt_summary
from gateway.graph.types import Message, Receipt
from gateway.source.journal import Before
from gateway.source.lifetimes import is_final
from gateway.twilio.events import Change, Event, UpdateSource
from gateway.twilio.partial_rows import readable
from gateway.twilio.paths import parent_of
from gateway.twilio.resources import Row
from gateway.twilio.responses import Page

__all__ = ["RECONCILE_CALLER", "Reconciliation"]

RECONCILE_CALLER = "reconcile"
"""The caller in whose queue the reads wait, and whose budget they are charged to."""
_MESSAGE_PROPERTIES = (
    "account_sid",
    "index",
    "author",
    "body",
    "attributes",
    "participant_sid",
    "date_created",
    "date_updated",
)
_RECEIPT_PROPERTIES = (
    "account_sid",
    "status",
    "error_code",
    "channel_message_sid",
    "participant_sid",
    "date_created",
    "date_updated",
)

_AT_ONCE = 8
"""Conversations that are polled at the same time."""
_UNREADABLE: Any = object()

_logger = structlog.get_logger("gateway")


class Leases(Protocol):
    """Leases that at most one process has."""

    async def acquire(self, name: str, seconds: float) -> bool:
        """Return whether this process has the lease for the next `seconds`."""

    def release(self, name: str) -> None:
        """Let another process have the lease."""


class Reconciliation:
    """Polls the watched conversations of one account. Use it as an async context manager."""

    def __init__(
        self,
        account: Account,
        apply: Callable[[Event, Before], object],
        *,
        seconds: float,
        messages: int = 100,
        leases: Leases | None = None,
    ) -> None:
        """Poll every `seconds` the newest `messages` of each watched conversation.

        Differences are passed to `apply`, with what was known before. `leases` say which process polls what.
        """
        self.calls = 0
        """Upstream calls made so far."""
        self.seconds = seconds
        """Between two rounds."""
        self._account = account
        self._apply = apply
        self._messages = messages
        self._leases = leases
        self._watched: dict[str, list[PollListener | None]] = {}
        """Watchers by the conversation's path."""
        self._new: set[str] = set()
        """Watched conversations that no round has reached."""
        self._is_new = asyncio.Event()
        self._seen: dict[str, dict[str, Row]] = {}
        """The messages of the last round by sid, by the conversation's path."""
        self._failing: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    def watch(self, path: str, listener: PollListener | None = None) -> Callable[[], None]:
        """Poll the conversation at `path`, the first time now; return a function that stops this, to be called once."""
        if path not in self._watched:
            self._watched[path] = []
            self._new.add(path)
            self._is_new.set()
        elif path not in self._new and listener is not None:
            listener.on_first_poll(path)
        self._watched[path].append(listener)

        def stop() -> None:
            self._watched[path].remove(listener)
            if not self._watched[path]:
                del self._watched[path]
                self._new.discard(path)
                self._seen.pop(path, None)
                self._failing.discard(path)
                if self._leases is not None:
                    self._leases.release(_lease_of(path))

        return stop

    async def poll(self) -> None:
        """Run one round: read every watched conversation whose lease this process has, and apply what has changed."""
        await self._poll_all(list(self._watched))

    async def _poll_all(self, paths: Collection[str]) -> None:
        """Poll conversations, several at the same time, and first of all those that no round has reached."""
        due = dict.fromkeys(paths)
        while batch := list(dict.fromkeys([*self._new, *due]))[:_AT_ONCE]:
            for path in batch:
                due.pop(path, None)
            await asyncio.gather(*map(self._poll_one, batch))

    async def _poll_one(self, path: str) -> None:
        try:
            if path in self._watched and (
                self._leases is None or await self._leases.acquire(_lease_of(path), 3 * self.seconds)
            ):
                await self._poll(path)
            else:
                self._seen.pop(path, None)
        except GatewayError as error:
            if path in self._watched and path not in self._failing:  # Else those who watched it know that it is gone.
                self._failing.add(path)
                _logger.warning("not reconciled", path=path, code=error.code)
        except Exception as error:
            _logger.error("reconciliation failed", **raised_at(error))
        else:
            self._failing.discard(path)
        if path in self._new:
            self._new.discard(path)
            self._notify(path, lambda listener: listener.on_first_poll(path))

    def _notify(self, path: str, notify: Callable[[PollListener], None]) -> None:
        """Notify the watchers of a conversation."""
        for listener in list(self._watched.get(path, ())):
            try:
                if listener is not None:
                    notify(listener)
            except Exception as error:  # The others are not affected.
                _logger.error("watcher not notified", **raised_at(error))

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        next_at = loop.time()
        while True:
            self._is_new.clear()
            if loop.time() >= next_at:
                next_at = loop.time() + self.seconds
                await self.poll()
            else:
                await self._poll_all(())
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_new.wait(), max(0.0, next_at - loop.time()))

    async def _poll(self, path: str) -> None:
        """Read the newest messages of a conversation, and the receipts that may have changed."""
        list_path = Message.resource.list_path(path)
        key = f"{list_path}?Order=desc&PageSize={self._messages}"
        known = self._seen.get(path)
        before = known if known is not None else self._account.cached_rows(list_path)
        try:
            page = (await self._read([key]))[key]
        except GatewayError as error:
            if is_gone(error):
                gone = error
                self._notify(path, lambda listener: listener.on_gone(path, gone))
            raise
        if path not in self._watched:
            return
        rows = {row.sid: row for row in page.rows}
        for event in _message_events(list_path, before, page, is_first=known is None):
            self._apply(event, Before(event.path.rpartition("/")[2] in before))
        moved = [
            row
            for row in page.rows
            if receipt_summary(row) != (receipt_summary(before[row.sid]) if row.sid in before else None)
            and (row.sid in before or known is not None)
        ]
        seen = self._seen[path] = {**rows, **{row.sid: before[row.sid] for row in moved if row.sid in before}}
        for row in moved:
            if row.sid not in before:
                del seen[row.sid]  # Until its receipts have been read, it counts as new.
        await self._read_receipts(list_path, moved, before)
        seen.update({row.sid: row for row in moved})
        if path not in self._watched:
            self._seen.pop(path, None)
        elif known is None and path not in self._new:
            self._notify(path, lambda listener: listener.on_restart(path))

    async def _read_receipts(self, list_path: str, messages: list[Row], before: Mapping[str, Row]) -> None:
        """Read the receipts of messages, which were others `before`, and apply what has changed."""
        held: dict[str, Mapping[str, Row]] = {}
        for message in messages:
            receipts_path = Receipt.resource.list_path(f"{list_path}/{message.sid}")
            rows = self._account.cached_rows(receipts_path)
            summary = receipt_summary(message)
            is_complete = summary is not None and len(rows) == summary.total
            if not (is_complete and all(is_final(Receipt.resource, row) for row in rows.values())):
                held[Receipt.resource.largest_page(receipts_path)] = rows
        for key, page in (await self._read(list(held))).items():
            receipts_path = key.partition("?")[0]
            message = before.get(parent_of(f"{receipts_path}/").rpartition("/")[2])
            summary = receipt_summary(message) if message is not None else None
            for event in _receipt_events(receipts_path, held[key], page):
                row = held[key].get(event.path.rpartition("/")[2])
                status = readable(row, "status", _UNREADABLE) if row is not None else _UNREADABLE
                has_status = status is not _UNREADABLE
                self._apply(event, Before(row is not None, has_status, status if has_status else None, summary))

    async def _read(self, keys: list[str]) -> dict[str, Page]:
        """Return the pages with these keys; raises the error of any."""
        if not keys:
            return {}
        async with self._account.reading(RECONCILE_CALLER, len(keys)) as loaders:
            try:
                await loaders.fetch(keys)
                return {key: loaders.page(key) for key in keys}
            finally:
                self.calls += loaders.calls


def _message_events(list_path: str, before: Mapping[str, Row], page: Page, *, is_first: bool) -> Iterator[Event]:
    """Yield the events that lead from the messages before to those of a page, the newest first.

    In a first round, the messages before are those that happened to be cached: others are not new.
    """
    for row in page.rows:
        known = before.get(row.sid)
        if known is None:
            if not is_first:
                yield _event(Change.ADDED, f"{list_path}/{row.sid}", row, _MESSAGE_PROPERTIES)
        elif _given(known, _MESSAGE_PROPERTIES) != _given(row, _MESSAGE_PROPERTIES):
            yield _event(Change.UPDATED, f"{list_path}/{row.sid}", row, _MESSAGE_PROPERTIES)
    if is_first:
        return
    present = {row.sid for row in page.rows}
    lowest = min((readable(row, "index") or 0 for row in page.rows), default=0) if page.next is not None else -1
    for sid, known in before.items():
        if sid not in present and (readable(known, "index") or 0) > lowest:
            now = datetime.fromtimestamp(int(time.time()), UTC).isoformat().replace("+00:00", "Z")
            yield Event(Change.REMOVED, f"{list_path}/{sid}", {}, now, UpdateSource.POLL)


def _receipt_events(list_path: str, before: Mapping[str, Row], page: Page) -> Iterator[Event]:
    """Yield the events that lead from the receipts before to those of a page."""
    for row in page.rows:
        known = before.get(row.sid)
        if known is None and readable(row, "status") is None:
            continue
        if known is None or _given(known, _RECEIPT_PROPERTIES) != _given(row, _RECEIPT_PROPERTIES):
            yield _event(Change.UPDATED, f"{list_path}/{row.sid}", row, _RECEIPT_PROPERTIES)


def _event(change: Change, path: str, row: Row, names: tuple[str, ...]) -> Event:
    date = readable(row, "date_updated") or readable(row, "date_created") or ""
    return Event(change, path, _given(row, names), date, UpdateSource.POLL)


def _given(row: Row, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the readable properties of a row; an error code of 0 is none."""
    missing = object()
    values = {name: readable(row, name, missing) for name in names}
    found = {name: value for name, value in values.items() if value is not missing}
    if "error_code" in found:
        found["error_code"] = found["error_code"] or None
    return found


def _lease_of(path: str) -> str:
    """Return the name of the lease on polling a conversation."""
    return f"{RECONCILE_CALLER} {path}"

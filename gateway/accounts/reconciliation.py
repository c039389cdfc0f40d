"""Reconciliation: watched conversations are polled for the changes that no webhook has reported.

Each round reads the newest messages of a conversation in one call, and the receipts of those messages only whose summary has
moved, unless they are final. A difference from the last round becomes an event like those of webhooks, marked `POLL`, which is
merged forward like these. One process polls at a time: the one that has the lease.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import structlog

from gateway.accounts.account import Account
from gateway.errors import GatewayError
from gateway.graph.delivery import receipt_summary
from gateway.graph.types import Message, Receipt
from gateway.source.lifetimes import is_final
from gateway.twilio.events import Change, Event, UpdateSource
from gateway.twilio.partial_rows import readable
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

_logger = structlog.get_logger("gateway")


class Reconciliation:
    """Polls the watched conversations of one account. Use it as an async context manager."""

    def __init__(
        self,
        account: Account,
        apply: Callable[[Event], object],
        *,
        seconds: float,
        messages: int = 100,
        lease: Callable[[float], Awaitable[bool]] | None = None,
    ) -> None:
        """Poll every `seconds` the newest `messages` of each watched conversation, and pass the differences to `apply`.

        `lease` is called before each round with the seconds that it is to last, and returns whether this process has it.
        """
        self.calls = 0
        """Upstream calls made so far."""
        self._account = account
        self._apply = apply
        self._seconds = seconds
        self._messages = messages
        self._lease = lease
        self._watched: Counter[str] = Counter()
        """Watchers by the conversation's path."""
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

    def watch(self, path: str) -> Callable[[], None]:
        """Poll the conversation at `path` from the next round on; return a function that stops this, to be called once."""
        self._watched[path] += 1

        def stop() -> None:
            self._watched[path] -= 1
            if not self._watched[path]:
                del self._watched[path]
                self._seen.pop(path, None)

        return stop

    async def poll(self) -> None:
        """Run one round, if this process has the lease: read every watched conversation, and apply what has changed."""
        if not self._watched:
            return
        if self._lease is not None and not await self._lease(3 * self._seconds):
            self._seen.clear()
            return
        for path in list(self._watched):
            try:
                await self._poll(path)
            except GatewayError as error:
                if path not in self._failing:
                    self._failing.add(path)
                    _logger.warning("not reconciled", path=path, code=error.code)
            else:
                self._failing.discard(path)

    async def _run(self) -> None:
        while True:
            try:
                await self.poll()
            except Exception:
                _logger.exception("reconciliation failed")
            await asyncio.sleep(self._seconds)

    async def _poll(self, path: str) -> None:
        """Read the newest messages of a conversation, and the receipts that may have changed."""
        list_path = Message.resource.list_path(path)
        key = f"{list_path}?Order=desc&PageSize={self._messages}"
        known = self._seen.get(path)
        before = known if known is not None else self._account.cached_rows(list_path)
        page = (await self._read([key]))[key]
        rows = {row.sid: row for row in page.rows}
        for event in _message_events(list_path, before, page, is_first=known is None):
            self._apply(event)
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
        await self._read_receipts(list_path, moved)
        seen.update({row.sid: row for row in moved})

    async def _read_receipts(self, list_path: str, messages: list[Row]) -> None:
        """Read the receipts of messages, and apply what has changed."""
        held: dict[str, Mapping[str, Row]] = {}
        for message in messages:
            receipts_path = Receipt.resource.list_path(f"{list_path}/{message.sid}")
            rows = self._account.cached_rows(receipts_path)
            summary = receipt_summary(message)
            is_complete = summary is not None and len(rows) == summary.total
            if not (is_complete and all(is_final(Receipt.resource, row) for row in rows.values())):
                held[Receipt.resource.largest_page(receipts_path)] = rows
        for key, page in (await self._read(list(held))).items():
            for event in _receipt_events(key.partition("?")[0], held[key], page):
                self._apply(event)

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

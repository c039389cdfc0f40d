"""One request's memory of Twilio, over dataloaders: what is read once is not read again.

What is known is looked up without waiting; what is not raises `Missing`, which names the key to fetch. So whoever needs
several things finds out what is missing, has it fetched together, and looks again. There are two loaders for the whole
graph, one of records by their paths, one of pages by their page keys; a load gives the ticket of its read, a future, so
that the keys of one batch come back, and fail, one by one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from itertools import chain
from types import TracebackType
from typing import Any, Self, TypeVar

from aiodataloader import DataLoader

from gateway.errors import GatewayError, UpstreamInvalidResponse
from gateway.source.source import AnswerDependencies, ReadOptions, Source
from gateway.source.waiting import wait_shielded
from gateway.twilio.client import Waiter
from gateway.twilio.paths import redacted
from gateway.twilio.resources import Row
from gateway.twilio.responses import Page
from gateway.twilio.transport import timed_out

__all__ = ["Loaders", "Missing"]

T = TypeVar("T")

_MEMBER_PAGES_MAX = 40  # A conversation has at most 1,000 participants; 100 fill a page, unless Twilio gives fewer.


class Missing(Exception):
    """Something is not known yet: fetch its key and look again."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class Loaders:
    """What one request has read and is reading. Use it as an async context manager, or `open` and `close` it."""

    def __init__(self, shared: Source, request: ReadOptions | None = None) -> None:
        """Take the reads of all requests, and what this one wants of them."""
        self.request = request or ReadOptions()
        self.planned = 0
        """Reads that were decided on: with those that another request's read answers."""
        self.stale: dict[str, None] = {}
        """What is shown though it is old, since Twilio does not answer."""
        self._source = shared
        self._began = time.time()
        self._rows: dict[str, Row | GatewayError] = {}
        self._pages: dict[str, Page | GatewayError] = {}
        self._pages_of: dict[str, list[Page]] = {}
        self._known: set[str] = set()
        """Keys whose values were known from before."""
        self._tickets: list[Waiter] = []
        self._closed = False
        self._end: asyncio.TimerHandle | None = None
        self._row_loader: DataLoader[str, Waiter] | None = None
        self._page_loader: DataLoader[str, Waiter] | None = None

    @property
    def no_cache(self) -> bool:
        """Whether nothing may be answered from what is merely known: records are looked up, and no list is skipped."""
        return self.request.no_cache

    @property
    def calls(self) -> int:
        """Upstream reads begun for this request, retries aside."""
        return sum(ticket.is_first for ticket in self._tickets)

    @property
    def _is_late(self) -> bool:
        deadline = self.request.deadline
        return deadline is not None and asyncio.get_running_loop().time() >= deadline

    def open(self) -> None:
        """Start the deadline."""
        if self.request.deadline is not None:
            self._end = asyncio.get_running_loop().call_at(self.request.deadline, self._expire)

    def close(self) -> None:
        """Wait for nothing more: reads that nobody else waits for are cancelled."""
        self._closed = True
        if self._end is not None:
            self._end.cancel()
            self._end = None
        for ticket in self._tickets:
            ticket.cancel()
        # The loaders refer back to this object: without them, what was read is freed now and not by the garbage collector.
        self._row_loader = self._page_loader = None

    async def __aenter__(self) -> Self:
        self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def item(self, path: str) -> Row:
        """The record at `path`, by its own read or from a page that was read; raises `Missing`, or why there is none."""
        row = self._rows.get(path)
        if row is None:
            list_path, _, sid = path.rpartition("/")
            for page in self._pages_of.get(list_path, ()):
                if sid in page.by_sid:
                    return page.by_sid[sid]
            raise Missing(path)
        if isinstance(row, GatewayError):
            raise row.with_traceback(None)
        return row

    def page(self, target: str) -> Page:
        """The page with the key `target`; raises `Missing`, or why there is none."""
        page = self._pages.get(target)
        if page is None:
            raise Missing(target)
        if isinstance(page, GatewayError):
            raise page.with_traceback(None)
        return page

    def is_missing(self, key: str) -> bool:
        """Whether it is certain that `key` is missing; what `page` and `member` find out too, at more cost."""
        return "?" in key and key not in self._pages

    def pages(self, target: str, *, most: int) -> Iterator[Page]:
        """The pages of a list from `target` on; raises as `page` does.

        A list that leads back to a page, or on and on over more than `most` pages, is an error, not a loop.
        """
        seen: set[str] = set()
        following: str | None = target
        while following is not None:
            if following in seen or len(seen) == most:
                raise UpstreamInvalidResponse(f"Twilio's pages of {redacted(target.partition('?')[0])} lead nowhere.")
            seen.add(following)
            page = self.page(following)
            yield page
            following = page.next

    def member(self, list_path: str, sid: str) -> Row | None:
        """The row with that sid in the whole list at `list_path`, or None if it is not there; raises as `page` does.

        The list is read in pages of the largest size, no further than the row; every member sought shares those pages.
        """
        known: list[str] = []
        for page in self.pages(self.members(list_path), most=_MEMBER_PAGES_MAX):
            if sid in page.by_sid:
                return page.by_sid[sid]
            if page.target in self._known:
                known.append(page.target)
        if known:  # It may have come since these pages were read.
            self._renew(known)
            raise Missing(known[0])
        return None

    def members(self, list_path: str) -> str:
        """The key of the first page that `member` looks into."""
        return self._source.resource(list_path).largest_page(list_path)

    async def fetch(self, keys: Iterable[str]) -> None:
        """Read what is missing, all at once, and wait until each is known or known to fail."""
        keys = list(keys)
        waiting = [self._loader(key).load(key) for key in keys]
        # Many wait for the same futures and tickets: they are left alone when one of those who wait is cancelled.
        await wait_shielded(waiting)
        tickets = [future.result() for future in waiting]
        await wait_shielded(tickets)
        for key, ticket in zip(keys, tickets, strict=True):
            if not (ticket.is_known and key in self.request.revalidate):  # Found wanting by another who waited for it.
                self._keep(key, ticket.result())

    def knows(self, key: str) -> bool:
        """Whether the key can be had without a call."""
        return self._source.knows(key, self.request)

    def dependencies(self) -> AnswerDependencies | None:
        """What the answer was made of, when all of it was known from before."""
        if self.planned or self.stale or not self._known:
            return None
        values = self._rows | self._pages
        return self._source.dependencies({key: values[key] for key in self._known}, self.request)

    def max_age(self) -> float:
        """For how many seconds more all is good that was read; 0 when nothing was, or when one thing is not good any more."""
        read = chain(self._rows.items(), self._pages.items())
        return min((self._max_age(key, value) for key, value in read), default=0.0)

    def _max_age(self, key: str, value: Any) -> float:
        since = 0.0 if key in self._known else self._began  # What was known is at its place still, or else too old.
        return self._source.max_age(key, value, self.request, since)

    def _keep(self, key: str, value: Any) -> None:
        """Remember what was read, or why it was not."""
        if isinstance(value, GatewayError):
            old = self._source.stale_if_error(key, value)
            if old is not None:
                self.stale[key] = None
                value = old
        if "?" not in key:
            self._rows[key] = value
            if not isinstance(value, GatewayError):  # A path that ends in a name leads to a sid.
                self._rows[f"{key.rpartition('/')[0]}/{value.sid}"] = value
        elif key not in self._pages:
            self._pages[key] = value
            if not isinstance(value, GatewayError):
                self._pages_of.setdefault(key.partition("?")[0], []).append(value)

    def _renew(self, targets: list[str]) -> None:
        """Forget pages that were known from before, and have them read."""
        for target in targets:
            self._known.discard(target)
            self.request.revalidate.add(target)
            page = self._pages.pop(target)
            if isinstance(page, Page):
                self._pages_of[target.partition("?")[0]].remove(page)
            self._loader(target).clear(target)

    def _loader(self, key: str) -> DataLoader[str, Waiter]:
        """The loader that a key is for, made when there is one."""
        if "?" in key:
            if self._page_loader is None:
                self._page_loader = DataLoader(self._start)
            return self._page_loader
        if self._row_loader is None:
            self._row_loader = DataLoader(self._start)
        return self._row_loader

    async def _start(self, keys: list[str]) -> list[Waiter]:
        if self._closed:  # A batch that was queued when the request ended.
            raise asyncio.CancelledError
        if self._is_late:
            return [Waiter.ended(timed_out()) for _ in keys]
        tickets = await self._source.begin(keys, self.request)
        self._tickets += tickets
        if self._closed:  # The request has ended meanwhile.
            for ticket in tickets:
                ticket.cancel()
        elif self._is_late:
            self._expire()
        for key, ticket in zip(keys, tickets, strict=True):
            if ticket.is_known:
                self._known.add(key)
                continue
            self.planned += 1
            if not ticket.is_first and self.request.trace is not None:
                self.request.trace.coalesced.add(key)
        return tickets

    def _expire(self) -> None:
        for ticket in self._tickets:
            ticket.expire()

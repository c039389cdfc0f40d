"""The request memo: what one request has read, over dataloaders, so that nothing is read twice for it.

`item`, `page`, `pages` and `member` return synchronously what has been read, and raise `Missing` with the key to read for what
has not. A caller that needs several things collects their keys, awaits `fetch` for all of them, and looks again. There are two
dataloaders for the whole graph: of records by path, and of pages by page key.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from itertools import chain
from types import TracebackType
from typing import Any, Self

from aiodataloader import DataLoader

from gateway.errors import GatewayError, UpstreamInvalidResponse
from gateway.source.dependencies import AnswerDependencies
from gateway.source.in_flight import Waiter
from gateway.source.options import ReadOptions
from gateway.source.source import Source
from gateway.source.waiting import wait_shielded
from gateway.twilio.paths import redacted
from gateway.twilio.resources import Row
from gateway.twilio.responses import Page
from gateway.twilio.statuses import ReceiptSummary
from gateway.twilio.transport import timed_out

__all__ = ["Loaders", "Missing"]

_MEMBER_PAGES_MAX = 40  # A conversation has at most 1,000 participants; 100 fill a page, unless Twilio gives fewer.


class Missing(Exception):
    """Something has not been read yet: fetch its key and look again."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class Loaders:
    """What one request has read and is reading. Use it as an async context manager, or `open` and `close` it."""

    def __init__(self, source: Source, options: ReadOptions | None = None) -> None:
        """Read from `source` with the options of this request."""
        self.options = options or ReadOptions()
        self.planned = 0
        """Reads that needed more than the cache, including those that another request had started."""
        self.stale: dict[str, None] = {}
        """Keys whose values are served stale during an outage, in the order in which they were read."""
        self._source = source
        self._began = time.time()
        self._rows: dict[str, Row | GatewayError] = {}
        self._pages: dict[str, Page | GatewayError] = {}
        self._pages_of: dict[str, list[Page]] = {}
        """The pages of a list, by its path."""
        self._lists: dict[str, _ReadPages] = {}
        """Lists as far as they have been read, by the key of their first page; those of `member` by the path of the list."""
        self._cached: set[str] = set()
        """Keys whose values came from the cache."""
        self._waiters: list[Waiter] = []
        self._closed = False
        self._deadline_timer: asyncio.TimerHandle | None = None
        self._row_loader: DataLoader[str, Waiter] | None = None
        self._page_loader: DataLoader[str, Waiter] | None = None

    @property
    def no_cache(self) -> bool:
        """Whether everything is read from Twilio: every record is looked up, and no list is skipped."""
        return self.options.no_cache

    @property
    def calls(self) -> int:
        """Upstream reads that were started for this request, retries aside."""
        return sum(waiter.is_first for waiter in self._waiters)

    @property
    def _is_late(self) -> bool:
        deadline = self.options.deadline
        return deadline is not None and asyncio.get_running_loop().time() >= deadline

    def open(self) -> None:
        """Start the timer of the deadline."""
        if self.options.deadline is not None:
            self._deadline_timer = asyncio.get_running_loop().call_at(self.options.deadline, self._expire)

    def close(self) -> None:
        """Cancel all waiting, and with it the reads that no other request waits for."""
        self._closed = True
        if self._deadline_timer is not None:
            self._deadline_timer.cancel()
            self._deadline_timer = None
        for waiter in self._waiters:
            if not waiter.done():
                waiter.cancel()
        # The dataloaders refer back to this object: without them, its memory is freed now and not by the garbage collector.
        self._row_loader = self._page_loader = None

    async def __aenter__(self) -> Self:
        self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # What has been read

    def item(self, path: str) -> Row:
        """Return the record at `path`, read by itself or in a page; raises `Missing`, or the error of its read."""
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
        """Return the page with the key `target`; raises `Missing`, or the error of its read."""
        page = self._pages.get(target)
        if page is None:
            raise Missing(target)
        if isinstance(page, GatewayError):
            raise page.with_traceback(None)
        return page

    def is_missing(self, key: str) -> bool:
        """Whether `key` is a page that has not been read: what `page` would find out, without an exception."""
        return "?" in key and key not in self._pages

    def pages(self, target: str, *, most: int) -> Iterator[Page]:
        """Yield the pages of a list from `target` on; raises as `page` does.

        A list with more than `most` pages, or that leads back to one of its pages, raises `UpstreamInvalidResponse`.
        """
        page = self.page(target)
        if page.next is None:  # Most lists: there is nothing to remember.
            yield page
            return
        read = self._lists.get(target)
        if read is None:
            read = self._lists[target] = _ReadPages(target)
        number = 0
        while number < len(read.pages) or read.next is not None:
            if number == len(read.pages):
                self._extend(read, most)
            yield read.pages[number]
            number += 1

    def member(self, list_path: str, sid: str) -> Row | None:
        """Return the row with that sid in the list at `list_path`, or None if the whole list lacks it; raises as `page` does.

        The list is read in pages of the largest size, no further than the row; all members of the list share those pages.
        Cached pages without the row are out of date if it is new: they are read again, once, before it counts as absent.
        """
        read = self._lists.get(list_path)
        if read is None:
            read = self._lists[list_path] = _ReadPages(self._source.resource(list_path).largest_page(list_path))
        row = read.find(sid)
        while row is None and read.next is not None:
            self._extend(read, _MEMBER_PAGES_MAX)
            row = read.find(sid)
        if row is None:
            cached = [page.target for page in read.pages if page.target in self._cached]
            if cached:
                self._revalidate(cached)
                raise Missing(cached[0])
        return row

    def is_cached(self, key: str) -> bool:
        """Whether reading the key takes no upstream call."""
        return self._source.cached(key, self.options) is not None

    # Reading

    def expect(self, key: str, summary: ReceiptSummary) -> None:
        """Set the delivery summary of the message whose receipts have the page key `key`: a cached list is checked by it."""
        self.options.expected_summaries[key] = summary

    async def fetch(self, keys: Iterable[str]) -> None:
        """Read the keys that are missing, all at once, and wait until each has a value or an error."""
        keys = list(keys)
        loads = [self._loader(key).load(key) for key in keys]
        # Others may wait for the same futures: they are not cancelled together with this one.
        await wait_shielded(loads)
        waiters = [load.result() for load in loads]
        await wait_shielded(waiters)
        for key, waiter in zip(keys, waiters, strict=True):
            if not (waiter.is_cached and key in self.options.revalidate):  # Else it was found incomplete meanwhile.
                self._keep(key, waiter.result())

    def dependencies(self) -> AnswerDependencies | None:
        """Return what the answer was made from, if all of it came from the cache."""
        if self.planned or self.stale or not self._cached:
            return None
        values = self._rows | self._pages
        return self._source.dependencies({key: values[key] for key in self._cached}, self.options)

    def max_age(self) -> float:
        """Return for how many seconds more all values are fresh; 0 when nothing was read, or when one of them is stale."""
        values = chain(self._rows.items(), self._pages.items())
        return min((self._max_age(key, value) for key, value in values), default=0.0)

    def _max_age(self, key: str, value: Any) -> float:
        since = 0.0 if key in self._cached else self._began  # A cached value whose entry is gone has an unknown age.
        return self._source.max_age(key, value, self.options, since)

    def _extend(self, read: _ReadPages, most: int) -> None:
        assert read.next is not None
        if len(read.pages) >= most or read.next in read.seen:
            path = redacted(read.next.partition("?")[0])
            raise UpstreamInvalidResponse(f"Twilio's pages of {path} do not end.")
        page = self.page(read.next)
        read.pages.append(page)
        read.seen.add(read.next)
        read.next = page.next

    def _keep(self, key: str, value: Any) -> None:
        """Remember the value that was read, or the error."""
        if isinstance(value, GatewayError):
            stale = self._source.stale_if_error(key, value)
            if stale is not None:
                self.stale[key] = None
                value = stale
        if "?" not in key:
            self._rows[key] = value
            if not isinstance(value, GatewayError):  # A path that ends in a name leads to a record with a sid.
                self._rows[f"{key.rpartition('/')[0]}/{value.sid}"] = value
        elif key not in self._pages:
            self._pages[key] = value
            if not isinstance(value, GatewayError):
                self._pages_of.setdefault(key.partition("?")[0], []).append(value)

    def _revalidate(self, targets: list[str]) -> None:
        """Forget cached pages, so that they are read again from Twilio."""
        self._lists.clear()
        for target in targets:
            self._cached.discard(target)
            self.options.revalidate.add(target)
            page = self._pages.pop(target)
            if isinstance(page, Page):
                self._pages_of[target.partition("?")[0]].remove(page)
            self._loader(target).clear(target)

    def _loader(self, key: str) -> DataLoader[str, Waiter]:
        """Return the dataloader for a key, created on first use."""
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
            return [self._timed_out() for _ in keys]
        waiters = await self._source.start(keys, self.options)
        self._waiters += waiters
        if self._closed:  # The request has ended meanwhile.
            for waiter in waiters:
                waiter.cancel()
        elif self._is_late:
            self._expire()
        for key, waiter in zip(keys, waiters, strict=True):
            if waiter.is_cached:
                self._cached.add(key)
                continue
            self.planned += 1
            if not waiter.is_first and self.options.trace is not None:
                self.options.trace.coalesced.add(key)
        return waiters

    def _timed_out(self) -> Waiter:
        waiter = Waiter(self.options)
        waiter.set_result(timed_out())
        return waiter

    def _expire(self) -> None:
        for waiter in self._waiters:
            waiter.expire()


class _ReadPages:
    """The pages of one list from one page on, as far as they have been read."""

    __slots__ = ("_by_sid", "_indexed", "next", "pages", "seen")

    def __init__(self, target: str) -> None:
        self.pages: list[Page] = []
        self.seen: set[str] = set()
        """The keys of the pages."""
        self.next: str | None = target
        """The key of the next page; None when the pages are the whole list."""
        self._by_sid: dict[str, Row] = {}
        self._indexed = 0
        """How many of the pages are in `_by_sid`."""

    def find(self, sid: str) -> Row | None:
        """Return the first row with that sid."""
        while self._indexed < len(self.pages):
            for row in self.pages[self._indexed].rows:
                self._by_sid.setdefault(row.sid, row)
            self._indexed += 1
        return self._by_sid.get(sid)

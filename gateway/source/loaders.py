"""The request memo: the values that one request has read, so that nothing is read twice for it.

`item`, `page`, `pages` and `member` return synchronously a value that has been read, and raise `Missing` with the key of one
that has not. The engine, which knows the keys of a whole level, fetches them as one batch with `fetch` and tries again.
Resolvers of graphql-core `load` one key each, which a dataloader batches over the same memo.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from types import TracebackType
from typing import Any, Self

import msgspec
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

__all__ = ["Loaders", "Missing"]

_REPEATED_PAGES_MAX = 5  # In a row without a new row: a list ends with an empty page at most, and rows shift by a few.
_MEMBER_PAGES_MAX = 40  # A conversation has at most 1,000 participants; 100 fill a page, unless Twilio gives fewer.


class Missing(Exception):
    """Keys, mostly one, have not been read yet: fetch them and try again."""

    def __init__(self, *keys: str) -> None:
        super().__init__(*keys)
        self.keys = keys


class Loaders(msgspec.Struct, eq=False):
    """What one request has read and is reading. Use it as an async context manager, or `open` and `close` it."""

    _source: Source
    options: ReadOptions = msgspec.field(default_factory=ReadOptions)
    """The options of this request."""
    planned: int = 0
    """Reads that needed more than the cache, including those that another request had started."""
    stale: dict[str, None] = {}
    """Keys whose values are served stale during an outage, in the order in which they were read."""
    _began: float = msgspec.field(default_factory=time.time)
    _events: int = 0
    """The events that are merged into what has been read."""
    _rows: dict[str, Row | GatewayError] = {}
    _pages: dict[str, Page | GatewayError] = {}
    _pages_of: dict[str, list[Page]] = {}
    """The pages of a list, by its path, but for those in `_unsorted`."""
    _unsorted: list[Page] = []
    _lists: dict[str, _ReadPages] = {}
    """Lists as far as they have been read, by the key of their first page; those of `member` by the path of the list."""
    _cached: set[str] = set()
    """Keys whose values came from the cache."""
    _reading: dict[str, Waiter] = {}
    """Keys that are being read."""
    _joined: dict[str, list[_Batch]] = {}
    """Batches that wait for a key which an earlier one has started to read."""
    _pending: set[asyncio.Future[None]] = set()
    """The futures that batches wait for."""
    _calls: int = 0
    _closed: bool = False
    _is_late: bool = False
    """Whether the deadline has passed."""
    _loads: dict[str, asyncio.Future[None]] = {}
    """The dataloader's futures."""
    _loader: DataLoader[str, None] | None = None

    __repr__ = object.__repr__  # What was read may be personal.

    @property
    def no_cache(self) -> bool:
        """Whether everything is read from Twilio: every record is looked up, and no list is skipped."""
        return self.options.no_cache

    @property
    def calls(self) -> int:
        """Upstream reads that were started for this request, retries aside."""
        return self._calls + sum([waiter.is_first for waiter in self._reading.values()])

    def open(self) -> None:
        """Begin to read, until the deadline."""
        self._events = self._source.events
        deadline = self.options.deadline
        if deadline is not None:
            self._is_late = deadline <= asyncio.get_running_loop().time()
            self._source.deadlines.add(self, deadline)

    def add(self, read: Waiter, began_at: float) -> None:
        """Add a read that the request has made before, from `began_at` on; raises what it raised if that is a bug."""
        self._began = began_at
        self.planned += 1
        self._reading[read.key] = read
        fault = self.finish(read)
        if fault is not None:
            raise fault

    def close(self) -> None:
        """Cancel all waiting, and with it the reads that no other request waits for."""
        self._closed = True
        if self.options.deadline is not None:
            self._source.deadlines.remove(self)
        if self._reading:
            for waiter in self._reading.values():
                self._calls += waiter.is_first
                waiter.cancel()
            self._reading.clear()
            self._joined.clear()
        for future in (*self._pending, *self._loads.values()):
            future.cancel()
        # The dataloader refers back to this object: without it, its memory is freed now and not by the garbage collector.
        self._loader = None

    def expire(self) -> None:
        """Stop waiting: every read that is not done has `UpstreamTimeout` as its result."""
        self._is_late = True
        for waiter in list(self._reading.values()):
            waiter.expire()

    async def __aenter__(self) -> Self:
        self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # What has been read

    def item(self, path: str) -> Row:
        """Return the record at `path`, read alone or in a page; raises `Missing`, or the error of its read."""
        row = self._rows.get(path)
        if row is None:
            list_path, _, sid = path.rpartition("/")
            for page in self._pages_below(list_path):
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
        """Whether it is certain, without a search of pages, that a page or record has not been read."""
        if "?" in key:
            return key not in self._pages
        return not self._pages and key not in self._rows

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Return those of the keys of pages that have not been read."""
        pages = self._pages
        return [key for key in keys if key not in pages]

    def whole_lists(self, keys: Iterable[str]) -> list[list[Row]] | None:
        """Return the rows of lists by the keys of their first pages, each sid once; None when one of them has more pages.

        Raises `Missing`, and the error of any read.
        """
        known = self._pages
        try:
            pages = [known[key] for key in keys]
        except KeyError as error:
            raise Missing(error.args[0]) from None
        lists: list[list[Row]] = []
        for page in pages:
            if type(page) is Page:
                if page.next is not None:
                    return None
                lists.append(list(page.by_sid.values()) if page.has_repeats else page.rows)
            elif isinstance(page, GatewayError):
                raise page.with_traceback(None)
        return lists

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

    def read_again(self, target: str) -> None:
        """Have a page read from Twilio, once, whatever this request or another one has read of it before."""
        if target not in self.options.revalidate:
            self._revalidate([target])

    def amend(self) -> bool:
        """Merge what events have proved since into the values that were read; return whether that changes any.

        A value that is out of date, while they do not prove what takes its place, is read again when it is needed.
        """
        source = self._source
        if self._events == source.events or source.amend is None:
            return False
        self._events = source.events
        is_changed = False
        values: list[dict[str, Any]] = [self._rows, self._pages]
        for held in values:
            for key, value in list(held.items()):
                if isinstance(value, GatewayError):
                    continue
                merged, is_current = source.amend(key, value, self._began)
                if is_current and merged is value:
                    continue
                is_changed = True
                self._cached.discard(key)
                if is_current:
                    held[key] = merged
                else:
                    del held[key]
                    self._loads.pop(key, None)
        if is_changed:
            self._lists.clear()
            self._pages_of.clear()
            self._unsorted = [page for page in self._pages.values() if isinstance(page, Page)]
        return is_changed

    def is_free(self, key: str) -> bool:
        """Whether reading the key takes no upstream call, or took none."""
        if key in self._pages or key in self._rows:
            return key in self._cached
        return self._source.is_cached(key, self.options)

    # Reading

    def expect(self, key: str, summary: ReceiptSummary) -> None:
        """Set the delivery summary of the message whose receipts have the page key `key`: a cached list is checked by it."""
        self.options.expected_summaries.add(key, summary)

    def expect_all(
        self, keys: Sequence[str], messages: Sequence[Row], summary: Callable[[Row], ReceiptSummary | None]
    ) -> None:
        """Do the same for the receipts of many messages, whose rows have what `summary` returns."""
        self.options.expected_summaries.add_all(keys, messages, summary)

    async def fetch(self, keys: Iterable[str]) -> None:
        """Read the keys that are missing as one batch, and wait until each has a value or an error.

        Raises `CancelledError` when the request is closed meanwhile. When the wait is cancelled, the reads continue: others may
        wait for them.
        """
        if self._closed:
            raise asyncio.CancelledError
        batch = _Batch(self)
        on_done, options, reading, pages, rows = batch.finish, self.options, self._reading, self._pages, self._rows
        source, is_late = self._source, self._is_late
        waiters: list[Waiter] = []
        for key in keys:
            if key in pages or key in rows:
                continue
            if key in reading:
                self._joined.setdefault(key, []).append(batch)
                batch.left += 1
                continue
            value = source.serve(key, options) if not is_late else None
            if value is not None:
                self._cached.add(key)
                self._keep(key, value)
                continue
            reading[key] = waiter = Waiter(key, options, on_done)
            waiters.append(waiter)
        batch.left += len(waiters)
        if is_late:
            for waiter in waiters:
                waiter.expire()
        elif waiters:
            self.planned += len(waiters)
            source.start(waiters)
        if batch.left:
            batch.future = future = asyncio.get_running_loop().create_future()
            self._pending.add(future)
            try:
                await future
            finally:
                self._pending.discard(future)
        if batch.fault is not None:
            raise batch.fault

    async def load(self, key: str) -> None:
        """Read a key if it is missing, in one batch with the keys that others load in the same turn of the event loop."""
        if self._loader is None:
            self._loader = DataLoader(self._load, cache_map=self._loads)
        load = self._loader.load(key)
        await wait_shielded([load])  # Others may wait for the same future: it is not cancelled together with this wait.
        load.result()

    async def _load(self, keys: list[str]) -> list[None]:
        await self.fetch(keys)
        return [None] * len(keys)

    def finish(self, waiter: Waiter) -> Exception | None:
        """Keep what a waiter has received, and return it if it is a bug. Batches that have joined it are called back."""
        key, value = waiter.key, waiter.value
        del self._reading[key]
        if waiter.is_first:
            self._calls += 1
        elif waiter.is_cached:
            self.planned -= 1
            self._cached.add(key)
        elif self.options.trace is not None:
            self.options.trace.coalesced.add(key)
        fault = None
        if isinstance(value, Exception) and not isinstance(value, GatewayError):
            fault = value
        else:
            self._keep(key, value)
        if self._joined:
            for batch in self._joined.pop(key, ()):
                batch.count(fault)
        return fault

    def dependencies(self) -> AnswerDependencies | None:
        """Return the cached records that the answer was made from, if it was made from nothing else."""
        if self.planned or self.stale or not self._cached:
            return None
        values = self._rows | self._pages
        return self._source.dependencies({key: values[key] for key in self._cached}, self.options)

    def max_age(self) -> float:
        """Return the seconds for which all values stay fresh; 0 when nothing was read, or when one of them is stale."""
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
        if read.repeated == _REPEATED_PAGES_MAX:
            raise UpstreamInvalidResponse(
                f"Twilio's pages of {redacted(read.next.partition('?')[0])} hold no new rows."
            )
        read.add(self.page(read.next))

    def _keep(self, key: str, value: Any) -> None:
        """Remember the value that was read, or the error."""
        if type(value) is Page:
            if key not in self._pages:
                self._pages[key] = value
                self._unsorted.append(value)
            return
        if isinstance(value, GatewayError):
            stale = self._source.stale_if_error(key, value)
            if stale is not None:
                self.stale[key] = None
                value = stale
        if "?" not in key:
            self._rows[key] = value
            if not isinstance(value, GatewayError) and not key.endswith(value.sid):
                # The path ends in a name, or in a sid in another case.
                self._rows[f"{key.rpartition('/')[0]}/{value.sid}"] = value
        elif key not in self._pages:
            self._pages[key] = value
            if not isinstance(value, GatewayError):
                self._unsorted.append(value)

    def _pages_below(self, list_path: str) -> list[Page]:
        """Return the pages of the list at a path that have been read."""
        for page in self._unsorted:
            self._pages_of.setdefault(page.target.partition("?")[0], []).append(page)
        self._unsorted.clear()
        return self._pages_of.get(list_path, [])

    def _revalidate(self, targets: list[str]) -> None:
        """Forget pages, so that they are read again from Twilio."""
        self._lists.clear()
        for target in targets:
            self._cached.discard(target)
            self.options.revalidate |= {target}
            page = self._pages.pop(target, None)
            if isinstance(page, Page):
                self._pages_below(target.partition("?")[0]).remove(page)
            self._loads.pop(target, None)


class _Batch(msgspec.Struct, eq=False):
    """One `fetch`: it waits until all its keys have been read."""

    _loaders: Loaders
    left: int = 0
    """The number of keys that are being read."""
    future: asyncio.Future[None] | None = None
    """Done when none is left; None until there is something to wait for."""
    fault: Exception | None = None
    """A bug, in place of a value."""

    __repr__ = object.__repr__  # See `Loaders`.

    def finish(self, waiter: Waiter) -> None:
        """Keep what a waiter of this batch has received."""
        self.count(self._loaders.finish(waiter))

    def count(self, fault: Exception | None) -> None:
        """Count one key less."""
        self.left -= 1
        if fault is not None:
            self.fault = fault
        if not self.left and self.future is not None and not self.future.done():
            self.future.set_result(None)


class _ReadPages:
    """The pages of one list from one page on, as far as they have been read."""

    __slots__ = ("_by_sid", "next", "pages", "repeated", "seen")

    def __init__(self, target: str) -> None:
        self.pages: list[Page] = []
        self.seen: set[str] = set()
        """The keys of the pages."""
        self.next: str | None = target
        """The key of the next page; None when the pages are the whole list."""
        self.repeated = 0
        """How many pages without a new row are at the end."""
        self._by_sid: dict[str, Row] = {}

    def add(self, page: Page) -> None:
        """Add the next page."""
        self.pages.append(page)
        self.seen.add(page.target)
        self.next = page.next
        known = len(self._by_sid)
        for row in page.rows:
            self._by_sid.setdefault(row.sid, row)
        self.repeated = self.repeated + 1 if len(self._by_sid) == known else 0

    def find(self, sid: str) -> Row | None:
        """Return the first row with that sid."""
        return self._by_sid.get(sid)

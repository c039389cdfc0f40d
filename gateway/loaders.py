"""One request's dataloaders over the Twilio client: what is read once is not read again.

There are two, for the whole graph: one of records by their paths, one of pages by their page keys. A load gives the
flight of its key, a task, so that the keys of one batch come back, and fail, one by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self, TypeVar

from aiodataloader import DataLoader

from gateway.errors import UpstreamInvalidResponse
from gateway.twilio.client import Client
from gateway.twilio.paths import shown
from gateway.twilio.resources import Resource, Row
from gateway.twilio.responses import Answer, Page, read_item, read_page

__all__ = ["Loaders"]

T = TypeVar("T")

_MEMBER_PAGES_MAX = 40  # A conversation has at most 1,000 participants; 100 fill a page, unless Twilio gives fewer.


class Loaders:
    """What one request has read and is reading. Use it as an async context manager: on leaving, open reads are cancelled."""

    def __init__(
        self,
        client: Client,
        resources: Mapping[str, Resource],
        *,
        fresh: bool = False,
        deadline: float | None = None,
    ) -> None:
        """Take the resources by their collection.

        With `fresh` (`Cache-Control: no-cache`) nothing is answered from what is merely known: records are looked up and
        no list is skipped. Reads end at `deadline`, the event loop's time.
        """
        self.fresh = fresh
        self.calls = 0
        """Upstream reads begun, retries aside."""
        self._client = client
        self._resources = resources
        self._deadline = deadline
        self._known: dict[str, Row] = {}
        self._flights: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._items: DataLoader[str, asyncio.Task[Row]] = DataLoader(self._start_items)
        self._pages: DataLoader[str, asyncio.Task[Page]] = DataLoader(self._start_pages)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        for flight in self._flights:
            flight.cancel()
        await asyncio.gather(*self._flights, return_exceptions=True)

    async def item(self, path: str) -> Row:
        """The record at `path`, from a page that was read already or by its own read; raises `NotFound` and `UpstreamError`."""
        known = self._known.get(path)
        return known if known is not None else await _land(self._items, path)

    async def page(self, target: str) -> Page:
        """The page with the key `target`; raises `NotFound` and `UpstreamError`. Its rows become known by their paths."""
        return await _land(self._pages, target)

    async def pages(self, target: str, *, most: int) -> AsyncGenerator[Page, None]:
        """The pages of a list from `target` on, each read when it is asked for; raises as `page` does.

        A list that leads back to a page, or on and on over more than `most` pages, is an error, not a loop.
        """
        seen: set[str] = set()
        following: str | None = target
        while following is not None:
            if following in seen or len(seen) == most:
                raise UpstreamInvalidResponse(f"Twilio's pages of {shown(target.partition('?')[0])} lead nowhere.")
            seen.add(following)
            page = await self.page(following)
            yield page
            following = page.next

    async def member(self, list_path: str, sid: str) -> Row | None:
        """The row with that sid in the whole list at `list_path`, or None if it is not there.

        The list is read in pages of the largest size, no further than the row; every member sought shares those pages.
        """
        target = f"{list_path}?PageSize={self._resource(list_path).page_max}"
        async with aclosing(self.pages(target, most=_MEMBER_PAGES_MAX)) as pages:
            async for page in pages:
                if sid in page.by_sid:
                    return page.by_sid[sid]
        return None

    def _resource(self, list_path: str) -> Resource:
        return self._resources[list_path.rpartition("/")[2]]

    async def _start_items(self, paths: list[str]) -> list[asyncio.Task[Row]]:
        return [self._start(self._read_item(path)) for path in paths]

    async def _start_pages(self, targets: list[str]) -> list[asyncio.Task[Page]]:
        return [self._start(self._read_page(target)) for target in targets]

    def _start(self, reading: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        if self._closed:  # A batch that was queued when the request ended.
            reading.close()
            raise asyncio.CancelledError
        self.calls += 1
        flight = asyncio.create_task(reading)
        self._flights.add(flight)
        flight.add_done_callback(self._landed)
        return flight

    def _landed(self, flight: asyncio.Task[Any]) -> None:
        self._flights.discard(flight)
        if not flight.cancelled():
            flight.exception()  # Its waiters may have left; an error that nobody waits for is not news.

    async def _read_item(self, path: str) -> Row:
        resource = self._resource(path.rpartition("/")[0])

        def read(answer: Answer) -> Row:
            return read_item(resource, path, answer)

        row = await self._client.get(path, read, deadline=self._deadline)
        self._known[f"{path.rpartition('/')[0]}/{row.sid}"] = row  # A path that ends in a name leads to a sid.
        return row

    async def _read_page(self, target: str) -> Page:
        list_path = target.partition("?")[0]
        resource = self._resource(list_path)

        def read(answer: Answer) -> Page:
            return read_page(resource, target, answer)

        page = await self._client.get(target, read, deadline=self._deadline)
        for row in page.rows:
            self._known[f"{list_path}/{row.sid}"] = row
        return page


async def _land(loader: DataLoader[str, asyncio.Task[T]], key: str) -> T:
    # A loader hands every waiter the same future, and a flight has many waiters: without the shields, one waiter's
    # cancellation would be everyone's.
    flight = await asyncio.shield(loader.load(key))
    return await asyncio.shield(flight)

"""The walk of a paged list: which rows are in its slice, and where its cursors point."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from gateway.graph.connection import EdgeSource, Slice
from gateway.graph.cursors import Cursor, index_of
from gateway.source.loaders import Loaders
from gateway.twilio.resources import Row
from gateway.twilio.responses import Page

if TYPE_CHECKING:
    from gateway.graph.lists import PagedList

__all__ = ["SPARE_PAGES", "Walk"]

SPARE_PAGES = 10
"""Pages without a new row that a list may have, however small the pages that Twilio serves."""
_SPARE_PAGES_AFTER_CURSOR = 100  # The same, where rows may have been inserted before the cursor.


class Walk:
    """A walk over the pages of a list. It resumes after a missing page, so that each page is looked at once."""

    __slots__ = (
        "_cursor",
        "_edges",
        "_end",
        "_first_index",
        "_has_next",
        "_list_key",
        "_most",
        "_pages",
        "_read",
        "_restarted",
        "_seen",
        "_start",
    )

    def __init__(self, read: PagedList) -> None:
        """Walk over the list of `read`, from its start."""
        self._read = read
        self._list_key = read.key
        spare = _SPARE_PAGES_AFTER_CURSOR if read.after is not None else SPARE_PAGES
        self._most = max(read.first, read.scan or 0) + spare
        self._restarted = False
        self._begin(read.start)

    def slice(self, loaders: Loaders) -> Slice:
        """Walk on, and return the slice; raises `Missing` for the next page."""
        self._advance(loaders)
        after = self._read.after
        if after is not None and self._skips_rows(after) and not self._restarted:
            self._restarted = True
            self._begin(f"{self._read.path}?{after.row_query}")
            self._advance(loaders)
        return Slice(
            self._edges, self._has_next, after is not None, self._end, first_index=self._first_index, after=after
        )

    def _begin(self, start: str) -> None:
        self._start = start
        self._pages = 0
        self._cursor = self._read.after
        """The cursor, until the page that it points into has been looked at."""
        self._edges: list[EdgeSource] = []
        self._seen: set[str] = set()
        self._end: EdgeSource | None = None
        self._first_index: int | None = None
        self._has_next = False

    def _advance(self, loaders: Loaders) -> None:
        for page in islice(loaders.pages(self._start, most=self._most), self._pages, None):
            self._pages += 1
            if self._add(page):
                return

    def _add(self, page: Page) -> bool:
        """Add the rows of the next page; return whether the slice is complete."""
        read, edges, seen = self._read, self._edges, self._seen
        first, scan, after = read.first, read.scan, read.after
        predicate = read.row_filter.predicate if read.row_filter is not None else None
        passed = self._cursor.place_in(page.rows) if self._cursor is not None else 0
        self._cursor = None
        for place, row in enumerate(page.rows[passed:], passed + 1):
            if row.sid in seen or (after is not None and read.precedes(row, after)):
                continue
            if len(edges) == first or len(seen) == scan:
                self._has_next = True
                return True
            if not seen:
                self._first_index = index_of(row)
            seen.add(row.sid)
            self._end = self._edge(page, place, row)
            if predicate is None or predicate(row):
                edges.append(self._end)
        if len(edges) == first or len(seen) == scan:
            self._has_next = page.next is not None
            return True
        return False

    def _skips_rows(self, after: Cursor) -> bool:
        """Whether rows between the cursor and the first page are missing: deleted, or moved into the cursor's own page."""
        if not after.row_query or after.index is None:
            return False
        return self._first_index is None or abs(self._first_index - after.index) != 1

    def _edge(self, page: Page, place: int, row: Row) -> EdgeSource:
        read = self._read
        node = read.resource.node(path=f"{read.path}/{row.sid}", row=row, listed=True)
        if place == len(page.rows) and page.next is not None:
            return EdgeSource(node, self._list_key, page.next.partition("?")[2], 0, page.target.partition("?")[2])
        return EdgeSource(node, self._list_key, page.target.partition("?")[2], place)

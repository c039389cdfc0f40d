"""The walk of a paged list: which rows are in its slice, and where its cursors point."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from gateway.graph.connection import Position, Slice
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
        "_end",
        "_first_index",
        "_has_next",
        "_most",
        "_pages",
        "_positions",
        "_read",
        "_restarted",
        "_rows",
        "_seen",
        "_start",
    )

    def __init__(self, read: PagedList) -> None:
        """Walk over the list of `read`, from its start."""
        self._read = read
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
            target = f"{self._read.path}?{after.row_query}"
            loaders.read_again(target)  # It may be known as it was before rows moved.
            self._begin(target)
            self._advance(loaders)
        return Slice(self._read, self._rows, self._positions, self._has_next, end=self._end)

    def _begin(self, start: str) -> None:
        self._start = start
        self._pages = 0
        self._cursor = self._read.after
        """The cursor, until the page that it points into has been looked at."""
        self._rows: list[Row] = []
        self._positions: list[Position] = []
        self._seen: set[str] = set()
        self._end: tuple[Row, Position] | None = None
        self._first_index: int | None = None
        self._has_next = False

    def _advance(self, loaders: Loaders) -> None:
        for page in islice(loaders.pages(self._start, most=self._most), self._pages, None):
            self._pages += 1
            if self._add(page):
                return

    def _add(self, page: Page) -> bool:
        """Add the rows of the next page; return whether the slice is complete."""
        read, rows, seen = self._read, self._rows, self._seen
        first, scan, after = read.first, read.scan, read.after
        predicate = read.row_filter.predicate if read.row_filter is not None else None
        passed = self._cursor.place_in(page.rows) if self._cursor is not None else 0
        self._cursor = None
        for place, row in enumerate(page.rows[passed:], passed + 1):
            if row.sid in seen or (after is not None and read.precedes(row, after)):
                continue
            if len(rows) == first or len(seen) == scan:
                self._has_next = True
                return True
            if not seen:
                self._first_index = index_of(row)
            seen.add(row.sid)
            position = page, place
            self._end = row, position
            if predicate is None or predicate(row):
                rows.append(row)
                self._positions.append(position)
        if len(rows) == first or len(seen) == scan:
            self._has_next = page.next is not None
            return True
        return False

    def _skips_rows(self, after: Cursor) -> bool:
        """Whether rows between the cursor and the first page are missing: deleted, or moved into the cursor's own page."""
        if not after.row_query or after.index is None:
            return False
        return self._first_index is None or abs(self._first_index - after.index) != 1

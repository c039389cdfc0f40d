"""The three reads of lists: a list read page by page, a list read whole, and the services that a caller may read.

Each is a plain value; creating one does no I/O, and raises `BadUserInput` for a `first` or `after` that is not valid.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from gateway.errors import BadUserInput, NotFound, UpstreamRejected
from gateway.graph.connection import PlaceholderSlice, Position, Slice
from gateway.graph.cursors import Cursor, decode_cursor, index_of
from gateway.graph.limits import FIRST_DEFAULT, FIRST_MAX
from gateway.graph.walk import SPARE_PAGES, Walk
from gateway.source.loaders import Loaders, Missing
from gateway.twilio.paths import child
from gateway.twilio.resources import Resource, Row
from gateway.twilio.statuses import ReceiptSummary

if TYPE_CHECKING:
    from gateway.execution.context import Read
    from gateway.graph.context import OperationContext

__all__ = [
    "INVALID_PAGE_TOKEN",
    "KNOWN_EMPTY",
    "ListRead",
    "OwnServices",
    "PagedList",
    "RowFilter",
    "WholeList",
    "WholeLists",
]

_PAGE_SIZE = re.compile(r"(?<=[?&]PageSize=)[0-9]{1,9}(?=&|$)")
KNOWN_EMPTY = "the message's `delivery` shows that no receipt matches"
INVALID_PAGE_TOKEN = 21481  # https://www.twilio.com/docs/api/errors/21481


class RowFilter(NamedTuple):
    """A choice among the rows of a list."""

    predicate: Callable[[Row], bool]
    key: str
    """Identifies the choice in cursors."""
    matches_nothing: bool = False
    """Whether no row can match, so that nothing is read."""


class ListRead:
    """What all reads of lists have in common."""

    __slots__ = ("after", "first", "parameters", "path", "resource", "row_filter")

    is_single = False
    is_shared = False
    may_be_skipped = False
    also: tuple[Read, ...] = ()
    expected_summary: ReceiptSummary | None = None

    def __init__(
        self,
        resource: Resource,
        parent_path: str,
        first: int | None,
        after: str | None,
        *,
        parameters: tuple[tuple[str, str], ...] = (),
        row_filter: RowFilter | None = None,
    ) -> None:
        """Read the list of `resource` below `parent_path`.

        `parameters` are sent to Twilio, which filters and orders by them. `row_filter` chooses among the rows it returns.
        """
        self.first = FIRST_DEFAULT if first is None else first
        if not 0 <= self.first <= FIRST_MAX:
            raise BadUserInput(f"`first` must be from 0 to {FIRST_MAX}.")
        self.resource = resource
        self.path = resource.list_path(parent_path)
        self.parameters, self.row_filter = parameters, row_filter
        self.after = decode_cursor(after, self.key) if isinstance(after, str) else None

    @property
    def type_name(self) -> str:
        """The type of the connection."""
        return f"{self.resource.type_name}Connection"

    @property
    def key(self) -> str:
        """Identifies the list and its filters; its cursors hold a digest of it."""
        return f"{self.path}?{self.parameters}{self.row_filter.key if self.row_filter is not None else ''}"

    def shown_query(self, query: str) -> str:
        """Return the parameters of a page as a cursor holds them."""
        return query

    @property
    def is_sparse(self) -> bool:
        """Whether rows are chosen, so that there may be none."""
        return self.row_filter is not None and not self.row_filter.matches_nothing

    def reference(self) -> Slice | None:
        """Return None: a list has to be read."""
        return None

    def placeholder(self, token: str) -> tuple[Slice, int]:
        """Return a slice with one record, whose sid is `token`, and the most records that the slice can have."""
        return PlaceholderSlice(self, self.resource.node(path=child(self.path, token), listed=True)), self.first

    def size_of(self, child: Slice) -> int:
        """Return the number of records in the slice."""
        return len(child.rows)

    def node(self, row: Row) -> Any:
        """Return the record of a row of the list."""
        return self.resource.node(path=f"{self.path}/{row.sid}", row=row, listed=True)

    @property
    def _matches_nothing(self) -> bool:
        return self.row_filter is not None and self.row_filter.matches_nothing

    def _empty(self, context: OperationContext, reason: str) -> Slice:
        context.skip([self.path], reason)
        return Slice(self, [], None, False, total_count=0)

    def slice_of(self, rows: list[Row]) -> Slice:
        """Return the slice of a list of which all rows are known."""
        first = self.first
        rows = _distinct(rows)
        if self.after is None and self.row_filter is None:
            return Slice(self, rows[:first], None, len(rows) > first, len(rows))
        passed = self.after.place_in(rows) if self.after is not None else 0
        positions: list[Position] = [(None, place) for place in range(1, len(rows) + 1)]
        if self.row_filter is not None:
            predicate = self.row_filter.predicate
            positions = [position for position in positions if predicate(rows[position[1] - 1])]
        following = [position for position in positions if position[1] > passed]
        shown = following[:first]
        return Slice(self, [rows[place - 1] for _, place in shown], shown, len(following) > len(shown), len(positions))


class WholeList(ListRead):
    """A list of which all pages are read, so that its rows can be counted: the receipts of a message."""

    __slots__ = ("_known_empty", "_start", "expected_summary")

    may_be_skipped = True

    def __init__(
        self,
        resource: Resource,
        parent_path: str,
        first: int | None,
        after: str | None,
        *,
        row_filter: RowFilter | None = None,
        known_empty: bool = False,
        summary: ReceiptSummary | None = None,
    ) -> None:
        """Read a whole list (see `ListRead`); `summary` is the summary of its rows in the parent's row.

        With `known_empty` the parent's row shows that no row matches: nothing is read, except with `no-cache`.
        """
        super().__init__(resource, parent_path, first, after, row_filter=row_filter)
        self._known_empty, self.expected_summary = known_empty, summary
        self._start = resource.largest_page(self.path)

    @property
    def calls_max(self) -> int:
        """The pages of the largest list that there can be."""
        return self.resource.pages_max

    def first_key(self, *, no_cache: bool) -> str | None:
        """Return the first page, unless nothing is read."""
        if self._matches_nothing or (self._known_empty and not no_cache):
            return None
        return self._start

    def reference(self) -> Slice | None:
        """Return the number of rows alone, if the parent's row has it and no filter is set."""
        if self.expected_summary is None or self.row_filter is not None:
            return None
        return Slice(self, [], None, False, self.expected_summary.total)

    def placeholder(self, token: str) -> tuple[Slice, int]:
        """Return a slice with one record, and the most records that it can have."""
        found, size = super().placeholder(token)
        return found, min(size, self.resource.rows_max or size)

    def resolve(self, context: OperationContext) -> Slice:
        """Return the slice, once all pages are known."""
        if self._known_empty and not context.no_cache:
            return self._empty(context, KNOWN_EMPTY)
        if self._matches_nothing:
            return self._empty(context, "nothing matches")
        pages = list(context.loaders.pages(self._start, most=self.resource.page_max + SPARE_PAGES))
        return self.slice_of(pages[0].rows if len(pages) == 1 else [row for page in pages for row in page.rows])


class WholeLists:
    """Many whole lists, without cursors and filters: the receipts of each message of a list, read together."""

    __slots__ = ("_first", "_keys", "_known_empty", "_parents", "_resource", "_summary", "_whole", "list_path", "rows")

    def __init__(
        self,
        resource: Resource,
        list_path: str,
        parents: Sequence[Row],
        first: int,
        *,
        known_empty: Collection[int],
        summary: Callable[[Row], ReceiptSummary | None],
    ) -> None:
        """Read the lists below the rows `parents` of the list at `list_path`, each as a `WholeList` does.

        `known_empty` has the positions of those whose rows show that nothing matches; `summary` returns the summary in a row.
        """
        self._resource, self._first, self._parents = resource, first, parents
        self._known_empty, self._summary = known_empty, summary
        self.list_path = list_path
        """The path of the parents' list."""
        self.rows: list[list[Row]] = []
        """The rows of each list, once they are resolved."""
        self._whole = self.rows
        """The same without `first`."""
        tail = resource.largest_page(f"/{resource.collection}")
        self._keys = [f"{list_path}/{row.sid}{tail}" for row in parents]

    @property
    def paths(self) -> list[str]:
        """The paths of the lists."""
        return [key.partition("?")[0] for key in self._keys]

    @property
    def slices(self) -> list[Slice]:
        """The lists, once they are resolved."""
        return [self._read(position).slice_of(rows) for position, rows in enumerate(self._whole)]

    def missing(self, context: OperationContext) -> list[str]:
        """Return the keys to fetch before the lists can be resolved."""
        loaders, keys, parents = context.loaders, self._keys, self._parents
        empty = self._skipped(loaders)
        if context.trace is not None:
            for position, key in enumerate(keys):
                context.trace.looked[key.partition("?")[0] if position in empty else key] = None
        if empty:
            keys = [key for position, key in enumerate(keys) if position not in empty]
            parents = [row for position, row in enumerate(parents) if position not in empty]
        loaders.expect_all(keys, parents, self._summary)
        return loaders.missing(keys)

    def resolve(self, context: OperationContext) -> bool:
        """Resolve the lists, once their keys are fetched; raises the error of any read. Return False if one has more pages."""
        loaders, keys = context.loaders, self._keys
        empty = self._skipped(loaders)
        if empty:
            context.skip([keys[position].partition("?")[0] for position in empty], KNOWN_EMPTY)
            keys = [key for position, key in enumerate(keys) if position not in empty]
        whole = loaders.whole_lists(keys)
        if whole is None:
            return False
        if empty:
            following = iter(whole)
            whole = [[] if position in empty else next(following) for position in range(len(self._keys))]
        self._whole = whole
        self.rows = [rows[: self._first] for rows in whole] if self._first < self._resource.page_max else whole
        return True

    def _skipped(self, loaders: Loaders) -> Collection[int]:
        """Return the positions of the lists that are not read, since they are known to be empty."""
        return () if loaders.no_cache else self._known_empty

    def _read(self, position: int) -> WholeList:
        """Return the read of one of the lists."""
        return WholeList(self._resource, f"{self.list_path}/{self._parents[position].sid}", self._first, None)


class PagedList(ListRead):
    """A list that is read page by page, until `first` rows are found or `scan` rows were looked at."""

    __slots__ = ("_in_large_pages", "scan", "start")

    def __init__(
        self,
        resource: Resource,
        parent_path: str,
        first: int | None,
        after: str | None,
        *,
        parameters: tuple[tuple[str, str], ...] = (),
        row_filter: RowFilter | None = None,
        scan: int | None = None,
        shared: bool = False,
    ) -> None:
        """Read pages of a list (see `ListRead`), at most `scan` rows of it.

        A `shared` list is read in pages of the largest size, which other reads of the operation use too.
        """
        super().__init__(resource, parent_path, first, after, parameters=parameters, row_filter=row_filter)
        self.scan = scan
        self._in_large_pages = shared or row_filter is not None
        self.start = self._first_page()
        """The key of the page to start with."""

    @property
    def calls_max(self) -> int:
        """The pages that `first`, or the rows to look at, can fill."""
        largest = self.resource.page_max
        # Twilio may repeat a size above the maximum, and a client can forge any.
        sizes = [int(size) for size in _PAGE_SIZE.findall(self.start) if 1 <= int(size) <= largest]
        size = min(sizes, default=largest)
        pages = -(-max(self.first if self.scan is None else self.scan, 1) // size)
        # A cursor may point into a page; and after deletions the page before it is read again, and those after that.
        return pages if self.after is None else 2 * pages + 2

    def first_key(self, *, no_cache: bool) -> str | None:
        """Return the page to start with, unless nothing can match."""
        return None if self._matches_nothing else self.start

    def placeholder(self, token: str) -> tuple[Slice, int]:
        """Return a slice with one record, and the most records that it can have."""
        found, size = super().placeholder(token)
        return found, size if self.scan is None else min(size, self.scan)

    def resolve(self, context: OperationContext) -> Slice:
        """Return the slice, once enough pages are known. An unfinished walk is kept in the context."""
        if self._matches_nothing:
            return self._empty(context, "nothing matches")
        if self.after is None and self.row_filter is None:
            page = context.loaders.page(self.start)
            is_enough = len(page.rows) >= self.first or page.next is None
            if is_enough and not page.has_repeats:
                rows = page.rows[: self.first]
                has_next = len(page.rows) > self.first or page.next is not None
                return Slice(self, rows, page, has_next)
        walk = context.walks.pop(self, None) or Walk(self)
        try:
            return walk.slice(context.loaders)
        except Missing:
            context.walks[self] = walk
            raise
        except UpstreamRejected as error:
            if self.after is not None and error.upstream and error.upstream.code == INVALID_PAGE_TOKEN:
                raise BadUserInput("`after` is no longer valid: start again without it.") from None
            raise

    def precedes(self, row: Row, after: Cursor) -> bool:
        """Whether a row with an index comes before the cursor; rows may have moved to other pages since."""
        index = index_of(row)
        if after.index is None or index is None:
            return False
        return index >= after.index if ("Order", "desc") in self.parameters else index <= after.index

    def sent_query(self, query: str) -> str:
        """Return the parameters of a page as they are sent, from those that a cursor holds."""
        return query

    def _first_page(self) -> str:
        """Return the cursor's page, or the first page of the list, no larger than needed."""
        if self.after is not None and self.after.query:
            return f"{self.path}?{self.sent_query(self.after.query)}"
        largest = self.resource.page_max
        pages = -(-max(self.first, 1) // largest)
        size = largest if self._in_large_pages else -(-max(self.first, 1) // pages)
        parameters = "".join(f"{name}={quote(value, safe='')}&" for name, value in self.parameters)
        return f"{self.path}?{parameters}PageSize={size}"


class OwnServices(ListRead):
    """The services that a caller may read, one by one: the account's list would show the others too."""

    __slots__ = ("_paths",)

    def __init__(self, read: PagedList, services: frozenset[str]) -> None:
        """Replace `read`, the list of all services, for a caller that may read only `services`, given by sid."""
        self.resource, self.path, self.first, self.after = read.resource, read.path, read.first, read.after
        self.parameters, self.row_filter = read.parameters, read.row_filter
        self._paths = [child(self.path, sid) for sid in sorted(services)]

    @property
    def calls_max(self) -> int:
        """One for each service."""
        return len(self._paths)

    def first_key(self, *, no_cache: bool) -> str | None:
        """Return the first service's path; None when the caller may read none."""
        return next(iter(self._paths), None)

    def resolve(self, context: OperationContext) -> Slice:
        """Return the slice, once all services are known."""
        rows: list[Row] = []
        for path in self._paths:
            with suppress(NotFound):
                rows.append(context.loaders.item(path))
        return self.slice_of(rows)


def _distinct(rows: list[Row]) -> list[Row]:
    """Return the rows without those that moved to another page while the list was read, and were read twice."""
    by_sid: dict[str, Row] = {}
    for row in rows:
        by_sid.setdefault(row.sid, row)
    return list(by_sid.values()) if len(by_sid) < len(rows) else rows

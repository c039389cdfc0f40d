"""The three ways from a record to others: an item by its path, a member of a list already at hand, a window on a list.

Each is a plain value that says what to read; making one costs nothing and refuses bad input before any call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import parse_qs, quote

from gateway.errors import BadUserInput, NotFound, UpstreamRejected
from gateway.graph.connection import Spot, Window
from gateway.graph.context import Context
from gateway.graph.cursors import Cursor, decode_cursor
from gateway.graph.node import Node
from gateway.source.loaders import Loaders
from gateway.twilio.paths import child, sids_of
from gateway.twilio.resources import Resource, Row
from gateway.twilio.responses import Page

__all__ = ["FIRST_MAX", "SCAN_DEFAULT", "SCAN_MAX", "Item", "Listing", "Member"]

FIRST_DEFAULT, FIRST_MAX = 50, 1000
SCAN_DEFAULT, SCAN_MAX = 500, 1000  # Rows looked at for one window, when it shows only some of them.
_SPARE_PAGES = 10  # Pages that may bring nothing new, however small the pages that Twilio gives.
_SPARE_PAGES_BEHIND_CURSOR = 100  # The same, where new rows may have come before the cursor since.
_INVALID_PAGE_TOKEN = 21481  # https://www.twilio.com/docs/api/errors/21481


@dataclass(slots=True)
class Item:
    """One record by its path. It is null, without an error, when Twilio has none there."""

    resource: Resource
    path: str
    listed: bool = False
    by_name: bool = False
    """Whether the path ends in a name; then only a read tells the record's sid."""
    is_single: ClassVar[bool] = True
    is_shared: ClassVar[bool] = False
    is_sparse: ClassVar[bool] = False
    may_be_idle: ClassVar[bool] = False

    @property
    def type_name(self) -> str:
        """The record's type."""
        return self.resource.type_name

    def reference(self) -> Node | None:
        """The record as its path tells it."""
        return None if self.by_name else self.resource.node(path=self.path, listed=self.listed)

    def size_of(self, child: object) -> int:
        """One record."""
        return 1

    def calls_at_most(self, context: Context) -> int:
        """One."""
        return 1

    def first_key(self, context: Context) -> str:
        """Its path."""
        return self.path

    def outlook(self, star: str) -> tuple[Node, int | None]:
        """The record as its path tells it; of a name, only that there is one."""
        path = f"{self.path.rpartition('/')[0]}/{star}" if self.by_name else self.path
        return self.resource.node(path=path, listed=self.listed), 1 if self.by_name else None

    def resolve(self, context: Context) -> Node | None:
        """The record, looked up."""
        try:
            row = context.loaders.item(self.path)
        except NotFound:
            return None
        path = f"{self.path.rpartition('/')[0]}/{row.sid}"  # Twilio's own spelling, also of a name or another case.
        return self.resource.node(path=path, row=row, listed=self.listed)  # type: ignore[no-any-return]


@dataclass(slots=True)
class Member:
    """One record out of a list that others need too, as a receipt's participant: it is read with the whole list.

    It is null, without an error, when it is not there, as a participant who has left.
    """

    resource: Resource
    list_path: str
    sid: str
    path: str
    is_single: ClassVar[bool] = True
    is_shared: ClassVar[bool] = True
    is_sparse: ClassVar[bool] = False
    may_be_idle: ClassVar[bool] = False

    @property
    def type_name(self) -> str:
        """The record's type."""
        return self.resource.type_name

    def reference(self) -> Node:
        """The record as its sid tells it."""
        return self._node(None)

    def size_of(self, child: object) -> int:
        """One record."""
        return 1

    def calls_at_most(self, context: Context) -> int:
        """The pages of the largest list that there can be."""
        return self.resource.pages_max

    def first_key(self, context: Context) -> str:
        """The first page of its list."""
        return self.resource.largest_page(self.list_path)

    def outlook(self, star: str) -> tuple[Node, None]:
        """The record as its sid tells it."""
        return self._node(None), None

    def resolve(self, context: Context) -> Node | None:
        """The record, found in its list."""
        row = context.loaders.member(self.list_path, self.sid)  # That there is no such list is no word on the record.
        return self._node(row) if row is not None else None

    def _node(self, row: Row) -> Node:
        return self.resource.node(path=self.path, row=row, listed=True)  # type: ignore[no-any-return]


class Listing:
    """A window on the list of a resource below a parent."""

    is_single = False
    is_shared = False

    def __init__(
        self,
        resource: Resource,
        parent_path: str,
        first: int | None,
        after: str | None,
        *,
        filters: tuple[tuple[str, str], ...] = (),
        keep: Callable[[Row], bool] | None = None,
        variant: str = "",
        scan: int | None = None,
        whole: bool = False,
        shared: bool = False,
        nothing: bool = False,
        idle: bool = False,
        total: int | None = None,
    ) -> None:
        """Take the window; raises `BadUserInput` for a `first` or an `after` that cannot be.

        `filters` are upstream's own parameters. `keep` chooses among the rows that come, `variant` names that choice for
        cursors, and `scan` bounds the rows looked at. `whole` reads the list to its end, so that its rows can be counted;
        `shared` reads pages of the largest size, which others in the request read too. `nothing` can match; with `idle` it
        is already known that there is nothing, and `total` how many rows the list holds, unless a fresh answer is asked for.
        """
        self.first = FIRST_DEFAULT if first is None else first
        if not 0 <= self.first <= FIRST_MAX:
            raise BadUserInput(f"`first` must be from 0 to {FIRST_MAX}.")
        self._resource = resource
        self.path = resource.list_path(parent_path)
        self._filters, self._keep, self._scan, self._whole = filters, keep, scan, whole
        self._in_large_pages = whole or shared or keep is not None
        self._total = total
        self._is_nothing, self._is_idle = nothing, idle
        self._variant = variant
        self._after = decode_cursor(after, self.key, filters, resource.page_max) if isinstance(after, str) else None
        self._start = self._first_page()

    @property
    def type_name(self) -> str:
        """The type of the connection."""
        return f"{self._resource.type_name}Connection"

    def reference(self) -> Window | None:
        """What is known of the list without reading it: how many rows it has, where that is known."""
        if self._total is None or self._variant or self._is_nothing:
            return None
        return Window([], False, False, total_count=self._total)

    @property
    def may_be_idle(self) -> bool:
        """Whether the parent's row may tell that the list is empty: so it is for lists that are read whole."""
        return self._whole

    def size_of(self, child: Window) -> int:
        """The window's records."""
        return len(child.edges)

    @property
    def is_sparse(self) -> bool:
        """Whether rows are chosen, so that there may well be none."""
        return bool(self._variant)

    def calls_at_most(self, context: Context) -> int:
        """Its pages: one for a list that is read whole, as many as the window or the rows looked at can fill else."""
        if self._whole:
            return 1
        if self._is_own(context):
            return len(context.services or ())
        size = int(parse_qs(self._start.partition("?")[2]).get("PageSize", [str(self._resource.page_max)])[0])
        pages = -(-max(self.first if self._scan is None else self._scan, 1) // size)
        # A cursor may stand amid a page; and when rows have gone, the page before it is read again, and what follows it.
        return pages if self._after is None else 2 * pages + 2

    def first_key(self, context: Context) -> str | None:
        """The page to begin with, unless there is nothing to read."""
        if self._is_nothing or (self._is_idle and not context.no_cache):
            return None
        if self._total is not None:
            context.loaders.request.expected_totals[self._start] = self._total
        return self._start if not self._is_own(context) else next(iter(self._own_paths(context)), None)

    def outlook(self, star: str) -> tuple[Window | None, int]:
        """A window with one member of which nothing is known but where it would be."""
        node = self._resource.node(path=child(self.path, star), listed=True)
        most = min(self.first, self._resource.page_max) if self._whole else self.first
        if self._scan is not None:
            most = min(most, self._scan)
        return Window([Spot(node, self, "", 0)], False, False), most

    def resolve(self, context: Context) -> Window:
        """The window, on as many pages as it needs."""
        if self._is_nothing or (self._is_idle and not context.no_cache):
            context.skip(
                self.path, "the message tells that there is nothing to find" if self._is_idle else "nothing matches"
            )
            return Window([], False, self._after is not None, total_count=0)
        try:
            return self._read(context)
        except UpstreamRejected as error:
            if self._after is not None and error.upstream and error.upstream.code == _INVALID_PAGE_TOKEN:
                raise BadUserInput("`after` is no longer valid: start again without it.") from None
            raise

    def _read(self, context: Context) -> Window:
        if self._whole:
            return self._read_whole(context.loaders)
        if self._is_own(context):
            return self._window(list(self._own_rows(context)))
        window = self._walk(context.loaders, self._start)
        after, first = self._after, window.first_index
        if after is None or not after.own or after.index is None:
            return window
        if first is not None and abs(first - after.index) == 1:
            return window
        # Rows are missing between the cursor and this page: deleted, or moved up into the cursor's own page.
        return self._walk(context.loaders, f"{self.path}?{after.own}")

    def _is_own(self, context: Context) -> bool:
        """Whether this is the list of services, asked for by someone who may read only some of them."""
        return context.services is not None and not sids_of(self.path)

    def _own_paths(self, context: Context) -> list[str]:
        return [child(self.path, sid) for sid in sorted(context.services or ())]

    def _own_rows(self, context: Context) -> Iterator[Row]:
        """The caller's own services, one by one: the account's list would tell of the others."""
        for path in self._own_paths(context):
            with suppress(NotFound):
                yield context.loaders.item(path)

    def _walk(self, loaders: Loaders, start: str) -> Window:
        after, keep, scan = self._after, self._keep, self._scan
        resumed: Cursor | None = after
        edges: list[Spot] = []
        seen: set[str] = set()
        end: Spot | None = None
        has_next = False
        first_index: int | None = None
        most = max(self.first, scan or 0) + (_SPARE_PAGES_BEHIND_CURSOR if after is not None else _SPARE_PAGES)
        for page in loaders.pages(start, most=most):
            passed = resumed.place_in(page.rows) if resumed is not None else 0
            resumed = None
            for place, row in enumerate(page.rows[passed:], passed + 1):
                if row.sid in seen or self._is_behind(row):
                    continue
                if len(edges) == self.first or len(seen) == scan:
                    has_next = True
                    break
                if not seen:
                    first_index = getattr(row, "index", None)
                seen.add(row.sid)
                end = self._spot(page, place, row)
                if keep is None or keep(row):
                    edges.append(end)
            if has_next:
                break
            if len(edges) == self.first or len(seen) == scan:
                has_next = page.next is not None
                break
        return Window(edges, has_next, after is not None, end, first_index=first_index)

    def _read_whole(self, loaders: Loaders) -> Window:
        rows: list[Row] = []
        for page in loaders.pages(self._start, most=self._resource.page_max + _SPARE_PAGES):
            rows += page.rows
        return self._window(rows)

    def _window(self, rows: list[Row]) -> Window:
        """The window on rows that are all at hand."""
        every, keep = rows, self._keep
        if len({row.sid for row in every}) < len(every):  # Rows that came twice, as others came and went between pages.
            first: dict[str, Row] = {}
            for row in every:
                first.setdefault(row.sid, row)
            every = list(first.values())
        passed = self._after.place_in(every) if self._after is not None else 0
        kept = list(enumerate(every, 1))
        if keep is not None:
            kept = [each for each in kept if keep(each[1])]
        ahead = [each for each in kept if each[0] > passed] if passed else kept
        make, path = self._resource.node, self.path
        edges = [
            Spot(make(path=f"{path}/{row.sid}", row=row, listed=True), self, "", place)
            for place, row in ahead[: self.first]
        ]
        return Window(edges, len(ahead) > len(edges), self._after is not None, total_count=len(kept))

    @property
    def key(self) -> str:
        """What tells this list and its filters from all others; cursors are of it."""
        return f"{self.path}?{self._filters}{self._variant}"

    def _first_page(self) -> str:
        """The page to begin with: as the cursor says, else the first, no larger than is needed."""
        if self._after is not None and self._after.query and not self._whole:
            return f"{self.path}?{self._after.query}"
        most = self._resource.page_max
        pages = -(-max(self.first, 1) // most)
        size = most if self._in_large_pages else -(-max(self.first, 1) // pages)
        filters = "".join(f"{name}={quote(value, safe='')}&" for name, value in self._filters)
        return f"{self.path}?{filters}PageSize={size}"

    def _is_behind(self, row: Row) -> bool:
        """Whether a row of an indexed list comes before the cursor; rows may have moved between pages since."""
        if self._after is None or self._after.index is None or getattr(row, "index", None) is None:
            return False
        if ("Order", "desc") in self._filters:
            return bool(row.index >= self._after.index)
        return bool(row.index <= self._after.index)

    def _spot(self, page: Page, place: int, row: Row) -> Spot:
        node = self._resource.node(path=f"{self.path}/{row.sid}", row=row, listed=True)
        if place == len(page.rows) and page.next is not None:
            return Spot(node, self, page.next.partition("?")[2], 0, own=page.target.partition("?")[2])
        return Spot(node, self, page.target.partition("?")[2], place)

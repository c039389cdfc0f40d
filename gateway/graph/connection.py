"""Connections: slices of a list, forward only (https://relay.dev/graphql/connections.htm)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from gateway.graph.cursors import Cursor, index_of
from gateway.graph.node import embedded, prop
from gateway.twilio.resources import Row
from gateway.twilio.responses import Page

if TYPE_CHECKING:
    from gateway.graph.lists import ListRead

__all__ = ["Connection", "Edge", "EdgeSource", "PageInfo", "PlaceholderSlice", "Position", "Slice"]

T = TypeVar("T")


@dataclass(slots=True)
class EdgeSource:
    """The source of an `Edge`: a node, and its place in a list."""

    node: Any
    list_key: str
    """Identifies the list and its filters in the cursor."""
    query: str
    """The parameters of the page to read after this node; empty for a list that is read whole."""
    place: int
    """How many rows of that page come up to and including this node."""
    row_query: str = ""
    """The parameters of the node's own page, when `query` has those of the next one."""

    @property
    def cursor(self) -> str:
        """The cursor after this node; computed on use, since most queries do not select it."""
        return _cursor(self.list_key, self.node.row, (self.query, self.place, self.row_query))


Position = tuple[Page | None, int]
"""The page that has a row, None for a list that is read whole, and how many of its rows come up to and including it."""


def _cursor(list_key: str, row: Row, continuation: tuple[str, int, str]) -> str:
    query, place, row_query = continuation
    return Cursor.make(list_key, query, row.sid, place, index_of(row), row_query).encode()


class Slice:
    """The source of a `Connection` and of its `PageInfo`: the part of a list that one page shows."""

    __slots__ = ("_edges", "_end", "_positions", "_read", "has_next_page", "rows", "total_count")

    def __init__(
        self,
        read: ListRead,
        rows: list[Row],
        positions: Sequence[Position] | Page | None,
        has_next_page: bool,
        total_count: int | None = None,
        end: tuple[Row, Position] | None = None,
    ) -> None:
        """Create the slice of `rows` that the read of a list has found.

        `positions` has the position of each row. In its place can be the page of which they are the first rows, or None when
        they are the first of a list that is read whole. `end` is the last row that was looked at, if that is not the last of
        `rows`.
        """
        self.rows = rows
        self.has_next_page = has_next_page
        self.total_count = total_count
        self._read = read
        self._positions = positions
        self._end = end
        self._edges: list[EdgeSource] | None = None

    @property
    def path(self) -> str:
        """The upstream path of the list."""
        return self._read.path

    @property
    def edges(self) -> list[EdgeSource]:
        """The edges, created on first use."""
        if self._edges is None:
            key, node = self._read.key, self._read.node
            self._edges = [
                EdgeSource(node(row), key, *self._continuation(self._position(index)))
                for index, row in enumerate(self.rows)
            ]
        return self._edges

    @property
    def cursors(self) -> Iterator[str]:
        """The cursor of each edge."""
        key = self._read.key
        return (_cursor(key, row, self._continuation(self._position(index))) for index, row in enumerate(self.rows))

    @property
    def has_previous_page(self) -> bool:
        """Whether a cursor was given."""
        return self._read.after is not None

    @property
    def start_cursor(self) -> str | None:
        """The first edge's cursor."""
        return next(self.cursors, None)

    @property
    def end_cursor(self) -> str | None:
        """The cursor of the last row that was looked at; the given one if there was none."""
        end = self._end
        if end is None and self.rows:
            end = self.rows[-1], self._position(len(self.rows) - 1)
        if end is not None:
            row, position = end
            return _cursor(self._read.key, row, self._continuation(position))
        after = self._read.after
        return after.encode() if after is not None else None

    def node(self, row: Row) -> Any:
        """Return the record of one of the rows."""
        return self._read.node(row)

    def _continuation(self, position: Position) -> tuple[str, int, str]:
        """Return where to continue after a row: `query`, `place` and `row_query` of its `EdgeSource`."""
        page, place = position
        if page is None:
            return "", place, ""
        shown = self._read.shown_query
        query = shown(page.target.partition("?")[2])
        if place == len(page.rows) and page.next is not None:
            return shown(page.next.partition("?")[2]), 0, query
        return query, place, ""

    def _position(self, index: int) -> Position:
        """Return the position of one of the rows."""
        positions = self._positions
        return (positions, index + 1) if positions is None or isinstance(positions, Page) else positions[index]


class PlaceholderSlice(Slice):
    """A slice with one record that has no row, for an estimate."""

    __slots__ = ()

    def __init__(self, read: ListRead, node: Any) -> None:
        """Create the slice of `node` alone."""
        super().__init__(read, [], None, False)
        self._edges = [EdgeSource(node, read.key, "", 0)]


@embedded("The position of a page in its list (Relay's `PageInfo`).")
class PageInfo:
    has_next_page: bool = prop("Whether there are items after this page. To get them, pass `endCursor` as `after`.")
    has_previous_page: bool = prop("Whether `after` was given. Lists are paginated forward only.")
    start_cursor: str | None = prop("The cursor of the first edge; null when there are no edges.")
    end_cursor: str | None = prop(
        "The cursor to continue with: pass it as `after`. When no items were read, the given `after`, or null without one."
    )


@embedded("One record of a list, and its cursor.")
class Edge(Generic[T]):
    cursor: str = prop(
        "An opaque cursor. Pass it as `after` to get the items after this record.", column=attrgetter("cursors")
    )
    node: T = prop("The record.")


@embedded(
    "One page of a list. Null, with an error at its path, when the list could not be read. An empty list is a page without "
    "edges."
)
class Connection(Generic[T]):
    edges: list[Edge[T]] = prop("The records of this page, in the order of the list.")
    page_info: PageInfo = prop("The position of this page in the list.", derive=lambda page: page, of={})

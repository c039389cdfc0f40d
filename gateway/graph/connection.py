"""Connections: slices of a list, forward only (https://relay.dev/graphql/connections.htm)."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from gateway.graph.cursors import Cursor, index_of
from gateway.graph.node import embedded, prop
from gateway.twilio.resources import Resource, Row
from gateway.twilio.responses import Page

__all__ = ["Connection", "Edge", "EdgeSource", "PageInfo", "RowSlice", "Slice", "list_key"]

T = TypeVar("T")


def list_key(path: str, parameters: tuple[tuple[str, str], ...], filter_key: str = "") -> str:
    """Return the text that identifies a list and its filters; its cursors hold a digest of it."""
    return f"{path}?{parameters}{filter_key}"


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
        row = self.node.row
        place = (self.place, index_of(row), self.row_query)
        return Cursor.make(self.list_key, self.query, row.sid, *place).encode()


@dataclass(slots=True)
class Slice:
    """The source of a `Connection` and of its `PageInfo`: the part of a list that one page shows."""

    edges: list[EdgeSource]
    has_next_page: bool
    has_previous_page: bool
    end: EdgeSource | None = None
    """The last row that was looked at, if it is not the last edge."""
    total_count: int | None = None
    first_index: int | None = None
    """The `index` of the first row that was looked at, if rows have one."""
    after: Cursor | None = None
    """The cursor that was given."""

    @property
    def size(self) -> int:
        """The number of edges."""
        return len(self.edges)

    @property
    def start_cursor(self) -> str | None:
        """The first edge's cursor."""
        return self.edges[0].cursor if self.edges else None

    @property
    def end_cursor(self) -> str | None:
        """The cursor of the last row that was looked at; the given one if there was none."""
        end = self.end or (self.edges[-1] if self.edges else None)
        if end is not None:
            return end.cursor
        return self.after.encode() if self.after is not None else None


class RowSlice:
    """A slice that starts at the beginning of a list, and has every row: its edges are created on first use."""

    has_previous_page = False

    def __init__(
        self,
        resource: Resource,
        path: str,
        rows: list[Row],
        *,
        has_next_page: bool,
        total_count: int | None = None,
        page: Page | None = None,
        parameters: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Create the slice of `rows`, the first of `page` of the list at `path`; without a page, of a list that is read whole.

        `parameters` are those of the list (see `ListRead`).
        """
        self.resource = resource
        self.path = path
        self.rows = rows
        self.has_next_page = has_next_page
        self.total_count = total_count
        self._page = page
        self._parameters = parameters

    @property
    def size(self) -> int:
        """The number of edges."""
        return len(self.rows)

    @cached_property
    def edges(self) -> list[EdgeSource]:
        """The edges."""
        page, key = self._page, list_key(self.path, self._parameters)
        query = page.target.partition("?")[2] if page is not None else ""
        edges = [EdgeSource(self.node(row), key, query, place) for place, row in enumerate(self.rows, 1)]
        if page is not None and page.next is not None and len(edges) == len(page.rows) and edges:
            edges[-1] = EdgeSource(edges[-1].node, key, page.next.partition("?")[2], 0, query)
        return edges

    @property
    def start_cursor(self) -> str | None:
        """The first edge's cursor."""
        return self.edges[0].cursor if self.rows else None

    @property
    def end_cursor(self) -> str | None:
        """The last edge's cursor."""
        return self.edges[-1].cursor if self.rows else None

    def node(self, row: Row) -> Any:
        """Return the record of one of the rows."""
        return self.resource.node(path=f"{self.path}/{row.sid}", row=row, listed=True)


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
    cursor: str = prop("An opaque cursor. Pass it as `after` to get the items after this record.")
    node: T = prop("The record.")


@embedded(
    "One page of a list. Null, with an error at its path, when the list could not be read. An empty list is a page without "
    "edges."
)
class Connection(Generic[T]):
    edges: list[Edge[T]] = prop("The records of this page, in the order of the list.")
    page_info: PageInfo = prop("The position of this page in the list.", derive=lambda page: page, of={})

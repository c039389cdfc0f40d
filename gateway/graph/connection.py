"""Connections: slices of a list, forward only (https://relay.dev/graphql/connections.htm)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from gateway.graph.cursors import Cursor
from gateway.graph.node import embedded, prop

if TYPE_CHECKING:
    from gateway.graph.lists import ListRead

__all__ = ["Connection", "Edge", "EdgeSource", "PageInfo", "Slice"]

T = TypeVar("T")


@dataclass(slots=True)
class EdgeSource:
    """The source of an `Edge`: a node, and its place in a list."""

    node: Any
    read: "ListRead"
    """The read of the list."""
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
        index = getattr(row, "index", None)
        return Cursor.make(self.read.key, self.query, row.sid, self.place, index, self.row_query).encode()


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

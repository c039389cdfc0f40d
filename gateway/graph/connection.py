"""Connections, in Relay's form: a window on a list, forward only (https://relay.dev/graphql/connections.htm)."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gateway.graph.cursors import Cursor
from gateway.graph.node import embedded, prop

__all__ = ["Connection", "Edge", "PageInfo", "Spot", "Window"]

T = TypeVar("T")


@dataclass(slots=True)
class Spot:
    """A node where it stands in its list: the source of an edge."""

    node: Any
    listing: Any
    """What it was read by; its `key` tells the list from others."""
    query: str
    place: int
    own: str = ""
    """The parameters of its own page, when `query` is those of the next one."""

    @property
    def cursor(self) -> str:
        """The cursor behind this node; made only when it is asked for."""
        row = self.node.row
        return Cursor.make(
            self.listing.key, self.query, row.sid, self.place, getattr(row, "index", None), self.own
        ).encode()


@dataclass(slots=True)
class Window:
    """What a connection shows of its list: the source of a connection and of its page info."""

    edges: list[Spot]
    has_next_page: bool
    has_previous_page: bool
    end: Spot | None = None
    """The last place that was looked at, where that is not the last edge."""
    total_count: int | None = None
    first_index: int | None = None
    """The `index` of the first row that was looked at, where rows have one."""

    @property
    def start_cursor(self) -> str | None:
        """The first edge's cursor."""
        return self.edges[0].cursor if self.edges else None

    @property
    def end_cursor(self) -> str | None:
        """The cursor to go on from."""
        end = self.end or (self.edges[-1] if self.edges else None)
        return end.cursor if end is not None else None


@embedded("Where a connection stands in its list.")
class PageInfo:
    has_next_page: bool = prop("Whether there is more behind this page: pass `endCursor` as `after` to get it.")
    has_previous_page: bool = prop("Whether `after` was given. Lists are read forward only.")
    start_cursor: str | None = prop("The cursor of the first edge; null when there is none.")
    end_cursor: str | None = prop("The cursor to go on from, as `after`; null when nothing was read.")


@embedded("One record in a list, and its place there.")
class Edge(Generic[T]):
    cursor: str = prop("This record's place: pass it as `after` to go on behind it. Opaque.")
    node: T = prop("The record.")


@embedded(
    "One page of a list. Null, with an error at its path, when the list could not be read; a list that holds nothing "
    "is an empty page."
)
class Connection(Generic[T]):
    edges: list[Edge[T]] = prop("The records of this page, in the list's order.")
    page_info: PageInfo = prop("Where this page stands in the list.", derive=lambda window: window, of={})

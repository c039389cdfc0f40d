"""Reads an operation level by level into lists, for the code that `generate` makes of its plan.

An `EdgePlace` is one edge at one place of a plan, and `Children` are what it leads to from all records of the place above. The
children of a level are looked up together, and what is missing is fetched together, as in `fill`; but there are no objects for
single edges, and the records of lists stay rows. Whatever is out of the ordinary raises `Unusual`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from gateway.execution.context import Context, MissingKey, Read
from gateway.execution.steps import Arguments, EdgeStep, Selection

__all__ = ["Children", "EdgePlace", "Unusual", "read_levels"]


class Unusual(Exception):
    """`fill` must execute the operation; the text is the reason that is counted, one of a few."""


@dataclass(frozen=True, slots=True, eq=False)
class EdgePlace:
    """One edge at one place of a plan, as far as it leads to children of one type."""

    number: int
    """Its index among the places of the plan, which are ordered by depth."""
    step: EdgeStep
    selection: Selection
    """The selection of its children."""
    parent: EdgePlace | None
    """The place of the records that it starts from; None at the root."""

    @property
    def is_list(self) -> bool:
        """Whether its children are connections (https://relay.dev/graphql/connections.htm), and its records their rows."""
        return self.selection.type_name.endswith("Connection")


class Children:
    """What the edge at a place leads to from all records above."""

    __slots__ = ("_above", "_context", "_needs_row", "_pending", "_reads", "_weights", "found", "indices", "is_list")

    def __init__(self, place: EdgePlace, above: Children | None, context: Context, arguments: Arguments) -> None:
        """Look up the children from the records of `above`; raises the error of the edge's field."""
        self.found: list[Any] = []
        """The distinct children: records or None, or of a list its slices."""
        self.indices: list[int] = []
        """For each record above, the index of its child in `found`; -1 when the edge leads nowhere."""
        self.is_list = place.is_list
        self._above = above
        self._context = context
        self._needs_row = place.selection.needs_row
        self._reads: list[Read] = []
        self._pending: dict[int, str] = {}
        """The keys to fetch, by the index of the child."""
        self._weights: list[int] | None = None
        step, values, by_path = place.step, arguments.of(place.step), dict[str, int]()
        type_name, has_types = place.selection.type_name, len(step.selections) > 1
        function, distinct = step.function, step.edge.distinct

        def look_up(record: Any) -> int:
            read = function(record, **values)
            if read is None or (has_types and read.type_name != type_name):
                return -1
            return self._look_up(read, by_path)

        if above is None:
            self.indices = [look_up(None)]
        elif not above.is_list:
            self.indices = [look_up(record) for record in above.found if record is not None]
        elif distinct is None:
            self.indices = [look_up(piece.node(row)) for piece in above.found for row in piece.rows]
        else:
            indices: dict[Any, int] = {}
            for piece in above.found:
                rows = piece.rows
                for row, child in zip(rows, distinct(piece.path, rows), strict=True):
                    index = indices.get(child)
                    if index is None:
                        index = indices[child] = look_up(piece.node(row))
                    self.indices.append(index)

    def _look_up(self, read: Read, by_path: dict[str, int]) -> int:
        """Look up the child of a read, and return its index."""
        index = len(self.found)
        if read.is_single:
            known = by_path.setdefault(read.path, index)
            if known != index:
                return known
        child = self._context.look_up(read, self._needs_row)
        if type(child) is MissingKey:
            self._pending[index] = child
        elif self.is_list and not hasattr(child, "rows"):
            raise Unusual("list")
        self.found.append(child)
        self._reads.append(read)
        return index

    @property
    def missing(self) -> Iterable[str]:
        """The keys to fetch before all children are known."""
        return self._pending.values()

    def resolve(self) -> None:
        """Look up the children that were missing, after the fetch of their keys."""
        for index in self._pending:
            child = self.found[index] = self._context.look_up(self._reads[index], self._needs_row)
            if type(child) is MissingKey or (self.is_list and not hasattr(child, "rows")):
                raise Unusual("list")

    @property
    def size(self) -> int:
        """The number of records that they add to the answer."""
        return sum(self.weights) if self.weights is not None else sum([piece.size for piece in self.found])

    @property
    def weights(self) -> list[int] | None:
        """At how many places of the answer each record appears; None when each appears once."""
        above = self._above.weights if self._above is not None else None
        if self.is_list and above is None:
            return None
        if self._weights is None:
            by_index = [0] * (len(self.found) + 1)  # The last one is of index -1.
            for index, weight in zip(self.indices, above if above is not None else repeat(1), strict=False):
                by_index[index] += weight
            if self.is_list:
                pieces = zip(self.found, by_index, strict=False)
                self._weights = [weight for piece, weight in pieces for _ in piece.rows]
            else:
                self._weights = [
                    weight for record, weight in zip(self.found, by_index, strict=False) if record is not None
                ]
        return self._weights


async def read_levels(levels: list[list[EdgePlace]], context: Context, arguments: Arguments) -> list[Children]:
    """Return the children at every place, in the order of the places. Raises `Unusual`, and the error of any read."""
    found: list[Children] = []
    for level in levels:
        children = [
            Children(place, found[place.parent.number] if place.parent is not None else None, context, arguments)
            for place in level
        ]
        missing = dict.fromkeys([key for each in children for key in each.missing])
        if missing:
            context.charge(missing)
            await context.fetch(missing)
        for each in children:
            each.resolve()
            context.count(each.size)
        found += children
    return found

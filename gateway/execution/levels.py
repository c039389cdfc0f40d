"""Reads an operation level by level into lists, for the code that `generate` writes from its plan.

An `EdgePlace` is one edge at one place of a plan, and `Children` are its children for all records of the place above. The
children of a level are looked up together, and the missing keys are fetched together, as in `fill`; but there are no objects
for single edges, and the records of lists stay rows. Anything unusual raises `Unusual`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from gateway.execution.context import Context, MissingKey, Read, ReadBatch
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
    """The children of the edge at a place, for all records above."""

    __slots__ = ("_above", "_batches", "_context", "_needs_row", "_pending", "_weights", "found", "indices", "is_list")

    def __init__(
        self,
        place: EdgePlace,
        above: Children | None,
        context: Context,
        arguments: Arguments,
        at_root: dict[int, Read | None],
    ) -> None:
        """Look up the children from the records of `above`; raises the error of the edge's field.

        `at_root` has the reads of the root's edges by the id of their step, for those whose children can have several types.
        """
        self.found: list[Any] = []
        """The distinct children: records or None, or of a list its slices."""
        self.indices: list[int] = []
        """For each record above, the index of its child in `found`; -1 when the edge leads nowhere."""
        self.is_list = place.is_list
        self._above = above
        self._context = context
        self._needs_row = place.selection.needs_row
        self._pending: dict[int, Read] = {}
        """The reads whose keys must be fetched, by the index of the child."""
        self._batches: list[tuple[int, ReadBatch, list[int]]] = []
        """The same of batches: the index of their first child, and the positions of those reads."""
        self._weights: list[int] | None = None
        step, values, by_path = place.step, arguments.of(place.step), dict[str, int]()
        type_name, has_types = place.selection.type_name, len(step.selections) > 1
        function, distinct = step.function, step.edge.distinct

        def index_of(read: Read | None) -> int:
            if read is None or (has_types and read.type_name != type_name):
                return -1
            return self._look_up(read, by_path)

        def look_up(record: Any) -> int:
            return index_of(function(record, **values))

        if above is None:
            if id(step) not in at_root:
                at_root[id(step)] = function(None, **values)
            self.indices = [index_of(at_root[id(step)])]
        elif not above.is_list:
            self.indices = [look_up(record) for record in above.found if record is not None]
        elif distinct is None:
            batch = step.edge.batch if self._needs_row else None
            for piece in above.found:
                reads = batch(piece.path, piece.rows, **values) if batch is not None and piece.rows else None
                if reads is not None:
                    self.indices += self._look_up_batch(reads)
                else:
                    self.indices += [look_up(piece.node(row)) for row in piece.rows]
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
            self._pending[index] = read
        self.found.append(child)
        return index

    def _look_up_batch(self, batch: ReadBatch) -> Iterable[int]:
        """Look up the children of a batch of reads, and return their indices."""
        first = len(self.found)
        self.found += self._context.look_up_batch(batch, range(len(batch)))
        waiting = [position for position in range(len(batch)) if type(self.found[first + position]) is MissingKey]
        if waiting:
            self._batches.append((first, batch, waiting))
        return range(first, len(self.found))

    @property
    def missing(self) -> list[str]:
        """The keys to fetch before all children are known."""
        return [child for child in self.found if type(child) is MissingKey]

    def resolve(self) -> None:
        """Look up the children that were missing, after the fetch of their keys."""
        found, context = self.found, self._context
        for index, read in self._pending.items():
            found[index] = context.look_up(read, self._needs_row)
        for first, batch, waiting in self._batches:
            for position, child in zip(waiting, context.look_up_batch(batch, waiting), strict=True):
                found[first + position] = child
        if self.missing or (self.is_list and not all(hasattr(child, "rows") for child in found)):
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
    at_root: dict[int, Read | None] = {}
    for level in levels:
        children = [
            Children(
                place, found[place.parent.number] if place.parent is not None else None, context, arguments, at_root
            )
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

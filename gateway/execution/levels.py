"""Reads an operation level by level into lists, for the code that `generate` writes from its plan.

An `EdgePlace` is one edge at one place of a plan, and `Children` are its children for all records of the place above. The
children of a level are looked up together, and the missing keys are fetched together, as in `fill`; but there are no objects
for single edges, and the records of lists stay rows. Anything unusual raises `Unusual`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from operator import attrgetter, itemgetter
from typing import Any

import msgspec

from gateway.execution.context import Context, MissingKey, NamedRead, Read, ReadBatch
from gateway.execution.fields import Distinct
from gateway.execution.steps import Arguments, EdgeStep, Nested, Selection

__all__ = ["Children", "EdgePlace", "NamedRecords", "Unusual", "read_levels", "read_records"]


_encode = msgspec.json.Encoder().encode


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
    is_list: bool
    """Whether its children are connections (https://relay.dev/graphql/connections.htm), and its records their rows."""
    distinct: Distinct | None
    """Which rows of the list above lead to the same child; None when each leads to its own, or there is no list."""
    through: tuple[Nested, ...] = ()
    """The objects that lead from a record above, or from an event, to the record that it starts from."""
    is_passed: bool = False
    """Whether nothing is selected of its children but what edges lead to."""

    @classmethod
    def of(
        cls, number: int, step: EdgeStep, selection: Selection, parent: EdgePlace | None, through: tuple[Nested, ...]
    ) -> EdgePlace:
        """Return the place of a step."""
        distinct, is_in_list = None, parent is not None and parent.is_list
        if is_in_list:
            distinct, through = step.edge.distinct, ()
        is_list = selection.type_name.endswith("Connection")
        is_passed = not is_list and all(isinstance(below, EdgeStep) for below in selection.steps)
        return cls(number, step, selection, parent, is_list, distinct, through, is_passed and not selection.needs_row)

    def start(self, record: Any) -> Any:
        """Return the record that the edge starts from, for a record above."""
        for step in self.through:
            record = step.read(record)
        return record


class Children(ABC):
    """The children of the edge at a place, for all records above."""

    __slots__ = ("_above", "_context", "_is_list", "_is_value", "_weights", "found", "missing")

    def __init__(self, above: Children | None, context: Context, *, is_list: bool, is_value: bool = False) -> None:
        self.found: list[Any] = []
        """The distinct children: records or None, or of a list its slices."""
        self.missing: list[str] = []
        """The keys to fetch before all children are known."""
        self._above = above
        self._context = context
        self._is_list = is_list
        self._is_value = is_value
        """Whether they are values of a scalar type instead of records."""
        self._weights: Sequence[int] | None = ()
        """See `weights`; empty until they are computed."""

    @abstractmethod
    def resolve(self) -> None:
        """Look up the children that were missing, after the fetch of their keys."""

    @property
    def paths(self) -> list[str]:
        """The upstream path of each list."""
        return [piece.path for piece in self.found]

    def owners(self, owner: Callable[[str], str]) -> list[str]:
        """Return the owner of each list (see `Distinct`)."""
        return [owner(path) for path in self.paths]

    @property
    def rows(self) -> list[list[Any]]:
        """The rows of each list."""
        return [piece.rows for piece in self.found]

    @property
    def slices(self) -> list[Any]:
        """The lists as sources of connections."""
        return self.found

    @property
    def size(self) -> int:
        """The number of records that they add to the answer."""
        if self._is_value:
            return 0
        weights = self.weights
        if weights is not None:
            return sum(weights)
        return sum(map(len, self.rows)) if self._is_list else sum([record is not None for record in self.found])

    @property
    def weights(self) -> Sequence[int] | None:
        """At how many places of the answer each record appears; None when each appears once."""
        if self._weights == ():
            weights = self._count(self._above.weights if self._above is not None else None)
            self._weights = weights if weights is not None and any(weight != 1 for weight in weights) else None
        return self._weights

    @abstractmethod
    def _count(self, above: Sequence[int] | None) -> Sequence[int] | None:
        """Return the weights, from those of the records above."""


class ReadChildren(Children):
    """Children that are looked up by a read each."""

    __slots__ = ("_by_path", "_needs_row", "_pending")

    def __init__(self, place: EdgePlace, above: Children | None, context: Context) -> None:
        super().__init__(above, context, is_list=place.is_list, is_value=place.selection.is_value)
        self._needs_row = place.selection.needs_row
        self._by_path: dict[str, int] = {}
        """The indices in `found` of single records."""
        self._pending: dict[int, Read] = {}
        """The reads whose keys must be fetched, by the index of the child."""

    def _look_up(self, read: Read | None) -> int:
        """Look up the child of a read, and return its index; -1 when there is no read."""
        if read is None:
            return -1
        index = len(self.found)
        if read.is_single:
            known = self._by_path.setdefault(read.path, index)
            if known != index:
                return known
        child = self._context.look_up(read, self._needs_row)
        if type(child) is MissingKey:
            self._pending[index] = read
            self.missing += child.keys
        self.found.append(child)
        return index

    def resolve(self) -> None:
        """See `Children.resolve`."""
        self.missing = []
        pending, self._pending = self._pending, {}
        for index, read in pending.items():
            child = self.found[index] = self._context.look_up(read, self._needs_row)
            if type(child) is MissingKey:
                self._pending[index] = read
                self.missing += child.keys


class OwnChildren(ReadChildren):
    """The children of an edge that is read for each record above by itself."""

    __slots__ = ("_indices",)

    def __init__(
        self,
        place: EdgePlace,
        above: Children | None,
        context: Context,
        arguments: dict[str, Any],
        root: _Root,
    ) -> None:
        """Look up the children of the records of `above`; raises the error of the edge's field."""
        super().__init__(place, above, context)
        step, type_name = place.step, place.selection.type_name
        function = step.function
        reads: Iterable[Read | None]
        if above is None:
            if id(step) not in root.reads:
                root.reads[id(step)] = function(place.start(root.event), **arguments)
            reads = (root.reads[id(step)],)
        elif place.parent is not None and place.parent.is_list:
            reads = (function(piece.node(row), **arguments) for piece in above.slices for row in piece.rows)
        else:
            start = place.start
            reads = (function(start(record), **arguments) for record in above.found if record is not None)
        if len(step.selections) > 1:
            reads = (read if read is not None and read.type_name == type_name else None for read in reads)
        self._indices = [self._look_up(read) for read in reads]
        """For each record above, the index of its child in `found`; -1 when the edge leads nowhere."""

    def _count(self, above: Sequence[int] | None) -> Sequence[int] | None:
        if self._is_list and above is None:
            return None
        by_index = [0] * (len(self.found) + 1)  # The last one is of index -1.
        for index, weight in zip(self._indices, above if above is not None else repeat(1), strict=False):
            by_index[index] += weight
        pairs = zip(self.found, by_index, strict=False)
        if self._is_list:
            return [weight for piece, weight in pairs for _ in piece.rows]
        return [weight for record, weight in pairs if record is not None]

    def each(self, written: list[Any]) -> Callable[[], Any]:
        """Return a function whose next call returns what was written of the next record's child."""
        return map([*written, None].__getitem__, self._indices).__next__


class BatchedChildren(Children):
    """The lists of an edge that are read together for all rows of a list above."""

    __slots__ = ("_batches", "_rows")

    def __init__(self, batches: list[ReadBatch], above: Children, context: Context) -> None:
        """Look up the lists; raises the error of the edge's field."""
        super().__init__(above, context, is_list=True)
        self._batches = batches
        self._rows: list[list[Any]] = []
        self.missing = [key for batch in batches for key in context.missing(batch)]
        if not self.missing:
            self.resolve()

    def resolve(self) -> None:
        """See `Children.resolve`."""
        self.missing = []
        for batch in self._batches:
            if not self._context.resolve(batch):
                raise Unusual("list")
        self._rows = [rows for batch in self._batches for rows in batch.rows]

    @property
    def paths(self) -> list[str]:
        """See `Children.paths`."""
        return [path for batch in self._batches for path in batch.paths]

    def owners(self, owner: Callable[[str], str]) -> list[str]:
        """See `Children.owners`."""
        owners: list[str] = []
        for batch in self._batches:
            of_parents = owner(batch.list_path)
            if len(of_parents) < len(batch.list_path):  # The owner of the parents' list owns all lists below it.
                owners += [of_parents] * len(batch.rows)
            else:
                owners += [owner(path) for path in batch.paths]
        return owners

    @property
    def rows(self) -> list[list[Any]]:
        """See `Children.rows`."""
        return self._rows

    @property
    def slices(self) -> list[Any]:
        """See `Children.slices`."""
        return [piece for batch in self._batches for piece in batch.slices]

    def _count(self, above: Sequence[int] | None) -> Sequence[int] | None:
        if above is None:
            return None
        return [weight for rows, weight in zip(self._rows, above, strict=True) for _ in rows]

    def each(self, written: list[Any]) -> Callable[[], Any]:
        """See `OwnChildren.each`."""
        return iter(written).__next__


class SharedChildren(ReadChildren):
    """The children of an edge that many rows of the lists above share (see `Distinct`)."""

    __slots__ = ("_distinct", "_indices", "_lists", "_owners")

    def __init__(self, place: EdgePlace, distinct: Distinct, above: Children, context: Context) -> None:
        """Look up the children; raises the error of the edge's field."""
        super().__init__(place, above, context)
        self._distinct = distinct
        self._lists = above.rows
        self._owners = above.owners(distinct.owner)
        """The owner of each list above."""
        self._indices: dict[str, dict[Any, int]] = {}
        """By owner and the value of the attribute, the index of the child in `found`; -1 when the edge leads nowhere."""
        lists_of: dict[str, list[list[Any]]] = {}
        for owner, rows in zip(self._owners, self._lists, strict=True):
            lists_of.setdefault(owner, []).append(rows)
        for owner, lists in lists_of.items():
            values = dict.fromkeys(self._values(lists))
            self._indices[owner] = {value: self._look_up(distinct.read(owner, value)) for value in values}

    def _values(self, lists: list[list[Any]]) -> Iterable[Any]:
        """Return the value of the attribute for each row of the lists."""
        attribute = self._distinct.attribute
        if attribute is None:
            return repeat(None, sum(map(len, lists)))
        return map(attrgetter(attribute), chain.from_iterable(lists))

    @property
    def size(self) -> int:
        """See `Children.size`."""
        has_nulls = None in self.found or any(-1 in indices.values() for indices in self._indices.values())
        if has_nulls or self._above is None or self._above.weights is not None:
            return super().size
        return sum(map(len, self._lists))  # Each row has a child.

    def _count(self, above: Sequence[int] | None) -> Sequence[int] | None:
        by_index = [0] * (len(self.found) + 1)  # The last one is of index -1.
        following = iter(above) if above is not None else repeat(1)
        for owner, rows in zip(self._owners, self._lists, strict=True):
            indices = self._indices[owner]
            for value in self._values([rows]):
                by_index[indices[value]] += next(following)
        pairs = zip(self.found, by_index, strict=False)
        return [weight for record, weight in pairs if record is not None]

    def by_list(self, written: list[Any]) -> list[Any]:
        """Return, for each list above, what was written of the child, or of the children by the value of the attribute."""
        objects = [*written, None]
        if 2 * len(written) < sum(map(len, self._lists)):  # Each is encoded once, and not wherever it appears.
            objects = [msgspec.Raw(_encode(each)) if each is not None else None for each in objects]
        tables: dict[str, Any] = {
            owner: {value: objects[index] for value, index in indices.items()}
            for owner, indices in self._indices.items()
        }
        if self._distinct.attribute is None:
            tables = {owner: table.get(None) for owner, table in tables.items()}
        return [tables[owner] for owner in self._owners]


@dataclass(slots=True)
class _Root:
    """The source of the edges at the root: an event, or None."""

    event: object
    reads: dict[int, Read | None] = field(default_factory=dict)
    """Their reads by the id of their step, for those whose children can have several types."""


async def read_levels(
    levels: list[list[EdgePlace]], context: Context, arguments: Arguments, event: object = None
) -> list[Children]:
    """Return the children at every place, in the order of the places. Raises `Unusual`, and the error of any read.

    The edges at the root start from `event`.
    """
    found: list[Children] = []
    root = _Root(event)
    for level in levels:
        children = [
            _children(place, found[place.parent.number] if place.parent is not None else None, context, arguments, root)
            for place in level
        ]
        while missing := dict.fromkeys([key for each in children for key in each.missing]):
            context.charge(missing)
            await context.fetch(missing)
            for each in children:
                if each.missing:
                    each.resolve()
        for each in children:
            context.count(each.size)
        found += children
    return found


class NamedRecords:
    """The records of a plan that names them all, and needs the rows only of those that no edge leads on from.

    Those rows are fetched together. That a record further up exists follows from its path, as for any reference.
    """

    def __init__(self, places: Sequence[EdgePlace], steps: Sequence[EdgeStep], rows_alone: Collection[int]) -> None:
        """Create them from all places and edges of a plan; raises `Unusual` for another plan.

        `rows_alone` are the numbers of the places where nothing but the record's row is used.
        """
        self._rows_alone = rows_alone
        self._selected: list[tuple[int, Callable[[str], NamedRead], bool]] = []
        """The places of records of which something is selected, each with the read, and whether that needs the row."""
        passed: list[int] = []
        above = {place.parent for place in places}
        for place in places:
            named_by, needs_row = place.step.edge.named_by, place.selection.needs_row
            if place.is_list or place.through or named_by is None or (needs_row and place in above):
                raise Unusual("not named")
            if place.is_passed:
                passed.append(place.number)
            else:
                self._selected.append((place.number, named_by.read, needs_row))
        ids = list(map(id, steps))
        self._order = [ids.index(id(place.step)) for place in places]
        self._in_order = _picker(self._order)
        self._keys = _picker([number for number, _, needs_row in self._selected if needs_row])
        self._passed = _picker(passed)
        with_row = [self._order[number] for number, _, needs_row in self._selected if needs_row]
        self.row = with_row[0] if len(with_row) == 1 else None
        """Where the row of one record is needed, the index of its path."""
        self.selected = [self._order[number] for number, _, _ in self._selected]
        """The indices of the paths of records of which something is selected."""
        self.others = tuple([index for index in self._order if index != self.row])
        """The indices of the paths of all records but that."""

    async def read(self, context: Context, paths: Sequence[str]) -> list[Any]:
        """Return the record or None at every place; one of which nothing is selected is represented by its path.

        `paths` are those of all edges (see `Expected`). Raises the error of any read.
        """
        records: list[Any] = list(self._in_order(paths))
        keys, passed = self._keys(records), self._passed(records)
        if keys:
            context.charge(keys)
            await context.fetch(keys)
        context.skip(passed)
        count = len(passed)
        for number, read, needs_row in self._selected:
            record = records[number] = context.look_up(read(records[number]), needs_row)
            count += record is not None
        context.count(count)
        return records

    def of_row(self, paths: Mapping[int, str], row: Any) -> list[Any]:
        """Return the records where one row is needed, from that row and the `selected` paths."""
        records: list[Any] = [True] * len(self._order)
        for number, read, needs_row in self._selected:
            if number in self._rows_alone:
                records[number] = _RowAlone(row)
            else:
                named = read(paths[self._order[number]])
                records[number] = named.child(row) if needs_row else named.reference()
        return records


class _RowAlone(msgspec.Struct):
    """A record of which nothing but the row is used."""

    row: Any

    __repr__ = object.__repr__  # It may be personal.


def _picker(indices: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """Return a function that returns the items of a sequence at these indices."""
    if not indices:
        return lambda _: ()
    pick = itemgetter(*indices)
    return pick if len(indices) > 1 else lambda items: (pick(items),)


async def read_records(
    levels: list[list[EdgePlace]], context: Context, arguments: Arguments, event: object = None
) -> list[Any]:
    """Return the record or None at every place of a plan without lists; raises the error of any read.

    The edges at the root start from `event`.
    """
    found: list[Any] = []
    for level in levels:
        pending: list[tuple[int, Read, bool]] = []
        for place in level:
            step, selection = place.step, place.selection
            source = found[place.parent.number] if place.parent is not None else event
            record = None
            if source is not None or place.parent is None:
                read: Read | None = step.function(place.start(source), **arguments.of(step))
                if read is not None and (len(step.selections) == 1 or read.type_name == selection.type_name):
                    record = context.look_up(read, selection.needs_row)
                    if type(record) is MissingKey:
                        pending.append((place.number, read, selection.needs_row))
            found.append(record)
        while pending:
            missing = dict.fromkeys([key for number, _, _ in pending for key in found[number].keys])
            context.charge(missing)
            await context.fetch(missing)
            for number, read, needs_row in pending:
                found[number] = context.look_up(read, needs_row)
            pending = [each for each in pending if type(found[each[0]]) is MissingKey]
        context.count(sum([found[place.number] is not None for place in level if not place.selection.is_value]))
    return found


def _children(
    place: EdgePlace,
    above: Children | None,
    context: Context,
    arguments: Arguments,
    root: _Root,
) -> Children:
    """Look up the children at a place in the way that reads most at once."""
    if above is not None and place.distinct is not None:
        return SharedChildren(place, place.distinct, above, context)
    step, values = place.step, arguments.of(place.step)
    batch = step.edge.batch
    if above is not None and batch is not None and place.parent is not None and place.parent.is_list:
        reads = [batch(path, rows, **values) for path, rows in zip(above.paths, above.rows, strict=True) if rows]
        batches = [read for read in reads if read is not None]
        if place.selection.needs_row and len(batches) == len(reads):
            return BatchedChildren(batches, above, context)
    return OwnChildren(place, above, context, values, root)

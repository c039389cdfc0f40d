"""Executes selections breadth first: each batch of records is written together, and each level is fetched together.

The properties of a batch are written straight into the answer. Its edges return their reads, all records at once; a child
that is already known is executed immediately, and the others wait for their level, since an earlier level may fetch what
they need. A failed edge is null, with an error at its path.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from graphql import GraphQLError

from gateway.errors import GatewayError, NotFound
from gateway.execution.context import Context, MissingKey, Read
from gateway.execution.deferred import DeferredGroup, DeferredPlaces
from gateway.execution.failures import Failure, FieldErrors, ResponsePath, walk
from gateway.execution.outside_text import FROM_OUTSIDE
from gateway.execution.steps import Arguments, Deferred, EdgeStep, Leaf, Lookup, NeedsReference, Nested, Selection

__all__ = ["Batch", "SelectionExecutor"]

_UNRESOLVED = object()


@dataclass(slots=True)
class Batch:
    """Records of one type that are executed together: the lists of sources, answers and weights run in parallel."""

    selection: Selection
    sources: list[Any] = field(default_factory=list)
    """The records to read from."""
    answers: list[dict[str, Any]] = field(default_factory=list)
    """The objects to write into."""
    weights: list[int] = field(default_factory=list)
    """At how many places of the answer each object appears; it is written once."""
    reads: list[Read] = field(default_factory=list)
    """The read of each record, where the selection has deferred fragments."""
    depth: int = 0
    """The number of edges above it."""


@dataclass(slots=True)
class _PendingEdge:
    """A read whose child goes to one place of the answer, or to several when several records lead to the same child."""

    step: EdgeStep | Deferred
    selection: Selection
    read: Read
    targets: list[tuple[Any, str | int]]
    """The objects or lists to write into, each with the key or index."""
    weight: int
    depth: int = 0
    child: Any = _UNRESOLVED
    missing: MissingKey | None = None
    """The key to fetch before the child can be resolved, or several."""
    missing_after: int = -1
    """The number of fetches after which `missing` was found."""


_Waiting = defaultdict[int, list[_PendingEdge]]
"""The edges whose children must be fetched, by depth."""


class SelectionExecutor:
    """Executes selections into one answer, or into deferred parts of one. Collects their errors and deferred fragments."""

    def __init__(self, context: Context, arguments: Arguments, *, halts: bool = False) -> None:
        """Create an executor; with `halts`, it executes no further level after one with an error."""
        self._context = context
        self._halts = halts
        self._arguments = arguments
        self._errors = FieldErrors()
        self._deferred: list[Batch] = []
        """Batches with deferred fields, those above before those below."""
        self._fetches = 0
        self.counted = 0
        """The records of the answer that were counted for it."""

    async def execute(self, batches: list[Batch]) -> None:
        """Execute batches and everything below them, one level after another."""
        waiting: _Waiting = defaultdict(list)
        for batch in batches:
            self._execute(batch, waiting)
        while waiting and not (self._halts and self._errors):
            edges = waiting.pop(min(waiting))
            await self._fetch(edges)
            for batch in self._children(edges):
                self._execute(batch, waiting)

    # One batch

    def _execute(self, batch: Batch, waiting: _Waiting) -> None:
        """Write the batch and the children that are known; add the other edges to `waiting`."""
        rows: list[Any] | None = None
        if batch.selection.usages or batch.selection.deferred:
            self._deferred.append(batch)
        for step in batch.selection.steps:
            if isinstance(step, Leaf):
                if step.reads_row and rows is None:
                    rows = [source.row for source in batch.sources]
                self._write(step, rows if step.reads_row and rows is not None else batch.sources, batch.answers)
            elif isinstance(step, Nested):
                self._execute_nested(step, batch, waiting)
            else:
                edges = self._edge_reads(step, batch)
                unresolved = [edge for edge in edges if not self._resolve(edge)]
                if unresolved:
                    waiting[batch.depth] += unresolved
                if len(unresolved) < len(edges):
                    for below in self._children(edges):
                        self._execute(below, waiting)

    def _write(self, step: Leaf, sources: list[Any], answers: list[dict[str, Any]]) -> None:
        key, plain, write = step.key, step.plain, step.write
        is_complete = True
        try:
            for answer, value in zip(answers, map(step.read, sources), strict=True):
                if type(value) is plain:
                    answer[key] = value
                elif value is not None:
                    answer[key] = write(value)
                else:
                    is_complete = False
        except Exception:
            is_complete = self._write_one_by_one(step, sources, answers)
        if step.is_marked:
            for answer in answers:
                if answer[key] is not None:
                    answer[key] = {FROM_OUTSIDE: answer[key]}
        if not is_complete and not step.is_nullable:
            raise NeedsReference("null where none may be")

    def _write_one_by_one(self, step: Leaf, sources: list[Any], answers: list[dict[str, Any]]) -> bool:
        """Write the values that can be written, after one has raised; return whether none is null."""
        is_complete = True
        for source, answer in zip(sources, answers, strict=True):
            try:
                value = step.read(source)
                answer[step.key] = step.write(value) if value is not None else None
            except Exception as error:
                answer[step.key] = value = None
                self._errors.add(answer, step.key, error, step.nodes)
            is_complete = is_complete and value is not None
        return is_complete

    def _execute_nested(self, step: Nested, batch: Batch, waiting: _Waiting) -> None:
        inner = None if step.is_list else self._all_nested(step, batch)
        if inner is None:
            inner = self._nested_one_by_one(step, batch)
        if inner.sources:
            self._execute(inner, waiting)

    @staticmethod
    def _all_nested(step: Nested, batch: Batch) -> Batch | None:
        """Return the nested objects of all sources as a batch; None when one is null or raises."""
        try:
            values = list(map(step.read, batch.sources))
        except Exception:
            return None
        if any(value is None for value in values):
            return None
        key, blank = step.key, step.selection.blank
        objects = [blank.copy() for _ in values]
        for answer, inner in zip(batch.answers, objects, strict=True):
            answer[key] = inner
        return Batch(step.selection, values, objects, batch.weights, depth=batch.depth)

    def _nested_one_by_one(self, step: Nested, batch: Batch) -> Batch:
        key, read = step.key, self._reader(step)
        inner, blank = Batch(step.selection, depth=batch.depth), step.selection.blank
        for source, answer, weight in zip(batch.sources, batch.answers, batch.weights, strict=True):
            try:
                value = read(source)
            except Exception as error:
                self._errors.add(answer, key, error, step.nodes)
                value = None
            if value is None:
                if not step.is_nullable:
                    raise NeedsReference("null where none may be")
                continue
            if step.is_list:
                objects = [blank.copy() for _ in value]
                answer[key] = objects
                inner.sources += value
                inner.answers += objects
                inner.weights += [weight] * len(objects)
            else:
                written = answer[key] = blank.copy()
                inner.sources.append(value)
                inner.answers.append(written)
                inner.weights.append(weight)
        return inner

    def _reader(self, step: Nested) -> Callable[[Any], Any]:
        """Return the function from a source to the nested object or list."""
        if isinstance(step, Lookup):
            return lambda _: step.read(None, **self._arguments.of(step))
        return step.read

    # From one level to the next

    def _edge_reads(self, step: EdgeStep, batch: Batch) -> list[_PendingEdge]:
        """Return what an edge reads from each record of a batch; records that lead to the same child share one."""
        edges: list[_PendingEdge] = []
        try:
            arguments = self._arguments.of(step)
        except GraphQLError as error:
            self._fail(step, [(answer, step.key) for answer in batch.answers], error)
            return edges
        function, key, depth = step.function, step.key, batch.depth
        shared: dict[str, _PendingEdge] = {}

        def add(read: Read, target: Any, key: str | int, weight: int) -> None:
            edge = shared.get(read.path) if read.is_single else None
            if edge is not None:
                edge.targets.append((target, key))
                edge.weight += weight
                return
            edge = _PendingEdge(step, step.selections[read.type_name], read, [(target, key)], weight, depth)
            edges.append(edge)
            if read.is_single:
                shared[read.path] = edge

        for source, answer, weight in zip(batch.sources, batch.answers, batch.weights, strict=True):
            try:
                reads = function(source, **arguments)
            except Exception as error:
                self._fail(step, [(answer, key)], error)
                continue
            if step.is_list:
                children: list[Any] = [None] * len(reads)
                answer[key] = children
                for index, read in enumerate(reads):
                    if isinstance(read, Exception):
                        self._errors.add(children, index, read, step.nodes)
                    elif read is not None:
                        add(read, children, index, weight)
            elif reads is not None:
                add(reads, answer, key, weight)
        return edges

    def _resolve(self, edge: _PendingEdge) -> bool:
        """Resolve the child, or its error; return False when a key must be fetched first."""
        found: Any
        try:
            found = self._context.look_up(edge.read, edge.selection.needs_row)
        except Exception as error:
            self._fail(edge.step, edge.targets, error)
            return True
        if type(found) is MissingKey:
            edge.missing, edge.missing_after = found, self._fetches
            return False
        edge.child = found
        step = edge.step
        if isinstance(step, EdgeStep) and step.edge.is_combined:
            for unread in found.errors:
                for target, key in edge.targets:
                    self._errors.add(target, key, unread, step.nodes)
        return True

    async def _fetch(self, edges: list[_PendingEdge]) -> None:
        """Fetch what the edges need, round by round, until all are resolved."""
        waiting = [edge for edge in edges if edge.missing_after == self._fetches or not self._resolve(edge)]
        while waiting:
            missing = dict.fromkeys([key for edge in waiting if edge.missing is not None for key in edge.missing.keys])
            left_out = self._context.charge_in_order(missing)
            if left_out:
                waiting = self._leave_out(waiting, left_out)
                if not waiting:
                    return
            await self._context.fetch(key for key in missing if key not in left_out)
            self._fetches += 1
            waiting = [edge for edge in waiting if not self._resolve(edge)]

    def _leave_out(self, waiting: list[_PendingEdge], keys: Collection[str]) -> list[_PendingEdge]:
        """Write the error of the edges that need one of these keys; return the others."""
        others = []
        for edge in waiting:
            if edge.missing is not None and any(key in keys for key in edge.missing.keys):
                self._fail(edge.step, edge.targets, self._context.limit_error)
            else:
                others.append(edge)
        return others

    def _children(self, edges: list[_PendingEdge]) -> list[Batch]:
        """Return the resolved children as batches, one for each selection."""
        batches: dict[int, Batch] = {}
        for edge in edges:
            read, child = edge.read, edge.child
            if child is None or child is _UNRESOLVED:
                continue
            try:
                records = read.size_of(child) * edge.weight
                self._context.count(records)
                self.counted += records
            except GatewayError as error:
                self._fail(edge.step, edge.targets, error)
                continue
            selection = edge.selection
            if selection.is_value:
                for target, key in edge.targets:
                    target[key] = child
                continue
            batch = batches.get(id(selection))
            if batch is None:
                batch = batches[id(selection)] = Batch(selection, depth=edge.depth + 1)
            written = selection.blank.copy()
            for target, key in edge.targets:
                target[key] = written
            batch.sources.append(child)
            batch.answers.append(written)
            batch.weights.append(edge.weight)
            if selection.deferred:
                batch.reads.append(read)
        return list(batches.values())

    # Deferred fragments

    async def look_up(self, group: DeferredGroup, answers: list[Any]) -> list[Batch]:
        """Look up the records of a deferred group, and return them as batches that write into `answers`, by number."""
        deferred = group.deferred
        edges = [
            _PendingEdge(deferred, deferred.selection, read, [(answers, number)], weight)
            for number, (read, weight) in enumerate(zip(group.reads, group.weights, strict=True))
        ]
        await self._fetch([edge for edge in edges if not self._resolve(edge)])
        for edge in edges:
            if edge.child is None:
                self._fail(deferred, edge.targets, NotFound("There is no such record, of which this was deferred."))
        return self._children(edges)

    def deferred_places(self, roots: Iterable[tuple[Any, ResponsePath]]) -> list[DeferredPlaces]:
        """Return the places with deferred fields in the answers, or parts of answers, at those paths."""
        if not self._deferred:
            return []
        paths: dict[int, list[ResponsePath]] = {id(answer): [] for batch in self._deferred for answer in batch.answers}
        for root, path in roots:
            for value, its_path in walk(root, path):
                if id(value) in paths:
                    paths[id(value)].append(its_path)
        return [
            DeferredPlaces(
                batch.selection, batch.sources, batch.weights, batch.reads, [paths[id(each)] for each in batch.answers]
            )
            for batch in self._deferred
        ]

    # Errors

    def _fail(self, step: EdgeStep | Deferred, targets: list[tuple[Any, str | int]], error: Exception) -> None:
        for target, key in targets:
            if isinstance(key, str) and isinstance(step, EdgeStep) and step.is_list:
                raise NeedsReference("null where none may be")
            self._errors.add(target, key, error, step.nodes)

    def failures(self, root: Any, path: ResponsePath = (), place: tuple[Any, int] | None = None) -> tuple[Failure, ...]:
        """Return the failures in the answer, or the part of one, at that path (see `FieldErrors`)."""
        return self._errors.failures(root, path, place, at_most=self._context.limits.errors_max)

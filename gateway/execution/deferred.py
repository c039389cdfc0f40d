"""Incremental delivery: the deferred fragments, and their results (https://github.com/graphql/graphql-spec/pull/1110).

A field that several fragments select at one place is executed once, for all of them: the fields that the same fragments select
are one `DeferredPart` of the answer. A fragment is complete when all its parts are. In the specification's format each part is
delivered once; in the format of 2022, each fragment is delivered with all its fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from gateway.execution.context import Read
from gateway.execution.failures import Failure, ResponsePath
from gateway.execution.steps import Deferred, DeferUsage, FieldTree, Selection

__all__ = [
    "DeferredGroup",
    "DeferredPart",
    "DeferredPlaces",
    "IncrementalGraph",
    "IncrementalPayload",
    "IncrementalResult",
    "Pending",
]


@dataclass(slots=True, eq=False)
class Pending:
    """A fragment with `@defer` at one place of the answer, whose result is not delivered yet. Equal only to itself."""

    number: int
    """Its position among the fragments of the answer, in the order of the query."""
    path: ResponsePath
    usage: DeferUsage
    parent: Pending | None
    """The fragment with `@defer` that it is in."""
    parts: list[DeferredPart] = field(default_factory=list)
    incomplete: int = 0
    """The number of parts that are not complete."""
    children: list[Pending] = field(default_factory=list)
    """The fragments with `@defer` in it."""
    is_announced: bool = False
    is_delivered: bool = False
    has_failed: bool = False
    """Whether it has no data: a non-null field of the fragment itself is null."""
    _parts_by_place: dict[int, dict[ResponsePath, list[DeferredPart]]] = field(default_factory=dict)
    """The parts by the first elements of their paths, for each number of elements."""

    @property
    def label(self) -> str | None:
        """The fragment's label."""
        return self.usage.label

    @property
    def is_empty(self) -> bool:
        """Whether nothing is executed for it: all its fields are delivered with others."""
        return not self.parts

    def parts_around(self, path: ResponsePath) -> Iterator[DeferredPart]:
        """Yield the parts that contain the place at `path`, or are in it; the fragment must be complete."""
        length = len(path)
        by_place = self._parts_by_place.get(length)
        if by_place is None:
            by_place = self._parts_by_place[length] = {}
            for part in self.parts:
                by_place.setdefault(part.path[:length], []).append(part)
        for end in range(length + 1):
            yield from by_place.get(path[:end], ())


@dataclass(slots=True, eq=False)
class DeferredPart:
    """The fields of one object of the answer that the same fragments with `@defer` select."""

    path: ResponsePath
    pending: list[Pending]
    """The fragments."""
    data: dict[str, Any] | None = None
    """None when a non-null field is null, or before it is complete."""
    failures: tuple[Failure, ...] = ()
    is_delivered: bool = False

    @property
    def has_failed(self) -> bool:
        """Whether it is complete without data."""
        return self.data is None and bool(self.failures)


@dataclass(slots=True)
class IncrementalResult:
    """The result of a deferred fragment at one place of the answer."""

    pending: Pending
    parts: list[tuple[Pending, DeferredPart]]
    """The parts with data that no earlier result has. Each comes with the fragment that the client finds it by: the innermost
    one that selects it."""
    failures: tuple[Failure, ...]
    """The failures in all its parts."""
    initial: dict[str, Any]
    """The data of the initial answer."""

    @property
    def errors(self) -> tuple[Failure, ...]:
        """The failures in parts without data."""
        return tuple(failure for part in self.pending.parts if part.has_failed for failure in part.failures)

    @property
    def data(self) -> dict[str, Any] | None:
        """All fields of the fragment, also those that were delivered before; None when the fragment has no data.

        Clients of the format of 2022 that store fragments expect them complete. Fields of a part without data are missing.
        """
        pending = self.pending
        if pending.has_failed:
            return None
        data: dict[str, Any] = {}
        above: Pending | None = pending
        parts: list[DeferredPart] = []
        while above is not None:
            parts += above.parts_around(pending.path)
            above = above.parent
        _copy_fields(self.initial, (), data, pending)
        for part in sorted(parts, key=lambda each: len(each.path)):
            if part.data is not None:
                _copy_fields(part.data, part.path, data, pending)
        return data


@dataclass(slots=True)
class IncrementalPayload:
    """One subsequent payload. Every fragment in `incremental` is completed by it."""

    incremental: list[IncrementalResult]
    pending: list[Pending]
    """Fragments with `@defer` inside the completed ones, whose results follow."""
    has_next: bool
    failures: tuple[Failure, ...] = ()
    """The failures in its results, each once."""
    extensions: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class DeferredPlaces:
    """Records whose selection has deferred fields, and where in the answer they are. All lists run in parallel."""

    selection: Selection
    sources: list[Any]
    weights: list[int]
    """At how many places of the answer each record appears."""
    reads: list[Read]
    """The read of each record; empty for values inside a record."""
    paths: list[list[ResponsePath]]
    """The places of each record."""


@dataclass(slots=True)
class DeferredGroup:
    """The records with the same deferred fields; they are executed together. All lists run in parallel."""

    deferred: Deferred
    sources: list[Any]
    weights: list[int]
    """At how many places of the answer each record appears."""
    reads: list[Read]
    """The read of each record; empty for values inside a record."""
    parts: list[list[DeferredPart]]
    """The parts of the answer that each record makes."""

    def only(self, numbers: list[int]) -> DeferredGroup:
        """Return a group of the records with those numbers."""
        return DeferredGroup(
            self.deferred,
            [self.sources[number] for number in numbers],
            [self.weights[number] for number in numbers],
            [self.reads[number] for number in numbers] if self.reads else [],
            [self.parts[number] for number in numbers],
        )


class IncrementalGraph:
    """The deferred fragments of one answer: which are pending, which are complete, and what must be executed for them."""

    def __init__(self, initial: dict[str, Any], places: Iterable[DeferredPlaces]) -> None:
        """Create the graph for the data of the initial answer."""
        self._initial = initial
        self._pending: dict[tuple[DeferUsage, ResponsePath], Pending] = {}
        self._groups: list[DeferredGroup] = []
        self._announced: list[Pending] = []
        self._completed: list[Pending] = []
        self._open = 0
        """The number of fragments that are announced and not complete."""
        self.add(places)
        for pending in self._pending.values():
            if pending.parent is None:
                self._announce(pending)

    @property
    def has_next(self) -> bool:
        """Whether an announced fragment is not complete."""
        return self._open > 0

    @property
    def has_deferred_fields(self) -> bool:
        """Whether anything is executed later."""
        return bool(self._groups)

    def add(self, places: Iterable[DeferredPlaces]) -> None:
        """Add the deferred fragments and parts at places of the answer."""
        groups: dict[int, DeferredGroup] = {}
        for each in places:
            for usage in each.selection.usages:
                for path in (path for paths in each.paths for path in paths):
                    above = usage.parent
                    parent = self._pending[above, path[: above.depth]] if above is not None else None
                    pending = self._pending[usage, path] = Pending(len(self._pending), path, usage, parent)
                    if parent is not None:
                        parent.children.append(pending)
            for deferred in each.selection.deferred:
                group = groups.setdefault(id(deferred), DeferredGroup(deferred, [], [], [], []))
                group.sources += each.sources
                group.weights += each.weights
                group.reads += each.reads
                group.parts += [[self._new_part(deferred, path) for path in paths] for paths in each.paths]
        self._groups += groups.values()

    def _new_part(self, deferred: Deferred, path: ResponsePath) -> DeferredPart:
        several = [self._pending[usage, path[: usage.depth]] for usage in deferred.usages]
        part = DeferredPart(path, sorted(several, key=lambda each: each.number))
        for pending in part.pending:
            pending.parts.append(part)
            pending.incomplete += 1
        return part

    def complete(self, part: DeferredPart, data: dict[str, Any] | None, failures: tuple[Failure, ...]) -> None:
        """Complete a part. What is deferred inside it must have been added before."""
        part.data, part.failures = data, failures
        path = part.path
        for pending in part.pending:
            pending.incomplete -= 1
            pending.has_failed |= data is None and len(path) == len(pending.path)
            if pending.is_announced and not pending.incomplete:
                self._open -= 1
                self._complete(pending)

    def _announce(self, pending: Pending) -> None:
        pending.is_announced = True
        self._announced.append(pending)
        if pending.incomplete:
            self._open += 1
        else:
            self._complete(pending)

    def _complete(self, pending: Pending) -> None:
        self._completed.append(pending)
        if not pending.has_failed:
            for child in pending.children:
                self._announce(child)

    def take_groups(self) -> list[DeferredGroup]:
        """Return what must be executed for the announced fragments. Each record is returned once."""
        taken: list[DeferredGroup] = []
        others: list[DeferredGroup] = []
        for group in self._groups:
            numbers: dict[bool, list[int]] = {True: [], False: []}
            for number, parts in enumerate(group.parts):
                is_needed = any(pending.is_announced for part in parts for pending in part.pending)
                numbers[is_needed].append(number)
            if not numbers[False]:
                taken.append(group)
                continue
            if numbers[True]:
                taken.append(group.only(numbers[True]))
            others.append(group.only(numbers[False]))
        self._groups = others
        return taken

    def take_pending(self) -> list[Pending]:
        """Return the fragments that were announced since this was last called."""
        announced, self._announced = self._announced, []
        return announced

    def take_results(self) -> tuple[list[IncrementalResult], tuple[Failure, ...]]:
        """Return the results of the fragments completed since this was last called, and their failures, each once."""
        completed, self._completed = sorted(self._completed, key=lambda each: each.number), []
        results: list[IncrementalResult] = []
        new_failures: list[Failure] = []
        for pending in completed:
            parts: list[tuple[Pending, DeferredPart]] = []
            for part in pending.parts:
                if part.is_delivered:
                    continue
                if part.data is None or not pending.has_failed:
                    part.is_delivered = True
                    new_failures += part.failures
                if part.data is not None and not pending.has_failed:
                    parts.append((_innermost(part, pending), part))
            failures = tuple(failure for part in pending.parts for failure in part.failures)
            results.append(IncrementalResult(pending, parts, failures, self._initial))
        for pending in completed:
            pending.is_delivered = True
        return results, tuple(new_failures)


def _innermost(part: DeferredPart, completed: Pending) -> Pending:
    """Return the fragment with the longest path by which a client finds the part: the completed one, or another."""
    known = (each for each in part.pending if each.is_announced and not each.is_delivered and not each.has_failed)
    return max(completed, *known, key=lambda each: len(each.path))


def _copy_fields(source: Any, path: ResponsePath, target: Any, pending: Pending) -> None:
    """Copy the fragment's own fields from a part of the answer at `path` into the fragment's data."""
    length = min(len(path), len(pending.path))
    fields = pending.usage.fields
    for step in pending.path[length:]:  # The place of the fragment may be in the part, or in another one beside it.
        source = _child(source, step)
    for step in path[length:]:  # The place of the part is in the fragment.
        target = _child(target, step)
        if isinstance(step, str):
            fields = fields.get(step, FieldTree())
    if isinstance(source, dict) and target is not None:
        target.update(_only(source, fields))


def _child(value: Any, step: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(step)
    return value[step] if isinstance(value, list) and isinstance(step, int) else None


def _only(value: Any, fields: FieldTree) -> Any:
    """Return a copy of a value with those fields alone."""
    if isinstance(value, dict):
        return {key: _only(value[key], below) for key, below in fields.items() if key in value}
    if isinstance(value, list):
        return [_only(each, fields) for each in value]
    return value

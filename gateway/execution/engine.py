"""Runs a plan breadth first: all records that are met together are filled together, and a level's reads go out together.

What the records hold is written straight into the answer. Their edges are asked, all parents at once, what they read;
children that are known are filled at once, and what is missing waits for the turn of its level, since what a level above
reads may bring it. A failed edge is null with an error at its path. What certain reads need is known from the query's sids
alone, and is fetched before anything else.

What stands in a fragment with `@defer` is filled in the same way afterwards, for all the records that it was met on together.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from graphql import FieldNode, GraphQLError
from graphql.execution.values import VariableValues

from gateway.errors import CostLimitExceeded, GatewayError, NotFound
from gateway.execution.estimate import Estimate
from gateway.execution.failures import Failure, failure_from
from gateway.execution.fields import Read
from gateway.execution.plan import Arguments, Deferred, EdgeStep, Leaf, NeedsReference, Nested, Plan, Selection

__all__ = ["IncrementalPayload", "IncrementalResult", "Pending", "Run"]

_ABSENT = object()
_FAILURES_MAX = 1000

_Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """A place in the answer where a fragment with `@defer` stands, whose data is to come. Each is but itself."""

    path: _Path
    label: str | None


@dataclass(frozen=True, slots=True)
class IncrementalResult:
    """What has come of a deferred fragment at one place: its data, and what went wrong in it."""

    at: Pending
    data: dict[str, Any] | None
    """None when null would stand where the schema does not let it."""
    failures: tuple[Failure, ...]


@dataclass(slots=True)
class IncrementalPayload:
    """What has come at one time of what was deferred."""

    parts: list[IncrementalResult]
    later: list[Pending]
    """What is to come because of them: fragments with `@defer` within them."""
    is_last: bool
    extensions: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Batch:
    """Records of one type that are filled together: where each is read from, where it is written to."""

    selection: Selection
    sources: list[Any] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    weights: list[int] = field(default_factory=list)
    """At how many places of the answer each stands: what is the same at many is written once."""
    reads: list[Read] = field(default_factory=list)
    """Where each can be looked up, where something of it is deferred."""
    depth: int = 0
    """How many edges are above it."""


@dataclass(slots=True)
class _Place:
    """Where the child of an edge goes: into one answer, or into many when many records lead to the same one."""

    step: EdgeStep | Deferred
    selection: Selection
    read: Read
    targets: list[tuple[Any, str | int]]
    weight: int
    depth: int = 0
    child: Any = _ABSENT
    missing: str = ""
    """The key to fetch before the child can be told."""
    looked: int = -1
    """After how many reads it was missing."""


_Waiting = defaultdict[int, list[_Place]]
"""What is to be read, by how many edges are above it."""


@dataclass(slots=True)
class _Group:
    """The records that one deferred fragment was met on, each with the places in the answer where it stands."""

    deferred: Deferred
    sources: list[Any]
    weights: list[int]
    reads: list[Read]
    places: list[list[Pending]]

    def only(self, number: int) -> _Group:
        """The same for one of its records."""
        one = slice(number, number + 1)
        return _Group(self.deferred, self.sources[one], self.weights[one], self.reads[one], self.places[one])


class Run:
    """One run of a plan. `context` gives what is known, and fetches what is not (see `gateway.graph.context`)."""

    def __init__(self, plan: Plan, context: Any, variables: VariableValues) -> None:
        self._plan = plan
        self._context = context
        self._arguments = Arguments(variables)
        self._groups: list[_Group] = []
        self.estimate = Estimate(plan, context, self._arguments)
        """What it will read."""

    async def answer(self) -> tuple[dict[str, Any], tuple[Failure, ...]]:
        """The data and the failures; raises `NeedsReference` when null would stand where the schema does not let it."""
        data = self._plan.root.blank.copy()
        ahead = self.estimate.ahead
        if len(ahead) > 1 and self._context.affords(ahead):  # A single one is fetched as it is met.
            await self._context.fetch(ahead)
        filling = _Filling(self._context, self._arguments)
        await filling.fill([_Batch(self._plan.root, [None], [data], [1])])
        self._groups = filling.put_off([(data, ())])
        return data, filling.failures(data)

    @property
    def deferred(self) -> list[Pending]:
        """What is to come after the answer."""
        return [place for group in self._groups for places in group.places for place in places]

    async def rest(self) -> AsyncGenerator[IncrementalPayload, None]:
        """What was deferred, frame by frame.

        A fragment that was met on many records comes for all of them in one frame; fragments do not wait for one another.
        Whoever stops listening closes the iterator, and with it what is under way.
        """
        under_way = [asyncio.create_task(self._defer(group)) for group in self._groups]
        ahead = self.estimate.ahead_of_deferred
        fetching = None
        if ahead and self._context.affords(ahead):
            fetching = asyncio.create_task(self._context.fetch(ahead))
        try:
            while under_way:
                await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                done = [task for task in under_way if task.done()]
                under_way = [task for task in under_way if task not in done]
                parts: list[IncrementalResult] = []
                new: list[Pending] = []
                for task in done:
                    its_parts, groups = task.result()
                    parts += its_parts
                    new += [place for group in groups for places in group.places for place in places]
                    under_way += [asyncio.create_task(self._defer(group)) for group in groups]
                yield IncrementalPayload(parts, new, is_last=not under_way)
        finally:
            left = [*under_way, *([fetching] if fetching is not None else [])]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _defer(self, group: _Group) -> tuple[list[IncrementalResult], list[_Group]]:
        """Fill a deferred fragment on all its records; a record on which null may not stand spoils it for itself alone."""
        try:
            return await self._fill_deferred(group)
        except Exception as error:
            if not isinstance(error, NeedsReference) or len(group.sources) == 1:
                places = [place for its_places in group.places for place in its_places]
                nodes = group.deferred.nodes
                return [
                    IncrementalResult(place, None, (failure_from(error, place.path, nodes),)) for place in places
                ], []
        parts: list[IncrementalResult] = []
        below: list[_Group] = []
        for number in range(len(group.sources)):
            its_parts, its_groups = await self._defer(group.only(number))
            parts += its_parts
            below += its_groups
        return parts, below

    async def _fill_deferred(self, group: _Group) -> tuple[list[IncrementalResult], list[_Group]]:
        filling = _Filling(self._context, self._arguments)
        answers: list[Any] = [None] * len(group.sources)
        selection = group.deferred.selection
        if group.reads and selection.needs_row:  # They may be known by their paths alone until now.
            level = await filling.look_up(group, answers)
        else:
            answers = [selection.blank.copy() for _ in group.sources]
            level = [_Batch(selection, group.sources, list(answers), group.weights, group.reads)]
        await filling.fill(level)
        places = [(place, number) for number, its_places in enumerate(group.places) for place in its_places]
        parts = [
            IncrementalResult(place, answers[number], filling.failures(answers[number], place.path, (answers, number)))
            for place, number in places
        ]
        return parts, filling.put_off((answers[number], place.path) for place, number in places)


class _Filling:
    """An answer, or the deferred parts of one, as it is filled; with what goes wrong, and what is put off."""

    def __init__(self, context: Any, arguments: Arguments) -> None:
        self._context = context
        self._arguments = arguments
        self._errors: list[tuple[Any, str | int, Exception, list[FieldNode]]] = []
        self._put_off: list[tuple[Deferred, _Batch]] = []
        self._reads = 0

    async def fill(self, batches: list[_Batch]) -> None:
        """Fill the batches, and what is below them, level by level: what one level reads may be of use to the next."""
        waiting: _Waiting = defaultdict(list)
        for batch in batches:
            self._fill(batch, waiting)
        while waiting:
            places = waiting.pop(min(waiting))
            await self._read(places)
            for batch in self._below(places):
                self._fill(batch, waiting)

    # One level

    def _fill(self, batch: _Batch, waiting: _Waiting) -> None:
        """Write what the sources hold, and fill what is known below them; what is to be read is noted, by its level."""
        rows: list[Any] | None = None
        for step in batch.selection.steps:
            if isinstance(step, Leaf):
                if step.of_row and rows is None:
                    rows = [source.row for source in batch.sources]
                self._write(step, rows if step.of_row and rows is not None else batch.sources, batch.answers)
            elif isinstance(step, Nested):
                self._write_nested(step, batch, waiting)
            else:
                asked = self._ask(step, batch)
                unknown = [place for place in asked if not self._look(place)]
                if unknown:
                    waiting[batch.depth] += unknown
                if len(unknown) < len(asked):
                    for below in self._below(asked):
                        self._fill(below, waiting)
        for deferred in batch.selection.deferred:
            self._put_off.append((deferred, batch))

    def _write(self, step: Leaf, sources: list[Any], answers: list[dict[str, Any]]) -> None:
        key, plain, write = step.key, step.plain, step.write
        is_whole = True
        try:
            for answer, value in zip(answers, map(step.read, sources), strict=True):
                if type(value) is plain:
                    answer[key] = value
                elif value is not None:
                    answer[key] = write(value)
                else:
                    is_whole = False
        except Exception:
            is_whole = self._write_one_by_one(step, sources, answers)
        if not is_whole and not step.is_nullable:
            raise NeedsReference("null where none may be")

    def _write_one_by_one(self, step: Leaf, sources: list[Any], answers: list[dict[str, Any]]) -> bool:
        """Write what can be written, where some value makes trouble; whether all could be."""
        is_whole = True
        for source, answer in zip(sources, answers, strict=True):
            try:
                value = step.read(source)
                answer[step.key] = step.write(value) if value is not None else None
            except Exception as error:
                answer[step.key] = value = None
                self._errors.append((answer, step.key, error, step.nodes))
            is_whole = is_whole and value is not None
        return is_whole

    def _write_nested(self, step: Nested, batch: _Batch, waiting: _Waiting) -> None:
        inner = None if step.is_list else self._all_nested(step, batch)
        if inner is None:
            inner = self._nested_one_by_one(step, batch)
        if inner.sources:
            self._fill(inner, waiting)

    @staticmethod
    def _all_nested(step: Nested, batch: _Batch) -> _Batch | None:
        """The objects on all the sources, each in its place; None when one is null or makes trouble."""
        try:
            values = list(map(step.read, batch.sources))
        except Exception:
            return None
        if any(value is None for value in values):
            return None
        key, blank = step.key, step.selection.blank
        parts = [blank.copy() for _ in values]
        for answer, part in zip(batch.answers, parts, strict=True):
            answer[key] = part
        return _Batch(step.selection, values, parts, batch.weights, depth=batch.depth)

    def _nested_one_by_one(self, step: Nested, batch: _Batch) -> _Batch:
        key, read = step.key, step.read
        inner, blank = _Batch(step.selection, depth=batch.depth), step.selection.blank
        for source, answer, weight in zip(batch.sources, batch.answers, batch.weights, strict=True):
            try:
                value = read(source)
            except Exception as error:
                self._errors.append((answer, key, error, step.nodes))
                value = None
            if value is None:
                if not step.is_nullable:
                    raise NeedsReference("null where none may be")
                continue
            if step.is_list:
                parts = [blank.copy() for _ in value]
                answer[key] = parts
                inner.sources += value
                inner.answers += parts
                inner.weights += [weight] * len(parts)
            else:
                part = answer[key] = blank.copy()
                inner.sources.append(value)
                inner.answers.append(part)
                inner.weights.append(weight)
        return inner

    # From one level to the next

    def _ask(self, step: EdgeStep, batch: _Batch) -> list[_Place]:
        """What an edge reads from each record, and where its children go."""
        places: list[_Place] = []
        try:
            arguments = self._arguments.of(step)
        except GraphQLError as error:
            self._fail(step, [(answer, step.key) for answer in batch.answers], error)
            return places
        function, key, depth = step.function, step.key, batch.depth
        shared: dict[str, _Place] = {}

        def note(read: Read, answer: Any, key: str | int, weight: int) -> None:
            place = shared.get(read.path) if read.is_single else None
            if place is not None:
                place.targets.append((answer, key))
                place.weight += weight
                return
            place = _Place(step, step.selections.of(read.type_name), read, [(answer, key)], weight, depth)
            places.append(place)
            if read.is_single:
                shared[read.path] = place

        for source, answer, weight in zip(batch.sources, batch.answers, batch.weights, strict=True):
            try:
                reads = function(source, **arguments)
            except Exception as error:
                self._fail(step, [(answer, key)], error)
                continue
            if step.is_list:
                row: list[Any] = [None] * len(reads)
                answer[key] = row
                for number, read in enumerate(reads):
                    if isinstance(read, Exception):
                        self._errors.append((row, number, read, step.nodes))
                    elif read is not None:
                        note(read, row, number, weight)
            elif reads is not None:
                note(reads, answer, key, weight)
        return places

    def _look(self, place: _Place) -> bool:
        """Find the child, or why there is none; false when something must be fetched first."""
        try:
            found = self._context.look(place.read, place.selection.needs_row)
        except Exception as error:
            self._fail(place.step, place.targets, error)
            return True
        if isinstance(found, str):
            place.missing, place.looked = found, self._reads
            return False
        place.child = found[0]
        return True

    async def _read(self, waiting: list[_Place]) -> None:
        """Find the children that are not known yet: fetch together what is missing, and look again."""
        waiting = [place for place in waiting if place.looked == self._reads or not self._look(place)]
        while waiting:
            missing = dict.fromkeys([place.missing for place in waiting])
            try:
                self._context.afford(missing)
            except GatewayError as error:
                for place in waiting:
                    self._fail(place.step, place.targets, error)
                return
            await self._context.fetch(missing)
            self._reads += 1
            waiting = [place for place in waiting if not self._look(place)]

    def _below(self, places: list[_Place]) -> list[_Batch]:
        """The children that are known, to be filled together where the same is selected of them."""
        level: dict[int, _Batch] = {}
        for place in places:
            read, child = place.read, place.child
            if child is None or child is _ABSENT:
                continue
            try:
                self._context.count(read.size_of(child) * place.weight)
            except GatewayError as error:
                self._fail(place.step, place.targets, error)
                continue
            selection = place.selection
            batch = level.get(id(selection))
            if batch is None:
                batch = level[id(selection)] = _Batch(selection, depth=place.depth + 1)
            part = selection.blank.copy()
            for answer, key in place.targets:  # The same record at many places, as a participant, is written once.
                answer[key] = part
            batch.sources.append(child)
            batch.answers.append(part)
            batch.weights.append(place.weight)
            if selection.deferred:
                batch.reads.append(read)
        return list(level.values())

    # What is put off

    async def look_up(self, group: _Group, answers: list[Any]) -> list[_Batch]:
        """The records that a deferred fragment was met on, looked up, to be filled into `answers`, each at its place."""
        deferred = group.deferred
        places = [
            _Place(deferred, deferred.selection, read, [(answers, number)], weight)
            for number, (read, weight) in enumerate(zip(group.reads, group.weights, strict=True))
        ]
        await self._read([place for place in places if not self._look(place)])
        for place in places:
            if place.child is None:
                self._fail(deferred, place.targets, NotFound("There is no such record, of which this was deferred."))
        return self._below(places)

    def put_off(self, roots: Iterable[tuple[Any, _Path]]) -> list[_Group]:
        """What was deferred in the answers, or parts of them, that stand at those paths."""
        if not self._put_off:
            return []
        paths: dict[int, list[_Path]] = {id(part): [] for _, batch in self._put_off for part in batch.answers}
        for root, path in roots:
            for part, its_path in _walk(root, path):
                if id(part) in paths:
                    paths[id(part)].append(its_path)
        groups: dict[int, _Group] = {}
        for deferred, batch in self._put_off:
            group = groups.setdefault(id(deferred), _Group(deferred, [], [], [], []))
            group.sources += batch.sources
            group.weights += batch.weights
            group.reads += batch.reads
            group.places += [[Pending(path, deferred.label) for path in paths[id(part)]] for part in batch.answers]
        return list(groups.values())

    # Errors

    def _fail(self, step: EdgeStep | Deferred, targets: list[tuple[Any, str | int]], error: Exception) -> None:
        for answer, key in targets:
            if isinstance(key, str) and isinstance(step, EdgeStep) and step.is_list:
                raise NeedsReference("null where none may be")
            self._errors.append((answer, key, error, step.nodes))

    def failures(self, root: Any, path: _Path = (), place: tuple[Any, int] | None = None) -> tuple[Failure, ...]:
        """The failures in the answer, or the part of one, that stands at that path; and at its own `place` in a list.

        Their paths are found only now, and in one walk: most answers have none.
        """
        if not self._errors:
            return ()
        found: list[Failure] = []
        if place is not None:
            whole, number = place
            errors = self._errors_by_place.get(id(whole), {}).get(number, ())
            found += [failure_from(error, path, nodes) for error, nodes in errors]
        for part, its_path in _walk(root, path):
            for key, errors in self._errors_by_place.get(id(part), {}).items():
                for error, nodes in errors:
                    if len(found) == _FAILURES_MAX:
                        found.append(Failure(CostLimitExceeded(f"There are more errors than these {_FAILURES_MAX}.")))
                        return tuple(found)
                    found.append(failure_from(error, (*its_path, key), nodes))
        return tuple(found)

    @cached_property
    def _errors_by_place(self) -> dict[int, dict[str | int, list[tuple[Exception, list[FieldNode]]]]]:
        """The errors by the part of the answer, and the key in it, once all is filled: there can be as many as parts."""
        places: dict[int, dict[str | int, list[tuple[Exception, list[FieldNode]]]]] = {}
        for part, key, error, nodes in self._errors:
            places.setdefault(id(part), {}).setdefault(key, []).append((error, nodes))
        return places


def _walk(root: Any, path: _Path) -> Iterator[tuple[Any, _Path]]:
    """The objects and lists in an answer, in its order, with their paths."""
    stack: list[tuple[Any, _Path]] = [(root, path)] if root is not None else []
    while stack:
        part, at = stack.pop()
        yield part, at
        below = list(part.items() if isinstance(part, dict) else enumerate(part))
        stack += [(value, (*at, key)) for key, value in reversed(below) if isinstance(value, dict | list)]

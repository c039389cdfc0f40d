"""Runs a plan breadth first: a level of the answer is filled for all its records together, and read in one go.

What the records hold is written straight into the answer. The edges of a level are asked, all parents at once, what they
read; what is missing is fetched together; and their children are the next level. A failed edge is null with an error at
its path. What certain reads need is known from the query's sids alone, and is fetched before anything else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from graphql import FieldNode, GraphQLError
from graphql.execution.values import VariableValues

from gateway.errors import CostLimitExceeded, GatewayError
from gateway.execution.failures import Failure, failure_from
from gateway.execution.fields import Read
from gateway.execution.forecast import Forecast
from gateway.execution.plan import Arguments, EdgeStep, Leaf, Nested, Plan, Selection, Unplannable

__all__ = ["Run"]

_ABSENT = object()
_FAILURES_MAX = 1000


@dataclass(slots=True)
class _Batch:
    """Records of one type that are filled together: where each is read from, where it is written to."""

    selection: Selection
    sources: list[Any] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    weights: list[int] = field(default_factory=list)
    """At how many places of the answer each stands: what is the same at many is written once."""


@dataclass(slots=True)
class _Place:
    """Where the child of an edge goes: into one answer, or into many when many records lead to the same one."""

    step: EdgeStep
    read: Read
    targets: list[tuple[Any, str | int]]
    weight: int
    child: Any = _ABSENT


class Run:
    """One run of a plan. `context` gives what is known, and fetches what is not (see `gateway.graph.context`)."""

    def __init__(self, plan: Plan, context: Any, variables: VariableValues) -> None:
        self._plan = plan
        self._context = context
        self._errors: list[tuple[Any, str | int, Exception, list[FieldNode]]] = []
        self._arguments = Arguments(variables)
        self.forecast = Forecast(plan, context, self._arguments)
        """What it will read."""

    async def answer(self) -> tuple[dict[str, Any], tuple[Failure, ...]]:
        """The data and the failures; raises `Unplannable` when null would stand where the schema does not let it."""
        data = self._plan.root.blank.copy()
        ahead = self.forecast.ahead
        if len(ahead) > 1 and self._context.affords(ahead):  # A single one is fetched as it is met.
            await self._context.fetch(ahead)
        level = [_Batch(self._plan.root, [None], [data], [1])]
        while level:
            places: list[_Place] = []
            for batch in level:
                self._fill(batch, places)
            await self._read(places)
            level = self._next_level(places)
        return data, self._failures(data)

    # One level

    def _fill(self, batch: _Batch, places: list[_Place]) -> None:
        """Write what the sources hold; where the children of the edges go is noted for later."""
        rows: list[Any] | None = None
        for step in batch.selection.steps:
            if isinstance(step, Leaf):
                if step.of_row and rows is None:
                    rows = [source.row for source in batch.sources]
                self._write(step, rows if step.of_row and rows is not None else batch.sources, batch.answers)
            elif isinstance(step, Nested):
                self._write_nested(step, batch, places)
            else:
                self._ask(step, batch, places)

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
            raise Unplannable("null where none may be")

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

    def _write_nested(self, step: Nested, batch: _Batch, places: list[_Place]) -> None:
        inner = None if step.is_list else self._all_nested(step, batch)
        if inner is None:
            inner = self._nested_one_by_one(step, batch)
        if inner.sources:
            self._fill(inner, places)

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
        return _Batch(step.selection, values, parts, batch.weights)

    def _nested_one_by_one(self, step: Nested, batch: _Batch) -> _Batch:
        key, read = step.key, step.read
        inner, blank = _Batch(step.selection), step.selection.blank
        for source, answer, weight in zip(batch.sources, batch.answers, batch.weights, strict=True):
            try:
                value = read(source)
            except Exception as error:
                self._errors.append((answer, key, error, step.nodes))
                value = None
            if value is None:
                if not step.is_nullable:
                    raise Unplannable("null where none may be")
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

    def _ask(self, step: EdgeStep, batch: _Batch, places: list[_Place]) -> None:
        """Note what an edge reads from each record, and where its children go."""
        try:
            arguments = self._arguments.of(step)
        except GraphQLError as error:
            self._fail(step, [(answer, step.key) for answer in batch.answers], error)
            return
        function, key = step.function, step.key
        shared: dict[str, _Place] = {}

        def note(read: Read, answer: Any, key: str | int, weight: int) -> None:
            place = shared.get(read.path) if read.is_single else None
            if place is not None:
                place.targets.append((answer, key))
                place.weight += weight
                return
            place = _Place(step, read, [(answer, key)], weight)
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

    async def _read(self, places: list[_Place]) -> None:
        """Find the children of all edges of a level: look, fetch together what is missing, and look again."""
        waiting = places
        while waiting:
            missing: dict[str, None] = {}
            still: list[_Place] = []
            for place in waiting:
                try:
                    wants_row = place.step.selections.of(place.read.type_name).needs_row
                    found = self._context.look(place.read, wants_row)
                    if isinstance(found, str):
                        missing[found] = None
                        still.append(place)
                    else:
                        place.child = found[0]
                except Exception as error:
                    self._fail(place.step, place.targets, error)
            if missing:
                try:
                    self._context.afford(missing)
                except GatewayError as error:
                    for place in still:
                        self._fail(place.step, place.targets, error)
                    return
                await self._context.fetch(missing)
            waiting = still

    def _next_level(self, places: list[_Place]) -> list[_Batch]:
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
            selection = place.step.selections.of(read.type_name)
            batch = level.get(id(selection))
            if batch is None:
                batch = level[id(selection)] = _Batch(selection)
            part = selection.blank.copy()
            for answer, key in place.targets:  # The same record at many places, as a participant, is written once.
                answer[key] = part
            batch.sources.append(child)
            batch.answers.append(part)
            batch.weights.append(place.weight)
        return list(level.values())

    # Errors

    def _fail(self, step: EdgeStep, targets: list[tuple[Any, str | int]], error: Exception) -> None:
        for answer, key in targets:
            if step.is_list and isinstance(key, str):
                raise Unplannable("null where none may be")
            self._errors.append((answer, key, error, step.nodes))

    def _failures(self, data: dict[str, Any]) -> tuple[Failure, ...]:
        """The failures with their paths, which are found only now, and in one walk: most answers have none."""
        if not self._errors:
            return ()
        failed: dict[int, list[tuple[str | int, Exception, list[FieldNode]]]] = {}
        for part, key, error, nodes in self._errors:
            failed.setdefault(id(part), []).append((key, error, nodes))
        found: list[Failure] = []
        stack: list[tuple[Any, tuple[str | int, ...]]] = [(data, ())]
        while stack:
            part, path = stack.pop()
            for key, error, nodes in failed.get(id(part), ()):
                if len(found) == _FAILURES_MAX:
                    found.append(Failure(CostLimitExceeded(f"There are more errors than these {_FAILURES_MAX}.")))
                    return tuple(found)
                found.append(failure_from(error, (*path, key), nodes))
            below = list(part.items() if isinstance(part, dict) else enumerate(part))
            stack += [(value, (*path, key)) for key, value in reversed(below) if isinstance(value, dict | list)]
        return tuple(found)

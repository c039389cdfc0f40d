"""One run of a plan: prefetch, execute, and then deliver the deferred fragments."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from graphql import GraphQLError
from graphql.execution.values import VariableValues

from gateway.errors import GatewayError
from gateway.execution.context import Context
from gateway.execution.deferred import (
    DeferredGroup,
    DeferredPart,
    DeferredPlaces,
    IncrementalGraph,
    IncrementalPayload,
    Pending,
)
from gateway.execution.expected import Expected
from gateway.execution.failures import Failure, failure_from
from gateway.execution.fill import Batch, SelectionExecutor
from gateway.execution.generate import GeneratedPlan
from gateway.execution.levels import Unusual
from gateway.execution.plan import Plan
from gateway.execution.steps import Arguments, NeedsReference

__all__ = ["Run", "up_to_date"]

_ATTEMPTS = 3
"""How often an operation is executed at most, because events have changed what it had read."""

_Answer = TypeVar("_Answer")


async def up_to_date(
    context: Context, execute: Callable[[], Awaitable[_Answer]], discard: Callable[[], object]
) -> _Answer:
    """Execute an operation, or part of one, and again over what events have changed meanwhile; return the last answer.

    `discard` takes back the counts of an answer before the next attempt.
    """
    amendments = context.amendments
    for _ in range(_ATTEMPTS - 1):
        answer = await execute()
        if context.amend() == amendments:
            return answer
        amendments = context.amendments
        discard()
    return await execute()


class Run:
    """One run of a plan with the values of its variables."""

    def __init__(
        self,
        plan: Plan,
        context: Context,
        variables: VariableValues,
        expected: Expected,
        event: object = None,
        *,
        halts: bool = False,
    ) -> None:
        """Create a run; with `halts`, no further level is executed after one with an error."""
        self._plan = plan
        self._event = event
        self._halts = halts
        self._context = context
        self.arguments = Arguments(variables)
        """The arguments of its edges."""
        self._expected = expected
        self._graph: IncrementalGraph | None = None
        self._amendments = 0
        """How often events had changed what the operation had read, when the initial answer was given."""
        self.pending: list[Pending] = []
        """After `answer`: the deferred fragments whose results `subsequent` delivers."""

    async def answer(
        self, generated: GeneratedPlan | str | None = None
    ) -> tuple[dict[str, Any] | bytes, tuple[Failure, ...]]:
        """Return the data, perhaps as JSON, and the failures; raises `NeedsReference` when a non-null field is null.

        The code `generated` from the plan executes it if that is possible; instead of code it can be the reason for none.
        """
        answer = await up_to_date(self._context, partial(self._answer, generated), self._context.reset_counts)
        self._amendments = self._context.amendments
        return answer

    async def _answer(
        self, generated: GeneratedPlan | str | None
    ) -> tuple[dict[str, Any] | bytes, tuple[Failure, ...]]:
        keys = self._expected.prefetch
        if len(keys) > 1 and self._context.try_charge(keys):  # A single key is fetched by the first level.
            await self._context.fetch(keys)
        if generated is not None:
            encoded = await self._generated_answer(generated)
            if encoded is not None:
                return encoded, ()
        data = self._plan.root.blank.copy()
        self.pending, self._graph = [], None
        executor = SelectionExecutor(self._context, self.arguments, halts=self._halts)
        await executor.execute([Batch(self._plan.root, [self._event], [data], [1])])
        places = executor.deferred_places([(data, ())])
        if places:
            self._graph = IncrementalGraph(data, places)
            self.pending = self._graph.take_pending() if self._graph.has_deferred_fields else []
        return data, executor.failures(data)

    async def _generated_answer(self, generated: GeneratedPlan | str) -> bytes | None:
        """Return the data as JSON, or None when the interpreter must execute the plan, with the same context."""
        context = self._context
        if isinstance(generated, str):
            context.runs[f"not generated: {generated}"] += 1
            return None
        try:
            data = await generated.answer(context, self.arguments, self._event, self._expected.paths)
        except Exception as error:
            context.reset_counts()
            context.runs[f"not generated: {_reason(error)}"] += 1
            return None
        context.runs["generated"] += 1
        return data

    async def subsequent(self) -> AsyncGenerator[IncrementalPayload, None]:
        """Yield the subsequent payloads, after `answer`.

        Fields that the same fragments select are executed together, for all records that have them; different fragments do not
        wait for one another. Closing the iterator cancels the reads in progress.
        """
        graph = self._graph
        assert graph is not None
        tasks = [asyncio.create_task(self._defer(group)) for group in graph.take_groups()]
        keys = self._expected.deferred_prefetch
        fetching = None
        if keys and self._context.try_charge(keys):
            fetching = asyncio.create_task(self._context.fetch(keys))
        try:
            while graph.has_next:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                completed = [task for task in tasks if task.done()]
                tasks = [task for task in tasks if task not in completed]
                for task in completed:
                    executed = task.result()
                    graph.add(executed.places)
                    for part, data, failures in executed.parts:
                        graph.complete(part, data, failures)
                tasks += [asyncio.create_task(self._defer(group)) for group in graph.take_groups()]
                results, failures = graph.take_results()
                if results:
                    yield IncrementalPayload(results, graph.take_pending(), graph.has_next, failures)
        finally:
            unfinished: list[asyncio.Task[Any]] = [*tasks, *([fetching] if fetching is not None else [])]
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)

    async def _defer(self, group: DeferredGroup) -> _Executed:
        """Execute a deferred group.

        If a non-null field is null, only the parts of that record have no data: the group is executed record by record.
        """
        try:
            return await self._execute(group)
        except Exception as error:
            if not isinstance(error, NeedsReference) or len(group.sources) == 1:
                nodes = group.deferred.nodes
                parts = [part for parts in group.parts for part in parts]
                return _Executed([(part, None, (failure_from(error, part.path, nodes),)) for part in parts], [])
        executed = _Executed([], [])
        for number in range(len(group.sources)):
            one = await self._defer(group.only([number]))
            executed.parts += one.parts
            executed.places += one.places
        return executed

    async def _execute(self, group: DeferredGroup) -> _Executed:
        executor = SelectionExecutor(self._context, self.arguments)

        def discard() -> None:
            nonlocal executor
            self._context.count(-executor.counted)
            executor = SelectionExecutor(self._context, self.arguments)

        return await up_to_date(self._context, lambda: self._execute_once(group, executor), discard)

    async def _execute_once(self, group: DeferredGroup, executor: SelectionExecutor) -> _Executed:
        answers: list[Any] = [None] * len(group.sources)
        selection = group.deferred.selection
        # The initial answer may have needed references only, or have been given before an event.
        if group.reads and (selection.needs_row or self._context.amendments != self._amendments):
            batches = await executor.look_up(group, answers)
        else:
            answers = [selection.blank.copy() for _ in group.sources]
            batches = [Batch(selection, group.sources, list(answers), group.weights, group.reads)]
        await executor.execute(batches)
        parts = [(part, number) for number, its_parts in enumerate(group.parts) for part in its_parts]
        completed = [
            (part, answers[number], executor.failures(answers[number], part.path, (answers, number)))
            for part, number in parts
        ]
        return _Executed(completed, executor.deferred_places((answers[number], part.path) for part, number in parts))


@dataclass(slots=True)
class _Executed:
    """What was executed of a deferred group."""

    parts: list[tuple[DeferredPart, dict[str, Any] | None, tuple[Failure, ...]]]
    """The parts, with their data and failures."""
    places: list[DeferredPlaces]
    """The places in them with deferred fields."""


def _reason(error: Exception) -> str:
    """Return why generated code gave up, as one of a few texts."""
    if isinstance(error, Unusual):
        return str(error)
    return "error" if isinstance(error, GatewayError | GraphQLError) else "exception"

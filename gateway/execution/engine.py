"""One run of a plan: prefetch, execute, and then deliver the deferred fragments."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from graphql import GraphQLError
from graphql.execution.values import VariableValues

from gateway.errors import GatewayError
from gateway.execution.context import Context
from gateway.execution.deferred import DeferredGroup, IncrementalPayload, IncrementalResult, Pending
from gateway.execution.expected import Expected
from gateway.execution.failures import Failure, failure_from
from gateway.execution.fill import Batch, SelectionExecutor
from gateway.execution.generate import GeneratedPlan
from gateway.execution.levels import Unusual
from gateway.execution.plan import Plan
from gateway.execution.steps import Arguments, NeedsReference

__all__ = ["Run"]


class Run:
    """One run of a plan with the values of its variables."""

    def __init__(self, plan: Plan, context: Context, variables: VariableValues, expected: Expected) -> None:
        self._plan = plan
        self._context = context
        self._arguments = Arguments(variables)
        self._groups: list[DeferredGroup] = []
        self._expected = expected

    async def answer(
        self, generated: GeneratedPlan | str | None = None
    ) -> tuple[dict[str, Any] | bytes, tuple[Failure, ...]]:
        """Return the data, perhaps as JSON, and the failures; raises `NeedsReference` when a non-null field is null.

        The code `generated` from the plan executes it if that is possible; instead of code it can be the reason for none.
        """
        keys = self._expected.prefetch
        if len(keys) > 1 and self._context.try_charge(keys):  # A single key is fetched by the first level.
            await self._context.fetch(keys)
        if generated is not None:
            encoded = await self._generated_answer(generated)
            if encoded is not None:
                return encoded, ()
        data = self._plan.root.blank.copy()
        executor = SelectionExecutor(self._context, self._arguments)
        await executor.execute([Batch(self._plan.root, [None], [data], [1])])
        self._groups = executor.deferred_groups([(data, ())])
        return data, executor.failures(data)

    async def _generated_answer(self, generated: GeneratedPlan | str) -> bytes | None:
        """Return the data as JSON, or None when the interpreter must execute the plan, with the same context."""
        context = self._context
        if isinstance(generated, str):
            context.runs[f"not generated: {generated}"] += 1
            return None
        context.begin_attempt()
        try:
            data = await generated.answer(context, self._arguments)
        except Exception as error:
            context.discard_attempt()
            context.runs[f"not generated: {_reason(error)}"] += 1
            return None
        context.keep_attempt()
        context.runs["generated"] += 1
        return data

    @property
    def pending(self) -> list[Pending]:
        """The deferred fragments, after `answer`: one for each result that `subsequent` delivers."""
        return [place for group in self._groups for place in group.pending]

    async def subsequent(self) -> AsyncGenerator[IncrementalPayload, None]:
        """Yield the subsequent payloads.

        The results of one fragment are delivered together, for all records that have it; different fragments do not wait
        for one another. Closing the iterator cancels the reads in progress.
        """
        tasks = [asyncio.create_task(self._defer(group)) for group in self._groups]
        keys = self._expected.deferred_prefetch
        fetching = None
        if keys and self._context.try_charge(keys):
            fetching = asyncio.create_task(self._context.fetch(keys))
        try:
            while tasks:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                completed = [task for task in tasks if task.done()]
                tasks = [task for task in tasks if task not in completed]
                results: list[IncrementalResult] = []
                pending: list[Pending] = []
                for task in completed:
                    its_results, groups = task.result()
                    results += its_results
                    pending += [place for group in groups for place in group.pending]
                    tasks += [asyncio.create_task(self._defer(group)) for group in groups]
                yield IncrementalPayload(results, pending, has_next=bool(tasks))
        finally:
            unfinished: list[asyncio.Task[Any]] = [*tasks, *([fetching] if fetching is not None else [])]
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)

    async def _defer(self, group: DeferredGroup) -> tuple[list[IncrementalResult], list[DeferredGroup]]:
        """Return the results of a deferred group, and the groups inside it.

        If a non-null field is null, only the result of that record is null: the group is executed record by record.
        """
        try:
            return await self._execute(group)
        except Exception as error:
            if not isinstance(error, NeedsReference) or len(group.sources) == 1:
                nodes = group.deferred.nodes
                return [
                    IncrementalResult(place, None, (failure_from(error, place.path, nodes),)) for place in group.pending
                ], []
        results: list[IncrementalResult] = []
        groups: list[DeferredGroup] = []
        for number in range(len(group.sources)):
            its_results, its_groups = await self._defer(group.only(number))
            results += its_results
            groups += its_groups
        return results, groups

    async def _execute(self, group: DeferredGroup) -> tuple[list[IncrementalResult], list[DeferredGroup]]:
        executor = SelectionExecutor(self._context, self._arguments)
        answers: list[Any] = [None] * len(group.sources)
        selection = group.deferred.selection
        if group.reads and selection.needs_row:  # The initial answer may have needed a reference only.
            batches = await executor.look_up(group, answers)
        else:
            answers = [selection.blank.copy() for _ in group.sources]
            batches = [Batch(selection, group.sources, list(answers), group.weights, group.reads)]
        await executor.execute(batches)
        places = [(place, number) for number, its_places in enumerate(group.places) for place in its_places]
        results = [
            IncrementalResult(place, answers[number], executor.failures(answers[number], place.path, (answers, number)))
            for place, number in places
        ]
        return results, executor.deferred_groups((answers[number], place.path) for place, number in places)


def _reason(error: Exception) -> str:
    """Return why generated code gave up, as one of a few texts."""
    if isinstance(error, Unusual):
        return str(error)
    return "error" if isinstance(error, GatewayError | GraphQLError) else "exception"

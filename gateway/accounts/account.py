"""The graph of one Twilio account, ready to be asked: the schema, and the memory each operation gets."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Hashable
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from sys import getsizeof
from typing import Any

import orjson

from gateway.callers.budgets import Budgets
from gateway.errors import Overloaded
from gateway.execution.engine import IncrementalPayload
from gateway.execution.executor import Executor, Outcome
from gateway.graph.context import Context
from gateway.graph.schema import make_schema
from gateway.graph.types import RESOURCES
from gateway.source.lifetimes import Lifetimes
from gateway.source.loaders import Loaders
from gateway.source.memory import Entry, MemoryCache
from gateway.source.source import ReadOptions, RemoteCache, Source
from gateway.source.trace import Trace
from gateway.source.waiting import wait_shielded
from gateway.twilio.client import AttemptListener, Client
from gateway.twilio.paths import redacted

__all__ = ["Account", "Deliver", "Limits", "cost_of"]

Deliver = Callable[[Outcome | IncrementalPayload], Awaitable[None]]
"""Is given the parts of an answer as they come."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one operation may take."""

    deadline: float = 10.0
    """Seconds."""
    cost_max: int = 5000
    """Upstream calls in the worst case; an operation that could take more is refused before it runs."""
    call_limit: int = 500
    """Upstream calls in fact; what would take more is not read."""
    at_once: int = 512
    """Operations under way; one more is refused."""
    caller_budget: int = 0
    """Upstream calls a minute that each caller may cause; 0 for any number."""


class Account:
    """Carries out operations, each with its own loaders and its own deadline. Equal ones at one time are one."""

    def __init__(
        self,
        client: Client,
        limits: Limits | None = None,
        *,
        introspection: bool = True,
        cache: MemoryCache | None = None,
        lifetimes: Lifetimes | None = None,
        remote: RemoteCache | None = None,
    ) -> None:
        """Take the client to read with, what an operation may take, and whether the schema may be asked for.

        What was read is kept in `cache` and shown again for its lifetime, and so is an answer that all of it was known for,
        for as long as all of it holds; without a cache nothing is kept.
        A `distant` cache shares it with other processes.
        """
        self._cache = cache if cache is not None else MemoryCache(0)
        self._shared = Source(client, RESOURCES, self._cache, lifetimes, remote)
        self._limits = limits or Limits()
        self._executor = Executor(make_schema(), introspection=introspection)
        self._running: dict[Hashable, _Running] = {}
        self._budgets = Budgets(self._limits.caller_budget) if self._limits.caller_budget else None
        self.under_way = 0
        """Operations that have begun and not ended."""
        self.skips: Counter[str] = Counter()
        """How often something was not read, by the reason."""

    @property
    def keeps_answers(self) -> bool:
        """Whether answers are kept at all."""
        return self._cache.most_bytes > 0

    @property
    def runs(self) -> Counter[str]:
        """How often the engine ran an operation, and how often graphql-core did, by the reason."""
        return self._executor.runs

    @property
    def lookups(self) -> Counter[str]:
        """What was found of what was looked for in the memory of all requests."""
        return self._shared.lookups

    @property
    def cached_bytes(self) -> int:
        """About how many bytes that memory takes."""
        return self._shared.cached_bytes

    @property
    def remote_counts(self) -> Counter[str]:
        """How often the memory that is shared with other processes answered."""
        return self._shared.remote_counts

    async def run(
        self,
        document: str,
        *,
        variables: dict[str, Any] | None = None,
        operation_name: str | None = None,
        no_cache: bool = False,
        services: frozenset[str] | None = None,
        engine: bool = True,
        trace: bool = False,
        dry_run: bool = False,
        seconds: float | None = None,
        caller: str = "",
        request_id: str = "",
        on_attempt: AttemptListener | None = None,
        deliver: Deliver | None = None,
    ) -> Outcome:
        """Carry out one operation.

        Raises `Overloaded` when too many are under way and not all is known, and `CostLimitExceeded` when it could take more
        calls than its caller has left. When this is cancelled, so are the reads that only it waits for.

        With `fresh`, nothing is answered from what is merely known (`Cache-Control: no-cache`). With `services`, only
        those may be read. Without `engine`, graphql-core does it, more slowly. With `trace`, `extensions` tell its cost
        and its calls; a `dry_run` makes none, and tells what it would do. Fewer `seconds` shorten the time it may take; its
        reads wait for their turn among those of its `caller`; `watch` is told of every upstream call made for it.

        Operations that are equal in what they ask, in rights and in time, and run at one time, share one outcome: whoever
        came later has made no call, and is told the `request_id` of the one who did. So the outcome is to be read only; it
        may be given to others later too, while all that it was made of is known and good.

        With `deliver`, what the operation defers is not waited for: `deliver` is given the outcome first, then a frame
        whenever some of the rest has come, and is waited for each time. What is given back then tells of the whole, its
        data aside. Where nothing is deferred, `deliver` is given nothing.
        """
        within = min(self._limits.deadline, seconds or self._limits.deadline)
        work = partial(
            self._carry_out,
            document,
            variables,
            operation_name,
            no_cache=no_cache,
            services=services,
            engine=engine,
            trace=trace,
            dry_run=dry_run,
            within=within,
            caller=caller,
            on_attempt=on_attempt,
            deliver=deliver,
        )
        key = None
        if not trace and deliver is None:
            key = self._key(document, variables, caller, operation_name, no_cache, services, engine, dry_run, within)
            known = self._again(key, caller)
            if known is not None:
                return known
        if self.under_way >= self._limits.at_once:
            raise Overloaded("The gateway has as much to do as it can take. Try again in a second.")
        self.under_way += 1
        try:
            if key is None:
                return await work()
            running = self._running.get(key)
            if running is not None:
                return replace(await running.wait(), calls=0, shared_with=running.request_id)
            return await _Running(self._running, key, work(key), request_id).wait()
        finally:
            self.under_way -= 1

    def known(
        self,
        document: str,
        *,
        variables: dict[str, Any] | None = None,
        operation_name: str | None = None,
        services: frozenset[str] | None = None,
        caller: str = "",
    ) -> Outcome | None:
        """The outcome that `run` would give without waiting for anything, when there is one."""
        within = self._limits.deadline
        key = self._key(document, variables, caller, operation_name, False, services, True, False, within)
        return self._again(key, caller)

    def _key(
        self, document: str, variables: dict[str, Any] | None, caller: str, *terms: Hashable
    ) -> tuple[Hashable, ...] | None:
        """What makes operations equal: all that they ask, and on what `terms`; None where that cannot be told."""
        try:
            given = sha256(orjson.dumps(variables, option=orjson.OPT_SORT_KEYS)).digest() if variables else b""
        except TypeError:  # Numbers or text that JSON can hold and this cannot write.
            return None
        # Where callers have budgets, each pays for itself.
        return document, given, caller if self._budgets is not None else None, *terms

    def _again(self, key: Hashable | None, caller: str) -> Outcome | None:
        """The outcome of an equal operation, of which all is known; its caller must be able to pay for it nevertheless."""
        kept = self._cache.get(key) if key is not None else None
        if kept is None or kept.value.max_age() <= 0:
            return None
        outcome: Outcome = kept.value
        if self._budgets is not None:
            now = time.monotonic()
            self._budgets.settle(caller, self._budgets.reserve(caller, outcome.requested, now), 0, now)
            outcome = replace(outcome, budget=asdict(self._budgets.standing(caller, now)))
        self._shared.lookups["answer"] += 1
        return outcome

    async def _carry_out(
        self,
        document: str,
        variables: dict[str, Any] | None,
        operation_name: str | None,
        key: tuple[Any, ...] | None = None,
        *,
        no_cache: bool,
        services: frozenset[str] | None,
        engine: bool,
        trace: bool,
        dry_run: bool,
        within: float,
        caller: str,
        on_attempt: AttemptListener | None,
        deliver: Deliver | None,
    ) -> Outcome:
        notes = Trace(time.monotonic()) if trace else None
        deadline = asyncio.get_running_loop().time() + within
        async with Loaders(self._shared, ReadOptions(caller, no_cache, deadline, notes, on_attempt)) as loaders:
            context = Context(
                loaders,
                services,
                self._limits.cost_max,
                self._limits.call_limit,
                notes,
                skips=self.skips,
                budgets=self._budgets,
            )
            try:
                outcome = await self._executor.run(
                    document,
                    context,
                    variables=variables,
                    operation_name=operation_name,
                    engine=engine,
                    dry_run=dry_run,
                    defer=deliver is not None,
                )
                if outcome.rest is not None and deliver is not None:
                    await self._deliver(outcome, outcome.rest, loaders, deliver)
            finally:
                if self._budgets is not None:
                    self._budgets.settle(caller, context.reserved, loaders.calls, time.monotonic())
        if self._budgets is not None:
            outcome.budget = asdict(self._budgets.standing(caller, time.monotonic()))
        _conclude(outcome, loaders)
        dependencies = loaders.dependencies() if not no_cache and not outcome.failures else None
        if dependencies is not None and key is not None:
            outcome.max_age = dependencies.max_age  # It is kept, and what it was made of is not.
            self._cache.put(key, Entry(outcome, time.time(), _size(outcome, key) + dependencies.size))
        return outcome

    async def _deliver(
        self, outcome: Outcome, rest: AsyncGenerator[IncrementalPayload, None], loaders: Loaders, deliver: Deliver
    ) -> None:
        async with aclosing(rest):
            await deliver(outcome)
            async for frame in rest:
                outcome.failures += tuple(failure for part in frame.parts for failure in part.failures)
                if frame.is_last:
                    _conclude(outcome, loaders)
                    frame.extensions = outcome.extensions
                await deliver(frame)


class _Running:
    """An operation under way, and how many wait for it: it goes on as long as anyone does."""

    def __init__(
        self, known: dict[Hashable, _Running], key: Hashable, work: Coroutine[Any, Any, Outcome], request_id: str
    ) -> None:
        """Begin it; it stands among those `known` until it is done, or about to end."""
        known[key] = self
        self.request_id = request_id
        self._known, self._key = known, key
        self._task = asyncio.create_task(work)
        self._task.add_done_callback(self._end)
        self._waiting = 0

    async def wait(self) -> Outcome:
        """The outcome."""
        self._waiting += 1
        try:
            await wait_shielded([self._task])
            return self._task.result()
        finally:
            self._waiting -= 1
            if not self._waiting and not self._task.done():
                self._forget()  # Nobody joins what is about to end.
                self._task.cancel()

    def _end(self, task: asyncio.Task[Outcome]) -> None:
        self._forget()
        if not task.cancelled():
            task.exception()  # It has been seen: perhaps nobody is left to be told.

    def _forget(self) -> None:
        if self._known.get(self._key) is self:
            del self._known[self._key]


def _conclude(outcome: Outcome, loaders: Loaders) -> None:
    """Tell in the outcome what it took."""
    outcome.calls, outcome.planned, outcome.max_age = loaders.calls, loaders.planned, loaders.max_age
    if loaders.stale:
        outcome.extensions["stale"] = [redacted(key) for key in loaders.stale]
    if loaders.request.trace is not None and outcome.executed:
        cost: dict[str, Any] = cost_of(outcome)
        if outcome.budget is not None:
            cost["budget"] = outcome.budget
        outcome.extensions |= {"cost": cost, "upstream": loaders.request.trace.as_json()}


def _size(outcome: Outcome, key: tuple[Any, ...]) -> int:
    """About how many bytes an answer takes, as objects and as text, with what was asked."""
    return 6 * len(orjson.dumps(outcome.data)) + sum(map(getsizeof, key)) + 2_000


def cost_of(outcome: Outcome) -> dict[str, int]:
    """The three numbers: calls in the worst case, calls decided on, calls made; retries aside."""
    return {"requested": outcome.requested, "planned": outcome.planned, "actual": outcome.calls}

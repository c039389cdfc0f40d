"""One Twilio account: executes operations on it, caches their outcomes, and applies the limits."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict
from functools import partial
from typing import Any

from msgspec.structs import replace

from gateway.accounts.answers import Answers
from gateway.accounts.coalescing import OperationWaiter, RunningOperation
from gateway.accounts.limits import Limits, SubscriptionLimits
from gateway.accounts.one_row import OneRowOperation
from gateway.accounts.operation import Operation, OperationKey
from gateway.accounts.subscription import Subscription
from gateway.accounts.subscriptions import Subscriptions
from gateway.callers.budgets import Budgets
from gateway.errors import BadRequest, BadUserInput, Forbidden, Overloaded
from gateway.execution.context import Event
from gateway.execution.deferred import IncrementalPayload
from gateway.execution.events import SubscriptionPlan
from gateway.execution.executor import Executor
from gateway.execution.failures import Failure
from gateway.execution.outcome import Outcome, Subsequent
from gateway.execution.prepared import Prepared
from gateway.graph.context import REFERENCE, OperationContext
from gateway.graph.schema import shared_executor
from gateway.graph.types import UPSTREAM_RESOURCES
from gateway.source.history import History
from gateway.source.in_flight import Waiter
from gateway.source.journal import Update
from gateway.source.lifetimes import Lifetimes
from gateway.source.loaders import Loaders
from gateway.source.memory import MemoryCache
from gateway.source.options import ReadOptions
from gateway.source.publication import Publication
from gateway.source.remote import RemoteCache
from gateway.source.source import Source
from gateway.source.trace import Trace
from gateway.source.updates import Updates
from gateway.twilio.client import Client
from gateway.twilio.paths import redacted
from gateway.twilio.resources import Row
from gateway.twilio.responses import Page

__all__ = ["Account", "cost_of"]


class Account:
    """Executes operations on one Twilio account. Equal operations at the same time are executed once.

    `gateway.open_account` opens one.

    Example:
        async with gateway.open_account(settings) as account:
            first, second = await asyncio.gather(
                account.run(gateway.Operation("{ services { edges { node { sid } } } }")),
                account.run(gateway.Operation("{ services { edges { node { sid } } } }")),
            )
            assert first.calls + second.calls == 1
    """

    def __init__(
        self,
        client: Client,
        limits: Limits | None = None,
        *,
        executor: Executor | None = None,
        cache: MemoryCache | None = None,
        lifetimes: Lifetimes | None = None,
        remote: RemoteCache | None = None,
        history: History | None = None,
        subscription_limits: SubscriptionLimits | None = None,
    ) -> None:
        """Create the account of `client`, with limits on its operations and subscriptions.

        `executor` is by default the one that this process shares. Records and answers are cached in `cache` for their
        `lifetimes`; without it, nothing is cached. A `remote` cache is shared with other processes. `history` holds the events
        that are sent again to subscribers that come back.
        """
        self._memory = cache if cache is not None else MemoryCache(0)
        self._source = Source(client, UPSTREAM_RESOURCES, self._memory, lifetimes, remote)
        self.updates = Updates(self._source)
        """Applies events to the cached records and answers."""
        self.updates.add_listener(self._on_update)
        self.publication = Publication(self.updates, history)
        """Passes events to other processes, and on to subscribers."""
        most = subscription_limits or SubscriptionLimits()
        self.subscriptions = Subscriptions(self.publication, self._run_event, self._read_record, most)
        """Who is subscribed to what."""
        self._limits = limits or Limits()
        self._executor = executor or shared_executor()
        self._answers = Answers(self._memory)
        self._running: dict[OperationKey, RunningOperation] = {}
        self._budgets = Budgets(self._limits.caller_budget) if self._limits.caller_budget else None
        self.in_progress = 0
        """Operations that have started and not ended."""
        self.skips: Counter[str] = Counter()
        """Reads that were not needed, by reason; each once for an operation."""
        self.runs: Counter[str] = Counter()
        """Operations executed by the engine, and by graphql-core, by reason."""

    @property
    def lookups(self) -> Counter[str]:
        """Lookups in the in-memory cache, by result."""
        return self._source.lookups

    @property
    def cached_bytes(self) -> int:
        """Estimated size of the in-memory cache, in bytes."""
        return self._source.cached_bytes

    @property
    def remote_counts(self) -> Counter[str]:
        """Requests to the remote cache, by result."""
        return self._source.remote_counts

    def start(self, operation: Operation) -> Outcome | OperationWaiter:
        """Execute an operation; return its outcome, or a waiter for the outcome where something has to be read first.

        Raises `BadRequest` for one that searches for a person and came in a URL, and `Overloaded` while too many operations are
        in progress. Here, or as the waiter's result, raises `CostLimitExceeded` when the operation could make more calls than
        its caller has left. To cancel the waiter cancels the reads that no other operation waits for.

        Equal operations that run at the same time share one outcome: those that joined made no calls and have
        `shared_with`. An outcome must not be modified, since it may be shared and cached. With `operation.defer`, iterate
        over `outcome.subsequent` or close it.
        """
        if operation.in_url:
            self._check_url(operation)
        key = operation.key(per_caller=self._budgets is not None)
        cached = self._answers.get(key) if key is not None else None
        if cached is None:
            return self._start(operation, key)
        if self._budgets is not None:  # Whether a caller is refused must not depend on what others have cached.
            now = time.monotonic()
            reserved = self._budgets.reserve(operation.caller, cached.requested, now)
            self._budgets.refund(operation.caller, reserved, 0, now)
            cached = replace(cached, budget=asdict(self._budgets.status(operation.caller, now)))
        self._source.lookups["answer"] += 1
        return cached

    async def run(self, operation: Operation) -> Outcome:
        """Return the outcome of an operation; raises as `start` does."""
        started = self.start(operation)
        return started if isinstance(started, Outcome) else await started.wait()

    def requested(self, operation: Operation) -> int:
        """Return the upstream calls that an operation takes in the worst case; 0 for one that is not valid."""
        options = ReadOptions(operation.caller, operation.no_cache)
        return self._executor.requested(
            operation, OperationContext(Loaders(self._source, options), operation.services, self._limits)
        )

    def is_subscription(self, operation: Operation) -> bool:
        """Whether an operation is a subscription; False for one that is not valid, whose errors `start` returns."""
        return self._executor.is_subscription(operation.document, operation.name)

    def subscribe(self, operation: Operation) -> Subscription | Outcome:
        """Return a subscription, whose first payload is `DeliveriesReady`, or an outcome with errors if it is refused.

        Raises `BadRequest` as `start` does, and `Overloaded` when there are too many, and while the gateway is about to stop.
        Equal subscriptions are executed once for each event. An event never has errors; the upstream calls for it are charged
        to its caller's budget.
        """
        self._check_url(operation)
        if not self.subscriptions.are_served:
            error = Forbidden("This gateway serves no subscriptions: GATEWAY_SUBSCRIPTIONS is 0.")
            return Outcome(None, (Failure(error),), executed=False)
        self.subscriptions.check(operation.caller)
        plan = self._executor.subscription(operation, self._event_context(operation))
        if isinstance(plan, Outcome):
            return plan
        try:
            return self.subscriptions.subscribe(operation, plan, per_caller=self._budgets is not None)
        except BadUserInput as error:
            return Outcome(
                None,
                (Failure(error),),
                executed=False,
                operation=plan.operation.name,
                document=plan.operation.fingerprint,
            )

    def close_subscriptions(self, seconds: float) -> None:
        """End all subscriptions with `EndReason.RESTART`, spread over some seconds; no further one is accepted."""
        self.subscriptions.drain(seconds)

    def _check_url(self, operation: Operation) -> None:
        """Raise `BadRequest` for an operation that searches for a person and came in a URL."""
        if operation.in_url and self._executor.is_private(operation.document, operation.name):
            raise BadRequest(
                "Send this operation by POST: it searches for a person, whose identity or address must not stand in a URL.",
                status=405,
            )

    def _event_context(self, operation: Operation) -> OperationContext:
        """Return a context for one event of a subscription, with fresh loaders."""
        deadline = asyncio.get_running_loop().time() + min(
            self._limits.deadline, operation.timeout or self._limits.deadline
        )
        loaders = Loaders(self._source, ReadOptions(operation.caller, operation.no_cache, deadline, from_lists=True))
        return OperationContext(loaders, operation.services, self._limits, runs=self.runs, budgets=self._budgets)

    async def _run_event(self, operation: Operation, plan: SubscriptionPlan, event: Event) -> Outcome:
        """Execute a subscription for an event."""
        context = self._event_context(operation)
        context.loaders.open()
        try:
            outcome = await self._executor.run_event(plan, event, context)
        finally:
            self._close(operation, context)
        outcome.calls = context.loaders.calls
        return outcome

    def _start(self, operation: Operation, key: OperationKey | None) -> Outcome | OperationWaiter:
        if self.in_progress >= self._limits.max_operations:
            raise Overloaded("The gateway has too many operations in progress. Try again in a second.")
        running = self._running.get(key) if key is not None else None
        is_shared = running is not None
        if running is None:
            running = self._begin(operation, key)
            if running.is_done:
                outcome = running.result()
                self.in_progress += outcome.subsequent is not None
                return outcome
        self.in_progress += 1
        return OperationWaiter(running, self._ended, is_shared=is_shared)

    def _ended(self, outcome: Outcome | None) -> None:
        if outcome is None or outcome.subsequent is None:
            self.in_progress -= 1

    def _begin(self, operation: Operation, key: OperationKey | None) -> RunningOperation:
        """Begin to answer an operation from one row, if that is all it needs, and otherwise to execute it."""
        prepared = self._executor.prepare(operation)
        limits = self._limits
        trace = Trace(time.monotonic()) if operation.trace else None
        timeout = min(limits.deadline, operation.timeout or limits.deadline)
        deadline = asyncio.get_running_loop().time() + timeout
        options = ReadOptions(operation.caller, operation.no_cache, deadline, trace, operation.on_attempt)
        if isinstance(prepared, Prepared) and key is not None and self._may_answer_from_one_row(operation):
            one_row = prepared.one_row()
            if one_row is not None and one_row.records <= limits.records_max:
                execute = partial(self._execute, operation, key, prepared, options)
                read = Waiter(one_row.key, options)
                return OneRowOperation(
                    self._running, key, operation, one_row, read, self._source, self._answer_from_one_row, execute
                )
        work = self._execute(operation, key, prepared, options)
        return RunningOperation(self._running, key, work, operation.request_id)

    def _may_answer_from_one_row(self, operation: Operation) -> bool:
        """Whether nothing but one row decides the outcome of an operation, if its answer needs no other."""
        is_plain = not (operation.no_cache or operation.reference or operation.dry_run)
        is_free = operation.services is None and self._budgets is None
        return is_plain and is_free and self._limits.cost_max > 0 and self._limits.cost_limit > 0

    def _answer_from_one_row(self, running: OneRowOperation) -> Outcome | None:
        """Return the outcome of an operation from its row; None when that is not enough.

        It is what `_execute` returns. Nothing is kept for further reads, since there are none.
        """
        operation, one_row, read = running.operation, running.one_row, running.read
        try:
            outcome = one_row.outcome(read.value)
        except Exception:  # Such as a value that must be written in another form.
            return None
        self.runs["engine"] += 1
        self.runs["generated"] += 1
        if one_row.skipped:
            self.skips[REFERENCE] += one_row.skipped
        outcome.calls, outcome.planned = int(read.is_first), int(not read.is_cached)
        since = 0.0 if read.is_cached else running.began_at
        outcome.max_age = partial(self._source.max_age, one_row.key, read.value, read.options, since)
        if operation.on_close is not None:
            operation.on_close(outcome.calls)
        if read.is_cached:
            dependencies = self._source.dependencies({one_row.key: read.value}, read.options)
            if dependencies is not None:
                self._answers.put(running.key, outcome, dependencies)
        return outcome

    async def _execute(
        self,
        operation: Operation,
        key: OperationKey | None,
        prepared: Prepared | Outcome,
        options: ReadOptions,
        begun: OneRowOperation | None = None,
    ) -> Outcome:
        """Execute an operation, which may have been `begun` with one read."""
        trace = options.trace
        loaders = Loaders(self._source, options)
        context = OperationContext(
            loaders, operation.services, self._limits, trace, runs=self.runs, budgets=self._budgets
        )
        loaders.open()
        outcome: Outcome | None = None
        try:
            if begun is not None:
                loaders.add(begun.read, begun.began_at)
            outcome = await self._executor.run(operation, context, prepared)
        finally:
            if outcome is None or outcome.subsequent is None:
                self._close(operation, context)
        if outcome.subsequent is not None:
            payloads = self._payloads(outcome, outcome.subsequent, operation, context)
            outcome.subsequent = Subsequent(payloads, partial(self._close_streamed, operation, context))
            return outcome
        self._conclude(outcome, operation, context)
        dependencies = loaders.dependencies() if not operation.no_cache and not outcome.failures else None
        if dependencies is not None and key is not None:
            self._answers.put(key, outcome, dependencies)
        return outcome

    async def _payloads(
        self, outcome: Outcome, payloads: Subsequent, operation: Operation, context: OperationContext
    ) -> AsyncGenerator[IncrementalPayload, None]:
        """Yield the subsequent payloads. Their errors become the outcome's; the last payload has the outcome's extensions."""
        async with aclosing(payloads):
            async for payload in payloads:
                outcome.failures += payload.failures
                if not payload.has_next:
                    self._conclude(outcome, operation, context)
                    payload.extensions = outcome.extensions
                yield payload

    @asynccontextmanager
    async def reading(self, caller: str, calls: int) -> AsyncIterator[Loaders]:
        """Open loaders for at most `calls` reads outside an operation, from Twilio, within the deadline of operations.

        They are charged to the caller's budget; raises `CostLimitExceeded` if that is spent.
        """
        reserved = self._budgets.reserve(caller, calls, time.monotonic()) if self._budgets is not None else 0
        deadline = asyncio.get_running_loop().time() + self._limits.deadline
        async with Loaders(self._source, ReadOptions(caller, no_cache=True, deadline=deadline)) as loaders:
            try:
                yield loaders
            finally:
                if self._budgets is not None:
                    self._budgets.refund(caller, reserved, loaders.calls, time.monotonic())

    async def _read_record(self, caller: str, path: str) -> Row:
        """Return the record at a path, from Twilio; raises the error of its read."""
        async with self.reading(caller, 1) as loaders:
            await loaders.fetch([path])
            return loaders.item(path)

    def cached_rows(self, list_path: str) -> dict[str, Row]:
        """Return the records of a list that are cached, however old, by sid."""
        rows: dict[str, Row] = {}
        for _, value in self._source.cached_below(list_path):
            rows.update({row.sid: row for row in (value.rows if isinstance(value, Page) else [value])})
        return rows

    def _on_update(self, update: Update) -> None:
        """Let no operation that begins after an event join one that may have read older records."""
        self._running.clear()

    def _close(self, operation: Operation, context: OperationContext) -> None:
        """Cancel the reads in progress, refund the reserved calls that were not made, and count those that were not needed."""
        context.loaders.close()
        for reason in context.skipped.values():
            self.skips[reason] += 1
        if operation.on_close is not None:
            operation.on_close(context.loaders.calls)
        if self._budgets is not None:
            self._budgets.refund(operation.caller, context.reserved, context.loaders.calls, time.monotonic())

    def _close_streamed(self, operation: Operation, context: OperationContext) -> None:
        self._close(operation, context)
        self.in_progress -= 1

    def _conclude(self, outcome: Outcome, operation: Operation, context: OperationContext) -> None:
        """Record the calls, the cost and the freshness of an executed operation in its outcome."""
        loaders = context.loaders
        outcome.calls, outcome.planned, outcome.max_age = loaders.calls, loaders.planned, loaders.max_age
        if self._budgets is not None:
            outcome.budget = asdict(self._budgets.status(operation.caller, time.monotonic()))
        if loaders.stale:
            outcome.extensions["stale"] = [redacted(key) for key in loaders.stale]
        if context.trace is not None and outcome.executed:
            cost: dict[str, Any] = cost_of(outcome)
            if outcome.budget is not None:
                cost["budget"] = outcome.budget
            outcome.extensions |= {"cost": cost, "upstream": context.trace.as_json(context.skipped)}


def cost_of(outcome: Outcome) -> dict[str, int]:
    """Return the cost in upstream calls without retries: in the worst case, planned, and actual."""
    return {"requested": outcome.requested, "planned": outcome.planned, "actual": outcome.calls}

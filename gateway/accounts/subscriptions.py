"""Who is subscribed to what: equal subscriptions are executed once for each event, and the payload is sent to all of them.

The life of a subscription. `Subscriptions._change` alone changes who is in the registry; it does no I/O.

    state      what happens                                     next state  what its subscriber takes
    starting   webhooks arrive, or what is polled for it has    open        `DeliveriesReady`; with `after`, the events since
               been read once
    open       an event that its arguments choose               open        its payload; those of one record are merged
    open       events may have been lost                        open        `DeliveriesReady` with `refetch: true`
    open       its queue is full                                too slow    TOO_SLOW
    any        its service or all its conversations are gone,   complete    what waits, the error's payload, COMPLETE
               or its caller may no longer read the service
    any        the gateway is about to stop                     restart     RESTART
    any        its subscriber leaves                            left        nothing

Subscriptions are equal if they have the same selection, arguments but for `after`, and rights: they are a group. The events of
a group are executed several at a time, and sent in order. Events of one record that wait for that are merged. An event never
has `errors`: what could not be read is null in it. One that cannot be executed at all is replaced by `DeliveriesReady`.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Coroutine
from math import ceil
from typing import Any, Protocol

import msgspec
from cachetools import TTLCache

from gateway.accounts.coalescing import OperationWaiter, RunningOperation
from gateway.accounts.limits import SubscriptionLimits
from gateway.accounts.operation import Operation
from gateway.accounts.subscription import EndReason, PositionedUpdate, Subscription
from gateway.accounts.subscription_group import Group, Place, field_of, places_of
from gateway.errors import Forbidden, GatewayError, NotFound, Overloaded
from gateway.execution.context import Event
from gateway.execution.events import SubscriptionPlan
from gateway.execution.outcome import Outcome
from gateway.graph.subscription import DeliveriesReady
from gateway.source.history import Position, decode_position, encode_position
from gateway.source.journal import Update
from gateway.source.publication import Publication

__all__ = ["DELAYS", "EndReason", "Polling", "Subscription", "Subscriptions", "is_gone"]

DELAYS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Bounds of the histogram of seconds from the arrival of an event to its delivery."""
_EXECUTING_MAX = 64
"""Events that are executed at the same time, by all groups."""
_DRAIN_STEP_SECONDS = 0.05
_CHECK_SECONDS = 30.0
"""For which nobody asks again whether a record exists."""
_GONE_CODES = {"NOT_FOUND", "FORBIDDEN", "UPSTREAM_REJECTED"}
_FORBIDDEN = 403


class Polling(Protocol):
    """Polls conversations for changes that no webhook reports."""

    seconds: float
    """Between two polls."""

    def watch(self, path: str, listener: PollListener | None = None) -> Callable[[], None]:
        """Poll the conversation at `path`, from now on; return a function that stops this, to be called once."""


class PollListener(Protocol):
    """Is notified of the polls of one conversation."""

    def on_first_poll(self, path: str) -> None:
        """Note that a conversation has been polled, or that this has failed."""

    def on_restart(self, path: str) -> None:
        """Note that changes may have been missed: polling begins again from what is there."""

    def on_gone(self, path: str, error: GatewayError) -> None:
        """Note that a conversation no longer exists, or may no longer be read."""


def is_gone(error: GatewayError) -> bool:
    """Whether an error says that a record no longer exists, or may no longer be read."""
    is_forbidden = error.upstream is not None and error.upstream.status == _FORBIDDEN
    return isinstance(error, NotFound) or is_forbidden


Run = Callable[[Operation, SubscriptionPlan, Event], Coroutine[Any, Any, Outcome]]
"""Executes a subscription for an event."""
Read = Callable[[str, str], Coroutine[Any, Any, object]]
"""Reads the record at a path, for a caller; raises its error."""


class Subscriptions:
    """The subscriptions of one account."""

    def __init__(self, publication: Publication, run: Run, read: Read, limits: SubscriptionLimits) -> None:
        """Deliver the events of `publication`, executed with `run`; `read` finds out whether a service still exists."""
        self._publication = publication
        self._run, self._read = run, read
        self._limits = limits
        self.has_webhooks = False
        """Whether webhooks arrive."""
        self.polling: Polling | None = None
        """Polls the conversations that subscriptions name."""
        self.counts: Counter[str] = Counter({"replayed": 0, "refetch": 0, "executed": 0, "delivered": 0})
        """`DeliveriesReady` that promised past events, and with `refetch: true`; events executed, and payloads delivered."""
        self.ends: Counter[str] = Counter({reason.value.replace(" ", "_"): 0 for reason in EndReason} | {"left": 0})
        """Subscriptions that ended, by reason."""
        self.delays = [0] * (len(DELAYS) + 1)
        """Payloads by the seconds from the arrival of their event to their delivery, by upper bound."""
        self.delay_seconds = 0.0
        """The sum of these."""
        self.calls: Counter[str] = Counter()
        """Upstream calls for events, by caller."""
        self._groups: dict[tuple[object, ...], Group] = {}
        self._index: dict[Place, dict[Group, None]] = {}
        self._callers: Counter[str] = Counter()
        """Subscriptions by caller."""
        self._sequence = 0
        """The number of events delivered so far."""
        self._executing = 0
        self._blocked: dict[Group, None] = {}
        """Groups with events that wait for others to be executed, each in turn."""
        self._is_draining = False
        self._checked: TTLCache[str, None] = TTLCache(1000, _CHECK_SECONDS)
        """The paths that were read lately to find out whether their records exist."""
        self._checks: set[asyncio.Task[None]] = set()
        publication.on_event = self._on_event
        publication.on_loss = self._on_loss

    def __len__(self) -> int:
        return self._callers.total()

    def __repr__(self) -> str:
        groups = "; ".join(map(repr, self._groups.values())) or "none"
        state = "draining" if self._is_draining else f"{self._executing} events executing"
        return f"<Subscriptions: {len(self)} in {len(self._groups)} groups, {state}: {groups}>"

    @property
    def are_served(self) -> bool:
        """Whether subscriptions are accepted at all."""
        return self._limits.most > 0

    @property
    def groups(self) -> int:
        """The number of groups of equal subscriptions."""
        return len(self._groups)

    def check(self, caller: str) -> None:
        """Raise `Overloaded` if this caller may not have one more subscription now."""
        limits = self._limits
        if self._is_draining:
            raise Overloaded("The gateway is about to restart. Subscribe again.")
        if len(self) >= limits.most:
            raise Overloaded(f"The gateway has {limits.most} subscriptions, the most that it accepts. Try again later.")
        if limits.per_caller and self._callers[caller] >= limits.per_caller:
            raise Overloaded(
                f"This caller has {limits.per_caller} subscriptions, the most that it may have: end one first.",
                retry_after=None,
            )

    def subscribe(self, operation: Operation, plan: SubscriptionPlan, *, per_caller: bool) -> Subscription:
        """Return a new subscription; raises as `check` does, and `BadUserInput` for a bad cursor.

        With `per_caller`, those of two callers are never equal.
        """
        self.check(operation.caller)
        arguments = plan.arguments
        subject = f"{plan.field} {arguments['serviceSid']}"
        text = arguments.get("after")
        after = decode_position(text, subject) if text is not None else None
        sids = tuple(tuple(sorted(arguments.get(name) or ())) for name in ("conversationSids", "messageSids"))
        caller = operation.caller if per_caller else None
        key = (plan, subject, sids, operation.services, caller, operation.no_cache, operation.timeout)
        group = self._groups.get(key)
        if group is None:
            operation = msgspec.structs.replace(operation, on_attempt=None, trace=False, defer=False)
            group = Group(self, key, operation, plan, subject)
        subscription = Subscription(group, operation.caller, self._limits.queue, after)
        self._change(group, subscription, joins=True)
        if len(group.members) == 1:
            group.open()
        self._publication.is_observed = True
        if not group.unpolled and not subscription.is_open:
            group.start(subscription)
        return subscription

    def drain(self, seconds: float) -> None:
        """End all subscriptions with RESTART, spread over some seconds; no further one is accepted."""
        self._is_draining = True
        members = [(group, member) for group in self._groups.values() for member in group.members]
        steps = min(len(members), int(seconds / _DRAIN_STEP_SECONDS)) or 1
        size = ceil(len(members) / steps)

        def end(place: int) -> None:
            for group, member in members[place * size : (place + 1) * size]:
                group.leave(member, EndReason.RESTART)

        end(0)
        for place in range(1, steps):
            asyncio.get_running_loop().call_later(place * seconds / steps, end, place)

    def check_rights(self, services_of: Callable[[str], frozenset[str] | None]) -> None:
        """End the subscriptions to services that their callers may no longer read.

        `services_of` returns the services that the caller with a name may read now; None for all.
        """
        error = Forbidden("This caller may no longer read that service.")
        for group in list(self._groups.values()):
            for member in list(group.members):
                services = services_of(member.caller)
                if services is not None and group.service_sid not in services:
                    group.complete(member, error)

    # The registry

    def _change(self, group: Group, subscription: Subscription, *, joins: bool) -> None:
        """Add a subscription to the registry, or remove it: the only method that changes it."""
        if joins:
            if not group.members:
                self._groups[group.key] = group
                for place in group.places:
                    self._index.setdefault(place, {})[group] = None
            group.members[subscription] = None
            self._callers[subscription.caller] += 1
        else:
            del group.members[subscription]
            self._callers[subscription.caller] -= 1
            if not self._callers[subscription.caller]:
                del self._callers[subscription.caller]
            if not group.members:
                del self._groups[group.key]
                self._blocked.pop(group, None)
                for place in group.places:
                    del self._index[place][group]
                    if not self._index[place]:
                        del self._index[place]

    def leave(self, group: Group, subscription: Subscription, ended: EndReason | None) -> None:
        """Remove a subscription that has ended, or that its subscriber has left."""
        self._change(group, subscription, joins=False)
        self.ends[ended.value.replace(" ", "_") if ended is not None else "left"] += 1
        if not group.members:
            group.close()
            asyncio.get_running_loop().call_soon(self._continue)
        self._publication.is_observed = bool(self._groups)

    # Events

    def _on_event(self, update: Update) -> None:
        """Let every group whose arguments choose an event execute it, and send it to its members."""
        self._sequence += 1
        cursors: dict[str, str] = {}
        for group in self._find(update):
            cursor = cursors.get(group.subject)
            if cursor is None:
                cursor = cursors[group.subject] = encode_position(self._publication.history.position, group.subject)
            group.add(PositionedUpdate(update, cursor))

    def _on_loss(self) -> None:
        for group in list(self._groups.values()):
            group.tell_loss()

    def _find(self, update: Update) -> list[Group]:
        field = field_of(update)
        if field is None:
            return []
        found = [self._index.get(place, ()) for place in places_of(update, field)]
        return [group for groups in found for group in groups if group.matches(update)]

    @property
    def sequence(self) -> int:
        """The number of events delivered so far."""
        return self._sequence

    @property
    def position(self) -> Position:
        """The position after the last event."""
        return self._publication.history.position

    def after(self, position: Position, matches: Callable[[Update], bool]) -> list[tuple[Update, Position]] | None:
        """Return the events after a position that match, each with the position after it; None if they may not be whole."""
        found = self._publication.history.after(position, matches)
        return [(past.update, reached) for past, reached in found] if found is not None else None

    def may_execute(self, group: Group) -> bool:
        """Whether a group may execute one more event now; otherwise it is called back in its turn."""
        if self._executing < _EXECUTING_MAX:
            return True
        self._blocked[group] = None
        return False

    def execute(
        self, group: Group, event: Event, done: Callable[[Outcome | Exception], None]
    ) -> OperationWaiter | None:
        """Execute an event, now or until the waiter that is returned is done; call `done` with the outcome."""
        self.counts["executed"] += not isinstance(event, DeliveriesReady)
        running = RunningOperation({}, None, self._run(group.operation, group.plan, event), "")
        if running.is_done:
            self._conclude(group, running, done)
            return None
        self._executing += 1

        def ended(_: Outcome | None) -> None:
            self._executing -= 1

        def finish(_: OperationWaiter) -> None:
            self._conclude(group, running, done)
            self._continue()

        waiter = OperationWaiter(running, ended, is_shared=False)
        waiter.add_done_callback(finish)
        return waiter

    def _conclude(self, group: Group, running: RunningOperation, done: Callable[[Outcome | Exception], None]) -> None:
        try:
            outcome = running.result()
        except Exception as error:
            done(error)
        else:
            if outcome.calls:
                self.calls[group.operation.caller] += outcome.calls
            done(outcome)

    def _continue(self) -> None:
        """Let the groups go on that wait for others."""
        while self._blocked and self._executing < _EXECUTING_MAX:
            group = next(iter(self._blocked))
            del self._blocked[group]
            group.advance()

    def check_exists(self, group: Group, update: Update, code: str) -> None:
        """Find out whether the service or the conversation is gone, after a read has failed for an event."""
        path = group.path_of(update)
        if code in _GONE_CODES and path not in self._checked:
            self._checked[path] = None
            task = asyncio.create_task(self._check(group.operation.caller, path))
            self._checks.add(task)
            task.add_done_callback(self._checks.discard)

    async def _check(self, caller: str, path: str) -> None:
        try:
            await self._read(caller, path)
        except GatewayError as error:
            if is_gone(error):
                for group in list(self._groups.values()):
                    group.on_gone(path, error)

    def delivered(self, update: Update, count: int) -> None:
        """Count the delivery of an event to some subscribers."""
        seconds = max(0.0, time.time() - update.received_at)
        self.counts["delivered"] += count
        self.delays[bisect_left(DELAYS, seconds)] += count
        self.delay_seconds += count * seconds

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
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator
from math import ceil
from typing import Any, Protocol, cast
from weakref import WeakValueDictionary

import msgspec
import orjson
import structlog

from gateway.accounts.coalescing import OperationWaiter, RunningOperation
from gateway.accounts.limits import SubscriptionLimits
from gateway.accounts.operation import Operation
from gateway.accounts.subscription import READY, EndReason, Payload, PositionedUpdate, Subscription
from gateway.errors import Forbidden, GatewayError, Overloaded
from gateway.execution.context import Event
from gateway.execution.events import SubscriptionPlan
from gateway.execution.failures import Failure
from gateway.execution.outcome import Outcome
from gateway.graph.subscription import DeliveriesReady, deliveries_ready, event_of
from gateway.source.history import Position, decode_position, encode_position
from gateway.source.journal import Update
from gateway.source.publication import Publication

__all__ = ["DELAYS", "EndReason", "Polling", "Subscription", "Subscriptions"]

_logger = structlog.get_logger("gateway")

DELAYS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Bounds of the histogram of seconds from the arrival of an event to its delivery."""
_EXECUTING_MAX = 64
"""Events that are executed at the same time, by all groups."""
_EXECUTING_MAX_OF_GROUP = 16
_DRAIN_STEP_SECONDS = 0.05

_Index = tuple[str, str, str]
"""Field, service, and conversation or message; "" for all of the service."""


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


Run = Callable[[Operation, SubscriptionPlan, Event], Coroutine[Any, Any, Outcome]]
"""Executes a subscription for an event."""


class Subscriptions:
    """The subscriptions of one account."""

    def __init__(self, publication: Publication, run: Run, limits: SubscriptionLimits) -> None:
        """Deliver the events of `publication`, executed with `run`."""
        self._publication = publication
        self._run = run
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
        self._groups: dict[tuple[object, ...], _Group] = {}
        self._index: dict[_Index, dict[_Group, None]] = {}
        self._callers: Counter[str] = Counter()
        """Subscriptions by caller."""
        self._sequence = 0
        """The number of events delivered so far."""
        self._executing = 0
        self._blocked: dict[_Group, None] = {}
        """Groups with events that wait for others to be executed, each in turn."""
        self._is_draining = False
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
                f"This caller has {limits.per_caller} subscriptions, the most that it may have: end one first."
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
            group = _Group(self, key, operation, plan, subject)
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

    def _change(self, group: _Group, subscription: Subscription, *, joins: bool) -> None:
        """Add a subscription to the registry, or remove it: the only method that changes it."""
        if joins:
            if not group.members:
                self._groups[group.key] = group
                for place in group.index:
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
                for place in group.index:
                    del self._index[place][group]
                    if not self._index[place]:
                        del self._index[place]

    def leave(self, group: _Group, subscription: Subscription, ended: str) -> None:
        """Remove a subscription that has ended."""
        self._change(group, subscription, joins=False)
        self.ends[ended] += 1
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

    def _find(self, update: Update) -> list[_Group]:
        segments = update.event.path.split("/")
        field = _FIELDS.get(segments[-2])
        if field is None or len(segments) < _MESSAGE_SEGMENTS:
            return []
        _, service, _, conversation, _, message, *_ = segments
        found: list[_Group] = []
        for sid in ("", conversation, message):
            groups = self._index.get((field, service, sid))
            if groups is not None:
                found += [group for group in groups if group.matches(update)]
        return found

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

    def may_execute(self, group: _Group) -> bool:
        """Whether a group may execute one more event now; otherwise it is called back in its turn."""
        if self._executing < _EXECUTING_MAX:
            return True
        self._blocked[group] = None
        return False

    def execute(
        self, group: _Group, event: Event, done: Callable[[Outcome | Exception], None]
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

    def _conclude(self, group: _Group, running: RunningOperation, done: Callable[[Outcome | Exception], None]) -> None:
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

    def delivered(self, update: Update, count: int) -> None:
        """Count the delivery of an event to some subscribers."""
        seconds = max(0.0, time.time() - update.received_at)
        self.counts["delivered"] += count
        self.delays[bisect_left(DELAYS, seconds)] += count
        self.delay_seconds += count * seconds


_FIELDS = {"Receipts": "deliveryUpdated", "Messages": "messageChanged"}
_MESSAGE_SEGMENTS = 6  # Services/IS…/Conversations/CH…/Messages/IM…


class _Group:
    """Equal subscriptions."""

    __slots__ = (
        "_conversations",
        "_gone",
        "_hub",
        "_in_order",
        "_messages",
        "_ready",
        "_shared",
        "_waiters",
        "_waiting",
        "_watches",
        "index",
        "key",
        "members",
        "operation",
        "plan",
        "service_sid",
        "subject",
        "unpolled",
    )

    def __init__(
        self,
        hub: Subscriptions,
        key: tuple[object, ...],
        operation: Operation,
        plan: SubscriptionPlan,
        subject: str,
    ) -> None:
        arguments = plan.arguments
        self._hub = hub
        self.key, self.operation, self.plan, self.subject = key, operation, plan, subject
        self.service_sid: str = arguments["serviceSid"]
        conversations, messages = arguments.get("conversationSids"), arguments.get("messageSids")
        self._conversations = frozenset(conversations) if conversations is not None else None
        self._messages = frozenset(messages) if messages is not None else None
        chosen = self._messages if self._messages is not None else self._conversations
        self.index: list[_Index] = [(plan.field, self.service_sid, sid) for sid in (chosen or ("",))]
        self.members: dict[Subscription, None] = {}
        self.unpolled: set[str] = set()
        """The conversations that have to be polled before the members start."""
        self._gone: set[str] = set()
        """Conversations that no longer exist."""
        self._watches: list[Callable[[], None]] = []
        """Stop polling."""
        self._waiting: dict[str, tuple[int, PositionedUpdate]] = {}
        """Events that have not been executed, with their numbers, by the path of their record, the oldest first."""
        self._in_order: deque[tuple[int, Payload]] = deque()
        """Events that are being executed, and those that wait for one of them to be sent first."""
        self._waiters: dict[Payload, OperationWaiter] = {}
        self._shared: WeakValueDictionary[tuple[object, ...], Payload] = WeakValueDictionary()
        """Payloads of past and merged events, as long as a member waits for one."""
        self._ready: tuple[str, bool, Payload] | None = None
        """The last `DeliveriesReady`, with its cursor and `refetch`."""

    def __repr__(self) -> str:
        starting = sum(not member.is_open for member in self.members)
        state = f"{len(self.members)} to {self.subject}"
        state += f", {starting} starting" if starting else ""
        return f"{state}, {len(self._in_order)} executing, {len(self._waiting)} waiting"

    def matches(self, update: Update) -> bool:
        """Whether the arguments choose an event."""
        segments = update.event.path.split("/")
        return (
            len(segments) >= _MESSAGE_SEGMENTS
            and _FIELDS.get(segments[-2]) == self.plan.field
            and segments[1] == self.service_sid
            and (self._conversations is None or segments[3] in self._conversations)
            and (self._messages is None or segments[5] in self._messages)
        )

    # Members

    def open(self) -> None:
        """Let the conversations that are named be polled."""
        polling = self._hub.polling
        if polling is None or self._conversations is None:
            return
        paths = [f"Services/{self.service_sid}/Conversations/{sid}" for sid in sorted(self._conversations)]
        if not self._hub.has_webhooks:
            self.unpolled.update(paths)
        self._watches += [polling.watch(path, self) for path in paths]

    def close(self) -> None:
        """Stop everything, since no member is left."""
        watches, self._watches = self._watches, []
        for stop in watches:
            stop()
        waiters, self._waiters = self._waiters, {}
        for payload, waiter in waiters.items():
            waiter.cancel()
            payload.is_executing = False  # A subscription that has ended may still have to take it.
        self._waiting.clear()
        self._in_order.clear()

    def start(self, member: Subscription) -> None:
        """Send `DeliveriesReady` to a new member, and after its cursor the events since."""
        hub, position = self._hub, self._hub.position
        found = hub.after(member.after, self.matches) if member.after is not None else None
        past = [PositionedUpdate(update, encode_position(reached, self.subject)) for update, reached in found or ()]
        if past and member.after is not None:
            position = member.after  # None of the events that follow is missed, if the connection ends before them.
        member.is_open, member.since, member.after = True, hub.sequence, None
        member.push("", self._ready_payload(position, refetch=found is None))
        hub.counts["refetch" if found is None else "replayed"] += 1
        member.replay(past)

    def leave(self, subscription: Subscription, ended: EndReason | None) -> None:
        """Remove a member that ends, or that its subscriber leaves; no effect on one that has ended."""
        if subscription in self.members:
            self._hub.leave(self, subscription, ended.value.replace(" ", "_") if ended is not None else "left")
            if ended is not None:
                subscription.end(ended)

    def complete(self, member: Subscription, error: GatewayError) -> None:
        """End the subscription of a member for good, with an error."""
        body = orjson.dumps({"data": None, "errors": [Failure(error).as_json()]})
        self._hub.leave(self, member, EndReason.COMPLETE.value)
        member.end(EndReason.COMPLETE, Payload(None, body))

    # Events

    def add(self, event: PositionedUpdate) -> None:
        """Execute an event in its turn; one of the same record that waits is merged into it."""
        path = event.update.event.path
        earlier = self._waiting.pop(path, None)
        self._waiting[path] = self._hub.sequence, event if earlier is None else event.after(earlier[1])
        self.advance()

    def advance(self) -> None:
        """Execute the events that wait, as many as may be executed at the same time."""
        while self._waiting and len(self._in_order) < _EXECUTING_MAX_OF_GROUP and self._hub.may_execute(self):
            path = next(iter(self._waiting))
            number, event = self._waiting.pop(path)
            payload = Payload(event)
            self._in_order.append((number, payload))
            self.execute(payload)
            self._send()

    def _send(self) -> None:
        """Send the events that have been executed, in order."""
        in_order = self._in_order
        while in_order and in_order[0][1].body is not None:
            number, payload = in_order.popleft()
            assert isinstance(payload.event, PositionedUpdate)
            update = payload.event.update
            members = [member for member in self.members if member.is_open and member.since < number]
            self._hub.delivered(update, len(members))
            for member in members:
                member.push(update.event.path, payload)

    def tell_loss(self) -> None:
        """Tell the members that events may have been lost."""
        payload = self._ready_payload(self._hub.position, refetch=True)
        members = [member for member in self.members if member.is_open]
        self._hub.counts["refetch"] += len(members)
        for member in members:
            member.push(READY, payload)

    def payload_of(self, event: PositionedUpdate) -> Payload:
        """Return the payload of an event that differs from the one that all members are sent; equal ones are shared."""
        key = event.cursor, event.update.before, event.update.event.change
        payload = self._shared.get(key)
        if payload is None:
            payload = self._shared[key] = Payload(event)
        return payload

    def execute(self, payload: Payload) -> None:
        """Execute a payload, unless that is under way."""
        if payload.is_executing:
            return
        payload.is_executing = True

        def done(outcome: Outcome | Exception) -> None:
            self._waiters.pop(payload, None)
            self._executed(payload, outcome)

        try:
            event = self._event_of(payload)
        except Exception as error:
            done(error)
            return
        waiter = self._hub.execute(self, event, done)
        if waiter is not None:
            self._waiters[payload] = waiter

    def _event_of(self, payload: Payload) -> Event:
        """Return the event that the subscription is executed for."""
        event = payload.event
        if not isinstance(event, PositionedUpdate):
            assert event is not None
            return cast(Event, event)
        found = event_of(self.plan.field, event.update, event.cursor)
        assert found is not None  # `matches` has chosen it.
        return cast(Event, found)

    def _executed(self, payload: Payload, outcome: Outcome | Exception) -> None:
        if isinstance(outcome, Outcome):
            data = outcome.data_json if outcome.data_json is not None else orjson.dumps(outcome.data)
            payload.body = b'{"data":%b}' % data
        else:
            payload.body = self._replaced(payload, outcome)
        waiting, payload.waiting = payload.waiting, []
        for subscription in waiting:
            subscription.notify()
        if self._in_order:
            self._send()
            self.advance()

    def _replaced(self, payload: Payload, error: Exception) -> bytes:
        """Return what is sent for an event that could not be executed because of a bug: `DeliveriesReady`."""
        _logger.error("event not executed", field=self.plan.field, exc_info=error)
        if isinstance(payload.event, PositionedUpdate):
            ready = self._ready_payload(self._hub.position, refetch=True)
            if ready.body is not None:
                return ready.body
        return b'{"data":{}}'

    def _ready_payload(self, position: Position, *, refetch: bool) -> Payload:
        hub, cursor = self._hub, encode_position(position, self.subject)
        if self._ready is not None and self._ready[:2] == (cursor, refetch):
            return self._ready[2]
        polls = hub.polling is not None and self._conversations is not None
        seconds = max(1, round(hub.polling.seconds)) if polls and hub.polling is not None else None
        event: DeliveriesReady = deliveries_ready(
            cursor, refetch=refetch, webhooks=hub.has_webhooks, poll_seconds=seconds
        )
        payload = Payload(event)
        self.execute(payload)
        self._ready = cursor, refetch, payload
        return payload

    # Polls

    def on_first_poll(self, path: str) -> None:
        """Start the members once every conversation has been polled."""
        if path in self.unpolled:
            self.unpolled.discard(path)
            if not self.unpolled:
                for member in list(self._starting()):
                    self.start(member)

    def on_restart(self, path: str) -> None:
        """Tell the members that changes may have been missed, unless webhooks report them."""
        if not self._hub.has_webhooks and path not in self.unpolled:
            self.tell_loss()

    def on_gone(self, path: str, error: GatewayError) -> None:
        """End the subscriptions if no conversation is left."""
        self._gone.add(path.rpartition("/")[2])
        if self._conversations is not None and self._gone >= self._conversations:
            for member in list(self.members):
                self.complete(member, error)

    def _starting(self) -> Iterator[Subscription]:
        return (member for member in self.members if not member.is_open)

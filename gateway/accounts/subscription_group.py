"""Equal subscriptions: each event is executed once for all of them, and sent in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, cast
from weakref import WeakValueDictionary

import orjson
import structlog

from gateway.accounts.coalescing import OperationWaiter
from gateway.accounts.operation import Operation
from gateway.accounts.subscription import READY, EndReason, Payload, PositionedUpdate, Subscription, whole_seconds
from gateway.errors import GatewayError, raised_at
from gateway.execution.context import Event
from gateway.execution.events import SubscriptionPlan
from gateway.execution.failures import Failure
from gateway.execution.outcome import Outcome
from gateway.graph.subscription import DeliveriesReady, deliveries_ready, event_of
from gateway.source.history import Position, encode_position
from gateway.source.journal import Update

if TYPE_CHECKING:
    from gateway.accounts.subscriptions import Subscriptions

__all__ = ["Group", "field_of", "places_of"]

_logger = structlog.get_logger("gateway")

_EXECUTING_MAX = 16
_FIELDS = {"Receipts": "deliveryUpdated", "Messages": "messageChanged"}
_SEGMENTS_MIN = 6  # Services/IS…/Conversations/CH…/Messages/IM…

Place = tuple[str, str, str]
"""A field, a service, and a conversation or message; "" for all of the service."""


def field_of(update: Update) -> str | None:
    """Return the field of the subscription type whose event an update is; None if it is none."""
    segments = update.event.path.split("/")
    return _FIELDS.get(segments[-2]) if len(segments) >= _SEGMENTS_MIN else None


def places_of(update: Update, field: str) -> list[Place]:
    """Return where groups may be registered whose arguments choose an update."""
    _, service, _, conversation, _, message, *_ = update.event.path.split("/")
    return [(field, service, sid) for sid in ("", conversation, message)]


class _Work:
    """The events of a group that are not yet sent."""

    __slots__ = ("in_order", "shared", "waiters", "waiting")

    def __init__(self) -> None:
        self.waiting: dict[str, tuple[int, PositionedUpdate]] = {}
        """Events that are not yet executed, with their numbers, by the path of their record, the oldest first."""
        self.in_order: deque[tuple[int, Payload]] = deque()
        """Events that are being executed, and those that wait for one of them to be sent first."""
        self.waiters: dict[Payload, OperationWaiter] = {}
        self.shared: WeakValueDictionary[tuple[object, ...], Payload] = WeakValueDictionary()
        """Payloads of past and merged events, as long as a member waits for one."""

    @property
    def is_done(self) -> bool:
        """Whether nothing of it is left to do."""
        return not (self.waiting or self.in_order or self.waiters or self.shared)


class Group:
    """Equal subscriptions, its members."""

    __slots__ = (
        "_conversations",
        "_gone",
        "_hub",
        "_messages",
        "_ready",
        "_watches",
        "_work",
        "key",
        "members",
        "operation",
        "places",
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
        """Create a group without members; `subject` is what its cursors are cursors of."""
        arguments = plan.arguments
        self._hub = hub
        self.key, self.operation, self.plan, self.subject = key, operation, plan, subject
        self.service_sid: str = arguments["serviceSid"]
        self._conversations: tuple[str, ...] | None = arguments.get("conversationSids")
        self._messages: tuple[str, ...] | None = arguments.get("messageSids")
        chosen = self._messages if self._messages is not None else self._conversations
        self.places: list[Place] = [(plan.field, self.service_sid, sid) for sid in (chosen or ("",))]
        """Where it is registered."""
        self.members: dict[Subscription, None] = {}
        self.unpolled: frozenset[str] = frozenset()
        """The conversations that have to be polled before the members start."""
        self._gone: frozenset[str] = frozenset()
        """Conversations that no longer exist."""
        self._watches: tuple[Callable[[], None], ...] = ()
        """Stop polling."""
        self._work: _Work | None = None
        """None while there is nothing to do, which is most of the time."""
        self._ready: tuple[str, bool, Payload] | None = None
        """The last `DeliveriesReady` that several members were sent, with its cursor and `refetch`."""

    def __repr__(self) -> str:
        starting = sum(not member.is_open for member in self.members)
        work = self._work or _Work()
        state = f", {starting} starting" if starting else ""
        return (
            f"{len(self.members)} to {self.subject}{state}, {len(work.in_order)} executing, {len(work.waiting)} waiting"
        )

    def matches(self, update: Update) -> bool:
        """Whether the arguments choose an update."""
        if field_of(update) != self.plan.field:
            return False
        _, service, _, conversation, _, message, *_ = update.event.path.split("/")
        return (
            service == self.service_sid
            and (self._conversations is None or conversation in self._conversations)
            and (self._messages is None or message in self._messages)
        )

    # Members

    def open(self) -> None:
        """Let the conversations that are named be polled."""
        polling = self._hub.polling
        if polling is None or self._conversations is None:
            return
        paths = [f"Services/{self.service_sid}/Conversations/{sid}" for sid in self._conversations]
        if not self._hub.has_webhooks:
            self.unpolled = frozenset(paths)
        self._watches = tuple(polling.watch(path, self) for path in paths)

    def close(self) -> None:
        """Stop everything, since no member is left."""
        watches, self._watches = self._watches, ()
        for stop in watches:
            stop()
        work, self._work = self._work, None
        for payload, waiter in work.waiters.items() if work is not None else ():
            waiter.cancel()
            payload.is_executing = False  # A subscription that has ended may still have to take it.

    def start(self, member: Subscription) -> None:
        """Send `DeliveriesReady` to a new member, and after its cursor the events since."""
        hub, position = self._hub, self._hub.position
        found = hub.after(member.after, self.matches) if member.after is not None else None
        past = [PositionedUpdate(update, encode_position(reached, self.subject)) for update, reached in found or ()]
        if past and member.after is not None:
            position = member.after  # None of the events that follow is missed, if the connection ends before them.
        member.is_open, member.since, member.after = True, hub.sequence, None
        hub.counts["refetch" if found is None else "replayed"] += 1
        member.push("", self._ready_payload(position, refetch=found is None))
        if member in self.members:  # Its subscriber may leave when it takes that.
            member.replay(past)

    def leave(self, subscription: Subscription, ended: EndReason | None) -> None:
        """Remove a member that ends, or that its subscriber leaves; no effect on one that has ended."""
        if subscription in self.members:
            self._hub.leave(self, subscription, ended)
            if ended is not None:
                subscription.end(ended)

    def complete(self, member: Subscription, error: GatewayError) -> None:
        """End the subscription of a member for good, with an error; no effect on one that has ended."""
        if member not in self.members:  # Such as one that has left together with another one of its connection.
            return
        body = orjson.dumps({"data": None, "errors": [Failure(error).as_json()]})
        self._hub.leave(self, member, EndReason.COMPLETE)
        member.end(EndReason.COMPLETE, Payload(None, body))

    # Events

    def add(self, event: PositionedUpdate) -> None:
        """Execute an event in its turn; one of the same record that waits is merged into it."""
        work = self._needed_work()
        path = event.update.event.path
        earlier = work.waiting.pop(path, None)
        work.waiting[path] = self._hub.sequence, event if earlier is None else event.after(earlier[1])
        self.advance()

    def advance(self) -> None:
        """Execute the events that wait, as many as may be executed at the same time, and send them in order."""
        work = self._work
        while work is not None and work.waiting:
            if len(work.in_order) >= _EXECUTING_MAX or not self._hub.may_execute(self):
                return
            path = next(iter(work.waiting))
            number, event = work.waiting.pop(path)
            payload = Payload(event)
            work.in_order.append((number, payload))
            self.execute(payload)
            self._send()
            work = self._work

    def _send(self) -> None:
        """Send the events that have been executed, in order."""
        while (work := self._work) is not None and work.in_order and work.in_order[0][1].body is not None:
            number, payload = work.in_order.popleft()
            assert isinstance(payload.event, PositionedUpdate)
            update = payload.event.update
            members = [member for member in self.members if member.is_open and member.since < number]
            self._hub.delivered(update, len(members))
            for member in members:
                member.push(update.event.path, payload)
        if self._work is not None and self._work.is_done:
            self._work = None

    def tell_loss(self) -> None:
        """Tell the members that events may have been lost."""
        payload = self._ready_payload(self._hub.position, refetch=True)
        members = [member for member in self.members if member.is_open]
        self._hub.counts["refetch"] += len(members)
        for member in members:
            member.push(READY, payload)

    def payload_of(self, event: PositionedUpdate) -> Payload:
        """Return the payload of an event that differs from the one that all members are sent; equal ones are shared."""
        shared = self._needed_work().shared
        key = event.cursor, event.update.before, event.update.event.change
        payload = shared.get(key)
        if payload is None:
            payload = shared[key] = Payload(event)
        return payload

    def execute(self, payload: Payload) -> None:
        """Execute a payload, unless that is under way; those that wait for it are notified."""
        if payload.is_executing:
            return
        payload.is_executing = True

        def done(outcome: Outcome | Exception) -> None:
            if self._work is not None:
                self._work.waiters.pop(payload, None)
            self._executed(payload, outcome)

        try:
            event = self._event_of(payload)
        except Exception as error:
            done(error)
            return
        waiter = self._hub.execute(self, event, done)
        if waiter is not None:
            self._needed_work().waiters[payload] = waiter

    def _needed_work(self) -> _Work:
        if self._work is None:
            self._work = _Work()
        return self._work

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
            if outcome.incomplete is not None and isinstance(payload.event, PositionedUpdate):
                self._hub.check_exists(self, payload.event.update, outcome.incomplete)
        else:
            payload.body = self._replaced(payload, outcome)
        waiting, payload.waiting = payload.waiting, []
        for subscription in waiting:
            subscription.notify()
        if self._work is not None and self._work.in_order:
            self._send()
            self.advance()

    def _replaced(self, payload: Payload, error: Exception) -> bytes:
        """Return what is sent for an event that could not be executed because of a bug: `DeliveriesReady`."""
        _logger.error("event not executed", field=self.plan.field, **raised_at(error))
        if isinstance(payload.event, PositionedUpdate):
            ready = self._ready_payload(self._hub.position, refetch=True)
            if ready.body is not None:
                return ready.body
        return b'{"data":{}}'

    def _ready_payload(self, position: Position, *, refetch: bool) -> Payload:
        hub, cursor = self._hub, encode_position(position, self.subject)
        if self._ready is not None and self._ready[:2] == (cursor, refetch):
            return self._ready[2]
        polling = hub.polling if self._conversations is not None else None
        seconds = whole_seconds(polling.seconds) if polling is not None else None
        event: DeliveriesReady = deliveries_ready(
            cursor, refetch=refetch, webhooks=hub.has_webhooks, poll_seconds=seconds
        )
        payload = Payload(event)
        self.execute(payload)
        self._ready = (cursor, refetch, payload) if len(self.members) > 1 else None
        return payload

    # Polls

    def on_first_poll(self, path: str) -> None:
        """Start the members once every conversation has been polled."""
        if path in self.unpolled:
            self.unpolled -= {path}
            if not self.unpolled:
                for member in [member for member in self.members if not member.is_open]:
                    if member in self.members:  # Else it has left together with an earlier one.
                        self.start(member)

    def on_restart(self, path: str) -> None:
        """Tell the members that changes may have been missed, unless webhooks report them."""
        if not self._hub.has_webhooks and path not in self.unpolled:
            self.tell_loss()

    def on_gone(self, path: str, error: GatewayError) -> None:
        """End the subscriptions if the service is gone, or the last of their conversations."""
        _, service, *below = path.split("/")
        if service != self.service_sid:
            return
        self._gone |= {*below[1:]}
        if not below or (self._conversations is not None and self._gone.issuperset(self._conversations)):
            self.end(error)

    def path_of(self, update: Update) -> str:
        """Return the path of what the subscriptions end with: the update's conversation if they name some, or the service."""
        segments = update.event.path.split("/")
        return "/".join(segments[: 2 if self._conversations is None else 4])

    def end(self, error: GatewayError) -> None:
        """End the subscriptions for good."""
        for member in list(self.members):
            self.complete(member, error)

"""Publication: the processes of one account pass each other the events that they accept.

The workers of one `serve` are connected by sockets (`worker_channel.py`); several machines share a stream in Redis or Valkey
(`redis_stream.py`). An event is applied as soon as it arrives: over both, late, or again after a reconnection, it is merged
forward like any other. While a channel is down, this process applies its events alone, and publishes them when it is back.

Subscribers are sent an event later than it is applied, in the order of arrival:

    the stream    subscribers    when an event is delivered to them
    connected     some           when every process that reads the stream has applied it, after a second at the latest
    connected     none           after a second: it is only added to the history
    away, none    some or none   at once

So no query that begins after an event was sent to a subscriber is answered with older records, at any process; and none that
begins after `DeliveriesReady` lacks an event that is not sent after it.

Messages are numbered by the process that accepted them, so that each is applied once, and a gap shows. After a gap, and when
the stream is back, events may have been lost: subscribers are told.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
import structlog

from gateway.errors import raised_at
from gateway.source.history import History
from gateway.source.journal import Before, Update
from gateway.source.updates import Updates
from gateway.twilio.events import Event

__all__ = ["Channel", "Message", "Publication"]

_logger = structlog.get_logger("gateway")

_EVENT = "event"
_POSITION = "position"
_LOSS = "loss"
_DELIVER_SECONDS = 1.0
"""After which an event is delivered that the stream has not confirmed."""
_TIMER_SECONDS = 0.02
"""The least time between two checks for such events."""
_AT_ONCE = 32
"""Events that are delivered in one turn of the event loop: in the next, subscribers take them."""


class Message(msgspec.Struct, array_like=True):
    """A value that one process sends to the others."""

    kind: str
    """`event`, `position`, `loss`, or a kind that another room has added with `Publication.on_message`."""
    body: msgspec.Raw
    """The value in MessagePack."""
    origin: bytes = b""
    """The process that accepted an event, or had a loss."""
    number: int = 0
    """The number of an event among those of its origin, from 1 on; 0 from a version that did not number them."""
    before: Before | None = None
    """What its origin knew before the event."""


class Channel(Protocol):
    """A connection to other processes. None of its methods waits or raises."""

    def publish(self, message: Message, update: Update | None) -> None:
        """Send a message to the other processes; with an event, `update` is its update."""


class _Delivery(msgspec.Struct, gc=False):
    """What waits to be delivered: an event, or the position of another process."""

    origin: bytes
    number: int
    update: Update | None
    at: float
    """When it arrived, in seconds of a monotonic clock."""
    is_position: bool = False
    is_after_gap: bool = False


class Publication:
    """Applies the events that this process accepts, and publishes those that add to the journal."""

    def __init__(self, updates: Updates, history: History | None = None) -> None:
        """Apply events to `updates`, and add them to `history` as they are delivered."""
        self.counts: Counter[str] = Counter({"published": 0, "received": 0, "dropped": 0})
        """Events that were sent to other processes, received from them, and not sent since a channel was down for too long."""
        self.is_stream_up: bool | None = None
        """Whether the stream that machines share is connected; None without one, and before its first response."""
        self.origin = secrets.token_bytes(8)
        """Names this process."""
        self.history = history if history is not None else History()
        """The events that were delivered."""
        self.history.begin(self.origin, 0)
        self.on_event: Callable[[Update], None] = _ignore
        """Called with the update of each event that is delivered to subscribers."""
        self.on_loss: Callable[[], None] = _ignore
        """Called when events may have been lost."""
        self._updates = updates
        self._number = 0
        self._channels: list[Channel] = []
        self._on_message: dict[str, Callable[[msgspec.Raw], None]] = {}
        self._received: dict[bytes, int] = {}
        """The number of the last event that was received of each other process."""
        self._waiting: deque[_Delivery] = deque()
        """What is not yet delivered, in the order of arrival."""
        self._confirmed: dict[bytes, int] = {}
        """The number of the last event of each process that every other has applied."""
        self._timer: asyncio.TimerHandle | None = None
        self._is_overdue = False
        """Whether the stream did not confirm the last events in time."""
        self._is_observed = False
        self._left = _AT_ONCE
        """Events that may be delivered in this turn of the event loop."""

    @property
    def complete_since(self) -> float:
        """Seconds since the epoch: a value that was read since is merged with every event that has been applied."""
        return self._updates.complete_since

    @property
    def is_observed(self) -> bool:
        """Whether there are subscribers."""
        return self._is_observed

    @is_observed.setter
    def is_observed(self, value: bool) -> None:
        self._is_observed = value
        self._deliver()

    def add(self, channel: Channel) -> None:
        """Publish to one more channel."""
        self._channels.append(channel)

    def on_message(self, kind: str, receive: Callable[[msgspec.Raw], None]) -> None:
        """Call `receive` with the body of each message of a kind that arrives."""
        self._on_message[kind] = receive

    def apply(self, event: Event, before: Before | None = None) -> Update | None:
        """Apply an event that this process has accepted, and publish it unless it adds nothing.

        `before` is what was known before, if the record has been read since.
        """
        update = self._updates.apply(event, before)
        if update is not None:
            self._number += 1
            if self._channels:
                self.counts["published"] += 1
                self._send(_event_message(self.origin, self._number, update), update)
            self._add(self.origin, self._number, update)
        return update

    def send(self, kind: str, value: Any) -> None:
        """Send a value of another kind to the other processes."""
        if self._channels:
            self._send(Message(kind, _packed(value)), None)

    def receive(self, message: Message) -> None:
        """Receive a message of another process. A body that cannot be decoded is logged and ignored."""
        try:
            if message.kind in {_EVENT, _LOSS}:
                self._receive_event(message)
            elif message.kind == _POSITION:
                self._receive_position(message)
            elif message.kind in self._on_message:  # Else it is of a later version.
                self._on_message[message.kind](message.body)
        except msgspec.DecodeError:
            _logger.warning("message not read", kind=message.kind)

    def greeting(self) -> list[Message]:
        """Return the recent events as messages, for a process that starts or connects again, and this one's position."""
        past = [_event_message(each.origin, each.number, each.update) for each in self.history.all()]
        waiting = [
            _event_message(each.origin, each.number, each.update)
            for each in self._waiting
            if each.update is not None and each.number
        ]
        return [*past, *waiting, Message(_POSITION, _packed(None), self.origin, self._number)]

    # What the stream reports

    def confirm(self, origin: bytes, number: int) -> None:
        """Deliver the events of an origin up to a number: all processes that read the stream have applied them."""
        self._confirmed[origin] = max(number, self._confirmed.get(origin, 0))
        self._deliver()
        if not self._waiting:
            self._is_overdue = False

    def set_stream_up(self, is_up: bool) -> None:
        """Record whether the stream is connected."""
        self.is_stream_up = is_up
        self._deliver()

    def lose(self) -> None:
        """Tell subscribers that events of other processes may have been lost, and replay nothing after earlier positions.

        The loss takes a number, so that positions at other processes show whether they are from before or after it.
        """
        self._number += 1
        self._send(Message(_LOSS, _packed(None), self.origin, self._number), None)
        self._add(self.origin, self._number, None, is_position=True, is_after_gap=True)

    # Delivery

    def _receive_event(self, message: Message) -> None:
        event = msgspec.msgpack.decode(message.body, type=Event) if message.kind == _EVENT else None
        origin, number = message.origin, message.number
        last = self._received.get(origin)
        if origin == self.origin or (number and last is not None and number <= last):
            return  # It has arrived before, over another channel.
        self._received[origin] = number
        update = None
        if event is not None:
            self.counts["received"] += 1
            update = self._updates.apply(event, self._updates.before(event.path).filled(message.before))
        self._add(origin, number, update, is_after_gap=last is not None and number > last + 1)

    def _receive_position(self, message: Message) -> None:
        """Receive the number of the last event of another process, which it sends after its recent ones."""
        last = self._received.get(message.origin)
        if last is None or message.number > last:
            self._received[message.origin] = message.number
            self._add(message.origin, message.number, None, is_position=True, is_after_gap=last is not None)

    def _add(self, origin: bytes, number: int, update: Update | None, **kinds: bool) -> None:
        self._waiting.append(_Delivery(origin, number, update, time.monotonic(), **kinds))
        self._deliver()

    @property
    def _must_wait(self) -> bool:
        return self.is_stream_up is True and not self._is_overdue

    def _deliver(self) -> None:
        """Deliver what waits, as far as it need not wait any longer."""
        waiting, must_wait, now = self._waiting, self._must_wait, time.monotonic()
        while waiting and (self._left > 0 or not self._is_observed):
            first = waiting[0]
            is_confirmed = first.is_position or first.number <= self._confirmed.get(first.origin, 0)
            if must_wait and not is_confirmed and now - first.at < _DELIVER_SECONDS:
                break
            waiting.popleft()
            if self._is_observed:
                if self._left == _AT_ONCE:
                    asyncio.get_running_loop().call_soon(self._continue)
                self._left -= 1
            if first.is_position:
                self.history.begin(first.origin, first.number)
            elif first.number and not self.history.add(first.origin, first.number, first.update):
                self._number += 1
                self._send(Message(_LOSS, _packed(None), self.origin, self._number), None)
                self.history.begin(self.origin, self._number)
            if first.update is not None:
                self._notify(self.on_event, first.update)
            if first.is_after_gap:
                self._notify(self.on_loss)
        if self._timer is not None and not waiting:
            self._timer.cancel()
            self._timer = None
        elif self._timer is None and waiting:
            left = waiting[0].at + _DELIVER_SECONDS - now
            self._timer = asyncio.get_running_loop().call_later(max(_TIMER_SECONDS, left), self._expire)

    def _continue(self) -> None:
        """Deliver more, in the next turn of the event loop."""
        self._left = _AT_ONCE
        self._deliver()

    def _expire(self) -> None:
        """Deliver what the stream has not confirmed in time, and do not wait for it until it confirms again."""
        self._timer = None
        if self._is_observed and self._must_wait and self._waiting:
            self._is_overdue = self._waiting[0].at + _DELIVER_SECONDS <= time.monotonic()
        self._deliver()

    def _notify(self, listener: Callable[..., None], *arguments: Any) -> None:
        try:
            listener(*arguments)
        except Exception as error:  # The other processes, and the other events, are not affected.
            _logger.error("event not delivered", **raised_at(error))

    def _send(self, message: Message, update: Update | None) -> None:
        for channel in self._channels:
            channel.publish(message, update)


def _event_message(origin: bytes, number: int, update: Update) -> Message:
    return Message(_EVENT, _packed(update.event), origin, number, update.before)


def _packed(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.msgpack.encode(value))


def _ignore(*_: Any) -> None:
    """Do nothing."""

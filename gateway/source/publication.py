"""Publication: the processes of one account pass each other the events that they accept.

The workers of one `serve` are connected by sockets (`worker_channel.py`); several machines share a stream in Redis or Valkey
(`redis_stream.py`). An event may arrive over both, late, or again after a reconnection: it is merged forward like any other.
While a channel is down, this process applies its events alone, and publishes them when it is back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
import structlog

from gateway.source.journal import Update
from gateway.source.updates import Updates
from gateway.twilio.events import Event

__all__ = ["Channel", "Message", "Publication"]

_logger = structlog.get_logger("gateway")

_EVENT = "event"


class Message(msgspec.Struct, array_like=True):
    """A value that one process sends to the others."""

    kind: str
    """`event`, or a kind that another room has added with `Publication.on_message`."""
    body: msgspec.Raw
    """The value in MessagePack."""


class Channel(Protocol):
    """A connection to other processes. None of its methods waits or raises."""

    def publish(self, message: Message, update: Update | None) -> None:
        """Send a message to the other processes; with an event, `update` is its update."""


class Publication:
    """Applies the events that this process accepts, and publishes those that add to the journal."""

    def __init__(self, updates: Updates) -> None:
        """Apply events to `updates`."""
        self.counts: Counter[str] = Counter({"published": 0, "received": 0, "dropped": 0})
        """Events that were sent to other processes, received from them, and not sent since a channel was down for too long."""
        self.is_stream_up: bool | None = None
        """Whether the stream that machines share is connected; None without one, and before its first response."""
        self._updates = updates
        self._channels: list[Channel] = []
        self._on_message: dict[str, Callable[[msgspec.Raw], None]] = {_EVENT: self._receive_event}

    def add(self, channel: Channel) -> None:
        """Publish to one more channel."""
        self._channels.append(channel)

    def on_message(self, kind: str, receive: Callable[[msgspec.Raw], None]) -> None:
        """Call `receive` with the body of each message of a kind that arrives."""
        self._on_message[kind] = receive

    def apply(self, event: Event) -> Update | None:
        """Apply an event that this process has accepted, and publish it unless it adds nothing."""
        update = self._updates.apply(event)
        if update is not None and self._channels:
            self.counts["published"] += 1
            self._send(_EVENT, event, update)
        return update

    def send(self, kind: str, value: Any) -> None:
        """Send a value of another kind to the other processes."""
        if self._channels:
            self._send(kind, value, None)

    def receive(self, message: Message) -> None:
        """Receive a message of another process. A body that cannot be decoded is logged and ignored."""
        receive = self._on_message.get(message.kind)
        if receive is None:  # Of a later version.
            return
        try:
            receive(message.body)
        except msgspec.DecodeError:
            _logger.warning("message not read", kind=message.kind)

    def greeting(self) -> list[Message]:
        """Return the recent events as messages, for a process that starts or connects again."""
        return [_message(_EVENT, event) for event in self._updates.events()]

    def _send(self, kind: str, value: Any, update: Update | None) -> None:
        message = _message(kind, value)
        for channel in self._channels:
            channel.publish(message, update)

    def _receive_event(self, body: msgspec.Raw) -> None:
        self.counts["received"] += 1
        self._updates.apply(msgspec.msgpack.decode(body, type=Event))


def _message(kind: str, value: Any) -> Message:
    return Message(kind, msgspec.Raw(msgspec.msgpack.encode(value)))

"""Streams: connections that stay open for subscriptions, how many there are, and how each of them ends.

Every transport is thin: it takes payloads from a subscription while its peer reads, and ends as this table says. Only a
subscription that is over for good is completed, since clients do not ask again for a completed one. `ENDINGS` is this table
for programs; `close` is a WebSocket close code (https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md).

| reason | what happened | WebSocket | server-sent events | multipart |
|---|---|---|---|---|
| `complete` | over for good | `next` with the error, `complete` | the same | the same, closing boundary |
| `restart` | the gateway stops | close 1012 | cut | null and an error, closing boundary |
| `too_slow` | the peer does not read | close 1013 | cut | cut |
| `token` | expired or withdrawn | close 4403 | error, `complete` | error, closing boundary |
| `failed` | a fault of the gateway | close 1013 | cut | cut |
| `refused` | against the protocol; full | close 44xx; 1013 | – | – |
| `dead` | the peer does not answer | cut | cut | cut |
| `left` | the client closed it | – | – | – |

Clients come back by themselves after 1012, 1013, 4403 and a cut (graphql-ws, graphql-sse); they do not after 1011, 4400, 4401,
4406, 4409, 4429 and 4500, and never need to be told 1000.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from gateway.accounts.subscriptions import EndReason
from gateway.callers.callers import Caller, Callers
from gateway.errors import GatewayError, Overloaded, Unauthenticated

__all__ = ["ENDINGS", "REASONS", "End", "Ending", "Last", "Stream", "StreamLimits", "Streams", "error_of"]


class End(Enum):
    """Why a stream ended: the value is the label in metrics and in the log."""

    COMPLETE = "complete"
    RESTART = "restart"
    TOO_SLOW = "too_slow"
    TOKEN = "token"
    LEFT = "left"
    DEAD = "dead"
    FAILED = "failed"
    REFUSED = "refused"


class Last(Enum):
    """What a response that is sent in events ends with."""

    CUT = "cut"
    """Nothing: the connection is closed within the body."""
    COMPLETE = "complete"
    """The end of the body, marked as the format has it."""
    ERROR = "error"
    """A payload with the error, then the end of the body."""
    TRANSPORT_ERROR = "transport error"
    """The error beside a payload of null, then the end of the body: multipart clients take it for the connection's."""


class Ending(NamedTuple):
    """How each transport ends."""

    close: int | None
    """The close code of a WebSocket; None where the socket stays, or is cut."""
    events: Last
    parts: Last


ENDINGS = {
    End.COMPLETE: Ending(None, Last.COMPLETE, Last.COMPLETE),
    End.RESTART: Ending(1012, Last.CUT, Last.TRANSPORT_ERROR),
    End.TOO_SLOW: Ending(1013, Last.CUT, Last.CUT),
    End.TOKEN: Ending(4403, Last.ERROR, Last.ERROR),
    End.LEFT: Ending(None, Last.CUT, Last.CUT),
    End.DEAD: Ending(None, Last.CUT, Last.CUT),
    End.FAILED: Ending(1013, Last.CUT, Last.CUT),
    End.REFUSED: Ending(1013, Last.COMPLETE, Last.COMPLETE),
}

REASONS = {
    EndReason.COMPLETE: End.COMPLETE,
    EndReason.RESTART: End.RESTART,
    EndReason.TOO_SLOW: End.TOO_SLOW,
}
"""What the account says of a subscription that has ended."""

_TEXTS = {
    End.RESTART: "The gateway restarts. Subscribe again.",
    End.TOO_SLOW: "The client does not read what is sent to it. Subscribe again.",
    End.TOKEN: "The token has expired or was withdrawn. Subscribe again with a new one.",
    End.FAILED: "The gateway failed. Subscribe again.",
}


def error_of(reason: End) -> GatewayError:
    """Return the error that clients are shown for a stream that ended for this reason."""
    return Unauthenticated(_TEXTS[reason]) if reason is End.TOKEN else Overloaded(_TEXTS[reason])


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """The limits on streams of one process."""

    heartbeat: float = 12.0
    """Seconds between heartbeats of server-sent events and multipart."""
    sockets: int = 10_000
    """WebSockets that may be open."""
    sockets_per_second: int = 2_000
    """WebSockets that may be opened in a second."""
    operations_per_socket: int = 100
    """Operations in progress on one socket, subscriptions included."""


class Stream(Protocol):
    """An open socket, or a response that is sent in events."""

    caller: Caller | None
    """Who opened it; None before that is known."""

    @property
    def transport(self) -> str:
        """`websocket`, `sse` or `multipart`."""

    def end(self, reason: End) -> None:
        """End it as `ENDINGS` says; a second call has no effect."""

    def stall(self, seconds: float | None) -> None:
        """Send nothing for some seconds, or as long as it is open: clients are tested with this."""


class Streams:
    """The open streams of this process."""

    def __init__(self, callers: Callers, limits: StreamLimits | None = None) -> None:
        """Create the registry. Streams of callers whose tokens expire or are withdrawn are ended."""
        self.limits = limits or StreamLimits()
        self.is_draining = False
        """Whether new streams are refused, since the gateway is about to stop."""
        self.opened: Counter[str] = Counter()
        """Open streams by transport."""
        self.ended: Counter[tuple[str, str]] = Counter()
        """Streams that have ended, by transport and reason."""
        self.on_payload: Callable[[Stream, bytes], object] | None = None
        """Called before a payload is sent; it may end the stream, or stall it."""
        self._callers = callers
        self._open: dict[Stream, asyncio.TimerHandle | None] = {}
        """The open streams, each with the timer of its token's end."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._allowance = float(self.limits.sockets_per_second)
        self._allowance_at = time.monotonic()
        callers.on_replace = self._on_callers_replaced

    def refusal(self) -> str | None:
        """Return why one more socket is refused, in words for its close frame; None if it may be opened."""
        now, rate = time.monotonic(), self.limits.sockets_per_second
        self._allowance = min(rate, self._allowance + (now - self._allowance_at) * rate)
        self._allowance_at = now
        if self.opened["websocket"] >= self.limits.sockets:
            return "The gateway has too many open sockets. Try again."
        if self._allowance < 1:
            return "Too many sockets are opened at once. Try again."
        self._allowance -= 1
        return None

    def check_drain(self) -> None:
        """Raise `Overloaded` while the gateway is about to stop."""
        if self.is_draining:
            raise Overloaded("The gateway is about to stop. Try again in a second.")

    def add(self, stream: Stream) -> None:
        """Add a stream that has opened."""
        self._loop = asyncio.get_running_loop()
        self._open[stream] = None
        self.opened[stream.transport] += 1
        self.identified(stream)

    def identified(self, stream: Stream) -> None:
        """End a stream, whose caller has become known, when the caller's token expires."""
        caller = stream.caller
        if caller is not None and caller.expires_at is not None and stream in self._open:
            seconds = max(0.0, caller.expires_at - time.time())
            self._open[stream] = asyncio.get_running_loop().call_later(seconds, stream.end, End.TOKEN)

    def remove(self, stream: Stream, reason: End) -> None:
        """Remove a stream that has ended."""
        timer = self._open.pop(stream)
        if timer is not None:
            timer.cancel()
        self.opened[stream.transport] -= 1
        self.ended[stream.transport, reason.value] += 1

    def drain(self, seconds: float) -> None:
        """Refuse new streams, and end those that are open, spread evenly over `seconds`, so that not all come back at once."""
        self.is_draining = True
        streams = list(self._open)
        for index, stream in enumerate(streams):
            if seconds:
                asyncio.get_running_loop().call_later(seconds * index / len(streams), stream.end, End.RESTART)
            else:
                stream.end(End.RESTART)

    def _on_callers_replaced(self) -> None:
        """End the streams of withdrawn tokens. The tokens may be replaced in another thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end_withdrawn)

    def _end_withdrawn(self) -> None:
        """End the streams whose token is not accepted any more; the others have the rights that it has now."""
        for stream in list(self._open):
            if stream.caller is not None:
                current = self._callers.current(stream.caller)
                if current is None:
                    stream.end(End.TOKEN)
                else:
                    stream.caller = current

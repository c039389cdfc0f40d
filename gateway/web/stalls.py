"""Connections that stall: they stay open, and what is written to them waits. So do those of a network that loses packets."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.web.events import Body
    from gateway.web.sockets import Wire

__all__ = ["StalledBody", "StalledWire"]


class StalledWire:
    """A `Wire` that stalls."""

    is_paused = True

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._waiting: list[bytes] = []

    def send(self, text: bytes) -> None:
        """Let a text message wait."""
        self._waiting.append(text)

    def close(self, code: int, reason: str) -> None:
        """Close the socket."""
        self._wire.close(code, reason)

    def cut(self) -> None:
        """Close the connection."""
        self._wire.cut()

    def flush(self) -> Wire:
        """Send what waits, and return the wire to send through from now on."""
        for text in self._waiting:
            self._wire.send(text)
        return self._wire


class StalledBody:
    """A `Body` that stalls."""

    is_paused = True

    def __init__(self, body: Body) -> None:
        self._body = body
        self._waiting: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Let a part of the body wait."""
        self._waiting.append(data)

    def finish(self) -> None:
        """Close the connection: its peer has not received the body."""
        self._body.cut(at_once=True)

    def cut(self, *, at_once: bool) -> None:
        """Close the connection."""
        self._body.cut(at_once=at_once)

    def flush(self) -> Body:
        """Send what waits, and return the body to write to from now on."""
        for data in self._waiting:
            self._body.write(data)
        return self._body

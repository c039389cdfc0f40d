"""The channel between the workers of one `serve`: each is connected to every other over a Unix socket in a shared directory."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

import msgspec
import structlog

from gateway.source.journal import Update
from gateway.source.publication import Message

__all__ = ["WorkerChannel"]

_logger = structlog.get_logger("gateway")

_LENGTH = struct.Struct(">I")
_BUFFER_MAX = 16 * 2**20
"""Bytes that a worker may have still to read; beyond that it is disconnected, and catches up when it connects again."""
_MESSAGE_MAX = 2**20
_RECONNECT_SECONDS = 0.5
_SUFFIX = ".events"

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)


class WorkerChannel:
    """The connections of one worker to the others. Use it as an async context manager.

    A worker that starts connects to those that run. Both ends of a new connection first send what the other may have missed.
    """

    def __init__(
        self, directory: Path, receive: Callable[[Message], None], greeting: Callable[[], Iterable[Message]]
    ) -> None:
        """Share `directory` with the other workers; pass their messages to `receive`, and send `greeting` to each."""
        self._directory = directory
        self._receive = receive
        self._greeting = greeting
        self._path = directory / f"{uuid4().hex[:16]}{_SUFFIX}"
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> int:
        """The number of connections to other workers."""
        return len(self._writers)

    async def __aenter__(self) -> Self:
        # First listen, then look for others: of two that start together, at least one finds the other.
        self._server = await asyncio.start_unix_server(self._accept, self._path)
        for path in self._directory.glob(f"*{_SUFFIX}"):
            if path != self._path:
                self._start(self._dial(path))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._path.unlink(missing_ok=True)
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def publish(self, message: Message, update: Update | None) -> None:
        """Send a message to all other workers."""
        frame = _frame(message)
        for writer in list(self._writers):
            self._write(writer, frame)

    def _start(self, work: object) -> None:
        task = asyncio.ensure_future(work)  # type: ignore[call-overload]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _dial(self, path: Path) -> None:
        """Connect to a worker, and again whenever the connection ends, as long as that worker runs."""
        while _is_there(path):
            try:
                reader, writer = await asyncio.open_unix_connection(path)
            except (ConnectionRefusedError, FileNotFoundError):
                _remove(path)  # The worker was killed.
                return
            except OSError:
                pass
            else:
                await self._talk(reader, writer)
            await asyncio.sleep(_RECONNECT_SECONDS)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._start(self._talk(reader, writer))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send the greeting, and receive messages until the connection ends."""
        self._writers.add(writer)
        try:
            for message in self._greeting():
                self._write(writer, _frame(message))
            while True:
                (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                if length > _MESSAGE_MAX:
                    raise ConnectionError
                self._receive(_decoder.decode(await reader.readexactly(length)))
        except (asyncio.IncompleteReadError, OSError, msgspec.DecodeError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def _write(self, writer: asyncio.StreamWriter, frame: bytes) -> None:
        if writer.transport.get_write_buffer_size() > _BUFFER_MAX:
            _logger.warning("worker disconnected", reason="It does not read its events.")
            self._writers.discard(writer)
            writer.transport.abort()
        else:
            writer.write(frame)


def _is_there(path: Path) -> bool:
    return path.exists()


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _frame(message: Message) -> bytes:
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body

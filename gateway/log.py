"""The log: one line per event on standard error, as JSON unless it is a terminal.

Lines hold names, hashes, counts, times and codes; never variables, arguments, bodies, identities, addresses or tokens.
"""

import asyncio
import io
import logging
import os
import socket
import ssl
import sys
from collections.abc import MutableMapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, BinaryIO

import orjson
import structlog

__all__ = ["REQUEST_ID", "add_request_id", "configure_log", "network_cause"]

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request in progress, which every line logged for it has."""


def add_request_id(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add the request's id to a line of the log; a processor (https://www.structlog.org/en/stable/processors.html)."""
    request_id = REQUEST_ID.get()
    if request_id is not None:
        line["request_id"] = request_id
    return line


def _as_json(_: object, method: str, line: MutableMapping[str, Any]) -> bytes:
    """Return a line with its request id, level and time as JSON: one processor, since calling four takes longer than this."""
    request_id = REQUEST_ID.get()
    if request_id is not None:
        line["request_id"] = request_id
    line["level"] = method
    line["timestamp"] = datetime.now(UTC)  # Written in the format of structlog's `TimeStamper`.
    return orjson.dumps(line, default=repr, option=orjson.OPT_UTC_Z)


class _Lines:
    """Writes lines to a buffered file, which is flushed once in each turn of the event loop."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._flushed_in: asyncio.AbstractEventLoop | None = None
        """The event loop in which a flush is scheduled. If it was closed before, another loop schedules its own."""

    def msg(self, line: bytes) -> None:
        """Write one line; outside an event loop, flush it."""
        self._file.write(line + b"\n")
        if self._flushed_in is not None and not self._flushed_in.is_closed():
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._file.flush()
            return
        self._flushed_in = loop
        loop.call_soon(self._flush)

    debug = info = warning = error = critical = msg

    def _flush(self) -> None:
        self._flushed_in = None
        self._file.flush()


def _json_logger(number: int) -> Any:
    """Return the class of loggers that write JSON, from this level on (https://www.structlog.org/en/stable/custom-wrappers.html).

    A line of the level `info`, as every request has, takes the short way to the one processor: structlog's takes twice as long.
    """
    base: Any = structlog.make_filtering_bound_logger(number)

    class JsonLogger(base):  # type: ignore[misc]
        def info(self, event: str, *args: Any, **values: Any) -> None:
            if args or self._processors[0] is not _as_json:  # Tests put another in its place.
                super().info(event, *args, **values)
            else:
                self._logger.msg(_as_json(None, "info", {**self._context, **values, "event": event}))

    return JsonLogger if number <= logging.INFO else base


def _stderr() -> BinaryIO:
    """Return standard error with a buffer, also where PYTHONUNBUFFERED would make a system call of every line."""
    file = sys.stderr.buffer
    return open(file.fileno(), "wb", closefd=False) if isinstance(file, io.RawIOBase) else file


def configure_log(level: str) -> None:
    """Log lines of `level` (debug, info, warning, error) and above; those of libraries only from warning on."""
    shared: list[structlog.typing.Processor] = [add_request_id, structlog.processors.add_log_level]
    as_iso = structlog.processors.TimeStamper(fmt="iso", utc=True)
    is_terminal = sys.stderr.isatty()
    as_text: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if is_terminal else structlog.processors.JSONRenderer()
    )
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, as_iso, as_text] if is_terminal else [_as_json],
        wrapper_class=structlog.make_filtering_bound_logger(number) if is_terminal else _json_logger(number),
        logger_factory=(structlog.PrintLoggerFactory(sys.stderr) if is_terminal else lambda *_: _Lines(_stderr())),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, as_iso],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, as_text],
        )
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)


def network_cause(error: BaseException) -> str | None:
    """Return the network's failure that caused an error, in a few words without an address; None if there is none.

    Libraries raise errors of their own, whose texts have addresses.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, TimeoutError):
            return "timeout"
        if isinstance(cause, socket.gaierror):
            return "host not found"
        if isinstance(cause, ssl.SSLError):
            return "TLS failed"
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno).lower()
        cause = cause.__cause__ or cause.__context__
    return None

"""The channel between machines: a stream of events in Redis or Valkey, bounded in length.

https://redis.io/docs/latest/develop/data-types/streams/. Together with an event, one transaction marks the lists that it
concerns as changed by it. A process that has not received the event uses no body from the cache that was read before (see
`redis.py`); one that has merges the body with the event.

While the server is down, events wait to be published, up to a bound. When it is back, those of other processes are read, from
the last one on that was received. All are merged forward, so that an event which a later one has overtaken has no effect.

Each process keeps in a hash how far it has read the stream. An event is confirmed once all of them have read it, except those
that have not read for a while: they were stopped without a word.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import ceil
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.source.journal import Update
from gateway.source.publication import Message, Publication
from gateway.twilio.events import Change, Event
from gateway.twilio.paths import list_of, parent_of

__all__ = ["CHANGED", "Position", "RedisStream", "changed_lists"]

_logger = structlog.get_logger("gateway")

STREAM = "events"
CHANGED = "?changed"
READERS = "events?readers"
_WAITING_MAX = 10_000
_CHANGED_SECONDS = 150
"""For which a list is marked as changed: longer than the body of a list stays in the cache, or a read takes."""
_BATCH = 500
_BLOCK_SECONDS = 2.0
_TIMEOUT_SECONDS = 3.0
_BACKOFF_SECONDS = 1.0
_START_SECONDS = 1.0
_READERS_SECONDS = 60
"""For which a reader that says nothing stays in the hash."""
_SILENT_SECONDS = 3 * _BLOCK_SECONDS
"""After which a reader that says nothing has been stopped."""
_LAG_SECONDS = 0.25
"""For which an event waits for a reader that has not read it."""
_UNOBSERVED_SECONDS = 1.0
"""For which events can still be confirmed, when the first subscriber comes."""
_CANCEL_SECONDS = 0.05
"""After which a task that still runs is cancelled again."""
_ASK_SECONDS = (0.001, 0.032)
"""The first and the longest pause between two questions how far the readers are."""

_ADD = """
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'message', ARGV[1])
for place = 2, #KEYS do redis.call('SET', KEYS[place], ARGV[2] .. ' ' .. id, 'EX', ARGV[4]) end
"""
"""Adds an event to the stream, and marks lists as changed: with the time when it was received, and its id."""

_EntryId = tuple[int, int]
"""Milliseconds since the epoch, and a number among the entries of that millisecond."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)


class Position(NamedTuple):
    """Which events a process has applied."""

    milliseconds: int
    number: int
    """Together the id of the last one in the stream."""
    complete_since: float
    """Seconds since the epoch: a value that was read since is merged with all of them."""


class RedisStream:
    """The stream of one account. Use it as an async context manager."""

    def __init__(self, url: str, prefix: str, publication: Publication) -> None:
        """Connect to the server at `url`, and put `prefix`, which identifies the account, before every key."""
        self._publication = publication
        self._prefix = f"receipts-gateway:{prefix}:"
        self._name = publication.origin
        self._redis: Redis = Redis.from_url(
            url,
            protocol=2,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            socket_timeout=_TIMEOUT_SECONDS + _BLOCK_SECONDS,
            max_connections=4,
        )
        self._waiting: deque[tuple[Message, Update | None]] = deque()
        self._is_waiting = asyncio.Event()
        self._last_id = _stream_id(time.time() - publication.history.seconds)
        self._complete_since = time.time()
        """Seconds since the epoch: no event that was added since has been lost."""
        self._has_replayed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_closed = False
        self._failing: set[str] = set()
        """Which of reading, writing and confirming failed the last time."""
        self._unconfirmed: deque[tuple[_EntryId, float, bytes, int]] = deque()
        """The events that this process has read and that others may not have: id, time of reading, origin and number."""
        self._has_unconfirmed = asyncio.Event()
        self._readers: dict[bytes, tuple[bytes, float]] = {}
        """What each other reader said last, and when that was new, by the event loop's time."""
        self._lagging: dict[bytes, bytes] = {}
        """Readers that are not waited for until they say something else than this."""

    async def __aenter__(self) -> Self:
        works = {"read": self._read, "write": self._write, "confirm": self._confirm}
        self._tasks = [asyncio.create_task(self._repeat(name, work)) for name, work in works.items()]
        with suppress(TimeoutError):  # Without Redis, this process goes on alone.
            await asyncio.wait_for(self._has_replayed.wait(), _START_SECONDS)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_closed = True  # redis-py may turn a cancellation into an error.
        await _cancel(self._tasks)
        if self._publication.is_stream_up:
            with suppress(RedisError, OSError, TimeoutError):
                async with asyncio.timeout(_TIMEOUT_SECONDS):
                    if self._waiting:
                        await self._publish(list(self._waiting))
                    await self._redis.hdel(self._prefix + READERS, self._name)
        await self._redis.aclose()

    def publish(self, message: Message, update: Update | None) -> None:
        """Add a message with a number to the stream, in the background; others are for the workers of one machine."""
        if not message.number:
            return
        if len(self._waiting) >= _WAITING_MAX:
            self._waiting.popleft()
            self._publication.counts["dropped"] += 1
        self._waiting.append((message, update))
        self._is_waiting.set()

    def position(self) -> Position:
        """Return which events this process has applied."""
        return Position(*_entry_id(self._last_id), max(self._complete_since, self._publication.complete_since))

    async def _repeat(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Repeat some work; after an error, try again after a pause."""
        while not self._is_closed:
            try:
                await work()
            except (RedisError, OSError, TimeoutError) as error:
                self._set_failing({*self._failing, name}, type(error).__name__)
                await asyncio.sleep(_BACKOFF_SECONDS)
            else:
                self._set_failing(self._failing - {name})

    def _set_failing(self, failing: set[str], kind: str = "") -> None:
        """Record what fails, and log the first failure and the end of the last one."""
        if failing and not self._failing:
            _logger.warning("event stream away", kind=kind)
        elif self._failing and not failing:
            _logger.warning("event stream back")
        self._failing = failing
        if not failing and self._publication.is_stream_up is False:
            self._complete_since = time.time()
        if self._publication.is_stream_up is not (not failing):
            self._publication.set_stream_up(not failing)

    async def _read(self) -> None:
        """Say how far this process has read, and receive the events after that, up to one batch."""
        name, readers = self._prefix + STREAM, self._prefix + READERS
        may_wait = (
            self._has_replayed.is_set() and not self._failing
        )  # After a failure, to answer shows that all is well.
        block = int(_BLOCK_SECONDS * 1000) if may_wait else None
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.hset(readers, self._name, b"%b %d" % (self._last_id, time.time_ns()))
        pipeline.expire(readers, _READERS_SECONDS)
        pipeline.xread({name: self._last_id}, count=_BATCH, block=block)
        _, _, found = await pipeline.execute()
        if "read" in self._failing:  # Before the events are received that came after those which may have been lost.
            self._publication.lose()
        entries = found[0][1] if found else []
        for entry_id, fields in entries:
            self._last_id = entry_id
            self._receive_entry(entry_id, fields)
        if len(entries) < _BATCH:
            self._has_replayed.set()

    def _receive_entry(self, entry_id: bytes, fields: dict[bytes, bytes]) -> None:
        try:
            message = _decoder.decode(fields.get(b"message", b""))
        except msgspec.DecodeError:
            _logger.warning("message not read", kind="stream")
            return
        if not self._has_replayed.is_set():  # What happened before this process began: the others have read it.
            self._publication.confirm(message.origin, message.number)
        self._publication.receive(message)
        if message.number and self._has_replayed.is_set():
            now = asyncio.get_running_loop().time()
            self._unconfirmed.append((_entry_id(entry_id), now, message.origin, message.number))
            self._has_unconfirmed.set()

    async def _confirm(self) -> None:
        """Wait until an event has been read, and confirm it once all readers have read it."""
        await self._has_unconfirmed.wait()
        pause, longest = _ASK_SECONDS
        while self._unconfirmed:
            if not self._publication.is_observed:  # Nobody waits: there is nothing to ask.
                now = asyncio.get_running_loop().time()
                while self._unconfirmed and now - self._unconfirmed[0][1] > _UNOBSERVED_SECONDS:
                    self._unconfirmed.popleft()
                await asyncio.sleep(_UNOBSERVED_SECONDS / 20)
                continue
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                found: Any = await self._redis.hgetall(self._prefix + READERS)
            self._confirm_read_by(found)
            now = asyncio.get_running_loop().time()
            gone = [name for name, (_, since) in self._readers.items() if now - since > _READERS_SECONDS]
            if gone:
                await self._redis.hdel(self._prefix + READERS, *gone)
            if self._unconfirmed:
                await asyncio.sleep(pause)
                pause = min(2 * pause, longest)
        self._has_unconfirmed.clear()

    def _confirm_read_by(self, readers: dict[bytes, bytes]) -> None:
        """Confirm the events that all readers have read; those that are silent, or late with an event, do not count."""
        now, waiting = asyncio.get_running_loop().time(), self._unconfirmed
        self._readers = {
            name: self._readers[name] if self._readers.get(name, (b"",))[0] == said else (said, now)
            for name, said in readers.items()
            if name != self._name
        }
        counted = {
            name: _entry_id(said.partition(b" ")[0])
            for name, (said, since) in self._readers.items()
            if now - since < _SILENT_SECONDS and self._lagging.get(name) != said
        }
        while waiting:
            entry_id, read_at, origin, number = waiting[0]
            behind = [name for name, read in counted.items() if read < entry_id]
            if behind and now - read_at < _LAG_SECONDS:
                return
            for name in behind:
                self._lagging[name] = self._readers[name][0]
                del counted[name]
            waiting.popleft()
            self._publication.confirm(origin, number)

    async def _write(self) -> None:
        """Publish the events that wait, up to one batch; those that could not be published keep waiting."""
        await self._is_waiting.wait()
        batch = [self._waiting[place] for place in range(min(_BATCH, len(self._waiting)))]
        if batch:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                await self._publish(batch)
            for entry in batch:
                if self._waiting and self._waiting[0] is entry:  # Else it was dropped meanwhile.
                    self._waiting.popleft()
        if not self._waiting:
            self._is_waiting.clear()

    async def _publish(self, batch: list[tuple[Message, Update | None]]) -> None:
        pipeline, stream = self._redis.pipeline(transaction=True), self._prefix + STREAM
        history = self._publication.history
        for message, update in batch:
            changed = changed_lists(update.event) if update is not None else []
            lists = [f"{self._prefix}{list_path}{CHANGED}" for list_path in changed]
            received_at = repr(update.received_at) if update is not None else ""
            arguments: list[bytes | str | int] = [_encoder.encode(message), received_at, history.most, _CHANGED_SECONDS]
            pipeline.eval(_ADD, 1 + len(lists), stream, *lists, *arguments)
        # Events hold personal data: they are kept no longer than they are replayed.
        pipeline.xtrim(stream, minid=_stream_id(time.time() - history.seconds), approximate=False)
        pipeline.expire(stream, ceil(history.seconds))
        await pipeline.execute()


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel tasks, and wait until they have ended.

    redis-py sends within `asyncio.wait_for`, which loses a cancellation before Python 3.12 if the bytes have just been sent:
    https://github.com/python/cpython/issues/86296. A read that lost it would go on until the next event, so each is cancelled
    until it ends.
    """
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=_CANCEL_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)


def _stream_id(seconds: float) -> bytes:
    """Return the lowest id of an entry that is added at a time in seconds since the epoch."""
    return b"%d-0" % int(seconds * 1000)


def _entry_id(text: bytes) -> _EntryId:
    milliseconds, _, number = text.partition(b"-")
    return int(milliseconds), int(number or b"0")


def changed_lists(event: Event) -> list[str]:
    """Return the paths of the lists whose rows, or records, an event changes."""
    own = list_of(event.path)
    if own.endswith("/Receipts"):
        return [own, list_of(parent_of(event.path))]  # The message's summary.
    if event.change is Change.REMOVED and own.endswith("/Messages"):
        return [own, f"{event.path}/Receipts"]
    return [own]

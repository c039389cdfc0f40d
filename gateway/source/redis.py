"""The remote cache in Redis or Valkey, for several processes and machines: response bodies by key, and leases on reads.

It is optional at any time. Every question has a timeout; after one, the server is not asked for a while, which is counted, and
requests continue without it. An outage is logged when it begins, when its cause changes, and when it ends.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import struct
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ConnectionError,
    InvalidResponse,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from gateway.log import network_cause
from gateway.source.redis_stream import CHANGED, Position
from gateway.source.remote import Found
from gateway.twilio.paths import list_of, pseudonymized

__all__ = ["RedisCache"]

T = TypeVar("T")

_logger = structlog.get_logger("gateway")

_BACKOFF_SECONDS = 1.0  # For which a server that did not answer is not asked.
_CAUSES: dict[type[Exception], str] = {
    AuthenticationError: "authentication failed",
    AuthorizationError: "permission denied",
    BusyLoadingError: "it is still loading its data",
    ConnectionError: "connection lost",
    InvalidResponse: "it is not a Redis server",
    NoPermissionError: "permission denied",
    OutOfMemoryError: "it is out of memory",
    ReadOnlyError: "it is a read-only replica",
    ResponseError: "it rejects a command",
}
_LEASE_SECONDS = 3.0  # After which the read of a process that has not released its lease is started by another.

# For each key its body; without one, "+" if this process has the lease now, "-" if another one has. The second half of KEYS
# has, for each key, when an event changed its list, and the event's id. A body that was read before counts as absent, unless
# this process has applied the event and merges the body with it: ARGV ends with its `Position`.
_GET_OR_LEASE = """
local last, number, since = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local function is_outdated(value, changed)
  local read_at, at, id, place = struct.unpack('>d', value), string.match(changed, '^(%S+) ?(%d*)%-?(%d*)$')
  if read_at > tonumber(at) then return false end
  id, place = tonumber(id), tonumber(place)
  return not id or read_at < since or id > last or (id == last and place > number)
end
local values, found, count = redis.call('MGET', unpack(KEYS)), {}, #KEYS / 2
for place = 1, count do
  local key, value, changed = KEYS[place], values[place], values[count + place]
  if value and changed and is_outdated(value, changed) then value = false end
  if not value then
    local ours = redis.call('SET', key .. '?lease', ARGV[1], 'NX', 'PX', ARGV[2])
    value = (ours or redis.call('GET', key .. '?lease') == ARGV[1]) and '+' or '-'
  end
  found[place] = value
end
return found
"""
# Whether this process has a lease now: it had, or no other has.
_LEASE = """
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""
# Release the leases that this process still has.
_RELEASE = """
for _, key in ipairs(KEYS) do
  if redis.call('GET', key .. '?lease') == ARGV[1] then redis.call('DEL', key .. '?lease') end
end
"""
# The number of slots for a process, of a total: what it wants as far as the others leave it, and at least one.
_SHARE = """
local now, total, wanted = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local others = 0
local all = redis.call('HGETALL', KEYS[1])
for place = 1, #all, 2 do
  local held, until_ = string.match(all[place + 1], '(%d+) ([%d.]+)')
  if tonumber(until_) < now then
    redis.call('HDEL', KEYS[1], all[place])
  elseif all[place] ~= ARGV[1] then
    others = others + tonumber(held)
  end
end
local share = math.max(1, math.min(wanted, total - others))
redis.call('HSET', KEYS[1], ARGV[1], share .. ' ' .. (now + tonumber(ARGV[5])))
redis.call('EXPIRE', KEYS[1], 60)
return share
"""


class RedisCache:
    """The bodies that any process has read. Use it as an async context manager."""

    def __init__(self, url: str, prefix: str, *, secret: bytes = b"", timeout: float = 0.1) -> None:
        """Connect to the server at `url`, and put `prefix`, which identifies the account, before every key.

        In keys, a hash with `secret` (HMAC, RFC 2104) takes the place of names and of what identifies a person. `timeout` is in
        seconds, for every question.
        """
        self.counts: Counter[str] = Counter()
        """Questions by result: `answer`, `no answer`, and `not asked` while the server is down, or after closing."""
        self.position: Callable[[], Position] = _no_position
        """Returns which events this process has applied."""
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=8,
            timeout=None,  # The timeout of every question includes the wait for a connection.
            socket_connect_timeout=1.0,
            socket_timeout=1.0,
            retry=Retry(NoBackoff(), 1),  # Every connection that a restart has broken fails once.
        )
        self._timeout = timeout
        self._redis: Redis = Redis.from_pool(pool)
        self._prefix = f"receipts-gateway:{prefix}:"
        self._secret = secret
        self._name = secrets.token_hex(8)
        self._get_or_lease = self._redis.register_script(_GET_OR_LEASE)
        self._release = self._redis.register_script(_RELEASE)
        self._share = self._redis.register_script(_SHARE)
        self._lease = self._redis.register_script(_LEASE)
        self._down_until = 0.0
        self._failed_at = 0.0
        self._cause: str | None = None
        """Why the server does not answer; None while it does."""
        self._to_put: list[tuple[str, bytes, int]] = []
        self._to_release: list[str] = []
        self._writes: set[asyncio.Task[None]] = set()
        self._questions: set[asyncio.Future[Any]] = set()
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Writes end within the timeout. Cancelling one while it connects could leave a connection open.
        await asyncio.gather(*self._writes, return_exceptions=True)
        self._is_closed = True
        await asyncio.gather(*self._questions, return_exceptions=True)
        await self._redis.aclose()

    async def get_or_lease(self, keys: Sequence[str]) -> Found:
        """Return the bodies that are cached and the leases of the other keys; when the server is down, all are leased."""
        names = [self._named(key) for key in keys]
        names += [self._named(list_of(key)) + CHANGED for key in keys]
        values = await self._ask(lambda: self._get_or_lease(keys=names, args=self._arguments()))
        found = Found({}, set(), set())
        for key, value in zip(keys, values or [b"+"] * len(keys), strict=True):
            if value == b"+":
                found.leased.add(key)
            elif value == b"-":
                found.awaited.add(key)
            else:
                found.bodies[key] = _unpack(value)
        return found

    def put(self, key: str, read_at: float, body: bytes, seconds: float) -> None:
        """Cache a body for some seconds and release its lease, in the background; with 0 seconds, release the lease alone."""
        if seconds <= 0:
            self.release(key)
            return
        self._schedule_writes()
        self._to_put.append((self._named(key), struct.pack(">d", read_at) + body, max(1, int(seconds * 1000))))

    def release(self, key: str) -> None:
        """Release the lease of a key without a body, in the background."""
        self._schedule_writes()
        self._to_release.append(self._named(key))

    async def share(self, total: int, wanted: int, now: float, seconds: float) -> int | None:
        """Return how many of `total` slots this process may use for the next `seconds`; None when the server is down."""
        arguments: list[str | int | float] = [self._name, now, total, wanted, seconds]
        return cast(
            "int | None",
            await self._ask(lambda: self._share(keys=[self._prefix + "slots"], args=arguments)),
        )

    async def lease(self, name: str, seconds: float) -> bool:
        """Return whether this process has the lease `name` for the next `seconds`; it has, when the server is down."""
        keys, milliseconds = [f"{self._prefix}{name}?lease"], int(seconds * 1000)
        return await self._ask(lambda: self._lease(keys=keys, args=[self._name, milliseconds])) != 0

    async def probe(self) -> str | None:
        """Send the server what a read sends; return why that fails, in a few words, or None if it succeeds."""
        key = [f"{self._prefix}probe", f"{self._prefix}probe{CHANGED}"]
        try:
            await self._in_time(lambda: self._get_or_lease(keys=key, args=self._arguments()))
            await self._in_time(lambda: self._release(keys=key, args=[self._name]))
        except (RedisError, OSError, TimeoutError) as error:
            return _cause(error)
        return None

    def _named(self, key: str) -> str:
        """Return the name of a key on the server."""
        return self._prefix + pseudonymized(key, self._pseudonym)

    def _pseudonym(self, text: str) -> str:
        return hmac.digest(self._secret, text.encode(), "sha256").hex()[:32]

    def _arguments(self) -> list[str | int | float]:
        return [self._name, int(_LEASE_SECONDS * 1000), *self.position()]

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T | None:
        loop = asyncio.get_running_loop()
        if self._is_closed or loop.time() < self._down_until:
            self.counts["not asked"] += 1
            return None
        asked_at = loop.time()
        try:
            answer = await self._in_time(question)
        except (RedisError, OSError, TimeoutError) as error:
            self.counts["no answer"] += 1
            self._on_failure(asked_at, _cause(error))
            return None
        self.counts["answer"] += 1
        if self._cause is not None and asked_at >= self._failed_at:
            self._cause = None
            _logger.warning("redis available")
        return answer

    def _on_failure(self, asked_at: float, cause: str) -> None:
        """Do not ask for a while, and log the cause if it is new. Questions asked before another failed say nothing new."""
        now = asyncio.get_running_loop().time()
        self._down_until = now + _BACKOFF_SECONDS
        if self._cause is None or (cause != self._cause and asked_at >= self._failed_at):
            _logger.warning("redis unavailable", cause=cause)
            self._cause = cause
        self._failed_at = now

    async def _in_time(self, question: Callable[[], Awaitable[T]]) -> T:
        """Return the answer; raises `TimeoutError`.

        The wait has two halves: when this process was busy, the first timer may fire before an answer is seen that arrived in
        time, and the second leaves the event loop a turn to see it.
        """
        asking = asyncio.ensure_future(question())
        self._questions.add(asking)
        asking.add_done_callback(self._questions.discard)
        try:
            for _ in range(2):
                done, _ = await asyncio.wait({asking}, timeout=self._timeout / 2)
                if done:
                    return asking.result()
        finally:
            asking.cancel()
        raise TimeoutError

    def _schedule_writes(self) -> None:
        """Schedule one request for everything that is put and released in this turn of the event loop."""
        if not self._to_put and not self._to_release:
            task = asyncio.create_task(self._write())
            self._writes.add(task)
            task.add_done_callback(self._writes.discard)

    async def _write(self) -> None:
        puts, released = self._to_put, self._to_release
        self._to_put, self._to_release = [], []
        if puts:
            pipeline = self._redis.pipeline(transaction=False)
            for name, value, milliseconds in puts:
                pipeline.set(name, value, px=milliseconds)
                pipeline.delete(f"{name}?lease")
            await self._ask(pipeline.execute)
        if released:
            await self._ask(lambda: self._release(keys=released, args=[self._name]))


def _no_position() -> Position:
    """Return the position of a process that applies no events."""
    return Position(0, 0, 0.0)


def _cause(error: Exception) -> str:
    """Return the cause of a failed question in a few words, without the server's address."""
    return network_cause(error) or _CAUSES.get(type(error), type(error).__name__)


def _unpack(value: bytes) -> tuple[float, bytes]:
    return struct.unpack(">d", value[:8])[0], value[8:]

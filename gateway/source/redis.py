"""A cache in Redis or Valkey, for several processes and machines: bodies by key, and leases on what is being read.

It is a help and never a need. Every question has a bound on its time; when the server is slow or away nothing is asked of it
for a while, that is logged once and counted, and whoever asked goes on without it.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar, cast

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

__all__ = ["Found", "RedisCache"]

T = TypeVar("T")

_logger = structlog.get_logger("gateway")

_PAUSE = 1.0  # Seconds for which nothing is asked of a server that did not answer.
_LEASE = 3.0  # Seconds after which a read that was begun elsewhere, and of which nothing was heard, is begun again.

# For each key the body; or, where there is none, whether its lease is ours now ("+") or another's ("-").
_TAKE = """
local found = redis.call('MGET', unpack(KEYS))
for place, key in ipairs(KEYS) do
  if not found[place] then
    local ours = redis.call('SET', key .. '?lease', ARGV[1], 'NX', 'PX', ARGV[2])
    found[place] = (ours or redis.call('GET', key .. '?lease') == ARGV[1]) and '+' or '-'
  end
end
return found
"""
# Give back leases that are still ours.
_GIVE_BACK = """
for _, key in ipairs(KEYS) do
  if redis.call('GET', key .. '?lease') == ARGV[1] then redis.call('DEL', key .. '?lease') end
end
"""
# How many slots a member may have, of so many in all: what it wants and the others leave, one at least.
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


@dataclass(slots=True)
class Found:
    """What there is of some keys."""

    bodies: dict[str, tuple[float, bytes]]
    """When each was read (seconds since the epoch), and the body."""
    leased: set[str]
    """The keys that are ours to read."""
    awaited: set[str]
    """The keys that someone else is reading."""


class RedisCache:
    """Bodies that any process has read. Use it as an async context manager."""

    def __init__(self, url: str, prefix: str, *, patience: float = 0.1) -> None:
        """Take the server's address, what tells the keys of this account from others', and how long to wait for an answer.

        `patience` is in seconds.
        """
        self.counts: Counter[str] = Counter()
        """How often the server answered, and how often it did not."""
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=8,
            timeout=None,  # What bounds every question bounds the wait for a connection too.
            socket_connect_timeout=1.0,
            socket_timeout=1.0,
            retry=Retry(NoBackoff(), 1),  # Of connections that a restart has broken, each tells so once.
        )
        self._patience = patience
        self._redis: Redis = Redis.from_pool(pool)
        self._prefix = f"receipts-gateway:{prefix}:"
        self._name = secrets.token_hex(8)
        self._take = self._redis.register_script(_TAKE)
        self._give_back = self._redis.register_script(_GIVE_BACK)
        self._share = self._redis.register_script(_SHARE)
        self._away_until = 0.0
        self._is_away = False
        self._to_put: list[tuple[str, bytes, int]] = []
        self._to_give_back: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._redis.aclose()

    async def take(self, keys: Sequence[str]) -> Found:
        """What is there, and for the rest whose it is to read; all is ours when the server does not answer."""
        names = [self._prefix + key for key in keys]
        values = await self._ask(lambda: self._take(keys=names, args=[self._name, int(_LEASE * 1000)]))
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
        """Keep a body for so long, in the background; whoever awaits it will find it, or read it when it is not kept."""
        if seconds <= 0:
            self.give_back(key)
            return
        self._later()
        self._to_put.append((self._prefix + key, struct.pack(">d", read_at) + body, max(1, int(seconds * 1000))))

    def give_back(self, key: str) -> None:
        """Leave it to others to read this, in the background."""
        self._later()
        self._to_give_back.append(self._prefix + key)

    async def share(self, total: int, wanted: int, now: float, seconds: float) -> int | None:
        """How many of so many slots this process may use for the next seconds; None when nobody tells."""
        arguments: list[str | int | float] = [self._name, now, total, wanted, seconds]
        return cast(
            "int | None",
            await self._ask(lambda: self._share(keys=[self._prefix + "slots"], args=arguments)),
        )

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T | None:
        loop = asyncio.get_running_loop()
        if loop.time() < self._away_until:
            self.counts["not asked"] += 1
            return None
        try:
            answer = await self._in_time(question)
        except (RedisError, OSError, TimeoutError) as error:
            self.counts["no answer"] += 1
            self._away_until = loop.time() + _PAUSE
            if not self._is_away:
                self._is_away = True
                _logger.warning("shared cache away", kind=type(error).__name__)
            return None
        self.counts["answer"] += 1
        if self._is_away:
            self._is_away = False
            _logger.warning("shared cache back")
        return answer

    async def _in_time(self, question: Callable[[], Awaitable[T]]) -> T:
        """The answer, when it comes in time.

        It is waited for in two halves, since a timer may run out before an answer is seen that came while this process
        was busy: that is not the server's doing.
        """
        asking = asyncio.ensure_future(question())
        try:
            for _ in range(2):
                done, _ = await asyncio.wait({asking}, timeout=self._patience / 2)
                if done:
                    return asking.result()
        finally:
            asking.cancel()
        raise TimeoutError

    def _later(self) -> None:
        """See to it that what is put and given back in this turn of the event loop is told, all at once."""
        if not self._to_put and not self._to_give_back:
            task = asyncio.create_task(self._tell())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _tell(self) -> None:
        puts, given_back = self._to_put, self._to_give_back
        self._to_put, self._to_give_back = [], []
        if puts:
            pipeline = self._redis.pipeline(transaction=False)
            for name, value, milliseconds in puts:
                pipeline.set(name, value, px=milliseconds)
                pipeline.delete(f"{name}?lease")
            await self._ask(pipeline.execute)
        if given_back:
            await self._ask(lambda: self._give_back(keys=given_back, args=[self._name]))


def _unpack(value: bytes) -> tuple[float, bytes]:
    return struct.unpack(">d", value[:8])[0], value[8:]

"""Reads of all requests: what is known from before is not asked for again, and what is asked for is remembered.

A key is an upstream path or page key. It means the same to every caller, since who may read it is decided by the path,
before it comes here; and one value of this serves one Twilio account.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from gateway.errors import GatewayError, UpstreamError
from gateway.source.lifetimes import Lifetime, Lifetimes, is_final
from gateway.source.memory import Entry, MemoryCache
from gateway.source.trace import Trace
from gateway.twilio.client import Attempt, AttemptListener, Client, Waiter
from gateway.twilio.limiter import Limiter
from gateway.twilio.paths import collection_of
from gateway.twilio.resources import Resource
from gateway.twilio.responses import Answer, read_item, read_page

__all__ = ["AnswerDependencies", "ReadOptions", "RemoteCache", "Source", "share_slots"]

_Part = tuple[str, int, int | None]
"""A key, the version of its entry, and how many receipts there are to be found."""

_BLOCK = 8  # Slots are shared by so many.
_LOOK_FOR_SLOTS = 0.05  # Seconds between questions for more slots, while reads wait; ten times that while none does.
_HELD_FOR = 3.0  # Seconds after which the slots of a process that is not heard of are free again.
_REFRESH = 10.0  # Seconds for which it is tried to read again what is a little old.
_LOOK_AGAIN = 0.01  # Seconds between looks at what another process is reading.


@dataclass(slots=True)
class ReadOptions:
    """What a request wants of its reads."""

    caller: str = ""
    no_cache: bool = False
    """Whether nothing may be answered from what is merely known."""
    deadline: float | None = None
    """The event loop's time after which it waits no longer."""
    trace: Trace | None = None
    on_attempt: AttemptListener | None = None
    """Is told of every call that is made for it."""
    expected_totals: dict[str, int] = field(default_factory=dict)
    """How many receipts there are to be found, by the key of their list, where the message has told."""
    revalidate: set[str] = field(default_factory=set)
    """Keys that are to be read anew, because what was known of them was found wanting."""

    @property
    def listener(self) -> AttemptListener | None:
        """Who is told of its calls."""
        if self.trace is None or self.on_attempt is None:
            return self.on_attempt if self.trace is None else self.trace.note
        return self._notify_both

    def _notify_both(self, target: str, attempt: Attempt) -> None:
        if self.trace is not None and self.on_attempt is not None:
            self.trace.note(target, attempt)
            self.on_attempt(target, attempt)


class RemoteCache(Protocol):
    """What is shared with other processes: see `gateway.source.redis`."""

    counts: Counter[str]
    """How often it answered."""

    async def take(self, keys: Sequence[str]) -> Any:
        """What is there, and for the rest whose it is to read."""

    def put(self, key: str, read_at: float, body: bytes, seconds: float) -> None:
        """Keep a body for so long."""

    def give_back(self, key: str) -> None:
        """Leave it to others to read this."""

    async def share(self, total: int, wanted: int, now: float, seconds: float) -> int | None:
        """How many of so many slots this process may use for the next seconds; None when nobody tells."""


class Source:
    """The reads of one account, over its client."""

    def __init__(
        self,
        client: Client,
        resources: Mapping[str, Resource],
        cache: MemoryCache | None = None,
        lifetimes: Lifetimes | None = None,
        remote: RemoteCache | None = None,
    ) -> None:
        """Take the client, the resources by their collection, where to keep what was read, and for how long it is good.

        With a `distant` cache it is shared with other processes.
        """
        self.lookups: Counter[str] = Counter()
        """How often a key was found fresh, found stale, kept for an outage, or missed."""
        self._client = client
        self._resources = resources
        self._cache = cache if cache is not None else MemoryCache(0)
        self._lifetimes = lifetimes or Lifetimes()
        self._remote = remote
        self._refreshing: dict[str, Waiter] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def cached_bytes(self) -> int:
        """About how many bytes the memory takes."""
        return self._cache.bytes

    @property
    def remote_counts(self) -> Counter[str]:
        """How often the distant cache answered."""
        return self._remote.counts if self._remote is not None else Counter()

    def resource(self, list_path: str) -> Resource:
        """What the list at that path is a list of."""
        return self._resources[list_path.rpartition("/")[2]]

    def _resource_of(self, key: str) -> Resource:
        return self._resources[collection_of(key)]

    def knows(self, key: str, request: ReadOptions) -> bool:
        """Whether the key can be had without a call."""
        return self._known(key, request) is not None

    def max_age(self, key: str, value: Any, request: ReadOptions, since: float) -> float:
        """For how many seconds more a value is good, which was read no sooner than `since` (seconds since the epoch).

        0 for an error, and where nothing is to be kept.
        """
        if isinstance(value, GatewayError) or not self._cache.most_bytes:
            return 0.0
        entry = self._cache.get(key)
        if entry is None or entry.value is not value:
            entry = Entry(value, since, 0)
        return max(
            0.0, entry.read_at + self._lifetime(key, entry).given(request.expected_totals.get(key)) - time.time()
        )

    def dependencies(self, values: Mapping[str, Any], request: ReadOptions) -> AnswerDependencies | None:
        """What was known, by its keys; None when something of it is not what is known any more."""
        parts: list[_Part] = []
        for key, value in values.items():
            entry = self._cache.get(key)
            if entry is None or entry.value is not value:
                return None
            parts.append((key, entry.version, request.expected_totals.get(key)))
        return AnswerDependencies(self, parts)

    @property
    def changes(self) -> int:
        """How often something has been learnt."""
        return self._cache.changes

    def expires_at(self, parts: Iterable[_Part]) -> float:
        """When one of those readings will not be good any more, as seconds since the epoch; 0 when one is not what is known."""
        least = float("inf")
        for key, version, total in parts:
            entry = self._cache.get(key)
            if entry is None or entry.version != version:
                return 0.0
            least = min(least, entry.read_at + self._lifetime(key, entry).given(total))
        return least

    async def begin(self, keys: Iterable[str], request: ReadOptions) -> list[Waiter]:
        """A ticket for each key: its value is at hand, or on its way."""
        keys = list(keys)
        others: dict[str, Waiter] = {}
        if self._remote is not None and not request.no_cache:
            unknown = [key for key in keys if not self.knows(key, request) and not self._client.is_reading(key)]
            others = await self._take(unknown, request) if unknown else {}
        return [others.get(key) or self._begin(key, request) for key in keys]

    def _begin(self, key: str, request: ReadOptions) -> Waiter:
        entry = self._known(key, request)
        if entry is not None:
            self._count_hit(key, entry, request)
            return Waiter.ended(entry.value, is_known=True)
        self.lookups["miss"] += 1
        return self._client.read(
            key,
            self._read,
            deadline=request.deadline,
            on_attempt=request.listener,
            caller=request.caller,
            alone=request.no_cache,
        )

    # With other processes

    async def _take(self, keys: list[str], request: ReadOptions) -> dict[str, Waiter]:
        """Learn what other processes know; gives the tickets of what is theirs, or now ours, to read."""
        assert self._remote is not None
        found = await self._remote.take(keys)
        for key, (read_at, body) in found.bodies.items():
            self._learn(key, read_at, body)
        tickets = {key: self._begin_leased(key, request) for key in found.leased}
        if found.awaited:
            waiting = {key: Waiter(loop=asyncio.get_running_loop()) for key in found.awaited}
            for ticket in waiting.values():
                ticket.reading, ticket.is_first = None, False
            task = asyncio.create_task(self._await_others(waiting, request))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            tickets |= waiting
        return tickets

    async def _await_others(self, waiting: dict[str, Waiter], request: ReadOptions) -> None:
        """Look now and then whether another process has read them; what it has left is read here."""
        assert self._remote is not None
        while waiting := {key: ticket for key, ticket in waiting.items() if not ticket.done()}:
            await asyncio.sleep(_LOOK_AGAIN)
            found = await self._remote.take(list(waiting))
            for key, (read_at, body) in found.bodies.items():
                self._learn(key, read_at, body)
            for key in waiting.keys() - found.awaited:
                outer = waiting[key]
                if outer.done():
                    continue
                inner = (self._begin_leased if key in found.leased else self._begin)(key, request)
                outer.is_first, outer.is_known = inner.is_first, inner.is_known
                outer.follow(inner)
            waiting = {key: waiting[key] for key in found.awaited & waiting.keys()}

    def _begin_leased(self, key: str, request: ReadOptions) -> Waiter:
        """Begin what is ours to read; see to it that the lease does not outlast it."""
        ticket = self._begin(key, request)
        ticket.add_done_callback(partial(self._release, key))
        return ticket

    def _release(self, key: str, ticket: Waiter) -> None:
        """What was not read here, or need not be, may be read elsewhere; what was read has been put, and its lease is gone."""
        has_failed = ticket.cancelled() or ticket.exception() is not None or isinstance(ticket.result(), GatewayError)
        if self._remote is not None and (has_failed or ticket.is_known):
            self._remote.give_back(key)

    def _learn(self, key: str, read_at: float, body: bytes) -> None:
        """Keep what another process has read; what cannot be read here is left alone."""
        try:
            value = self._value(key, Answer(200, {}, body))
        except GatewayError:
            return
        self._cache.put(key, Entry(value, read_at, _size(body)))

    def stale_if_error(self, key: str, error: GatewayError) -> Any | None:
        """What may be shown in place of an error while Twilio does not answer: receipts that had come to their end."""
        if not isinstance(error, UpstreamError) or not self._client.limiter.breaker.is_open:
            return None
        entry = self._cache.get(key)
        if entry is None or not is_final(self._resource_of(key), entry.value):
            return None
        self.lookups["kept"] += 1
        return entry.value

    def _known(self, key: str, request: ReadOptions) -> Entry | None:
        """The entry for the key, when it is still good, or good enough to be shown while it is read again."""
        if request.no_cache or key in request.revalidate:
            return None
        entry = self._cache.get(key)
        if entry is None:
            return None
        lifetime = self._lifetime(key, entry)
        return entry if _age(entry) < lifetime.given(request.expected_totals.get(key)) + lifetime.stale else None

    def _lifetime(self, key: str, entry: Entry) -> Lifetime:
        lifetime: Lifetime | None = entry.lifetime
        if lifetime is None:
            lifetime = entry.lifetime = self._lifetimes.of(self._resource_of(key), entry.value)
        return lifetime

    def _count_hit(self, key: str, entry: Entry, request: ReadOptions) -> None:
        is_stale = _age(entry) >= self._lifetime(key, entry).given(request.expected_totals.get(key))
        self.lookups["stale" if is_stale else "hit"] += 1
        if is_stale and key not in self._refreshing:
            deadline = asyncio.get_running_loop().time() + _REFRESH
            ticket = self._refreshing[key] = self._client.read(
                key, self._read, deadline=deadline, caller=request.caller
            )
            ticket.add_done_callback(lambda _: self._refreshing.pop(key, None))
        if request.trace is not None:
            request.trace.shared[key] = "shown while it is read again" if is_stale else None

    def _read(self, target: str, answer: Answer) -> Any:
        value, now = self._value(target, answer), time.time()
        entry = Entry(value, now, _size(answer.body))
        self._cache.put(target, entry)
        if self._remote is not None:
            lifetime = self._lifetime(target, entry)
            longest = max(lifetime.good, lifetime.final)  # Others may know how many receipts there should be.
            self._remote.put(target, now, answer.body, longest + lifetime.stale)
        return value

    def _value(self, target: str, answer: Answer) -> Any:
        list_path, is_page, _ = target.partition("?")
        if is_page:
            return read_page(self.resource(list_path), target, answer)
        return read_item(self.resource(target.rpartition("/")[0]), target, answer)


class AnswerDependencies:
    """What an answer was made of: keys, and which reading of each. It holds none of the values, which may be replaced."""

    def __init__(self, shared: Source, parts: list[_Part]) -> None:
        self._shared = shared
        self._parts = parts
        self._until = 0.0
        self._looked = -1
        """After how many changes it was looked up until when all is good: until there is another, that stands."""

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return sum(len(key) + 200 for key, _, _ in self._parts)

    def max_age(self) -> float:
        """For how many seconds more an answer made of it is what it would be if it were made again."""
        changes = self._shared.changes
        if changes != self._looked:
            self._until, self._looked = self._shared.expires_at(self._parts), changes
        return max(0.0, self._until - time.time())


async def share_slots(limiter: Limiter, remote: RemoteCache) -> None:
    """Share the account's slots with other processes, for as long as this runs.

    Each has what it wants and the others leave, in blocks, and one slot at least.
    While nobody tells, all are used; the window gives way when Twilio says that it is too many.
    """
    total = limiter.window.most
    while True:
        wanted = -(-(limiter.in_flight + limiter.waiting + 1) // _BLOCK) * _BLOCK
        share = await remote.share(total, min(total, wanted), time.time(), _HELD_FOR)
        limiter.allow(total if share is None else share)
        limiter.is_crowded.clear()
        if limiter.waiting:
            await asyncio.sleep(_LOOK_FOR_SLOTS)
        else:
            with suppress(TimeoutError):
                await asyncio.wait_for(limiter.is_crowded.wait(), 10 * _LOOK_FOR_SLOTS)


def _size(body: bytes) -> int:
    return 2 * len(body) + 1000


def _age(entry: Entry) -> float:
    return max(0.0, time.time() - entry.read_at)

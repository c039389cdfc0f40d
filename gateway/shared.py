"""Reads of all requests: what is known from before is not asked for again, and what is asked for is remembered.

A key is an upstream path or page key. It means the same to every caller, since who may read it is decided by the path,
before it comes here; and one value of this serves one Twilio account.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.cache.memory import Entry, MemoryCache
from gateway.errors import GatewayError, UpstreamError
from gateway.trace import Trace
from gateway.twilio.client import Client, Ticket
from gateway.twilio.lifetimes import Lifetimes, is_final
from gateway.twilio.resources import Resource
from gateway.twilio.responses import Answer, read_item, read_page

__all__ = ["Request", "Shared"]


@dataclass(slots=True)
class Request:
    """What a request wants of its reads."""

    caller: str = ""
    fresh: bool = False
    """Whether nothing may be answered from what is merely known."""
    deadline: float | None = None
    """The event loop's time after which it waits no longer."""
    trace: Trace | None = None
    totals: dict[str, int] = field(default_factory=dict)
    """How many receipts there are to be found, by the key of their list, where the message has told."""
    renewed: set[str] = field(default_factory=set)
    """Keys that are to be read anew, because what was known of them was found wanting."""


class Shared:
    """The reads of one account, over its client."""

    def __init__(
        self,
        client: Client,
        resources: Mapping[str, Resource],
        cache: MemoryCache | None = None,
        lifetimes: Lifetimes | None = None,
    ) -> None:
        """Take the client, the resources by their collection, where to keep what was read, and for how long it is good."""
        self.lookups: Counter[str] = Counter()
        """How often a key was found fresh, found stale, kept for an outage, or missed."""
        self._client = client
        self._resources = resources
        self._cache = cache if cache is not None else MemoryCache(0)
        self._lifetimes = lifetimes or Lifetimes()
        self._refreshing: dict[str, Ticket] = {}

    def resource(self, list_path: str) -> Resource:
        """What the list at that path is a list of."""
        return self._resources[list_path.rpartition("/")[2]]

    def knows(self, key: str, request: Request) -> bool:
        """Whether the key can be had without a call."""
        return self._known(key, request) is not None

    async def begin(self, keys: Iterable[str], request: Request) -> list[Ticket]:
        """A ticket for each key: its value is at hand, or on its way."""
        return [self._begin(key, request) for key in keys]

    def _begin(self, key: str, request: Request) -> Ticket:
        entry = self._known(key, request)
        if entry is not None:
            self._note_hit(key, entry, request)
            return _done(entry.value)
        self.lookups["miss"] += 1
        trace = request.trace
        return self._client.read(
            key,
            self._read,
            deadline=request.deadline,
            watch=trace.note if trace is not None else None,
            caller=request.caller,
            alone=request.fresh,
        )

    def in_place_of(self, key: str, error: GatewayError) -> Any | None:
        """What may be shown in place of an error while Twilio does not answer: receipts that had come to their end."""
        if not isinstance(error, UpstreamError) or not self._client.gate.breaker.is_open:
            return None
        entry = self._cache.get(key)
        if entry is None or not is_final(key, entry.value):
            return None
        self.lookups["kept"] += 1
        return entry.value

    def _known(self, key: str, request: Request) -> Entry | None:
        """The entry for the key, when it is still good, or good enough to be shown while it is read again."""
        if request.fresh or key in request.renewed:
            return None
        entry = self._cache.get(key)
        if entry is None:
            return None
        good = self._lifetimes.of(key, entry.value, request.totals.get(key))
        return entry if _age(entry) < good + self._lifetimes.stale_for(key, entry.value) else None

    def _note_hit(self, key: str, entry: Entry, request: Request) -> None:
        is_stale = _age(entry) >= self._lifetimes.of(key, entry.value, request.totals.get(key))
        self.lookups["stale" if is_stale else "hit"] += 1
        if is_stale and key not in self._refreshing:
            ticket = self._refreshing[key] = self._client.read(key, self._read, caller=request.caller)
            ticket.add_done_callback(lambda _: self._refreshing.pop(key, None))
        if request.trace is not None:
            request.trace.shared[key] = "shown while it is read again" if is_stale else None

    def _read(self, target: str, answer: Answer) -> Any:
        list_path, is_page, _ = target.partition("?")
        if is_page:
            value: Any = read_page(self.resource(list_path), target, answer)
        else:
            value = read_item(self.resource(target.rpartition("/")[0]), target, answer)
        self._cache.put(target, Entry(value, time.time(), 2 * len(answer.body) + 1000))
        return value


def _age(entry: Entry) -> float:
    return max(0.0, time.time() - entry.read_at)


def _done(value: Any) -> Ticket:
    ticket = Ticket(loop=asyncio.get_running_loop())
    ticket.reading, ticket.is_first, ticket.is_known = None, False, True
    ticket.set_result(value)
    return ticket

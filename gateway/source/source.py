"""The data source of one Twilio account: a read is answered from memory, the remote cache, a read in flight, or the client.

A key is an upstream path or page key. It means the same to every caller: who may read it is decided by its path, before.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.errors import GatewayError, UpstreamError
from gateway.source.dependencies import AnswerDependencies, Dependency
from gateway.source.in_flight import InFlightReads, Waiter
from gateway.source.lifetimes import Lifetime, Lifetimes, is_final
from gateway.source.memory import Entry, MemoryCache, decoded_size
from gateway.source.options import ReadOptions
from gateway.source.remote import RemoteCache, RemoteReads
from gateway.twilio.client import Client
from gateway.twilio.deadlines import Deadlines
from gateway.twilio.partial_rows import readable
from gateway.twilio.paths import collection_of
from gateway.twilio.resources import Resource
from gateway.twilio.responses import Page, Response, read_item, read_page

__all__ = ["Amend", "Source"]

Amend = Callable[[str, Any, float], tuple[Any, bool]]
"""Return a value that was read, with what events prove merged in, and whether it may be cached.

The arguments are the key, the value, and when its read began, in seconds since the epoch."""

_ADDED_BYTES = 2000  # Estimated size of a record that was not decoded from a body.
_REVALIDATE_SECONDS = 10.0  # For which reading a stale value again is retried.


class Source:
    """Reads the records of one account, and caches them."""

    def __init__(
        self,
        client: Client,
        resources: Mapping[str, Resource],
        cache: MemoryCache | None = None,
        lifetimes: Lifetimes | None = None,
        remote: RemoteCache | None = None,
    ) -> None:
        """Read with `client`; `resources` are the kinds of record by their collections.

        Values are cached in `cache`, if there is one, for their `lifetimes`, and shared with other processes through `remote`.
        """
        self.lookups: Counter[str] = Counter()
        """Lookups in memory by result: `hit`, `stale`, `miss`, and `kept` for a final value served during an outage."""
        self._client = client
        self._resources = resources
        self._cache = cache if cache is not None else MemoryCache(0)
        self._cache.decode = self._decode_body
        self._lifetimes = lifetimes or Lifetimes()
        self._remote = remote
        self._remote_reads = RemoteReads(remote, self._store_remote, self._read) if remote is not None else None
        self._in_flight = InFlightReads(
            client, self._decode, self._store, remote.release if remote is not None else None
        )
        self._rest_url: str | None = None
        """What the URLs of all records begin with, up to their paths; None until one has been looked at."""
        self.amend: Amend | None = None
        """Merges what events prove into a value that was read."""
        self.events = 0
        """Events that have changed what is known."""

    @property
    def cached_bytes(self) -> int:
        """Estimated size of the memory cache, in bytes."""
        return self._cache.size

    @property
    def remote_counts(self) -> Counter[str]:
        """Questions to the remote cache, by result."""
        return self._remote.counts if self._remote is not None else Counter()

    def resource(self, list_path: str) -> Resource:
        """Return the kind of record that the list at `list_path` holds."""
        return self._resources[list_path.rpartition("/")[2]]

    @property
    def deadlines(self) -> Deadlines:
        """The deadlines of the requests that read."""
        return self._client.deadlines

    # Reads

    def start(self, waiters: Sequence[Waiter]) -> None:
        """Let the waiters, whose values `serve` does not have, wait for a read, started if none is in flight."""
        if self._remote_reads is not None:
            absent = [each for each in waiters if not each.options.no_cache and each.key not in self._in_flight]
            if absent:
                self._remote_reads.start(absent)
                waiters = [waiter for waiter in waiters if waiter not in absent]
        self.lookups["miss"] += len(waiters)
        for waiter in waiters:
            self._in_flight.join(waiter)

    def _read(self, waiter: Waiter) -> None:
        """Pass the cached value to the waiter, or let it wait for a read; not if it was cancelled meanwhile."""
        if waiter.is_done:
            return
        value = self.serve(waiter.key, waiter.options)
        if value is not None:
            waiter.is_cached = True
            waiter.finish(value)
        else:
            self.lookups["miss"] += 1
            self._in_flight.join(waiter)

    def serve(self, key: str, options: ReadOptions) -> Any | None:
        """Return the cached value for a key, and count the lookup; None if it must be read. A stale one is revalidated."""
        entry, is_stale = self._find(key, options)
        if entry is None:
            return None
        self._cache.touch(key)
        self.lookups["stale" if is_stale else "hit"] += 1
        if is_stale and key not in self._in_flight:
            deadline = asyncio.get_running_loop().time() + _REVALIDATE_SECONDS
            self._in_flight.join(Waiter(key, ReadOptions(options.caller, deadline=deadline)))
        if options.trace is not None:
            options.trace.shared[key] = "stale, being revalidated" if is_stale else None
        return entry.value

    def _decode(self, key: str, kind: str, response: Response) -> Any:
        """Return the row or the page that a response holds; raises the `GatewayError` that it stands for."""
        resource = self._resources[kind]
        return (read_page if "?" in key else read_item)(resource, key, response)

    def _decode_body(self, key: str, body: bytes) -> Any:
        """Return the value of a body that it has been decoded from before."""
        return self._decode(key, collection_of(key), Response(200, {}, body))

    def _store(self, key: str, value: Any, body: bytes, began_at: float, may_cache: bool) -> Any:
        """Cache a value that this process has read, and return it, with what events prove merged in."""
        read = value
        if self.amend is not None and self.events:
            value, is_current = self.amend(key, value, began_at)
            may_cache = may_cache and is_current
        if not may_cache:
            if self._remote is not None:
                self._remote.release(key)
            return value
        if value is read:
            self._cache.put_body(key, body, time.time())
        else:
            self._cache.put(key, Entry(value, time.time(), decoded_size(body)))
        if self._remote is not None and value is not read:
            self._remote.release(key)  # The body is out of date.
        elif self._remote is not None:
            lifetime = self._lifetimes.of(self._resources[collection_of(key)], value)
            longest = max(lifetime.seconds, lifetime.unchanged_seconds)  # Another process checks it by its own summary.
            self._remote.put(key, began_at, body, longest + lifetime.stale_seconds)
        return value

    def _store_remote(self, key: str, read_at: float, body: bytes) -> None:
        """Cache a value that another process has read, unless this one cannot decode it."""
        try:
            value = self._decode_body(key, body)
        except GatewayError:
            return
        if self.amend is not None:
            value, is_current = self.amend(key, value, read_at)
            if not is_current:
                return
        self._cache.put(key, Entry(value, read_at, decoded_size(body)))

    # Cached values

    def is_cached(self, key: str, options: ReadOptions) -> bool:
        """Whether `serve` has a value for a key."""
        return self._find(key, options)[0] is not None

    def _find(self, key: str, options: ReadOptions) -> tuple[Entry | None, bool]:
        """Return the entry to serve for a key, if there is one, and whether it is stale and to be revalidated."""
        entry = self._find_latest(key) if options.from_lists and "?" not in key else self._cache.peek(key)
        if entry is None or options.no_cache or key in options.revalidate:
            return None, False
        lifetime = entry.lifetime or self._lifetime_of(key, entry)
        seconds = lifetime.seconds
        if lifetime.statuses is not None:  # Otherwise no summary matters.
            seconds = lifetime.seconds_for(options.expected_summaries.get(key))
        age = max(0.0, time.time() - entry.read_at)
        if age < seconds:
            return entry, False
        return (entry, True) if age < seconds + lifetime.stale_seconds else (None, False)

    def _find_latest(self, path: str) -> Entry | None:
        """Return the record at `path` as it was read last of what is cached: by itself, or in a page of its list."""
        list_path, _, sid = path.rpartition("/")
        latest = self._cache.peek(path)
        for key in self._cache.keys_of(list_path):
            entry = self._cache.peek(key)
            is_in = entry is not None and isinstance(entry.value, Page) and sid in entry.value.by_sid
            if entry is not None and is_in and (latest is None or latest.read_at < entry.read_at):
                latest = Entry(entry.value.by_sid[sid], entry.read_at, 0)
        return latest

    def cached_below(self, list_path: str) -> list[tuple[str, Any]]:
        """Return the keys and values of the list at `list_path` and of its records that are cached, however old."""
        entries = ((key, self._cache.peek(key)) for key in self._cache.keys_of(list_path))
        return [(key, entry.value) for key, entry in entries if entry is not None]

    def is_held(self, key: str) -> bool:
        """Whether a value is cached in memory for a key, however old."""
        return self._cache.peek(key) is not None

    def add(self, key: str, value: Any, read_at: float) -> None:
        """Cache a value that was not read, but is what a read at `read_at` (seconds since the epoch) would have returned."""
        self._cache.put(key, Entry(value, read_at, _ADDED_BYTES))

    def url_of(self, path: str) -> str | None:
        """Return the URL of a record in Twilio's REST API, as other records that were read have it; None before any was."""
        if self._rest_url is None:
            values = (entry.value for _, entry in self._cache.records())
            self._rest_url = next(filter(None, map(_rest_url, values)), None)
        return f"{self._rest_url}{path}" if self._rest_url is not None else None

    def replace(self, key: str, value: Any) -> None:
        """Replace a cached value, whose age stays. Answers that were made from the old value are no longer fresh."""
        entry = self._cache.peek(key)
        if entry is not None:
            self._cache.put(key, Entry(value, entry.read_at, entry.size))

    def remove(self, key: str) -> None:
        """Remove a value from the memory cache. Answers that were made from it are no longer fresh."""
        self._cache.remove(key)

    def detach(self, list_path: str) -> None:
        """Let no request that begins later share a read in flight of the list at `list_path` or of its records."""
        self._in_flight.detach(list_path)

    def stale_if_error(self, key: str, error: GatewayError) -> Any | None:
        """Return the value to serve instead of an error during an outage: receipts with a final status, however old.

        See RFC 5861, 4. None if there is none, or Twilio is not down.
        """
        if not isinstance(error, UpstreamError) or not self._client.limiter.breaker.is_open:
            return None
        entry = self._cache.get(key)
        if entry is None or not is_final(self._resources[collection_of(key)], entry.value):
            return None
        self.lookups["kept"] += 1
        return entry.value

    def max_age(self, key: str, value: Any, options: ReadOptions, since: float) -> float:
        """Return the seconds for which a value stays fresh that was read at `since` (seconds since the epoch) or later.

        `since` is 0 for a cached value. The result is 0 for an error, and without a cache.
        """
        if isinstance(value, GatewayError) or not self._cache.most_bytes:
            return 0.0
        entry = self._cache.peek(key) if not since else None
        if entry is None or entry.value is not value:
            entry = Entry(value, since, 0)
        lifetime = self._lifetime_of(key, entry)
        return max(0.0, entry.read_at + lifetime.seconds_for(options.expected_summaries.get(key)) - time.time())

    def dependencies(self, values: Mapping[str, Any], options: ReadOptions) -> AnswerDependencies | None:
        """Return the dependencies on cached values, by key; None when one of them is no longer cached."""
        parts: list[Dependency] = []
        for key, value in values.items():
            entry = self._cache.peek(key)
            if entry is None or entry.value is not value:
                return None
            parts.append((key, entry.version, options.expected_summaries.get(key)))
        return AnswerDependencies(self._cache, self._lifetime_of, parts)

    def _lifetime_of(self, key: str, entry: Entry) -> Lifetime:
        """Return the lifetime of an entry's value, computed once: it may look at every row."""
        lifetime: Lifetime | None = entry.lifetime
        if lifetime is None:
            lifetime = entry.lifetime = self._lifetimes.of(self._resources[collection_of(key)], entry.value)
        return lifetime


def _rest_url(value: Any) -> str | None:
    """Return what the URL of a record that was read has before its path; None without a URL."""
    rows = value.rows if isinstance(value, Page) else [value]
    url = readable(rows[0], "url") if rows else None
    before, found, _ = str(url).partition("Services/")
    return before if found else None

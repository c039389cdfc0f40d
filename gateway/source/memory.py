"""A cache in this process's memory, bounded in bytes; the least recently used entries are evicted."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator
from itertools import count
from typing import Any

import msgspec

from gateway.twilio.paths import list_of

__all__ = ["Entry", "MemoryCache"]

_versions = count()


class Entry(msgspec.Struct, gc=False):
    """A cached value."""

    value: Any
    read_at: float
    """Seconds since the epoch, so that several machines agree on its age."""
    size: int
    """Estimated size in bytes."""
    lifetime: Any = None
    """The value's `Lifetime`, once it has been computed."""
    version: int = msgspec.field(default_factory=_versions.__next__)
    """Unique in this process, so that an entry can be referred to without holding it."""

    def __repr__(self) -> str:
        return f"Entry(read_at={self.read_at}, size={self.size})"


class MemoryCache:
    """Entries by key."""

    def __init__(self, most_bytes: int) -> None:
        """Hold entries of at most `most_bytes` together; with 0, cache nothing."""
        self.most_bytes = most_bytes
        self.bytes = 0
        """Size of all entries."""
        self.changes = 0
        """Incremented on every `put` and `remove`; while it is unchanged, the results of earlier lookups still hold."""
        self._entries: OrderedDict[Any, Entry] = OrderedDict()
        self._lists: _Lists | None = None
        """Made when it is first asked for: where there are no events, it never is."""

    def __len__(self) -> int:
        return len(self._entries)

    def peek(self, key: Hashable) -> Entry | None:
        """Return the entry, without marking it as used."""
        return self._entries.get(key)

    def get(self, key: Hashable) -> Entry | None:
        """Return the entry, and mark it as used."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def touch(self, key: Hashable) -> None:
        """Mark the entry of a key as used, if it is cached."""
        if key in self._entries:
            self._entries.move_to_end(key)

    def put(self, key: Hashable, entry: Entry) -> None:
        """Replace the entry of a key. An entry larger than an eighth of the cache is not cached; the old one is removed."""
        if not self.most_bytes:
            return
        self.changes += 1
        old = self._entries.pop(key, None)
        if old is not None:
            self.bytes -= old.size
        if entry.size > self.most_bytes // 8:
            if old is not None and self._lists is not None:
                self._lists.remove(key)
            return
        self._entries[key] = entry
        self.bytes += entry.size
        if old is None and self._lists is not None:
            self._lists.add(key)
        while self.bytes > self.most_bytes:
            evicted_key, evicted = self._entries.popitem(last=False)
            self.bytes -= evicted.size
            if self._lists is not None:
                self._lists.remove(evicted_key)

    def remove(self, key: Hashable) -> None:
        """Remove the entry of a key, if it is cached."""
        old = self._entries.pop(key, None)
        if old is not None:
            self.changes += 1
            self.bytes -= old.size
            if self._lists is not None:
                self._lists.remove(key)

    def values(self) -> Iterator[Any]:
        """Iterate over the cached pages and records, the least recently used first; answers are left out."""
        return (entry.value for key, entry in self._entries.items() if isinstance(key, str))

    def keys_of(self, list_path: str) -> list[str]:
        """Return the keys of the pages and records of the list at `list_path` that are cached."""
        if self._lists is None:
            self._lists = _Lists(self._entries)
        return self._lists.keys_of(list_path)


class _Lists:
    """The keys of pages and records, by the path of their list."""

    def __init__(self, keys: Iterable[Hashable]) -> None:
        self._keys: dict[str, set[str]] = {}
        for key in keys:
            self.add(key)

    def keys_of(self, list_path: str) -> list[str]:
        return list(self._keys.get(list_path, ()))

    def add(self, key: Hashable) -> None:
        if isinstance(key, str):
            self._keys.setdefault(list_of(key), set()).add(key)

    def remove(self, key: Hashable) -> None:
        if isinstance(key, str):
            list_path = list_of(key)
            keys = self._keys[list_path]
            keys.discard(key)
            if not keys:
                del self._keys[list_path]

"""A cache in this process's memory, bounded in bytes; the least recently used entries are evicted.

A value that has been read is held as the body of its response, and as itself as well once it is used again; see `bodies.py`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import count
from typing import Any

import msgspec

from gateway.source.bodies import Bodies
from gateway.twilio.paths import list_of

__all__ = ["Entry", "MemoryCache", "decoded_size"]

_KEY_BYTES = 400  # Estimated size of an entry of `Bodies` besides the body.
_versions = count()


def decoded_size(body: bytes) -> int:
    """Return the estimated size of an entry with the value that is decoded from a body, in bytes."""
    return 2 * len(body) + 1000


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
        """Hold entries of at most `most_bytes` together; with 0, cache nothing.

        Half is for values; of the other half, four fifths are for bodies, and the rest is for their keys.
        """
        self.most_bytes = most_bytes
        self.decode: Callable[[str, bytes], Any] | None = None
        """Returns the value of a key from the body that was `put_body`."""
        self.changes = 0
        """Incremented when an entry with a value is put, replaced or removed; until then, earlier lookups of it still hold."""
        self._entries: OrderedDict[Any, Entry] = OrderedDict()
        """Those with a value, the least recently used first."""
        self._entry_bytes = 0
        self._most_entry_bytes = most_bytes // 2
        self._body_max = most_bytes // 16  # The value takes twice as much.
        self._bodies = Bodies(most_bytes * 2 // 5, max(1, most_bytes // 10 // _KEY_BYTES))
        self._lists: _Lists | None = None
        """Made when it is first asked for: where there are no events, it never is."""

    def __len__(self) -> int:
        return len(self._entries.keys() | self._bodies.by_key.keys())

    @property
    def size(self) -> int:
        """Estimated size of all entries, in bytes."""
        return self._entry_bytes + self._bodies.allocated

    def peek(self, key: Hashable) -> Entry | None:
        """Return the entry, without marking it as used."""
        entry = self._entries.get(key)
        if entry is None and key in self._bodies.by_key:
            return self._decoded(key)
        return entry

    def get(self, key: Hashable) -> Entry | None:
        """Return the entry, and mark it as used."""
        entry = self.peek(key)
        if entry is not None:
            self.touch(key)
        return entry

    def touch(self, key: Hashable) -> None:
        """Mark the entry of a key as used, if it has a value."""
        if key in self._entries:
            self._entries.move_to_end(key)

    def put(self, key: Hashable, entry: Entry) -> None:
        """Replace the entry of a key. An entry larger than an eighth of the cache is not cached; the old one is removed."""
        if self.most_bytes:
            self.remove(key)
            self._add(key, entry)

    def put_body(self, key: str, body: bytes, read_at: float) -> None:
        """Replace the entry of a key by one with the value that `decode` returns for a body; see `put`."""
        if key in self._entries:
            self.remove(key)
        if len(body) >= self._body_max:
            self.remove(key)
            return
        gone = self._bodies.put(key, body, read_at)
        if self._lists is not None:
            self._lists.add(key)
            for each in gone:
                if each not in self._entries:
                    self._lists.remove(each)

    def remove(self, key: Hashable) -> None:
        """Remove the entry of a key, if it is cached."""
        has_body = self._bodies.remove(key)
        old = self._entries.pop(key, None)
        if old is not None:
            self.changes += 1
            self._entry_bytes -= old.size
        if self._lists is not None and (has_body or old is not None):
            self._lists.remove(key)

    def _decoded(self, key: Any) -> Entry:
        """Return an entry with the value of a key's body, which stays: it is there when the entry is evicted."""
        assert self.decode is not None
        body, read_at = self._bodies.get(key)
        entry = Entry(self.decode(key, body), read_at, decoded_size(body))
        self._add(key, entry)
        return entry

    def _add(self, key: Hashable, entry: Entry) -> None:
        self.changes += 1
        if entry.size > self.most_bytes // 8:
            return
        self._entries[key] = entry
        self._entry_bytes += entry.size
        if self._lists is not None:
            self._lists.add(key)
        while self._entry_bytes > self._most_entry_bytes:
            evicted_key, evicted = self._entries.popitem(last=False)
            self._entry_bytes -= evicted.size
            if self._lists is not None and evicted_key not in self._bodies.by_key:
                self._lists.remove(evicted_key)

    def records(self) -> Iterator[tuple[str, Entry]]:
        """Iterate over the cached pages and records, those with values first; answers are left out."""
        for key in dict.fromkeys([*self._entries, *self._bodies.by_key]):
            entry = self.peek(key) if isinstance(key, str) else None
            if entry is not None:
                yield key, entry

    def keys_of(self, list_path: str) -> list[str]:
        """Return the keys of the pages and records of the list at `list_path` that are cached."""
        if self._lists is None:
            self._lists = _Lists([*self._entries, *self._bodies.by_key])
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

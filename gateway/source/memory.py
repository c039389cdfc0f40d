"""A cache in this process's memory: the entries used last, up to a number of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

__all__ = ["Entry", "MemoryCache"]

_versions = count()


@dataclass(slots=True)
class Entry:
    """Something that was read, and when."""

    value: Any = field(repr=False)
    read_at: float
    """Seconds since the epoch, so that machines can agree on its age."""
    size: int
    """About how many bytes it takes."""
    lifetime: Any = field(default=None, repr=False)
    """How long it is good, once that has been told, in the words of whoever keeps it here."""
    version: int = field(default_factory=_versions.__next__)
    """Tells it from all others, also of the same key, to whoever does not hold it."""


class MemoryCache:
    """Entries by key; the ones not used for longest go when there is no room."""

    def __init__(self, most_bytes: int) -> None:
        """Take how many bytes all entries may take together; with 0 it keeps nothing."""
        self.most_bytes = most_bytes
        self.bytes = 0
        self.changes = 0
        """How often something was put here: while that stays, all that was found is found."""
        self._entries: OrderedDict[Any, Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable) -> Entry | None:
        """The entry, which has now been used."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def put(self, key: Hashable, entry: Entry) -> None:
        """Keep it in place of what the key had. One that would take more than an eighth of the room is not kept."""
        if not self.most_bytes:
            return
        self.changes += 1
        old = self._entries.pop(key, None)
        if old is not None:
            self.bytes -= old.size
        if entry.size > self.most_bytes // 8:
            return
        self._entries[key] = entry
        self.bytes += entry.size
        while self.bytes > self.most_bytes:
            _, gone = self._entries.popitem(last=False)
            self.bytes -= gone.size

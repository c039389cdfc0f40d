"""Bodies of responses in one piece of memory, where each new one overwrites the oldest.

A decoded page is hundreds of objects all over the memory. Most are not asked for again, and to free them once they have left
the processor's caches takes a tenth of the CPU time of an operation that reads many. A body is copied, and later overwritten.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import cast

__all__ = ["Bodies"]

_Place = tuple[str, int, int, float]
"""A key, the number of bytes that had ever been written before its body, the size of that, and when it was read."""


class Bodies:
    """Bodies by key: a queue of a fixed size."""

    def __init__(self, most_bytes: int, most: int) -> None:
        """Hold the newest bodies: at most `most_bytes`, which are allocated as they are needed, and at most `most` keys."""
        self.by_key: dict[str, _Place] = {}
        """Where the bodies are, the one that was put first before the others."""
        self._most_bytes = most_bytes
        self._most = most
        self._memory = bytearray()
        self._written = 0
        """The number of bytes that have ever been written, with those left empty where a body did not fit at the end."""
        self._order: deque[_Place] = deque()
        """All places in the order of the memory, with those that were replaced or removed since."""

    @property
    def allocated(self) -> int:
        """The bytes that are allocated for bodies."""
        return len(self._memory)

    def put(self, key: str, body: bytes, read_at: float) -> list[str]:
        """Replace the body of a key; return the keys whose bodies are gone. It must not be larger than the memory."""
        size, at = len(body), self._written % self._most_bytes
        if at + size > self._most_bytes:
            self._written += self._most_bytes - at
            at = 0
        self._memory[at : at + size] = body  # This makes it longer, until it has all its bytes.
        place = (key, self._written, size, read_at)
        self._written += size
        by_key, order = self.by_key, self._order
        by_key[key] = place
        order.append(place)
        least = self._written - self._most_bytes
        gone: list[str] = []
        while order[0][1] < least or len(order) > self._most:
            oldest = order.popleft()
            if by_key.get(oldest[0]) is oldest:
                del by_key[oldest[0]]
                gone.append(oldest[0])
        return gone

    def get(self, key: str) -> tuple[bytes, float]:
        """Return the body of a key, and when it was read; raises `KeyError` if there is none."""
        _, began, size, read_at = self.by_key[key]
        at = began % self._most_bytes
        return bytes(self._memory[at : at + size]), read_at

    def remove(self, key: Hashable) -> bool:
        """Remove the body of a key, and return whether there was one."""
        return self.by_key.pop(cast("str", key), None) is not None

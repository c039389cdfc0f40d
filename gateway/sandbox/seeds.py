"""Deterministic pseudo-randomness: every value is a hash of the seed and a name, whatever the order of draws."""

from hashlib import blake2b


class Seed:
    """Draws bytes and sids by name. `drawn` counts the draws, so that tests can distinguish lazy from eager evaluation."""

    def __init__(self, value: int) -> None:
        self.value = value
        self.drawn = 0
        self._start = blake2b(f"sandbox/{value}/".encode(), digest_size=64)
        self._mask = int.from_bytes(self.draw("mask")[:4], "big")

    def draw(self, *name: object) -> bytes:
        """Return the 64 bytes of a name."""
        self.drawn += 1
        state = self._start.copy()
        state.update("/".join(map(str, name)).encode())
        return state.digest()

    def sid(self, prefix: str, parent: str, number: int) -> str:
        """Return the sid of child `number` of `parent`: two letters and 32 hex digits.

        Its last eight digits encode the number, so that `number_of` needs no table.
        """
        head = self.draw(prefix, parent, number)[:12].hex()
        return f"{prefix}{head}{number ^ self._mask ^ int(head[:8], 16):08x}"

    def number_of(self, sid: str, prefix: str, parent: str) -> int | None:
        """Return the number of a child of `parent` by its sid; None if `parent` has no such child."""
        try:
            number = int(sid[-8:], 16) ^ self._mask ^ int(sid[2:10], 16)
        except ValueError:
            return None
        return number if self.sid(prefix, parent, number) == sid else None

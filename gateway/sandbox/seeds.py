"""Chance without a generator: what looks random is a hash of the seed and a name, the same in any order, anywhere."""

from hashlib import blake2b


class Seed:
    """Draws bytes and sids by name. `drawn` counts the draws, so a test can tell lazy from eager without a clock."""

    def __init__(self, value: int) -> None:
        self.value = value
        self.drawn = 0
        self._start = blake2b(f"sandbox/{value}/".encode(), digest_size=64)
        self._mask = int.from_bytes(self.draw("mask")[:4], "big")

    def draw(self, *name: object) -> bytes:
        """64 bytes that belong to this name."""
        self.drawn += 1
        state = self._start.copy()
        state.update("/".join(map(str, name)).encode())
        return state.digest()

    def sid(self, prefix: str, parent: str, number: int) -> str:
        """The sid of child `number` of `parent`: two letters and 32 hex digits.

        Its last eight digits hide the number, so `number_of` needs no table of all the sids there are.
        """
        head = self.draw(prefix, parent, number)[:12].hex()
        return f"{prefix}{head}{number ^ self._mask ^ int(head[:8], 16):08x}"

    def number_of(self, sid: str, prefix: str, parent: str) -> int | None:
        """The number behind a sid of `parent`, or None if the sid was never drawn for it."""
        try:
            number = int(sid[-8:], 16) ^ self._mask ^ int(sid[2:10], 16)
        except ValueError:
            return None
        return number if self.sid(prefix, parent, number) == sid else None

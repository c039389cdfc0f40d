"""Leases of the workers of one `serve`: locks on bytes of a file in their shared directory, which end with the process."""

from __future__ import annotations

import fcntl
import os
from hashlib import blake2b
from pathlib import Path

__all__ = ["WorkerLeases"]


class WorkerLeases:
    """Leases of which each has at most one worker. A process makes one object: its locks do not exclude each other."""

    def __init__(self, directory: Path) -> None:
        """Contend with the workers that share `directory`."""
        self._file = os.open(directory / "leases", os.O_RDWR | os.O_CREAT, 0o600)
        self._held: set[str] = set()

    def acquire(self, name: str) -> bool:
        """Return whether this worker has the lease `name`, which it then keeps."""
        if name not in self._held:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place_of(name))
            except OSError:
                return False
            self._held.add(name)
        return True

    def release(self, name: str) -> None:
        """Let another worker have the lease `name`."""
        if name in self._held:
            self._held.discard(name)
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _place_of(name))

    def close(self) -> None:
        """Let other workers have all leases."""
        self._held.clear()
        os.close(self._file)


def _place_of(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=7).digest())

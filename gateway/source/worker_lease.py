"""The lease of one of the workers of one `serve`: a lock on a file in their shared directory, which ends with the process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

__all__ = ["WorkerLease"]


class WorkerLease:
    """A lease that at most one worker has."""

    def __init__(self, directory: Path, name: str) -> None:
        """Contend for the lease `name` with the workers that share `directory`."""
        self._path = directory / f"{name}.lease"
        self._file: int | None = None

    def acquire(self) -> bool:
        """Return whether this worker has the lease, which it then keeps."""
        if self._file is not None:
            return True
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            return False
        self._file = file
        return True

    def release(self) -> None:
        """Let another worker have the lease."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

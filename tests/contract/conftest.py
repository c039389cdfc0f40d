"""The JavaScript packages that the checks are compared with, installed once."""

import fcntl
import os
from pathlib import Path

import pytest

from ..conftest import npm_ci


@pytest.fixture(scope="session")
def npm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages of `tests/contract/npm`."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base  # By the processes of a run.
    folder, installed = shared / "npm", shared / "npm.installed"
    with (shared / "npm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not installed.exists():
            npm_ci(Path(__file__).parent / "npm", folder, "node_modules")
            installed.touch()
    return folder

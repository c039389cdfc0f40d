"""The JavaScript packages that the checks are compared with."""

from pathlib import Path

import pytest

from ..conftest import npm_ci


@pytest.fixture(scope="session")
def npm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages of `tests/contract/npm`."""
    folder = tmp_path_factory.mktemp("npm")
    npm_ci(Path(__file__).parent / "npm", folder, "node_modules")
    return folder

"""How tests are spread over processes: named files are there, and tests that share an installation stay together."""

import re
from pathlib import Path

import pytest

from .scheduling import LONG, unit

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", LONG)
def test_files_that_are_named_are_there(name: str) -> None:
    assert (ROOT / name).is_file()


@pytest.mark.parametrize("name", [name for name, distributed in LONG.items() if distributed == "test"])
def test_tests_that_share_an_installation_are_not_apart(name: str) -> None:
    """A fixture of a module would be made by each process."""
    assert not re.search(r'scope="(module|class|package)"', (ROOT / name).read_text(encoding="utf-8"))


def test_a_unit_is_a_file_or_a_test() -> None:
    assert unit("tests/test_cli.py::test_help[a::b]") == "tests/test_cli.py"
    assert unit("tests/test_door.py::test_examples_run[a::b]") == "tests/test_door.py::test_examples_run[a::b]"

"""The sandbox stands apart: it imports nothing of the gateway, and its door is narrow."""

import ast
from pathlib import Path

import pytest

from gateway import sandbox

MODULES = sorted(Path(sandbox.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_imports_only_its_neighbours_and_packages(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert not any(alias.name.split(".")[0] in ("gateway", "twilio") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level in (0, 1)
            assert node.level == 1 or (node.module or "").split(".")[0] not in ("gateway", "twilio")


def test_the_door_is_described() -> None:
    assert sandbox.__all__ == ["Call", "Fault", "Sandbox", "Switches"]
    for name in sandbox.__all__:
        assert getattr(sandbox, name).__doc__, name

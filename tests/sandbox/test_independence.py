"""The sandbox stands apart: it imports nothing of the gateway, has no import circle, and its door is narrow."""

import ast
from graphlib import TopologicalSorter
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


def test_no_module_imports_itself_through_others() -> None:
    imports = {
        path.stem: {
            name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom) and node.level == 1
            for name in ([node.module] if node.module else [alias.name for alias in node.names])
        }
        for path in MODULES
    }
    assert {"api", "control", "state"} < imports["server"]
    list(TopologicalSorter(imports).static_order())  # CycleError names the circle.


def test_the_door_is_described() -> None:
    assert sandbox.__all__ == ["Call", "Fault", "Sandbox", "Switches", "Webhook"]
    for name in sandbox.__all__:
        assert getattr(sandbox, name).__doc__, name

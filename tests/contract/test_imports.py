"""Imports within the room go one way: from `schema/` to `operations/`, and from both to what stands beside them."""

import ast
from pathlib import Path

import pytest

from gateway import contract

ROOT = Path(contract.__file__).parent
ALLOWED = {".": {"."}, "operations": {".", "operations"}, "schema": {".", "operations", "schema"}}


def imports_of(path: Path) -> set[str]:
    """The folders of this room that a module imports from, `.` for the modules beside them."""
    names = {node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
    parts = [name.split(".")[2:] for name in names if name.split(".")[:2] == ["gateway", "contract"]]
    return {part[0] if part and part[0] in ALLOWED else "." for part in parts}


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    assert imports_of(path) <= ALLOWED[str(path.parent.relative_to(ROOT))]


def test_imports_are_seen() -> None:
    assert imports_of(ROOT / "schema" / "check.py") == {".", "operations", "schema"}

"""How GitHub is told of what is wrong, so that it shows it beside the line.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#setting-an-error-message
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from gateway.contract.operations.gather import Place

__all__ = ["workflow_command"]


def workflow_command(level: str, message: str, place: Place | None = None, *, title: str | None = None) -> str:
    """The line for an `error`, a `warning` or a `notice`, at a place in a file if there is one."""
    properties: dict[str, object] = (
        {"file": _in_workspace(place.path), "line": place.line, "col": place.column} if place else {}
    )
    if title is not None:
        properties["title"] = title
    written = ",".join(f"{name}={_escaped(str(value), ':,')}" for name, value in properties.items())
    return f"::{level}{written and f' {written}'}::{_escaped(message)}"


def _in_workspace(path: Path) -> Path:
    """The path from the repository's top, where GitHub looks for it, though the step may run in a folder below."""
    top = os.environ.get("GITHUB_WORKSPACE")
    whole = Path(os.path.abspath(path))
    return whole.relative_to(top) if top and whole.is_relative_to(top) else path


def _escaped(text: str, also: str = "") -> str:
    return re.sub(rf"[%\r\n{also}]", lambda each: f"%{ord(each[0]):02X}", text)

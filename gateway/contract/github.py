"""GitHub workflow commands, which GitHub shows as annotations beside the lines of a pull request.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#setting-an-error-message
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from gateway.contract.problems import FileLocation

__all__ = ["in_workspace", "workflow_command"]


def workflow_command(
    level: str, message: str, location: FileLocation | None = None, *, title: str | None = None
) -> str:
    """Return the line that annotates a location, or the whole run; `level` is `error`, `warning` or `notice`."""
    properties: dict[str, object] = (
        {"file": in_workspace(location.path), "line": location.line, "col": location.column} if location else {}
    )
    if title is not None:
        properties["title"] = title
    written = ",".join(f"{name}={_escaped(str(value), ':,')}" for name, value in properties.items())
    return f"::{level}{written and f' {written}'}::{_escaped(message)}"


def in_workspace(path: Path) -> Path:
    """Return the path relative to the repository's root, even if the step runs in a directory below it."""
    root = os.environ.get("GITHUB_WORKSPACE")
    absolute = Path(os.path.abspath(path))
    return absolute.relative_to(root) if root and absolute.is_relative_to(root) else path


def _escaped(text: str, also: str = "") -> str:
    return re.sub(rf"[%\r\n{also}]", lambda each: f"%{ord(each[0]):02X}", text)

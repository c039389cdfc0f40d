"""How GitHub is told of what is wrong, so that it shows it beside the line.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#setting-an-error-message
"""

from __future__ import annotations

import re

from gateway.contract.operations import Place

__all__ = ["workflow_command"]


def workflow_command(level: str, message: str, place: Place | None = None, *, title: str | None = None) -> str:
    """The line for an `error`, a `warning` or a `notice`, at a place in a file if there is one."""
    properties: dict[str, object] = {"file": place.path, "line": place.line, "col": place.column} if place else {}
    if title is not None:
        properties["title"] = title
    written = ",".join(f"{name}={_escaped(str(value), ':,')}" for name, value in properties.items())
    return f"::{level}{written and f' {written}'}::{_escaped(message)}"


def _escaped(text: str, also: str = "") -> str:
    return re.sub(rf"[%\r\n{also}]", lambda each: f"%{ord(each[0]):02X}", text)

"""Problems in a client's files, their locations, and the findings of a check."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

__all__ = ["FileLocation", "Finding", "Problem"]


@dataclass(frozen=True, slots=True, order=True)
class FileLocation:
    """A position in a file; lines and columns count from 1, as in https://spec.graphql.org/draft/#sec-Errors."""

    path: Path
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"

    def as_json(self) -> dict[str, Any]:
        """Return the location as a JSON object."""
        return {"file": str(self.path), "line": self.line, "column": self.column}


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """An error in a client's document; the message is one line, for people."""

    location: FileLocation
    message: str

    def __str__(self) -> str:
        return f"{self.location}: {self.message}"

    def as_json(self) -> dict[str, Any]:
        """Return the problem as a JSON object."""
        return {**self.location.as_json(), "message": self.message}


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a check, for the formats that tools read."""

    level: Literal["error", "warning", "notice"]
    rule: str
    """The kind of result, such as `TYPE_REMOVED`; the same for all results of its kind."""
    message: str
    location: FileLocation | None = None
    """None for a result about the schema, which may be no file."""
    title: str | None = None

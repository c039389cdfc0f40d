"""Manifests of trusted documents, which a client's build writes: documents by the ids that the client sends in their place.

The client preset of graphql-codegen
(https://the-guild.dev/graphql/codegen/plugins/presets/preset-client#persisted-documents) and Relay's compiler
(https://relay.dev/docs/guides/persisted-queries/) write `{id: text}`; what Apollo's generator
(https://www.apollographql.com/docs/graphos/platform/security/persisted-queries) writes has a format and a version.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.graph.schema import shared_executor

__all__ = ["read_manifests"]

_APOLLO = "apollo-persisted-query-manifest"
_OPERATION = re.compile(r"\b(?:query|mutation|subscription)\s+([_A-Za-z]\w*)")


@dataclass(frozen=True, slots=True)
class _Entry:
    """A document and its file."""

    file: Path
    id: str
    text: str

    def __str__(self) -> str:
        named = _OPERATION.search(self.text)
        return f"{self.file}: {named[1] if named else 'operation without a name'} (id {self.id})"


def read_manifests(paths: Iterable[Path], problems: list[str], *, introspection: bool = True) -> dict[str, str]:
    """Return the documents of all manifests at `paths`, by id; a directory stands for its `.json` files.

    A message for the user is appended to `problems` for every file that cannot be read, and every document that is not valid.
    """
    entries: dict[str, _Entry] = {}
    for file in _files(paths, problems):
        try:
            found = _entries(file, file.read_bytes())
        except OSError as error:
            problems.append(f"{file}: cannot be read ({error.strerror}).")
        except ValueError as error:
            problems.append(f"{file}: {error}")
        else:
            for entry in found:
                first = entries.setdefault(entry.id, entry)
                if first.text != entry.text:
                    problems.append(f"{entry}: {first.file} has another document with that id.")
    problems += _faults(entries.values(), introspection)
    return {entry.id: entry.text for entry in entries.values()}


def _files(paths: Iterable[Path], problems: list[str]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        files = sorted(path.glob("*.json"))
        if not files:
            problems.append(f"{path}: has no .json files.")
        yield from files


def _entries(file: Path, content: bytes) -> list[_Entry]:
    """Return the documents in a file's content; raises `ValueError` with a message for the user."""
    try:
        manifest = json.loads(content)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON (line {error.lineno}, column {error.colno}: {error.msg}).") from None
    except (UnicodeDecodeError, RecursionError):
        raise ValueError("is not JSON.") from None
    pairs = list(_pairs(manifest)) if isinstance(manifest, dict) else [(None, None)]
    entries = [_Entry(file, id, text) for id, text in pairs if isinstance(id, str) and isinstance(text, str)]
    if len(entries) < len(pairs):
        raise ValueError(
            "is not a manifest: codegen and Relay write an object of documents by id, Apollo one with "
            f'"format": "{_APOLLO}" and its "operations".'
        )
    if not entries:
        raise ValueError("has no documents.")
    return entries


def _pairs(manifest: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    if manifest.get("format") != _APOLLO:
        yield from manifest.items()
        return
    if manifest.get("version") != 1:
        raise ValueError(
            f"has version {json.dumps(manifest.get('version'))} of Apollo's format; version 1 is supported."
        )
    operations = manifest.get("operations")
    for each in operations if isinstance(operations, list) else [None]:
        yield (each.get("id"), each.get("body")) if isinstance(each, dict) else (None, None)


def _faults(entries: Iterable[_Entry], introspection: bool) -> Iterator[str]:
    """Yield a message for each document that is not valid in the schema, or exceeds the limits on documents."""
    executor = shared_executor(introspection=introspection)
    for entry in entries:
        for failure in executor.check(entry.text):
            where = "".join(f" line {line}, column {column}:" for line, column in failure.locations[:1])
            yield f"{entry}:{where} {failure.error.message}"

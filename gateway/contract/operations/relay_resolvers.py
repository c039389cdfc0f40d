"""Relay resolvers: fields that functions of the client compute, declared in docblocks.

https://relay.dev/docs/guides/relay-resolvers/introduction
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.contract import CheckError
from gateway.contract.operations.files import find_files

__all__ = ["RelayResolver", "find_relay_resolvers"]

_SCRIPTS = frozenset({".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts"})
_TAG = re.compile(r"@(?:relayField|RelayResolver)\b(?:[ \t]+(\w+)\.(\w+))?")
"""relay-compiler 21 reads `@relayField`, and `@RelayResolver` with a feature flag; older versions read the latter."""
_TYPE, _NAME, _ROOT_FRAGMENT = (
    re.compile(rf"@(?:{tag})[ \t]+(\w+)") for tag in ("onType|onInterface", "fieldName", "rootFragment")
)


@dataclass(frozen=True, slots=True)
class RelayResolver:
    """A field that a docblock declares."""

    type: str
    field: str
    root_fragment: str | None
    """The fragment whose fields the resolver reads, which is sent in place of the field."""


def find_relay_resolvers(patterns: Sequence[str]) -> list[RelayResolver]:
    """Return the resolvers in the scripts that match the patterns, each once; a pattern without scripts has none."""
    found: dict[tuple[str, str], RelayResolver] = {}
    for pattern in patterns:
        try:
            paths = find_files([pattern], _SCRIPTS)
        except CheckError:
            continue
        for path in paths:
            found |= {(each.type, each.field): each for each in _resolvers(path)}
    return list(found.values())


def _resolvers(path: Path) -> Iterator[RelayResolver]:
    source = path.read_text(encoding="utf-8", errors="replace")
    for part in source.split("/**")[1:]:
        text = part.partition("*/")[0]
        tag, type_, name, root_fragment = (each.search(text) for each in (_TAG, _TYPE, _NAME, _ROOT_FRAGMENT))
        root = root_fragment[1] if root_fragment is not None else None
        if tag is not None and tag[1] is not None:
            yield RelayResolver(tag[1], tag[2], root)
        elif tag is not None and type_ is not None and name is not None:
            yield RelayResolver(type_[1], name[1], root)

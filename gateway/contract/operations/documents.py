"""A client's documents: GraphQL files, and GraphQL literals in JavaScript and TypeScript."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.contract import CheckError
from gateway.contract.operations.files import find_files
from gateway.contract.operations.javascript import find_literals

__all__ = ["ClientDocument", "find_documents"]

_GRAPHQL = frozenset({".graphql", ".gql", ".graphqls"})
_WITH_JSX = frozenset({".tsx", ".jsx", ".js", ".mjs", ".cjs"})
_WITHOUT_JSX = frozenset({".ts", ".mts", ".cts"})

_LINE_BREAK = re.compile(r"\r\n|[\n\r]")
_RELAY_TAG = re.compile(r"\bgraphql\s*`\Z")
_IS_BLANK = re.compile(r"(?:[\s,\ufeff]++|#[^\n\r]*+)*+")


@dataclass(frozen=True, slots=True)
class ClientDocument:
    """GraphQL text with its position in a file."""

    path: Path
    text: str
    line: int = 1
    column: int = 1
    """Where the text begins in the file, from 1."""
    substitutions: tuple[int, ...] = ()
    """Offsets in the text of each `${…}` in JavaScript; the text is blank there."""
    mappings: tuple[tuple[int, int, int], ...] = ()
    """An offset in the text with its line and column in the file, after each escape sequence."""
    is_relay: bool = False
    """Whether it is a template literal tagged `graphql`, the only ones that Relay's compiler reads."""
    _line_starts: list[int] = field(default_factory=list, init=False, repr=False, compare=False)
    """Offsets in the text where lines begin; found at the first use."""

    def line_and_column(self, offset: int) -> tuple[int, int]:
        """Return the line and column in the file, from 1, of an offset in the text, such as a node's `loc.start`."""
        if not self._line_starts:
            self._line_starts.extend([0, *(each.end() for each in _LINE_BREAK.finditer(self.text))])
        mapping = bisect_right(self.mappings, offset, key=lambda each: each[0])
        start, line, column = self.mappings[mapping - 1] if mapping else (0, self.line, self.column)
        breaks = bisect_right(self._line_starts, offset) - bisect_right(self._line_starts, start)
        if not breaks:
            return line, column + offset - start
        return line + breaks, offset - self._line_starts[bisect_right(self._line_starts, offset) - 1] + 1


def find_documents(patterns: Sequence[str]) -> list[ClientDocument]:
    """Read the documents of all files that match, in file order.

    A pattern is a file, a directory, or a glob with `**`, `*`, `?`, `[…]` and `{a,b}`, relative to the working directory.
    Raises `CheckError` for a pattern without a match, and for files that cannot be read.
    """
    documents: list[ClientDocument] = []
    unreadable: list[str] = []
    for path in find_files(patterns, _GRAPHQL | _WITH_JSX | _WITHOUT_JSX):
        try:
            documents += _documents(path, path.read_bytes().decode("utf-8-sig"))
        except OSError as error:
            unreadable.append(f"{path}: it cannot be read ({error.strerror}).")
        except UnicodeDecodeError as error:
            unreadable.append(f"{path}: it is not UTF-8 text (byte {error.start}).")
    if unreadable:
        raise CheckError("\n".join(unreadable))
    return documents


def _documents(path: Path, source: str) -> Iterator[ClientDocument]:
    suffix = path.suffix.lower()
    if suffix not in _WITH_JSX | _WITHOUT_JSX:
        if not _IS_BLANK.fullmatch(source):
            yield ClientDocument(path, source)
        return
    lines: list[int] = []

    def line_and_column(offset: int) -> tuple[int, int]:
        if not lines:
            lines.extend([0, *(each.end() for each in _LINE_BREAK.finditer(source))])
        line = bisect_right(lines, offset)
        return line, offset - lines[line - 1] + 1

    for literal in find_literals(source, jsx=suffix in _WITH_JSX):
        if literal.substitutions or not _IS_BLANK.fullmatch(literal.text):
            (_, start), *others = literal.mappings
            mappings = tuple((offset, *line_and_column(position)) for offset, position in others)
            is_relay = _RELAY_TAG.search(source, max(0, start - 200), start) is not None
            yield ClientDocument(path, literal.text, *line_and_column(start), literal.substitutions, mappings, is_relay)

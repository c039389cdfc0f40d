"""A client's documents: GraphQL files, and GraphQL literals in JavaScript, TypeScript and components."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gateway.contract import CheckError
from gateway.contract.operations.components import find_scripts
from gateway.contract.operations.files import find_files
from gateway.contract.operations.javascript import Literal as JavaScriptLiteral
from gateway.contract.operations.javascript import find_literals, mentions_tags

__all__ = ["ClientDocument", "ClientFiles", "PassedOver", "find_documents", "read_files"]

_GRAPHQL = frozenset({".graphql", ".gql", ".graphqls"})
_LANGUAGES: dict[str, Literal["js", "ts", "tsx"]] = {
    **dict.fromkeys((".js", ".jsx", ".mjs", ".cjs"), "js"),
    **dict.fromkeys((".ts", ".mts", ".cts"), "ts"),
    ".tsx": "tsx",
}
_COMPONENTS = frozenset({".vue", ".svelte", ".astro"})

_LINE_BREAK = re.compile(r"\r\n|[\n\r]")
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
    error: str = ""
    """Why the text could not be read; it is empty then."""
    literal: JavaScriptLiteral | None = field(default=None, repr=False, compare=False)
    """The literal that holds the text, in JavaScript."""
    _line_starts: list[int] = field(default_factory=list, init=False, repr=False, compare=False)
    """Offsets in the text where lines begin; found at the first use."""

    @property
    def is_relay(self) -> bool:
        """Whether it is a template literal tagged `graphql`, the only ones that Relay's compiler reads."""
        return self.literal is not None and self.literal.tag == "graphql" and not self.literal.is_call

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


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A file, or a part of one, that was not read."""

    path: Path
    reason: str

    def as_json(self) -> dict[str, str]:
        """Return it as a JSON object."""
        return {"file": str(self.path), "reason": self.reason}


@dataclass(frozen=True, slots=True)
class ClientFiles:
    """The contents of a client's files."""

    files: int
    """How many files were read."""
    documents: list[ClientDocument]
    """In file order."""
    passed_over: list[PassedOver]
    """In file order."""


def find_documents(patterns: Sequence[str], tags: Iterable[str] = ()) -> list[ClientDocument]:
    """Read the documents of all files that match, as `read_files` does."""
    return read_files(patterns, tags).documents


def read_files(patterns: Sequence[str], tags: Iterable[str] = ()) -> ClientFiles:
    """Read all files that match, in order; `tags` are names of tags besides `gql` and `graphql`.

    A pattern is a file, a directory, or a glob with `**`, `*`, `?`, `[…]` and `{a,b}`, relative to the working directory.
    Raises `CheckError` for a pattern without a match, for files that cannot be read, and if the parser for JavaScript and
    TypeScript is needed but not installed.
    """
    paths = find_files(patterns, _GRAPHQL | _LANGUAGES.keys() | _COMPONENTS)
    documents: list[ClientDocument] = []
    passed_over: list[PassedOver] = []
    unreadable: list[str] = []
    for path in paths:
        try:
            source = path.read_bytes().decode("utf-8-sig")
        except OSError as error:
            unreadable.append(f"{path}: it cannot be read ({error.strerror}).")
        except UnicodeDecodeError as error:
            unreadable.append(f"{path}: it is not UTF-8 text (byte {error.start}).")
        else:
            documents += _documents(path, source, tags, passed_over)
    if unreadable:
        raise CheckError("\n".join(unreadable))
    return ClientFiles(len(paths), documents, passed_over)


def _documents(path: Path, source: str, tags: Iterable[str], passed_over: list[PassedOver]) -> Iterator[ClientDocument]:
    suffix = path.suffix.lower()
    if suffix in _LANGUAGES:
        yield from _script_documents(path, source, 0, source, _LANGUAGES[suffix], tags, passed_over)
    elif suffix in _COMPONENTS:
        for script in find_scripts(source, suffix):
            text = source[script.start : script.end]
            if script.language is not None:
                yield from _script_documents(path, source, script.start, text, script.language, tags, passed_over)
            elif mentions_tags(text, tags):
                passed_over.append(PassedOver(path, f"A script in the language {script.language_name} is not read."))
    elif not _IS_BLANK.fullmatch(source):
        yield ClientDocument(path, source)


def _script_documents(
    path: Path,
    source: str,
    start: int,
    text: str,
    language: Literal["js", "ts", "tsx"],
    tags: Iterable[str],
    passed_over: list[PassedOver],
) -> Iterator[ClientDocument]:
    """Yield the documents in a script, which is the `text` that begins at `start` in the source."""
    lines: list[int] = []

    def line_and_column(offset: int) -> tuple[int, int]:
        if not lines:
            lines.extend([0, *(each.end() for each in _LINE_BREAK.finditer(source))])
        line = bisect_right(lines, start + offset)
        return line, start + offset - lines[line - 1] + 1

    script = find_literals(text, language=language, tags=tags)
    for literal in script.literals:
        if literal.substitutions or not _IS_BLANK.fullmatch(literal.text):
            (_, begin), *others = literal.mappings
            mappings = tuple((offset, *line_and_column(position)) for offset, position in others)
            yield ClientDocument(
                path, literal.text, *line_and_column(begin), literal.substitutions, mappings, literal=literal
            )
    for problem in script.problems:
        yield ClientDocument(path, "", *line_and_column(problem.offset), error=problem.message)
    if script.syntax_error is not None and not script.problems:
        line, column = line_and_column(script.syntax_error)
        passed_over.append(PassedOver(path, f"A syntax error at {line}:{column}; the documents around it were read."))
    passed_over += [
        PassedOver(path, f"Documents tagged with `graphql` of {module} are for another server.")
        for module in sorted(script.other_modules)
    ]

"""File search by globs with `**` and `{a,b}`, which neither every shell nor Python's glob supports."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from gateway.contract import CheckError

__all__ = ["find_files"]

_MAGIC = re.compile(r"[*?\[]")
_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")
_EXPANSIONS_MAX = 1000


def find_files(patterns: Sequence[str], suffixes: frozenset[str]) -> list[Path]:
    """Return the files that match any pattern and have one of the `suffixes`, sorted, each once.

    A pattern is a glob, a file, or a directory, which is searched recursively. A file without a suffix matches if it is named
    itself. `node_modules`, names that begin with a dot, and generated files (`__generated__`, `*.generated.*`) are skipped
    unless the pattern names them. Raises `CheckError` if a glob has no match, if a path does not exist, or if no file is
    found at all; a single path may contribute none, since a shell may have expanded a glob to it.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        if not pattern:
            raise CheckError("An empty pattern is not a file.")
        matches = [path for each in _expanded(pattern) for path in _matches(each, suffixes)]
        if not matches and (_MAGIC.search(pattern) or _BRACES.search(pattern)):
            raise CheckError(_no_files(pattern, suffixes))
        if not matches and not os.path.exists(pattern):
            raise CheckError(f"{pattern}: there is no such file or directory in {Path.cwd()}.")
        found.update(dict.fromkeys(matches))
    if not found:
        raise CheckError(_no_files(", ".join(patterns), suffixes))
    return sorted(found, key=lambda path: path.parts)


def _expanded(pattern: str) -> list[str]:
    """Expand the braces of a pattern."""
    expanded: list[str] = []
    waiting = [pattern]
    while waiting:
        each = waiting.pop()
        braces = _BRACES.search(each)
        if braces is None:
            expanded.append(each)
        else:
            waiting += [each[: braces.start()] + choice + each[braces.end() :] for choice in braces[1].split(",")]
        if len(waiting) + len(expanded) > _EXPANSIONS_MAX:
            raise CheckError(f"{pattern}: its braces stand for more than {_EXPANSIONS_MAX} patterns.")
    return expanded


def _matches(pattern: str, suffixes: frozenset[str]) -> Iterator[Path]:
    if not _MAGIC.search(pattern) or os.path.lexists(pattern):  # A file may be called `[id].tsx`.
        path = Path(pattern)
        if os.path.isdir(path):
            yield from _walk(path, re.compile(".*", re.DOTALL), pattern, suffixes)
        elif os.path.exists(pattern) and path.suffix.lower() in suffixes | {""}:
            yield path
        return
    parts = re.split(r"/+", pattern)
    first = next(position for position, part in enumerate(parts) if _MAGIC.search(part))
    root = Path("/".join(parts[:first]) or ("/" if pattern.startswith("/") else "."))
    if os.path.isdir(root):
        yield from _walk(root, _translated(parts[first:]), pattern, suffixes)


def _translated(parts: Sequence[str]) -> re.Pattern[str]:
    """Translate the parts of a glob to a regular expression for paths."""
    text = ""
    for position, part in enumerate(parts):
        is_last = position == len(parts) - 1
        if part == "**":
            text += ".+" if is_last else "(?:.+/)?"
            continue
        for star, question, choice, other in re.findall(r"(\*+)|(\?)|\[(!?[^\]/]+)\]|(.)", part, re.DOTALL):
            if star:
                text += "[^/]*"
            elif question:
                text += "[^/]"
            elif choice:
                negation = "^/" if choice.startswith("!") else ""
                text += f"[{negation}{_class(choice.removeprefix('!'))}]"
            else:
                text += re.escape(other)
        text += "" if is_last else "/"
    return re.compile(text, re.DOTALL)


def _class(choice: str) -> str:
    """Translate the content of a glob's brackets; a backward range counts as its three characters."""
    return re.sub(
        r"(.)-(.)|(.)",
        lambda each: (
            re.escape(each[3])
            if each[3]
            else f"{re.escape(each[1])}-{re.escape(each[2])}"
            if each[1] <= each[2]
            else "".join(map(re.escape, each[0]))
        ),
        choice,
        flags=re.DOTALL,
    )


def _walk(root: Path, wanted: re.Pattern[str], pattern: str, suffixes: frozenset[str]) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise CheckError(f"{error.filename}: it cannot be read ({error.strerror}).")

    def is_skipped(name: str) -> bool:
        is_generated = name == "__generated__" or ".generated." in name
        return name.startswith(".") or name == "node_modules" or (is_generated and "generated" not in pattern)

    for folder, folders, names in os.walk(root, onerror=fail):
        folders[:] = [name for name in folders if not is_skipped(name)]
        parent = Path(folder).relative_to(root)
        for name in names:
            if os.path.splitext(name)[1].lower() in suffixes and not is_skipped(name):
                relative = parent / name
                if wanted.fullmatch(relative.as_posix()) and (root / relative).is_file():
                    yield root / relative


def _no_files(pattern: str, suffixes: frozenset[str]) -> str:
    return (
        f"{pattern}: no file is there with one of the endings {' '.join(sorted(suffixes))}. Patterns are relative to "
        f"{Path.cwd()}; node_modules, dot-directories and generated files are left out."
    )

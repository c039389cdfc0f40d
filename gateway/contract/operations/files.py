"""File search by globs with `**` and `{a,b}`, which neither every shell nor Python's glob supports."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from gateway.contract import CheckError

__all__ = ["find_files"]

_MAGIC = re.compile(r"[*?\[]")
_BRACES = re.compile(r"\{([^{},]*,[^{}]*)\}")
_NOTHING = re.compile(r"(?!)")
_EXPANSIONS_MAX = 1000


def find_files(patterns: Sequence[str], suffixes: frozenset[str]) -> list[Path]:
    """Return the files that match any pattern and have one of the `suffixes`, sorted, each once.

    A pattern is a glob, a file, or a directory, which is searched recursively; after `!` it leaves its files out. A file
    without a suffix matches if it is named itself. `node_modules`, names that begin with a dot, and generated files
    (`__generated__`, `*.generated.*`) are skipped unless the pattern names them. Raises `CheckError` if a glob has no match,
    if a path does not exist, or if no file is found at all; a single path may contribute none, since a shell may have
    expanded a glob to it.
    """
    found: dict[Path, None] = {}
    excluded: set[Path] = set()
    for pattern in patterns:
        if not pattern:
            raise CheckError("An empty pattern is not a file.")
        if pattern.startswith("!") and not os.path.lexists(pattern):
            excluded.update(path for each in _expanded(pattern[1:]) for path in _matches(each, suffixes))
            continue
        matches = [path for each in _expanded(pattern) for path in _matches(each, suffixes)]
        if not matches and (_MAGIC.search(pattern) or _BRACES.search(pattern)):
            raise CheckError(_no_files(pattern, suffixes))
        if not matches and not os.path.exists(pattern):
            raise CheckError(f"{pattern}: there is no such file or directory in {Path.cwd()}.")
        found.update(dict.fromkeys(matches))
    if not found.keys() - excluded:
        raise CheckError(_no_files(", ".join(patterns), suffixes))
    return sorted(found.keys() - excluded, key=lambda path: path.parts)


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
            yield from _walk(path, [None], pattern, suffixes)
        elif os.path.exists(pattern) and path.suffix.lower() in suffixes | {""}:
            yield path
        return
    parts = re.split(r"/+", pattern)
    first = next(position for position, part in enumerate(parts) if _MAGIC.search(part))
    root = Path("/".join(parts[:first]) or ("/" if pattern.startswith("/") else "."))
    if os.path.isdir(root):
        yield from _walk(root, _compiled(parts[first:]), pattern, suffixes)


def _compiled(parts: Sequence[str]) -> list[re.Pattern[str] | None]:
    """Compile each part of a glob, `**` to None; one at the end needs at least one name."""
    compiled = [None if part == "**" else re.compile(fnmatch.translate(part)) for part in parts]
    return compiled if compiled[-1] is not None else [*compiled, re.compile(".*", re.DOTALL)]


def _is_match(names: Sequence[str], glob: Sequence[re.Pattern[str] | None]) -> bool:
    """Whether the names in a path match a glob. Only its last `**` so far is tried again: earlier ones stay as short."""
    position = at = 0
    star: int | None = None
    retried = 0
    while at < len(names):
        part = glob[position] if position < len(glob) else _NOTHING
        if part is None:
            star, retried = position, at
            position += 1
        elif part.fullmatch(names[at]):
            position, at = position + 1, at + 1
        elif star is not None:
            retried += 1
            position, at = star + 1, retried
        else:
            return False
    return all(part is None for part in glob[position:])


def _walk(
    root: Path, wanted: Sequence[re.Pattern[str] | None], pattern: str, suffixes: frozenset[str]
) -> Iterator[Path]:
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
                if _is_match(relative.parts, wanted) and (root / relative).is_file():
                    yield root / relative


def _no_files(pattern: str, suffixes: frozenset[str]) -> str:
    return (
        f"{pattern}: no file is there with one of the endings {' '.join(sorted(suffixes))}. Patterns are relative to "
        f"{Path.cwd()}; node_modules, dot-directories and generated files are left out."
    )

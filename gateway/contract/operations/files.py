"""Finding files by patterns with `**` and `{a,b}`, which shells and Python each know only in part."""

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
    """The files that patterns, files and directories name, sorted, each once; raises `CheckError`.

    They are those with one of the `suffixes`; of a directory, all that are below it. A file without any suffix counts if it
    is named outright. `node_modules`, what begins with a dot, and what is generated (`__generated__`, `*.generated.*`) are
    left out, unless the pattern itself says them. A pattern must match, and a path must be there; but since a shell may have
    made paths of a pattern, not each of them must hold something.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        if not pattern:
            raise CheckError("An empty pattern names no file.")
        matches = [path for each in _expanded(pattern) for path in _matches(each, suffixes)]
        if not matches and (_MAGIC.search(pattern) or _BRACES.search(pattern)):
            raise CheckError(_nothing(pattern, suffixes))
        if not matches and not os.path.exists(pattern):
            raise CheckError(f"{pattern}: there is no such file or directory in {Path.cwd()}.")
        found.update(dict.fromkeys(matches))
    if not found:
        raise CheckError(_nothing(", ".join(patterns), suffixes))
    return sorted(found, key=lambda path: path.parts)


def _expanded(pattern: str) -> list[str]:
    """The patterns without braces that one with braces stands for."""
    done: list[str] = []
    waiting = [pattern]
    while waiting:
        each = waiting.pop()
        braces = _BRACES.search(each)
        if braces is None:
            done.append(each)
        else:
            waiting += [each[: braces.start()] + choice + each[braces.end() :] for choice in braces[1].split(",")]
        if len(waiting) + len(done) > _EXPANSIONS_MAX:
            raise CheckError(f"{pattern}: its braces stand for more than {_EXPANSIONS_MAX} patterns.")
    return done


def _matches(pattern: str, suffixes: frozenset[str]) -> Iterator[Path]:
    if not _MAGIC.search(pattern) or os.path.lexists(pattern):  # A file may be called `[id].tsx`.
        path = Path(pattern)
        if os.path.isdir(path):
            yield from _below(path, re.compile(".*", re.DOTALL), pattern, suffixes)
        elif os.path.exists(pattern) and path.suffix.lower() in suffixes | {""}:
            yield path
        return
    parts = re.split(r"/+", pattern)
    fixed = next(place for place, part in enumerate(parts) if _MAGIC.search(part))
    top = Path("/".join(parts[:fixed]) or ("/" if pattern.startswith("/") else "."))
    if os.path.isdir(top):
        yield from _below(top, _translated(parts[fixed:]), pattern, suffixes)


def _translated(parts: Sequence[str]) -> re.Pattern[str]:
    """A regular expression for what stands below a pattern's fixed part."""
    text = ""
    for place, part in enumerate(parts):
        is_last = place == len(parts) - 1
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
    """What stands in a pattern's brackets; a range that runs backwards is taken for its three characters."""
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


def _below(top: Path, wanted: re.Pattern[str], pattern: str, suffixes: frozenset[str]) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise CheckError(f"{error.filename}: it cannot be read ({error.strerror}).")

    def is_left_out(name: str) -> bool:
        is_generated = name == "__generated__" or ".generated." in name
        return name.startswith(".") or name == "node_modules" or (is_generated and "generated" not in pattern)

    for folder, folders, names in os.walk(top, onerror=refuse):
        folders[:] = [name for name in folders if not is_left_out(name)]
        below = Path(folder).relative_to(top)
        for name in names:
            if os.path.splitext(name)[1].lower() in suffixes and not is_left_out(name):
                relative = below / name
                if wanted.fullmatch(relative.as_posix()) and (top / relative).is_file():
                    yield top / relative


def _nothing(pattern: str, suffixes: frozenset[str]) -> str:
    return (
        f"{pattern}: no file is there with one of the endings {' '.join(sorted(suffixes))}. Patterns are relative to "
        f"{Path.cwd()}; node_modules, dot-directories and generated files are left out."
    )

"""The code blocks and tables of README and of the documentation, for the tests that run and check them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..conftest import ROOT

DOCS = ROOT / "gateway" / "docs"
FILES = {"README": ROOT / "README.md", **{path.stem: path for path in sorted(DOCS.glob("*.md"))}}
"""README and the topics, by name."""

_BLOCK = re.compile(r"^```(?P<language>\S*)(?: (?P<name>\S+))?\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced code block."""

    language: str
    name: str | None
    """The file name beside the language, if there is one."""
    text: str


def read(name: str) -> str:
    """Return README or a topic."""
    return FILES[name].read_text(encoding="utf-8")


def section(name: str, heading: str) -> str:
    """Return the text below a second-level heading, up to the next one."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", read(name), re.DOTALL | re.MULTILINE)
    assert found is not None, f"{name} has no section {heading!r}"
    return found[1]


def all_blocks(name: str) -> list[Block]:
    """Return every block of README or of a topic."""
    text = read(name)
    found = [Block(match["language"], match["name"], match["text"]) for match in _BLOCK.finditer(text)]
    assert text.count("```") == 2 * len(found), f"{name} has a block that cannot be read"
    return found


def blocks(name: str, language: str) -> list[str]:
    """Return the texts of a file's blocks in one language."""
    return [block.text for block in all_blocks(name) if block.language == language]


def rows(text: str, head: str) -> list[list[str]]:
    """Return the cells of the table whose head begins with `head`, without the head; backticks around a cell are removed."""
    _, _, rest = text.partition(f"| {head} ")
    assert rest, f"there is no table with the head {head!r}"
    lines = rest.splitlines()[2:]
    end = next((number for number, line in enumerate(lines) if not line.startswith("|")), len(lines))
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in lines[:end]]


def code(text: str) -> list[str]:
    """Return what stands between backticks in a text without blocks."""
    return re.findall(r"`([^`]+)`", _BLOCK.sub("", text))

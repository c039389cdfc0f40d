"""The documentation: one Markdown file per topic, printed by `receipts-gateway docs` and served beside GraphiQL."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

__all__ = ["Topic", "read_picture", "read_topics"]


@dataclass(frozen=True, slots=True)
class Topic:
    """One file of the documentation."""

    name: str
    """Its file name without `.md`."""
    title: str
    """Its first heading."""
    summary: str
    """The sentence below the title: what the topic is for."""
    text: str
    """The whole file, as Markdown."""


def read_topics() -> dict[str, Topic]:
    """Return all topics by name, in alphabetical order."""
    names = sorted(file.name for file in files(__name__).iterdir() if file.name.endswith(".md"))
    return {topic.name: topic for topic in map(_read_topic, names)}


def read_picture(name: str) -> bytes | None:
    """Return the SVG file of that name, or None if there is none."""
    for file in files(__name__).iterdir():
        if file.name == name and name.endswith(".svg"):
            return file.read_bytes()
    return None


def _read_topic(file_name: str) -> Topic:
    text = files(__name__).joinpath(file_name).read_text(encoding="utf-8")
    title, summary, _ = text.split("\n\n", 2)
    return Topic(file_name.removesuffix(".md"), title.removeprefix("# "), " ".join(summary.split()), text)

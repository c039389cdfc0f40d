"""The scripts of Vue, Svelte and Astro components: https://vuejs.org/api/sfc-spec, https://svelte.dev/docs/svelte/svelte-files
and https://docs.astro.build/en/basics/astro-components."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

__all__ = ["ComponentScript", "find_scripts"]

_FRONTMATTER = re.compile(r"\A\s*+---[^\S\n]*+\n?")
_FENCE = re.compile(r"(?<=\n)[^\S\n]*+---")
_TAG = re.compile(
    r"(?P<comment><!--)|<(?P<name>/?[a-z][\w:.-]*+)(?P<attributes>(?:=\s*+(?:\"[^\"]*+\"|'[^']*+')|[^<>])*+)>",
    re.IGNORECASE,
)
"""A comment's beginning, or a tag; what a quoted attribute holds is no tag."""
_LANGUAGE = re.compile(r"\b(?:lang|type)\s*+=\s*+[\"']?([\w/+-]++)", re.IGNORECASE)

_LANGUAGES: dict[str, Literal["js", "ts", "tsx"]] = {
    **dict.fromkeys(("js", "javascript", "jsx", "module", "text/javascript", "application/javascript"), "js"),
    **dict.fromkeys(("ts", "typescript", "text/typescript"), "ts"),
    "tsx": "tsx",
}


@dataclass(frozen=True, slots=True)
class ComponentScript:
    """Where a script is in its component, from `start` to `end`."""

    start: int
    end: int
    language: Literal["js", "ts", "tsx"] | None
    """None for a language that is not read, such as CoffeeScript."""
    language_name: str = ""


def find_scripts(source: str, suffix: str) -> list[ComponentScript]:
    """Find the scripts of a component, in order, by the suffix of its file: `.vue`, `.svelte` or `.astro`."""
    found: list[ComponentScript] = []
    at = 0
    default = "ts" if suffix == ".astro" else "js"
    fence = _FRONTMATTER.match(source) if suffix == ".astro" else None
    if fence is not None:
        end = _FENCE.search(source, fence.end())
        at = end.end() if end is not None else len(source)
        found.append(ComponentScript(fence.end(), end.start() if end is not None else at, "ts"))
    while (tag := _TAG.search(source, at)) is not None:
        at = _after_comment(source, tag.end()) if tag["comment"] else tag.end()
        name = (tag["name"] or "/").lower()
        if name.startswith("/") or tag["attributes"].endswith("/"):
            continue
        named = _LANGUAGE.search(tag["attributes"])
        language = named[1].lower() if named is not None else None
        start = at
        if name in {"script", "style"}:
            at = _end_of_raw(source, at, name)
        elif suffix == ".vue":  # Every tag is a block of the component: a template, or one of another tool.
            is_html = name == "template" and language in {"html", None}
            at = _end_of_template(source, at) if is_html else _end_of_raw(source, at, name)
        if name == "script":
            name_of_language = language or default
            found.append(ComponentScript(start, at, _LANGUAGES.get(name_of_language), name_of_language))
    return found


def _after_comment(source: str, at: int) -> int:
    end = source.find("-->", at)
    return end + 3 if end >= 0 else len(source)


def _end_of_raw(source: str, at: int, name: str) -> int:
    """Return where the text of an element ends whose text is not HTML."""
    end = _end_tag(name).search(source, at)
    return end.start() if end is not None else len(source)


@cache
def _end_tag(name: str) -> re.Pattern[str]:
    return re.compile(rf"</{re.escape(name)}(?=[\s/>])", re.IGNORECASE)


def _end_of_template(source: str, at: int) -> int:
    """Return where a template ends, which may hold others."""
    depth = 1
    while (tag := _TAG.search(source, at)) is not None:
        at = _after_comment(source, tag.end()) if tag["comment"] else tag.end()
        name = (tag["name"] or "").lower()
        if name == "/template":
            depth -= 1
        elif name == "template" and not tag["attributes"].endswith("/"):
            depth += 1
        if depth == 0:
            break
    return at

"""The scripts of Vue, Svelte and Astro components: https://vuejs.org/api/sfc-spec, https://svelte.dev/docs/svelte/svelte-files
and https://docs.astro.build/en/basics/astro-components."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["ComponentScript", "find_scripts"]

_FRONTMATTER = re.compile(r"\A\s*+---[^\S\n]*+\n?")
_FENCE = re.compile(r"(?<=\n)[^\S\n]*+---")
_BLOCK = re.compile(
    r"(?P<comment><!--)|<(?P<name>script|style)(?=[\s/>])(?P<attributes>(?:\"[^\"]*+\"|'[^']*+'|[^\"'>])*+)>",
    re.IGNORECASE,
)
_ENDS = {name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE) for name in ("script", "style")}
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
    while (block := _BLOCK.search(source, at)) is not None:
        at = block.end()
        if block["comment"]:
            end_of_comment = source.find("-->", at)
            at = end_of_comment + 3 if end_of_comment >= 0 else len(source)
        elif not block["attributes"].endswith("/"):
            close = _ENDS[block["name"].lower()].search(source, at)
            end_of_block = close.start() if close is not None else len(source)
            if block["name"].lower() == "script":
                named = _LANGUAGE.search(block["attributes"])
                name = named[1].lower() if named is not None else default
                found.append(ComponentScript(at, end_of_block, _LANGUAGES.get(name), name))
            at = end_of_block
    return found

"""GraphQL literals in JavaScript and TypeScript: those tagged `gql` or `graphql`, or marked with `/* GraphQL */`.

A scanner, not a parser: it tells comments, strings, templates, regular expressions and JSX apart, and ignores the rest of the
language.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

__all__ = ["Literal", "find_literals"]


@dataclass(frozen=True, slots=True)
class Literal:
    """The text of one literal, escape sequences resolved, and each `${…}` replaced by as many blanks."""

    text: str
    mappings: tuple[tuple[int, int], ...]
    """An offset in the text with its offset in the source: the beginning, and after each escape sequence."""
    substitutions: tuple[int, ...]
    """Offsets in the text of each `${…}`."""


_GAP = r"(?:\s|//[^\n\r]*[\n\r]|/\*(?:[^*]|\*(?!/))*\*/)*"
_TYPES = r"<(?:[^<>()`]|=>|<(?:[^<>()`]|=>|<[^<>()`]*>)*>)*>"
_TAG = re.compile(rf"{_GAP}(?:{_TYPES}{_GAP})?(?:(?P<template>`)|\({_GAP}(?P<argument>[`'\"]))")
_MAGIC_COMMENT = re.compile(r"/\*\s*graphql\s*\*/", re.IGNORECASE)
_BEFORE_LITERAL = re.compile(rf"{_GAP}[`'\"]")

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<comment>//[^\n\r]*|/\*(?:[^*]|\*(?!/))*(?:\*/)?)
    |(?P<string>"(?:[^"\\\n\r]|\\(?:\r\n|[^\r]|\r))*"|'(?:[^'\\\n\r]|\\(?:\r\n|[^\r]|\r))*')
    |(?P<word>[\w$]+)
    |(?P<mark>\+\+|--|\.\.\.|=>|.)""",
    re.VERBOSE | re.DOTALL,
)
_REGEXP = re.compile(r"/(?:[^/\\\[\n\r]|\\[^\n\r]|\[(?:[^\]\\\n\r]|\\[^\n\r])*\])+/[a-z]*")
_BEFORE_VALUE = re.compile(
    "await|case|default|delete|do|else|extends|in|instanceof|new|of|return|throw|typeof|void|yield"
)
"""Keywords before an expression: a `/` after one of them begins a regular expression."""
_TEMPLATE_TEXT = re.compile(r"(?:[^`\\$]|\\.|\$(?!\{))*", re.DOTALL)
_ELEMENT = re.compile(r"<[A-Za-z_$>]")
_TAG_PART = re.compile(r"//[^\n\r]*|/\*(?:[^*]|\*(?!/))*\*/|\"[^\"]*\"|'[^']*'|/\s*>|[^\"'/<>{}]+|.", re.DOTALL)
_CHILDREN_TEXT = re.compile(r"(?:[^<>{}]|<(?![/\w$>]))*")
_RESCAN_MAX = 4
"""How many times its length a source may be rescanned, after a `<` that did not begin an element."""


@dataclass(slots=True)
class _Template:
    """A template literal whose end has not been reached."""

    start: int
    is_wanted: bool
    substitutions: list[tuple[int, int]] = field(default_factory=list)


def find_literals(source: str, *, jsx: bool) -> list[Literal]:
    """Return the literals that hold GraphQL, in the order in which they end. With `jsx`, a `<` may begin an element."""
    return _Scan(source, jsx).run() if re.search("gql|graphql", source, re.IGNORECASE) else []


class _Scan:
    """One pass over a source, with a stack of open brackets whose top says what kind of text comes next."""

    def __init__(self, source: str, jsx: bool) -> None:
        self.source = source
        self.jsx = jsx
        self.at = len(source.partition("\n")[0]) if source.startswith("#!") else 0
        self.found: list[Literal] = []
        self.open: list[_Template | str] = []
        """Templates, `{` in code, `${` in a template, `<` and `</` in a tag, `>` between tags, `<{` for code in JSX."""
        self.is_after_value = False
        self.wanted: set[int] = set()
        """Offsets where GraphQL literals begin."""
        self.element: tuple[int, int, int] | None = None
        """Offset of the outermost JSX element with the lengths of `open` and `found` there, to backtrack to if it is none."""
        self.no_elements: set[int] = set()
        self.rescanned = 0

    def run(self) -> list[Literal]:
        while True:
            while self.at < len(self.source):
                top = self.open[-1] if self.open else None
                if isinstance(top, _Template):
                    self._template(top)
                elif top in {"<", "</"}:
                    self._tag(top)
                elif top == ">":
                    self._children()
                else:
                    self._code()
            if self.element is None:
                break
            self._backtrack()
        for each in self.open:
            if isinstance(each, _Template) and each.is_wanted:  # Never closed: parsing it reports the error.
                self._take(each.start, len(self.source), each.substitutions)
        return self.found

    def _code(self) -> None:
        source, at = self.source, self.at
        token = _TOKEN.match(source, at)
        assert token is not None
        self.at, kind, text = token.end(), token.lastgroup, token[0]
        if kind == "space":
            return
        if kind == "comment":
            following = _BEFORE_LITERAL.match(source, self.at) if _MAGIC_COMMENT.fullmatch(text) else None
            if following is not None:
                self.wanted.add(following.end() - 1)
            return
        if kind == "string":
            if at in self.wanted:
                self._take(at + 1, self.at - 1, [])
            self.is_after_value = True
        elif kind == "word":
            if text in {"gql", "graphql"} and not re.search(r"(?<!\.\.)\.\s*$", source[max(at - 20, 0) : at]):
                literal = _TAG.match(source, self.at)
                if literal is not None:
                    self.wanted.add(literal.end() - 1)
            self.is_after_value = not _BEFORE_VALUE.fullmatch(text)
        else:
            self._mark(text, at)

    def _mark(self, mark: str, at: int) -> None:
        was_after_value, self.is_after_value = self.is_after_value, mark in ")]}"
        if mark == "`":
            self.open.append(_Template(self.at, at in self.wanted or self.source.startswith("#graphql", self.at)))
        elif mark == "{":
            self.open.append("{")
        elif mark == "}":
            self._close()
        elif mark in {"++", "--"}:
            self.is_after_value = was_after_value
        elif mark == "/" and not was_after_value and not self.source.startswith("<", at - 1):
            regexp = _REGEXP.match(self.source, at)
            if regexp is not None:
                self.at, self.is_after_value = regexp.end(), True
        elif mark == "<" and not was_after_value and self._may_be_element(at):
            self.element = self.element or (at, len(self.open), len(self.found))
            self.open.append("<")

    def _may_be_element(self, at: int) -> bool:
        return self.jsx and at not in self.no_elements and _ELEMENT.match(self.source, at) is not None

    def _close(self) -> None:
        if self.open and self.open[-1] in {"{", "${", "<{"}:
            was = self.open.pop()
            if was == "${":
                template = self.open[-1]
                assert isinstance(template, _Template)
                template.substitutions[-1] = template.substitutions[-1][0], self.at

    def _template(self, template: _Template) -> None:
        text = _TEMPLATE_TEXT.match(self.source, self.at)
        assert text is not None
        end = text.end()
        if self.source.startswith("${", end):
            template.substitutions.append((end, len(self.source)))
            self.open.append("${")
            self.at, self.is_after_value = end + 2, False
        else:
            self.at, self.is_after_value = end + 1, True
            if end < len(self.source):
                self.open.pop()
                if template.is_wanted:
                    self._take(template.start, end, template.substitutions)

    def _tag(self, kind: str) -> None:
        part = _TAG_PART.match(self.source, self.at)
        assert part is not None
        self.at, text = part.end(), part[0]
        if text == "{":
            self.open.append("<{")
            self.is_after_value = False
        elif text == "<":
            self.open.append("<")
        elif text == "}":
            self._backtrack()
        elif text == ">" and kind == "<":
            self.open[-1] = ">"
        elif text == ">":
            del self.open[-2:]
            self._end_element()
        elif text.startswith("/") and text.endswith(">") and kind == "<":
            self.open.pop()
            self._end_element()

    def _children(self) -> None:
        text = _CHILDREN_TEXT.match(self.source, self.at)
        assert text is not None
        self.at = text.end() + 1
        following = self.source[text.end() : text.end() + 2]
        if following[:1] == "{":
            self.open.append("<{")
            self.is_after_value = False
        elif following == "</":
            self.open.append("</")
            self.at += 1
        elif following[:1] == "<":
            self.open.append("<")
        else:
            self._backtrack()  # JSX text has no bare `}` or `>`: this was a type parameter.

    def _end_element(self) -> None:
        self.is_after_value = True
        if self.element is not None and len(self.open) <= self.element[1]:
            self.element = None

    def _backtrack(self) -> None:
        """Rescan after the `<` that turned out to begin no element."""
        assert self.element is not None
        at, opened, found = self.element
        self.no_elements.add(at)
        self.rescanned += self.at - at
        self.jsx = self.jsx and self.rescanned < _RESCAN_MAX * len(self.source)
        self.at, self.element, self.is_after_value = at + 1, None, False
        del self.open[opened:], self.found[found:]

    def _take(self, start: int, end: int, substitutions: list[tuple[int, int]]) -> None:
        self.found.append(_literal(self.source, start, end, substitutions))


_ESCAPE = re.compile(
    r"\\(?:u(?P<pair>[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(?:u\{(?P<long>[0-9a-fA-F]+)\}"
    r"|u(?P<four>[0-9a-fA-F]{4})|x(?P<two>[0-9a-fA-F]{2}))|(?P<newline>\r\n|[\n\r\u2028\u2029])|(?P<other>.))",
    re.DOTALL,
)
_NAMED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}


def _literal(source: str, start: int, end: int, substitutions: list[tuple[int, int]]) -> Literal:
    """Evaluate the source between two offsets as JavaScript does."""
    parts: list[str] = []
    mappings = [(0, start)]
    blanks: list[int] = []
    length, at = 0, start
    for low, high in [*substitutions, (end, end)]:
        for escape in _ESCAPE.finditer(source, at, low):
            raw, resolved = source[at : escape.start()], _resolved(escape)
            parts += [raw, resolved]
            length += len(raw) + len(resolved)
            at = escape.end()
            mappings.append((length, at))
        blank = re.sub(r"[^\n\r]", " ", source[low:high])
        parts += [source[at:low], blank]
        length += low - at
        if low < high:
            blanks.append(length)
        length, at = length + len(blank), high
    return Literal("".join(parts), tuple(mappings), tuple(blanks))


def _resolved(escape: re.Match[str]) -> str:
    if escape["pair"]:
        high, low = (int(half, 16) for half in escape["pair"].split("\\u"))
        return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
    digits = escape["long"] or escape["four"] or escape["two"]
    if digits:
        code = int(digits, 16)
        return chr(code) if code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF else "�"
    return "" if escape["newline"] else _NAMED.get(escape["other"], escape["other"])

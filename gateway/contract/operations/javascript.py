"""Taking GraphQL out of JavaScript and TypeScript: the literals behind `gql`, `graphql` and `/* GraphQL */`.

A scanner, not a parser: it knows comments, strings, templates, regular expressions and JSX well enough never to take one for
another, and nothing else of the language.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

__all__ = ["Literal", "find_literals"]


@dataclass(frozen=True, slots=True)
class Literal:
    """The text of one literal, with its escapes resolved; each `${…}` in it is blank, as long as it was."""

    text: str
    places: tuple[tuple[int, int], ...]
    """Offsets in the text, and in the source, of the parts between escapes; the first is the beginning."""
    holes: tuple[int, ...]
    """The offsets in the text of what was `${…}`."""


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
"""Words behind which a value begins, so that a `/` opens a regular expression there."""
_TEMPLATE_TEXT = re.compile(r"(?:[^`\\$]|\\.|\$(?!\{))*", re.DOTALL)
_ELEMENT = re.compile(r"<[A-Za-z_$>]")
_TAG_PART = re.compile(r"//[^\n\r]*|/\*(?:[^*]|\*(?!/))*\*/|\"[^\"]*\"|'[^']*'|/\s*>|[^\"'/<>{}]+|.", re.DOTALL)
_CHILDREN_TEXT = re.compile(r"(?:[^<>{}]|<(?![/\w$>]))*")
_READ_AGAIN_MAX = 4
"""How many times its length a source may be read anew, where what looked like elements were none."""


@dataclass(slots=True)
class _Template:
    """A template that is open."""

    start: int
    is_wanted: bool
    holes: list[tuple[int, int]] = field(default_factory=list)


def find_literals(source: str, *, jsx: bool) -> list[Literal]:
    """The literals that hold GraphQL, in the order in which they end. With `jsx`, a `<` may open an element."""
    return _Scan(source, jsx).run() if re.search("gql|graphql", source, re.IGNORECASE) else []


class _Scan:
    """One walk over a source. What is open is on a stack: its top says what kind of text comes next."""

    def __init__(self, source: str, jsx: bool) -> None:
        self.source = source
        self.jsx = jsx
        self.at = len(source.partition("\n")[0]) if source.startswith("#!") else 0
        self.found: list[Literal] = []
        self.open: list[_Template | str] = []
        """Templates, `{` in code, `${` in a template, `<` and `</` in a tag, `>` between tags, `<{` for code in JSX."""
        self.is_behind_value = False
        self.wanted: set[int] = set()
        """Where literals begin that hold GraphQL."""
        self.element: tuple[int, int, int] | None = None
        """Where the outermost JSX element began, with how much was open and found there: it may turn out to be none."""
        self.no_elements: set[int] = set()
        self.read_again = 0

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
            self._turn_back()
        for each in self.open:
            if isinstance(each, _Template) and each.is_wanted:  # It is not closed: what is wrong shows where it ends.
                self._take(each.start, len(self.source), each.holes)
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
            self.is_behind_value = True
        elif kind == "word":
            if text in {"gql", "graphql"} and not re.search(r"(?<!\.\.)\.\s*$", source[max(at - 20, 0) : at]):
                literal = _TAG.match(source, self.at)
                if literal is not None:
                    self.wanted.add(literal.end() - 1)
            self.is_behind_value = not _BEFORE_VALUE.fullmatch(text)
        else:
            self._mark(text, at)

    def _mark(self, mark: str, at: int) -> None:
        was_behind_value, self.is_behind_value = self.is_behind_value, mark in ")]}"
        if mark == "`":
            self.open.append(_Template(self.at, at in self.wanted or self.source.startswith("#graphql", self.at)))
        elif mark == "{":
            self.open.append("{")
        elif mark == "}":
            self._close()
        elif mark in {"++", "--"}:
            self.is_behind_value = was_behind_value
        elif mark == "/" and not was_behind_value and not self.source.startswith("<", at - 1):
            regexp = _REGEXP.match(self.source, at)
            if regexp is not None:
                self.at, self.is_behind_value = regexp.end(), True
        elif mark == "<" and not was_behind_value and self._may_be_element(at):
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
                template.holes[-1] = template.holes[-1][0], self.at

    def _template(self, template: _Template) -> None:
        text = _TEMPLATE_TEXT.match(self.source, self.at)
        assert text is not None
        end = text.end()
        if self.source.startswith("${", end):
            template.holes.append((end, len(self.source)))
            self.open.append("${")
            self.at, self.is_behind_value = end + 2, False
        else:
            self.at, self.is_behind_value = end + 1, True
            if end < len(self.source):
                self.open.pop()
                if template.is_wanted:
                    self._take(template.start, end, template.holes)

    def _tag(self, kind: str) -> None:
        part = _TAG_PART.match(self.source, self.at)
        assert part is not None
        self.at, text = part.end(), part[0]
        if text == "{":
            self.open.append("<{")
            self.is_behind_value = False
        elif text == "<":
            self.open.append("<")
        elif text == "}":
            self._turn_back()
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
            self.is_behind_value = False
        elif following == "</":
            self.open.append("</")
            self.at += 1
        elif following[:1] == "<":
            self.open.append("<")
        else:
            self._turn_back()  # JSX has no bare `}` or `>` in its text: this was a type parameter.

    def _end_element(self) -> None:
        self.is_behind_value = True
        if self.element is not None and len(self.open) <= self.element[1]:
            self.element = None

    def _turn_back(self) -> None:
        """What looked like an element is none: go on behind its `<`."""
        assert self.element is not None
        at, opened, found = self.element
        self.no_elements.add(at)
        self.read_again += self.at - at
        self.jsx = self.jsx and self.read_again < _READ_AGAIN_MAX * len(self.source)
        self.at, self.element, self.is_behind_value = at + 1, None, False
        del self.open[opened:], self.found[found:]

    def _take(self, start: int, end: int, holes: list[tuple[int, int]]) -> None:
        self.found.append(_literal(self.source, start, end, holes))


_ESCAPE = re.compile(
    r"\\(?:u(?P<pair>[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(?:u\{(?P<long>[0-9a-fA-F]+)\}"
    r"|u(?P<four>[0-9a-fA-F]{4})|x(?P<two>[0-9a-fA-F]{2}))|(?P<newline>\r\n|[\n\r\u2028\u2029])|(?P<other>.))",
    re.DOTALL,
)
_NAMED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}


def _literal(source: str, start: int, end: int, holes: list[tuple[int, int]]) -> Literal:
    """The text between two offsets as JavaScript reads it."""
    parts: list[str] = []
    places = [(0, start)]
    blanks: list[int] = []
    length, at = 0, start
    for low, high in [*holes, (end, end)]:
        for escape in _ESCAPE.finditer(source, at, low):
            raw, resolved = source[at : escape.start()], _resolved(escape)
            parts += [raw, resolved]
            length += len(raw) + len(resolved)
            at = escape.end()
            places.append((length, at))
        blank = re.sub(r"[^\n\r]", " ", source[low:high])
        parts += [source[at:low], blank]
        length += low - at
        if low < high:
            blanks.append(length)
        length, at = length + len(blank), high
    return Literal("".join(parts), tuple(places), tuple(blanks))


def _resolved(escape: re.Match[str]) -> str:
    if escape["pair"]:
        high, low = (int(half, 16) for half in escape["pair"].split("\\u"))
        return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
    digits = escape["long"] or escape["four"] or escape["two"]
    if digits:
        code = int(digits, 16)
        return chr(code) if code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF else "�"
    return "" if escape["newline"] else _NAMED.get(escape["other"], escape["other"])

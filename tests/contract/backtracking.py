"""A matcher for the syntax of `re` that counts its steps, as Python's own backtracks but does not tell how often."""

import re
from collections.abc import Iterator
from functools import cache
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

_Item = tuple[Any, Any]
_Items = tuple[_Item, ...]

_CATEGORIES = {
    codes.CATEGORY_DIGIT: re.compile(r"\d"),
    codes.CATEGORY_NOT_DIGIT: re.compile(r"\D"),
    codes.CATEGORY_SPACE: re.compile(r"\s"),
    codes.CATEGORY_NOT_SPACE: re.compile(r"\S"),
    codes.CATEGORY_WORD: re.compile(r"\w"),
    codes.CATEGORY_NOT_WORD: re.compile(r"\W"),
}
_CHARACTERS = {codes.IN, codes.ANY, codes.CATEGORY, codes.RANGE, codes.LITERAL, codes.NOT_LITERAL}
"""What matches one character, or does not."""


@cache
def _parse(pattern: str, flags: int) -> tuple[_Items, int]:
    """Return the items of a pattern, and all its flags. Assertions get the width of what they look for."""
    parsed = _parser.parse(pattern, flags)
    return _frozen(parsed), parsed.state.flags


def _frozen(part: Any) -> Any:
    if (
        isinstance(part, tuple) and part and (part[0] is codes.ASSERT or part[0] is codes.ASSERT_NOT)
    ):  # They equal numbers.
        code, (direction, inner) = part
        return code, (direction, _frozen(inner), inner.getwidth()[0])
    return tuple(map(_frozen, part)) if isinstance(part, tuple | list | _parser.SubPattern) else part


@cache
def _accepts(code: Any, value: Any, character: str, flags: int) -> bool:
    if code is codes.IN:
        negated = value[0][0] is codes.NEGATE
        return any(_accepts(inner, its, character, flags) for inner, its in value[negated:]) is not negated
    if code is codes.ANY:
        return bool(flags & re.DOTALL) or character != "\n"
    if code is codes.CATEGORY:
        return _CATEGORIES[value].match(character) is not None
    shapes = {character, character.lower(), character.upper()} if flags & re.IGNORECASE else {character}
    if code is codes.RANGE:
        return any(value[0] <= ord(each) <= value[1] for each in shapes)
    assert code in {codes.LITERAL, codes.NOT_LITERAL}, code
    return any(ord(each) == value for each in shapes) is (code is codes.LITERAL)


class Backtracking:
    """A pattern, matched step by step."""

    def __init__(self, pattern: str, flags: int = 0, *, steps_max: int = 1_000_000) -> None:
        self.items, self.flags = _parse(pattern, flags)
        self.text = ""
        self.steps = 0
        self.steps_max = steps_max
        """More are an AssertionError."""

    def fullmatch(self, text: str) -> bool:
        self.text = text
        return any(end == len(text) for end in self._sequence(self.items, 0))

    def spans(self, text: str) -> list[tuple[int, int]]:
        """All matches from left to right, as `finditer` finds them."""
        self.text = text
        found: list[tuple[int, int]] = []
        at = 0
        while at <= len(text):
            end = next(self._sequence(self.items, at), None)
            if end is None:
                at += 1
                continue
            found.append((at, end))
            at = max(end, at + 1)
        return found

    def _sequence(self, items: _Items, at: int) -> Iterator[int]:
        for index, (code, value) in enumerate(items):
            self._step()
            if code not in _CHARACTERS:
                rest = items[index + 1 :]
                for end in self._item(code, value, at):
                    yield from self._sequence(rest, end)
                return
            if at == len(self.text) or not _accepts(code, value, self.text[at], self.flags):
                return
            at += 1
        yield at

    def _step(self) -> None:
        self.steps += 1
        assert self.steps <= self.steps_max, f"more than {self.steps_max} steps over {self.text!r}"

    def _item(self, code: Any, value: Any, at: int) -> Iterator[int]:
        if code is codes.BRANCH:
            for branch in value[1]:
                yield from self._sequence(branch, at)
        elif code is codes.SUBPATTERN:
            yield from self._sequence(value[3], at)
        elif code is codes.ATOMIC_GROUP:
            yield from self._first(self._sequence(value, at))
        elif code in {codes.MAX_REPEAT, codes.MIN_REPEAT}:
            yield from self._repeat(value, at, is_lazy=code is codes.MIN_REPEAT)
        elif code is codes.POSSESSIVE_REPEAT:
            yield from self._first(self._repeat(value, at, is_lazy=False))
        elif code in {codes.ASSERT, codes.ASSERT_NOT}:
            direction, inner, width = value
            starts = [at] if direction > 0 else [at - width]
            is_there = any(
                direction > 0 or end == at for start in starts if start >= 0 for end in self._sequence(inner, start)
            )
            if is_there is (code is codes.ASSERT):
                yield at
        else:
            assert code is codes.AT, code
            if self._is_at(value, at):
                yield at

    def _repeat(self, value: Any, at: int, *, is_lazy: bool) -> Iterator[int]:
        low, high, items = value
        stack = [(at, self._sequence(items, at))]
        if is_lazy and low == 0:
            yield at
        while stack:
            start, ends = stack[-1]
            end = next(ends, None) if high is codes.MAXREPEAT or len(stack) <= high else None
            if end is None:
                if not is_lazy and len(stack) > low:
                    yield start
                stack.pop()
            elif end > start or len(stack) <= low:
                stack.append((end, self._sequence(items, end)))
                if is_lazy and len(stack) > low:
                    yield end

    @staticmethod
    def _first(ends: Iterator[int]) -> Iterator[int]:
        for end in ends:
            yield end
            return

    def _is_at(self, where: Any, at: int) -> bool:
        if where in {codes.AT_BEGINNING, codes.AT_BEGINNING_STRING}:
            return at == 0
        if where is codes.AT_END_STRING:
            return at == len(self.text)
        if where is codes.AT_END:
            return self.text[at:] in {"", "\n"}
        is_word = [bool(re.match(r"\w", self.text[max(each, 0) : each + 1])) for each in (at - 1, at)]
        is_boundary = (at > 0 and is_word[0]) != is_word[1]
        assert where in {codes.AT_BOUNDARY, codes.AT_NON_BOUNDARY}
        return is_boundary is (where is codes.AT_BOUNDARY)


def alphabet(pattern: str, flags: int = 0) -> list[str]:
    """Characters that a pattern tells apart, and one that it does not name."""
    found: dict[str, None] = {}

    def visit(part: Any) -> None:
        if isinstance(part, tuple) and len(part) == 2 and part[0] in {codes.LITERAL, codes.NOT_LITERAL}:
            found[chr(part[1])] = None
        elif isinstance(part, tuple) and len(part) == 2 and part[0] is codes.RANGE:
            found[chr(part[1][0])] = None
        elif part is codes.CATEGORY_SPACE:
            found[" "] = None
        elif part is codes.CATEGORY_WORD:
            found["a"] = None
        elif isinstance(part, tuple | list | _parser.SubPattern):
            for each in part:
                visit(each)

    visit(_parser.parse(pattern, flags))
    return [*found, "\x00"]

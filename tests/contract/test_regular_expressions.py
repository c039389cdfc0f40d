"""Every regular expression of `gateway.contract` takes work in proportion to its input: counted, not timed."""

import ast
import importlib
import inspect
import pkgutil
import random
import re
from collections.abc import Iterator
from itertools import product

import pytest

import gateway.contract

from .backtracking import Backtracking, alphabet

_SIZES = (24, 48)
_CHARACTERS_TIMES_INPUTS = 3000


def expressions() -> Iterator[tuple[str, str, int]]:
    """Each pattern with its module and flags: those compiled in a module, and constants passed to functions of `re`."""
    for info in pkgutil.walk_packages(gateway.contract.__path__, "gateway.contract."):
        module = importlib.import_module(info.name)
        for value in vars(module).values():
            if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
                yield info.name, value.pattern, value.flags
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and ast.unparse(node.func.value) == "re"
                and node.func.attr != "compile"
                and isinstance(node.args[0], ast.Constant)
                and isinstance(node.args[0].value, str)
            ):
                yield info.name, node.args[0].value, re.DOTALL


def inputs(pattern: str, flags: int) -> Iterator[tuple[str, str, str]]:
    """What stands before, what is repeated, and what stands after: made of the characters that the pattern tells apart."""
    characters = alphabet(pattern, flags)
    runs = ["", *characters, *(each * 2 for each in characters), *(each * 3 for each in characters)]
    pieces = ["".join(each) for length in (1, 2) for each in product(characters, repeat=length)]
    pieces += re.findall(r"\w{3,}", pattern)
    everything = list(product(runs, pieces, ["", *characters, *(each + "\x00" for each in characters)]))
    yield from random.Random(7).sample(everything, min(_CHARACTERS_TIMES_INPUTS // len(characters), len(everything)))


@pytest.mark.parametrize(("pattern", "flags"), sorted({each[1:] for each in expressions()}))
def test_twice_the_input_takes_twice_the_work(pattern: str, flags: int) -> None:
    for before, piece, after in inputs(pattern, flags):
        work = []
        for size in _SIZES:
            text = before + piece * (size // len(piece)) + after
            matcher = Backtracking(pattern, flags, steps_max=100 * (len(text) + 10))
            matcher.fullmatch(text)
            matcher.spans(text)
            work.append(matcher.steps)
        assert work[1] < 2.5 * work[0] + 100, (before, piece, after)


@pytest.mark.parametrize(("pattern", "flags"), sorted({each[1:] for each in expressions()}))
def test_the_counting_matcher_agrees_with_re(pattern: str, flags: int) -> None:
    compiled = re.compile(pattern, flags)
    for before, piece, after in list(inputs(pattern, flags))[:100]:
        text = before + piece * 3 + after
        matcher = Backtracking(pattern, flags)
        assert matcher.fullmatch(text) is (compiled.fullmatch(text) is not None), text
        ours = [span for span in matcher.spans(text) if span[0] < span[1]]
        assert ours == [each.span() for each in compiled.finditer(text) if each.end() > each.start()], text


@pytest.mark.parametrize("pattern", [r"(?:[\s,]|#[^\n]*)*", r"(a|a)*b", r"(?:a+)+b", r"a[^b]*b"])
def test_backtracking_is_noticed(pattern: str) -> None:
    with pytest.raises(AssertionError):
        test_twice_the_input_takes_twice_the_work(pattern, 0)

"""Which faults strike which calls. What a fault does to an answer or to the wire lives in damage and transport."""

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import translate
from typing import Literal, get_args

Kind = Literal[
    "latency",
    "status",
    "body",
    "redirect",
    "bad_json",
    "wrong_type",
    "next_page",
    "empty_page",
    "swap",
    "hang",
    "reset",
    "half_body",
    "wrong_length",
    "drip",
    "gzip_bomb",
    "big_body",
    "surplus",
    "raw",
]
Shape = Literal["array", "text", "number", "null", "rows", "values"]

KINDS: Mapping[Kind, str] = {
    "latency": "the true answer, after `latency`",
    "status": "an error of Twilio's form with `status` (500), `code`, `message` and perhaps `retry_after`",
    "body": "`status` (200) with the bytes `body` and `headers`, by default JSON",
    "redirect": "`status` (307) with Location `url`",
    "bad_json": "the answer's text broken off, its length declared truly",
    "wrong_type": "valid JSON of the wrong `shape`: array, text, number, null; rows: each row a string; "
    "values: each value of each record in a list",
    "next_page": "next_page_url is `url`: an address, `self`, or `endless` for the first page under ever new tokens",
    "empty_page": "no rows, next_page_url as it was",
    "swap": "the answer for `url` (a target such as Services/IS…); without one, its last sid altered everywhere",
    "hang": "no answer, until the caller leaves or the server stops",
    "reset": "the connection reset (RST) without an answer",
    "half_body": "the right Content-Length, the connection closed half-way",
    "wrong_length": "Content-Length `size` (10) bytes short, the rest behind it; negative: too long, then closed",
    "drip": "the answer in pieces of `size` (16) bytes, `pause` seconds apart",
    "gzip_bomb": "the answer and `size` (16 MiB) of spaces, gzipped",
    "big_body": "the answer and `size` (16 MiB) of spaces",
    "surplus": "the true answer, and behind it, unasked, the bytes `body` or the whole answer again",
    "raw": "the bytes `body` on the bare connection, then closed",
}
Seconds = float | tuple[float, float]


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to misbehave. `latency` (seconds, or a range to draw from) comes before any kind."""

    kind: Kind = "latency"
    latency: Seconds = 0.0
    times: int | None = None
    after: int = 0
    probability: float = 1.0
    status: int | None = None
    code: int | None = None
    message: str | None = None
    retry_after: float | str | None = None
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    url: str = ""
    shape: Shape = "array"
    size: int | None = None
    pause: float = 0.01

    def __post_init__(self) -> None:
        problems = {
            f"kind must be one of {', '.join(KINDS)}": self.kind not in KINDS,
            f"shape must be one of {', '.join(get_args(Shape))}": self.shape not in get_args(Shape),
            "probability must be from 0 to 1": not 0 <= self.probability <= 1,
            "times and after must not be negative": self.after < 0 or (self.times or 0) < 0,
            "status must be from 200 to 599": self.status is not None and not 200 <= self.status <= 599,
            "latency must be seconds, or a range of them in order": not 0 <= self.bounds[0] <= self.bounds[1],
            "pause must not be negative": self.pause < 0,
            f"{self.kind} needs a url": self.kind in ("redirect", "next_page") and not self.url,
            f"{self.kind} needs a body": self.kind == "raw" and not self.body,
            f"{self.kind} needs a size of at least 1": self.kind in ("drip", "gzip_bomb", "big_body")
            and self.size is not None
            and self.size < 1,
        }
        for problem, is_so in problems.items():
            if is_so:
                raise ValueError(problem)

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest latency."""
        return self.latency if isinstance(self.latency, tuple) else (self.latency, self.latency)


@dataclass(slots=True)
class Rule:
    """A fault and the targets it is for. `seen` counts the calls that matched, `struck` those that it hit."""

    pattern: str
    fault: Fault
    seen: int = 0
    struck: int = 0
    _regex: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        try:
            self._regex = re.compile(self.pattern[3:] if self.pattern.startswith("re:") else translate(self.pattern))
        except re.error as error:
            raise ValueError(f"pattern is not a regular expression: {error}") from error

    def matches(self, target: str) -> bool:
        """A glob fits the whole target, with or without its query; `re:…` may fit anywhere in it."""
        if self.pattern.startswith("re:"):
            return self._regex.search(target) is not None
        return any(self._regex.match(text) for text in (target, target.partition("?")[0]))


class Faults:
    """The rules in the order they were added. The first that strikes a call is the only one to do so."""

    def __init__(self, seed: int) -> None:
        self._rules: list[Rule] = []
        # Random() of a number draws the same floats on every version of Python.
        self._random = random.Random(seed)

    def __iter__(self) -> Iterator[Rule]:
        return iter(self._rules)

    def add(self, pattern: str, fault: Fault) -> Rule:
        """Let `fault` strike calls whose target fits `pattern`, a glob (`*` crosses slashes) or `re:` and a regex.

        A rule passes over its first `after` calls, ends after `times` hits, and hits with `probability`; where it
        does not hit, the rules after it are asked.
        """
        rule = Rule(pattern, fault)
        self._rules.append(rule)
        return rule

    def remove(self, rule: Rule) -> None:
        self._rules.remove(rule)

    def clear(self) -> None:
        self._rules.clear()

    def pick(self, target: str) -> Fault | None:
        """The fault that strikes this call, counted."""
        for rule in self._rules:
            fault = rule.fault
            if not rule.matches(target):
                continue
            rule.seen += 1
            is_due = rule.seen > fault.after and (fault.times is None or rule.struck < fault.times)
            if is_due and (fault.probability == 1 or self._random.random() < fault.probability):
                rule.struck += 1
                return fault
        return None

    def seconds(self, fault: Fault) -> float:
        """The latency of one hit."""
        least, greatest = fault.bounds
        return least if least == greatest else least + (greatest - least) * self._random.random()

"""Faults, and what they hit. The modules `corruption` and `transport` apply them to responses and connections.

Faults of webhooks are applied in `webhooks`, and those of events by the gateway over the sandbox.
"""

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import translate
from typing import Literal, get_args

FaultKind = Literal[
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
    "delay_webhook",
    "repeat_webhook",
    "reorder_webhook",
    "lose_webhook",
    "forge_webhook",
    "slow_webhook",
    "disconnect",
    "stall",
    "expire_token",
]
Subject = Literal["call", "webhook", "event"]
Shape = Literal["array", "text", "number", "null", "rows", "values"]

KINDS: Mapping[FaultKind, str] = {
    "latency": "the true response, after `latency`",
    "status": "an error in Twilio's form with `status` (500), `code`, `message`, `headers` and `retry_after`",
    "body": "`status` (200) with the bytes `body` and `headers`; the Content-Type is JSON by default",
    "redirect": "`status` (307) with Location `url`",
    "bad_json": "the first half of the body, with the Content-Length of that half",
    "wrong_type": "valid JSON of the wrong `shape`: array, text, number, null; rows: each row is a string; "
    "values: each value of each record is in a list",
    "next_page": "next_page_url is `url`: a URL, `self`, or `endless` for the first page again under new tokens",
    "empty_page": "no rows, with next_page_url unchanged; with the url `endless`, under ever new tokens",
    "swap": "the response for `url` (a target such as Services/IS…); without it, the last sid of the target is altered "
    "wherever it occurs",
    "hang": "no response, until the client disconnects or the server stops",
    "reset": "the connection is reset (RST) without a response",
    "half_body": "the right Content-Length, and the connection is closed after half of the body",
    "wrong_length": "Content-Length `size` (10) bytes too small, with the rest after it; negative: too large, then closed",
    "drip": "the response in pieces of `size` (16) bytes, `pause` (0.01) seconds apart",
    "gzip_bomb": "the response with `size` (16 MiB) of spaces, gzipped",
    "big_body": "the response with `size` (16 MiB) of spaces",
    "surplus": "the true response, and after it, unrequested, the bytes `body` or the whole response again",
    "raw": "the bytes `body` on the bare connection, which is then closed",
    "delay_webhook": "the webhook, after `latency`",
    "repeat_webhook": "the webhook twice, with the same I-Twilio-Idempotency-Token",
    "reorder_webhook": "the webhook after the next one",
    "lose_webhook": "no webhook",
    "forge_webhook": "the webhook, signed with another secret",
    "slow_webhook": "the head of the webhook's request, and its body after `latency`",
    "disconnect": "no event: the subscriber's connection is cut",
    "stall": "nothing more on the subscriber's connection, which stays open; after `latency`, if it is given, all that waited",
    "expire_token": "no event: the subscription ends as if its token had expired",
}
WEBHOOK_KINDS = frozenset(kind for kind in KINDS if kind.endswith("_webhook"))
"""The faults of webhooks. Their patterns match the event with its parameters: `onDeliveryUpdated?…&ConversationSid=CH…`."""
EVENT_KINDS = frozenset[FaultKind]({"disconnect", "stall", "expire_token"})
"""The faults of events for a subscriber of the gateway. Their patterns match the field and its JSON: `deliveryUpdated?{…}`."""
Seconds = float | tuple[float, float]


def subject_of(kind: FaultKind) -> Subject:
    """Return what a kind of fault hits."""
    return "webhook" if kind in WEBHOOK_KINDS else "event" if kind in EVENT_KINDS else "call"


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of failure, with its options. `GET /sandbox` describes the kinds and the options that each of them uses.

    Args:
        kind: What the caller gets, such as `status`, `hang` or `bad_json`; by default the true response, delayed.
        latency: Seconds before the response, or a range to draw from, for any kind.
        times: How many calls to hit; None for all.
        after: How many matching calls to skip first.
        probability: The probability of a hit, from 0 to 1, drawn from the seed.
        status: The HTTP status, from 200 to 599.
        code: Twilio's error code; by default the usual one for the status.
        message: Twilio's error message; by default the usual one for the status.
        retry_after: The Retry-After header: seconds, or an HTTP date.
        body: The bytes to send.
        headers: Headers to add.
        url: A URL to lead to, or a target to swap the response with.
        shape: The shape of JSON of the wrong type: `array`, `text`, `number`, `null`, `rows` or `values`.
        size: Bytes, as the kind uses them.
        pause: Seconds between pieces.

    Raises:
        ValueError: An option is out of range, or one that the kind needs is missing.

    Example:
        import asyncio

        import aiohttp

        from gateway.sandbox import Fault, Sandbox

        async def main() -> None:
            async with Sandbox() as sandbox:
                rule = sandbox.faults.add("*/Conversations*", Fault("status", status=429, retry_after=1, times=1))
                headers = {"Authorization": aiohttp.encode_basic_auth(sandbox.account_sid, sandbox.auth_token)}
                url = f"{sandbox.url}/v1/Services/{sandbox.landmarks['service_sid']}/Conversations"
                async with aiohttp.request("GET", url, headers=headers) as response:
                    assert (response.status, response.headers["Retry-After"]) == (429, "1")
                assert (rule.seen, rule.hits) == (1, 1)

        asyncio.run(main())
    """

    kind: FaultKind = "latency"
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
        """The least and the greatest latency, in seconds."""
        return self.latency if isinstance(self.latency, tuple) else (self.latency, self.latency)


@dataclass(slots=True)
class FaultRule:
    """A fault and the pattern of its targets. `seen` counts those that matched, `hits` those that it was applied to."""

    pattern: str
    fault: Fault
    seen: int = 0
    hits: int = 0
    _regex: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        try:
            self._regex = re.compile(self.pattern[3:] if self.pattern.startswith("re:") else translate(self.pattern))
        except re.error as error:
            raise ValueError(f"pattern is not a regular expression: {error}") from error

    def matches(self, target: str) -> bool:
        """Whether a target matches: a glob the whole target, with or without its query; `re:…` any part of it."""
        if self.pattern.startswith("re:"):
            return self._regex.search(target) is not None
        return any(self._regex.match(text) for text in (target, target.partition("?")[0]))


class Faults:
    """The rules in the order in which they were added. At most one rule hits a target: the first that can."""

    def __init__(self, seed: int) -> None:
        self._rules: list[FaultRule] = []
        # Random of an integer draws the same floats on every version of Python.
        self._random = random.Random(seed)

    def __iter__(self) -> Iterator[FaultRule]:
        return iter(self._rules)

    def add(self, pattern: str, fault: Fault) -> FaultRule:
        """Apply a fault to the calls whose target matches a pattern; where it does not hit, later rules may.

        Args:
            pattern: A glob over what follows `/v1/`, where `*` matches slashes too; or `re:` and a regular expression.
            fault: The fault, with how often it hits: `after`, `times` and `probability`.

        Returns:
            The rule, which counts `seen` and `hits`; `remove` takes it.

        Raises:
            ValueError: The regular expression is invalid.
        """
        rule = FaultRule(pattern, fault)
        self._rules.append(rule)
        return rule

    def remove(self, rule: FaultRule) -> None:
        """Remove a rule. Raises ValueError if it is not there."""
        self._rules.remove(rule)

    def clear(self) -> None:
        """Remove all rules."""
        self._rules.clear()

    def pick(self, target: str, subject: Subject = "call") -> Fault | None:
        """Return the fault to apply to a call, a webhook or an event, if any, and count it."""
        for rule in self._rules:
            fault = rule.fault
            if subject_of(fault.kind) != subject or not rule.matches(target):
                continue
            rule.seen += 1
            is_due = rule.seen > fault.after and (fault.times is None or rule.hits < fault.times)
            if is_due and (fault.probability == 1 or self._random.random() < fault.probability):
                rule.hits += 1
                return fault
        return None

    def draw_latency(self, fault: Fault) -> float:
        """Return the latency of one hit, in seconds; a range is drawn from."""
        least, greatest = fault.bounds
        return least if least == greatest else least + (greatest - least) * self._random.random()

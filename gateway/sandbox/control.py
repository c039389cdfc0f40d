"""The control routes under /sandbox: faults, switches, progress and the log, for those who come over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import orjson

from .answers import Answer
from .faults import KINDS, Fault, Rule
from .parsing import check_names, fault_of, switched
from .switches import Switches, choices

if TYPE_CHECKING:
    from .server import Sandbox

ROUTES = {
    "GET /sandbox": "this page",
    "GET /sandbox/landmarks": "sids to start from",
    "GET /sandbox/calls": "the log of calls in order of arrival; DELETE forgets it",
    "GET /sandbox/faults": "the rules; POST adds one: {pattern, kind, ...}; DELETE removes all",
    "GET /sandbox/switches": "the switches; POST changes some: {name: value, ...}",
    "POST /sandbox/progress": "moves receipts on: {message_sid, receipt_sid?, to?, error_code?}",
}


class Control:
    """Answers the control routes. They need no credentials, and are not in the log."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._routes: Mapping[str, Mapping[str, Callable[[Any], Answer]]] = {
            "/sandbox": {"GET": self._index},
            "/sandbox/landmarks": {"GET": lambda _: Answer.of(200, sandbox.landmarks)},
            "/sandbox/calls": {"GET": self._calls, "DELETE": self._forget_calls},
            "/sandbox/faults": {"GET": self._faults, "POST": self._add_fault, "DELETE": self._clear_faults},
            "/sandbox/switches": {"GET": self._switches, "POST": self._switch},
            "/sandbox/progress": {"POST": self._progress},
        }

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        """The answer to a control request; 400 with a sentence for input that makes no sense."""
        route = self._routes.get(path)
        if route is None:
            return Answer.of(404, {"error": f"no such control route; there are: {', '.join(self._routes)}"})
        if method not in route:
            return Answer.of(405, {"error": f"{path} takes {', '.join(route)}"})
        try:
            value = _object(body) if method == "POST" else {}
            return route[method](value)
        except (ValueError, LookupError) as error:
            return Answer.of(400, {"error": str(error.args[0] if error.args else error)})

    def _index(self, _: Any) -> Answer:
        sandbox = self._sandbox
        about = {
            "about": "A pretend Twilio: Conversations v1 under /v1, with Basic authentication by either pair.",
            "account_sid": sandbox.account_sid,
            "auth_token": sandbox.auth_token,
            "api_key": sandbox.api_key,
            "api_secret": sandbox.api_secret,
            "seed": sandbox.world.seed.value,
            "size": sandbox.world.size,
            "routes": ROUTES,
            "switches": {
                each.name: {"about": each.metadata["about"], "choices": choices()[each.name]}
                for each in fields(Switches)
            },
            "faults": KINDS,
        }
        return Answer(200, orjson.dumps(about, option=orjson.OPT_INDENT_2))

    def _calls(self, _: Any) -> Answer:
        return Answer.of(200, [call.shown() for call in self._sandbox.calls])

    def _forget_calls(self, _: Any) -> Answer:
        self._sandbox.reset()
        return Answer(204)

    def _faults(self, _: Any) -> Answer:
        return Answer.of(200, [_shown(rule) for rule in self._sandbox.faults])

    def _add_fault(self, value: dict[str, Any]) -> Answer:
        given = dict(value)
        pattern = _text(given, "pattern")
        return Answer.of(201, _shown(self._sandbox.faults.add(pattern, fault_of(given))))

    def _clear_faults(self, _: Any) -> Answer:
        self._sandbox.faults.clear()
        return Answer(204)

    def _switches(self, _: Any) -> Answer:
        return Answer.of(200, asdict(self._sandbox.switches))

    def _switch(self, value: dict[str, Any]) -> Answer:
        self._sandbox.switches = switched(self._sandbox.switches, value)
        return self._switches(None)

    def _progress(self, value: dict[str, Any]) -> Answer:
        given = dict(value)
        message_sid = _text(given, "message_sid")
        check_names(given, ["receipt_sid", "to", "error_code"])
        for name, kind in (("receipt_sid", str), ("to", str), ("error_code", int)):
            if name in given and type(given[name]) is not kind:
                raise ValueError(f"{name} must be of type {kind.__name__}")
        return Answer.of(200, {"moved": self._sandbox.world.progress(message_sid, **given)})


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError("the body must be a JSON object")
    return value


def _text(given: dict[str, Any], name: str) -> str:
    value = given.pop(name, None)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is missing; it is a text")
    return value


def _shown(rule: Rule) -> dict[str, Any]:
    """A rule without what it leaves at its default."""
    plain = Fault(kind="latency")
    given = {
        each.name: getattr(rule.fault, each.name)
        for each in fields(Fault)
        if getattr(rule.fault, each.name) != getattr(plain, each.name)
    }
    if "body" in given:
        given["body"] = given["body"].decode(errors="replace")
    return {"pattern": rule.pattern, "kind": rule.fault.kind, **given, "seen": rule.seen, "struck": rule.struck}

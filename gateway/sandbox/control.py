"""The control routes under /sandbox: the state of the sandbox over HTTP, to be read and changed."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any

import orjson

from .faults import KINDS, Fault, FaultRule
from .parsing import change_switches, check_names, parse_fault
from .responses import SandboxResponse
from .state import SandboxState
from .switches import Switches, choices

ROUTES = {
    "GET /sandbox": "this page",
    "GET /sandbox/landmarks": "sids to start from, and those of edge cases",
    "GET /sandbox/calls": "the log of calls in order of arrival; DELETE clears it",
    "GET /sandbox/faults": "the rules; POST adds one: {pattern, kind, ...}; DELETE removes all",
    "GET /sandbox/switches": "the switches; POST changes some: {name: value, ...}",
    "POST /sandbox/progress": "advances the receipts of a message: {message_sid, receipt_sid?, to?, error_code?}",
    "GET /sandbox/webhooks": "the log of webhooks in the order in which they were fired; DELETE clears it",
    "POST /sandbox/trigger": "fires one event by hand: {event, parameters?, url?}",
}


class Control:
    """Answers the control routes. They need no credentials, and are not logged."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state
        self._routes: Mapping[str, Mapping[str, Callable[[Any], SandboxResponse]]] = {
            "/sandbox": {"GET": self._index},
            "/sandbox/landmarks": {"GET": self._landmarks},
            "/sandbox/calls": {"GET": self._calls, "DELETE": self._clear_calls},
            "/sandbox/faults": {"GET": self._faults, "POST": self._add_fault, "DELETE": self._clear_faults},
            "/sandbox/switches": {"GET": self._switches, "POST": self._change_switches},
            "/sandbox/progress": {"POST": self._progress},
            "/sandbox/webhooks": {"GET": self._webhooks, "DELETE": self._clear_webhooks},
            "/sandbox/trigger": {"POST": self._trigger},
        }

    def respond(self, method: str, path: str, body: bytes) -> SandboxResponse:
        """Return the response to a control request: 400 with `{"error": "…"}` for invalid input."""
        route = self._routes.get(path)
        if route is None:
            return SandboxResponse.json(404, {"error": f"no such control route; there are: {', '.join(self._routes)}"})
        if method not in route:
            return SandboxResponse.json(405, {"error": f"{path} takes {', '.join(route)}"})
        try:
            value = _object(body) if method == "POST" else {}
            return route[method](value)
        except (ValueError, LookupError) as error:
            return SandboxResponse.json(400, {"error": str(error.args[0] if error.args else error)})

    def _index(self, _: Any) -> SandboxResponse:
        state = self._state
        about = {
            "about": "A simulated Twilio: Conversations v1 under /v1, with Basic authentication by either pair.",
            "account_sid": state.account_sid,
            "auth_token": state.auth_token,
            "api_key": state.api_key,
            "api_secret": state.api_secret,
            "seed": state.world.seed.value,
            "size": state.world.size,
            "routes": ROUTES,
            "switches": {
                each.name: {"about": each.metadata["about"], "choices": choices()[each.name]}
                for each in fields(Switches)
            },
            "faults": KINDS,
        }
        return SandboxResponse(200, orjson.dumps(about, option=orjson.OPT_INDENT_2))

    def _landmarks(self, _: Any) -> SandboxResponse:
        return SandboxResponse.json(200, self._state.landmarks)

    def _calls(self, _: Any) -> SandboxResponse:
        return SandboxResponse.json(200, [call.as_json() for call in self._state.calls])

    def _clear_calls(self, _: Any) -> SandboxResponse:
        self._state.reset()
        return SandboxResponse(204)

    def _faults(self, _: Any) -> SandboxResponse:
        return SandboxResponse.json(200, [_rule_as_json(rule) for rule in self._state.faults])

    def _add_fault(self, value: dict[str, Any]) -> SandboxResponse:
        options = dict(value)
        pattern = _pop_text(options, "pattern")
        return SandboxResponse.json(201, _rule_as_json(self._state.faults.add(pattern, parse_fault(options))))

    def _clear_faults(self, _: Any) -> SandboxResponse:
        self._state.faults.clear()
        return SandboxResponse(204)

    def _switches(self, _: Any) -> SandboxResponse:
        return SandboxResponse.json(200, asdict(self._state.switches))

    def _change_switches(self, value: dict[str, Any]) -> SandboxResponse:
        self._state.switches = change_switches(self._state.switches, value)
        return self._switches(None)

    def _progress(self, value: dict[str, Any]) -> SandboxResponse:
        options = dict(value)
        message_sid = _pop_text(options, "message_sid")
        check_names(options, ["receipt_sid", "to", "error_code"])
        for name, kind in (("receipt_sid", str), ("to", str), ("error_code", int)):
            if name in options and type(options[name]) is not kind:
                raise ValueError(f"{name} must be of type {kind.__name__}")
        return SandboxResponse.json(200, {"moved": self._state.progress(message_sid, **options)})

    def _webhooks(self, _: Any) -> SandboxResponse:
        return SandboxResponse.json(200, [webhook.as_json() for webhook in self._state.webhooks])

    def _clear_webhooks(self, _: Any) -> SandboxResponse:
        self._state.webhooks.clear()
        return SandboxResponse(204)

    def _trigger(self, value: dict[str, Any]) -> SandboxResponse:
        options = dict(value)
        event, parameters, url = _pop_text(options, "event"), options.pop("parameters", {}), options.pop("url", None)
        check_names(options, ["event", "parameters", "url"])
        if not isinstance(parameters, dict) or not all(isinstance(text, str) for text in parameters.values()):
            raise ValueError("parameters must be an object of texts")
        if url is not None and not (isinstance(url, str) and url.startswith(("http://", "https://"))):
            raise ValueError("url must be an absolute URL")
        sent = self._state.trigger(event, parameters, url)
        return SandboxResponse.json(200, [webhook.as_json() for webhook in sent])


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError("the body must be a JSON object")
    return value


def _pop_text(options: dict[str, Any], name: str) -> str:
    value = options.pop(name, None)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is missing; it is a text")
    return value


def _rule_as_json(rule: FaultRule) -> dict[str, Any]:
    """Return a rule without the options that have their defaults; `struck` is the former name of `hits`."""
    default = Fault(kind="latency")
    options = {
        each.name: getattr(rule.fault, each.name)
        for each in fields(Fault)
        if getattr(rule.fault, each.name) != getattr(default, each.name)
    }
    if "body" in options:
        options["body"] = options["body"].decode(errors="replace")
    counts = {"seen": rule.seen, "hits": rule.hits, "struck": rule.hits}
    return {"pattern": rule.pattern, "kind": rule.fault.kind, **options, **counts}

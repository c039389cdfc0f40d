"""The faults that change a response before it is sent: other bytes, another status, another page. No sockets here."""

import re
from collections.abc import Callable
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson

from .faults import Fault
from .responses import ApiError, SandboxResponse
from .switches import Switches

SID = re.compile("[A-Z]{2}[0-9a-fA-F]{32}")
Respond = Callable[[str], SandboxResponse]
Edit = Callable[[Any], Any]


class Corruption:
    """Applies the faults that change a response, and counts, so that endless page tokens differ."""

    def __init__(self) -> None:
        self._tokens = count(1)

    def apply(self, fault: Fault, target: str, respond: Respond, switches: Switches) -> SandboxResponse:
        """Return the response to a target under a fault; `respond` returns the true response to any target."""
        match fault.kind:
            case "status":
                return _error(fault, switches)
            case "body":
                return SandboxResponse(fault.status or 200, fault.body, fault.headers)
            case "redirect":
                return SandboxResponse(fault.status or 307, b"", {"Location": fault.url, **fault.headers})
            case "swap":
                return respond(fault.url) if fault.url else _altered(respond(target), target)
            case "bad_json":
                response = respond(target)
                return SandboxResponse(response.status, response.body[: len(response.body) // 2], response.headers)
            case "wrong_type":
                return _edited(respond(target), lambda value: _reshaped(value, fault.shape))
            case "empty_page" if fault.url == "endless":
                return _edited_page(self._endless(target, respond), _emptied)
            case "empty_page":
                return _edited_page(respond(target), _emptied)
            case "next_page" if fault.url == "endless":
                return self._endless(target, respond)
            case "next_page":
                return _edited_page(respond(target), lambda value: _redirected(value, fault.url))
        return respond(target)

    def _endless(self, target: str, respond: Respond) -> SandboxResponse:
        path, _, query = target.partition("?")
        parameters = dict(parse_qsl(query, keep_blank_values=True))
        token, page = parameters.pop("PageToken", ""), parameters.pop("Page", "0")
        number = int(page) if page.isdecimal() else 0
        response = respond(f"{path}?{urlencode(parameters)}" if parameters else path)

        def relink(value: Any) -> Any:
            first = value["meta"]["first_page_url"].removesuffix("&Page=0")
            url = f"{first}&Page={number}" + (f"&PageToken={token}" if token else "")
            next_url = f"{first}&Page={number + 1}&PageToken=PTendless{next(self._tokens)}"
            return {**value, "meta": {**value["meta"], "page": number, "url": url, "next_page_url": next_url}}

        return _edited_page(response, relink)


def _edited(response: SandboxResponse, edit: Edit) -> SandboxResponse:
    return SandboxResponse(
        response.status, orjson.dumps(edit(orjson.loads(response.body or b"null"))), response.headers
    )


def _edited_page(response: SandboxResponse, edit: Edit) -> SandboxResponse:
    """Edit a page; a single resource or an error stays as it is."""
    return _edited(response, lambda value: edit(value) if _is_page(value) else value)


def _is_page(value: Any) -> bool:
    return isinstance(value, dict) and "meta" in value


def _error(fault: Fault, switches: Switches) -> SandboxResponse:
    status = fault.status or 500
    headers = dict(fault.headers)
    if fault.retry_after is not None:
        headers["Retry-After"] = str(fault.retry_after).removesuffix(".0")
    elif status == 429 and switches.retry_after == "sent":
        headers["Retry-After"] = "1"
    return ApiError(status, fault.code, fault.message).response(headers)


def _altered(response: SandboxResponse, target: str) -> SandboxResponse:
    """Replace the target's last sid with another one of its kind."""
    sids = SID.findall(target)
    if not sids:
        return response
    sid = sids[-1]
    other = sid[:-1] + ("0" if sid[-1] != "0" else "1")
    return SandboxResponse(response.status, response.body.replace(sid.encode(), other.encode()), response.headers)


def _rows(value: dict[str, Any]) -> str:
    key: str = value["meta"]["key"]
    return key


def _emptied(value: Any) -> Any:
    return {**value, _rows(value): []}


def _redirected(value: Any, url: str) -> Any:
    meta = value["meta"]
    return {**value, "meta": {**meta, "next_page_url": meta["url"] if url == "self" else url}}


def _reshaped(value: Any, shape: str) -> Any:
    simple = {"array": [value], "text": "text", "number": 1, "null": None}
    if shape in simple:
        return simple[shape]
    if not isinstance(value, dict):
        return value
    if not _is_page(value):
        return {name: [each] for name, each in value.items()} if shape == "values" else "text"
    rows = value[_rows(value)]
    if shape == "rows":
        return {**value, _rows(value): ["text" for _ in rows]}
    return {**value, _rows(value): [{name: [each] for name, each in row.items()} for row in rows]}

"""What a fault does to an answer before it is sent: other bytes, another status, another page. No sockets here."""

import re
from collections.abc import Callable
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson

from .answers import Answer, Refusal
from .faults import Fault
from .switches import Switches

SID = re.compile("[A-Z]{2}[0-9a-fA-F]{32}")
Ask = Callable[[str], Answer]
Edit = Callable[[Any], Any]


class Damage:
    """Applies the faults that change an answer; the others pass it through. Counts, so that endless tokens differ."""

    def __init__(self) -> None:
        self._turn = count(1)

    def apply(self, fault: Fault, target: str, ask: Ask, switches: Switches) -> Answer:
        """The answer to `target` under `fault`; `ask` gives the true answer to any target."""
        match fault.kind:
            case "status":
                return _refused(fault, switches)
            case "body":
                return Answer(fault.status or 200, fault.body, fault.headers)
            case "redirect":
                return Answer(fault.status or 307, b"", {"Location": fault.url, **fault.headers})
            case "swap":
                return ask(fault.url) if fault.url else _altered(ask(target), target)
            case "bad_json":
                answer = ask(target)
                return Answer(answer.status, answer.body[: len(answer.body) // 2], answer.headers)
            case "wrong_type":
                return _edited(ask(target), lambda value: _reshaped(value, fault.shape))
            case "empty_page":
                return _edited_page(ask(target), _emptied)
            case "next_page" if fault.url == "endless":
                return self._endless(target, ask)
            case "next_page":
                return _edited_page(ask(target), lambda value: _led_on(value, fault.url))
        return ask(target)

    def _endless(self, target: str, ask: Ask) -> Answer:
        path, _, query = target.partition("?")
        asked = dict(parse_qsl(query, keep_blank_values=True))
        token, page = asked.pop("PageToken", ""), asked.pop("Page", "0")
        number = int(page) if page.isdecimal() else 0
        answer = ask(f"{path}?{urlencode(asked)}" if asked else path)

        def led_on(value: Any) -> Any:
            first = value["meta"]["first_page_url"].removesuffix("&Page=0")
            url = f"{first}&Page={number}" + (f"&PageToken={token}" if token else "")
            next_url = f"{first}&Page={number + 1}&PageToken=PTendless{next(self._turn)}"
            return {**value, "meta": {**value["meta"], "page": number, "url": url, "next_page_url": next_url}}

        return _edited_page(answer, led_on)


def _edited(answer: Answer, edit: Edit) -> Answer:
    return Answer(answer.status, orjson.dumps(edit(orjson.loads(answer.body or b"null"))), answer.headers)


def _edited_page(answer: Answer, edit: Edit) -> Answer:
    """A single resource or an error has no page to damage, and stays as it is."""
    return _edited(answer, lambda value: edit(value) if _is_page(value) else value)


def _is_page(value: Any) -> bool:
    return isinstance(value, dict) and "meta" in value


def _refused(fault: Fault, switches: Switches) -> Answer:
    status = fault.status or 500
    headers = dict(fault.headers)
    if fault.retry_after is not None:
        headers["Retry-After"] = str(fault.retry_after).removesuffix(".0")
    elif status == 429 and switches.retry_after == "sent":
        headers["Retry-After"] = "1"
    return Refusal(status, fault.code, fault.message).answer(headers)


def _altered(answer: Answer, target: str) -> Answer:
    """The answer with the target's last sid turned into another one of its kind."""
    sids = SID.findall(target)
    if not sids:
        return answer
    sid = sids[-1]
    other = sid[:-1] + ("0" if sid[-1] != "0" else "1")
    return Answer(answer.status, answer.body.replace(sid.encode(), other.encode()), answer.headers)


def _rows(value: dict[str, Any]) -> str:
    key: str = value["meta"]["key"]
    return key


def _emptied(value: Any) -> Any:
    return {**value, _rows(value): []}


def _led_on(value: Any, url: str) -> Any:
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

"""The control routes under /sandbox, with good input and bad."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from gateway.sandbox import Sandbox
from gateway.sandbox.control import ROUTES
from gateway.sandbox.faults import KINDS
from gateway.sandbox.switches import choices

if TYPE_CHECKING:
    from tests.sandbox.conftest import Caller


async def test_the_index_says_what_there_is(caller: Caller, sandbox: Sandbox) -> None:
    index = (await caller.control("GET", "")).json
    assert (index["account_sid"], index["auth_token"]) == (sandbox.account_sid, sandbox.auth_token)
    assert (index["api_key"], index["api_secret"]) == (sandbox.api_key, sandbox.api_secret)
    assert (index["seed"], index["size"]) == (1, "small")
    assert set(index["faults"]) == set(KINDS)
    assert {name: tuple(each["choices"]) for name, each in index["switches"].items()} == choices()
    for route in ROUTES:
        method, path = route.split(" ")
        reply = await caller.control(method, path.removeprefix("/sandbox"), {} if method == "POST" else None)
        assert reply.status == (400 if method == "POST" else 200), route  # A POST says nothing here.
        assert route in index["routes"]


async def test_the_index_refers_to_nothing_that_its_reader_does_not_have(caller: Caller) -> None:
    page = (await caller.control("GET", "")).body.decode()
    assert re.findall(r"(?i)\bsections? \d|\w+\.md\b|unconfirmed|\bnotes\b", page) == []


async def test_landmarks(caller: Caller, sandbox: Sandbox) -> None:
    assert (await caller.control("GET", "/landmarks")).json == sandbox.landmarks


async def test_the_log_of_calls(caller: Caller, sandbox: Sandbox) -> None:
    target = f"{caller.conversation}/Messages?Order=desc&PageSize=2"
    await caller.get(target)
    await caller.get("nowhere")
    log = (await caller.control("GET", "/calls")).json
    assert [(call["method"], call["target"], call["status"]) for call in log] == [
        ("GET", target, 200),
        ("GET", "nowhere", 404),
    ]
    assert sandbox.paths == [target, "nowhere"]
    assert all(caller.headers["Authorization"] not in str(call) for call in log)
    assert (await caller.control("DELETE", "/calls")).status == 204
    assert sandbox.calls == []


async def test_faults_are_added_listed_and_cleared(caller: Caller) -> None:
    rule = {"pattern": "*/Receipts", "kind": "status", "status": 429, "retry_after": 1.0, "times": 1}
    reply = await caller.control("POST", "/faults", rule)
    assert (reply.status, reply.json) == (201, {**rule, "seen": 0, "hits": 0, "struck": 0})
    assert [(await caller.get(caller.receipts)).status for _ in range(2)] == [429, 200]
    assert (await caller.control("GET", "/faults")).json == [{**rule, "seen": 2, "hits": 1, "struck": 1}]
    assert (await caller.control("DELETE", "/faults")).status == 204
    assert (await caller.control("GET", "/faults")).json == []


async def test_a_fault_takes_a_text_and_a_range(caller: Caller) -> None:
    rule = {"pattern": "*", "kind": "body", "body": "hällo", "latency": [0.0, 0.001]}
    assert (await caller.control("POST", "/faults", rule)).json == {**rule, "seen": 0, "hits": 0, "struck": 0}
    assert (await caller.get("Services")).body == "hällo".encode()


async def test_switches_are_shown_and_changed(caller: Caller, sandbox: Sandbox) -> None:
    before = (await caller.control("GET", "/switches")).json
    assert before == {name: allowed[0] for name, allowed in choices().items()}
    after = (await caller.control("POST", "/switches", {"last_page": "empty"})).json
    assert after == {**before, "last_page": "empty"} == (await caller.control("GET", "/switches")).json
    assert sandbox.switches.last_page == "empty"


async def test_receipts_progress_to_the_end(caller: Caller, sandbox: Sandbox) -> None:
    reply = await caller.post(f"{caller.conversation}/Messages", Author="dispatch", Body="hi")
    message = f"{caller.conversation}/Messages/{reply.json['sid']}"

    async def words() -> list[str | None]:
        return [row["status"] for row in await caller.rows(f"{message}/Receipts")]

    async def step() -> int:
        moved = await caller.control("POST", "/progress", {"message_sid": reply.json["sid"]})
        return len(moved.json["moved"])

    assert await words() == [None] * 10
    assert [await step(), *await words()] == [10, *["sent"] * 10]
    assert [await step(), *await words()] == [10, *["delivered"] * 10]
    assert [await step(), *await words()] == [3, *["delivered", "delivered", "read"] * 3, "delivered"]
    assert await step() == 0
    assert (await caller.read(message))["delivery"] == {
        "total": 10,
        "sent": "all",
        "delivered": "all",
        "read": "some",
        "failed": "none",
        "undelivered": "none",
    }
    rows = await caller.rows(f"{message}/Receipts")
    assert all(row["date_created"] < row["date_updated"] for row in rows)


async def test_one_receipt_progresses_to_a_status(caller: Caller, sandbox: Sandbox) -> None:
    marks = sandbox.landmarks
    message, receipt = marks["pending_receipt_message_sid"], marks["pending_receipt_sid"]
    asked = {"message_sid": message, "receipt_sid": receipt, "to": "failed", "error_code": 30006}
    assert (await caller.control("POST", "/progress", asked)).json == {"moved": [receipt]}
    row = await caller.read(f"{caller.conversation}/Messages/{message}/Receipts/{receipt}")
    assert (row["status"], row["error_code"]) == ("failed", 30006)
    assert sandbox.world.progress(message, receipt_sid=receipt) == []


BAD: list[tuple[str, Any, str]] = [
    ("/faults", b"{", "not JSON"),
    ("/faults", b"", "not JSON"),
    ("/faults", [], "must be a JSON object"),
    ("/faults", {"kind": "hang"}, "pattern is missing"),
    ("/faults", {"pattern": 1, "kind": "hang"}, "pattern is missing"),
    ("/faults", {"pattern": "*"}, "kind is missing"),
    ("/faults", {"pattern": "*", "kind": "explode"}, "explode"),
    ("/faults", {"pattern": "*", "kind": ["hang"]}, "it is one of latency"),
    ("/faults", {"pattern": "*", "kind": "hang", "colour": 1}, "unknown: colour"),
    ("/faults", {"pattern": "*", "kind": "status", "status": "500"}, "status"),
    ("/faults", {"pattern": "*", "kind": "status", "status": 20}, "status must be from 200 to 599"),
    ("/faults", {"pattern": "*", "kind": "body", "body": 1}, "body must be text"),
    ("/faults", {"pattern": "*", "kind": "redirect"}, "redirect needs a url"),
    ("/faults", {"pattern": "re:(", "kind": "hang"}, "pattern is not a regular expression"),
    ("/switches", {"nonsense": "x"}, "unknown: nonsense"),
    ("/switches", {"last_page": "maybe"}, "last_page must be one of null, empty"),
    ("/switches", {"last_page": None}, "last_page must be one of"),
    ("/switches", {"last_page": ["null"]}, "last_page must be one of"),
    ("/progress", {}, "message_sid is missing"),
    ("/progress", {"message_sid": "IM0"}, "there is no message IM0"),
    ("/progress", {"message_sid": "{message_sid}", "receipt_sid": "DY0"}, "has no receipt DY0"),
    ("/progress", {"message_sid": "{message_sid}", "receipt_sid": 1}, "receipt_sid must be of type str"),
    ("/progress", {"message_sid": "{message_sid}", "to": "teleported"}, "to must be one of"),
    ("/progress", {"message_sid": "{message_sid}", "error_code": True}, "error_code must be of type int"),
    ("/progress", {"message_sid": "{message_sid}", "speed": 1}, "unknown: speed"),
]


@pytest.mark.parametrize(("path", "value", "problem"), BAD)
async def test_bad_input_is_400_with_a_sentence(caller: Caller, path: str, value: Any, problem: str) -> None:
    if isinstance(value, dict) and value.get("message_sid") == "{message_sid}":
        value = {**value, "message_sid": caller.sandbox.landmarks["message_sid"]}
    before = [(await caller.control("GET", name)).body for name in ("/faults", "/switches")]
    reply = await caller.control("POST", path, value)
    assert reply.status == 400
    assert problem in reply.json["error"]
    assert [(await caller.control("GET", name)).body for name in ("/faults", "/switches")] == before


async def test_unknown_routes_and_methods(caller: Caller) -> None:
    reply = await caller.control("GET", "/nothing")
    assert (reply.status, "/sandbox/landmarks" in reply.json["error"]) == (404, True)
    reply = await caller.control("DELETE", "/landmarks")
    assert (reply.status, reply.json["error"]) == (405, "/sandbox/landmarks takes GET")

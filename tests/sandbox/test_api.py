"""Reads and refusals: credentials, headers, error bodies, names in paths."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from gateway.sandbox import Sandbox

if TYPE_CHECKING:
    from tests.sandbox.conftest import Caller

ZEROS = "0" * 32


async def test_headers_are_twilios(caller: Caller) -> None:
    first, second = await caller.get("Services"), await caller.get("Services")
    assert first.headers["Content-Type"] == "application/json;charset=utf-8"
    assert first.headers["Twilio-Request-Id"].startswith("RQ")
    assert len(first.headers["Twilio-Request-Id"]) == 34
    ids = [first.headers["Twilio-Request-Id"], second.headers["Twilio-Request-Id"]]
    assert ids == [call.request_id for call in caller.sandbox.calls]
    assert ids[0] != ids[1]
    assert float(first.headers["Twilio-Request-Duration"]) >= 0
    assert first.headers["Twilio-Concurrent-Requests"] == "1"
    assert first.headers["X-Home-Region"] == "us1"


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (None, "Authentication Error - No credentials provided"),
        ("Bearer token", "Authentication Error - invalid username"),
        ("Basic", "Authentication Error - invalid username"),
        ("Basic %%%", "Authentication Error - invalid username"),
        ("Basic /w==", "Authentication Error - invalid username"),
        ("Basic " + base64.b64encode(b"AC:x").decode(), "Authentication Error - invalid username"),
        ("wrong secret", "Authenticate"),
    ],
)
async def test_without_credentials_401(caller: Caller, header: str | None, message: str) -> None:
    if header == "wrong secret":
        header = "Basic " + base64.b64encode(f"{caller.sandbox.account_sid}:x".encode()).decode()
    caller.headers = {"Authorization": header} if header else {}
    for target in ("Services", "nowhere"):
        reply = await caller.get(target)
        assert (reply.status, reply.json["code"], reply.json["message"]) == (401, 20003, message)
        assert reply.headers["WWW-Authenticate"].startswith("Basic ")
    assert [call.status for call in caller.sandbox.calls] == [401, 401]


async def test_both_pairs_of_credentials_are_accepted(caller: Caller, sandbox: Sandbox) -> None:
    for pair in (f"{sandbox.account_sid}:{sandbox.auth_token}", f"{sandbox.api_key}:{sandbox.api_secret}"):
        caller.headers = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        assert (await caller.get("Services")).status == 200
    mixed = f"{sandbox.account_sid}:{sandbox.api_secret}"
    caller.headers = {"Authorization": "Basic " + base64.b64encode(mixed.encode()).decode()}
    assert (await caller.get("Services")).status == 401


def test_credentials_can_be_chosen() -> None:
    sandbox = Sandbox(account_sid="AC" + ZEROS, auth_token="secret")
    assert (sandbox.account_sid, sandbox.auth_token) == ("AC" + ZEROS, "secret")


@pytest.mark.parametrize(
    "target",
    [
        f"Services/IS{ZEROS}",
        "Services/undefined",
        "Services/",
        "Services/{service_sid}/",
        "Services/{service_sid}/Conversations/CH" + ZEROS,
        "Services/{service_sid}/Conversations/CH" + ZEROS + "/Messages",
        "Services/{service_sid}/Conversations/no%20such/Participants",
        "Services/{service_sid}/Conversations/{conversation_sid}/Messages/undefined",
        "Services/{service_sid}/Conversations/{conversation_sid}/Messages/IM" + ZEROS + "/Receipts",
        "Services/{service_sid}/Conversations/{conversation_sid}/Messages/{message_sid}/Receipts/DY" + ZEROS,
        "Services/{service_sid}/Conversations/{conversation_sid}/Messages/{failed_receipt_message_sid}"
        "/Receipts/{receipt_sid}",
        "Services/{service_sid}/Conversations/{empty_conversation_sid}/Messages/{message_sid}",
        "Services/{service_sid}/Conversations/{conversation_sid}/Participants/nobody",
        "Services/{other_service_sid}/Conversations/{conversation_sid}",
        "Services/{service_sid}/Conversations/{conversation_sid}/Surprises",
        "Services/{service_sid}//{conversation_sid}",
        "Conversations",
    ],
)
async def test_what_is_not_there_is_404_with_the_path_as_sent(caller: Caller, target: str) -> None:
    path = target.format(**caller.sandbox.landmarks)
    reply = await caller.get(path + "?PageSize=5")
    assert (reply.status, reply.json) == (
        404,
        {
            "code": 20404,
            "message": f"The requested resource /{path} was not found",
            "more_info": "https://www.twilio.com/docs/errors/20404",
            "status": 404,
        },
    )


async def test_outside_v1_is_404(caller: Caller) -> None:
    for path in ("/", "/v2/Services", "/v1", "/v1/"):
        reply = await caller.get(caller.sandbox.url + path)
        assert (reply.status, reply.json["code"]) == (404, 20404)


async def test_a_wrong_method_is_405(caller: Caller) -> None:
    for reply in (
        await caller.post("Services"),
        await caller.post(caller.receipts),
        await caller.delete(caller.service),
    ):
        assert (reply.status, reply.json["code"], reply.json["status"]) == (405, 20004, 405)


async def test_a_sid_in_the_wrong_case_is_not_found(caller: Caller) -> None:
    assert (await caller.get(caller.service.upper().replace("SERVICES", "Services"))).status == 404


async def test_a_name_in_the_path_is_decoded_once_and_only_for_what_has_a_name(caller: Caller) -> None:
    made = await caller.post(f"{caller.service}/Conversations", UniqueName="100%2F5")
    assert made.status == 201
    assert (await caller.read(f"{caller.service}/Conversations/100%252F5"))["sid"] == made.json["sid"]
    assert (await caller.get(f"{caller.service}/Conversations/100%2F5")).status == 404
    assert (await caller.get(f"{caller.service}/Conversations/100/5")).status == 404


async def test_a_plus_in_a_path_is_a_plus(caller: Caller) -> None:
    made = await caller.post(f"{caller.service}/Conversations", UniqueName="a+b c")
    for spelled in ("a+b%20c", "a%2Bb%20c"):
        assert (await caller.read(f"{caller.service}/Conversations/{spelled}"))["sid"] == made.json["sid"]
    assert (await caller.get(f"{caller.service}/Conversations/a+b+c")).status == 404


async def test_the_target_is_logged_as_sent(caller: Caller, sandbox: Sandbox) -> None:
    target = f"{caller.service}/Conversations/a%2Fb%20c?Order=desc&PageSize=%35"
    await caller.get(target)
    (call,) = sandbox.calls
    assert (call.target, call.method, call.query) == (target, "GET", "Order=desc&PageSize=%35")
    assert call.headers["Authorization"] == caller.headers["Authorization"]
    assert caller.headers["Authorization"] not in repr(call)

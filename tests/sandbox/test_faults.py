"""Each fault as a client sees it, down to the bytes on the connection; and which calls a fault hits."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from gateway.sandbox import Fault, Sandbox
from gateway.sandbox.faults import KINDS, Faults, subject_of

if TYPE_CHECKING:
    from tests.sandbox.conftest import Caller


async def connect(caller: Caller) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    address = caller.sandbox.url.removeprefix("http://").split(":")
    return await asyncio.open_connection(address[0], int(address[1]))


def request(caller: Caller, target: str) -> bytes:
    host, authorization = caller.sandbox.url.removeprefix("http://"), caller.headers["Authorization"]
    return f"GET /v1/{target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {authorization}\r\n\r\n".encode()


async def exchange(caller: Caller, target: str) -> tuple[bytes, bytes]:
    """Head and all that follows it until the server closes the connection."""
    reader, writer = await connect(caller)
    writer.write(request(caller, target))
    received = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, rest = received.partition(b"\r\n\r\n")
    return head, rest


def length_of(head: bytes) -> int:
    return next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))


@pytest.mark.parametrize(
    ("retry_after", "header"),
    [(2.5, "2.5"), (3, "3"), (3.0, "3"), (0, "0"), ("Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:28:00 GMT")],
)
async def test_status(caller: Caller, retry_after: float | str, header: str) -> None:
    caller.sandbox.faults.add("*", Fault("status", status=429, retry_after=retry_after))
    reply = await caller.get("Services")
    assert (reply.status, reply.headers["Retry-After"]) == (429, header)
    assert reply.json == {
        "code": 20429,
        "message": "Too Many Requests",
        "more_info": "https://www.twilio.com/docs/errors/20429",
        "status": 429,
    }


@pytest.mark.parametrize(("status", "code"), [(400, 20001), (401, 20003), (403, 20403), (500, 20500), (503, 20500)])
async def test_status_has_the_code_that_goes_with_it(caller: Caller, status: int, code: int) -> None:
    caller.sandbox.faults.add("*", Fault("status", status=status))
    reply = await caller.get("Services")
    assert (reply.status, reply.json["code"], reply.json["status"]) == (status, code, status)


async def test_status_takes_another_code_and_message(caller: Caller) -> None:
    caller.sandbox.faults.add("*", Fault("status", status=403, code=20006, message="No", headers={"X-A": "b"}))
    reply = await caller.get("Services")
    assert (reply.json["code"], reply.json["message"], reply.headers["X-A"]) == (20006, "No", "b")


async def test_body(caller: Caller) -> None:
    html = Fault("body", status=502, body=b"<html>\xff", headers={"Content-Type": "text/html"})
    caller.sandbox.faults.add("*", html)
    reply = await caller.get("Services")
    assert (reply.status, reply.body, reply.headers["Content-Type"]) == (502, b"<html>\xff", "text/html")


async def test_redirect(caller: Caller) -> None:
    caller.sandbox.faults.add("*", Fault("redirect", url="http://elsewhere.test/"))
    reply = await caller.get("Services")
    assert (reply.status, reply.headers["Location"]) == (307, "http://elsewhere.test/")


async def test_bad_json(caller: Caller) -> None:
    caller.sandbox.faults.add("*", Fault("bad_json"))
    reply = await caller.get("Services")
    assert (reply.status, int(reply.headers["Content-Length"])) == (200, len(reply.body))
    with pytest.raises(json.JSONDecodeError):
        _ = reply.json


async def test_wrong_type(caller: Caller) -> None:
    honest = await caller.read("Services")
    expected: dict[Any, Any] = {
        "array": [honest],
        "text": "text",
        "number": 1,
        "null": None,
        "rows": {**honest, "services": ["text"] * 4},
        "values": {
            **honest,
            "services": [{name: [value] for name, value in row.items()} for row in honest["services"]],
        },
    }
    for shape, seen in expected.items():
        caller.sandbox.faults.add("Services", Fault("wrong_type", shape=shape, times=1))
        assert await caller.read("Services") == seen


async def test_wrong_type_of_a_single_resource(caller: Caller) -> None:
    honest = await caller.read(caller.service)
    caller.sandbox.faults.add("*", Fault("wrong_type", shape="values", times=1))
    assert await caller.read(caller.service) == {name: [value] for name, value in honest.items()}


async def test_damage_leaves_alone_what_it_does_not_fit(caller: Caller) -> None:
    for fault, status in (
        (Fault("wrong_type", shape="values"), 400),
        (Fault("empty_page"), 400),
        (Fault("next_page", url="endless"), 200),  # Its page is the first, whatever is asked for.
    ):
        caller.sandbox.faults.clear()
        caller.sandbox.faults.add("*", fault)
        assert (await caller.get(f"{caller.conversation}/Messages?Page=x")).status == status
        assert (await caller.get("nowhere")).status == 404
        made = await caller.post(f"{caller.conversation}/Messages", Body="hi")
        assert made.status == 201
    assert (await caller.delete(caller.message)).status == 204


async def test_next_page_leads_elsewhere_or_to_itself(caller: Caller) -> None:
    target = f"{caller.conversation}/Messages"
    caller.sandbox.faults.add("*", Fault("next_page", url="https://elsewhere.test/v1/x", times=1))
    caller.sandbox.faults.add("*", Fault("next_page", url="self"))
    assert (await caller.read(target))["meta"]["next_page_url"] == "https://elsewhere.test/v1/x"
    page = await caller.read(target)
    assert page["meta"]["next_page_url"] == page["meta"]["url"]
    assert "meta" not in await caller.read(caller.service)


async def test_next_page_never_ends_and_no_token_comes_twice(caller: Caller) -> None:
    caller.sandbox.faults.add("*", Fault("next_page", url="endless"))
    urls = [f"{caller.sandbox.url}/v1/{caller.conversation}/Messages?Order=desc&PageSize=3"]
    for number in range(8):
        page = await caller.read(urls[-1])
        assert [row["index"] for row in page["messages"]] == [179, 178, 177]
        assert page["meta"]["page"] == number
        if number:
            assert page["meta"]["url"] == urls[-1]
        urls.append(page["meta"]["next_page_url"])
    assert len(set(urls)) == len(urls)


async def test_empty_page(caller: Caller) -> None:
    target = f"{caller.conversation}/Messages"
    honest = await caller.read(target)
    caller.sandbox.faults.add("*Messages", Fault("empty_page"))
    assert await caller.read(target) == {**honest, "messages": []}
    assert "sid" in await caller.read(caller.service)


async def test_swap(caller: Caller) -> None:
    other = f"Services/{caller.sandbox.landmarks['other_service_sid']}"
    honest = await caller.read(caller.service)
    caller.sandbox.faults.add(caller.service, Fault("swap", url=other, times=1))
    caller.sandbox.faults.add(caller.service, Fault("swap"))
    assert await caller.read(caller.service) == await caller.read(other)
    altered = await caller.read(caller.service)
    assert altered["sid"] != honest["sid"]
    assert altered["sid"][:-1] == honest["sid"][:-1]
    assert altered["url"].endswith(altered["sid"])


async def test_hang_ends_when_the_client_leaves(caller: Caller) -> None:
    caller.sandbox.faults.add("*", Fault("hang"))
    waiting = asyncio.create_task(caller.get("Services"))
    await caller.sandbox.until(lambda: caller.sandbox.in_flight == 1)
    (call,) = caller.sandbox.calls
    assert (call.open, call.client_left) == (True, False)
    waiting.cancel()
    await caller.sandbox.until(lambda: caller.sandbox.in_flight == 0)
    assert (call.open, call.client_left, call.status) == (False, True, None)


async def test_reset(caller: Caller) -> None:
    caller.sandbox.faults.add("*", Fault("reset"))
    with pytest.raises(ConnectionResetError):
        await exchange(caller, "Services")
    with pytest.raises(aiohttp.ClientConnectionError):
        await caller.get("Services")


async def test_half_body(caller: Caller) -> None:
    honest = (await caller.get("Services")).body
    caller.sandbox.faults.add("*", Fault("half_body"))
    head, rest = await exchange(caller, "Services")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert length_of(head) == len(honest)
    assert 0 < len(rest) <= len(honest) // 2 + 1
    with pytest.raises(aiohttp.ClientPayloadError):
        await caller.get("Services")


async def test_wrong_length_too_short_leaves_bytes_behind(caller: Caller) -> None:
    caller.sandbox.faults.add("*", Fault("wrong_length", size=7, times=1))
    reader, writer = await connect(caller)
    writer.write(request(caller, caller.service))
    head = await reader.readuntil(b"\r\n\r\n")
    body = await reader.readexactly(length_of(head))
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)
    body += await reader.readexactly(7)
    assert json.loads(body)["sid"] == caller.sandbox.landmarks["service_sid"]
    writer.write(request(caller, caller.service))
    assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    writer.close()


async def test_wrong_length_too_long(caller: Caller) -> None:
    caller.sandbox.faults.add("*", Fault("wrong_length", size=-5))
    head, rest = await exchange(caller, "Services")
    assert length_of(head) == len(rest) + 5
    assert json.loads(rest)["meta"]["key"] == "services"


async def test_drip(caller: Caller) -> None:
    honest = await caller.read(caller.service)
    caller.sandbox.faults.add("*", Fault("drip", size=200, pause=0.0))
    assert await caller.read(caller.service) == honest


async def test_gzip_bomb(caller: Caller) -> None:
    caller.sandbox.faults.add("*", Fault("gzip_bomb", size=3_000_000))
    url = f"{caller.sandbox.url}/v1/Services"
    async with aiohttp.ClientSession(auto_decompress=False) as session, session.get(url, headers=caller.headers) as got:
        packed = await got.read()
    assert got.headers["Content-Encoding"] == "gzip"
    assert len(packed) < 20_000
    body = gzip.decompress(packed)
    assert len(body) > 3_000_000
    assert json.loads(body)["meta"]["key"] == "services"


async def test_big_body(caller: Caller) -> None:
    honest = await caller.get("Services")
    caller.sandbox.faults.add("*", Fault("big_body", size=1_000_000))
    reply = await caller.get("Services")
    assert len(reply.body) == len(honest.body) + 1_000_000 == int(reply.headers["Content-Length"])
    assert reply.json == honest.json


@pytest.mark.parametrize(
    ("body", "begins"), [(b"", b"HTTP/1.1 200 "), (b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK")]
)
async def test_surplus(caller: Caller, body: bytes, begins: bytes) -> None:
    caller.sandbox.faults.add("*", Fault("surplus", body=body))
    reader, writer = await connect(caller)
    writer.write(request(caller, "Services"))
    head = await reader.readuntil(b"\r\n\r\n")
    first = await reader.readexactly(length_of(head))
    assert json.loads(first)["meta"]["key"] == "services"
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(begins)
    if not body:
        assert await reader.readexactly(len(first)) == first
    writer.close()


async def test_raw(caller: Caller) -> None:
    caller.sandbox.faults.add("*", Fault("raw", body=b"SSH-2.0-surprise\r\n\r\nx"))
    assert await exchange(caller, "Services") == (b"SSH-2.0-surprise", b"x")
    with pytest.raises(aiohttp.ClientError):
        await caller.get("Services")


async def test_latency_lets_others_overtake(caller: Caller) -> None:
    caller.sandbox.faults.add("*Messages", Fault(latency=30))
    slow = asyncio.create_task(caller.get(f"{caller.conversation}/Messages"))
    await caller.sandbox.until(lambda: caller.sandbox.in_flight == 1)
    assert (await caller.get("Services")).headers["Twilio-Concurrent-Requests"] == "2"
    assert not slow.done()
    assert caller.sandbox.max_in_flight == 2
    slow.cancel()
    await caller.sandbox.until(lambda: caller.sandbox.in_flight == 0)


async def test_latency_comes_before_any_other_fault(caller: Caller) -> None:
    caller.sandbox.faults.add("*", Fault("status", status=500, latency=(0.001, 0.002)))
    assert (await caller.get("Services")).status == 500


def test_random_latencies_are_reproducible() -> None:
    fault = Fault(latency=(0.02, 0.2))
    one, two, other = Faults(5), Faults(5), Faults(6)
    drawn = [one.draw_latency(fault) for _ in range(20)]
    assert drawn == [two.draw_latency(fault) for _ in range(20)] != [other.draw_latency(fault) for _ in range(20)]
    assert all(0.02 <= seconds <= 0.2 for seconds in drawn)
    assert len(set(drawn)) == 20


def test_times_and_after_count_the_calls_that_match() -> None:
    faults = Faults(1)
    rule = faults.add("a/*", Fault("reset", times=2, after=1))
    hits = [faults.pick(target) is not None for target in ("a/1", "b", "a/2", "a/3", "a/4")]
    assert hits == [False, False, True, True, False]
    assert (rule.seen, rule.hits) == (4, 2)


def test_the_first_rule_that_hits_wins() -> None:
    faults = Faults(1)
    first = faults.add("*", Fault("reset", times=1))
    faults.add("*", Fault("hang"))
    picked = [faults.pick("x") for _ in range(2)]
    assert [fault.kind for fault in picked if fault] == ["reset", "hang"]
    faults.remove(first)
    assert [rule.fault.kind for rule in faults] == ["hang"]
    faults.clear()
    assert faults.pick("x") is None


def test_probability_is_seeded() -> None:
    def hits(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.add("*", Fault("reset", probability=0.3))
        return [faults.pick("x") is not None for _ in range(200)]

    assert hits(1) == hits(1) != hits(2)
    assert 30 < sum(hits(1)) < 90
    never = Faults(1)
    never.add("*", Fault("reset", probability=0))
    assert never.pick("x") is None


@pytest.mark.parametrize(
    ("pattern", "target", "is_matched"),
    [
        ("*", "Services", True),
        ("Services", "Services?PageSize=5", True),
        ("Services", "Services/IS1", False),
        ("*/Messages", "Services/IS1/Conversations/CH1/Messages?Order=desc", True),
        ("*/Messages", "Services/IS1/Conversations/CH1/Messages/IM1", False),
        ("*Order=desc*", "Services/IS1/Conversations/CH1/Messages?Order=desc", True),
        ("*/Receipts*", "Services/IS1/Conversations/CH1/Messages/IM1/Receipts/DY1", True),
        ("re:/Receipts(/|$)", "Services/IS1/Conversations/CH1/Messages/IM1/Receipts/DY1", True),
        ("re:^Conversations", "Services/IS1/Conversations", False),
    ],
)
def test_patterns(pattern: str, target: str, is_matched: bool) -> None:
    faults = Faults(1)
    faults.add(pattern, Fault("reset"))
    assert (faults.pick(target) is not None) is is_matched


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "explode"},
        {"shape": "round"},
        {"probability": 1.5},
        {"times": -1},
        {"after": -1},
        {"status": 99},
        {"latency": -1},
        {"latency": (2, 1)},
        {"pause": -1},
        {"kind": "redirect"},
        {"kind": "next_page"},
        {"kind": "raw"},
        {"kind": "drip", "size": 0},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must|needs"):
        Fault(**wrong)
    with pytest.raises(ValueError, match="pattern is not a regular expression"):
        Faults(1).add("re:(", Fault())


def test_every_kind_has_its_test() -> None:
    tests = {name.removeprefix("test_") for name in globals()}
    calls = [kind for kind in KINDS if subject_of(kind) == "call"]  # The others have theirs where they are applied.
    assert [kind for kind in calls if not any(name.startswith(kind) for name in tests)] == []


async def test_a_fault_is_named_in_the_log(caller: Caller, sandbox: Sandbox) -> None:
    sandbox.faults.add("Services", Fault("status", status=503))
    await caller.get("Services")
    await caller.get(caller.service)
    assert [(call.fault, call.status) for call in sandbox.calls] == [("status", 503), (None, 200)]

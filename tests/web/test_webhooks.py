"""The intake of webhooks: verdicts, limits, what is logged, and the way from the sandbox's webhook to an answer."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from starlette.applications import Starlette
from structlog.testing import capture_logs
from twilio.request_validator import RequestValidator

from gateway.app import create_app
from gateway.callers.callers import Token
from gateway.demo import landmark_variables, settings_for
from gateway.sandbox import Fault, Sandbox
from gateway.settings import Settings, WebhookSettings
from gateway.source.lifetimes import Lifetimes
from gateway.twilio.events import Event
from gateway.web.server import address, listen
from gateway.web.webhooks import RejectLimit

from ..conftest import serving
from .webhook_fuzz import fuzz

URL = "https://hooks.example.com/webhooks/twilio"
FORM = "application/x-www-form-urlencoded; charset=utf-8"
KEY, SHARED = "webhooks_sharedkey_1", "a-shared-secret"
SECRET = "5up3r-s3cr3t"


class Gateway:
    """A served gateway that accepts webhooks."""

    def __init__(self, url: str, app: Starlette, sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
        self.url, self.app, self.sandbox, self.http = url, app, sandbox, http

    def event(self, **parameters: str) -> dict[str, str]:
        marks = self.sandbox.landmarks
        return {
            "EventType": "onDeliveryUpdated",
            "AccountSid": self.sandbox.account_sid,
            "ChatServiceSid": marks["service_sid"],
            "ConversationSid": marks["conversation_sid"],
            "MessageSid": marks["message_sid"],
            "DeliveryReceiptSid": marks["receipt_sid"],
            "ParticipantSid": marks["participant_sid"],
            "Status": "read",
            "DateUpdated": "2026-03-24T20:37:57.123Z",
        } | parameters

    def signed(self, parameters: dict[str, str], secret: str | None = None, url: str = URL) -> dict[str, str]:
        """Return the headers of a webhook with these parameters."""
        signature = RequestValidator(secret or self.sandbox.auth_token).compute_signature(url, parameters)
        return {"Content-Type": FORM, "X-Twilio-Signature": signature}

    async def post(self, body: bytes | str | AsyncIterator[bytes], headers: dict[str, str], query: str = "") -> int:
        url = f"{self.url}/webhooks/twilio{query}"
        async with self.http.post(url, data=body, headers=headers) as response:
            content = await response.read()
            assert response.status != 204 or (content == b"" and "Content-Length" not in response.headers)
            return response.status

    async def deliver(self, **parameters: str) -> int:
        event = self.event(**parameters)
        return await self.post(urlencode(event), self.signed(event))

    async def recent(self, token: str | None = None) -> list[dict[str, Any]]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.http.get(f"{self.url}/webhooks/recent", headers=headers) as response:
            assert response.status == 200
            found: list[dict[str, Any]] = (await response.json())["deliveries"]
            return found

    async def verdicts(self) -> list[str]:
        return [each["verdict"] for each in reversed(await self.recent())]

    async def query(self, document: str) -> Any:
        body = {"query": document, "variables": landmark_variables(document, self.sandbox.landmarks)}
        async with self.http.post(f"{self.url}/graphql", json=body) as response:
            answer = await response.json()
        assert "errors" not in answer, answer
        return answer["data"]


@asynccontextmanager
async def gateway_for(
    sandbox: Sandbox, http: aiohttp.ClientSession, webhook: WebhookSettings | None = None, **settings: Any
) -> AsyncIterator[Gateway]:
    """Serve a gateway; without `webhook`, its own address is the one that Twilio calls."""
    listener = listen("127.0.0.1", 0, "--port")
    webhook = webhook or WebhookSettings(
        url=f"{address(listener)}/webhooks/twilio", auth_token=sandbox.auth_token, account_sid=sandbox.account_sid
    )
    app = create_app(replace(settings_for(sandbox), webhook=webhook, **settings))
    async with serving(app, listener=listener) as url:
        yield Gateway(url, app, sandbox, http)


def webhook_settings(sandbox: Sandbox, **more: Any) -> WebhookSettings:
    values = {"url": URL, "auth_token": sandbox.auth_token, "account_sid": sandbox.account_sid, "keys": {KEY: SHARED}}
    return WebhookSettings(**(values | more))


@pytest.fixture
async def gateway(sandbox: Sandbox, http: aiohttp.ClientSession) -> AsyncIterator[Gateway]:
    async with gateway_for(sandbox, http, webhook_settings(sandbox)) as gateway:
        yield gateway


# Verdicts


async def test_an_event_is_accepted_once(gateway: Gateway) -> None:
    event = gateway.event()
    headers = gateway.signed(event) | {"I-Twilio-Idempotency-Token": "token-1"}
    assert await gateway.post(urlencode(event), headers) == 204
    assert await gateway.post(urlencode(event), headers) == 204  # An equal event.
    other = gateway.event(Status="delivered")
    assert (
        await gateway.post(urlencode(other), gateway.signed(other) | {"I-Twilio-Idempotency-Token": "token-1"}) == 204
    )
    assert await gateway.deliver(Status="sent") == 204
    assert await gateway.verdicts() == ["accepted", "duplicate", "duplicate", "late"]


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"AccountSid": "AC" + "9" * 32}, "AccountSid is another account."),
        ({"EventType": "onUserAdded"}, "EventType is not one that is read."),
        ({"MessageSid": "IM1"}, "MessageSid is not a sid of the form IM…."),
        ({"DateUpdated": "now"}, "DateUpdated is not an ISO 8601 date in UTC."),
    ],
)
async def test_other_events_are_counted_and_have_no_effect(
    gateway: Gateway, parameters: dict[str, str], reason: str
) -> None:
    assert await gateway.deliver(**parameters) == 204
    (delivery,) = await gateway.recent()
    assert (delivery["verdict"], delivery["reason"]) == ("unknown", reason)
    assert len(gateway.app.state.account.updates.events()) == 0


async def test_events_of_services_that_no_caller_may_read_have_no_effect(
    sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    other = sandbox.landmarks["other_service_sid"]
    tokens = {"one": Token("a" * 16, frozenset({other})), "two": Token("b" * 16, frozenset({"IS" + "0" * 32}))}
    async with gateway_for(sandbox, http, webhook_settings(sandbox), tokens=tokens) as gateway:
        assert await gateway.deliver() == 204
        assert await gateway.deliver(ChatServiceSid=other) == 204
        async with http.get(f"{gateway.url}/webhooks/recent") as response:
            assert response.status == 401
        assert [each["verdict"] for each in await gateway.recent("a" * 16)] == ["accepted"]
        assert await gateway.recent("b" * 16) == []
        counts = gateway.app.state.webhooks._deliveries.counts
        assert (counts["accepted"], counts["unknown"]) == (1, 1)


@pytest.mark.parametrize("settings", [f"key={KEY},algorithm=HMAC_SHA256", f"key={KEY},algorithm=HMAC_SHA1"])
async def test_a_shared_key_verifies_without_the_auth_token(
    sandbox: Sandbox, http: aiohttp.ClientSession, settings: str
) -> None:
    async with gateway_for(sandbox, http, webhook_settings(sandbox, auth_token=None)) as gateway:
        event = gateway.event()
        algorithm = settings.rpartition("=")[2]
        signature = RequestValidator(SHARED).compute_signature(URL, event, algorithm)
        headers = {"Content-Type": FORM, "X-Twilio-Signature": signature}
        assert await gateway.post(urlencode(event), headers | {"X-Twilio-Webhooks-Signature-Settings": settings}) == 204
        assert await gateway.post(urlencode(event), headers) == 403
        gateway.app.state.webhooks.replace(webhook_settings(sandbox, auth_token=None, keys={"other": SHARED}))
        assert await gateway.post(urlencode(event), headers | {"X-Twilio-Webhooks-Signature-Settings": settings}) == 403


async def test_get_and_json_are_read(gateway: Gateway) -> None:
    query = "?" + urlencode(gateway.event())
    headers = {"X-Twilio-Signature": gateway.signed({}, url=f"{URL}{query}")["X-Twilio-Signature"]}
    async with gateway.http.get(f"{gateway.url}/webhooks/twilio{query}", headers=headers) as response:
        assert response.status == 204
    body = json.dumps(gateway.event(DateUpdated="2026-03-24T20:37:58.000Z"))
    query = f"?bodySHA256={sha256(body.encode()).hexdigest()}"
    headers = gateway.signed({}, url=f"{URL}{query}") | {"Content-Type": "application/json"}
    assert await gateway.post(body, headers, query) == 204
    assert await gateway.post(body.replace("read", "sent"), headers, query) == 403
    assert await gateway.verdicts() == ["accepted", "accepted", "forged"]


# Rejections


@pytest.mark.parametrize(
    ("url", "secret", "drop", "check", "hint"),
    [
        ("https://example.org/webhooks/twilio", None, "", "key", "exactly the URL"),
        (URL, "another", "", "key", "Check TWILIO_AUTH_TOKEN"),
        (URL, None, "X-Twilio-Signature", "signature", "a proxy removed the header"),
        ("http://hooks.example.com/webhooks/twilio", None, "", "URL", "set GATEWAY_WEBHOOK_URL to it"),
        (f"{URL}/", None, "", "URL", f"Twilio calls {URL}/"),
    ],
)
async def test_a_rejection_says_which_part_to_check_in_the_log_alone(
    gateway: Gateway, url: str, secret: str | None, drop: str, check: str, hint: str
) -> None:
    event = gateway.event(Body=SECRET)
    headers = gateway.signed(event, secret, url)
    headers.pop(drop, None)
    with capture_logs() as log:
        async with gateway.http.post(
            f"{gateway.url}/webhooks/twilio", data=urlencode(event), headers=headers
        ) as response:
            assert response.status == 403
            assert "signature is not valid" in (await response.json())["errors"][0]["message"]
    (line,) = log
    assert (line["event"], line["check"], line["status"]) == ("webhook rejected", check, 403)
    assert hint in line["hint"]
    assert SECRET not in str(log)
    (delivery,) = await gateway.recent()
    assert (delivery["verdict"], delivery["reason"], delivery["sids"], delivery["event"]) == ("forged", check, {}, None)


async def test_a_proxy_s_host_is_found(gateway: Gateway) -> None:
    event = gateway.event()
    headers = gateway.signed(event, url="https://public.example.com/webhooks/twilio")
    with capture_logs() as log:
        assert await gateway.post(urlencode(event), headers | {"X-Forwarded-Host": "public.example.com"}) == 403
    assert log[0]["hint"] == "Twilio calls https://public.example.com/webhooks/twilio: set GATEWAY_WEBHOOK_URL to it."


async def test_a_large_body_is_rejected(gateway: Gateway) -> None:
    event = gateway.event(Body="x" * 65_536)
    headers = gateway.signed(event)
    assert await gateway.post(urlencode(event), headers) == 413

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(9):
            yield b"x" * 8192

    assert await gateway.post(chunks(), headers) == 413
    within = gateway.event(Body="x" * 60_000)
    assert await gateway.post(urlencode(within), gateway.signed(within)) == 204


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_may_have_exactly_64_kib(gateway: Gateway, is_chunked: bool) -> None:
    for further, status in ((0, 204), (1, 413)):
        event = gateway.event(Body="")
        event["Body"] = "x" * (65_536 + further - len(urlencode(event)))
        body = urlencode(event).encode()

        async def chunks(body: bytes = body) -> AsyncIterator[bytes]:
            for start in range(0, len(body), 10_000):
                yield body[start : start + 10_000]

        assert await gateway.post(chunks() if is_chunked else body, gateway.signed(event)) == status


async def test_a_slow_body_is_awaited_and_a_client_that_leaves_is_no_event(gateway: Gateway) -> None:
    event = gateway.event()
    head_received = asyncio.Event()

    async def slow(body: bytes) -> AsyncIterator[bytes]:
        yield body[:40]
        await head_received.wait()
        yield body[40:]

    first = asyncio.create_task(gateway.post(slow(urlencode(event).encode()), gateway.signed(event)))
    other = gateway.event(Status="delivered")
    assert await gateway.post(urlencode(other), gateway.signed(other)) == 204  # It waits for no other.
    head_received.set()
    assert await first == 204
    _, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    writer.write(b"POST /webhooks/twilio HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nEventType=on")
    await writer.drain()
    writer.transport.abort()
    assert await gateway.deliver(Status="sent") == 204
    assert await gateway.verdicts() == ["accepted", "accepted", "late"]


async def test_too_many_parameters_are_rejected(gateway: Gateway) -> None:
    query = "?" + "&".join(f"a{number}=1" for number in range(201))
    headers = gateway.signed({}, url=f"{URL}{query}")
    async with gateway.http.get(f"{gateway.url}/webhooks/twilio{query}", headers=headers) as response:
        assert response.status == 403
    assert await gateway.post("", headers, query) == 403
    assert await gateway.post(query[1:], headers) == 403
    assert [each["reason"] for each in await gateway.recent()] == ["body"] * 3


async def test_a_body_that_arrives_in_chunks_is_read(gateway: Gateway) -> None:
    event = gateway.event()

    async def chunks() -> AsyncIterator[bytes]:
        body = urlencode(event).encode()
        yield body[:50]
        yield body[50:]

    assert await gateway.post(chunks(), gateway.signed(event)) == 204
    assert await gateway.verdicts() == ["accepted"]


async def test_rejections_are_limited_and_verified_webhooks_never_are(
    sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    async with gateway_for(sandbox, http, webhook_settings(sandbox, rejects=3)) as gateway:
        event = gateway.event()
        with capture_logs() as log:
            statuses = [await gateway.post(urlencode(event), gateway.signed(event, "wrong")) for _ in range(10)]
        assert statuses.count(429) >= 6
        assert statuses[:3] == [403] * 3
        assert len(log) == len([status for status in statuses if status == 403])
        for number in range(30):
            assert await gateway.deliver(DateUpdated=f"2026-03-24T20:38:{number:02d}Z") == 204
        assert (await gateway.verdicts()).count("accepted") == 30


def test_a_reject_limit_is_per_peer_and_refills() -> None:
    limit = RejectLimit(2)
    assert [limit.allows("a", 0.0) for _ in range(3)] == [True, True, False]
    assert limit.allows("b", 0.0)
    assert [limit.allows("a", 0.6), limit.allows("a", 0.6)] == [True, False]
    assert [limit.allows("a", 9.0) for _ in range(3)] == [True, True, False]
    for number in range(10_001):
        limit.allows(str(number), 9.0)
    assert len(limit._peers) == 10_000


@pytest.mark.timeout(120)  # It checks the verdict on each of 1,000 requests with Twilio's validator.
async def test_mutated_requests_are_answered_and_never_accepted() -> None:
    found = await fuzz(1000)
    assert {204, 400, 403, 404, 405, 413} <= found["statuses"].keys()
    assert {"accepted", "forged", "unknown"} <= {verdict for verdict, count in found["verdicts"].items() if count}


async def test_without_its_url_there_is_no_route(http: aiohttp.ClientSession, base_url: str) -> None:
    for path in ("/webhooks/twilio", "/webhooks/recent"):
        for method in ("GET", "POST"):
            async with http.request(method, f"{base_url}{path}") as response:
                assert response.status == 404


# What is shown


async def test_the_log_of_deliveries_holds_no_personal_data(gateway: Gateway) -> None:
    marks = gateway.sandbox.landmarks
    assert await gateway.deliver(Status="failed", ErrorCode="30006", Body=SECRET) == 204
    event = {"EventType": "onParticipantAdded", "Identity": SECRET, "MessagingBinding.Address": SECRET}
    assert await gateway.deliver(**event, DateCreated="2026-03-24T20:37:57.123Z") == 204
    participant, receipt = await gateway.recent()
    assert SECRET not in json.dumps([participant, receipt])
    assert receipt.pop("age") > 0
    assert receipt.pop("ms") < 1000
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", receipt.pop("receivedAt"))
    assert receipt == {
        "verdict": "accepted",
        "event": "onDeliveryUpdated",
        "sids": {
            "serviceSid": marks["service_sid"],
            "conversationSid": marks["conversation_sid"],
            "messageSid": marks["message_sid"],
            "receiptSid": marks["receipt_sid"],
            "participantSid": marks["participant_sid"],
        },
        "status": "failed",
        "errorCode": 30006,
        "reason": None,
    }
    assert participant["sids"]["participantSid"] == marks["participant_sid"]


async def test_the_last_200_are_kept_and_a_late_failure_is_among_them(gateway: Gateway) -> None:
    for number in range(210):
        assert await gateway.deliver(DateUpdated=f"2026-03-24T20:{number // 60:02d}:{number % 60:02d}Z") == 204
    assert await gateway.deliver(Status="failed", ErrorCode="30003") == 204
    recent = await gateway.recent()
    assert len(recent) == 200
    assert (recent[0]["verdict"], recent[0]["errorCode"]) == ("late", 30003)


async def test_verdicts_and_delays_are_metrics(gateway: Gateway) -> None:
    for status in ("delivered", "delivered", "sent"):
        await gateway.deliver(Status=status)
    await gateway.post("", {})
    async with gateway.http.get(f"{gateway.url}/metrics") as response:
        text = await response.text()
    counts = dict(re.findall(r'gateway_webhooks_total\{verdict="(\w+)"\} (\d+)', text))
    assert counts == {"accepted": "1", "late": "1", "duplicate": "1", "unknown": "0", "failed": "0", "forged": "1"}
    assert "gateway_webhook_delay_seconds_count 2.0" in text


async def test_an_event_that_cannot_be_applied_has_a_verdict_too(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(event: Event) -> None:
        raise RuntimeError(event.path)

    monkeypatch.setattr(gateway.app.state.webhooks, "_apply", broken)
    with capture_logs() as log:
        assert await gateway.deliver() == 204
        assert await gateway.verdicts() == ["failed"]
    (line,) = (line for line in log if line["log_level"] == "error")
    assert (line["event"], line["kind"]) == ("webhook not applied", "RuntimeError")
    assert line["where"].startswith("test_webhooks.py:")
    assert "Services" not in str(line)


# From a webhook to an answer

RECEIPT = """query Q($serviceSid: ID!, $conversationSid: ID!, $messageSid: ID!, $receiptSid: ID!) {
  service(sid: $serviceSid) { conversation(sid: $conversationSid) { message(sid: $messageSid) {
    receipt(sid: $receiptSid) { status errorCode }
  } } }
}"""


async def configure(sandbox: Sandbox, http: aiohttp.ClientSession, url: str) -> None:
    target = f"{sandbox.url}/v1/Services/{sandbox.landmarks['service_sid']}/Configuration/Webhooks"
    headers = {"Authorization": aiohttp.encode_basic_auth(sandbox.account_sid, sandbox.auth_token)}
    form = {"PostWebhookUrl": url, "Filters": "onDeliveryUpdated"}
    async with http.post(target, data=form, headers=headers) as response:
        assert response.status == 200


async def test_a_webhook_of_the_sandbox_changes_the_answer_without_a_call(
    sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    marks = sandbox.landmarks
    sandbox.world.progress(marks["message_sid"], to="sent")
    async with gateway_for(sandbox, http, lifetimes=Lifetimes(*[3600.0] * 6)) as gateway:
        await configure(sandbox, http, f"{gateway.url}/webhooks/twilio")
        found = await gateway.query(RECEIPT)
        assert found["service"]["conversation"]["message"]["receipt"]["status"] == "SENT"
        sandbox.faults.add("*Status=failed*", Fault("reorder_webhook"))
        sandbox.faults.add("*Status=delivered*", Fault("forge_webhook"))
        for status, code in (("failed", 30003), ("delivered", 0), ("undelivered", 30008)):
            sandbox.world.progress(marks["message_sid"], receipt_sid=marks["receipt_sid"], to=status, error_code=code)
        await sandbox.until(lambda: not any(webhook.open for webhook in sandbox.webhooks))
        sandbox.calls.clear()
        found = await gateway.query(RECEIPT)
        receipt = found["service"]["conversation"]["message"]["receipt"]
        assert receipt == {"status": "UNDELIVERED", "errorCode": 30003}
        assert sandbox.calls == []
        assert sorted(await gateway.verdicts()) == ["accepted", "accepted", "forged"]


# Settings

ACCOUNT = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "a-secret-token"}
API_KEY = {"TWILIO_API_KEY": "SK" + "0" * 32, "TWILIO_API_SECRET": "another-secret"}


def test_the_settings_of_webhooks() -> None:
    environ = {
        "GATEWAY_WEBHOOK_URL": URL,
        "GATEWAY_WEBHOOK_KEYS": f"{KEY}:{SHARED},b:c:d",
        "GATEWAY_WEBHOOK_REJECTS": "7",
    }
    assert Settings.load(ACCOUNT | environ).webhook == WebhookSettings(
        url=URL,
        auth_token="a-secret-token",
        keys={KEY: SHARED, "b": "c:d"},
        account_sid=ACCOUNT["TWILIO_ACCOUNT_SID"],
        rejects=7,
    )
    assert SHARED not in repr(Settings.load(ACCOUNT | environ))
    only_keys = Settings.load(API_KEY | environ).webhook
    assert only_keys is not None
    assert (only_keys.auth_token, only_keys.account_sid) == (None, None)


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        (API_KEY | {"GATEWAY_WEBHOOK_URL": URL}, "needs TWILIO_AUTH_TOKEN or GATEWAY_WEBHOOK_KEYS"),
        (ACCOUNT | {"GATEWAY_WEBHOOK_URL": "http://hooks.example.com/x"}, "must be an https address"),
        (ACCOUNT | {"GATEWAY_WEBHOOK_URL": "hooks.example.com"}, "must be an https address"),
        (ACCOUNT | {"GATEWAY_WEBHOOK_URL": URL, "GATEWAY_WEBHOOK_KEYS": "secret"}, "must be name:secret"),
        (ACCOUNT | {"GATEWAY_WEBHOOK_URL": URL, "GATEWAY_WEBHOOK_KEYS": "a:b,a:c"}, "the same key twice"),
        (ACCOUNT | {"GATEWAY_WEBHOOK_URL": URL, "GATEWAY_WEBHOOK_REJECTS": "0"}, "must be a whole number"),
    ],
)
def test_settings_that_cannot_be_used_are_named(environ: dict[str, str], problem: str) -> None:
    problems: list[str] = []
    Settings.read(environ, problems)
    assert len(problems) == 1
    assert problem in problems[0]


async def test_a_watched_conversation_is_polled_without_any_webhook(
    sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    service = sandbox.world.services[0]
    conversation = service.by_sid[sandbox.landmarks["conversation_sid"]]
    newest = conversation.message(conversation.message_indexes()[-1])
    sandbox.world.progress(newest.sid, to="sent")
    settings = replace(settings_for(sandbox), reconcile_seconds=0.02, lifetimes=Lifetimes(*[3600.0] * 6))
    app = create_app(settings, watch=[f"{service.sid}/{conversation.sid}"])
    changed = asyncio.Event()
    app.state.account.updates.add_listener(lambda _: changed.set())
    async with serving(app) as url:
        await sandbox.until(lambda: len(sandbox.calls) >= 2)
        sandbox.world.progress(newest.sid, to="read")
        await changed.wait()
        async with http.get(f"{url}/metrics") as response:
            assert 'gateway_caller_calls_total{caller="reconcile"}' in await response.text()

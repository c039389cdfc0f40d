"""Sends mutated webhooks to a served gateway: `python -m tests.web.webhook_fuzz 100000 [SEED]`.

No reply may be a 5xx or take longer than 10 seconds, only a request that Twilio's validator accepts may be answered 204, and
neither the log nor the list of deliveries may hold what the requests say of persons.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from random import Random
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import FormData
from structlog.testing import capture_logs
from twilio.request_validator import RequestValidator, get_signature_algorithm

from gateway.app import create_app
from gateway.settings import Settings, WebhookSettings
from gateway.web.server import Server, address, listen

__all__ = ["fuzz"]

URL = "https://hooks.example.com/webhooks/twilio"
PATH = "/webhooks/twilio"
TOKEN, SHARED, KEY = "f3e1c0ffee5eed15f3e1c0ffee5eed15", "a-shared-secret", "webhooks_sharedkey_1"
ACCOUNT = "AC" + "0" * 32
PERSONAL = ("5up3r-s3cr3t", "15550001", "Ada-Lovelace")
FORM, JSON = "application/x-www-form-urlencoded; charset=utf-8", "application/json"
CONNECTIONS = 32
SECONDS = 10.0


@dataclass
class Request:
    """A webhook before it is written as bytes."""

    method: str = "POST"
    path: str = PATH
    query: str = ""
    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)
    framing: str = "length"
    """How the body is framed: `length`, `chunked`, or a wrong way."""

    def header(self, name: str) -> str | None:
        """Return the value of a header as a list's (RFC 9110, 5.3)."""
        values = [value.strip() for given, value in self.headers if given.lower() == name]
        return ", ".join(values) if values else None

    def as_bytes(self) -> bytes:
        """Return the request as it is sent."""
        target = f"{self.path}?{self.query}" if self.query else self.path
        lines = [f"{self.method} {target} HTTP/1.1", "Host: hooks.example.com"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        body = self.body
        if self.framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
            middle = len(body) // 2
            body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:middle], body[middle:]) if part)
            body += b"0\r\n\r\n"
        elif self.framing == "broken chunks":
            lines.append("Transfer-Encoding: chunked")
            body = b"zz\r\n" + body
        elif self.framing == "both":
            lines += ["Transfer-Encoding: chunked", f"Content-Length: {len(body)}"]
        elif self.framing == "too long":
            lines.append(f"Content-Length: {len(body) + 7}")
        elif self.framing == "negative":
            lines.append("Content-Length: -1")
        elif self.framing == "endless":
            lines.append(f"Content-Length: {10**12}")
        else:
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body

    def is_genuine(self) -> bool:
        """Whether Twilio's validator accepts it, or it says exactly what was signed in another spelling of its query."""
        settings = self.header("x-twilio-webhooks-signature-settings")
        secret = SHARED if settings and f"key={KEY}" in settings.replace(" ", "") else TOKEN
        signature = self.header("x-twilio-signature") or ""
        url = f"{URL}?{self.query}" if self.query else URL
        validator, algorithm = RequestValidator(secret), get_signature_algorithm(settings)
        contents: list[Any] = (
            [{}] if self.method in {"GET", "HEAD"} else [_form(self.body), self.body.decode(errors="replace")]
        )
        respelled = "&".join(urlencode([pair]) for pair in parse_qsl(self.query, keep_blank_values=True))
        for content in contents:
            for each in {url, f"{URL}?{respelled}"}:
                with contextlib.suppress(TypeError):
                    if validator.validate(each, content, signature, algorithm):
                        return True
        return False


def _form(body: bytes) -> FormData:
    return FormData(cast("Any", parse_qsl(body.decode(errors="replace"), keep_blank_values=True)))


def _event(random: Random) -> dict[str, str]:
    def sid(prefix: str) -> str:
        return f"{prefix}{random.randrange(50):032x}"

    kind = random.choice(
        ["onDeliveryUpdated", "onMessageAdded", "onMessageUpdated", "onParticipantAdded", "onUserAdded"]
    )
    return {
        "EventType": kind,
        "AccountSid": ACCOUNT,
        "ChatServiceSid": "IS" + "1" * 32,
        "ConversationSid": sid("CH"),
        "MessageSid": sid("IM"),
        "DeliveryReceiptSid": sid("DY"),
        "ParticipantSid": sid("MB"),
        "Status": random.choice(["sent", "delivered", "read", "failed", "undelivered", ""]),
        "ErrorCode": random.choice(["0", "30003", "30008"]),
        "DateCreated": "2026-03-24T20:37:56.001Z",
        "DateUpdated": f"2026-03-24T20:37:{random.randrange(60):02d}.{random.randrange(1000):03d}Z",
        "Body": f"{PERSONAL[0]} naïve 😀",
        "Author": PERSONAL[2],
        "MessagingBinding.Address": f"+{PERSONAL[1]}",
        "Index": str(random.randrange(100)),
    }


def _base(random: Random) -> Request:
    event = _event(random)
    kind = random.randrange(4)
    if kind == 0:
        return Request("GET", query=urlencode(event))
    if kind == 1:
        body = json.dumps(event).encode()
        return Request(query=f"bodySHA256={sha256(body).hexdigest()}", body=body, headers=[("Content-Type", JSON)])
    headers = [("Content-Type", FORM)]
    if kind == 2:
        algorithm = random.choice(["HMAC_SHA256", "HMAC_SHA1"])
        headers.append(("X-Twilio-Webhooks-Signature-Settings", f"key={KEY},algorithm={algorithm}"))
    return Request(body=urlencode(event).encode(), headers=headers)


def _sign(request: Request) -> None:
    settings = request.header("x-twilio-webhooks-signature-settings")
    secret = SHARED if settings and KEY in settings else TOKEN
    url = f"{URL}?{request.query}" if request.query else URL
    is_form = request.method == "POST" and "bodySHA256" not in request.query
    content = _form(request.body) if is_form else {}
    signature = RequestValidator(secret).compute_signature(url, content, get_signature_algorithm(settings))
    request.headers.append(("X-Twilio-Signature", signature))


Mutation = Callable[[Random, Request], None]


def _bytes(random: Random, text: bytes) -> bytes:
    changed = bytearray(text)
    for _ in range(random.randint(1, 4)):
        place = random.randrange(len(changed) + 1)
        match random.randrange(4):
            case 0:
                changed[place : place + 1] = bytes([random.randrange(256)])
            case 1:
                del changed[place : place + random.randint(1, 9)]
            case 2:
                changed[place:place] = random.choice(
                    [b"%", b"%zz", b"%00", b"&", b"=", b"+", b"\x00", b"\xff", b"%ed%a0%80", b";"]
                )
            case _:
                changed[place:place] = bytes([random.randrange(256)])
    return bytes(changed)


def _change_body(random: Random, request: Request) -> None:
    request.body = _bytes(random, request.body)


def _change_parameters(random: Random, request: Request) -> None:
    pairs = parse_qsl(
        request.query if request.method == "GET" else request.body.decode(errors="replace"), keep_blank_values=True
    )
    if not pairs:
        return
    name, value = random.choice(pairs)
    match random.randrange(6):
        case 0:
            pairs.remove((name, value))
        case 1:
            pairs.append((name, random.choice([value, "", "x", "read", "9" * 40])))
        case 2:
            pairs[pairs.index((name, value))] = (name.swapcase(), value)
        case 3:
            pairs[pairs.index((name, value))] = (
                name,
                random.choice(["", "null", "[]", "-1", "1e9", "x" * 5000, "AC" + "9" * 32]),
            )
        case 4:
            random.shuffle(pairs)
        case _:
            pairs += [(f"a{number}", "1") for number in range(random.choice([10, 184, 185, 186, 300, 2000]))]
    changed = urlencode(pairs, errors="replace")
    if request.method == "GET":
        request.query = changed
    else:
        request.body = changed.encode()


def _change_query(random: Random, request: Request) -> None:
    added = random.choice(
        [
            "a=1",
            "a='<>\"'",
            "%",
            "bodySHA256=",
            f"bodySHA256={sha256(request.body).hexdigest()}",
            "a=%20'" * 4000,
            "a=1&" * 201,
            "=&=&",
        ]
    )
    request.query = random.choice([added, f"{request.query}&{added}", f"{added}&{request.query}", request.query[:-1]])


def _change_signature(random: Random, request: Request) -> None:
    for place, (name, value) in enumerate(request.headers):
        if name == "X-Twilio-Signature":
            changed = random.choice(
                [value[:-1], value.swapcase(), f"{value}=", "", "é", value[::-1], "=" * 28, "A" * 5000]
            )
            request.headers[place] = (name, changed)
            if random.random() < 0.3:
                request.headers.insert(place, (name, value))


def _change_settings(random: Random, request: Request) -> None:
    name = "X-Twilio-Webhooks-Signature-Settings"
    values = [
        "",
        ",",
        "key=",
        f"key={KEY}",
        "key=other,algorithm=HMAC_SHA256",
        "algorithm=MD5",
        "algorithm=none",
        "=,=" * 900,
    ]
    request.headers = [each for each in request.headers if each[0] != name or random.random() < 0.3]
    request.headers.append((name, random.choice(values)))


def _change_type(random: Random, request: Request) -> None:
    types = [
        "",
        "text/plain",
        JSON,
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "é/x",
        "*" * 3000,
    ]
    request.headers = [each for each in request.headers if each[0] != "Content-Type" or random.random() < 0.1]
    request.headers.append(("Content-Type", random.choice(types)))


def _change_method(random: Random, request: Request) -> None:
    request.method = random.choice(["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "get", "BREW"])


def _change_path(random: Random, request: Request) -> None:
    request.path = random.choice(
        [f"{PATH}/", f"/{PATH}", "/webhooks/%74wilio", "/webhooks/twilio/..", f"{PATH}%00", "*", "", "/webhooks"]
    )


def _change_framing(random: Random, request: Request) -> None:
    request.framing = random.choice(["chunked", "chunked", "broken chunks", "both", "too long", "negative", "endless"])


def _change_size(random: Random, request: Request) -> None:
    request.body += b"&Body=" + b"x" * random.choice([65_530 - len(request.body), 65_531 - len(request.body), 200_000])


def _change_headers(random: Random, request: Request) -> None:
    request.headers.append(
        random.choice(
            [
                ("X-Forwarded-Host", "a.example"),
                ("X-Forwarded-Host", "'\"<>%%%"),
                ("I-Twilio-Idempotency-Token", "é" * 300),
                ("I-Twilio-Idempotency-Token", "one"),
                ("X", "y" * 70_000),
                ("Host", "b.example"),
                ("Expect", "100-continue"),
                ("Content-Encoding", "gzip"),
                ("Upgrade", "websocket"),
                ("X-Null", "a\x00b"),
            ]
        )
    )


CONTENT: list[Mutation] = [_change_body, _change_parameters, _change_query, _change_size]
ENVELOPE: list[Mutation] = [
    *(
        _change_signature,
        _change_settings,
        _change_type,
        _change_method,
        _change_path,
        _change_framing,
        _change_headers,
    ),
]


def mutated(random: Random) -> Request:
    """Return a mutated webhook; a quarter are signed after their content was changed."""
    request = _base(random)
    if random.random() < 0.25:
        random.choice(CONTENT)(random, request)
        _sign(request)
        return request
    _sign(request)
    for mutation in random.choices([*CONTENT, *ENVELOPE], k=random.randint(1, 3)):
        mutation(random, request)
    return request


async def fuzz(count: int, seed: int = 0) -> dict[str, Any]:
    """Send `count` requests, and return how often each status was the answer, and what else is measured.

    Raises AssertionError, with the seed of the request, for a reply that is not right.
    """
    environ = {"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": TOKEN, "GATEWAY_UPSTREAM_URL": "http://127.0.0.1:9"}
    webhook = WebhookSettings(url=URL, auth_token=TOKEN, keys={KEY: SHARED}, account_sid=ACCOUNT, rejects=10**6)
    app = create_app(replace(Settings.load(environ), webhook=webhook))
    ready, statuses, slowest, unanswered = asyncio.Event(), Counter[int | None](), 0.0, 0
    seeds = iter(range(seed, seed + count))
    text, handler = io.StringIO(), logging.StreamHandler()
    handler.setStream(text)
    logging.getLogger().addHandler(handler)

    async def send_some(port: int) -> None:
        nonlocal slowest, unanswered
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        for each in seeds:
            request = mutated(Random(each))
            streams = streams or await asyncio.open_connection("127.0.0.1", port)
            began = time.perf_counter()
            try:
                async with asyncio.timeout(SECONDS):
                    status, is_open = await _exchange(request, *streams)
            except TimeoutError:
                raise AssertionError(f"seed {each}: no answer in {SECONDS:g} seconds") from None
            slowest = max(slowest, time.perf_counter() - began)
            statuses[status] += 1
            assert status is None or status < 500, f"seed {each}: {status}"
            unanswered += status is None and request.is_genuine()
            assert status != 204 or request.is_genuine(), f"seed {each}: a forged request was accepted"
            if not is_open:
                streams[1].close()
                streams = None
        if streams is not None:
            streams[1].close()

    with listen("127.0.0.1", 0, "--port") as listener, capture_logs() as log:
        server = Server(app, ready.set)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        await ready.wait()
        port = int(address(listener).rpartition(":")[2])
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(CONNECTIONS):
                    group.create_task(send_some(port))
        finally:
            server.should_exit = True
            await running
            logging.getLogger().removeHandler(handler)
    deliveries = app.state.webhooks._deliveries
    counts = deliveries.counts
    verified = sum(counts.values()) - counts["forged"]
    assert statuses[204] <= verified <= statuses[204] + unanswered, (counts, statuses, unanswered)
    shown = f"{log} {text.getvalue()} {[repr(each) for each in deliveries.recent()]}"
    for each in (*PERSONAL, TOKEN, SHARED):
        assert each not in shown, "personal data, or a secret, in the log"
    return {"statuses": dict(statuses), "verdicts": dict(counts), "slowest": round(slowest, 3), "logged": len(log)}


async def _exchange(
    request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> tuple[int | None, bool]:
    """Send a request; return the status of the reply, or None without one, and whether the connection can be used again."""
    is_plain = request.framing in {"length", "chunked"} and request.method in {"GET", "POST"}
    with contextlib.suppress(ConnectionError):
        writer.write(request.as_bytes())
        if request.framing in {"too long", "endless"}:
            writer.write_eof()
        await writer.drain()
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 100"):
            head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None, False
    fields = {
        name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
    }
    is_open = is_plain and fields.get(b"connection") != b"close"
    if is_open:
        await reader.readexactly(int(fields.get(b"content-length", b"0")))
    return int(head.split()[1]), is_open


def main() -> None:
    """Send as many requests as the command line says."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    found = asyncio.run(fuzz(count, int(sys.argv[2]) if len(sys.argv) > 2 else 0))
    sys.stdout.write(f"{count} requests: {found}\n")


if __name__ == "__main__":
    main()

"""Every fault of the sandbox against the gateway in a process of its own: `python -m tests.bench.faults`.

A thread of 50 messages is asked for while some of its calls, or all of one kind, fail in one way; each answer is compared with
the true one. What differs without an error in its place is printed. Then: few transient failures, an outage, a hundred readers
of one thread, and a reader who leaves. It prints figures; the tests hold the rules.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp

from gateway.sandbox import Fault, Sandbox
from gateway.twilio.limiter import Breaker

from .processes import peak_mb

ROOT = Path(__file__).parent.parent.parent
DEADLINE = 3.0
QUERY = """query Q($s: ID!, $c: ID!) { service(sid: $s) { friendlyName conversation(sid: $c) { friendlyName
  messages(first: 50) { edges { node { body receipts { edges { node { status participant { channel } } } } } } }
} } }"""
BODIES = (
    b"", b"NaN", b"null", b"0", b"[]", b'"x"', b"\xef\xbb\xbf{}", b"[" * 100_000, b'{"meta":{},"meta":{}}',
    b'{"sid":"\\ud800"}', b'{"a":1e999}', b'{"meta":{"key":"messages"},"messages":[],"delivery_receipts":[]}',
)  # fmt: skip
WIRES = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"HTTP/1.0 200 OK\r\n\r\n{}", b"\x00\xff" * 50,
    b"HTTP/1.1 103 E\r\n\r\n" * 1000, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
)  # fmt: skip
WHERE = (("*/Receipts*", 0.3), ("*", 0.1), ("*/Participants*", 1.0))
"""Which calls are struck, and how many of them."""


def every_fault(foreign: str) -> Iterator[Fault]:
    """The ways to fail; where one leads elsewhere, to `foreign`."""
    for status in (400, 401, 403, 404, 408, 409, 410, 418, 422, 429, 500, 501, 502, 503, 504, 505, 520, 599):
        yield Fault("status", status=status)
    for after in ("86400", "garbage", "-5", "Wed, 21 Oct 2099 07:28:00 GMT", "0", "1.5"):
        yield Fault("status", status=429, retry_after=after)
    for body in BODIES:
        yield Fault("body", body=body)
    for status in (301, 302, 303, 307, 308):
        yield Fault("redirect", status=status, url=foreign)
    for shape in ("array", "text", "number", "null", "rows", "values"):
        yield Fault("wrong_type", shape=shape)
    for url in (f"{foreign}/v1/Services?x", "self", "endless", "http://[bad"):
        yield Fault("next_page", url=url)
    for kind in ("bad_json", "empty_page", "swap", "hang", "reset", "half_body", "wrong_length", "surplus"):
        yield Fault(kind)
    yield Fault("wrong_length", size=-10)
    yield Fault("surplus", body=WIRES[0])
    yield Fault("drip", pause=0.05)
    yield Fault("gzip_bomb", size=100 * 2**20)
    yield Fault("big_body", size=100 * 2**20)
    for wire in WIRES:
        yield Fault("raw", body=wire)
    yield Fault(latency=(0.0, 0.3))


def differences(true: Any, got: Any, told: set[tuple[Any, ...]], path: tuple[Any, ...] = ()) -> Iterator[str]:
    """Where an answer is not the true one, and no error says so."""
    if got is None and true is not None:
        if path not in told:
            yield f"lost at {path}"
    elif isinstance(true, dict) and isinstance(got, dict):
        for key in true:
            yield from differences(true[key], got.get(key), told, (*path, key))
    elif isinstance(true, list) and isinstance(got, list) and len(true) == len(got):
        for place, (one, other) in enumerate(zip(true, got, strict=True)):
            yield from differences(one, other, told, (*path, place))
    elif true != got:
        yield f"wrong at {path}"


class Gateway:
    """A gateway over the sandbox, and one who asks it."""

    def __init__(self, sandbox: Sandbox, http: aiohttp.ClientSession, url: str) -> None:
        self.sandbox = sandbox
        self.truth: Any = None
        self._http = http
        self._url = url
        self._asked = 0

    async def ask(self, *, same: bool = False) -> tuple[int, Any, float]:
        """Status, answer and seconds; each time another document, unless it is to be the `same`."""
        self._asked += not same
        marks = self.sandbox.landmarks
        variables = {"s": marks["service_sid"], "c": marks["conversation_sid"]}
        began = time.perf_counter()
        body = {"query": QUERY if same else f"{QUERY}#{self._asked}", "variables": variables}
        async with self._http.post(self._url, json=body) as response:
            return response.status, await response.json(), time.perf_counter() - began

    async def trouble(self) -> list[str]:
        """Ask, and tell what was wrong with the answer beyond the errors it has."""
        status, answer, seconds = await self.ask()
        errors = answer.get("errors", [])
        found = list(differences(self.truth, answer.get("data"), {tuple(error.get("path", ())) for error in errors}))
        found += [
            f"without path or code: {error}"
            for error in errors
            if "path" not in error or "code" not in error["extensions"]
        ]
        found += [
            f"internal: {error['path']}" for error in errors if error["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
        ]
        if status != 200:
            found.append(f"status {status}")
        if seconds > DEADLINE + 0.5:
            found.append(f"after {seconds:.1f} s")
        return found


async def one_by_one(gateway: Gateway, foreign: str) -> None:
    """Every fault, at every place, and the answer after it."""
    sandbox, asked, wrong = gateway.sandbox, 0, 0
    for fault in every_fault(foreign):
        for pattern, share in WHERE:
            sandbox.faults.clear()
            sandbox.faults.add(pattern, replace(fault, probability=share))
            found = [entry for told in await asyncio.gather(*(gateway.trouble() for _ in range(3))) for entry in told]
            sandbox.faults.clear()
            await asyncio.sleep(Breaker.PROBE_INTERVAL_SECONDS)  # From then on, the breaker lets a read through.
            found += [f"afterwards {entry}" for entry in await gateway.trouble()]
            asked, wrong = asked + 4, wrong + bool(found)
            if found:
                print(
                    f"  {fault.kind} {fault.status or fault.shape} {fault.body[:20]!r} at {pattern}: {found[0]} ({len(found)})"
                )
    print(f"faults: {asked} operations, {wrong} of {asked // 4} cases with a difference that no error tells")


async def storms(gateway: Gateway) -> None:
    """What many failures, many readers and one who leaves cost."""
    sandbox = gateway.sandbox
    sandbox.faults.add("*", Fault("status", status=503, probability=0.05))
    lists: list[Any] = []
    for _ in range(40):
        _, answer, _ = await gateway.ask()
        lists += [edge["node"]["receipts"] for edge in answer["data"]["service"]["conversation"]["messages"]["edges"]]
    print(
        f"5 % transient failures: {100 * sum(each is not None for each in lists) / len(lists):.2f} % of the lists delivered"
    )
    for fault in (Fault("status", status=503), Fault("reset"), Fault("hang")):
        sandbox.faults.clear()
        sandbox.faults.add("*", fault)
        sandbox.reset()
        for _ in range(5):
            await gateway.ask()
        calls, paths = len(sandbox.calls), len(set(sandbox.paths))
        sandbox.faults.clear()
        began = time.perf_counter()
        for _ in range(500):
            if not (await gateway.ask())[1].get("errors"):
                break
        seconds = time.perf_counter() - began
        print(
            f"outage ({fault.kind}), 5 operations: {calls} calls for {paths} paths; whole again after {seconds:.2f} s"
        )
    sandbox.reset()
    answers = await asyncio.gather(*(gateway.ask(same=True) for _ in range(100)))
    equal = all(answer["data"] == gateway.truth for _, answer, _ in answers)
    print(f"100 readers of one thread: {len(sandbox.calls)} calls, answers equal: {equal}")
    sandbox.faults.add("*", Fault(latency=0.3))
    sandbox.reset()
    leaving = asyncio.create_task(gateway.ask())
    await sandbox.until(lambda: len(sandbox.calls) >= 4)
    leaving.cancel()
    with suppress(asyncio.CancelledError):
        await leaving
    await sandbox.until(lambda: sandbox.in_flight == 0)
    print(f"a reader who leaves: {len(sandbox.calls)} calls in all")
    sandbox.faults.clear()
    sandbox.max_concurrency = 20
    sandbox.reset()
    found = [entry for told in await asyncio.gather(*(gateway.trouble() for _ in range(8))) for entry in told]
    print(
        f"8 threads while Twilio takes 20 at once: {len(sandbox.calls)} calls, {len(found)} differences that no error tells"
    )


async def main() -> None:
    """Start all that is needed, and print."""
    reached: list[bytes] = []

    async def trap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(await reader.read(4096))
        writer.close()

    elsewhere = await asyncio.start_server(trap, "127.0.0.1", 0)
    foreign = f"http://127.0.0.1:{elsewhere.sockets[0].getsockname()[1]}"
    async with Sandbox() as sandbox, aiohttp.ClientSession() as http:
        environ = {
            "GATEWAY_UPSTREAM_URL": sandbox.url,
            "TWILIO_ACCOUNT_SID": sandbox.account_sid,
            "TWILIO_AUTH_TOKEN": sandbox.auth_token,
            "GATEWAY_DEADLINE": str(DEADLINE),
            "GATEWAY_UPSTREAM_TIMEOUT": "1",
            "GATEWAY_CACHE_BYTES": "0",
            "GATEWAY_LOG_LEVEL": "error",
        }
        command = (sys.executable, "-m", "gateway", "serve", "--port", "0")
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env=os.environ | environ, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        line = await process.stdout.readline()
        gateway = Gateway(sandbox, http, line.decode().split()[2].rstrip(","))
        gateway.truth = (await gateway.ask())[1]["data"]
        before = peak_mb(process.pid)
        await one_by_one(gateway, foreign)
        print(f"memory: {before} MB before, {peak_mb(process.pid)} MB at most; requests elsewhere: {len(reached)}")
        await storms(gateway)
        process.terminate()
        await process.wait()


if __name__ == "__main__":
    asyncio.run(main())

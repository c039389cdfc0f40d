"""Load on the intake of webhooks.

    python -m tests.bench.webhooks                 1,000 events a second for a minute
    python -m tests.bench.webhooks --seconds 10

The first part sends events at a fixed rate to one process, while two others receive them over Redis, and prints the latency to
204 and how many each has. The second compares the requests per second of that process with a route of Starlette that only
verifies, with twilio-python. `python -m tests.web.webhook_fuzz` sends mutated requests.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlencode

import uvloop
from twilio.request_validator import RequestValidator

from .load import Connection, connect
from .processes import SERVE, Processes, cpu_seconds, environment

URL = "https://hooks.example.com/webhooks/twilio"
ENVIRON = environment("http://127.0.0.1:9") | {
    "GATEWAY_WEBHOOK_URL": URL,
    "GATEWAY_WEBHOOK_REJECTS": "10000",
    "GATEWAY_LOG_LEVEL": "error",
    "GATEWAY_TOKENS": "",
}
VERIFYING = (sys.executable, "-m", "tests.bench.verifying")
TURNS, EVENTS = 5, 10_000
_validator = RequestValidator(ENVIRON["TWILIO_AUTH_TOKEN"])


def event(number: int) -> dict[str, str]:
    """The parameters of an event, each about another receipt."""
    return {
        "EventType": "onDeliveryUpdated",
        "AccountSid": ENVIRON["TWILIO_ACCOUNT_SID"],
        "ChatServiceSid": "IS" + "1" * 32,
        "ConversationSid": f"CH{number % 100:032x}",
        "MessageSid": f"IM{number // 4:032x}",
        "DeliveryReceiptSid": f"DY{number:032x}",
        "ChannelMessageSid": f"SM{number:032x}",
        "ParticipantSid": f"MB{number % 1000:032x}",
        "Status": ("sent", "delivered", "read", "undelivered")[number % 4],
        "DateCreated": "2026-03-24T20:37:50.000Z",
        "DateUpdated": f"2026-03-24T20:37:{number % 60:02d}.123Z",
        "RetryCount": "0",
    }


def request(body: bytes, signature: str) -> bytes:
    head = (
        "POST /webhooks/twilio HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n"
        f"X-Twilio-Signature: {signature}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def signed(number: int, **changes: str) -> bytes:
    """The request of an event, with changes to its parameters."""
    parameters = event(number) | changes
    return request(urlencode(parameters).encode(), _validator.compute_signature(URL, parameters))


async def at_a_rate(url: str, requests: list[bytes], per_second: int) -> tuple[list[float], Counter[int]]:
    """Send each request when it is due, whatever became of the others; give the seconds from then to its answer."""
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(64):
        free.put_nowait(await connect(url))
    took: list[float] = []
    statuses: Counter[int] = Counter()
    began = time.perf_counter()

    async def send(due: float, each: bytes) -> None:
        connection = await free.get()
        await connection.ask(each)
        took.append(time.perf_counter() - due)
        statuses[connection.status] += 1
        free.put_nowait(connection)

    tasks = []
    for number, each in enumerate(requests):
        due = began + number / per_second
        if (left := due - time.perf_counter()) > 0:
            await asyncio.sleep(left)
        tasks.append(asyncio.create_task(send(due, each)))
    await asyncio.gather(*tasks)
    return took, statuses


async def as_fast_as_possible(url: str, requests: list[bytes]) -> float:
    """Send requests over 16 connections; give the requests per second."""
    connections = [await connect(url) for _ in range(16)]
    due, began = iter(requests), time.perf_counter()

    async def run(connection: Connection) -> None:
        for each in due:
            await connection.ask(each)
            assert connection.status == 204, connection.status

    await asyncio.gather(*map(run, connections))
    return len(requests) / (time.perf_counter() - began)


def measure(pid: int, url: str, requests: list[bytes]) -> tuple[float, float]:
    """Give the requests per second of a process, and its milliseconds of CPU for each."""
    before = cpu_seconds(pid)
    rate = uvloop.run(as_fast_as_possible(url, requests))
    return rate, (cpu_seconds(pid) - before) / len(requests) * 1000


def metric(url: str, pattern: str) -> float:
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as response:
        found = re.search(rf"^{pattern} (\S+)$", response.read().decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


def until_received(url: str, count: int) -> float:
    """Wait until a process has so many events, at most for 10 seconds; give their number."""
    end = time.monotonic() + 10
    while (got := metric(url, r'gateway_events_total\{kind="received"\}')) < count and time.monotonic() < end:
        time.sleep(0.1)  # Only its metrics show what another process has received.
    return got


@contextmanager
def redis(directory: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--save", "", "--dir", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if b"eady to accept connections" in line)
        yield f"redis://127.0.0.1:{port}"
        process.kill()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rate", type=int, default=1000)
    arguments.add_argument("--seconds", type=int, default=60)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        directory, count = Path(name), options.rate * options.seconds
        processes = Processes(directory)
        environ = ENVIRON
        if shutil.which("redis-server") is None:
            print("No redis-server: the first part has one process.")
        else:
            environ = ENVIRON | {"GATEWAY_CACHE_URL": stack.enter_context(redis(directory))}
        _, url = stack.enter_context(processes.start(SERVE, environ, is_contender=True))
        others = [
            stack.enter_context(processes.start(SERVE, environ, is_contender=False))[1]
            for _ in range(2 if environ is not ENVIRON else 0)
        ]
        requests = [signed(number) for number in range(count)]
        took, statuses = uvloop.run(at_a_rate(url, requests, options.rate))
        cuts = [value * 1000 for value in statistics.quantiles(took, n=1000)]
        print(
            f"{count} events, {options.rate} a second: {dict(statuses)}; p50 {cuts[499]:.1f} ms, p99 {cuts[989]:.1f} ms"
        )
        print(f"accepted {metric(url, 'gateway_webhooks_total.verdict=.accepted..'):.0f}", end="")
        print("".join(f"; another process has {until_received(other, count):.0f}" for other in others))
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        processes = Processes(Path(name))
        gateway = stack.enter_context(processes.start(SERVE, ENVIRON, is_contender=True))
        verifying = stack.enter_context(processes.start(VERIFYING, ENVIRON, is_contender=True))
        first, turns = iter(range(10**9, 2 * 10**9)), []
        for _ in range(TURNS):
            requests = [signed(next(first)) for _ in range(EVENTS)]
            turns.append((*measure(*gateway, requests), *measure(*verifying, requests)))
        rate, cpu, plain_rate, plain_cpu = map(statistics.median, zip(*turns, strict=True))
        print(f"verify, merge and publish: {rate:,.0f} a second, {cpu:.3f} ms of CPU each")
        print(f"only verify, Starlette: {plain_rate:,.0f} a second, {plain_cpu:.3f} ms of CPU each")
        print(f"ratio by rate {rate / plain_rate:.2f}, by CPU time {plain_cpu / cpu:.2f}")


if __name__ == "__main__":
    main()

"""Live updates: the table of targets, in one run of less than three minutes.

    python -m tests.bench.live                     every row
    python -m tests.bench.live --only fan          the rows whose name begins with that
    python -m tests.bench.live --seconds 20        longer loads

One process of the gateway on a processor of its own; the webhooks, signed as Twilio signs them, and the subscribers, each on a
connection of its own, come from this process on the others. The seconds of an event are from when its webhook was due to its
arrival at a subscriber. Fan-out is compared with graphql-yoga's pubsub, with npm's graphql-ws and graphql-sse, which are
installed on the first run (see `tests.bench`): 1,000 subscribers to one service, and the next webhook as soon as fewer than
four are on their way. `python -m tests.bench.subscribers` measures the memory too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import tempfile
import urllib.request
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvloop

from gateway.sandbox import Switches
from gateway.sandbox.api import Api
from gateway.sandbox.world import World

from .listeners import Crowd, frame, operation, upgrade
from .load import ask_once, percentile
from .processes import SERVE, TOKEN, UPSTREAM, Processes, cpu_seconds, environment, install_peers, interpreter
from .subscribers import growth, server_sent_events, websocket
from .upstream import SEED, SIZE
from .webhooks import URL, redis, signed

SUBSCRIBERS = 1000
CONVERSATIONS = 100
IDLE = 2000
WINDOW = 4
"""Events that are under way at the same time, in fan-out."""
PROVED = {"PENDING", "SENT", "DELIVERED", "READ"}
PAUSE = 0.1
"""Seconds between two of a bad neighbour's visits."""
TRANSPORTS = {"websocket": "graphql-ws", "sse": "graphql-sse"}
numbers = count(1)

Numbered = tuple[int, bytes]


class Conversations:
    """The conversations of the upstream, each with a message."""

    def __init__(self) -> None:
        self._world = World(SEED, SIZE, None)
        self._api = Api(self._world)
        self.service: str = self._world.landmarks()["service_sid"]
        rows = self._read(f"Conversations?PageSize={CONVERSATIONS}")["conversations"]
        self.sids: list[str] = [row["sid"] for row in rows]

    def _read(self, target: str) -> dict[str, Any]:
        path, _, query = f"/v1/Services/{self.service}/{target}".partition("?")
        found: dict[str, Any] = json.loads(
            self._api.answer("GET", path, query, "http://upstream", Switches(), b"").body
        )
        return found

    def webhook(self, sid: str, **changes: str) -> Numbered:
        """A webhook about a new receipt in a conversation, and its number."""
        number = next(numbers)
        return number, signed(number, ChatServiceSid=self.service, ConversationSid=sid, **changes)


class Bench:
    """Where the rows are measured."""

    def __init__(self, directory: Path, seconds: float) -> None:
        self.directory = directory
        self.processes = Processes(directory)
        self.seconds = seconds
        self.at = Conversations()

    def gateway(self, stack: ExitStack, *, is_contender: bool = True, **settings: str) -> tuple[int, str]:
        """Start a gateway that webhooks arrive at."""
        environ = {"GATEWAY_WEBHOOK_URL": URL, "GATEWAY_SOCKETS_PER_SECOND": "10000", **settings}
        environ = environment(environ.pop("upstream", "http://127.0.0.1:9")) | environ
        return stack.enter_context(self.processes.start(SERVE, environ, is_contender=is_contender))

    def upstream(self, stack: ExitStack) -> str:
        """Start the upstream."""
        return stack.enter_context(self.processes.start(UPSTREAM, is_contender=False))[1]


def print_row(name: str, target: str, measured: str) -> None:
    print(f"| {name} | {target} | {measured} |", flush=True)


# Latency


def latency(bench: Bench) -> None:
    """From webhook to subscriber, of a thousand."""
    for transport in TRANSPORTS:
        for is_spread in (True, False):
            with ExitStack() as stack:
                _, url = bench.gateway(stack, upstream=bench.upstream(stack))
                measured = uvloop.run(_latency(bench, url, transport, is_spread=is_spread))
            what = (
                f"over {CONVERSATIONS} conversations, 100 events/s" if is_spread else "on one conversation, 5 events/s"
            )
            print_row(f"{SUBSCRIBERS:,} subscribers, {transport}, {what}", "p99 < 250 ms, none missed", measured)


async def _latency(bench: Bench, url: str, transport: str, *, is_spread: bool) -> str:
    at, rate = bench.at, 100 if is_spread else 5
    sids = at.sids if is_spread else at.sids[:1]
    each = [sids[place % len(sids)] for place in range(SUBSCRIBERS)]
    crowd = Crowd()
    listeners = await crowd.subscribe(url, transport, [operation(at.service, sid) for sid in each])
    about = [sids[place % len(sids)] for place in range(int(rate * bench.seconds))]
    webhooks = [at.webhook(sid) for sid in about]
    await crowd.at_a_rate(url, webhooks, SUBSCRIBERS // len(sids), rate)
    wanted: dict[str, list[int]] = {sid: [] for sid in sids}
    for sid, (number, _) in zip(about, webhooks, strict=True):
        wanted[sid].append(number)
    missed, repeated = crowd.missed_and_repeated(
        [(listener, wanted[sid]) for listener, sid in zip(listeners, each, strict=True)]
    )
    crowd.close()
    return (
        f"p50 {percentile(crowd.seconds, 50):.1f} ms, p99 {percentile(crowd.seconds, 99):.1f} ms of {len(crowd.seconds):,}; "
        f"{missed} missed, {repeated} twice"
    )


# Fan-out


def fan_out(bench: Bench) -> None:
    """Deliveries a second, beside graphql-yoga."""
    peers = install_peers()
    if peers is None:
        return
    for transport, peer in TRANSPORTS.items():
        with ExitStack() as stack:
            started = [
                bench.gateway(stack),
                stack.enter_context(
                    bench.processes.start(
                        ("node", str(peers / "live.mjs")), {"NODE_ENV": "production"}, is_contender=True
                    )
                ),
            ]
            turns = uvloop.run(_fan_out(bench, started, transport))
        rate, cpu, peer_rate, peer_cpu = map(statistics.median, zip(*turns, strict=True))
        ratios = [ours / theirs for ours, _, theirs, _ in turns]
        print_row(
            f"fan-out, deliveries/s ÷ graphql-yoga with {peer}",
            "≥ 2.0",
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}): {rate:,.0f} ÷ {peer_rate:,.0f}; "
            f"by CPU time {peer_cpu / cpu:.2f}: {cpu * 1e6:.1f} and {peer_cpu * 1e6:.1f} µs each",
        )


async def _fan_out(
    bench: Bench, started: list[tuple[int, str]], transport: str
) -> list[tuple[float, float, float, float]]:
    """The rate and the CPU seconds for each delivery of both, in turns."""
    crowds = []
    for _, url in started:
        crowds.append(Crowd())
        await crowds[-1].subscribe(url, transport, [operation(bench.at.service)] * SUBSCRIBERS)
    webhooks: Iterator[Numbered] = (bench.at.webhook(sid) for sid in _again(bench.at.sids))
    turns = []
    for turn in range(4):
        found: list[float] = []
        for crowd, (pid, url) in zip(crowds, started, strict=True):
            before, heard = cpu_seconds(pid), len(crowd.seconds)
            found.append(await crowd.at_most(url, webhooks, WINDOW, bench.seconds / 4))
            found.append((cpu_seconds(pid) - before) / max(len(crowd.seconds) - heard, 1))
        if turn:  # The first one warms both up.
            turns.append((found[0], found[1], found[2], found[3]))
    for crowd in crowds:
        crowd.close()
    return turns


def _again(sids: Sequence[str]) -> Iterator[str]:
    while True:
        yield from sids


# Memory


def memory(bench: Bench) -> None:
    """Resident memory for each idle subscriber."""
    for subscribe in (server_sent_events, websocket):
        with ExitStack() as stack:
            pid, url = bench.gateway(stack)
            found = uvloop.run(growth(pid, url, IDLE, subscribe))
        print_row(f"memory per idle subscriber, of {IDLE:,}, {subscribe.__name__}", "≤ 12 KiB", f"{found:.1f} KiB")


# Upstream calls


def calls(bench: Bench) -> None:
    """Upstream calls for events of messages that queries have read."""
    with ExitStack() as stack:
        upstream = bench.upstream(stack)
        _, url = bench.gateway(stack, upstream=upstream, GATEWAY_TTL_MESSAGES="120", GATEWAY_TTL_RECEIPTS="120")
        measured = uvloop.run(_calls(bench, url, upstream))
    print_row("upstream calls for an event whose selection is cached", "0", measured)


async def _calls(bench: Bench, url: str, upstream: str) -> str:
    at = bench.at
    sids = at.sids[:20]
    receipts = "receipts(first: 50) { edges { node { id sid status } } }"
    messages = f"messages(first: 50) {{ edges {{ node {{ id sid body deliveryStatus {receipts} }} }} }}"
    query = (
        "query($service: ID!, $conversation: ID!) "
        f"{{ service(sid: $service) {{ conversation(sid: $conversation) {{ {messages} }} }} }}"
    )
    webhooks = []
    for sid in sids:
        answer = await ask_once(url, query, {"service": at.service, "conversation": sid}, TOKEN)
        assert not answer.get("errors"), answer
        for message in _nodes(answer["data"]["service"]["conversation"]["messages"]):
            known = _nodes(message["receipts"])
            if not {receipt["status"] for receipt in known} <= PROVED:
                continue  # What they are together is not proved: it is not documented whether a failed one counts as sent.
            for receipt in known[:1]:
                if receipt["status"] != "READ":
                    webhooks.append(_read_now(at, sid, message["sid"], receipt["sid"]))
    crowd = Crowd()
    await crowd.subscribe(url, "websocket", [operation(at.service, message="id sid body deliveryStatus")] * 10)
    _count(upstream)
    await crowd.at_a_rate(url, webhooks, 10, 100)
    crowd.close()
    return f"{_count(upstream)} for {len(webhooks)} events, each sent to {len(crowd.seconds) // len(webhooks)}"


def _nodes(connection: dict[str, Any]) -> list[dict[str, Any]]:
    return [each["node"] for each in connection["edges"]]


def _read_now(at: Conversations, conversation: str, message: str, receipt: str) -> Numbered:
    """A webhook that says that a known receipt is now READ."""
    changes = {
        "MessageSid": message,
        "DeliveryReceiptSid": receipt,
        "Status": "read",
        "DateUpdated": "2027-01-01T00:00:00.000Z",
    }
    return int(receipt[2:], 16), at.webhook(conversation, **changes)[1]


def _count(upstream: str) -> int:
    with urllib.request.urlopen(f"{upstream}/calls", timeout=10) as response:
        return int(response.read())


# Processes


def processes(bench: Bench) -> None:
    """Two processes over Redis, of which one takes the webhooks."""
    if shutil.which("redis-server") is None:
        print("No redis-server here: the row of two processes is left out.")
        return
    with ExitStack() as stack:
        address = stack.enter_context(redis(bench.directory))
        _, one = bench.gateway(stack, GATEWAY_CACHE_URL=address)
        _, other = bench.gateway(stack, GATEWAY_CACHE_URL=address, is_contender=False)
        measured = uvloop.run(_processes(bench, one, other))
    print_row("two processes over Redis, one takes the webhooks", "each subscriber of both told once", measured)


async def _processes(bench: Bench, one: str, other: str) -> str:
    crowd, half = Crowd(), SUBSCRIBERS // 4
    listeners = []
    for url in (one, other):
        for transport in TRANSPORTS:
            listeners += await crowd.subscribe(url, transport, [operation(bench.at.service)] * (half // 2))
    webhooks = [bench.at.webhook(sid) for sid in bench.at.sids]
    await crowd.at_a_rate(one, webhooks, len(listeners), 25)
    sent = [number for number, _ in webhooks]
    missed, repeated = crowd.missed_and_repeated([(listener, sent) for listener in listeners])
    told = [len(listener.heard) for listener in listeners]
    crowd.close()
    return (
        f"{sum(told[:half]):,} and {sum(told[half:]):,} deliveries of {len(sent)} events to {half} each; {missed} missed, "
        f"{repeated} twice; p99 {percentile(crowd.seconds, 99):.1f} ms"
    )


# Bad neighbours


def neighbours(bench: Bench) -> None:
    """Three sockets that never read, one that sends garbage, one that leaves."""
    with ExitStack() as stack:
        _, url = bench.gateway(stack)
        without, beside, missed = uvloop.run(_neighbours(bench, url))
    ratio = statistics.median(b / w for w, b in zip(without, beside, strict=True))
    print_row(
        "three sockets that never read, one that sends garbage, one that leaves: others' p99",
        "≤ 1.2×",
        f"{ratio:.2f}×: {statistics.median(beside):.1f} and {statistics.median(without):.1f} ms; {missed} missed",
    )


async def _neighbours(bench: Bench, url: str) -> tuple[list[float], list[float], int]:
    """The p99 of others without and with them, in turns, and what was missed."""
    crowd = Crowd()
    listeners = await crowd.subscribe(url, "websocket", [operation(bench.at.service)] * 200)
    sent: list[int] = []

    async def p99() -> float:
        webhooks = [bench.at.webhook(sid) for sid in bench.at.sids[: int(12.5 * bench.seconds)]]
        crowd.seconds.clear()
        await crowd.at_a_rate(url, webhooks, len(listeners), 50)
        sent.extend(number for number, _ in webhooks)
        return percentile(crowd.seconds, 99)

    await p99()
    without, beside = [], []
    for _ in range(4):
        without.append(await p99())
        bad = [asyncio.create_task(each) for each in _bad(url, bench.at.service)]
        beside.append(await p99())
        for task in bad:
            task.cancel()
        await asyncio.gather(*bad, return_exceptions=True)
    missed, _ = crowd.missed_and_repeated([(listener, sent) for listener in listeners])
    crowd.close()
    return without, beside, missed


def _bad(url: str, service: str) -> list[Coroutine[Any, Any, None]]:
    return [*[_never_read(url, service) for _ in range(3)], _send_garbage(url), _leave(url, service)]


async def _never_read(url: str, service: str) -> None:
    """Subscribe, and read nothing."""
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port, limit=1024)
    writer.write(upgrade(where.netloc))
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(frame({"type": "connection_init", "payload": {"Authorization": f"Bearer {TOKEN}"}}))
    writer.write(frame({"type": "subscribe", "id": "1", "payload": operation(service)}))
    try:
        await asyncio.Event().wait()
    finally:
        writer.transport.abort()


async def _send_garbage(url: str) -> None:
    """Send no frames on a socket, again and again."""
    where = urlsplit(url)
    while True:
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        writer.write(upgrade(where.netloc))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(os.urandom(4096))
        await reader.read()
        writer.transport.abort()
        await asyncio.sleep(PAUSE)


async def _leave(url: str, service: str) -> None:
    """Subscribe, and leave, again and again."""
    while True:
        visitor = Crowd()
        await visitor.subscribe(url, "websocket", [operation(service)])
        visitor.close()
        await asyncio.sleep(PAUSE)


ROWS: tuple[Callable[[Bench], None], ...] = (latency, fan_out, memory, calls, processes, neighbours)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument(
        "--only", default="", help="the rows whose name begins so: " + ", ".join(r.__name__ for r in ROWS)
    )
    arguments.add_argument("--seconds", type=float, default=6.0)
    options = arguments.parse_args()
    print(
        f"{interpreter()}; load average {os.getloadavg()[0]:.1f}\n\n| | target | measured |\n|---|---|---|", flush=True
    )
    for row in ROWS:
        if row.__name__.startswith(options.only):
            with tempfile.TemporaryDirectory() as name:
                row(Bench(Path(name), options.seconds))


if __name__ == "__main__":
    main()

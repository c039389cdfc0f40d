"""`receipts-gateway serve --workers`: replaced without a lost request, one sum of metrics, evenly spread connections."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from twilio.request_validator import RequestValidator

from .conftest import ACCOUNT, command_line, start, worker_pids

QUERY = {"query": "query Load { __typename }"}
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@asynccontextmanager
async def workers(count: int, **environ: str) -> AsyncIterator[tuple[str, subprocess.Popen[str]]]:
    """Serve with several workers; the value is the base URL, and the process of the command."""
    environ |= {"GATEWAY_LOG_LEVEL": "warning", "PYTHONFAULTHANDLER": "1"}
    server = start("serve", "--port", "0", "--workers", str(count), **environ)
    try:
        assert server.stdout is not None
        line = await asyncio.to_thread(server.stdout.readline)
        yield line.split()[2].rstrip(",").removesuffix("/graphql"), server
        server.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(server.communicate, timeout=30)
        except subprocess.TimeoutExpired:
            for pid in (*worker_pids(server), server.pid):
                os.kill(pid, signal.SIGABRT)  # Each process then writes where its threads are.
            pytest.fail(f"It did not stop:\n{server.communicate()[1]}")
        assert server.returncode == 0
    finally:
        server.kill()


def is_running(pid: int) -> bool:
    return command_line(pid) != b""


async def until(condition: Callable[[], bool]) -> None:
    """Poll another process: it sends no signal."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def until_replaced(server: subprocess.Popen[str], old: set[int], count: int) -> None:
    """Wait until there are `count` workers, none of them an old one."""
    await until(lambda: not (pids := worker_pids(server)) & old and len(pids) == count)


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


class Load:
    """Clients that send requests until the load stops: some on kept connections, some on a new one each time."""

    CLIENTS = 8

    def __init__(self, url: str) -> None:
        self.url = url
        self.answered = 0
        self._stopped = False

    async def __aenter__(self) -> "Load":
        self._tasks = [asyncio.create_task(self._send(number % 2 == 0)) for number in range(self.CLIENTS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopped = True
        await asyncio.gather(*self._tasks)

    async def _send(self, force_close: bool) -> None:
        connector = aiohttp.TCPConnector(force_close=force_close)
        async with aiohttp.ClientSession(connector=connector) as session:
            while not self._stopped:
                async with session.post(f"{self.url}/graphql", json=QUERY) as response:
                    assert await response.json() == {"data": {"__typename": "Query"}}
                self.answered += 1


async def scrape(url: str) -> Samples:
    """Return the metrics from whichever worker takes a new connection."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as response:
        text = await response.text()
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
        if family.type in ("counter", "histogram")
    }


OPERATIONS = ("gateway_operations_total", (("name", "Load"), ("outcome", "ok")))


async def test_metrics_are_the_sum_and_no_request_is_lost_while_workers_are_replaced() -> None:
    """It takes some seconds: six processes start, each of which builds the schema."""
    async with workers(3, **ACCOUNT) as (url, server):
        async with Load(url) as load:
            before: Samples = {}
            old = worker_pids(server)
            for number in range(20):
                if number == 10:
                    server.send_signal(signal.SIGHUP)
                    await until_replaced(server, old, 3)
                at_least = load.answered
                samples = await scrape(url)
                assert at_least <= samples.get(OPERATIONS, 0) <= load.answered + load.CLIENTS
                assert {name: value for name, value in before.items() if samples[name] < value} == {}
                before = samples
        for _ in range(3):
            assert (await scrape(url))[OPERATIONS] == load.answered


async def test_an_unusable_token_file_changes_nothing(tmp_path: Path) -> None:
    """The workers stay, and one that dies is replaced with the settings that were read last."""
    file = tmp_path / "tokens"
    file.write_text("ann:ann-has-a-long-token\n")
    async with workers(2, **ACCOUNT, GATEWAY_TOKENS_FILE=str(file)) as (url, server):
        assert server.stderr is not None
        old = worker_pids(server)
        for text, problem in (
            ("nonsense", "GATEWAY_TOKENS_FILE: must be name:token"),
            ("", "No tokens are set."),
        ):
            file.write_text(text)
            server.send_signal(signal.SIGHUP)
            line = json.loads(await asyncio.to_thread(server.stderr.readline))
            assert line["event"] == "not reloaded"
            assert line["problems"][0].startswith(problem)
        assert worker_pids(server) == old
        os.kill(victim := next(iter(old)), signal.SIGKILL)
        assert json.loads(await asyncio.to_thread(server.stderr.readline))["event"] == "worker died"
        await until_replaced(server, {victim}, 2)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
            for _ in range(8):
                headers = {"Authorization": "Bearer ann-has-a-long-token"}
                async with session.post(f"{url}/graphql", json=QUERY, headers=headers) as response:
                    assert response.status == 200
        file.write_text("bob:bob-has-a-long-token\n")
        server.send_signal(signal.SIGHUP)
        await until_replaced(server, worker_pids(server), 2)


async def test_workers_stop_when_their_supervisor_is_killed() -> None:
    server = start("serve", "--port", "0", "--workers", "2", GATEWAY_LOG_LEVEL="warning", **ACCOUNT)
    pids = set[int]()
    try:
        assert server.stdout is not None
        line = await asyncio.to_thread(server.stdout.readline)
        pids = worker_pids(server)
        assert len(pids) == 2, line
        server.kill()
        await asyncio.to_thread(server.communicate, timeout=30)  # The workers hold its output open.
        await until(lambda: not any(map(is_running, pids)))
    finally:
        server.kill()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


async def test_connections_spread_evenly_and_metrics_stay_when_a_worker_dies() -> None:
    async with workers(2, **ACCOUNT) as (url, server):
        port, before = int(url.rpartition(":")[2]), {pid: open_files(pid) for pid in worker_pids(server)}
        kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(64)]
        await until(lambda: sum(map(open_files, before)) == sum(before.values()) + len(kept))
        assert all(open_files(pid) - files > len(kept) / 8 for pid, files in before.items())
        for _, writer in kept:
            writer.close()
        async with Load(url) as load:
            await until(lambda: load.answered > 200)
        earlier = await scrape(url)
        assert earlier[OPERATIONS] == load.answered
        os.kill(victim := worker_pids(server).pop(), signal.SIGKILL)
        assert server.stderr is not None
        line = json.loads(await asyncio.to_thread(server.stderr.readline))
        assert (line["event"], line["pid"], line["exit_code"]) == ("worker died", victim, -signal.SIGKILL)
        await until_replaced(server, {victim}, 2)
        for _ in range(4):
            later = await scrape(url)
            assert later[OPERATIONS] == load.answered
            assert {name: value for name, value in earlier.items() if later[name] < value} == {}


WEBHOOK_URL = "https://hooks.example.com/webhooks/twilio"


async def deliver(url: str, number: int) -> None:
    """Send a signed webhook for a receipt, on a new connection."""
    event = {
        "EventType": "onDeliveryUpdated",
        "AccountSid": ACCOUNT["TWILIO_ACCOUNT_SID"],
        "ChatServiceSid": "IS" + "1" * 32,
        "ConversationSid": "CH" + "2" * 32,
        "MessageSid": f"IM{number:032x}",
        "DeliveryReceiptSid": f"DY{number:032x}",
        "Status": "read",
        "DateUpdated": "2026-03-24T20:37:57.123Z",
    }
    signature = RequestValidator(ACCOUNT["TWILIO_AUTH_TOKEN"]).compute_signature(WEBHOOK_URL, event)
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/webhooks/twilio", data=event, headers={"X-Twilio-Signature": signature}) as response,
    ):
        assert response.status == 204


async def recent(url: str) -> int:
    """Return the number of deliveries that whichever worker takes a new connection lists."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/webhooks/recent") as response:
        return len((await response.json())["deliveries"])


async def test_workers_pass_each_other_the_events_of_webhooks() -> None:
    async with workers(2, **ACCOUNT, GATEWAY_WEBHOOK_URL=WEBHOOK_URL) as (url, server):
        for number in range(30):
            await deliver(url, number)

        async def all_have_all(kind: str, count: int) -> None:
            async with asyncio.timeout(20):
                while (await scrape(url))["gateway_events_total", (("kind", kind),)] < count:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)  # Another process sends no signal.

        await all_have_all("received", 30)  # Each event by the worker that did not accept it.
        assert [await recent(url) for _ in range(12)] == [30] * 12
        assert (await scrape(url))["gateway_webhooks_total", (("verdict", "accepted"),)] == 30
        os.kill(victim := worker_pids(server).pop(), signal.SIGKILL)
        await until_replaced(server, {victim}, 2)
        await all_have_all("received", 30 + 30)  # Its successor has caught up.
        await deliver(url, 0)
        verdicts = {
            dict(labels)["verdict"]: count
            for (name, labels), count in (await scrape(url)).items()
            if "webhooks" in name
        }
        assert verdicts["accepted"] == 30  # Whichever worker got it, the event was known.

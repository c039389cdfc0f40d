"""The server's life: it starts on a free port or the one asked for, counts what is open, and stops at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
import pytest

from gateway.sandbox import Fault, Sandbox
from gateway.sandbox import state as state_module

if TYPE_CHECKING:
    from tests.sandbox.conftest import Caller


async def test_a_taken_port_is_an_os_error(sandbox: Sandbox) -> None:
    port = int(sandbox.url.rpartition(":")[2])
    with pytest.raises(OSError, match="address already in use"):
        await Sandbox(port=port).start()


async def test_it_starts_again_on_the_same_port(sandbox: Sandbox) -> None:
    await sandbox.stop()
    port = int(sandbox.url.rpartition(":")[2])
    async with Sandbox(port=port) as again:
        assert again.url == sandbox.url


async def test_stopping_twice_or_before_the_start_is_nothing() -> None:
    sandbox = Sandbox()
    await sandbox.stop()
    await sandbox.start()
    await sandbox.stop()
    await sandbox.stop()


@pytest.mark.parametrize("fault", [Fault("hang"), Fault(latency=3600), Fault("drip", size=1, pause=3600)])
async def test_it_stops_at_once_whatever_is_open(caller: Caller, fault: Fault) -> None:
    caller.sandbox.faults.add("*", fault)
    waiting = [asyncio.create_task(caller.get("Services")) for _ in range(5)]
    await caller.sandbox.until(lambda: caller.sandbox.in_flight == 5)
    await asyncio.wait_for(caller.sandbox.stop(), 1.5)
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(result, aiohttp.ClientError) for result in results)
    assert not any(call.client_left or call.open for call in caller.sandbox.calls)


async def test_it_stops_at_once_while_a_client_does_not_read(caller: Caller) -> None:
    caller.sandbox.faults.add("*", Fault("big_body", size=64_000_000))
    got = await caller.session.get(f"{caller.sandbox.url}/v1/Services", headers=caller.headers)
    await asyncio.wait_for(caller.sandbox.stop(), 1.5)
    got.close()


async def test_it_counts_what_is_open(caller: Caller, sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault("hang"))
    waiting = [asyncio.create_task(caller.get("Services")) for _ in range(3)]
    await sandbox.until(lambda: sandbox.in_flight == 3)
    waiting.pop().cancel()
    await sandbox.until(lambda: sandbox.in_flight == 2)
    assert sandbox.max_in_flight == 3
    sandbox.reset()
    assert (sandbox.calls, sandbox.max_in_flight) == ([], 2)
    for task in waiting:
        task.cancel()
    await sandbox.until(lambda: sandbox.in_flight == 0)


async def test_it_runs_two_at_a_time(sandbox: Sandbox) -> None:
    async with Sandbox(seed=2) as other:
        assert other.url != sandbox.url
        assert other.landmarks["service_sid"] != sandbox.landmarks["service_sid"]


async def test_control_calls_are_not_counted(caller: Caller, sandbox: Sandbox) -> None:
    await caller.control("GET", "/calls")
    assert (sandbox.calls, sandbox.max_in_flight) == ([], 0)


async def test_the_log_forgets_its_oldest_half(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_module, "LOG_LENGTH", 4)
    for size in range(1, 6):
        await caller.get(f"Services?PageSize={size}")
    assert caller.sandbox.paths == [f"Services?PageSize={size}" for size in (3, 4, 5)]


async def test_it_listens_on_ipv6() -> None:
    async with Sandbox(host="::1") as sandbox, aiohttp.ClientSession() as session:
        assert sandbox.url.startswith("http://[::1]:")
        async with session.get(f"{sandbox.url}/sandbox") as answer:
            assert answer.status == 200

"""Deadlines that share a timer: each is kept, whatever the order in which they are added, removed and passed."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from gateway.errors import UpstreamTimeout
from gateway.sandbox import Fault, Sandbox
from gateway.twilio.client import Client
from gateway.twilio.deadlines import Deadlines
from gateway.twilio.responses import Response
from gateway.twilio.retry import RetryPolicy
from gateway.twilio.transport import Credentials, Origin, Timeouts


class Waiting:
    """Notes when it expires."""

    def __init__(self, expired: list[tuple[Waiting, float]], number: int = 0) -> None:
        self.number = number
        self._expired = expired

    def expire(self) -> None:
        self._expired.append((self, asyncio.get_running_loop().time()))


async def last_of(deadlines: Deadlines, deadline: float) -> None:
    """Wait until the timers that are due before the deadline have been called."""
    loop = asyncio.get_running_loop()
    passed = asyncio.Event()
    loop.call_at(deadline, passed.set)
    await passed.wait()
    await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(5))
async def test_what_was_not_removed_expires_once_and_never_early(seed: int) -> None:
    random, loop = Random(seed), asyncio.get_running_loop()
    deadlines, expired = Deadlines(loop), list[tuple[Waiting, float]]()
    now = loop.time()
    due = {Waiting(expired, number): now + random.choice([0.02, 0.05, 0.05, 0.05, 0.08]) for number in range(40)}
    for waiting, deadline in due.items():
        deadlines.add(waiting, deadline)
    removed = random.sample(list(due), 15)
    for waiting in removed:
        deadlines.remove(waiting)
        deadlines.remove(waiting)
    assert len(deadlines) == 25
    await last_of(deadlines, now + 0.12)
    assert {waiting for waiting, _ in expired} == due.keys() - set(removed)
    assert len(expired) == 25
    assert all(at >= due[waiting] - 0.002 for waiting, at in expired)  # libuv's timers count milliseconds.
    assert len(deadlines) == 0


async def test_one_that_fails_keeps_the_others() -> None:
    loop = asyncio.get_running_loop()
    reported: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: reported.append(context))
    deadlines, expired = Deadlines(loop), list[tuple[Waiting, float]]()

    class Failing(Waiting):
        def expire(self) -> None:
            raise ZeroDivisionError

    soon = loop.time() + 0.01
    for waiting in (Failing(expired), Waiting(expired)):
        deadlines.add(waiting, soon)
    await last_of(deadlines, soon + 0.02)
    assert len(expired) == 1
    assert [type(context["exception"]) for context in reported] == [ZeroDivisionError]


async def test_none_expires_after_all_were_removed() -> None:
    loop = asyncio.get_running_loop()
    deadlines, expired = Deadlines(loop), list[tuple[Waiting, float]]()
    now = loop.time()
    for deadline in (now + 0.02, now + 0.01):
        deadlines.add(Waiting(expired), deadline)
    deadlines.clear()
    assert len(deadlines) == 0
    await last_of(deadlines, now + 0.04)
    assert not expired


async def test_a_client_that_is_opened_again_keeps_its_timeouts(sandbox: Sandbox) -> None:
    """As when an application starts a second time in one process."""
    origin = Origin(sandbox.url, Credentials(sandbox.account_sid, sandbox.auth_token), Timeouts(read=1.0))
    client = Client(origin, retries=RetryPolicy(attempts=1))

    def status(_: str, response: Response) -> int:
        return response.status

    for _ in range(2):
        async with client:
            assert await client.get("Services", status) == 200
            sandbox.faults.add("*", Fault("hang"))
            with pytest.raises(UpstreamTimeout):
                await asyncio.wait_for(client.get("Services", status), 10)
            sandbox.faults.clear()
            assert await client.get("Services", status) == 200

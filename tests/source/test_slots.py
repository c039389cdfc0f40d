"""How a process claims slots: no more than it needs, and no more than the account has shown to have."""

import asyncio
from typing import Any, cast

from gateway.errors import GatewayError
from gateway.source.remote import RemoteCache
from gateway.source.slots import share_slots
from gateway.twilio.limiter import Limiter


class Read:
    """A read that is started and never ends."""

    caller = ""
    kind = "Services"
    is_wanted = True
    began = 0.0
    in_flight = 1

    def start(self) -> None: ...

    def reject(self, error: GatewayError) -> None: ...


class Slots:
    """A remote cache that grants all slots that are claimed."""

    def __init__(self) -> None:
        self.claims: list[tuple[int, int]] = []
        self.claimed = asyncio.Event()

    async def share(self, total: int, wanted: int, now: float, seconds: float) -> int:
        self.claims.append((total, wanted))
        self.claimed.set()
        return wanted


async def test_a_process_claims_no_more_than_its_limit_and_room_to_grow() -> None:
    slots, limiter = Slots(), Limiter()
    for _ in range(200):
        limiter.submit(Read(), 0.0)
    sharing = asyncio.create_task(share_slots(limiter, cast(RemoteCache, cast(Any, slots))))
    await slots.claimed.wait()
    await asyncio.sleep(0)
    assert slots.claims == [(512, 72)]
    assert (limiter.in_flight, limiter.queued) == (64, 136)
    for _ in range(32 * 100):
        limiter.limit.on_response(None, 1.0)
    assert limiter.limit.size == 72
    sharing.cancel()
    await asyncio.wait({sharing})


async def test_an_idle_process_claims_a_few_slots() -> None:
    slots, limiter = Slots(), Limiter()
    sharing = asyncio.create_task(share_slots(limiter, cast(RemoteCache, cast(Any, slots))))
    await slots.claimed.wait()
    await asyncio.sleep(0)
    assert slots.claims == [(512, 8)]
    assert limiter.limit.size == 8
    sharing.cancel()
    await asyncio.wait({sharing})


def test_a_process_claims_as_much_again_when_it_is_started_again() -> None:
    """In another event loop, with the limiter of the first time."""
    limiter, claims = Limiter(), list[tuple[int, int]]()

    async def share() -> None:
        slots = Slots()
        sharing = asyncio.create_task(share_slots(limiter, cast(RemoteCache, cast(Any, slots))))
        for _ in range(2):  # The second time, it has waited for the need of more room.
            limiter.needs_room.set()
            await asyncio.wait_for(slots.claimed.wait(), 10)
            slots.claimed.clear()
        sharing.cancel()
        await asyncio.wait({sharing})
        claims.append(slots.claims[0])

    asyncio.run(share())
    asyncio.run(share())
    assert claims == [(512, 8)] * 2

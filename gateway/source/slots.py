"""How the processes of one account share its concurrent requests."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from gateway.source.remote import RemoteCache
from gateway.twilio.limiter import Limiter

__all__ = ["share_slots"]

_BLOCK = 8  # Slots are claimed in multiples of this.
_CLAIM_INTERVAL_SECONDS = 0.05  # While reads are queued; ten times that while none is.
_CLAIM_SECONDS = 3.0  # After which the slots of a process that does not renew its claim are free.


async def share_slots(limiter: Limiter, remote: RemoteCache) -> None:
    """Claim slots for this process and set them as the limiter's maximum, until cancelled.

    A process gets what it needs as far as others leave it, and at least one slot; it needs no more than its limit plus one, to
    grow. While the remote cache is down it uses all, and relies on the limiter to back off when Twilio reports too many
    requests.
    """
    total = limiter.total
    limiter.needs_room = asyncio.Event()  # Of this event loop: the limiter may have been used in another one before.
    while True:
        needed = min(limiter.in_flight + limiter.queued, limiter.limit.level) + 1
        wanted = -(-needed // _BLOCK) * _BLOCK
        share = await remote.share(total, min(total, wanted), time.time(), _CLAIM_SECONDS)
        limiter.set_maximum(total if share is None else share)
        limiter.needs_room.clear()
        if limiter.queued:
            await asyncio.sleep(_CLAIM_INTERVAL_SECONDS)
        else:
            with suppress(TimeoutError):
                await asyncio.wait_for(limiter.needs_room.wait(), 10 * _CLAIM_INTERVAL_SECONDS)

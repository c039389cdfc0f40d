"""Waiting for what others wait for too."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

__all__ = ["wait_shielded"]


async def wait_shielded(futures: Iterable[asyncio.Future[Any]]) -> None:
    """Wait until all are done, however they end. When whoever waits is cancelled, they go on.

    It is `asyncio.wait` for what is waited for with every request, at a part of its cost.
    """
    left = [future for future in futures if not future.done()]
    if not left:
        return
    waiter = asyncio.get_running_loop().create_future()
    count = len(left)

    def count_down(_: object) -> None:
        nonlocal count
        count -= 1
        if not count and not waiter.done():
            waiter.set_result(None)

    for future in left:
        future.add_done_callback(count_down)
    await waiter

"""A script such as one writes by hand: asyncio and aiohttp, everything that can be asked together asked together.

It serves nothing. It runs one query over and over, in so many tasks, and prints what that took as JSON. With `--new`, each run
is about another copy of the data.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import time
from collections.abc import Iterator
from itertools import count, repeat
from typing import Any

import aiohttp
import uvloop

from .processes import CONNECTIONS_MAX
from .queries import variables

Json = dict[str, Any]


class Twilio:
    """Twilio's REST API over one session."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def get(self, path: str) -> Any:
        """The JSON at a path."""
        async with self._session.get(f"{self._url}/v1/{path}") as response:
            response.raise_for_status()
            return await response.json()

    async def receipts_of(self, thread: str, message: Json) -> list[Json]:
        """A message's receipts, each with its participant."""
        page = await self.get(f"{thread}/Messages/{message['sid']}/Receipts?PageSize=50")
        return list(await asyncio.gather(*(self.with_participant(thread, row) for row in page["delivery_receipts"])))

    async def with_participant(self, thread: str, receipt: Json) -> Json:
        """A receipt with its participant."""
        return receipt | {"participant": await self.participant(thread, receipt["participant_sid"])}

    async def participant(self, thread: str, sid: str) -> Json | None:
        """A participant, or None for one who has left."""
        try:
            found: Json = await self.get(f"{thread}/Participants/{sid}")
        except aiohttp.ClientResponseError as error:
            if error.status != 404:
                raise
            return None
        return found

    async def messages_of(self, thread: str, count: int) -> list[Json]:
        """The first messages of a thread, each with its receipts."""
        page = await self.get(f"{thread}/Messages?PageSize={count}")
        receipts = await asyncio.gather(*(self.receipts_of(thread, message) for message in page["messages"]))
        return [message | {"receipts": rows} for message, rows in zip(page["messages"], receipts, strict=True)]

    async def thread(self, service: str, conversation: str, count: int) -> Any:
        """Q1 and Q2."""
        path = f"Services/{service}/Conversations/{conversation}"
        return await asyncio.gather(
            self.get(f"Services/{service}"), self.get(path), self.messages_of(path, count), return_exceptions=False
        )

    async def receipt(self, service: str, conversation: str, message: str, receipt: str) -> Any:
        """Q3."""
        return await self.get(f"Services/{service}/Conversations/{conversation}/Messages/{message}/Receipts/{receipt}")

    async def threads(self, service: str) -> Any:
        """Q4."""
        page = await self.get(f"Services/{service}/Conversations?PageSize=20")
        paths = [f"Services/{service}/Conversations/{row['sid']}" for row in page["conversations"]]
        return await asyncio.gather(*(self.messages_of(path, 20) for path in paths))


async def main(name: str, seconds: float, copies: list[Iterator[int]]) -> None:
    """Run it in a task for each iterator of copies, and print."""
    credentials = aiohttp.encode_basic_auth(os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"])
    async with aiohttp.ClientSession(
        headers={"Authorization": credentials}, connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX)
    ) as session:
        twilio = Twilio(session, os.environ["UPSTREAM_URL"])

        async def once(copy: int) -> Any:
            given = variables(name, copy)
            if name == "Q3":
                return await twilio.receipt(*given.values())
            if name == "Q4":
                return await twilio.threads(given["service"])
            return await twilio.thread(given["service"], given["conversation"], 50 if name == "Q1" else 10)

        await once(0)
        print("ready", flush=True)
        if not seconds:
            return
        took: list[float] = []
        end = time.perf_counter() + seconds

        async def ask_on(each: Iterator[int]) -> None:
            while (began := time.perf_counter()) < end:
                await once(next(each))
                took.append(time.perf_counter() - began)

        used = time.process_time()
        await asyncio.gather(*map(ask_on, copies))
        used = time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"took": took, "cpu": used, "mb": peak}), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("query")
    parser.add_argument("concurrency", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--new", action="store_true")
    given = parser.parse_args()
    every: list[Iterator[int]] = [repeat(copy) for copy in range(given.concurrency)]
    if given.new:
        every = [count(1)] * given.concurrency
    uvloop.run(main(given.query, given.seconds, every))

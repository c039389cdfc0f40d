"""Sends webhooks over HTTP."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
from yarl import URL

from .webhooks import SignedRequest, Webhook, Webhooks

# Twilio waits for so long: https://www.twilio.com/docs/conversations/conversations-webhooks.
TIMEOUT_SECONDS = 5.0


class WebhookSender:
    """Sends webhooks concurrently, each when it is fired, and reports how they were answered. It follows no redirects."""

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session: aiohttp.ClientSession | None = None

    def start(self) -> None:
        """Send the webhooks that are fired from now on. Called in the event loop in which they are sent."""
        self._loop = asyncio.get_running_loop()
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT_SECONDS, sock_read=TIMEOUT_SECONDS)
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(timeout=timeout, connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        self._webhooks.send = self._send

    async def stop(self) -> None:
        """Stop without sending those that are still due."""
        self._webhooks.send = None
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _send(self, webhook: Webhook, request: SignedRequest, delay: float, body_delay: float, times: int) -> None:
        assert self._loop is not None

        def begin() -> None:
            task = asyncio.create_task(self._deliver(webhook, request, delay, body_delay, times))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self._loop.call_soon_threadsafe(begin)  # The data may be changed in another thread.

    async def _deliver(
        self, webhook: Webhook, request: SignedRequest, delay: float, body_delay: float, times: int
    ) -> None:
        statuses: list[int | None] = []
        try:
            await asyncio.sleep(delay)
            for _ in range(times):
                statuses.append(await self._request(request, body_delay))
        finally:
            self._webhooks.answered(webhook, statuses)

    async def _request(self, request: SignedRequest, body_delay: float) -> int | None:
        """Return the status of the response; None if there is none in time."""
        assert self._session is not None
        headers, body = dict(request.headers), request.body
        content: bytes | AsyncIterator[bytes] | None = body or None
        if body_delay:
            headers["Content-Length"] = str(len(body))
            content = _late(body, body_delay)
        try:
            async with self._session.request(
                request.method, URL(request.url, encoded=True), headers=headers, data=content, allow_redirects=False
            ) as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None


async def _late(body: bytes, seconds: float) -> AsyncIterator[bytes]:
    await asyncio.sleep(seconds)
    yield body

"""The server of tools over HTTP, created with the first request to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.types import Receive, Scope, Send

if TYPE_CHECKING:
    from gateway.mcp.server import ToolServer

__all__ = ["ToolsOnDemand"]


class ToolsOnDemand:
    """Serves tools to assistants over HTTP. The SDK, which takes half a second to import, is imported at the first request."""

    def __init__(self, create: Callable[[Mapping[str, str]], ToolServer], documents: Mapping[str, str]) -> None:
        """Serve the tools of these trusted documents; `create` returns the server of them, and is called in a thread."""
        self._create = create
        self._documents = documents
        self._server: ToolServer | None = None
        self._requested: asyncio.Event
        self._ready: asyncio.Future[ToolServer]

    def replace(self, documents: Mapping[str, str]) -> None:
        """Serve the tools of these trusted documents, in place of the earlier ones."""
        self._documents = documents
        if self._server is not None:
            self._server.replace(documents)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve requests until the end of the block."""
        self._requested, self._ready = asyncio.Event(), asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(self._serve())
        try:
            yield
        finally:
            serving.cancel()
            self._ready.cancel()
            await asyncio.wait([serving])

    async def _serve(self) -> None:
        await self._requested.wait()
        documents = self._documents
        try:
            self._server = await asyncio.to_thread(self._create, documents)
        except Exception as error:
            self._ready.set_exception(error)
            return
        if documents is not self._documents:  # They were replaced meanwhile.
            self._server.replace(self._documents)
        async with self._server.running():
            self._ready.set_result(self._server)
            await asyncio.Event().wait()  # Until this task is cancelled.

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request through ASGI."""
        self._requested.set()
        server = await asyncio.shield(self._ready)
        await server(scope, receive, send)

"""What the tests of tools share: a gateway over the sandbox with the shipped tools, and assistants that call them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from gateway.app import create_app
from gateway.demo import settings_for
from gateway.sandbox import Sandbox
from gateway.settings import Settings
from gateway.web.server import serving


def settings_with_tools(sandbox: Sandbox, **more: Any) -> Settings:
    """The settings of a gateway with the shipped tools, which caches nothing."""
    return replace(settings_for(sandbox), cache_bytes=0, mcp=frozenset({"shipped"}), **more)


@asynccontextmanager
async def assistant(url: str, *, token: str | None = None, mode: str = "auto") -> AsyncIterator[Client]:
    """The SDK's client, connected to the gateway at `url`."""
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    async with (
        httpx2.AsyncClient(headers=headers) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


@asynccontextmanager
async def connected(sandbox: Sandbox, **settings: Any) -> AsyncIterator[Client]:
    """An assistant of a gateway of its own over the sandbox."""
    async with serving(create_app(settings_with_tools(sandbox, **settings))) as url, assistant(url) as client:
        yield client

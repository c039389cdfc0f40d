"""The lines for nginx in `live.md`, in nginx itself: sockets, and events that arrive as they are sent."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from gateway.app import create_app
from gateway.demo import settings_for
from gateway.sandbox import Sandbox

from ..conftest import serving
from .blocks import blocks

SUBSCRIPTION = "subscription ($sid: ID!) { deliveryUpdated(serviceSid: $sid) { __typename } }"


@asynccontextmanager
async def nginx(upstream: str, directory: Path) -> AsyncIterator[str]:
    """The address of nginx with the documentation's lines, before a gateway."""
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if program is None:
        pytest.skip("no nginx: install Debian's package of that name")
    (block,) = blocks("live", "nginx")
    maps, locations = block.replace("http://127.0.0.1:8000", upstream).split("\n\n", 1)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    paths = "".join(
        f"{kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = directory / "nginx.conf"
    config.write_text(
        f"pid {directory}/pid; daemon off; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {paths}\n{maps}\nserver {{ listen 127.0.0.1:{port};\n{locations}\n}} }}\n"
    )
    process = await asyncio.create_subprocess_exec(program, "-c", str(config))
    while True:
        try:
            (await asyncio.open_connection("127.0.0.1", port))[1].close()
            break
        except ConnectionRefusedError:
            await asyncio.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def test_sockets_and_events_pass_nginx(sandbox: Sandbox, tmp_path: Path, http: aiohttp.ClientSession) -> None:
    operation = {"query": SUBSCRIPTION, "variables": {"sid": sandbox.landmarks["service_sid"]}}
    async with serving(create_app(settings_for(sandbox))) as upstream, nginx(upstream, tmp_path) as url:
        async with http.post(f"{url}/graphql", json=operation, headers={"Accept": "text/event-stream"}) as response:
            assert b"DeliveriesReady" in await asyncio.wait_for(response.content.readuntil(b"\n\n"), 10)
        # A page of the same origin, as nginx's clients see it.
        async with http.ws_connect(f"{url}/graphql", protocols=["graphql-transport-ws"], origin=url) as ws:
            await ws.send_json({"type": "connection_init"})
            assert await ws.receive_json() == {"type": "connection_ack"}
            await ws.send_json({"type": "subscribe", "id": "1", "payload": operation})
            assert (await ws.receive_json())["payload"]["data"]["deliveryUpdated"]["__typename"] == "DeliveriesReady"

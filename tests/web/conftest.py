"""What several tests of HTTP share: servers with short timeouts, bare sockets, and a browser."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from anyio.from_thread import start_blocking_portal
from playwright.async_api import Browser, async_playwright

from gateway.web.graphiql import BUNDLE
from gateway.web.http_protocol import BoundedProtocol

from .page import FLAGS


@pytest.fixture
def bundle() -> Path:
    """The built page. It needs npm when the package is built, so it may be absent."""
    if not (BUNDLE / "index.html").is_file():
        pytest.skip("GraphiQL's bundle is not there: install again with Node.js 20.19 or later and the npm registry")
    return BUNDLE


@asynccontextmanager
async def launched(executable: str) -> AsyncIterator[str]:
    """A Chromium, and the address at which it can be connected to."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable, args=[*FLAGS, f"--remote-debugging-port={port}"]
        )
        yield f"http://127.0.0.1:{port}"
        await browser.close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[str]:
    """The address of one Chromium for all tests, which each have a context of their own in it: storage, cache and pages."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        pytest.skip("no chromium: install Debian's package of that name to try GraphiQL in it")
    # In an event loop of its own: each test has another.
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(launched(executable)) as address:
        yield address


@pytest.fixture
async def browser(bundle: Path, chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(chromium)
        yield browser
        await browser.close()


class Hasty(BoundedProtocol):
    """The same limits, with shorter times."""

    HEAD_SECONDS = 0.2
    BODY_SECONDS = 0.2
    WRITE_SECONDS = 0.2
    HEAD_MAX = 4096


class Impatient(Hasty):
    """One that keeps no idle connection for long."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.timeout_keep_alive = 0.3  # type: ignore[assignment]


async def connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(url)
    return await asyncio.open_connection(parts.hostname, parts.port)


async def send(url: str, *pieces: bytes) -> bytes:
    """Return everything that the server sends in reply to these bytes, until it closes the connection."""
    reader, writer = await connect(url)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


def answers(received: bytes) -> list[tuple[int, bytes]]:
    """Return the status and the body of each reply."""
    found = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        length = int(lengths[0].partition(b":")[2]) if lengths else 0
        found.append((int(head.split()[1]), rest[:length]))
        received = rest[length:]
    return found

"""The first minutes of a newcomer, measured: from a clone to a failed receipt that is explained in GraphiQL.

    python -m tests.bench.newcomer

It runs README's first command in a clone of this checkout's last commit, and opens the demo's page in Chromium with an empty
cache. There it runs the example Failures, and reads the reason and the advice in the first row of the table of receipts. It
needs git, chromium, and the package registries; the target for the whole is for warm caches of pip and npm. The exit code is 1
when a time or a size is over its target.
"""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.async_api import Page, Request, async_playwright, expect

from ..conftest import find_chromium

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT = Path(__file__).parents[2]
TARGET_SECONDS, EXPLAINED_SECONDS, USABLE_SECONDS, FIRST_LOAD_BYTES = 60.0, 10.0, 2.0, 1_400_000
START_SECONDS = 300


class Stopwatch:
    """Prints the seconds that each step took."""

    def __init__(self) -> None:
        self.began = self.last = time.monotonic()

    def lap(self, step: str) -> float:
        """Print and return the seconds since the last step."""
        now = time.monotonic()
        seconds, self.last = now - self.last, now
        print(f"{seconds:7.2f} s  {step}")
        return seconds

    @property
    def total(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began


def clone(directory: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(directory)], check=True)


def install(checkout: Path) -> Path:
    """Install as README says; return the command."""
    subprocess.run([sys.executable, "-m", "venv", ".venv"], cwd=checkout, check=True)
    subprocess.run([".venv/bin/pip", "install", "--quiet", "--quiet", "."], cwd=checkout, check=True)
    return checkout / ".venv/bin/receipts-gateway"


@asynccontextmanager
async def demo(command: Path, directory: Path) -> AsyncIterator[tuple[str, float]]:
    """Run the demo, and yield the address of GraphiQL, and when its first line was printed, by `time.monotonic`."""
    process = await asyncio.create_subprocess_exec(
        command, "demo", "--port", "0", cwd=directory, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    first_line = 0.0
    try:
        async with asyncio.timeout(START_SECONDS):
            async for line in process.stdout:
                first_line = first_line or time.monotonic()
                if line.startswith(b"GraphiQL"):
                    break
            else:
                raise SystemExit("The demo did not start.")
        yield line.split()[1].decode(), first_line
    finally:
        process.send_signal(signal.SIGINT)
        await process.wait()


async def explain_a_failure(page: Page) -> str:
    """Find a receipt that failed, as a newcomer would, and return the reason and the advice that the page shows."""
    await page.get_by_role("tab", name="Failures", exact=True).click()
    await page.locator(".graphiql-execute-button").click()
    failed = page.get_by_test_id("receipts").locator("tbody tr").first
    await expect(failed.locator(".chip")).to_have_text(re.compile("failed|undelivered"))
    told = []
    for column in ("error", "advice"):
        cell = failed.locator(f".of-{column}")
        await expect(cell).to_be_in_viewport()
        told.append(" ".join((await cell.inner_text()).split()))
    assert all(told), "The first failed receipt has no reason or no advice."
    return ": ".join(told)


async def main() -> int:
    chromium = find_chromium()
    if chromium is None:
        print("chromium is not here.")
        return 2
    watch, requests = Stopwatch(), list[Request]()
    with tempfile.TemporaryDirectory(prefix="newcomer-") as name:
        directory = Path(name)
        clone(directory / "checkout")
        watch.lap("git clone")
        command = install(directory / "checkout")
        watch.lap("python3 -m venv .venv && .venv/bin/pip install .")
        async with demo(command, directory) as (url, first_line), async_playwright() as playwright:
            watch.lap("receipts-gateway demo, until it is ready")
            browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            page = await browser.new_page(viewport={"width": 1366, "height": 768})
            page.on("requestfinished", lambda request: requests.append(request))
            watch.lap("a browser")
            await page.goto(url)
            await expect(page.get_by_test_id("status")).to_contain_text("at most")
            await expect(page.locator(".graphiql-execute-button")).to_be_enabled()
            usable = watch.lap("GraphiQL, until an operation can be run and has a plan")
            own = [request for request in requests if "/graphiql" in request.url and request.url.startswith("http")]
            first_load = sum([(await request.sizes())["responseBodySize"] for request in own])
            reason = await explain_a_failure(page)
            explained = time.monotonic() - first_line
            watch.lap(f"Failures, until a failed receipt has its reason: {reason}")
            total = watch.total
            await browser.close()
    measured = [
        (total, TARGET_SECONDS, "seconds in all"),
        (explained, EXPLAINED_SECONDS, "seconds from the demo's first line to an explained failure"),
        (usable, USABLE_SECONDS, "seconds until GraphiQL is usable"),
        (first_load, FIRST_LOAD_BYTES, "bytes of GraphiQL's first load"),
    ]
    for value, target, what in measured:
        print(f"{value:,.1f} of at most {target:,.0f} {what}")
    return int(any(value > target for value, target, _ in measured))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

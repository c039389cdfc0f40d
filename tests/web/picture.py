"""README's picture of GraphiQL, taken from the demo in Chromium: `python -m tests.web.picture`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from playwright.async_api import Browser, async_playwright, expect

from gateway.demo import demo_app
from gateway.sandbox import Fault, Sandbox
from gateway.web.server import serving

from ..conftest import CHROMIUM_FLAGS, ROOT, find_chromium
from .page import looking

__all__ = ["PICTURE", "take_picture"]

PICTURE = ROOT / ".ci" / "graphiql.png"
SEED = 1
"""The demo's own, so that the sids are those of README."""
LATENCY = (0.05, 0.14)
"""Seconds that the sandbox takes for an answer, about as Twilio."""


async def take_picture(browser: Browser, path: Path) -> None:
    """Write a picture of the example Failures after its run: its calls, and its receipts as a table."""
    async with Sandbox(seed=SEED) as sandbox, serving(demo_app(sandbox)) as base, looking(browser, base) as visit:
        page = visit.page
        sandbox.faults.add("*", Fault(latency=LATENCY))
        await visit.open(f"{base}/graphiql")
        await page.get_by_role("tab", name="Failures", exact=True).click()
        await expect(page.get_by_test_id("status")).to_contain_text("at most")
        await visit.run()
        await expect(page.get_by_test_id("receipts").locator("tbody tr").first).to_be_visible()
        await expect(page.get_by_test_id("calls").locator(".call").first).to_be_visible()
        await page.evaluate("document.fonts.ready")
        await page.screenshot(path=path, animations="disabled", caret="hide")


async def main() -> int:
    """Take the picture again."""
    chromium = find_chromium()
    if chromium is None:
        sys.stdout.write("chromium is not here.\n")
        return 2
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        await take_picture(browser, PICTURE)
        await browser.close()
    sys.stdout.write(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size:,} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

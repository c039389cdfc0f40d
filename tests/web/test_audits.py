"""Audits: of GraphQL over HTTP by npm `graphql-http`, MAY included, and of GraphiQL's accessibility by axe-core."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from gateway.sandbox import Sandbox

from ..conftest import npm_ci, serving
from .page import RUN, demo, looking

HERE = Path(__file__).parent / "audits"
PANELS = [
    "Documentation Explorer",
    "GraphiQL Explorer",
    "History",
    "Upstream calls",
    "Plan",
    "Saved operations",
    "Deliveries",
    "HTTP",
]
VIOLATIONS = """async () => (await axe.run()).violations
  .filter(({impact}) => impact === "serious" || impact === "critical")
  .map(({id, nodes}) => `${id}: ${nodes.map(({html}) => html.slice(0, 200)).join(" ")}`)"""
CUT_OFF = """() => {
  // What a person sees only in part: an element beyond the window's edge, unless a region that scrolls holds it.
  const scrolls = (element) =>
    element && (/auto|scroll/.test(getComputedStyle(element).overflowX) || scrolls(element.parentElement));
  return [...document.querySelectorAll(":is(button, input, select, a, h1, h2, h3, p, li, td, th, dt, dd)")]
    .filter((element) => !element.closest(".monaco-editor, .unseen") && element.checkVisibility())
    .filter((element) => !scrolls(element.parentElement))
    .map((element) => [element, element.getBoundingClientRect()])
    .filter(([, {left, right, width}]) => width > 0 && (left < -1 || right > innerWidth + 1))
    .map(([element]) => element.outerHTML.slice(0, 200));
}"""
FOCUSED = """() => {
  const {activeElement: element} = document;
  return element.getAttribute("aria-label") || element.textContent.trim() || element.id;
}"""


@pytest.fixture(scope="module")
def audits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The suites, installed. Where Node.js or its packages cannot be had, the test is skipped."""
    folder = tmp_path_factory.mktemp("audits")
    npm_ci(HERE, folder)
    return folder


async def test_all_audits_pass(audits: Path, base_url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        "node", "run.mjs", f"{base_url}/graphql", cwd=audits, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    outcomes = json.loads(output)
    assert len(outcomes) == 61
    assert [outcome for outcome in outcomes if outcome["status"] != "ok"] == []


async def focused(page: Page, keys: list[str]) -> list[str]:
    """Return the names of the elements that these keys, one after another, move the focus to."""
    names: list[str] = []
    for key in keys:
        await page.keyboard.press(key)
        names.append(await page.evaluate(FOCUSED))
    return names


async def test_graphiql_is_for_all_at_every_width(audits: Path, browser: Browser, sandbox: Sandbox) -> None:
    """Every panel, narrow in both schemes, then wide: axe-core finds no serious violation, and nothing is cut off."""
    axe = (audits / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    async with serving(demo(sandbox)) as base, looking(browser, base, scheme="dark") as visit:
        page = visit.page
        parts = page.get_by_role("navigation", name="Parts of the page")
        receipts = page.get_by_test_id("receipts")

        async def audit(place: str) -> None:
            found: list[Any] = [await page.evaluate(VIOLATIONS), await page.evaluate(CUT_OFF)]
            assert found == [[], []], place

        await page.set_viewport_size({"width": 390, "height": 844})
        await visit.open(f"{base}/graphiql")
        await page.evaluate(axe)
        await audit("narrow, query")
        # The keyboard leaves an editor, and reaches what runs it.
        await page.locator(".graphiql-query-editor .monaco-editor").click()
        names = await focused(page, ["Escape", *["Tab"] * 7])
        assert names[0].startswith("Operation: Escape, then Tab")
        assert [name.split(" (")[0] for name in names[1:5]] == [
            "Execute query",
            "Prettify query",
            "Merge fragments into query",
            "Copy query",
        ]
        assert names[5:] == ["Variables", "Headers", "Hide editor tools"]
        await page.locator(RUN).focus()
        await page.keyboard.press("Enter")
        await expect(receipts.locator("tbody tr").first).to_be_visible()  # The answer takes the place of the query.
        await expect(page.locator(".graphiql-query-editor")).to_be_hidden()
        await audit("narrow, table")
        await page.get_by_role("button", name="JSON").click()
        await audit("narrow, JSON")
        for scheme in ("dark", "light"):
            await page.emulate_media(color_scheme=scheme)
            for panel in PANELS:
                await page.get_by_label(re.compile(f"^(Show|Hide) {panel}")).click()
                await expect(parts.locator("[aria-current]")).to_have_text(panel)
                await expect(page.locator(".graphiql-plugin")).to_be_visible()
                await audit(f"narrow, {scheme}, {panel}")
        await parts.get_by_role("button", name="Query").click()
        await page.get_by_label("Hide HTTP").click()  # It is open, behind the query: its button shows it.
        await expect(page.get_by_test_id("http")).to_be_visible()
        await page.set_viewport_size({"width": 1440, "height": 900})
        await visit.open(f"{base}/graphiql")  # GraphiQL's editors have the scheme that they were opened in.
        await page.evaluate(axe)
        await page.get_by_role("tab", name="Failures", exact=True).click()
        await visit.run()
        await page.get_by_role("button", name="Receipts", exact=True).click()
        for panel in PANELS:
            await page.get_by_label(f"Show {panel}").click()
            await expect(page.get_by_label(f"Hide {panel}")).to_be_visible()
            await audit(f"wide, {panel}")
        # Delete closes a tab, whose cross is for the pointer only.
        tabs = page.locator(".graphiql-tab-button")
        count = await tabs.count()
        await tabs.last.focus()
        await page.keyboard.press("Delete")
        await expect(tabs).to_have_count(count - 1)
        # GraphiQL's explorer logs each argument that is a list.
        visit.accepted.append("arg mismatch between arg and selection")

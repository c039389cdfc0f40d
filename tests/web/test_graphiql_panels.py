"""GraphiQL's receipts as a table, copies of an operation, the drawn plan, and saved operations, in a real browser."""

import asyncio
import json
import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from playwright.async_api import Browser, expect

from gateway.app import create_app
from gateway.callers.callers import Token
from gateway.demo import known_variables, settings_for
from gateway.sandbox import Sandbox

from ..conftest import EXAMPLES, ROOT, serving
from .page import Visit, demo, looking
from .picture import PICTURE, take_picture

TOKEN = "ann-has-a-long-token"
PICTURE_BYTES = 300_000


async def test_receipts_are_a_table_and_json_is_one_click_away(browser: Browser, sandbox: Sandbox) -> None:
    async with serving(demo(sandbox)) as base, looking(browser, base) as visit:
        page, result = visit.page, visit.page.locator(".result-window")
        await visit.open(f"{base}/graphiql")
        await page.get_by_role("tab", name="Thread").click()
        await expect(page.get_by_test_id("answer-views")).to_have_count(0)
        await visit.run()
        table = page.get_by_test_id("receipts")
        await expect(table.locator("tbody tr").first).to_be_visible()
        await expect(result).to_be_hidden()
        chips = table.locator(".chip")
        count = await chips.count()
        await table.get_by_role("button", name="Status").click()
        await expect(table.locator("[aria-sort=ascending]")).to_have_count(1)
        await expect(chips.first).to_have_class("chip bad")
        await table.get_by_role("button", name="Status").click()
        await expect(chips.last).to_have_class("chip bad")
        await table.get_by_role("button", name="Copy as CSV").click()
        await expect(table).to_contain_text("Copied")
        csv = await page.evaluate("navigator.clipboard.readText()")
        lines = csv.split("\r\n")
        assert len(lines) == count + 2  # The names of the columns, and the end of the last line.
        assert lines[0].startswith("messageSid,receiptSid,status")
        await page.get_by_role("button", name="JSON").click()
        await expect(result).to_be_visible()
        await expect(table).to_have_count(0)
        await page.reload()  # The choice is kept.
        await visit.run()
        await expect(page.get_by_role("button", name="JSON")).to_have_attribute("aria-pressed", "true")
        await page.get_by_role("tab", name="Conversations").click()
        await visit.run()
        await expect(page.get_by_test_id("answer-views")).to_have_count(0)


async def test_an_operation_is_copied_without_its_token_and_can_be_run(browser: Browser, sandbox: Sandbox) -> None:
    app = create_app(
        replace(settings_for(sandbox), tokens={"ann": Token(TOKEN)}),
        graphiql_variables=known_variables(sandbox.landmarks),
    )
    async with serving(app) as base, looking(browser, base) as visit:
        page, panel = visit.page, visit.page.get_by_test_id("http")
        await visit.open(f"{base}/graphiql")
        await page.get_by_role("button", name="Headers").click()
        await visit.write(".graphiql-editor-tool", json.dumps({"Authorization": f"Bearer {TOKEN}"}))
        await expect(page.get_by_test_id("status")).to_contain_text("at most")
        await page.get_by_label("Show HTTP").click()
        await expect(panel).to_contain_text("Run the operation")
        await visit.run()
        assert await visit.figure("http", "status") == "200"
        await expect(panel.get_by_role("row", name="gateway-cost")).to_contain_text("requested=22")
        copies = {}
        for kind in ("curl", "command", "link"):
            await panel.get_by_role("button", name=f"Copy as {kind}").click()
            await expect(panel.get_by_role("status").filter(has_text=kind)).to_contain_text("Copied")
            copies[kind] = await page.evaluate("navigator.clipboard.readText()")
        assert TOKEN not in "".join(copies.values())
        gateway = f"{shlex.quote(sys.executable)} -m gateway"
        runs = [copies["curl"] + " --silent", copies["command"].replace("receipts-gateway", gateway, 1)]
        for command in runs:
            process = await asyncio.create_subprocess_shell(
                command, stdout=asyncio.subprocess.PIPE, env={**os.environ, "RECEIPTS_GATEWAY_TOKEN": TOKEN}
            )
            output, _ = await process.communicate()
            assert json.loads(output)["data"]["service"]["conversation"]["friendlyName"] == "Boiler inspection", command
        tabs = page.locator(".graphiql-tab-button")
        count = await tabs.count()
        link = copies["link"].replace("Thread", "Followed")
        await page.evaluate("link => { location.href = link }", link)  # While the page is open.
        await expect(tabs.filter(has_text="Followed")).to_be_visible()
        await expect(tabs).to_have_count(count + 1)
        await page.get_by_role("button", name="Variables").click()
        await expect(page.locator("[aria-label=Variables]")).to_contain_text(sandbox.landmarks["conversation_sid"])
        assert page.url == f"{base}/graphiql"
        await page.goto("about:blank")
        await visit.open(copies["link"].replace("Thread", "Opened"))  # From elsewhere.
        await expect(tabs.filter(has_text="Opened")).to_be_visible()
        await expect(page.locator(".graphiql-query-editor")).to_contain_text("Opened")
        assert page.url == f"{base}/graphiql"
        visit.accept_refusals()


async def test_the_plan_is_drawn_and_told(browser: Browser, sandbox: Sandbox) -> None:
    async with serving(demo(sandbox)) as base, looking(browser, base) as visit:
        page, drawing = visit.page, visit.page.get_by_test_id("plan-drawing")
        await visit.open(f"{base}/graphiql")
        await page.get_by_role("tab", name="Failures", exact=True).click()
        await visit.show("Plan")
        boxes = drawing.locator(".box")
        await expect(boxes).to_have_count(5)
        assert {
            await box.get_attribute("data-field"): await box.get_attribute("data-trip") for box in await boxes.all()
        } == {
            "service": "1",
            "service.conversation": "1",
            "service.conversation.messages": "1",
            "service.conversation.messages.receipts": "2",
            "service.conversation.messages.receipts.participant": "3",
        }
        await expect(drawing.locator(".box.skipped")).to_have_count(2)
        await expect(drawing.locator(".arrow")).to_have_count(4)
        picture = drawing.get_by_role("img", name="The calls of the plan by round trip")
        await expect(picture).to_be_visible()
        await expect(picture.locator("desc")).to_contain_text(
            "Round trip 3: service.conversation.messages.receipts.participant"
        )


async def test_operations_are_saved_exported_imported_and_trusted_ones_listed(
    browser: Browser, sandbox: Sandbox, tmp_path: Path
) -> None:
    documents = {path.stem: path.read_text(encoding="utf-8") for path in EXAMPLES}
    documents["described"] = '"Says what it is." query Described { services { edges { cursor } } }'
    app = create_app(settings_for(sandbox), documents=documents, graphiql_variables=known_variables(sandbox.landmarks))
    async with serving(app) as base, looking(browser, base) as visit:
        page, saved = visit.page, visit.page.get_by_test_id("saved")
        await visit.open(f"{base}/graphiql")
        await page.get_by_label("Show Saved operations").click()
        trusted = saved.get_by_role("listitem").filter(has_text="Thread")
        await expect(trusted).to_contain_text("22 calls, 11 round trips")
        await expect(saved.get_by_role("listitem").filter(has_text="Described")).to_contain_text("Says what it is.")
        await saved.get_by_label("Collection").fill("Support")
        await saved.get_by_role("button", name="Save this operation").click()
        await expect(saved.get_by_role("heading", name="Support")).to_be_visible()
        exported = {}
        for name in ("Export all as JSON", "Export Support as GraphQL"):
            async with page.expect_download() as downloading:
                await saved.get_by_role("button", name=name).click()
            download = await downloading.value
            exported[download.suggested_filename] = tmp_path / download.suggested_filename
            await download.save_as(exported[download.suggested_filename])
        assert list(exported) == ["operations.json", "Support.graphql"]
        assert exported["Support.graphql"].read_text() == documents["thread"]
        await saved.get_by_role("button", name="Delete Thread").click()
        await expect(saved.get_by_role("heading", name="Support")).to_have_count(0)
        broken = tmp_path / "broken.graphql"
        broken.write_text("query {")
        for path, words in [
            (broken, "not a GraphQL document"),
            (exported["operations.json"], "is imported: 1 operation."),
        ]:
            await saved.locator("input[type=file]").set_input_files(path)
            await expect(saved.get_by_role("status")).to_contain_text(words)
        await page.reload()
        await expect(saved.get_by_role("heading", name="Support")).to_be_visible()  # GraphiQL keeps the panel open.
        tabs = page.locator(".graphiql-tab-button")
        count = await tabs.count()
        await saved.get_by_role("button", name="Thread", exact=True).first.click()
        await expect(tabs).to_have_count(count + 1)
        await expect(page.locator("[aria-label=Variables]")).to_contain_text(sandbox.landmarks["conversation_sid"])
        await saved.get_by_role("button", name="Conversations").click()
        await visit.run()
        await expect(page.locator(".result-window")).to_contain_text("services")
        await saved.get_by_role("button", name="Described").click()
        await page.get_by_label("Show Plan").click()
        await expect(page.get_by_test_id("plan")).to_contain_text("Says what it is.")


async def test_trusted_documents_are_listed_once_there_is_a_token_and_after_a_reload(
    browser: Browser, sandbox: Sandbox
) -> None:
    documents = {"1": "query Services { services { edges { cursor } } }"}
    app = create_app(replace(settings_for(sandbox), tokens={"ann": Token(TOKEN)}), documents=documents)
    async with serving(app) as base, looking(browser, base) as visit:
        page, saved = visit.page, visit.page.get_by_test_id("saved")
        await visit.open(f"{base}/graphiql")
        await page.get_by_label("Show Saved operations").click()
        await expect(saved).to_contain_text("A valid token is required")
        await page.get_by_role("button", name="Headers", exact=True).click()
        await visit.write(".graphiql-editor-tool", json.dumps({"Authorization": f"Bearer {TOKEN}"}))
        await expect(saved.get_by_role("listitem")).to_contain_text("1 call, 1 round trip")
        await expect(saved).not_to_contain_text("A valid token is required")
        await page.reload()  # GraphiQL keeps the panel open.
        await expect(saved.get_by_role("listitem")).to_contain_text("1 call, 1 round trip")
        visit.accept_refusals()


async def test_the_keyboard_does_not_stop_at_a_panel_that_is_closed(browser: Browser, sandbox: Sandbox) -> None:
    async with serving(demo(sandbox)) as base, looking(browser, base) as visit:
        page, focused = visit.page, visit.page.locator(":focus")
        await visit.open(f"{base}/graphiql")
        for _ in range(2):
            await page.get_by_label("Open settings dialog").focus()
            await page.keyboard.press("Tab")
            await expect(focused).to_have_text("Thread")
            await page.get_by_label("Show Plan").click()
            await page.get_by_label("Open settings dialog").focus()
            await page.keyboard.press("Tab")
            await expect(focused).to_have_class("graphiql-plugin")
            await page.get_by_label("Hide Plan").click()


async def test_two_windows_keep_what_the_other_has_saved(browser: Browser, sandbox: Sandbox) -> None:
    async with serving(demo(sandbox)) as base, looking(browser, base) as visit:
        await visit.open(f"{base}/graphiql")
        await visit.page.get_by_label("Show Saved operations").click()
        other = Visit(await visit.page.context.new_page())
        await other.open(f"{base}/graphiql")  # GraphiQL keeps the panel open.
        for page, name in [(visit.page, "First"), (other.page, "Second"), (visit.page, "Third")]:
            saved = page.get_by_test_id("saved")
            await saved.get_by_label("Collection").fill(name)
            await saved.get_by_role("button", name="Save this operation").click()
        for page in (visit.page, other.page):
            headings = page.get_by_test_id("saved").get_by_role("heading", level=3)
            await expect(headings).to_have_text(["First", "Second", "Third"])


async def test_the_picture_of_the_readme_can_be_taken_again(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "graphiql.png"
    await take_picture(browser, path)
    assert path.stat().st_size < PICTURE_BYTES
    assert PICTURE.stat().st_size < PICTURE_BYTES
    assert path.read_bytes()[16:24] == PICTURE.read_bytes()[16:24]  # Width and height.
    assert f"]({PICTURE.relative_to(ROOT).as_posix()})" in (ROOT / "README.md").read_text(encoding="utf-8")

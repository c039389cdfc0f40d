"""GraphiQL's subscriptions, and its panel of what webhooks said, in a real browser."""

import json

from playwright.async_api import Browser, expect

from gateway.sandbox import Sandbox

from ..conftest import live
from .page import RUN, looking

TOKEN = "ann-has-a-long-token"


async def test_a_subscription_shows_events_as_they_come_and_is_stopped(browser: Browser, sandbox: Sandbox) -> None:
    marks = sandbox.landmarks
    message, receipt = marks["pending_receipt_message_sid"], marks["pending_receipt_sid"]
    async with live(sandbox, token=TOKEN) as (app, base), looking(browser, base) as visit:
        page, panel, streams = visit.page, visit.page.get_by_test_id("deliveries"), app.state.streams
        status, receipts = page.get_by_test_id("status"), page.get_by_test_id("receipts")
        await visit.open(f"{base}/graphiql")
        await page.get_by_role("button", name="Headers").click()
        await visit.write(".graphiql-editor-tool", json.dumps({"Authorization": f"Bearer {TOKEN}"}))
        await expect(status).to_contain_text("at most")
        visit.complaints.clear()  # A browser logs each 401.
        await page.get_by_label("Show Deliveries").click()
        await expect(panel).to_contain_text("None has arrived.")

        await panel.get_by_role("button", name="Open a subscription").click()
        await expect(status).to_contain_text("Plan 0 calls")
        await visit.run()
        await expect(status).to_contain_text("subscribed, 1 event so far")
        await expect(page.locator(".result-window")).to_contain_text("DeliveriesReady")
        assert streams.opened["sse"] == 1
        for to in ("sent", "failed"):
            sandbox.world.progress(message, receipt_sid=receipt, to=to, error_code=30006)
            await expect(receipts.locator("tbody tr")).to_have_count(1)  # The receipt as it is now.
            await expect(receipts.locator(".chip")).to_have_text(to)
        await expect(status).to_contain_text("subscribed, 3 events so far")
        rows = panel.locator("tbody tr")
        await expect(rows).to_have_count(2)
        await expect(rows.first).to_contain_text("onDeliveryUpdated")
        await expect(rows.first).to_contain_text("failed 30006")
        await expect(rows.first).to_contain_text("accepted")
        await expect(rows.first).to_contain_text(receipt)

        await page.locator(RUN).click()
        await expect(status).to_contain_text("Last run 3 events")
        sandbox.world.progress(message, receipt_sid=receipt, to="delivered")
        await expect(rows).to_have_count(3)
        await expect(status).to_contain_text("Last run 3 events")
        assert streams.opened["sse"] == 0

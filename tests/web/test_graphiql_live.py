"""GraphiQL's subscriptions, and its panel of what webhooks said, in a real browser."""

import json
import re
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from playwright.async_api import Browser, expect

from gateway.app import create_app
from gateway.demo import demo_app, known_variables, settings_for
from gateway.sandbox import Sandbox
from gateway.sandbox.activity import Activity
from gateway.settings import WebhookSettings

from ..conftest import live, serving
from .page import RUN, looking

TOKEN = "ann-has-a-long-token"
DEAR = """subscription Dear($service: ID!) { deliveryUpdated(serviceSid: $service) {
  ... on ReceiptChange { receipt { participant { identity } } message { body } } } }"""


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
        visit.accept_refusals()
        await page.get_by_label("Show Deliveries").click()
        await expect(panel).to_contain_text("None has arrived.")

        await panel.get_by_role("button", name="Open a subscription").click()
        await expect(status).to_contain_text("Plan 0 calls and 0 round trips at most for each event")
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


async def test_the_price_of_a_subscription_is_that_of_each_event(browser: Browser, sandbox: Sandbox) -> None:
    address = f"graphiql?q={quote(DEAR)}&variables={quote(json.dumps({'service': sandbox.landmarks['service_sid']}))}"
    async with serving(demo_app(sandbox)) as base, looking(browser, base) as visit:
        status, plan = visit.page.get_by_test_id("status"), visit.page.get_by_test_id("plan")
        await visit.open(f"{base}/{address}")
        await expect(status).to_contain_text("Plan 11 calls and 10 round trips at most for each event")
        await visit.show("Plan")
        await expect(plan.locator(".figures")).to_have_text(re.compile("11 calls at most.*for each event"))
        await expect(plan.get_by_role("img").locator("title").first).to_have_text(
            "The calls of the plan for each event by round trip"
        )
        await visit.write(".graphiql-query-editor", DEAR.partition("receipt {")[0] + "cursor } } }")
        await expect(plan).to_contain_text("nothing will be called for an event.")
        await visit.write(".graphiql-query-editor", "{ services { edges { node { friendlyName } } } }")
        await expect(status).to_contain_text("1 call and 1 round trip at most")
        await expect(status).not_to_contain_text("for each event")
        await expect(plan).not_to_contain_text("event")
    app = create_app(replace(settings_for(sandbox), cost_max=10))
    async with serving(app) as base, looking(browser, base) as visit:
        await visit.open(f"{base}/{address}")
        status, plan = visit.page.get_by_test_id("status"), visit.page.get_by_test_id("plan")
        await expect(status).to_contain_text("too expensive: 11 calls for each event, 10 allowed")
        await visit.show("Plan")
        await expect(plan).to_contain_text("Refused before its first event: 11 for each event are more than 10.")


GAP = 8
"""Pixels between the texts of two columns."""
LEAST_GAP = """(table) => {
  const gaps = [];
  for (const row of table.rows) {
    const boxes = [...row.cells].map((cell) => {
      const text = document.createRange();
      text.selectNodeContents(cell);
      return text.getBoundingClientRect();
    }).filter(({width}) => width > 0);
    boxes.slice(1).forEach((box, place) => gaps.push(box.left - boxes[place].right));
  }
  return Math.min(...gaps);
}"""
HOW_TO = "How to configure webhooks at Twilio"
WEBHOOK = WebhookSettings(url="https://example.com/webhooks/twilio", auth_token="a-secret", account_sid="AC" + "0" * 32)


@pytest.mark.parametrize(
    ("settings", "said", "hint", "subscribes"),
    [
        (
            {"webhook": WEBHOOK},
            "A subscription is sent the changes. The conversations that it names are also polled every 30 s.",
            f"None has arrived. {HOW_TO}; receipts-gateway check --webhooks says what is missing.",
            True,
        ),
        (
            {"webhook": WEBHOOK, "reconcile_seconds": 0},
            "The last webhooks that the gateway received, and what became of each. A subscription is sent the changes.",
            f"None has arrived. {HOW_TO}",
            True,
        ),
        (
            {"webhook": WEBHOOK, "subscriptions": False},
            "and what became of each. Subscriptions are turned off.",
            f"None has arrived. {HOW_TO}",
            False,
        ),
        (
            {"reconcile_seconds": 5},
            "This gateway receives no webhooks. A subscription is sent the changes of the conversations that it names, "
            "which are polled every 5 s.",
            f"{HOW_TO}.",
            True,
        ),
        (
            {"reconcile_seconds": 0},
            "This gateway receives no webhooks and polls no conversations, so that a subscription would be sent no changes.",
            f"{HOW_TO}.",
            False,
        ),
        (
            {"subscriptions": False},
            "This gateway receives no webhooks, and subscriptions are turned off.",
            f"{HOW_TO}.",
            False,
        ),
    ],
)
async def test_the_panel_says_how_changes_are_learned(
    browser: Browser, sandbox: Sandbox, settings: dict[str, Any], said: str, hint: str, subscribes: bool
) -> None:
    app = create_app(replace(settings_for(sandbox), **settings))
    async with serving(app) as base, looking(browser, base) as visit:
        panel = visit.page.get_by_test_id("deliveries")
        await visit.open(f"{base}/graphiql")
        await visit.page.get_by_label("Show Deliveries").click()
        hints = panel.locator(".hint")
        await expect(hints).to_have_count(2)
        await expect(hints.first).to_contain_text(said)
        await expect(hints.last).to_contain_text(hint)
        await expect(panel.get_by_role("button", name="Open a subscription")).to_have_count(int(subscribes))
        await expect(panel.locator(".problems")).to_have_count(0)


async def test_the_demo_says_what_its_sandbox_sends(browser: Browser, sandbox: Sandbox) -> None:
    async with live(sandbox) as (_, base), looking(browser, base) as visit:
        panel = visit.page.get_by_test_id("deliveries")
        await visit.open(f"{base}/graphiql")
        await visit.page.get_by_label("Show Deliveries").click()
        await expect(panel).to_contain_text(
            "None has arrived. The sandbox sends one for each change, and makes none by itself; with demo --live it does, "
            "each second."
        )
        await expect(panel.locator("code")).to_have_text("demo --live")
        await expect(panel).not_to_contain_text("Twilio")
    async with live(sandbox, is_live=True) as (_, base), looking(browser, base) as visit:
        panel = visit.page.get_by_test_id("deliveries")
        await visit.open(f"{base}/graphiql")
        await visit.page.get_by_label("Show Deliveries").click()
        await expect(panel).to_contain_text(
            "None has arrived. The sandbox makes a change each second, and sends a webhook for it."
        )
        activity = Activity(sandbox)
        activity.start()
        await expect(panel.locator("tbody tr").first).to_contain_text("accepted")
        await activity.stop()
        assert await panel.locator("table").evaluate(LEAST_GAP) >= GAP
        await expect(panel).not_to_contain_text("None has arrived.")


async def test_without_webhooks_the_subscription_names_a_conversation_and_is_sent_its_changes(
    browser: Browser, sandbox: Sandbox
) -> None:
    app = create_app(
        replace(settings_for(sandbox), reconcile_seconds=0.05), graphiql_variables=known_variables(sandbox.landmarks)
    )
    marks = sandbox.landmarks
    async with serving(app) as base, looking(browser, base) as visit:
        page, panel = visit.page, visit.page.get_by_test_id("deliveries")
        await visit.open(f"{base}/graphiql")
        await page.get_by_label("Show Deliveries").click()
        await panel.get_by_role("button", name="Open a subscription").click()
        await expect(page.locator("[aria-label='Variables']")).to_contain_text(marks["conversation_sid"])
        await visit.run()
        await expect(page.locator(".result-window")).to_contain_text("DeliveriesReady")
        conversation = sandbox.world.find_conversation(marks["conversation_sid"])
        newest = conversation.message(len(conversation.message_indexes()) - 1)
        sandbox.world.progress(newest.sid, to="failed", error_code=30006)
        chips, count = page.get_by_test_id("receipts").locator(".chip"), len(newest.recipients)
        await expect(chips).to_have_text(["failed"] * count)
        await page.locator(RUN).click()
        await expect(page.get_by_test_id("status")).to_contain_text(f"Last run {count + 1} events")


async def test_a_demo_that_other_machines_reach_says_why_no_webhooks_arrive(browser: Browser, sandbox: Sandbox) -> None:
    async with serving(demo_app(sandbox)) as base, looking(browser, base) as visit:
        await visit.open(f"{base}/graphiql")
        await visit.page.get_by_label("Show Deliveries").click()
        await expect(visit.page.get_by_test_id("deliveries")).to_contain_text(
            "with --host 127.0.0.1, the demo receives them."
        )

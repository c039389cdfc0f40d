"""What GraphiQL says of a run: its axis, its waits, what was refused or not found, and which calls can be copied."""

import asyncio
import os
import re
from dataclasses import replace
from itertools import pairwise
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from playwright.async_api import Browser, Page, expect

from gateway.app import create_app
from gateway.callers.callers import Token
from gateway.demo import demo_app, known_variables, settings_for
from gateway.sandbox import Fault, Sandbox

from ..conftest import serving
from .page import RUN, answering, demo, looking

MESSAGES = """query Q { service(sid: "%(service_sid)s") { conversation(sid: "%(conversation_sid)s") {
  messages(first: %(first)s) { edges { node { sid receipts { edges { node { sid } } } } } } } } }"""


def traced(*calls: tuple[str, float, float]) -> dict[str, Any]:
    """An answer with a trace of calls: path, start and duration in milliseconds."""
    network = [
        {"path": path, "status": 200, "startMs": start, "waitMs": 0.0, "durationMs": duration, "attempt": 1,
         "roundTrip": number, "retryAfterMs": None, "source": "network", "reason": None}
        for number, (path, start, duration) in enumerate(calls, 1)
    ]  # fmt: skip
    end = max(start + duration for _, start, duration in calls)
    upstream = {"count": len(calls), "totalMs": end, "roundTrips": len(calls), "calls": network}
    cost = {"requested": len(calls), "planned": len(calls), "actual": len(calls)}
    return {"data": {"services": None}, "extensions": {"upstream": upstream, "cost": cost}}


async def axis(page: Page) -> list[tuple[str, float, float]]:
    """The labels of the axis: each with its place and the time at its line, in milliseconds, as the scale of the bar has it."""
    found: list[tuple[str, float, float]] = await page.evaluate(
        """() => {
          const number = (element, name) => Number(element.getAttribute(name));
          const bar = document.querySelector(".waterfall .call .bar");
          const lines = [...document.querySelectorAll(".waterfall line.tick")].map((line) => number(line, "x1"));
          return [...document.querySelectorAll(".waterfall .tick-label")].map((label) => {
            const line = Math.max(...lines.filter((x) => x <= number(label, "x")));
            return [label.textContent, number(label, "x"), (line - number(bar, "x")) / number(bar, "width")];
          });
        }"""
    )
    return found


LOW_CONTRASTS = """() => {
  // The texts of this page's own elements whose contrast with what is behind them is below 4.5 (WCAG 2.2, 1.4.3).
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const channels = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a)];
  const luminance = (colour) => {
    const linear = colour.map((each) => (each <= 10 ? each / 3294.6 : ((each / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const behind = (element) => {
    if (!element) return [255, 255, 255];
    const colour = channels(getComputedStyle(element).backgroundColor);
    return colour[3] === 1 ? colour.slice(0, 3) : over(colour, behind(element.parentElement));
  };
  const low = [];
  for (const element of document.querySelectorAll(".panel *, .status *, .logo *, .first-hint *")) {
    const text = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data.trim()).join("");
    if (!text || element.matches("title, desc, option")) continue;
    const style = getComputedStyle(element);
    const under = behind(element);
    const colour = over(channels(element.closest("svg") ? style.fill : style.color), under);
    const [dark, light] = [luminance(colour), luminance(under)].sort((one, other) => one - other);
    const contrast = (light + 0.05) / (dark + 0.05);
    if (contrast < 4.5) low.push(`${text.slice(0, 40)} ${contrast.toFixed(2)}`);
  }
  return low;
}"""

AXES = {
    0.9: ["0 ms", "500 ms"],
    1: ["0 s", "0.5 s", "1 s"],
    1.5: ["0 s", "0.5 s", "1 s", "1.5 s"],
    3.4: ["0 s", "1 s", "2 s", "3 s"],
    10: ["0 s", "5 s", "10 s"],
    65: ["0 s", "20 s", "40 s", "60 s"],
}
"""The labels of the axis for a call of so many seconds."""


MANY_TRIPS = [
    ("Services?PageSize=50", start, duration) for start, duration in [(0.0, 5.0), (5.0, 5.0), (10.0, 900.0)]
] + [("Services?PageSize=50", 910.0 + step, 1.0) for step in range(20)]
"""Calls of which only the third is longer than its label."""


async def test_the_waterfall_is_true_to_its_axis_and_labels_give_way(browser: Browser, sandbox: Sandbox) -> None:
    answer: dict[str, Any] = {}
    async with serving(answering(demo(sandbox), answer)) as base, looking(browser, base) as visit:
        await visit.open(f"{base}/graphiql")
        for seconds, expected in AXES.items():
            answer |= traced(("Services?PageSize=50", 0.0, seconds * 1000))
            await visit.run()
            time = visit.page.get_by_test_id("calls").locator("[data-figure=time]")
            await expect(time).to_have_text(f"{seconds:g}\u00a0s" if seconds >= 1 else "900\u00a0ms")
            labels = await axis(visit.page)
            assert [text.replace("\u00a0", " ") for text, _, _ in labels] == expected[: len(labels)]
            assert len(labels) >= len(expected) - 1  # The last one may have no room before the edge.
            for text, _, share in labels:
                number, unit = text.split("\u00a0")
                written = float(number) * {"ms": 1, "s": 1000}[unit]
                assert written == pytest.approx(share * seconds * 1000, rel=0.01, abs=1)
        answer |= traced(*MANY_TRIPS)
        await visit.run()
        await expect(visit.page.locator(".waterfall .trip-name").filter(has_text="round trip 3")).to_be_visible()
        for kind in ("trip-name", "tick-label"):
            boxes = [await each.bounding_box() for each in await visit.page.locator(f".waterfall .{kind}").all()]
            spans = sorted((box["x"], box["x"] + box["width"]) for box in boxes if box is not None)
            assert all(one[1] <= other[0] for one, other in pairwise(spans)), kind
        bars = [await each.bounding_box() for each in await visit.page.locator(".waterfall .call .bar").all()]
        assert all(box is not None and box["width"] >= 3 and box["height"] >= 3 for box in bars)


async def test_waiting_retrying_and_answering_look_different(browser: Browser, sandbox: Sandbox) -> None:
    sandbox.faults.add(
        "*/Messages?*", Fault("status", status=429, retry_after=3, times=1)
    )  # On a busy machine too, most of the axis.
    sandbox.faults.add("*", Fault(latency=0.02))
    app = create_app(replace(settings_for(sandbox), cache_bytes=0, upstream_concurrency=1))
    query = MESSAGES % {**sandbox.landmarks, "first": 12}
    async with serving(app) as base, looking(browser, base) as visit:
        await visit.open(f"{base}/graphiql?q={quote(query)}")
        await visit.run()
        calls = visit.page.get_by_test_id("calls")
        await expect(calls).to_contain_text("1 call failed (429), 1 call had to be made again.")
        await expect(calls).to_contain_text(re.compile(r"passed: Retry-After was 3\u00a0s\."))
        await expect(calls.locator(".call .pause")).to_have_count(1)
        await expect(calls.locator(".pause-name")).to_have_text(re.compile(r"Retry-After 3\u00a0s"))
        await expect(calls.locator(".call .wait").nth(5)).to_be_attached()
        looks = {
            kind: await calls.locator(f".call .{kind}").first.evaluate(
                "(each) => { const {fill, stroke, strokeDasharray} = getComputedStyle(each);"
                " return [each.tagName, fill, stroke, strokeDasharray].join() }"
            )
            for kind in ("wait", "pause", "bar")
        }
        assert len(set(looks.values())) == 3
        await calls.locator(".call", has=visit.page.locator(".pause")).locator(".bar").click()
        details = visit.page.get_by_test_id("details")
        await expect(details).to_contain_text(re.compile(r"attempt 2 after 3(\.\d+)?\u00a0s \(Retry-After: 3\u00a0s\)"))
        assert (await visit.figure("calls", "calls"), await visit.figure("calls", "retries")) == ("13", "1")
        # A retry is neither a call of the plan nor a round trip, so that "at most" holds.
        await expect(visit.page.get_by_test_id("status")).to_contain_text("13 calls, 1 retry, 2 round trips")
        await expect(visit.page.get_by_test_id("status")).to_contain_text("13 calls and 2 round trips at most")


async def test_without_known_sids_the_first_tab_can_be_run_and_leads_on(browser: Browser, sandbox: Sandbox) -> None:
    app = create_app(replace(settings_for(sandbox), cache_bytes=0))
    async with serving(app) as base, looking(browser, base) as visit:
        page, status = visit.page, visit.page.get_by_test_id("status")
        await visit.open(f"{base}/graphiql")
        tabs = page.locator(".graphiql-tab-button")
        for place, name in enumerate(["Conversations", "Legend", "Thread"]):
            await expect(tabs.nth(place)).to_have_text(name)
        await page.get_by_role("tab", name="Thread").click()
        await expect(status).to_contain_text("Plan an error at service: Expected a sid of the form IS")
        await page.locator(RUN).click()
        problems = page.get_by_test_id("problems")
        await expect(problems).to_contain_text("Expected a sid of the form IS")
        await expect(problems).to_contain_text("$serviceSid and $conversationSid are empty")
        calls = page.get_by_test_id("calls")
        await expect(calls).to_contain_text("Nothing was called: the operation was refused.")
        await expect(calls).not_to_contain_text("cached")
        await expect(status).to_contain_text(re.compile(r"Last run Expected a sid .* \(at service\)"))
        await page.get_by_role("tab", name="Conversations").click()
        await visit.run()
        rows = page.get_by_test_id("rows")
        await rows.get_by_role("combobox").select_option(
            label=f"Boiler inspection · {sandbox.landmarks['conversation_sid']}"
        )
        await rows.get_by_role("button", name="Thread").click()
        await expect(page.locator("[aria-label='Variables']")).to_contain_text(sandbox.landmarks["conversation_sid"])
        await page.locator(RUN).click()
        await expect(page.locator(".result-window")).to_contain_text("Boiler inspection")
        await expect(problems).to_have_count(0)
        receipt = await rows.locator("option", has_text="DY").first.get_attribute("value")
        await rows.get_by_role("combobox").select_option(receipt)
        await rows.get_by_role("button", name="Receipt").click()
        await page.locator(RUN).click()
        await expect(page.locator(".result-window")).to_contain_text("rawStatus")


async def test_a_run_without_calls_says_why(browser: Browser, sandbox: Sandbox) -> None:
    only_sids = '{ service(sid: "%s") { sid } }' % sandbox.landmarks["service_sid"]
    async with serving(demo(sandbox)) as base, looking(browser, base) as visit:
        calls = visit.page.get_by_test_id("calls")
        await visit.open(f"{base}/graphiql")
        for query, reason in [
            ("{ services { edges { node { sid } } } }", "The slowest answer, to Services"),
            ("{ services { edges { node { sid } } } }", "Nothing was called: every value is cached."),
            (only_sids, "Nothing was called: no value that is selected needs a call."),
            ("{ __typename }", "Nothing was called: the operation needs no data from Twilio."),
            ("{ nothing }", "Nothing was called: the operation was refused."),
        ]:
            await visit.write(".graphiql-query-editor", query)
            await visit.page.locator(RUN).click()
            await expect(calls).to_contain_text(reason)
        await expect(visit.page.get_by_test_id("problems")).to_contain_text(
            "Cannot query field 'nothing' on type 'Query'."
        )


async def test_what_twilio_does_not_have_is_named(browser: Browser, sandbox: Sandbox) -> None:
    query = '{ service(sid: "%s") { conversation(sid: "CH%032d") { friendlyName } } }' % (
        sandbox.landmarks["service_sid"],
        7,
    )
    async with serving(demo_app(sandbox)) as base, looking(browser, base) as visit:
        await visit.open(f"{base}/graphiql?q={quote(query)}")
        await visit.run()
        await expect(visit.page.get_by_test_id("status")).to_contain_text("404: no such conversation.")
        await expect(visit.page.get_by_test_id("problems")).to_have_text("404: no such conversation.")
        await visit.page.locator(".waterfall .call .bar").click()
        await expect(visit.page.get_by_test_id("details")).to_contain_text("answered 404: no such conversation")


@pytest.mark.parametrize("of_demo", [True, False])
async def test_a_copied_call_can_be_run(browser: Browser, sandbox: Sandbox, of_demo: bool) -> None:
    settings = replace(settings_for(sandbox), cache_bytes=0)
    app = demo_app(sandbox) if of_demo else create_app(settings, graphiql_variables={"serviceSid": ""})
    environment = {"TWILIO_ACCOUNT_SID": sandbox.account_sid, "TWILIO_AUTH_TOKEN": sandbox.auth_token}
    query = MESSAGES % {**sandbox.landmarks, "first": 120}
    async with serving(app) as base, looking(browser, base) as visit:
        await visit.open(f"{base}/graphiql?q={quote(query)}")
        await visit.run()
        details, bars = visit.page.get_by_test_id("details"), visit.page.locator(".waterfall .call .bar")
        await bars.last.click()
        await details.get_by_role("button", name="Copy as curl").click()
        await expect(details).to_contain_text("Copied")
        command = await visit.page.evaluate("navigator.clipboard.readText()")
        assert (sandbox.auth_token in command) is of_demo
        process = await asyncio.create_subprocess_shell(
            f"{command} --silent --fail-with-body",
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **({} if of_demo else environment)},
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output
        assert b'"delivery_receipts"' in output
        # The page's token is not in the trace, so there is nothing to copy.
        await bars.nth(1).click()
        await expect(details).to_contain_text("there is no command to copy")


async def test_a_secret_is_shown_only_for_a_sandbox(sandbox: Sandbox) -> None:
    settings = settings_for(sandbox)
    secret = settings.credentials.secret
    app = create_app(settings, graphiql_variables={"serviceSid": "IS"})
    async with serving(app) as base, aiohttp.request("GET", f"{base}/graphiql") as response:
        page = await response.text()
    assert "$TWILIO_ACCOUNT_SID:$TWILIO_AUTH_TOKEN" in page
    assert secret not in page


async def test_each_tab_has_its_own_run(browser: Browser, sandbox: Sandbox) -> None:
    async with serving(demo_app(sandbox)) as base, looking(browser, base) as visit:
        page, status = visit.page, visit.page.get_by_test_id("status")
        await visit.open(f"{base}/graphiql")
        await visit.run()
        await expect(status).to_contain_text("Last run 13 calls")
        await page.get_by_role("tab", name="Failures", exact=True).click()
        await expect(status).to_contain_text("Last run none yet")
        await expect(page.get_by_test_id("calls")).to_contain_text("Run the operation")
        # Pages, which are read one after another, count among the round trips at most.
        await expect(status).to_contain_text("70 calls and 21 round trips at most")
        await visit.run()
        await expect(status).to_contain_text("Last run 53 calls, 4 round trips")
        await visit.show("Plan")
        await expect(page.get_by_test_id("plan")).to_contain_text("up to 10 one after another")
        await visit.show("Last run")
        await page.get_by_role("tab", name="Thread").click()
        await expect(status).to_contain_text("Last run 13 calls")
        await expect(page.get_by_test_id("calls").locator("[data-figure=calls]")).to_have_text("13")
        # A run ends with its tab: its answer would be shown in the other.
        sandbox.faults.add("*/Messages*", Fault("hang", times=1))
        await page.locator(RUN).click()
        await expect(status).to_contain_text("Last run running")
        await page.get_by_label("New tab").click()
        await expect(status).to_contain_text("Last run none yet")
        await expect(page.get_by_role("button", name="Execute query")).to_be_visible()
        result = page.locator(".result-window")
        await expect(result.locator(".view-lines")).to_have_text("")
        # An error of the page itself is shown without its stack trace.
        await page.get_by_role("tab", name="Thread").click()
        await page.route("**/graphql", lambda route: route.abort())
        await visit.run()
        await expect(result).to_contain_text("The gateway cannot be reached.")
        await expect(result).not_to_contain_text("stack")
        await expect(page.get_by_test_id("problems")).to_have_text("The gateway cannot be reached.")
        await expect(page.get_by_test_id("calls")).to_contain_text("The gateway did not reply")
        visit.accepted.append("net::ERR_FAILED")  # A browser logs each failed request.


async def test_a_reload_keeps_the_tabs_and_what_is_in_them(browser: Browser, sandbox: Sandbox) -> None:
    stored = "text => (localStorage.getItem('graphiql:tabState') ?? '').includes(text)"
    async with serving(demo_app(sandbox)) as base, looking(browser, base) as visit:
        page, variables = visit.page, visit.page.locator("[aria-label='Variables']")
        query, tabs = page.locator(".graphiql-query-editor"), page.locator(".graphiql-tab-button")
        await visit.open(f"{base}/graphiql")
        names = await tabs.all_inner_texts()
        await visit.run()
        await page.wait_for_function(stored, arg="conversationSid")
        await page.reload()  # Nothing was written into the first tab.
        await expect(query).to_contain_text("query Thread")
        await expect(variables).to_contain_text(sandbox.landmarks["conversation_sid"])
        await visit.run()
        await expect(page.locator(".result-window")).to_contain_text("Boiler inspection")
        sid = "$serviceSid"
        await visit.write(
            ".graphiql-query-editor", f"query Thread({sid}: ID!) {{ service(sid: {sid}) {{ sid }} }} # Mine"
        )
        await page.wait_for_function(stored, arg="Mine")
        await page.reload()  # Its query was written, and its variables were not.
        await expect(query).to_contain_text("Mine")
        await expect(variables).to_contain_text(sandbox.landmarks["service_sid"])
        await expect(tabs).to_have_text(names)
        await page.get_by_role("tab", name="Receipt", exact=True).click()
        await page.wait_for_function("() => JSON.parse(localStorage['graphiql:tabState']).activeTabIndex > 0")
        await page.reload()  # Another tab was open.
        await expect(query).to_contain_text("query Receipt")
        await expect(variables).to_contain_text(sandbox.landmarks["message_sid"])
        await expect(tabs).to_have_text(names)


async def test_with_a_token_the_schema_is_read_again(browser: Browser, sandbox: Sandbox) -> None:
    app = create_app(replace(settings_for(sandbox), tokens={"ann": Token("ann-has-a-long-token")}))
    async with serving(app) as base, looking(browser, base) as visit:
        page, status = visit.page, visit.page.get_by_test_id("status")
        await visit.open(f"{base}/graphiql")
        await expect(page.get_by_test_id("first-hint")).to_contain_text("into Headers, below the query")
        await expect(status).to_contain_text("Plan needs a caller’s token in Headers, below the query")
        await visit.run()
        await expect(page.get_by_test_id("problems")).to_contain_text(
            'write {"Authorization": "Bearer …"} into Headers'
        )
        await page.get_by_role("button", name="Headers").click()
        await visit.write(".graphiql-editor-tool", '{"Authorization": "Bearer ann-has-a-long-token"}')
        await expect(status).to_contain_text("round trips at most")
        await page.get_by_label(re.compile("Show Documentation Explorer")).click()
        await expect(page.locator(".graphiql-plugin")).to_contain_text("Query")
        await expect(page.locator(".graphiql-plugin")).not_to_contain_text("Error fetching schema")
        visit.accept_refusals()


async def low_contrasts(page: Page) -> list[str]:
    """The texts that are hard to read, in light or dark."""
    low: list[str] = []
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        low += await page.evaluate(LOW_CONTRASTS)
    return low


async def test_the_page_can_be_read_by_all(browser: Browser, sandbox: Sandbox) -> None:
    settings = replace(settings_for(sandbox), cache_bytes=0, cost_max=40)
    app = create_app(settings, graphiql_variables=known_variables(sandbox.landmarks))
    async with serving(app) as base, looking(browser, base) as visit:
        page, status = visit.page, visit.page.get_by_test_id("status")
        await visit.open(f"{base}/graphiql")
        await expect(page.locator("main h1")).to_have_text("receipts-gateway")
        await expect(page.locator(".panel")).to_have_count(0)  # There is nothing to show before the first run.
        await expect(page.get_by_test_id("first-hint")).to_contain_text("Run the operation")
        assert await low_contrasts(page) == []
        await visit.run()
        await expect(page.get_by_test_id("calls")).to_contain_text("13")
        lines = status.get_by_role("status")
        await expect(lines.nth(0)).to_have_text("22 calls and 11 round trips at most")
        await expect(lines.nth(1)).to_have_text(re.compile("^13 calls, 2 round trips"))
        await page.locator(".waterfall .call .bar").first.click()
        await page.get_by_test_id("spared").locator("summary").first.click()
        assert await low_contrasts(page) == []
        await visit.show("Plan")
        await expect(page.get_by_test_id("plan")).to_contain_text("Most expensive")
        assert await low_contrasts(page) == []
        await visit.write(
            ".graphiql-query-editor",
            "{ services(first: 50) { edges { node { conversations { edges { cursor } } } } } }",
        )
        await expect(page.get_by_test_id("suggestion")).to_contain_text("It would fit with")
        await visit.run()
        assert await low_contrasts(page) == []
        # What the check itself sees: the colour that GraphiQL has for errors is too bright for text.
        await page.add_style_tag(content="[data-testid=status] .line { color: hsl(var(--color-error)) !important }")
        assert await low_contrasts(page) != []


async def test_no_line_of_an_example_is_cut_or_wrapped_at_first(browser: Browser, sandbox: Sandbox) -> None:
    async with serving(demo(sandbox)) as base, looking(browser, base) as visit:
        await visit.open(f"{base}/graphiql")
        editor = visit.page.locator(".graphiql-query-editor")
        tabs = visit.page.locator(".graphiql-tab-button")
        for name in await tabs.all_inner_texts():
            await tabs.get_by_text(name, exact=True).click()
            await expect(editor.locator(".view-lines")).to_contain_text(name)
            room = await editor.locator(".monaco-scrollable-element").first.bounding_box()
            assert room is not None
            widths = await editor.locator(".view-line > span").evaluate_all(
                "(all) => all.map((each) => each.offsetWidth)"
            )
            assert 100 < max(widths) < room["width"]
            numbered = await editor.locator(".line-numbers").filter(has_text=re.compile(r"\d")).count()
            assert numbered == await editor.locator(".view-line").count()

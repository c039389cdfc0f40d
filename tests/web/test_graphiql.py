"""GraphiQL in a real browser, cut off from all but the gateway, and how its files are served."""

import gzip
import json
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, urlencode

import aiohttp
import pytest
from playwright.async_api import Browser, expect

from gateway.app import create_app
from gateway.callers.callers import Token
from gateway.demo import known_variables, settings_for
from gateway.sandbox import Fault, Sandbox
from gateway.settings import Settings
from gateway.web.graphiql import Graphiql

from ..conftest import EXAMPLES, serving
from .page import RUN, below, demo, looking

Q1 = """query Q1 {
  service(sid: "%(service_sid)s") {
    friendlyName
    conversation(sid: "%(conversation_sid)s") {
      friendlyName
      messages(first: 50) {
        edges { node { index body receipts { edges { node { status errorCode participant { identity channel } } } } } }
      }
    }
  }
}
"""


@pytest.mark.parametrize("prefix", ["", "/tools/twilio"])
async def test_the_page_works_alone_and_below_any_prefix(browser: Browser, sandbox: Sandbox, prefix: str) -> None:
    async with serving(below(prefix, demo(sandbox)) if prefix else demo(sandbox)) as url:
        base = url + prefix
        async with looking(browser, base) as visit:
            page = visit.page
            await visit.open(f"{base}/graphiql")
            tabs = page.locator(".graphiql-tab button[role=tab], .graphiql-tab-button")
            names = sorted(path.stem.title().replace("-", "") for path in EXAMPLES if path.stem != "thread")
            await expect(tabs).to_have_text(["Thread", *names])
            await expect(page.locator("[aria-label='Variables']")).to_contain_text(sandbox.landmarks["service_sid"])
            await visit.run()
            await expect(page.locator(".result-window")).to_contain_text("Boiler inspection")
            own = [request for request in visit.finished if "/graphiql" in request.url]
            assert 0 < sum([(await request.sizes())["responseBodySize"] for request in own]) <= 1_400_000
            for plugin in ("Documentation Explorer", "GraphiQL Explorer", "History"):
                await page.get_by_label(re.compile(f"Show {plugin}")).click()
                await expect(page.locator(".graphiql-plugin")).to_contain_text(
                    {"History": "Thread", "GraphiQL Explorer": "conversation"}.get(plugin, "Docs")
                )
            await visit.write(".graphiql-query-editor", "{services{edges{node{sid}}}}")
            await page.get_by_label(re.compile("Prettify")).click()
            await expect(page.locator(".graphiql-query-editor .view-line").nth(1)).to_have_text(re.compile("services"))
            await page.locator(".graphiql-query-editor .monaco-editor").click()
            await page.keyboard.press("Control+Enter")
            await expect(page.locator(".result-window")).to_contain_text(sandbox.landmarks["other_service_sid"][:10])
            await visit.has_workers("editor.worker", "graphql.worker", "json.worker")


async def test_the_panels_have_the_figures_of_the_reference_query(browser: Browser, sandbox: Sandbox) -> None:
    async with serving(demo(sandbox)) as base, looking(browser, base) as visit:
        await visit.open(f"{base}/graphiql?q={quote(Q1 % sandbox.landmarks)}")
        await visit.show("Plan")
        plan = visit.page.get_by_test_id("plan")
        await expect(plan).to_contain_text("Round trip 2")
        assert (await visit.figure("plan", "requested"), await visit.figure("plan", "trips")) == ("63", "11")
        await expect(plan).to_contain_text("2 round trips if every list fits on one page.")
        await expect(plan.get_by_test_id("dearest")).to_have_text(
            "Most expensive: service.conversation.messages.receipts, 50 calls of 63."
        )
        assert sandbox.paths == []
        await visit.show("Last run")
        await visit.run()
        figures = {
            name: await visit.figure("calls", name) for name in ("calls", "trips", "requested", "planned", "actual")
        }
        assert figures == {"calls": "54", "trips": "2", "requested": "63", "planned": "54", "actual": "54"}
        assert len(sandbox.paths) == 54
        bars = visit.page.get_by_test_id("calls").locator(".call")
        await expect(bars).to_have_count(54)
        await expect(visit.page.locator(".trip")).to_have_count(2)
        await expect(visit.page.locator(".result-window")).not_to_contain_text("extensions")
        await bars.last.locator(".bar").click()
        details = visit.page.get_by_test_id("details")
        await expect(details).to_contain_text("Round trip 2")


async def test_what_is_deferred_is_shown_behind_the_answer(browser: Browser, sandbox: Sandbox) -> None:
    query = """{ service(sid: "%(service_sid)s") { conversation(sid: "%(conversation_sid)s") { messages(first: 2) {
      edges { node { sid ... @defer { receipts(first: 1) { edges { node { sid } } } } } } } } } }"""
    sandbox.faults.add("*/Receipts*", Fault("hang", times=2))
    app = create_app(replace(settings_for(sandbox), cache_bytes=0))
    async with serving(app) as base, looking(browser, base) as visit:
        await visit.open(f"{base}/graphiql?q={quote(query % sandbox.landmarks)}")
        await expect(visit.page.get_by_test_id("status")).to_contain_text("3 calls and 2 round trips at most")
        await visit.page.locator(RUN).click()
        result = visit.page.locator(".result-window")
        await expect(result).to_contain_text(sandbox.landmarks["message_sid"][:10])
        await expect(result).not_to_contain_text("receipts")
        await visit.page.locator(RUN).click()  # It stops; and begins anew.
        await visit.run()
        await expect(result).to_contain_text(re.compile("receipts"))
        await expect(result).not_to_contain_text("extensions")
        assert (await visit.figure("calls", "trips"), await visit.figure("calls", "actual")) == ("2", "3")


async def test_a_deferred_part_is_shown_beside_what_it_shares_a_list_with(browser: Browser, sandbox: Sandbox) -> None:
    query = """{ service(sid: "%(service_sid)s") { conversation(sid: "%(conversation_sid)s") { messages(first: 1) {
      edges { node { body receipts(first: 1) { totalCount }
        ... @defer { receipts(first: 1) { edges { node { status } } } } } } }
      ... @defer { messages(first: 1) { edges { node { index } } } } } } }"""
    sandbox.faults.add("*/Receipts*", Fault("status", status=403, times=1))
    app = create_app(replace(settings_for(sandbox), cache_bytes=0))
    async with serving(app) as base, looking(browser, base) as visit:
        await visit.open(f"{base}/graphiql?q={quote(query % sandbox.landmarks)}")
        await visit.run()
        result = visit.page.locator(".result-window")
        for text in ('"totalCount": 4', '"body": "', '"index": 0'):
            await expect(result).to_contain_text(text)
        await expect(result).not_to_contain_text('"edges": null')
        await visit.run()
        for text in ('"status": "', '"totalCount": 4', '"body": "', '"index": 0'):
            await expect(result).to_contain_text(text)


async def test_what_was_spared_stands_in_grey_with_its_reason(browser: Browser, sandbox: Sandbox) -> None:
    async with serving(demo(sandbox)) as base, looking(browser, base) as visit:
        await visit.open(f"{base}/graphiql")
        await visit.run()
        await visit.run()
        spared = visit.page.get_by_test_id("spared")
        await expect(spared).to_contain_text("Service · skipped: only ids")
        await expect(spared).to_contain_text(re.compile(r"Receipts · shared"))


async def test_retries_and_waiting_are_drawn(browser: Browser, sandbox: Sandbox) -> None:
    base_settings = settings_for(sandbox)
    settings = Settings(
        credentials=base_settings.credentials, upstream_url=base_settings.upstream_url, upstream_concurrency=2
    )
    sandbox.faults.add("*/Conversations/CH*", Fault("status", status=503, times=1))
    sandbox.faults.add("*", Fault(latency=0.01))
    app = create_app(settings, graphiql_variables=known_variables(sandbox.landmarks))
    async with serving(app) as base, looking(browser, base) as visit:
        await visit.open(f"{base}/graphiql")
        await visit.run()
        calls = visit.page.get_by_test_id("calls")
        await expect(calls).to_contain_text("1 call failed (503), 1 call had to be made again.")
        await expect(calls).to_contain_text(re.compile(r"calls waited for a slot, up to \d+"))
        await expect(calls.locator(".bar.bad")).to_have_count(2)  # One in the legend.
        await expect(calls.locator(".call .wait").first).to_be_attached()


async def test_an_operation_that_is_too_dear_is_told_how_it_would_fit(browser: Browser, sandbox: Sandbox) -> None:
    base_settings = settings_for(sandbox)
    settings = Settings(credentials=base_settings.credentials, upstream_url=base_settings.upstream_url, cost_max=40)
    async with serving(create_app(settings)) as base, looking(browser, base) as visit:
        await visit.open(f"{base}/graphiql?q={quote(Q1 % sandbox.landmarks)}")
        await visit.show("Plan")
        plan = visit.page.get_by_test_id("plan")
        await expect(plan).to_contain_text("Refused before its first call: 63 are more than 40.")
        await expect(plan.get_by_test_id("dearest")).to_contain_text("service.conversation.messages.receipts, 50 calls")
        suggestion = plan.get_by_test_id("suggestion")
        await expect(suggestion).to_have_text("It would fit with service.conversation.messages(first: 27)")
        await visit.write(".graphiql-query-editor", (Q1 % sandbox.landmarks).replace("first: 50", "first: 27"))
        await expect(plan).to_contain_text("40 calls at most")
        await visit.write(".graphiql-query-editor", "{ nothing }")
        await expect(plan).to_contain_text("Cannot query field 'nothing' on type 'Query'.")


async def test_a_link_to_the_endpoint_opens_its_operation(browser: Browser, sandbox: Sandbox) -> None:
    document = "query None { __typename } query Named($sid: ID!) { service(sid: $sid) { friendlyName } }"
    link = {
        "query": document,
        "variables": json.dumps({"sid": sandbox.landmarks["service_sid"]}),
        "operationName": "Named",
    }
    async with serving(demo(sandbox)) as base, looking(browser, base) as visit:
        await visit.open(f"{base}/graphql?{urlencode(link, quote_via=quote)}")
        await expect(visit.page.locator("[aria-label='Variables']")).to_contain_text(sandbox.landmarks["service_sid"])
        await expect(visit.page.get_by_test_id("status")).to_contain_text("Plan 1 call and 1 round trip at most")
        await visit.page.locator("[aria-label='Variables'] .monaco-editor").first.click()
        await visit.page.keyboard.press("Control+Enter")
        await expect(visit.page.locator(".result-window")).to_contain_text("friendlyName")


async def test_errors_are_told_in_words(browser: Browser, sandbox: Sandbox) -> None:
    query = """{ service(sid: "%s") { conversation(sid: "CH%032d") { messages { edges { node { body } } } } } }"""
    async with serving(demo(sandbox)) as base, looking(browser, base) as visit:
        await visit.open(f"{base}/graphiql?q={quote(query % (sandbox.landmarks['service_sid'], 7))}")
        await visit.run()
        status = visit.page.get_by_test_id("status")
        await expect(status).to_contain_text(re.compile(r"Last run [A-Z].*\. \(at service\.conversation\.messages\)"))
        await expect(visit.page.locator(".result-window")).to_contain_text("NOT_FOUND")
        await visit.write(".graphiql-query-editor", "{ service(sid: }")
        await visit.page.locator(RUN).click()
        await expect(status).to_contain_text(re.compile(r"Last run Syntax Error.*\(line 1\)"))


async def test_a_callers_token_is_kept_for_the_session_only(browser: Browser, sandbox: Sandbox) -> None:
    base_settings = settings_for(sandbox)
    settings = Settings(
        credentials=base_settings.credentials,
        upstream_url=base_settings.upstream_url,
        tokens={"ann": Token("ann-has-a-long-token")},
    )
    async with serving(create_app(settings)) as base, looking(browser, base) as visit:
        page = visit.page
        await visit.open(f"{base}/graphiql?q={quote(Q1 % sandbox.landmarks)}")
        await visit.run()
        await expect(page.get_by_test_id("status")).to_contain_text("token")
        visit.accept_refusals()
        await page.get_by_role("button", name="Headers").click()
        await visit.write(".graphiql-editor-tool", '{"Authorization": "Bearer ann-has-a-long-token"}')
        await page.locator(RUN).click()
        await expect(page.locator(".result-window")).to_contain_text("Boiler inspection")
        await page.get_by_label("New tab").click()
        await visit.write(".graphiql-query-editor", "{ services { edges { node { sid } } } }")
        await page.locator(RUN).click()
        await expect(page.locator(".result-window")).to_contain_text(sandbox.landmarks["service_sid"][:10])
        # The page stores its tabs half a second after a change.
        await page.wait_for_function("() => (localStorage.getItem('graphiql:tabState') ?? '').includes('{ services {')")
        stored = json.loads(await page.evaluate("JSON.stringify(localStorage)"))
        assert "queries" in "".join(stored)
        assert "ann-has-a-long-token" not in json.dumps(stored)
        await visit.open(f"{base}/graphiql")
        await page.locator(RUN).click()
        await expect(page.locator(".result-window")).to_contain_text(sandbox.landmarks["service_sid"][:10])
        visit.accept_refusals()


async def test_the_dark_page(browser: Browser, sandbox: Sandbox, tmp_path: Path) -> None:
    async with serving(demo(sandbox)) as base, looking(browser, base, scheme="dark") as visit:
        await visit.open(f"{base}/graphql?query={quote('{ services { edges { node { sid } } } }')}")
        await visit.run()
        assert await visit.figure("calls", "calls") == "1"
        colour = await visit.page.evaluate(
            "getComputedStyle(document.querySelector('.graphiql-container')).backgroundColor"
        )
        assert max(map(int, re.findall(r"\d+", colour))) < 90
        await visit.page.screenshot(path=tmp_path / "dark.png")


async def test_its_files_are_kept_for_ever_and_under_the_policy(
    bundle: Path, http: aiohttp.ClientSession, base_url: str
) -> None:
    async with http.get(f"{base_url}/graphiql") as response:
        page, policy = await response.text(), response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src")
    assert "unsafe-eval" not in policy
    addresses = re.findall(r'(?:src|href)="(?!data:)([^"]+)"', page)
    assert addresses
    for address in addresses:
        assert re.fullmatch(r"\./graphiql/[\w.-]+-[\w-]{8}\.(js|css)", address)
        async with http.get(f"{base_url}/{address}", headers={"Accept-Encoding": "gzip"}) as response:
            content = await response.read()
            assert response.headers["Content-Encoding"] == "gzip"
            assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            assert response.headers["Content-Security-Policy"] == policy
        async with http.get(f"{base_url}/{address}", headers={"Accept-Encoding": "identity"}) as response:
            assert "Content-Encoding" not in response.headers
            assert await response.read() == content
    for path in ("graphiql/none.js", "graphiql/..%2fpage%2fpackage.json", "graphiql/"):
        async with http.get(f"{base_url}/{path}") as response:
            assert response.status == 404
    notices = (bundle / "NOTICES.txt").read_text(encoding="utf-8")
    for package in ("graphiql ", "monaco-editor ", "react ", "graphql "):
        assert f"\n{package}" in notices


def test_without_its_bundle_the_page_tells_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "why-not.txt").write_text("There was no <npm>.\n", encoding="utf-8")
    page = Graphiql(bundle=tmp_path)._page
    assert "There was no &lt;npm&gt;." in page
    assert "pip install" in page


def test_what_is_written_into_the_page_cannot_end_its_element(tmp_path: Path) -> None:
    (tmp_path / "graphiql").mkdir()
    (tmp_path / "graphiql" / "a.js.gz").write_bytes(gzip.compress(b""))
    (tmp_path / "index.html").write_text('<script id="facts" type="application/json">{}</script>', encoding="utf-8")
    page = Graphiql({"serviceSid": "</script><b>"}, bundle=tmp_path)._page
    assert page.count("<") == 2
    facts = json.loads(page.partition(">")[2].rpartition("<")[0])
    thread = next(tab for tab in facts["tabs"] if "query Thread" in tab["query"])
    assert json.loads(thread["variables"]) == {"serviceSid": "</script><b>", "conversationSid": ""}

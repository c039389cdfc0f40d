"""What clients may cache of an answer, and how they revalidate it: over real HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from starlette.applications import Starlette

from gateway.app import create_app
from gateway.demo import landmark_variables, settings_for
from gateway.execution.outcome import Outcome
from gateway.sandbox import Fault, Sandbox
from gateway.source.lifetimes import Lifetimes
from gateway.web.caching import add_cache_headers, matches_etag
from gateway.web.graphql_over_http import JSON
from gateway.web.responses import outcome_reply

from ..conftest import serving

SERVICE = "query Q($serviceSid: ID!) { service(sid: $serviceSid) { friendlyName } }"
MESSAGES = """query Q($serviceSid: ID!, $conversationSid: ID!) { service(sid: $serviceSid) {
  friendlyName conversation(sid: $conversationSid) { friendlyName messages(first: 2) { edges { node { body } } } } } }"""
RECEIPTS = """query Q($serviceSid: ID!, $conversationSid: ID!, $messageSid: ID!) { service(sid: $serviceSid) {
  conversation(sid: $conversationSid) { message(sid: $messageSid) { receipts { edges { node { status } } } } } } }"""
RECEIPT = """query Q($serviceSid: ID!, $conversationSid: ID!, $%s: ID!, $%s: ID!) { service(sid: $serviceSid) {
  conversation(sid: $conversationSid) { message(sid: $%s) { receipt(sid: $%s) { status } } } } }"""
NO_SUCH = 'query Q { service(sid: "IS%s") { friendlyName } }' % ("0" * 32)
ONLY_SIDS = "query Q($serviceSid: ID!) { service(sid: $serviceSid) { id sid } }"
FORGED = 'query Q($serviceSid: ID!) { service(sid: $serviceSid) { friendlyName } node(id: "nonsense") { id } }'
LIFETIMES = Lifetimes(services=5000, conversations=4000, participants=3000, messages=2000, receipts=1000)


class Gateway:
    """A gateway with lifetimes that can be told apart, and what it answers."""

    def __init__(self, app: Starlette, url: str, http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
        self.app, self.url, self.http, self.sandbox = app, f"{url}/graphql", http, sandbox

    async def get(self, query: str, **headers: str) -> tuple[int, str, Any]:
        """Status, body and headers of the answer to a GET."""
        async with self.http.get(self.url, params=self.parameters(query), headers=headers) as response:
            return response.status, await response.text(), response.headers

    def parameters(self, query: str) -> dict[str, str]:
        return {"query": query, "variables": json.dumps(landmark_variables(query, self.sandbox.landmarks))}

    async def seconds(self, query: str, **headers: str) -> int | None:
        """For how many seconds the answer may be kept; None when it may not be kept, 0 when it must be asked for again."""
        status, _, received = await self.get(query, **headers)
        assert status == 200
        if received["Cache-Control"] == "no-store":
            assert "ETag" not in received
            return None
        if received["Cache-Control"] == "private, no-cache":
            return 0
        private, _, seconds = received["Cache-Control"].partition(", max-age=")
        assert private == "private"
        return int(seconds)

    def age(self, seconds: float) -> None:
        """Let what is known be older than it is."""
        for _, entry in self.app.state.account._source._cache.records():
            entry.read_at -= seconds


@pytest.fixture
async def gateway(sandbox: Sandbox, http: aiohttp.ClientSession) -> AsyncIterator[Gateway]:
    app = create_app(replace(settings_for(sandbox), lifetimes=LIFETIMES))
    async with serving(app) as url:
        yield Gateway(app, url, http, sandbox)


def about(seconds: float) -> Any:
    """A number of whole seconds, of which some may have passed on a busy machine."""
    return pytest.approx(seconds - 20, abs=19)


async def test_an_answer_is_fresh_as_long_as_what_was_read_for_it(gateway: Gateway) -> None:
    assert await gateway.seconds(SERVICE) == about(5000)
    assert await gateway.seconds(MESSAGES) == about(2000)
    gateway.age(500)  # What is known has less time left.
    assert await gateway.seconds(SERVICE) == about(4500)
    assert await gateway.seconds(MESSAGES) == about(1500)
    assert await gateway.seconds(SERVICE, **{"Cache-Control": "no-cache"}) == about(5000)


async def test_final_receipts_are_fresh_for_hours(gateway: Gateway) -> None:
    assert await gateway.seconds(RECEIPT % (("pendingReceiptMessageSid", "pendingReceiptSid") * 2)) == about(1000)
    assert await gateway.seconds(RECEIPT % (("failedReceiptMessageSid", "failedReceiptSid") * 2)) == about(21_600)


async def test_a_stale_answer_is_revalidated(gateway: Gateway) -> None:
    await gateway.seconds(SERVICE)
    gateway.age(6000)
    assert await gateway.seconds(SERVICE) == 0


@pytest.mark.parametrize("query", [NO_SUCH, ONLY_SIDS, "{ __typename }", "{ __schema { queryType { name } } }"])
async def test_an_answer_without_records_is_revalidated(gateway: Gateway, query: str) -> None:
    assert await gateway.seconds(query) == 0


async def test_without_a_cache_clients_revalidate(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    app = create_app(replace(settings_for(sandbox), cache_bytes=0))
    async with serving(app) as url:
        assert await Gateway(app, url, http, sandbox).seconds(SERVICE) == 0


@pytest.mark.parametrize("headers", [{"X-Gateway-Trace": "1"}, {"X-Gateway-Dry-Run": "1"}])
async def test_an_answer_with_extensions_is_not_cached(gateway: Gateway, headers: dict[str, str]) -> None:
    assert await gateway.seconds(SERVICE, **headers) is None


@pytest.mark.parametrize("query", [FORGED, "{ nope }", "{", SERVICE.replace("friendlyName", "friendlyName nope")])
async def test_an_answer_with_errors_is_not_cached(gateway: Gateway, query: str) -> None:
    assert await gateway.seconds(query) is None


async def test_an_answer_to_an_outage_is_not_cached(gateway: Gateway) -> None:
    gateway.sandbox.faults.add("*", Fault("status", status=503))
    assert await gateway.seconds(SERVICE) is None


def test_an_answer_with_stale_receipts_is_not_cached() -> None:
    """While Twilio does not answer, final receipts are shown nevertheless, and named so."""
    for extensions, is_kept in (({}, True), ({"stale": ["Services/IS/Conversations/CH/Messages/IM/Receipts"]}, False)):
        outcome = Outcome({}, extensions=extensions, max_age=lambda: 60.0)
        reply = outcome_reply(outcome, JSON)
        add_cache_headers(reply, outcome, None)
        assert ((b"cache-control", b"private, max-age=60") in reply.all_headers()) is is_kept
        assert ((b"cache-control", b"no-store") in reply.all_headers()) is not is_kept


async def test_an_answer_to_a_post_is_not_cached(gateway: Gateway) -> None:
    headers = {"If-None-Match": "*"}
    async with gateway.http.post(gateway.url, json={"query": "{ __typename }"}, headers=headers) as response:
        assert (response.status, response.headers["Cache-Control"]) == (200, "no-store")
        assert "ETag" not in response.headers
        assert await response.json() == {"data": {"__typename": "Query"}}


async def test_a_get_that_is_coalesced_with_a_post_may_be_cached(gateway: Gateway) -> None:
    given = {"query": SERVICE, "variables": landmark_variables(SERVICE, gateway.sandbox.landmarks)}
    gateway.sandbox.faults.add("*", Fault("latency", latency=0.2))
    posting = asyncio.create_task(gateway.http.post(gateway.url, json=given))
    await gateway.sandbox.until(lambda: gateway.sandbox.in_flight == 1)
    assert await gateway.seconds(SERVICE) == about(5000)
    assert len(gateway.sandbox.calls) == 1
    (await posting).release()


async def test_a_client_that_has_the_answer_gets_a_304(gateway: Gateway) -> None:
    status, body, headers = await gateway.get(SERVICE)
    tag = headers["ETag"]
    assert (status, tag[:3], tag[-1]) == (200, 'W/"', '"')
    for held in (tag, tag[2:], f'"another", {tag}', "*"):
        status, nothing, again = await gateway.get(SERVICE, **{"If-None-Match": held})
        assert (status, nothing) == (304, "")
        assert again["ETag"] == tag
        assert again["Vary"] == headers["Vary"]
        assert again["Cache-Control"].startswith("private, max-age=")
        assert "Content-Length" not in again
        assert "Content-Type" not in again
    for held in ('"another"', "nonsense", "", 'W/""'):
        assert (await gateway.get(SERVICE, **{"If-None-Match": held}))[:2] == (200, body)
    assert (await gateway.get(NO_SUCH, **{"If-None-Match": tag}))[0] == 200


async def test_a_changed_answer_has_another_etag(gateway: Gateway) -> None:
    no_cache = {"Cache-Control": "no-cache"}
    tag = (await gateway.get(RECEIPTS, **no_cache))[2]["ETag"]
    assert (await gateway.get(RECEIPTS, **no_cache, **{"If-None-Match": tag}))[0] == 304
    moved = {"message_sid": gateway.sandbox.landmarks["message_sid"]}
    async with gateway.http.post(f"{gateway.sandbox.url}/sandbox/progress", json=moved) as response:
        assert response.status == 200
    status, _, headers = await gateway.get(RECEIPTS, **no_cache, **{"If-None-Match": tag})
    assert status == 200
    assert headers["ETag"] != tag


async def test_vary_has_the_headers_that_an_answer_depends_on(gateway: Gateway) -> None:
    """A browser's cache finds an answer by its address alone, unless it is told of more."""
    varied = (await gateway.get(SERVICE))[2]["Vary"].split(", ")
    assert {"Accept", "Authorization", "Origin", "X-Gateway-Trace", "X-Gateway-Dry-Run"} <= set(varied)


@pytest.mark.parametrize(
    ("if_none_match", "held"),
    [
        ('"a"', True),
        ('W/"a"', True),
        ('"b", W/"a"', True),
        ('"b",W/"a","c"', True),
        (" * ", True),
        ("", False),
        ("a", False),
        ('"b"', False),
        ('"a', False),
        ('"A"', False),
        ('"b, \\"a\\""', False),
        ('"*"', False),
    ],
)
def test_etags_are_compared_weakly(if_none_match: str, held: bool) -> None:
    assert matches_etag('"a"', if_none_match) is held

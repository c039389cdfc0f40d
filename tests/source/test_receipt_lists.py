"""For how long a list of receipts is served from the cache: as long as its message's delivery summary agrees with it."""

import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from starlette.applications import Starlette

from gateway.app import create_app
from gateway.demo import landmark_variables, settings_for
from gateway.graph.types import RESOURCES
from gateway.sandbox import Sandbox, Switches
from gateway.source.lifetimes import Lifetimes
from gateway.source.loaders import Loaders
from gateway.source.memory import Entry, MemoryCache
from gateway.source.options import ExpectedSummaries
from gateway.source.source import Source
from gateway.twilio.client import Client
from gateway.twilio.responses import Page
from gateway.twilio.statuses import ReceiptSummary

from ..conftest import serving

MESSAGE = """query Q($serviceSid: ID!, $conversationSid: ID!, $messageSid: ID!) {
  service(sid: $serviceSid) { conversation(sid: $conversationSid) { message(sid: $messageSid) {
    deliveryStatus delivery { read }
    receipts { totalCount edges { node { sid status isFinal channelMessageSid participant { channel } } } }
  } } }
}"""
PAGE = """query Q($serviceSid: ID!, $conversationSid: ID!) {
  service(sid: $serviceSid) { conversation(sid: $conversationSid) { messages(first: 1) { edges { node {
    deliveryStatus delivery { read }
    receipts { totalCount edges { node { sid status isFinal channelMessageSid participant { channel } } } }
  } } } } }
}"""
RECEIPTS_ALONE = """query Q($serviceSid: ID!, $conversationSid: ID!, $messageSid: ID!) {
  service(sid: $serviceSid) { conversation(sid: $conversationSid) { message(sid: $messageSid) {
    receipts { totalCount edges { node { sid status isFinal channelMessageSid participant { channel } } } }
  } } }
}"""


class Gateway:
    """A gateway with the default lifetimes, over HTTP."""

    def __init__(self, app: Starlette, url: str, http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
        self.app, self.url, self.http, self.sandbox = app, f"{url}/graphql", http, sandbox

    async def message(self, query: str) -> tuple[Any, list[str]]:
        """The message that the query selects, and the upstream calls for receipts that it took."""
        self.sandbox.reset()
        body = {"query": query, "variables": landmark_variables(query, self.sandbox.landmarks)}
        async with self.http.post(self.url, json=body) as response:
            answer = json.loads(await response.read())
        assert "errors" not in answer
        conversation = answer["data"]["service"]["conversation"]
        message = conversation["message"] if "message" in conversation else conversation["messages"]["edges"][0]["node"]
        return message, [path for path in self.sandbox.paths if "/Receipts" in path]

    def age(self, seconds: float) -> None:
        """Make cached entries older."""
        cache = self.app.state.account._source._cache
        for _, entry in cache.records():
            entry.read_at -= seconds
        cache.changes += 1

    def progress(self, to: str, receipt_sid: str | None = None) -> None:
        """Give the first message's receipts, or one of them, a status."""
        self.sandbox.world.progress(self.sandbox.landmarks["message_sid"], receipt_sid=receipt_sid, to=to)


@pytest.fixture
async def gateway(sandbox: Sandbox, http: aiohttp.ClientSession) -> AsyncIterator[Gateway]:
    app = create_app(replace(settings_for(sandbox), lifetimes=Lifetimes(), cache_bytes=2**24))
    async with serving(app) as url:
        yield Gateway(app, url, http, sandbox)


def statuses(message: Any) -> set[tuple[str, bool]]:
    return {(edge["node"]["status"], edge["node"]["isFinal"]) for edge in message["receipts"]["edges"]}


@pytest.mark.parametrize("query", [MESSAGE, PAGE, RECEIPTS_ALONE], ids=["message", "page", "receipts alone"])
@pytest.mark.parametrize("prefix", ["SM", "MM", "WA"])
async def test_a_delivered_receipt_that_is_read_is_shown_as_read(gateway: Gateway, prefix: Any, query: str) -> None:
    """Whatever the prefix of its sid is: WhatsApp messages have SM sids too."""
    gateway.sandbox.switches = Switches(whatsapp_sids=prefix)
    gateway.progress("delivered")
    message, _ = await gateway.message(query)
    channels = {
        (edge["node"]["participant"]["channel"], edge["node"]["channelMessageSid"][:2])
        for edge in message["receipts"]["edges"]
    }
    assert ("whatsapp", prefix) in channels
    for _ in range(3):  # The answer is cached too.
        message, calls = await gateway.message(query)
        assert statuses(message) == {("DELIVERED", False)}
        assert calls == []
    gateway.progress("read")
    gateway.age(6)
    message, calls = await gateway.message(query)
    assert statuses(message) == {("READ", True)}
    assert message.get("delivery", {"read": "ALL"}) == {"read": "ALL"}
    assert len(calls) == 1


@pytest.mark.parametrize("query", [MESSAGE, PAGE])
async def test_delivered_receipts_are_not_read_again_while_the_summary_says_that_none_is_read(
    gateway: Gateway, query: str
) -> None:
    gateway.progress("delivered")
    cold, _ = await gateway.message(query)
    for _ in range(3):
        gateway.age(1000)
        assert await gateway.message(query) == (cold, [])
    gateway.age(21_600)
    assert len((await gateway.message(query))[1]) == 1


async def test_a_newer_summary_outdates_a_list_at_once(gateway: Gateway) -> None:
    """The list is fresh by its age; the same answer would contradict itself."""
    gateway.progress("delivered")
    await gateway.message(RECEIPTS_ALONE)
    gateway.progress("read")
    message, calls = await gateway.message(MESSAGE)
    assert (message["delivery"], statuses(message)) == ({"read": "ALL"}, {("READ", True)})
    assert len(calls) == 1


async def test_with_some_read_it_may_be_others_by_now(gateway: Gateway) -> None:
    gateway.progress("delivered")
    first, second, *_ = (edge["node"]["sid"] for edge in (await gateway.message(MESSAGE))[0]["receipts"]["edges"])
    gateway.progress("read", first)
    gateway.age(6)
    before, _ = await gateway.message(MESSAGE)
    gateway.progress("read", second)
    assert (await gateway.message(MESSAGE))[0] == before
    gateway.age(6)
    message, calls = await gateway.message(MESSAGE)
    assert message["delivery"] == {"read": "SOME"} == before["delivery"]
    assert [edge["node"]["status"] for edge in message["receipts"]["edges"]].count("READ") == 2
    assert len(calls) == 1


async def test_a_cached_answer_with_an_unchanged_list_expires_with_its_message(gateway: Gateway) -> None:
    gateway.progress("delivered")
    for _ in range(3):
        await gateway.message(PAGE)
    variables = json.dumps(landmark_variables(PAGE, gateway.sandbox.landmarks))
    async with gateway.http.get(gateway.url, params={"query": PAGE, "variables": variables}) as response:
        assert response.headers["Cache-Control"] in {f"private, max-age={seconds}" for seconds in (0, 1, 2)}
    assert gateway.app.state.account.lookups["answer"] > 0
    gateway.progress("read")
    gateway.age(2)
    assert statuses((await gateway.message(PAGE))[0]) == {("READ", True)}


async def test_without_a_summary_a_list_is_fresh_for_a_moment_even_if_it_is_final(
    sandbox: Sandbox, client: Client
) -> None:
    """There may be more receipts by now."""
    marks = sandbox.landmarks
    sandbox.world.progress(marks["message_sid"], to="read")
    message = (
        f"Services/{marks['service_sid']}/Conversations/{marks['conversation_sid']}/Messages/{marks['message_sid']}"
    )
    key = f"{message}/Receipts?PageSize=50"
    cache = MemoryCache(2**20)
    source = Source(client, RESOURCES, cache)
    async with Loaders(source) as loaders:
        await loaders.fetch([key])
        page = loaders.page(key)
        assert 0 < loaders.max_age() <= 2
    cache.put(key, Entry(page, time.time() - 600, 1000))
    total = len(page.rows)
    for summary, is_cached in [
        (None, False),
        (ReceiptSummary(total + 1, "all", "all", "all", "none", "none"), False),
        (ReceiptSummary(total, "all", "all", "some", "none", "none"), False),
        (ReceiptSummary(total, "all", "all", "all", "none", "none"), True),
    ]:
        async with Loaders(source) as loaders:
            if summary is not None:
                loaders.expect(key, summary)
            assert loaders.is_free(key) is is_cached


@pytest.mark.parametrize(("messages", "seconds"), [(2.0, 21_600.0), (300.0, 2.0)])
def test_a_summary_that_is_kept_longer_than_receipts_proves_only_final_statuses(
    messages: float, seconds: float
) -> None:
    for status, read, expected in (("delivered", "none", seconds), ("read", "all", 21_600.0)):
        page = Page("Receipts?PageSize=50", [SimpleNamespace(status=status)], None)
        lifetime = Lifetimes(messages=messages).of(RESOURCES["Receipts"], page)
        assert lifetime.seconds_for(ReceiptSummary(1, "all", "all", read, "none", "none")) == expected


def test_the_summary_of_a_message_is_taken_from_its_row_on_first_use() -> None:
    used: list[SimpleNamespace] = []

    def summary(row: SimpleNamespace) -> ReceiptSummary | None:
        used.append(row)
        return ReceiptSummary(row.total, None, None, None, None, None) if row.total else None

    rows = [SimpleNamespace(total=total) for total in (1, 0, 3)]
    expected = ExpectedSummaries()
    expected.add("b", ReceiptSummary(7, None, None, None, None, None))
    expected.add_all(["a", "b", "c"], rows, summary)
    assert used == []
    found = [expected.get(key) for key in ("a", "a", "b", "d")]
    assert [each.total if each is not None else None for each in found] == [1, 1, 7, None]
    assert used == rows[:2]
    expected.add("c", ReceiptSummary(5, None, None, None, None, None))
    assert expected.get("c") == ReceiptSummary(5, None, None, None, None, None)
    assert used == rows[:2]

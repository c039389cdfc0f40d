"""The loaders: nothing is read twice, keys fail one by one, and a waiter that is cancelled harms no other."""

import asyncio
from typing import Any

import pytest

from gateway.accounts.operation import Operation
from gateway.demo import landmark_variables
from gateway.errors import NotFound, UpstreamInvalidResponse, UpstreamTimeout, UpstreamUnavailable
from gateway.graph.context import OperationContext
from gateway.graph.schema import shared_executor
from gateway.graph.types import RESOURCES
from gateway.sandbox import Fault, Sandbox
from gateway.source.lifetimes import Lifetimes
from gateway.source.loaders import Loaders, Missing
from gateway.source.memory import Entry, MemoryCache
from gateway.source.options import ReadOptions
from gateway.source.source import Source
from gateway.twilio.client import Client
from gateway.twilio.responses import Page


async def get(loaders: Loaders, what: str, *arguments: str) -> Any:
    """An item, a page or a member, which is fetched if it is missing."""
    while True:
        try:
            return getattr(loaders, what)(*arguments)
        except Missing as missing:
            key = missing.keys[0]
        await loaders.fetch([key])


@pytest.fixture
def service(sandbox: Sandbox) -> str:
    return f"Services/{sandbox.landmarks['service_sid']}"


async def test_equal_reads_are_one_call(sandbox: Sandbox, client: Client, service: str) -> None:
    async with Loaders(Source(client, RESOURCES)) as loaders:
        rows = await asyncio.gather(*(get(loaders, "item", service) for _ in range(5)))
        assert all(row is rows[0] for row in rows)
        pages = await asyncio.gather(*(get(loaders, "page", "Services?PageSize=2") for _ in range(5)))
        assert all(page is pages[0] for page in pages)
        assert sandbox.paths == [service, "Services?PageSize=2"]
        assert loaders.calls == 2


async def test_what_one_executor_reads_the_other_does_not(sandbox: Sandbox, client: Client, service: str) -> None:
    """The engine fetches batches and resolvers load keys, at once or after each other, over the same memo."""
    pages = [f"Services?PageSize={size}" for size in (2, 3, 4)]
    async with Loaders(Source(client, RESOURCES)) as loaders:
        await asyncio.gather(
            loaders.load(service),
            loaders.load(pages[0]),
            loaders.fetch([service, pages[0], pages[1], pages[1]]),
            loaders.load(pages[1]),
        )
        await loaders.fetch([service, *pages])
        await asyncio.gather(*map(loaders.load, [service, *pages]))
        assert loaders.calls == loaders.planned == 4
    assert sorted(sandbox.paths) == sorted([service, *pages])


async def test_an_operation_run_by_both_executors_makes_no_second_call(sandbox: Sandbox, client: Client) -> None:
    query = """query Q($serviceSid: ID!, $conversationSid: ID!) { service(sid: $serviceSid) { friendlyName
      conversation(sid: $conversationSid) { friendlyName
        messages(first: 5) { edges { node { body receipts { edges { node { status } } } } } } } } }"""
    variables = landmark_variables(query, sandbox.landmarks)
    executor = shared_executor()
    async with Loaders(Source(client, RESOURCES)) as loaders:
        context = OperationContext(loaders)
        engine = await executor.run(Operation(query, variables=variables), context)
        called = list(sandbox.paths)
        reference = await executor.run(Operation(query, variables=variables, reference=True), context)
        assert context.runs["engine"] == 1
        assert reference.data == engine.data is not None
        assert loaders.calls == len(called)
    assert sandbox.paths == called


async def test_a_pages_rows_are_not_read_again(sandbox: Sandbox, client: Client, service: str) -> None:
    async with Loaders(Source(client, RESOURCES)) as loaders:
        await get(loaders, "page", "Services?PageSize=2")
        assert (await get(loaders, "item", service)).sid == sandbox.landmarks["service_sid"]
    assert sandbox.paths == ["Services?PageSize=2"]


async def test_a_record_read_by_name_is_known_by_its_sid(sandbox: Sandbox, client: Client, service: str) -> None:
    async with Loaders(Source(client, RESOURCES)) as loaders:
        row = await get(loaders, "item", f"{service}/Conversations/case-0-0000")
        assert await get(loaders, "item", f"{service}/Conversations/{row.sid}") is row
    assert len(sandbox.calls) == 1


async def test_keys_of_one_batch_fail_and_arrive_one_by_one(sandbox: Sandbox, client: Client, service: str) -> None:
    missing, away, slow = (f"Services/IS{digit * 32}" for digit in "012")
    sandbox.faults.add(away, Fault("status", status=500))
    sandbox.faults.add(slow, Fault("hang"))
    async with Loaders(Source(client, RESOURCES)) as loaders:
        waiting = asyncio.create_task(get(loaders, "item", slow))
        results = await asyncio.gather(
            get(loaders, "item", service),
            get(loaders, "item", missing),
            get(loaders, "item", away),
            return_exceptions=True,
        )
        assert not waiting.done()
    assert [type(result) for result in results[1:]] == [NotFound, UpstreamUnavailable]
    assert not isinstance(results[0], BaseException)
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_cancelled_waiter_harms_no_other(sandbox: Sandbox, client: Client, service: str) -> None:
    rule = sandbox.faults.add("*", Fault("hang", times=1))
    async with Loaders(Source(client, RESOURCES)) as loaders:
        cancelled, staying = (asyncio.create_task(get(loaders, "item", service)) for _ in range(2))
        await sandbox.until(lambda: len(sandbox.calls) == 1)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert not sandbox.calls[0].client_left
        sandbox.faults.remove(rule)
        assert not staying.done()
        later = asyncio.create_task(get(loaders, "item", service))
        await asyncio.wait({later}, timeout=0)
        assert len(sandbox.calls) == 1
    with pytest.raises(asyncio.CancelledError):
        await staying
    with pytest.raises(asyncio.CancelledError):
        await later


async def test_a_waiter_may_be_cancelled_before_its_batch_is_sent(
    sandbox: Sandbox, client: Client, service: str
) -> None:
    async with Loaders(Source(client, RESOURCES)) as loaders:
        cancelled = asyncio.create_task(get(loaders, "item", service))
        staying = asyncio.create_task(get(loaders, "item", service))
        await asyncio.wait({cancelled}, timeout=0)
        cancelled.cancel()
        assert (await staying).sid == sandbox.landmarks["service_sid"]


async def test_closing_cancels_what_is_in_flight(sandbox: Sandbox, client: Client, service: str) -> None:
    sandbox.faults.add("*", Fault("hang"))
    async with Loaders(Source(client, RESOURCES)) as loaders:
        waiting = asyncio.create_task(get(loaders, "item", service))
        await sandbox.until(lambda: len(sandbox.calls) == 1)
    await sandbox.until(lambda: sandbox.calls[0].client_left)
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_member_is_looked_for_no_further_than_it_is(sandbox: Sandbox, client: Client, service: str) -> None:
    crowd = f"{service}/Conversations/{sandbox.landmarks['crowded_conversation_sid']}/Participants"
    async with Loaders(Source(client, RESOURCES)) as loaders:
        first = (await get(loaders, "page", f"{crowd}?PageSize=100")).rows[0]
        assert await get(loaders, "member", crowd, first.sid) is first
        assert len(sandbox.calls) == 1
        assert await get(loaders, "member", crowd, "MB" + "0" * 32) is None
        assert len(sandbox.calls) == 2


class CountingLoaders(Loaders):
    """Loaders that count how often a page is looked up."""

    looked_up: int = 0

    def page(self, target: str) -> Page:
        self.looked_up += 1
        return super().page(target)


async def walked(loaders: Loaders, target: str, most: int = 100) -> list[int]:
    """How many pages each look at a list has yielded, until the whole list is there."""
    yielded: list[int] = []
    while True:
        yielded.append(0)
        try:
            for _ in loaders.pages(target, most=most):
                yielded[-1] += 1
        except Missing as missing:
            key = missing.keys[0]
        else:
            return yielded
        await loaders.fetch([key])


async def test_a_look_goes_on_where_the_last_one_stopped(sandbox: Sandbox, client: Client, service: str) -> None:
    crowd = f"{service}/Conversations/{sandbox.landmarks['crowded_conversation_sid']}/Participants"
    source = Source(client, RESOURCES)
    async with CountingLoaders(source) as loaders:
        pages = len(await walked(loaders, f"{crowd}?PageSize=5")) - 1
        assert pages == len(sandbox.calls) > 20
        assert loaders.looked_up <= 3 * pages
    async with CountingLoaders(source) as loaders:
        assert await get(loaders, "member", crowd, "MB" + "0" * 32) is None
        pages, loaders.looked_up = loaders.looked_up, 0
        for _ in range(50):
            assert await get(loaders, "member", crowd, "MB" + "0" * 32) is None
        assert (pages, loaders.looked_up) == (4, 0)


async def test_a_list_that_repeats_its_rows_under_new_tokens_is_an_error(
    sandbox: Sandbox, client: Client, service: str
) -> None:
    sandbox.faults.add("*/Participants*", Fault("next_page", url="endless"))
    crowd = f"{service}/Conversations/{sandbox.landmarks['crowded_conversation_sid']}/Participants"
    async with Loaders(Source(client, RESOURCES)) as loaders:
        with pytest.raises(UpstreamInvalidResponse, match="hold no new rows"):
            await walked(loaders, f"{crowd}?PageSize=5", most=50)
        with pytest.raises(UpstreamInvalidResponse, match="hold no new rows"):
            await get(loaders, "member", crowd, "MB" + "0" * 32)
    assert len(sandbox.calls) == 12


async def test_a_list_with_too_many_pages_is_an_error(sandbox: Sandbox, client: Client, service: str) -> None:
    crowd = f"{service}/Conversations/{sandbox.landmarks['crowded_conversation_sid']}/Participants"
    async with Loaders(Source(client, RESOURCES)) as loaders:
        with pytest.raises(UpstreamInvalidResponse, match="do not end"):
            await walked(loaders, f"{crowd}?PageSize=5", most=7)
    assert len(sandbox.calls) == 7


async def test_nothing_is_asked_after_the_deadline(sandbox: Sandbox, client: Client, service: str) -> None:
    now = asyncio.get_running_loop().time()
    async with Loaders(Source(client, RESOURCES), ReadOptions(deadline=now)) as loaders:
        with pytest.raises(UpstreamTimeout):
            await get(loaders, "item", service)
    assert sandbox.calls == []


async def test_two_looks_for_new_members_revalidate_once_and_find_both(
    sandbox: Sandbox, client: Client, service: str
) -> None:
    """Both find the cached list incomplete; the second one does not restore it."""
    thread = f"{service}/Conversations/{sandbox.landmarks['conversation_sid']}/Participants"
    cache = MemoryCache(2**20)
    source = Source(client, RESOURCES, cache)
    async with Loaders(source) as loaders:
        whole = [row.sid for row in (await get(loaders, "page", f"{thread}?PageSize=100")).rows]
    page = dict(cache.records())[f"{thread}?PageSize=100"].value
    del page.rows[-2:]
    page._by_sid = None
    async with Loaders(source) as loaders:
        found = await asyncio.gather(*(get(loaders, "member", thread, sid) for sid in whole[-2:]))
    assert [row.sid for row in found] == whole[-2:]
    assert len(sandbox.calls) == 2


async def test_what_was_read_is_fresh_as_long_as_all_of_it_is(client: Client, service: str) -> None:
    cache = MemoryCache(2**20)
    source = Source(client, RESOURCES, cache, Lifetimes(services=500, messages=300))
    async with Loaders(source) as first, Loaders(source) as second:
        assert first.max_age() == 0
        await get(first, "item", service)
        assert 400 < first.max_age() <= 500
        await get(first, "page", f"{service}/Conversations?PageSize=2")
        assert 200 < first.max_age() <= 300
        await get(second, "item", service)
        assert 400 < second.max_age() <= 500
        cache.get(service).read_at -= 450  # type: ignore[union-attr]
        assert 0 < second.max_age() <= 50
        cache.put(service, Entry(None, 0.0, 2**20))  # Too large to be cached: the entry is gone.
        assert 200 < first.max_age() <= 300  # Read for this request.
        assert second.max_age() == 0  # Of unknown age.
        with pytest.raises(NotFound):
            await get(first, "item", f"Services/IS{'0' * 32}")
        assert first.max_age() == 0

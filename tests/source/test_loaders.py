"""The loaders: nothing is read twice, keys fail one by one, and no waiter's leaving harms another."""

import asyncio
from typing import Any

import pytest

from gateway.errors import NotFound, UpstreamTimeout, UpstreamUnavailable
from gateway.graph.types import RESOURCES
from gateway.sandbox import Fault, Sandbox
from gateway.source.lifetimes import Lifetimes
from gateway.source.loaders import Loaders, Missing
from gateway.source.memory import Entry, MemoryCache
from gateway.source.options import ReadOptions
from gateway.source.source import Source
from gateway.twilio.client import Client


async def get(loaders: Loaders, what: str, *arguments: str) -> Any:
    """An item, a page or a member, fetched where it is missing."""
    while True:
        try:
            return getattr(loaders, what)(*arguments)
        except Missing as missing:
            key = missing.key
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


async def test_a_waiter_that_leaves_harms_no_other(sandbox: Sandbox, client: Client, service: str) -> None:
    limiter = sandbox.faults.add("*", Fault("hang", times=1))
    async with Loaders(Source(client, RESOURCES)) as loaders:
        leaving, staying = (asyncio.create_task(get(loaders, "item", service)) for _ in range(2))
        await sandbox.until(lambda: len(sandbox.calls) == 1)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert not sandbox.calls[0].client_left
        sandbox.faults.remove(limiter)
        assert not staying.done()
        later = asyncio.create_task(get(loaders, "item", service))
        await asyncio.wait({later}, timeout=0)
        assert len(sandbox.calls) == 1
    with pytest.raises(asyncio.CancelledError):
        await staying
    with pytest.raises(asyncio.CancelledError):
        await later


async def test_a_waiter_may_leave_before_its_batch_is_sent(sandbox: Sandbox, client: Client, service: str) -> None:
    async with Loaders(Source(client, RESOURCES)) as loaders:
        leaving = asyncio.create_task(get(loaders, "item", service))
        staying = asyncio.create_task(get(loaders, "item", service))
        await asyncio.wait({leaving}, timeout=0)
        leaving.cancel()
        assert (await staying).sid == sandbox.landmarks["service_sid"]


async def test_leaving_ends_what_is_in_flight(sandbox: Sandbox, client: Client, service: str) -> None:
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


async def test_nothing_is_asked_after_the_deadline(sandbox: Sandbox, client: Client, service: str) -> None:
    now = asyncio.get_running_loop().time()
    async with Loaders(Source(client, RESOURCES), ReadOptions(deadline=now)) as loaders:
        with pytest.raises(UpstreamTimeout):
            await get(loaders, "item", service)
    assert sandbox.calls == []


async def test_two_who_look_for_newcomers_both_find_them(sandbox: Sandbox, client: Client, service: str) -> None:
    """Each finds the kept list wanting; the one that comes second does not put it back."""
    thread = f"{service}/Conversations/{sandbox.landmarks['conversation_sid']}/Participants"
    cache = MemoryCache(2**20)
    shared = Source(client, RESOURCES, cache)
    async with Loaders(shared) as loaders:
        whole = [row.sid for row in (await get(loaders, "page", f"{thread}?PageSize=100")).rows]
    page = cache._entries[f"{thread}?PageSize=100"].value
    del page.rows[-2:]
    page.__dict__.pop("by_sid", None)
    async with Loaders(shared) as loaders:
        found = await asyncio.gather(*(get(loaders, "member", thread, sid) for sid in whole[-2:]))
    assert [row.sid for row in found] == whole[-2:]
    assert len(sandbox.calls) == 2


async def test_what_was_read_is_good_as_long_as_what_is_good_for_the_shortest_time(
    client: Client, service: str
) -> None:
    cache = MemoryCache(2**20)
    shared = Source(client, RESOURCES, cache, Lifetimes(services=500, messages=300))
    async with Loaders(shared) as first, Loaders(shared) as second:
        assert first.max_age() == 0
        await get(first, "item", service)
        assert 400 < first.max_age() <= 500
        await get(first, "page", f"{service}/Conversations?PageSize=2")
        assert 200 < first.max_age() <= 300
        cache.get(service).read_at -= 450  # type: ignore[union-attr]
        assert 0 < first.max_age() <= 50
        await get(second, "item", service)
        assert 0 < second.max_age() <= 50
        cache.put(service, Entry(None, 0.0, 2**20))  # Too large to be kept: what was there is forgotten.
        assert 200 < first.max_age() <= 300  # It was read for this one.
        assert second.max_age() == 0  # How old it is cannot be told any more.
        with pytest.raises(NotFound):
            await get(first, "item", f"Services/IS{'0' * 32}")
        assert first.max_age() == 0

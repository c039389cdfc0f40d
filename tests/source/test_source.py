"""The caches: nothing is read again while it is fresh, and no caller gets what it may not read."""

import asyncio
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from gateway.accounts.account import Account
from gateway.accounts.operation import Operation
from gateway.demo import landmark_variables
from gateway.graph.delivery import receipt_summary
from gateway.sandbox import Fault, Sandbox
from gateway.source.lifetimes import Lifetimes
from gateway.source.memory import Entry, MemoryCache
from gateway.twilio.client import Client
from gateway.twilio.statuses import Agreement, agreement, statuses_of

from .conftest import RECEIPTS, THREAD


class Asked:
    """Runs operations with a cache, over the sandbox."""

    def __init__(self, sandbox: Sandbox, client: Client, lifetimes: Lifetimes | None = None) -> None:
        self.sandbox = sandbox
        self.cache = MemoryCache(2**24)
        self.operations = Account(client, cache=self.cache, lifetimes=lifetimes)

    async def __call__(self, query: str, **options: Any) -> tuple[Any, list[str], dict[str, Any]]:
        """The data, the upstream calls it took, and the extensions."""
        self.sandbox.reset()
        given = landmark_variables(query, self.sandbox.landmarks)
        outcome = await self.operations.run(Operation(query, variables=given, **options))
        assert not outcome.failures or options.get("services") is not None or outcome.extensions.get("stale")
        return outcome.data, list(self.sandbox.paths), outcome.extensions

    def unchanged_lists(self) -> set[str]:
        """The keys of the cached lists of receipts that agree with the summaries in the cached messages."""
        entries = dict(self.cache.records())
        messages = {row.sid: row for key, entry in entries.items() if "/Messages?" in key for row in entry.value.rows}
        return {
            key
            for key, entry in entries.items()
            if "/Receipts?" in key
            and agreement(statuses_of(entry.value.rows), receipt_summary(messages[key.split("/")[5]]))
            is Agreement.UNCHANGED
        }

    def age(self, seconds: float, holds: Callable[[str], bool] = lambda key: True) -> None:
        """Make cached entries older."""
        for key, entry in self.cache.records():
            if holds(key):
                entry.read_at -= seconds
        self.cache.changes += 1


@pytest.fixture
def asked(sandbox: Sandbox, client: Client) -> Asked:
    return Asked(sandbox, client)


async def test_what_is_fresh_is_not_read_again(asked: Asked) -> None:
    cold, calls, _ = await asked(THREAD)
    assert len(calls) > 40
    assert await asked(THREAD, trace=False) == (cold, [], {})
    unchanged = asked.unchanged_lists()
    asked.age(3)
    warm, calls, _ = await asked(THREAD)
    # The messages may have changed; lists that agree with their summaries have not.
    assert warm == cold
    assert [call.partition("/Messages")[2] for call in calls[:1]] == ["?PageSize=50"]
    assert all("/Receipts?" in call for call in calls[1:])
    assert len(calls) == 1 + 50 - len(unchanged)
    assert unchanged


async def test_lists_that_agree_with_their_message_s_summary_are_cached_for_hours(asked: Asked) -> None:
    await asked(THREAD)
    unchanged = asked.unchanged_lists()
    asked.age(3600)
    _, calls, _ = await asked(THREAD)
    lists = {key for key, _ in asked.cache.records() if "/Receipts?" in key}
    assert {call for call in calls if "/Receipts?" in call} == lists - unchanged
    assert unchanged


async def test_a_list_of_another_length_than_its_message_says_is_read_again(asked: Asked) -> None:
    await asked(THREAD)
    key = min(asked.unchanged_lists())
    entry = dict(asked.cache.records())[key]
    entry.value.rows.pop()
    entry.lifetime = None
    asked.age(10)
    _, calls, _ = await asked(THREAD)
    assert key in calls


async def test_receipts_without_their_message_are_fresh_for_a_moment(asked: Asked) -> None:
    """Without the message's summary there may be more receipts by now."""
    await asked(RECEIPTS)
    assert (await asked(RECEIPTS))[1] == []
    asked.age(3)
    assert len((await asked(RECEIPTS))[1]) == 1


async def test_a_cached_answer_is_served_while_its_records_are_fresh(asked: Asked) -> None:
    cold, _, _ = await asked(THREAD)
    again, _, _ = await asked(THREAD)
    runs = asked.operations.runs.copy()
    kept, calls, _ = await asked(THREAD)
    assert kept is again
    assert kept == cold
    assert calls == []
    assert asked.operations.runs == runs
    assert asked.operations.lookups["answer"] == 1
    asked.age(3)  # It is fresh for no longer than the messages in it.
    _, calls, _ = await asked(THREAD)
    assert calls
    assert asked.operations.lookups["answer"] == 1


async def test_a_cached_answer_expires_without_any_change(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        await asked(THREAD)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 1)
    assert (await asked(THREAD))[1] == []
    assert asked.operations.lookups["answer"] == 2
    monkeypatch.setattr(time, "time", lambda: now() + 3)
    assert (await asked(THREAD))[1]
    assert asked.operations.lookups["answer"] == 2


async def test_a_cached_answer_is_recomputed_when_one_of_its_records_was_read_again(asked: Asked) -> None:
    query = """query Q($serviceSid: ID!, $conversationSid: ID!) {
      service(sid: $serviceSid) { friendlyName conversation(sid: $conversationSid) { friendlyName } } }"""
    for _ in range(3):
        before, _, _ = await asked(query)
    assert asked.operations.lookups["answer"] == 1
    sandbox, marks = asked.sandbox, asked.sandbox.landmarks
    target = f"{sandbox.url}/v1/Services/{marks['service_sid']}/Conversations/{marks['conversation_sid']}"
    credentials = aiohttp.encode_basic_auth(sandbox.account_sid, sandbox.auth_token)
    async with aiohttp.ClientSession(headers={"Authorization": credentials}) as http:
        (await http.post(target, data={"FriendlyName": "Renamed"})).raise_for_status()
    assert (await asked(query))[0] == before  # Fresh for a while.
    await asked(query, no_cache=True)  # Brings the new name: from now on no answer has the old one.
    after, calls, _ = await asked(query)
    assert calls == []
    assert after["service"]["conversation"]["friendlyName"] == "Renamed"


@pytest.mark.parametrize("options", [{"services": frozenset()}, {"trace": True}, {"no_cache": True}, {"dry_run": True}])
async def test_a_cached_answer_is_served_to_equal_operations_only(asked: Asked, options: dict[str, Any]) -> None:
    """Above all not to callers that may read less."""
    for _ in range(3):
        known, _, _ = await asked(THREAD)
    data, _, extensions = await asked(THREAD, **options)
    assert data is not known
    assert asked.operations.lookups["answer"] == 1
    assert data == known or options.keys() <= {"services", "dry_run"}
    assert bool(extensions) == (options.keys() <= {"trace", "dry_run"})
    if "services" in options:
        assert data == {"service": None}


async def test_cached_answers_hold_no_more_than_is_counted(asked: Asked) -> None:
    """Neither the document, however long, nor records that have been replaced."""
    query = "query Q($serviceSid: ID!) { service(sid: $serviceSid) { friendlyName } }%s"
    given = landmark_variables(query % "", asked.sandbox.landmarks)
    await asked(query % "")
    ((key, entry),) = asked.cache.records()
    await asked.operations.run(
        Operation(query % (" " * 50_000), variables=given)
    )  # Its document is parsed, and cached, once.
    replaced = entry.value
    del entry
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        counted = asked.cache.size
        for number in range(20):
            variables = given | {"unused": f"{number}{'x' * 200_000}"}
            for _ in range(2):
                outcome = await asked.operations.run(Operation(query % (" " * 50_000), variables=variables))
                assert outcome.failures == ()
        del variables, outcome
        taken, counted = tracemalloc.get_traced_memory()[0] - before, asked.cache.size - counted
    finally:
        tracemalloc.stop()
    assert sum(isinstance(key, tuple) for key in asked.cache._entries) == 21
    assert taken < counted
    await asked(query % "", no_cache=True)
    assert dict(asked.cache.records())[key].value is not replaced
    assert sys.getrefcount(replaced) == 2  # This test's own, and the call's.


async def test_cached_answers_count_towards_the_size_of_the_cache(sandbox: Sandbox, client: Client) -> None:
    asked = Asked(sandbox, client)
    for _ in range(2):
        await asked(THREAD)
    (size,) = [entry.size for key, entry in asked.cache._entries.items() if isinstance(key, tuple)]
    assert size > 6 * 10_000
    asked.cache.most_bytes = 8 * size - 1  # An entry larger than an eighth is not cached.
    asked.age(1000, lambda key: isinstance(key, str))
    for _ in range(3):
        await asked(THREAD)
    assert asked.operations.lookups["answer"] == 0


async def test_no_cache_reads_again_and_updates_the_cache(asked: Asked) -> None:
    await asked(RECEIPTS)
    _, calls, _ = await asked(RECEIPTS, no_cache=True)
    assert len(calls) == 4  # And looks up the records that its sids name.
    assert (await asked(RECEIPTS))[1] == []


async def test_a_new_participant_is_found(asked: Asked) -> None:
    """The list of participants is fresh for longer than it takes to join and get a message."""
    await asked(THREAD)
    marks = asked.sandbox.landmarks
    thread = f"Services/{marks['service_sid']}/Conversations/{marks['conversation_sid']}"
    key = f"{thread}/Participants?PageSize=100"
    entries = dict(asked.cache.records())
    page = entries[key].value
    named = next(entry.value.rows[0] for key, entry in entries.items() if "/Receipts?" in key)
    gone = next(row for row in page.rows if row.sid == named.participant_sid)
    page.rows.remove(gone)
    page._by_sid = None
    data, calls, _ = await asked(THREAD)
    assert calls == [key]
    assert data == (await asked(THREAD, no_cache=True))[0]
    assert gone.sid in {row.sid for row in dict(asked.cache.records())[key].value.rows}


async def test_a_participant_who_has_left_costs_one_revalidation(sandbox: Sandbox, asked: Asked) -> None:
    query = """query Q($serviceSid: ID!) { service(sid: $serviceSid) {
      conversations(first: 50) { edges { node { messages(first: 20) { edges { node {
        receipts { edges { node { participantSid participant { sid channel } } } } } } } } } } } }"""
    cold, _, _ = await asked(query)
    warm, calls, _ = await asked(query)
    assert warm == cold
    assert len(calls) == len(set(calls))
    assert all("/Participants?" in call for call in calls)


async def test_stale_values_are_served_while_they_are_revalidated(asked: Asked) -> None:
    query = "query Q($serviceSid: ID!) { service(sid: $serviceSid) { friendlyName } }"
    before, _, _ = await asked(query)
    asked.age(70)
    data, _, extensions = await asked(query, trace=True)
    assert data == before
    (call,) = extensions["upstream"]["calls"]
    assert (call["source"], call["reason"]) == ("shared", "stale, being revalidated")
    await asked.sandbox.until(lambda: len(asked.sandbox.calls) == 1 and asked.sandbox.in_flight == 0)
    assert asked.sandbox.paths == [call["path"]]
    for _ in range(3):
        await asyncio.sleep(0)
    asked.age(130)
    assert len((await asked(query))[1]) == 1  # Too old to be served.


async def test_revalidation_blocks_no_reader(asked: Asked) -> None:
    """However long Twilio's `Retry-After` is."""
    query = "query Q($serviceSid: ID!) { service(sid: $serviceSid) { friendlyName } }"
    await asked(query)
    asked.age(70)
    asked.sandbox.faults.add("*", Fault("status", status=429, retry_after="3600", times=1))
    await asked(query)
    await asked.sandbox.until(lambda: len(asked.sandbox.calls) == 1 and asked.sandbox.in_flight == 0)
    asked.age(200)
    data, calls, _ = await asked(query)
    assert data["service"]["friendlyName"]
    assert len(calls) == 1


async def test_during_an_outage_final_receipts_are_served_and_marked_as_stale(asked: Asked) -> None:
    asked.sandbox.world.progress(asked.sandbox.landmarks["message_sid"], to="read")
    given = landmark_variables(RECEIPTS, asked.sandbox.landmarks)
    known = await asked.operations.run(Operation(RECEIPTS, variables=given))
    (key,) = asked.sandbox.paths
    asked.age(3600)
    asked.sandbox.faults.add("*", Fault("status", status=503))
    await asked.operations.run(Operation(THREAD, variables=landmark_variables(THREAD, asked.sandbox.landmarks)))
    outcome = await asked.operations.run(Operation(RECEIPTS, variables=given))
    assert outcome.data == known.data
    assert outcome.failures == ()
    assert outcome.extensions["stale"] == [key]


async def test_errors_are_not_cached(asked: Asked) -> None:
    rule = asked.sandbox.faults.add("*", Fault("status", status=403))
    outcome = await asked.operations.run(
        Operation(RECEIPTS, variables=landmark_variables(RECEIPTS, asked.sandbox.landmarks))
    )
    assert [failure.error.code for failure in outcome.failures] == ["UPSTREAM_REJECTED"]
    asked.sandbox.faults.remove(rule)
    assert (await asked(RECEIPTS))[0]["service"]["conversation"]["message"]["receipts"]["edges"]


@pytest.mark.parametrize("state", ["cold", "warm", "interleaved"])
async def test_no_caller_gets_what_it_may_not_read(asked: Asked, state: str) -> None:
    """Whatever others have read, before or meanwhile, a caller limited to one service gets nothing of another."""
    query = """query Q($serviceSid: ID!, $otherServiceSid: ID!) {
      own: service(sid: $serviceSid) { friendlyName } other: service(sid: $otherServiceSid) { friendlyName }
      services(first: 100) { edges { node { sid friendlyName } } }
    }"""
    own = frozenset({asked.sandbox.landmarks["service_sid"]})
    everything = asyncio.create_task(asked(query)) if state == "interleaved" else None
    if state == "warm":
        await asked(query)
    data, _, _ = await asked(query, services=own)
    assert data["own"]["friendlyName"]
    assert data["other"] is None
    assert [edge["node"]["sid"] for edge in data["services"]["edges"]] == list(own)
    if everything is not None:
        assert len((await everything)[0]["services"]["edges"]) > 2


async def test_the_trace_says_what_was_cached_and_what_was_coalesced(asked: Asked) -> None:
    await asked(RECEIPTS)
    _, _, extensions = await asked(RECEIPTS, trace=True)
    assert [call["source"] for call in extensions["upstream"]["calls"] if "Receipts" in call["path"]] == ["shared"]
    assert extensions["cost"] == {"requested": 1, "planned": 0, "actual": 0}
    assert extensions["upstream"]["count"] == 0
    asked.sandbox.faults.add("*", Fault(latency=0.05))
    asked.age(10)
    given = landmark_variables(RECEIPTS, asked.sandbox.landmarks)
    both = await asyncio.gather(
        *(asked.operations.run(Operation(RECEIPTS, variables=given, trace=True)) for _ in range(2))
    )
    sources = [
        call["source"]
        for outcome in both
        for call in outcome.extensions["upstream"]["calls"]
        if "Receipts" in call["path"]
    ]
    assert sources == ["network", "coalesced"]
    assert [outcome.extensions["cost"]["actual"] for outcome in both] == [1, 0]
    assert [outcome.extensions["cost"]["planned"] for outcome in both] == [1, 1]


def test_the_memory_cache_is_bounded_in_bytes() -> None:
    cache = MemoryCache(2000)
    for number in range(20):
        cache.put(str(number), Entry(number, 0.0, 100))
        assert cache.get("0") is not None
    assert (cache.size, len(cache)) == (1000, 10)
    assert cache.get("1") is None
    cache.put("0", Entry(0, 0.0, 50))
    assert cache.size == 950
    cache.put("large", Entry(0, 0.0, 500))
    assert cache.get("large") is None
    assert cache.size == 950


@pytest.mark.parametrize("lifetimes", [Lifetimes(), Lifetimes(0, 0, 0, 0, 0, 0)])
async def test_a_lifetime_of_zero_disables_the_cache(sandbox: Sandbox, client: Client, lifetimes: Lifetimes) -> None:
    asked = Asked(sandbox, client, lifetimes)
    _, cold, _ = await asked(THREAD)
    _, again, _ = await asked(THREAD)
    assert len(again) == (0 if lifetimes.services else len(cold))

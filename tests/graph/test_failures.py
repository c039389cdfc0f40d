"""The failures of a service: what is found, in how many calls and round trips, and what is shown of lists that fail."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.accounts.operation import Operation
from gateway.sandbox import Sandbox

from ..conftest import Ask
from ..execution.conftest import WORLD
from .failures_fuzz import failed, search
from .service import CONVERSATIONS, MESSAGES, RECEIPTS, Service

ARGUMENTS = {
    "first": "Int",
    "after": "String",
    "scan": "Int",
    "sentFrom": "DateTime",
    "sentTo": "DateTime",
    "conversationsFrom": "DateTime",
    "status": "[DeliveryStatus!]",
    "codes": "[Int!]",
    "channels": "[String!]",
    "state": "ConversationStateFilter",
}


def query_of(*names: str) -> str:
    """The query with these arguments; the others are absent, so that their defaults hold."""
    declared = "".join(f", ${name}: {ARGUMENTS[name]}" for name in names)
    given = f"({', '.join(f'{name}: ${name}' for name in names)})" if names else ""
    return f"""
      query F($serviceSid: ID!{declared}) {{ service(sid: $serviceSid) {{ failures{given} {{
        edges {{ cursor node {{ sid status errorCode conversationSid messageSid message {{ dateCreated }} }} }}
        pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }}
        scan {{ messages conversations through unread }}
      }} }} }}
    """


async def page_of(ask: Ask, **arguments: Any) -> Any:
    """The page with these arguments, which must have no errors."""
    answer = await ask(query_of(*arguments), **arguments)
    assert not answer.errors
    return answer.data["service"]["failures"]


def nodes(page: Any) -> list[Any]:
    return [edge["node"] for edge in page["edges"]]


def sids(page: Any) -> list[str]:
    return [node["sid"] for node in nodes(page)]


# What is found


async def test_every_failure_of_a_service_is_found(ask: Ask) -> None:
    page = await page_of(ask, first=1000, scan=1000)
    assert set(sids(page)) == failed(WORLD.services[0])
    assert len(sids(page)) == len(set(sids(page)))
    assert page["pageInfo"]["hasNextPage"] is False
    messages = sum(len(each.message_indexes()) for each in WORLD.services[0].conversations.values())
    assert page["scan"] == {
        "messages": messages,
        "conversations": 16,
        "through": "2025-09-01T09:02:53Z",
        "unread": 0,
    }


async def test_the_newest_conversations_and_messages_come_first(ask: Ask) -> None:
    page = await page_of(ask, first=1000, scan=1000)
    created = {each.sid: each.settings.date_created for each in WORLD.services[0].conversations.values()}
    order = [(-created[node["conversationSid"]], node["message"]["dateCreated"]) for node in nodes(page)]
    assert [conversation for conversation, _ in order] == sorted(conversation for conversation, _ in order)
    for conversation in {conversation for conversation, _ in order}:
        sent = [time for each, time in order if each == conversation]
        assert sent == sorted(sent, reverse=True)


@pytest.mark.parametrize("seed", range(12))
async def test_every_failure_is_found_once_while_pages_shift(seed: int) -> None:
    """`python -m tests.graph.failures_fuzz` tries more."""
    assert await search(seed) is None


async def test_receipts_are_chosen_by_status_code_and_channel(ask: Ask) -> None:
    everything = nodes(await page_of(ask, first=1000, scan=1000))
    codes = [30003, 63016]
    assert nodes(await page_of(ask, first=1000, scan=1000, codes=codes)) == [
        node for node in everything if node["errorCode"] in codes
    ]
    only = nodes(await page_of(ask, first=1000, scan=1000, status=["UNDELIVERED"]))
    assert only == [node for node in everything if node["status"] == "UNDELIVERED"]
    by_channel = [
        set(sids(await page_of(ask, first=1000, scan=1000, channels=[channel])))
        for channel in ("sms", "whatsapp", "unknown", "chat")
    ]
    assert set().union(*by_channel) == {node["sid"] for node in everything}
    assert sum(map(len, by_channel)) == len(everything)
    assert by_channel[0]
    assert by_channel[1]
    assert not by_channel[3]


async def test_pending_receipts_are_found_though_summaries_do_not_show_them(ask: Ask) -> None:
    page = await page_of(ask, first=1000, scan=60, status=["PENDING"])
    assert {node["status"] for node in nodes(page)} == {"PENDING"}


async def test_messages_are_chosen_by_when_they_were_sent(ask: Ask) -> None:
    everything = nodes(await page_of(ask, first=1000, scan=1000))
    since, until = "2025-09-05T00:00:00Z", "2025-10-20T00:00:00Z"
    page = await page_of(ask, first=1000, scan=1000, sentFrom=since, sentTo=until)
    expected = [node for node in everything if since <= node["message"]["dateCreated"] <= until]
    assert expected
    assert nodes(page) == expected
    # Conversations created before `sentFrom` are examined too, unless `conversationsFrom` leaves them out.
    created = {each.sid: each.settings.date_created for each in WORLD.services[0].conversations.values()}
    begin = 1_757_030_400  # 2025-09-05T00:00:00Z
    newer = await page_of(ask, first=1000, scan=1000, sentFrom=since, sentTo=until, conversationsFrom=since)
    assert nodes(newer) == [node for node in expected if created[node["conversationSid"]] >= begin]
    assert nodes(newer) != expected


async def test_conversations_are_chosen_by_state(ask: Ask) -> None:
    page = await page_of(ask, first=1000, scan=1000, state="CLOSED")
    states = {each.sid: each.settings.state for each in WORLD.services[0].conversations.values()}
    assert nodes(page)
    assert {states[node["conversationSid"]] for node in nodes(page)} == {"closed"}


@pytest.mark.parametrize("arguments", [{"status": []}, {"codes": []}, {"channels": []}])
async def test_an_empty_filter_matches_nothing_at_no_call(ask: Ask, arguments: dict[str, Any]) -> None:
    answer = await ask(query_of(*arguments), **arguments)
    assert (answer.paths, answer.errors) == ([], [])
    assert answer.data["service"]["failures"]["pageInfo"]["hasNextPage"] is False


async def test_null_arguments_mean_their_defaults(ask: Ask) -> None:
    assert await page_of(ask, **dict.fromkeys(ARGUMENTS)) == await page_of(ask)


# Pages


async def test_a_page_ends_at_scan_and_its_cursor_continues_there(ask: Ask) -> None:
    first = await page_of(ask, scan=7)
    assert first["scan"]["messages"] == 7
    assert first["pageInfo"]["hasNextPage"] is True
    found, messages, page = sids(first), 7, first
    while page["pageInfo"]["hasNextPage"]:
        page = await page_of(ask, scan=97, after=page["pageInfo"]["endCursor"])
        assert page["pageInfo"]["hasPreviousPage"] is True
        assert page["scan"]["messages"] <= 97
        found += sids(page)
        messages += page["scan"]["messages"]
    whole = await page_of(ask, first=1000, scan=1000)
    assert (found, messages) == (sids(whole), whole["scan"]["messages"])


async def test_a_page_may_end_between_the_receipts_of_a_message(ask: Ask) -> None:
    whole = await page_of(ask, first=1000, scan=1000)
    found: list[str] = []
    after = None
    for _ in range(40):
        page = await page_of(ask, first=1, after=after)
        found += sids(page)
        after = page["pageInfo"]["endCursor"]
    assert found == sids(whole)[:40]
    assert len({node["messageSid"] for node in nodes(whole)[:40]}) < 40
    again = await page_of(ask, first=5, after=whole["edges"][10]["cursor"])
    assert sids(again) == sids(whole)[11:16]


async def test_nothing_is_read_for_an_empty_page(ask: Ask) -> None:
    cases: list[dict[str, Any]] = [{"first": 0}, {"scan": 0}]
    for arguments in cases:
        answer = await ask(query_of(*arguments), **arguments)
        assert answer.paths == []
        assert answer.data["service"]["failures"]["pageInfo"]["hasNextPage"] is True


@pytest.mark.parametrize(
    "arguments", [{"first": 1001}, {"first": -1}, {"scan": 1001}, {"scan": -1}, {"after": "nonsense"}, {"after": ""}]
)
async def test_wrong_arguments_are_refused_without_a_call(ask: Ask, arguments: dict[str, Any]) -> None:
    answer = await ask(query_of(*arguments), **arguments)
    assert (answer.codes, answer.paths) == (["BAD_USER_INPUT"], [])


async def test_a_cursor_belongs_to_its_filters(ask: Ask) -> None:
    after = (await page_of(ask, scan=7))["pageInfo"]["endCursor"]
    answer = await ask(query_of("after", "codes"), after=after, codes=[30003])
    assert answer.codes == ["BAD_USER_INPUT"]


# Calls


def test_a_search_takes_one_call_for_each_page_and_match() -> None:
    upstream = Service(conversations=40, messages=25, failing=10)
    outcome = upstream.run(query_of("scan"), scan=1000)
    assert outcome.data is not None
    found = outcome.data["service"]["failures"]
    assert set(sids(found)) == failed(upstream.service)
    assert len(sids(found)) == 10
    assert sorted(upstream.calls) == sorted([CONVERSATIONS, *[MESSAGES] * 40, *[RECEIPTS] * 10])
    # Pages of different conversations are read at once.
    assert [len(each) for each in upstream.rounds] == [1, 40, 10]


def test_a_search_ends_after_so_many_calls() -> None:
    upstream = Service(conversations=300, messages=1, failing=300)
    outcome = upstream.run(query_of("first", "scan"), first=1000, scan=1000)
    assert outcome.data is not None
    page = outcome.data["service"]["failures"]
    assert len(upstream.calls) <= 250 <= outcome.requested
    found, after = sids(page), page["pageInfo"]["endCursor"]
    for _ in range(3):
        more = upstream.run(query_of("first", "scan", "after"), first=1000, scan=1000, after=after)
        assert more.data is not None
        page = more.data["service"]["failures"]
        found, after = found + sids(page), page["pageInfo"]["endCursor"]
    assert page["pageInfo"]["hasNextPage"] is False
    assert len(found) == 300
    assert set(found) == failed(upstream.service)


def test_messages_older_than_the_period_are_not_paged_through() -> None:
    upstream = Service(conversations=2, messages=150, failing=1)
    later = "2026-03-02T00:00:00Z"
    outcome = upstream.run(query_of("sentFrom"), sentFrom=later)
    assert outcome.data is not None
    assert outcome.data["service"]["failures"]["scan"]["messages"] == 0
    assert upstream.calls == [CONVERSATIONS, MESSAGES, MESSAGES]


# Lists that fail


def same_by_both(upstream: Service, document: str, **variables: Any) -> tuple[Any, list[dict[str, Any]]]:
    """What the engine answers, which must be what graphql-core does."""
    outcome = upstream.run(document, **variables)
    reference = upstream.run(document, reference=True, **variables)
    errors = [failure.as_json() for failure in outcome.failures]
    assert (outcome.data, errors) == (reference.data, [failure.as_json() for failure in reference.failures])
    assert outcome.data is not None
    return outcome.data["service"]["failures"], errors


def test_a_list_that_cannot_be_read_has_an_error_beside_what_was_found() -> None:
    upstream = Service(conversations=4, messages=2, failing=4)
    sid = upstream.service.conversations[1].sid
    upstream.failing_targets = f"/{sid}/Messages"
    page, errors = same_by_both(upstream, query_of())
    assert len(sids(page)) == 3
    assert page["scan"]["unread"] == 1
    assert page["scan"]["conversations"] == 3
    (error,) = errors
    assert error["path"] == ["service", "failures"]
    assert error["message"].startswith(f"Services/{upstream.service.sid}/Conversations/{sid}/Messages was not read: ")
    assert error["extensions"]["code"] == "UPSTREAM_UNAVAILABLE"
    assert error["extensions"]["retryable"] is True


def test_receipts_that_cannot_be_read_are_no_missing_failures() -> None:
    upstream = Service(conversations=4, messages=2, failing=4)
    upstream.failing_targets = "/Receipts"
    page, errors = same_by_both(upstream, query_of())
    assert (sids(page), page["scan"]["unread"], len(errors)) == ([], 4, 4)
    assert all(error["path"] == ["service", "failures"] for error in errors)


def test_a_search_ends_when_many_lists_fail() -> None:
    upstream = Service(conversations=200, messages=2, failing=4)
    upstream.failing_targets = "/Messages"
    page, errors = same_by_both(upstream, query_of())
    assert page["scan"]["unread"] == len(errors) < 40
    assert page["pageInfo"]["hasNextPage"] is True


def test_without_the_list_of_conversations_there_is_no_page() -> None:
    upstream = Service(conversations=2, messages=2, failing=1)
    upstream.failing_targets = "Conversations.StartDate"
    page, errors = same_by_both(upstream, query_of())
    assert page is None
    assert [error["path"] for error in errors] == [["service", "failures"]]


async def test_a_service_that_does_not_exist_has_no_failures(ask: Ask) -> None:
    answer = await ask(query_of(), serviceSid="IS" + "0" * 32)
    assert (answer.data["service"]["failures"], answer.codes) == (None, ["NOT_FOUND"])


async def test_what_is_deferred_below_failures_takes_no_further_search(sandbox: Sandbox, ask: Ask) -> None:
    query = "query($serviceSid: ID!) { service(sid: $serviceSid) { failures(first: 2) { edges { node { sid } } %s } } }"
    whole = await ask(query % "scan { messages }")
    outcome = await ask.operations.run(
        Operation(
            query % "... @defer { scan { messages } }",
            variables={"serviceSid": sandbox.landmarks["service_sid"]},
            defer=True,
        )
    )
    assert outcome.subsequent is not None
    parts = [payload async for payload in outcome.subsequent]
    scan = parts[0].incremental[0].parts[0][1].data
    assert scan == {"scan": whole.data["service"]["failures"]["scan"]}

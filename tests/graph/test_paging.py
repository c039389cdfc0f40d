"""Pagination: exactly the requested records, in the fewest calls, whatever pages Twilio serves; forward only."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qsl

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.accounts.account import Account
from gateway.graph.connection import Slice
from gateway.graph.context import OperationContext
from gateway.graph.cursors import Cursor, decode_cursor
from gateway.graph.lists import PagedList, RowFilter
from gateway.graph.types import Message
from gateway.sandbox import Fault, Sandbox
from gateway.source.lifetimes import Lifetimes
from gateway.source.loaders import Loaders, Missing
from gateway.source.memory import MemoryCache
from gateway.twilio.client import Client
from gateway.twilio.responses import Page, read_page

from ..conftest import Answer, Ask

MESSAGES = """
query M($serviceSid: ID!, $conversationSid: ID!, $first: Int, $after: String, $order: MessageOrder) {
  service(sid: $serviceSid) { conversation(sid: $conversationSid) {
    messages(first: $first, after: $after, order: $order) {
      edges { cursor node { sid index } }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  } }
}
"""
PARTICIPANTS = """
query P($serviceSid: ID!, $crowdedConversationSid: ID!, $first: Int, $after: String) {
  service(sid: $serviceSid) { conversation(sid: $crowdedConversationSid) {
    participants(first: $first, after: $after) {
      edges { node { sid } }
      pageInfo { hasNextPage endCursor }
    }
  } }
}
"""


SID = "IM" + "0" * 32


def window(data: Any) -> Any:
    """The one connection in an answer."""
    conversation = data["service"]["conversation"]
    return next(iter(conversation.values()))


def indices(data: Any) -> list[int]:
    return [edge["node"]["index"] for edge in window(data)["edges"]]


def sizes(paths: list[str]) -> list[str]:
    """The requested page sizes."""
    return [path.partition("PageSize=")[2].partition("&")[0] for path in paths]


async def test_120_messages_are_two_calls_and_exactly_120(ask: Ask) -> None:
    answer = await ask(MESSAGES, first=120)
    assert indices(answer.data) == list(range(120))
    assert sizes(answer.paths) == ["60", "60"]
    page = window(answer.data)["pageInfo"]
    assert (page["hasNextPage"], page["hasPreviousPage"]) == (True, False)


@pytest.mark.parametrize(
    ("first", "asked"), [(1, ["1"]), (50, ["50"]), (100, ["100"]), (101, ["51", "51"]), (0, ["1"])]
)
async def test_pages_are_no_larger_than_needed(ask: Ask, first: int, asked: list[str]) -> None:
    answer = await ask(MESSAGES, first=first)
    assert indices(answer.data) == list(range(first))
    assert sizes(answer.paths) == asked
    assert window(answer.data)["pageInfo"]["hasNextPage"]


async def test_null_arguments_mean_their_defaults(ask: Ask) -> None:
    answer = await ask(MESSAGES, first=None, after=None, order=None)
    assert indices(answer.data) == list(range(50))
    assert answer.paths[0].endswith("/Messages?PageSize=50")


async def test_the_last_page_says_so(ask: Ask) -> None:
    answer = await ask(MESSAGES, first=1000)
    assert indices(answer.data) == list(range(len(indices(answer.data))))
    assert len(answer.paths) == 2
    assert not window(answer.data)["pageInfo"]["hasNextPage"]


async def test_newest_first(ask: Ask) -> None:
    answer = await ask(MESSAGES, first=3, order="DESC")
    last = indices(answer.data)[0]
    assert indices(answer.data) == [last, last - 1, last - 2]
    assert answer.paths[0].endswith("/Messages?Order=desc&PageSize=3")


async def test_an_end_cursor_goes_on_with_the_next_page_in_one_call(ask: Ask) -> None:
    start = await ask(MESSAGES, first=50)
    answer = await ask(MESSAGES, first=50, after=window(start.data)["pageInfo"]["endCursor"])
    assert indices(answer.data) == list(range(50, 100))
    assert len(answer.paths) == 1
    assert window(answer.data)["pageInfo"]["hasPreviousPage"]


async def test_a_cursor_amid_a_page_goes_on_behind_its_row(ask: Ask) -> None:
    start = await ask(MESSAGES, first=50)
    answer = await ask(MESSAGES, first=5, after=window(start.data)["edges"][9]["cursor"])
    assert indices(answer.data) == [10, 11, 12, 13, 14]


async def test_an_empty_conversation_is_an_empty_page(ask: Ask, sandbox: Sandbox) -> None:
    answer = await ask(MESSAGES, conversationSid=sandbox.landmarks["empty_conversation_sid"])
    assert window(answer.data) == {
        "edges": [],
        "pageInfo": {"hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": None},
    }


@pytest.mark.parametrize("last_page", ["null", "empty"])
@pytest.mark.parametrize("page_token", ["offset", "keyset"])
async def test_walking_a_list_gives_each_row_once(ask: Ask, sandbox: Sandbox, last_page: Any, page_token: Any) -> None:
    sandbox.switches = type(sandbox.switches)(last_page=last_page, page_token=page_token)
    seen: list[str] = []
    after, more = None, True
    while more:
        answer = await ask(PARTICIPANTS, first=30, after=after)
        seen += [edge["node"]["sid"] for edge in window(answer.data)["edges"]]
        more, after = window(answer.data)["pageInfo"]["hasNextPage"], window(answer.data)["pageInfo"]["endCursor"]
    assert len(seen) == len(set(seen)) > 100


async def test_rows_that_come_in_between_are_not_repeated(
    ask: Ask, sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    start = await ask(MESSAGES, first=20, order="DESC")
    oldest = indices(start.data)[-1]
    for number in range(3):
        await write_message(sandbox, http, f"late {number}")
    for cursor in (window(start.data)["pageInfo"]["endCursor"], window(start.data)["edges"][-1]["cursor"]):
        answer = await ask(MESSAGES, first=20, order="DESC", after=cursor)
        assert indices(answer.data) == list(range(oldest - 1, oldest - 21, -1))
    cursor = window(start.data)["edges"][4]["cursor"]
    answer = await ask(MESSAGES, first=3, order="DESC", after=cursor)
    assert indices(answer.data) == [indices(start.data)[4] - step for step in (1, 2, 3)]


@pytest.mark.parametrize("order", ["ASC", "DESC"])
async def test_rows_that_go_in_between_take_none_with_them(
    ask: Ask, sandbox: Sandbox, http: aiohttp.ClientSession, order: str
) -> None:
    start = await ask(MESSAGES, first=10, order=order)
    for edge in window(start.data)["edges"][:2]:
        await remove_message(sandbox, http, edge["node"]["sid"])
    last = indices(start.data)[-1]
    answer = await ask(MESSAGES, first=5, order=order, after=window(start.data)["pageInfo"]["endCursor"])
    step = 1 if order == "ASC" else -1
    assert indices(answer.data) == [last + step * ahead for ahead in range(1, 6)]


@pytest.mark.parametrize("order", ["ASC", "DESC"])
async def test_rows_that_go_in_between_take_none_with_them_from_a_cached_page(
    ask: Ask, sandbox: Sandbox, client: Client, http: aiohttp.ClientSession, order: str
) -> None:
    """The row behind the cursor moved into the cursor's page, which is cached as it was: that page is read again."""
    ask.operations = Account(client, cache=MemoryCache(2**20), lifetimes=Lifetimes(messages=60))
    start = await ask(MESSAGES, first=10, order=order)
    await remove_message(sandbox, http, window(start.data)["edges"][0]["node"]["sid"])
    last = indices(start.data)[-1]
    answer = await ask(MESSAGES, first=10, order=order, after=window(start.data)["pageInfo"]["endCursor"])
    step = 1 if order == "ASC" else -1
    assert indices(answer.data) == [last + step * ahead for ahead in range(1, 11)]
    assert len(answer.paths) == 2


@pytest.mark.parametrize("place", [1, 10, 100])
async def test_one_who_leaves_takes_none_along_where_rows_have_no_index(
    ask: Ask, sandbox: Sandbox, http: aiohttp.ClientSession, place: int
) -> None:
    """A cursor whose own row has gone goes on behind it: amid a page, at its beginning, and at its end."""
    sandbox.switches = type(sandbox.switches)(page_token="keyset")  # With the other, Twilio's next page leaves one out.
    everyone = participants(await ask(PARTICIPANTS, first=1000))
    start = await ask(PARTICIPANTS, first=place)
    await remove_participant(sandbox, http, participants(start)[-1])
    answer = await ask(PARTICIPANTS, first=5, after=window(start.data)["pageInfo"]["endCursor"])
    assert participants(answer) == everyone[place : place + 5]


def participants(answer: Answer) -> list[str]:
    return [edge["node"]["sid"] for edge in window(answer.data)["edges"]]


async def remove_participant(sandbox: Sandbox, http: aiohttp.ClientSession, sid: str) -> None:
    marks = sandbox.landmarks
    thread = f"Services/{marks['service_sid']}/Conversations/{marks['crowded_conversation_sid']}"
    headers = {"Authorization": aiohttp.encode_basic_auth(sandbox.account_sid, sandbox.auth_token)}
    async with http.delete(f"{sandbox.url}/v1/{thread}/Participants/{sid}", headers=headers) as response:
        assert response.status == 204


async def remove_message(sandbox: Sandbox, http: aiohttp.ClientSession, sid: str) -> None:
    marks = sandbox.landmarks
    url = f"{sandbox.url}/v1/Services/{marks['service_sid']}/Conversations/{marks['conversation_sid']}/Messages/{sid}"
    headers = {"Authorization": aiohttp.encode_basic_auth(sandbox.account_sid, sandbox.auth_token)}
    async with http.delete(url, headers=headers) as response:
        assert response.status == 204


async def write_message(sandbox: Sandbox, http: aiohttp.ClientSession, body: str) -> None:
    """Create a message at the end of the landmark conversation, through Twilio's API."""
    marks = sandbox.landmarks
    url = f"{sandbox.url}/v1/Services/{marks['service_sid']}/Conversations/{marks['conversation_sid']}/Messages"
    headers = {"Authorization": aiohttp.encode_basic_auth(sandbox.account_sid, sandbox.auth_token)}
    async with http.post(url, data={"Body": body}, headers=headers) as response:
        assert response.status == 201


@dataclass
class Row:
    sid: str
    index: int


@dataclass
class Pages:
    """A list in memory, served in pages of at most `served` rows, whatever size is requested."""

    rows: list[Row]
    served: int
    no_cache = False

    def page(self, target: str) -> Page:
        return next(self.pages(target, most=1))

    def read_again(self, target: str) -> None:
        """Do nothing: every page is read as it is."""

    def pages(self, target: str, *, most: int) -> Iterator[Page]:
        path, _, query = target.partition("?")
        asked = dict(parse_qsl(query))
        size, start = min(int(asked["PageSize"]), self.served), int(asked.get("PageToken", "0"))
        while True:
            rows = self.rows[start : start + size]
            start += size
            more = start < len(self.rows)
            following = f"{path}?PageSize={asked['PageSize']}&PageToken={start}" if more else None
            yield Page(target, rows, following)
            if following is None:
                return
            target = following


def read(listing: PagedList, pages: Pages) -> Slice:
    return listing.resolve(OperationContext(cast(Loaders, pages)))


@given(first=st.integers(0, 60), served=st.integers(1, 30), skip=st.integers(0, 25))
@settings(max_examples=100)
def test_any_first_over_any_page_size_gives_exactly_that(first: int, served: int, skip: int) -> None:
    """Whatever page size Twilio serves instead of the one asked for, the slice is the same."""
    rows = [Row(f"IM{number:032x}", number) for number in range(40)]
    list_path = f"Services/IS{0:032x}/Conversations/CH{0:032x}"
    loaders = Pages(rows, served)
    after = None
    if skip:
        spots = read(PagedList(Message.resource, list_path, skip, None), loaders)
        after = spots.end_cursor
    got = read(PagedList(Message.resource, list_path, first, after), loaders)
    start = min(skip, len(rows))
    assert [edge.node.row.index for edge in got.edges] == list(range(start, min(start + first, len(rows))))
    assert got.has_next_page == (start + first < len(rows))


class Arriving(Pages):
    """The same list; one more page has been read after each `Missing`."""

    arrived = 0

    def pages(self, target: str, *, most: int) -> Iterator[Page]:
        for number, page in enumerate(super().pages(target, most=most)):
            if number == self.arrived:
                self.arrived += 1
                raise Missing(page.target)
            yield page


@pytest.mark.parametrize(("count", "served"), [(40, 4), (400, 4)])
def test_a_walk_looks_at_each_row_once_however_many_pages_there_are(count: int, served: int) -> None:
    pages = Arriving([Row(f"IM{number:032x}", number) for number in range(count)], served)
    looked: list[int] = []

    def is_even(row: Any) -> bool:
        looked.append(row.index)
        return bool(row.index % 2 == 0)

    listing = PagedList(
        Message.resource,
        f"Services/IS{0:032x}/Conversations/CH{0:032x}",
        first=count,
        after=None,
        row_filter=RowFilter(is_even, "even"),
        scan=count,
    )
    context = OperationContext(cast(Loaders, pages))
    for _ in range(count // served):
        with pytest.raises(Missing):
            listing.resolve(context)
    found = listing.resolve(context)
    assert [edge.node.row.index for edge in found.edges] == list(range(0, count, 2))
    assert looked == list(range(count))
    assert context.walks == {}


async def test_a_list_that_leads_in_a_circle_is_an_error(ask: Ask, sandbox: Sandbox) -> None:
    for url in ("self", "endless"):
        sandbox.faults.clear()
        sandbox.faults.add("*/Messages*", Fault("next_page", url=url))
        answer = await ask(MESSAGES, first=300)
        assert answer.codes == ["UPSTREAM_INVALID_RESPONSE"]
        assert answer.data["service"]["conversation"] == {"messages": None}


async def test_a_next_page_elsewhere_is_not_followed(ask: Ask, sandbox: Sandbox) -> None:
    async with Sandbox() as foreign:
        target = f"{foreign.url}/v1/Services?PageSize=1"
        sandbox.faults.add("*/Messages*", Fault("next_page", url=target))
        answer = await ask(MESSAGES, first=300)
        assert answer.codes == ["UPSTREAM_INVALID_RESPONSE"]
        assert foreign.calls == []


@pytest.mark.parametrize("first", [-1, 1001])
async def test_first_has_bounds(ask: Ask, first: int) -> None:
    answer = await ask(MESSAGES, first=first)
    assert (answer.codes, answer.paths) == (["BAD_USER_INPUT"], [])
    assert answer.errors[0]["path"] == ["service", "conversation", "messages"]


async def test_a_null_filter_is_the_same_list_as_none(ask: Ask) -> None:
    query = """query C($serviceSid: ID!, $from: DateTime, $to: DateTime, $after: String) { service(sid: $serviceSid) {
      conversations(first: 2, createdFrom: $from, createdTo: $to, after: $after) { pageInfo { endCursor } edges { cursor } }
    } }"""
    since: dict[str, Any] = {"from": "2020-01-01T00:00:00Z"}
    start = await ask(query, **since)
    cursor = start.data["service"]["conversations"]["pageInfo"]["endCursor"]
    answer = await ask(query, **since | {"to": None, "after": cursor})
    assert not answer.errors
    assert len(answer.data["service"]["conversations"]["edges"]) == 2


async def test_a_range_that_few_rows_are_in_is_read_in_large_pages(ask: Ask, sandbox: Sandbox) -> None:
    query = """query C($serviceSid: ID!, $from: DateTime, $to: DateTime) { service(sid: $serviceSid) {
      conversations(first: 1, createdFrom: $from, createdTo: $to) { edges { node { dateCreated } } }
    } }"""
    every = await ask(
        "query C($serviceSid: ID!) { service(sid: $serviceSid) { conversations { edges { node { dateCreated } } } } }"
    )
    oldest = min(edge["node"]["dateCreated"] for edge in every.data["service"]["conversations"]["edges"])
    bounds: dict[str, Any] = {"from": "2020-01-01T00:00:00Z", "to": oldest}
    answer = await ask(query, **bounds)
    assert [edge["node"]["dateCreated"] for edge in answer.data["service"]["conversations"]["edges"]] == [oldest]
    assert len(answer.paths) == 1
    assert "PageSize=100" in answer.paths[0]


async def test_an_answer_has_bounds_though_it_costs_no_calls(ask: Ask) -> None:
    again = "conversation { messages(first: 150) { edges { node { %s } } } }"
    query = "query Q($serviceSid: ID!, $conversationSid: ID!) { service(sid: $serviceSid) { %s } }" % (
        "conversation(sid: $conversationSid) { messages(first: 150) { edges { node { %s } } } }"
        % (again % (again % "sid"))
    )
    answer = await ask(query)
    assert set(answer.codes) == {"COST_LIMIT_EXCEEDED"}
    assert len(answer.paths) == 2


def other_list(cursor: str) -> str:
    return Cursor.make("another list", "PageSize=50", "IM" + "0" * 32, 1, 1).encode()


def altered(cursor: str) -> str:
    return cursor[:-6] + ("AAAAAA" if cursor[-6:] != "AAAAAA" else "BBBBBB")


@pytest.mark.parametrize("spoil", [other_list, altered, lambda _: "", lambda _: "x", lambda c: c * 400, lambda _: "é"])
async def test_a_cursor_that_is_not_of_this_list_is_refused(ask: Ask, spoil: Callable[[str], str]) -> None:
    start = await ask(PARTICIPANTS, first=2)
    answer = await ask(MESSAGES, after=spoil(window(start.data)["pageInfo"]["endCursor"]))
    assert (answer.codes, answer.paths) == (["BAD_USER_INPUT"], [])


async def test_a_cursor_is_refused_with_another_order(ask: Ask) -> None:
    start = await ask(MESSAGES, first=2)
    answer = await ask(MESSAGES, first=2, order="DESC", after=window(start.data)["pageInfo"]["endCursor"])
    assert (answer.codes, answer.paths) == (["BAD_USER_INPUT"], [])


@pytest.mark.parametrize(
    "query", ["PageSize=50#x", "PageSize=5 0", "é=1", "PageSize=50\r\nHost: x.test", "PageSize=5\x7f"]
)
async def test_a_forged_cursor_makes_no_other_request(ask: Ask, sandbox: Sandbox, query: str) -> None:
    marks = sandbox.landmarks
    path = f"Services/{marks['service_sid']}/Conversations/{marks['conversation_sid']}/Messages"
    for forged in (Cursor.make(f"{path}?()", *each) for each in ((query, SID, 1, 1), ("", SID, 1, 1, query))):
        answer = await ask(MESSAGES, after=forged.encode())
        assert (answer.codes, answer.paths) == (["BAD_USER_INPUT"], [])


@pytest.mark.parametrize(
    "echo", ["&Order=asc", "&Order=asc&State=", "&State=", "&Unheard=of&x", "&PageSize=1000", "&Limit=%20a%2Fb"]
)
async def test_a_cursor_is_taken_whatever_parameters_twilio_s_next_page_has(
    ask: Ask, sandbox: Sandbox, client: Client, echo: str
) -> None:
    every = indices((await ask(MESSAGES, first=12)).data)
    (target,) = (await ask(MESSAGES, first=4)).paths
    following = (await client.get(target, lambda _, response: read_page(Message.resource, target, response))).next
    assert following is not None
    if "PageSize" in echo:
        following = following.replace("PageSize=4", "PageSize=1000")
    sandbox.faults.add(
        target, Fault("next_page", url=f"https://x.test/v1/{following}{echo.replace('&PageSize=1000', '')}")
    )
    start = await ask(MESSAGES, first=4)
    for cursor in (window(start.data)["pageInfo"]["endCursor"], window(start.data)["edges"][-1]["cursor"]):
        answer = await ask(MESSAGES, first=4, after=cursor)
        assert answer.codes == []
        assert indices(answer.data) == every[4:8]


def test_a_cursor_of_the_longest_next_page_is_taken() -> None:
    query = f"PageSize=50&PageToken={'x' * 8100}"
    cursor = Cursor.make("a list", query, SID, 50, 2**31 - 1, query)
    assert decode_cursor(cursor.encode(), "a list") == cursor


@pytest.mark.parametrize(
    ("query", "pages"),
    [
        ("PageSize=100", 10),
        ("PageSize=1000", 10),
        ("PageSize=0", 10),
        ("PageSize=-1", 10),
        ("PageSize=", 10),
        ("PageSize=many", 10),
        ("NoPageSize=1", 10),
        ("PageSize=50", 20),
        ("PageSize=100&PageSize=50", 20),
        ("Page=2", 10),
    ],
)
def test_the_worst_case_of_a_cursor_s_page_size(query: str, pages: int) -> None:
    path = "Services/IS/Conversations/CH"
    cursor = Cursor.make(f"{path}/Messages?()", query, SID, 1, 1).encode()
    assert PagedList(Message.resource, path, 1000, cursor).calls_max == 2 * pages + 2


@pytest.mark.parametrize("arguments", [{"first": 0}, {"first": 5, "scan": 0, "status": ["FAILED"]}])
async def test_a_page_of_nothing_ends_where_it_began(ask: Ask, arguments: dict[str, Any]) -> None:
    query = CHOSEN if "status" in arguments else MESSAGES.replace("hasPreviousPage startCursor", "")
    start = await ask(query, **arguments | {"first": 3, "scan": 50})
    cursor = window(start.data)["pageInfo"]["endCursor"]
    nothing = await ask(query, **arguments | {"after": cursor})
    assert window(nothing.data) == {"edges": [], "pageInfo": {"hasNextPage": True, "endCursor": cursor}}
    fresh = await ask(query, **arguments)
    assert window(fresh.data) == {"edges": [], "pageInfo": {"hasNextPage": True, "endCursor": None}}


async def test_after_the_last_row_the_end_stays(ask: Ask, sandbox: Sandbox) -> None:
    """A client that asks again after it does not start from the beginning."""
    last = await ask(MESSAGES, first=1000)
    cursor = window(last.data)["pageInfo"]["endCursor"]
    answer = await ask(MESSAGES, first=5, after=cursor)
    assert window(answer.data)["pageInfo"] == {
        "hasNextPage": False,
        "hasPreviousPage": True,
        "startCursor": None,
        "endCursor": cursor,
    }


async def test_pages_without_rows_under_new_tokens_stop_after_a_few(ask: Ask, sandbox: Sandbox) -> None:
    sandbox.faults.add("*/Messages*", Fault("empty_page", url="endless"))
    answer = await ask(MESSAGES, first=50)
    assert (answer.codes, window(answer.data)) == (["UPSTREAM_INVALID_RESPONSE"], None)
    assert answer.errors[0]["path"] == ["service", "conversation", "messages"]
    assert len(answer.paths) == 5


async def test_a_page_token_that_twilio_no_longer_takes_is_bad_input(ask: Ask, sandbox: Sandbox) -> None:
    marks = sandbox.landmarks
    path = f"Services/{marks['service_sid']}/Conversations/{marks['conversation_sid']}/Messages"
    stale = Cursor.make(f"{path}?()", "PageSize=50&PageToken=PTold", "IM" + "0" * 32, 0, 1).encode()
    answer = await ask(MESSAGES, after=stale)
    assert answer.codes == ["BAD_USER_INPUT"]
    assert len(answer.paths) == 1


async def test_a_cursor_without_a_page_size_is_no_crash(ask: Ask, sandbox: Sandbox) -> None:
    marks = sandbox.landmarks
    path = f"Services/{marks['service_sid']}/Conversations/{marks['conversation_sid']}/Messages"
    odd = Cursor.make(f"{path}?()", "Page=0", "IM" + "0" * 32, 0, 1).encode()
    answer = await ask(MESSAGES, first=2, after=odd)
    assert "INTERNAL_SERVER_ERROR" not in answer.codes


# Chosen messages

CHOSEN = """
query C($serviceSid: ID!, $conversationSid: ID!, $first: Int, $after: String, $status: [MessageDeliveryStatus!], $scan: Int) {
  service(sid: $serviceSid) { conversation(sid: $conversationSid) {
    messages(first: $first, after: $after, deliveryStatus: $status, scan: $scan) {
      edges { node { index deliveryStatus receipts(status: [FAILED, UNDELIVERED]) { edges { node { status } } } } }
      pageInfo { hasNextPage endCursor }
    }
  } }
}
"""
BAD = ["FAILED", "PARTLY_FAILED"]


async def test_of_chosen_messages_only_the_matches_are_opened(ask: Ask) -> None:
    every = await ask(CHOSEN, first=1000)
    wanted = [edge["node"]["index"] for edge in window(every.data)["edges"] if edge["node"]["deliveryStatus"] in BAD]
    some = await ask(CHOSEN, first=1000, status=BAD, scan=1000)
    assert indices(some.data) == wanted
    assert 0 < len(wanted) < len(indices(every.data)) / 2
    lists = [path for path in some.paths if "/Receipts?" not in path]
    assert sizes(lists) == ["100"] * len(lists)
    assert len(some.paths) == len(lists) + len(wanted)
    assert all(
        receipt["node"]["status"] in {"FAILED", "UNDELIVERED"}
        for edge in window(some.data)["edges"]
        for receipt in edge["node"]["receipts"]["edges"]
    )


@pytest.mark.parametrize(("first", "scan"), [(1, 7), (2, 30), (3, 1000), (50, 11)])
async def test_chosen_messages_are_walked_to_the_end(ask: Ask, first: int, scan: int) -> None:
    every = await ask(CHOSEN, first=1000, status=BAD, scan=1000)
    found: list[int] = []
    after = None
    for _ in range(200):
        page = window((await ask(CHOSEN, first=first, scan=scan, status=BAD, after=after)).data)
        found += [edge["node"]["index"] for edge in page["edges"]]
        assert len(page["edges"]) <= min(first, scan)
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert found == indices(every.data)


async def test_arguments_that_choose_messages(ask: Ask) -> None:
    nothing = await ask(CHOSEN, status=[])
    assert (window(nothing.data)["edges"], nothing.paths) == ([], [])
    assert indices((await ask(CHOSEN, first=5, status=None, scan=0)).data) == indices((await ask(CHOSEN, first=5)).data)
    default = await ask(CHOSEN, first=1000, status=BAD, scan=None)
    assert indices(default.data) == indices((await ask(CHOSEN, first=1000, status=BAD, scan=500)).data)
    for scan in (-1, 1001):
        assert (await ask(CHOSEN, scan=scan)).codes == ["BAD_USER_INPUT"]

"""Pages: the envelope, its tokens, page sizes, order and filters."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sandbox.pages import ListResource, page
from gateway.sandbox.responses import ApiError
from gateway.sandbox.switches import Switches

if TYPE_CHECKING:
    from tests.sandbox.conftest import Caller


async def test_the_envelope_is_twilios(caller: Caller) -> None:
    url = f"{caller.sandbox.url}/v1/{caller.conversation}/Messages"
    first, second = (await caller.pages(f"{caller.conversation}/Messages?PageSize=90&Order=desc"))[:2]
    meta = first["meta"]
    token = dict(parse_qsl(urlsplit(meta["next_page_url"]).query))["PageToken"]
    assert meta == {
        "page": 0,
        "page_size": 90,
        "first_page_url": f"{url}?Order=desc&PageSize=90&Page=0",
        "previous_page_url": None,
        "url": f"{url}?Order=desc&PageSize=90&Page=0",
        "next_page_url": f"{url}?Order=desc&PageSize=90&Page=1&PageToken={token}",
        "key": "messages",
    }
    assert token.startswith("PTeyJ")
    assert second["meta"]["url"] == meta["next_page_url"]
    assert second["meta"]["next_page_url"] is None
    assert list(first) == ["meta", "messages"]


async def test_the_previous_page_is_the_one_before(caller: Caller) -> None:
    for switches in (Switches(page_token="offset"), Switches(page_token="keyset")):
        caller.sandbox.switches = switches
        pages = await caller.pages(f"{caller.conversation}/Messages?PageSize=50")
        for before, after in pairwise(pages):
            assert (await caller.read(after["meta"]["previous_page_url"]))["messages"] == before["messages"]


@pytest.mark.parametrize(
    ("collection", "key", "largest"),
    [
        ("Services", "services", 100),
        ("{service}/Conversations", "conversations", 100),
        ("{conversation}/Messages", "messages", 100),
        ("{conversation}/Participants", "participants", 100),
        ("{message}/Receipts", "delivery_receipts", 50),
    ],
)
async def test_a_page_holds_fifty_and_at_most_what_the_list_allows(
    caller: Caller, collection: str, key: str, largest: int
) -> None:
    target = collection.format(**vars(caller))
    assert (await caller.read(target))["meta"]["page_size"] == 50
    assert (await caller.read(f"{target}?PageSize=1000"))["meta"]["page_size"] == largest
    assert len((await caller.read(f"{target}?PageSize=1"))[key]) == 1


async def test_a_list_is_the_same_in_pages_of_any_size(caller: Caller) -> None:
    whole = await caller.rows(f"{caller.conversation}/Messages?PageSize=100")
    assert [row["index"] for row in whole] == list(range(180))
    for size in (7, 60, 90):
        assert await caller.rows(f"{caller.conversation}/Messages?PageSize={size}") == whole


async def test_urls_are_on_the_callers_origin(caller: Caller) -> None:
    reply = await caller.get(f"{caller.conversation}/Messages", headers={"Host": "twilio.test:81"})
    urls = [reply.json["meta"]["next_page_url"], reply.json["messages"][0]["url"]]
    urls += reply.json["messages"][0]["links"].values()
    assert all(url.startswith("http://twilio.test:81/v1/Services/IS") for url in urls)


async def test_names_stay_encoded_in_page_urls(caller: Caller) -> None:
    name = quote(caller.sandbox.landmarks["unique_name"], safe="")
    rows = await caller.rows(f"{caller.service}/Conversations/{name}/Messages?PageSize=5")
    sid = caller.sandbox.landmarks["unique_name_conversation_sid"]
    assert rows == await caller.rows(f"{caller.service}/Conversations/{sid}/Messages?PageSize=100")
    assert len(rows) > 5


BAD_TOKENS = ("", "PT", "PT%00", "PTxx", "PTe30", "XXeyJvIjo1MH0", "PTeyJvIjo1MH0", "PT🙂", "PTW10")
BAD_SIZES = ("0", "-1", "x", "", "5.0", "²", "9" * 5000)


@pytest.mark.parametrize("token", BAD_TOKENS)
async def test_a_bad_token_is_refused(caller: Caller, token: str) -> None:
    reply = await caller.get(f"{caller.conversation}/Messages?PageToken={quote(token, safe='%')}")
    assert (reply.status, reply.json["code"]) == (400, 21481)


async def test_a_token_of_another_list_is_refused(caller: Caller) -> None:
    url = (await caller.read(f"{caller.conversation}/Messages"))["meta"]["next_page_url"]
    query = urlsplit(url).query
    assert (await caller.get(f"{caller.conversation}/Messages?{query}")).status == 200
    assert (await caller.get(f"{caller.conversation}/Messages?{query}&Order=desc")).status == 400
    assert (await caller.get(f"{caller.conversation}/Participants?{query}")).status == 400


@pytest.mark.parametrize("query", [*(f"PageSize={size}" for size in BAD_SIZES), "Page=-1", "Page=x", "Order=up"])
async def test_a_bad_parameter_is_refused(caller: Caller, query: str) -> None:
    reply = await caller.get(f"{caller.conversation}/Messages?{quote(query, safe='=')}")
    assert (reply.status, reply.json["code"]) == (400, 20001)


async def test_conversations_are_filtered_by_state(caller: Caller) -> None:
    target = f"{caller.service}/Conversations"
    rows = await caller.rows(target)
    for state in ("active", "inactive", "closed"):
        page = await caller.read(f"{target}?State={state}&PageSize=100")
        assert page["conversations"] == [row for row in rows if row["state"] == state] != []
        assert page["meta"]["url"].endswith(f"/Conversations?State={state}&PageSize=100&Page=0")
    assert (await caller.get(f"{target}?State=asleep")).json["code"] == 20001


async def test_conversations_are_filtered_by_date_the_newest_first(caller: Caller) -> None:
    target = f"{caller.service}/Conversations"
    rows = await caller.rows(target)
    start, end = rows[3]["date_created"], rows[8]["date_created"]
    found = await caller.rows(f"{target}?StartDate={start}&EndDate={end}&PageSize=4")
    assert found == rows[8:2:-1]
    day = start[:10]
    of_day = await caller.rows(f"{target}?StartDate={day}&EndDate={day}")
    assert of_day == [row for row in reversed(rows) if row["date_created"].startswith(day)] != []
    assert await caller.rows(f"{target}?EndDate=1999-12-31T23:59:59Z") == []
    assert (await caller.get(f"{target}?StartDate=yesterday")).json["code"] == 20001


def listing(keys: list[int]) -> ListResource:
    return ListResource("rows", "name", 100, keys, lambda key: {"key": key})


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


@given(
    keys=st.lists(st.integers(0, 500), unique=True, max_size=60).map(sorted),
    size=st.integers(1, 20),
    token=st.sampled_from(["offset", "keyset"]),
    last=st.sampled_from(["null", "empty"]),
)
def test_walking_gives_every_row_once_in_order(keys: list[int], size: int, token: Any, last: Any) -> None:
    switches = Switches(page_token=token, last_page=last)
    query: dict[str, str] | None = {"PageSize": str(size)}
    seen: list[int] = []
    sizes: list[int] = []
    while query is not None:
        answer = page(listing(keys), "http://x/v1/Rows", query, switches)
        assert answer["meta"]["page"] == len(sizes)
        rows = [row["key"] for row in answer["rows"]]
        seen += rows
        sizes.append(len(rows))
        url = answer["meta"]["next_page_url"]
        query = query_of(url) if url else None
    assert seen == keys
    assert all(each == size for each in sizes[:-1])
    assert (sizes[-1] == 0) == (not keys or (last == "empty" and len(keys) % size == 0))


@given(
    keys=st.lists(st.integers(0, 200), unique=True, min_size=10, max_size=40).map(sorted),
    removed=st.sets(st.integers(0, 200)),
    added=st.sets(st.integers(0, 200)),
)
def test_a_keyset_token_goes_on_behind_the_last_row_whatever_came_or_went(
    keys: list[int], removed: set[int], added: set[int]
) -> None:
    switches = Switches(page_token="keyset")
    url = page(listing(keys), "http://x/v1/Rows", {"PageSize": "5"}, switches)["meta"]["next_page_url"]
    changed = sorted({*keys, *added} - removed)
    answer = page(listing(changed), "http://x/v1/Rows", query_of(url), switches)
    assert [row["key"] for row in answer["rows"]] == [key for key in changed if key > keys[4]][:5]


@given(token=st.text(max_size=40))
def test_no_token_is_too_strange_to_be_refused(token: str) -> None:
    with pytest.raises(ApiError) as caught:
        page(listing([1, 2]), "http://x/v1/Rows", {"PageToken": "PT" + token}, Switches())
    assert (caught.value.status, caught.value.code) == (400, 21481)

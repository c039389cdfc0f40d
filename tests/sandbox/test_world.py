"""The seeded world: reproducible, lazy, and holding all the cases that are easy to get wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from gateway.sandbox import Sandbox, Switches
from gateway.sandbox.api import Api
from gateway.sandbox.seeds import Seed
from gateway.sandbox.world import Size, World

if TYPE_CHECKING:
    from tests.sandbox.conftest import Caller

DIGEST = """
import hashlib
from gateway.sandbox import Switches
from gateway.sandbox.api import Api
from gateway.sandbox.world import World
world = World(seed=7)
api = Api(world)
digest = hashlib.sha256()
for service in world.services:
    for conversation in service.conversations.values():
        base = f"/v1/Services/{service.sid}/Conversations/{conversation.sid}"
        for path in (base, base + "/Messages", base + "/Participants"):
            digest.update(api.answer("GET", path, "PageSize=100", "http://x", Switches()).body)
print(digest.hexdigest())
"""


def read(world: World, path: str, query: str = "") -> Any:
    answer = Api(world).answer("GET", f"/v1/{path}", query, "http://x", Switches())
    assert answer.status == 200
    return json.loads(answer.body)


def run(code: str, hash_seed: str) -> str:
    environment = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    ).stdout


def test_the_same_seed_gives_the_same_bytes_in_every_process() -> None:
    assert len(run(DIGEST, "1")) == 65
    assert run(DIGEST, "1") == run(DIGEST, "2")


def test_the_first_sids_of_seed_one_are_pinned() -> None:
    """Ready-made queries in documents and in other people's tests hold these sids."""
    marks = Sandbox(seed=1).landmarks
    assert marks == Sandbox(seed=1, size="large").landmarks
    assert marks["service_sid"] == "ISff92e7091790c1d062d587732f8f2198"
    assert marks["message_sid"] == "IM516c3048e787961860ed3b4d8171f6d9"


def test_another_seed_gives_another_world() -> None:
    one, two = Sandbox(seed=1), Sandbox(seed=2)
    assert not set(one.landmarks.values()) & set(two.landmarks.values()) - {
        one.landmarks["unique_name"],
        one.landmarks["identity"],
    }
    assert {one.account_sid, one.auth_token, one.api_key, one.api_secret}.isdisjoint(
        {two.account_sid, two.auth_token, two.api_key, two.api_secret}
    )


@pytest.mark.parametrize(
    ("size", "least", "most"), [("small", 300, 999), ("medium", 8_000, 12_000), ("large", 300_000, 900_000)]
)
def test_sizes(size: Size, least: int, most: int) -> None:
    world = World(size=size)
    assert least <= sum(len(one.message_indexes()) for one in world.conversations()) <= most
    assert len(world.services) >= 3
    assert (len(world.services[0].conversations) > 100) == (size != "small")


def test_nothing_but_conversations_is_drawn_before_it_is_asked_for() -> None:
    world = World(size="large")
    conversations = sum(1 for _ in world.conversations())
    assert world.seed.drawn < 3 * conversations
    longest = max(world.conversations(), key=lambda one: len(one.message_indexes()))
    before = world.seed.drawn
    page = read(world, f"Services/{longest.service_sid}/Conversations/{longest.sid}/Messages", "Order=desc&PageSize=1")
    assert page["messages"][0]["index"] == 99_999
    assert world.seed.drawn - before < 50


def test_a_sid_leads_back_to_its_number_only_where_it_belongs() -> None:
    seed = Seed(3)
    for number in (0, 1, 255, 70_000, 2**32 - 1):
        sid = seed.sid("IM", "CHx", number)
        assert seed.number_of(sid, "IM", "CHx") == number
        assert seed.number_of(sid, "IM", "CHy") is None
        assert seed.number_of(sid, "DY", "CHx") is None
        assert seed.number_of(sid.upper(), "IM", "CHx") is None
    for wrong in ("", "IM", "IM" + "g" * 32, "IM" + "0" * 32, "IM" + "-1" * 16):
        assert seed.number_of(wrong, "IM", "CHx") is None


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_kind_of_row_is_there(seed: int) -> None:
    world = World(seed=seed)
    statuses, codes, prefixes, media, authors = Counter[Any](), set(), set(), 0, set()
    edited = 0
    states = {one.settings.state for one in world.conversations()}
    for conversation in world.conversations():
        for index in conversation.message_indexes():
            message = conversation.message(index)
            authors.add(message.author if message.participant is None else message.participant.channel)
            media += bool(message.media)
            edited += message.date_updated != message.date_created
            for receipt in conversation.receipts(message):
                statuses[receipt.status] += 1
                codes.add(receipt.error_code)
                prefixes.add(conversation.channel_message_sid(message, receipt)[:2])
                assert (receipt.error_code > 0) == (receipt.status in ("failed", "undelivered"))
                assert receipt.date_created >= message.date_created
                assert (receipt.date_updated is None) == (receipt.status is None)
                assert (receipt.date_updated or receipt.date_created) >= receipt.date_created
    assert set(statuses) == {None, "sent", "delivered", "read", "failed", "undelivered", "queued"}
    assert codes == {0, 21610, 30003, 30005, 30006, 30007, 30008, 30017, 30034} | {63016, 63018, 63024, 63032, 63049}
    assert prefixes == {"SM", "MM", "WA"}
    assert authors == {"system", "chat", "both", "SM", "MM", "WA"}
    assert states == {"active", "inactive", "closed"}
    assert media > 0
    assert edited > 0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_is_dated_in_the_worlds_future_or_out_of_order(seed: int) -> None:
    world = World(seed=seed, size="large")
    longest = max(world.conversations(), key=lambda one: len(one.message_indexes()))
    last = longest.message(99_999)
    now = world.tick()
    assert last.date_created < now
    dates = [longest.message(index).date_created for index in range(500)]
    assert dates == sorted(dates)
    for service in world.services:
        created = [one.settings.date_created for one in service.conversations.values()]
        assert created == sorted(created)
        assert all(service.date_created < date < now for date in created)


async def test_summaries_agree_with_their_receipts(caller: Caller) -> None:
    for message in await caller.rows(f"{caller.conversation}/Messages?PageSize=100"):
        receipts = await caller.rows(f"{caller.conversation}/Messages/{message['sid']}/Receipts")
        assert (message["delivery"] is None) == (not receipts)
        if not receipts:
            continue
        words = [receipt["status"] for receipt in receipts]

        def amount(*reached: str, words: list[str] = words) -> str:
            count = sum(word in reached for word in words)
            return "none" if count == 0 else "all" if count == len(words) else "some"

        assert message["delivery"] == {
            "total": len(receipts),
            "sent": amount("sent", "delivered", "read"),
            "delivered": amount("delivered", "read"),
            "read": amount("read"),
            "failed": amount("failed"),
            "undelivered": amount("undelivered"),
        }


async def test_the_landmark_has_the_shape_of_the_reference_query(caller: Caller) -> None:
    marks = caller.sandbox.landmarks
    assert (await caller.rows("Services"))[0]["sid"] == marks["service_sid"]
    assert (await caller.rows(f"{caller.service}/Conversations"))[0]["sid"] == marks["conversation_sid"]
    messages = await caller.rows(f"{caller.conversation}/Messages?PageSize=100")
    assert len(messages) >= 150
    assert sum(message["delivery"] is not None for message in messages) >= 120
    people = set()
    for message in messages[:50]:
        assert message["delivery"]["total"] == 4
        rows = await caller.rows(f"{caller.conversation}/Messages/{message['sid']}/Receipts")
        assert len(rows) == 4
        people |= {row["participant_sid"] for row in rows}
    assert len(people) == 10
    page = await caller.read(f"{caller.conversation}/Participants?PageSize=100")
    assert page["meta"]["next_page_url"] is None
    assert people < {row["sid"] for row in page["participants"]}


async def test_landmarks_are_what_they_are_called(caller: Caller) -> None:
    marks = caller.sandbox.landmarks
    messages = f"{caller.conversation}/Messages"

    async def receipt(name: str) -> Any:
        message = marks[f"{name}_receipt_message_sid"]
        return await caller.read(f"{messages}/{message}/Receipts/{marks[f'{name}_receipt_sid']}")

    first = await caller.read(f"{caller.receipts}/{marks['receipt_sid']}")
    assert (await caller.read(caller.message))["index"] == 0
    assert marks["receipt_message_sid"] == marks["message_sid"] == first["message_sid"]
    assert first["participant_sid"] == marks["participant_sid"]
    assert (await receipt("failed"))["status"] == "failed"
    assert (await receipt("failed"))["error_code"] == 30003
    assert (await receipt("pending"))["status"] is None
    assert (await receipt("unknown_status"))["status"] == "queued"
    assert (await caller.read(f"{messages}/{marks['chat_only_message_sid']}"))["delivery"] is None
    assert await caller.rows(f"{messages}/{marks['chat_only_message_sid']}/Receipts") == []

    departed = (await receipt("departed_participant"))["participant_sid"]
    assert (await caller.get(f"{caller.conversation}/Participants/{departed}")).status == 404
    assert departed not in {row["sid"] for row in await caller.rows(f"{caller.conversation}/Participants")}

    empty = f"{caller.service}/Conversations/{marks['empty_conversation_sid']}"
    assert await caller.rows(f"{empty}/Messages") == []
    other = await caller.read(f"Services/{marks['other_service_sid']}")
    assert other["sid"] != marks["service_sid"]

    named = await caller.read(f"{caller.service}/Conversations/{quote(marks['unique_name'], safe='')}")
    assert (named["sid"], named["unique_name"]) == (marks["unique_name_conversation_sid"], marks["unique_name"])
    agent = await caller.read(f"{caller.conversation}/Participants/{quote(marks['identity'], safe='')}")
    assert (agent["sid"], agent["identity"]) == (marks["identity_participant_sid"], marks["identity"])
    for name in ("unique_name", "identity"):
        assert "/" in marks[name]
        assert not marks[name].isascii()


async def test_the_crowd_needs_a_second_page(caller: Caller) -> None:
    marks = caller.sandbox.landmarks
    crowded = f"{caller.service}/Conversations/{marks['crowded_conversation_sid']}"
    first, second = await caller.pages(f"{crowded}/Participants?PageSize=100")
    assert len(first["participants"]) == 100
    everyone = first["participants"] + second["participants"]
    assert sum(row["identity"] is None for row in everyone) <= 50
    behind = {row["sid"] for row in second["participants"]}
    messages = await caller.rows(f"{crowded}/Messages?PageSize=100")
    assert behind & {row["participant_sid"] for row in messages}
    receipts = await caller.rows(f"{crowded}/Messages/{messages[0]['sid']}/Receipts")
    assert behind & {row["participant_sid"] for row in receipts}
    assert len(receipts) >= 19


async def test_a_full_page_of_receipts_is_there(caller: Caller) -> None:
    conversations = await caller.rows(f"{caller.service}/Conversations")
    totals = []
    for conversation in conversations:
        messages = await caller.rows(f"{caller.service}/Conversations/{conversation['sid']}/Messages?PageSize=100")
        totals += [message["delivery"]["total"] for message in messages if message["delivery"]]
    assert max(totals) == 50


async def test_participants_are_of_every_kind(caller: Caller) -> None:
    kinds = set()
    for row in await caller.rows(f"{caller.conversation}/Participants"):
        binding = row["messaging_binding"]
        kinds.add((row["identity"] is not None, *sorted(binding or ())))
        assert row["identity"] or binding["type"] in ("sms", "whatsapp")
    assert kinds == {
        (True,),
        (True, "projected_address", "type"),
        (False, "address", "proxy_address", "type"),
    }

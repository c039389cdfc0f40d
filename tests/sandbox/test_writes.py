"""What callers change, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.sandbox.conftest import Caller

PHONE = {"MessagingBinding__Address": "+15550001111", "MessagingBinding__ProxyAddress": "+15550002222"}


async def make(caller: Caller, **form: str) -> str:
    reply = await caller.post(f"{caller.service}/Conversations", **form)
    assert reply.status == 201
    return f"{caller.service}/Conversations/{reply.json['sid']}"


async def test_a_conversation_is_made_changed_and_deleted(caller: Caller) -> None:
    count = len(await caller.rows(f"{caller.service}/Conversations"))
    target = await make(caller, FriendlyName="Ünique", UniqueName="first name", Attributes='{"a": 1}')
    made = await caller.read(target)
    assert (made["friendly_name"], made["state"], made["timers"]) == ("Ünique", "active", {})
    assert (await caller.rows(f"{caller.service}/Conversations"))[-1] == made

    reply = await caller.post(target, UniqueName="second name", State="closed", Timers__Closed="PT10M")
    assert (reply.status, reply.json["state"], list(reply.json["timers"])) == (200, "closed", ["date_closed"])
    assert reply.json["friendly_name"] == "Ünique"
    assert reply.json["date_updated"] > made["date_updated"]
    assert (await caller.get(f"{caller.service}/Conversations/first%20name")).status == 404
    assert (await caller.read(f"{caller.service}/Conversations/second%20name")) == reply.json

    assert (await caller.delete(f"{caller.service}/Conversations/second%20name")).status == 204
    assert (await caller.get(target)).status == 404
    assert (await caller.delete(target)).status == 404
    assert len(await caller.rows(f"{caller.service}/Conversations")) == count


async def test_a_unique_name_is_unique(caller: Caller) -> None:
    first, second = await make(caller, UniqueName="mine"), await make(caller)
    for reply in (
        await caller.post(f"{caller.service}/Conversations", UniqueName="mine"),
        await caller.post(second, UniqueName="mine"),
    ):
        assert (reply.status, reply.json["code"]) == (409, 50353)
    assert (await caller.post(first, UniqueName="mine")).status == 200
    other = f"Services/{caller.sandbox.landmarks['other_service_sid']}/Conversations"
    assert (await caller.post(other, UniqueName="mine")).status == 201


async def test_receipts_come_for_those_outside_chat_but_the_author(caller: Caller) -> None:
    target = await make(caller)
    people = f"{target}/Participants"
    agent = (await caller.post(people, Identity="agent")).json
    phone = (await caller.post(people, **PHONE)).json
    whatsapp = (await caller.post(people, MessagingBinding__Address="whatsapp:+15550003333")).json
    assert whatsapp["messaging_binding"] == {"type": "whatsapp", "address": "whatsapp:+15550003333"}
    assert [row["sid"] for row in await caller.rows(people)] == [
        phone_or["sid"] for phone_or in (agent, phone, whatsapp)
    ]

    async def say(author: str) -> tuple[str | None, list[str], list[str]]:
        message = (await caller.post(f"{target}/Messages", Author=author, Body="hi")).json
        rows = await caller.rows(f"{target}/Messages/{message['sid']}/Receipts")
        assert all(row["status"] is None and row["date_updated"] is None for row in rows)
        return (
            message["participant_sid"],
            [row["participant_sid"] for row in rows],
            [row["channel_message_sid"][:2] for row in rows],
        )

    assert await say("agent") == (agent["sid"], [phone["sid"], whatsapp["sid"]], ["SM", "WA"])
    assert await say("+15550001111") == (phone["sid"], [whatsapp["sid"]], ["WA"])
    assert await say("stranger") == (None, [phone["sid"], whatsapp["sid"]], ["SM", "WA"])
    assert [row["index"] for row in await caller.rows(f"{target}/Messages")] == [0, 1, 2]


async def test_only_chat_gives_no_receipts(caller: Caller) -> None:
    target = await make(caller)
    await caller.post(f"{target}/Participants", Identity="a", MessagingBinding__ProjectedAddress="+15550001111")
    message = (await caller.post(f"{target}/Messages", Author="a", Body="hi")).json
    assert message["delivery"] is None
    assert await caller.rows(f"{target}/Messages/{message['sid']}/Receipts") == []


async def test_a_participant_that_returns_has_a_new_sid_and_its_old_receipts_stay(caller: Caller) -> None:
    target = await make(caller)
    first = (await caller.post(f"{target}/Participants", **PHONE)).json
    message = (await caller.post(f"{target}/Messages", Body="hi")).json
    assert (await caller.delete(f"{target}/Participants/{first['sid']}")).status == 204
    assert (await caller.get(f"{target}/Participants/{first['sid']}")).status == 404
    second = (await caller.post(f"{target}/Participants", **PHONE)).json
    assert second["sid"] != first["sid"]
    (receipt,) = await caller.rows(f"{target}/Messages/{message['sid']}/Receipts")
    assert receipt["participant_sid"] == first["sid"]


async def test_participants_are_changed_by_sid_or_identity(caller: Caller) -> None:
    target = await make(caller)
    made = (await caller.post(f"{target}/Participants", Identity="a/b")).json
    reply = await caller.post(
        f"{target}/Participants/a%2Fb", Attributes='{"x": 1}', LastReadMessageIndex="3", LastReadTimestamp="2026-03-02"
    )
    assert (reply.json["sid"], reply.json["attributes"]) == (made["sid"], '{"x": 1}')
    assert (reply.json["last_read_message_index"], reply.json["last_read_timestamp"]) == (3, "2026-03-02T00:00:00Z")
    assert (await caller.delete(f"{target}/Participants/a%2Fb")).status == 204


async def test_a_deleted_message_leaves_a_gap(caller: Caller) -> None:
    reply = await caller.delete(caller.message)
    assert (reply.status, reply.body) == (204, b"")
    rows = await caller.rows(f"{caller.conversation}/Messages?PageSize=100")
    assert [row["index"] for row in rows] == list(range(1, 180))
    assert (await caller.get(caller.receipts)).status == 404
    assert (await caller.post(f"{caller.conversation}/Messages", Body="new")).json["index"] == 180


async def test_a_seeded_message_is_changed_and_keeps_the_rest(caller: Caller) -> None:
    before = await caller.read(caller.message)
    receipts = await caller.rows(caller.receipts)
    reply = await caller.post(caller.message, Body="new", DateUpdated="2026-03-05T01:02:03Z")
    assert reply.json == {**before, "body": "new", "date_updated": "2026-03-05T01:02:03Z"}
    assert await caller.rows(caller.receipts) == receipts
    marks = caller.sandbox.landmarks
    reply = await caller.post(caller.message, Author=marks["identity"])
    assert reply.json["participant_sid"] == marks["identity_participant_sid"]
    assert (await caller.post(caller.message, Author="nobody")).json["participant_sid"] is None


@pytest.mark.parametrize(
    ("form", "status", "code"),
    [
        ({}, 400, 20001),
        ({"Identity": "x", **PHONE}, 400, 20001),
        ({"Identity": "taken"}, 409, 50433),
        ({"MessagingBinding__Address": "+1555taken"}, 409, 50416),
        ({"Identity": "x", "Attributes": "{"}, 400, 20001),
        ({"Identity": "x", "RoleSid": "RL1"}, 400, 20423),
    ],
)
async def test_participants_that_are_refused(caller: Caller, form: dict[str, str], status: int, code: int) -> None:
    people = f"{await make(caller)}/Participants"
    await caller.post(people, Identity="taken")
    await caller.post(people, MessagingBinding__Address="+1555taken")
    reply = await caller.post(people, **form)
    assert (reply.status, reply.json["code"]) == (status, code)
    assert len(await caller.rows(people)) == 2


async def test_no_more_than_fifty_outside_chat(caller: Caller) -> None:
    people = f"{await make(caller)}/Participants"
    for number in range(50):
        assert (await caller.post(people, MessagingBinding__Address=f"+1555{number:07d}")).status == 201
    reply = await caller.post(people, MessagingBinding__Address="+15559999999")
    assert (reply.status, reply.json["code"]) == (403, 50422)
    assert (await caller.post(people, Identity="chat")).status == 201


@pytest.mark.parametrize(
    "form",
    [
        {"State": "asleep"},
        {"Attributes": "no json"},
        {"DateCreated": "yesterday"},
        {"Timers__Inactive": "soon"},
        {"Timers__Inactive": "PT59S"},
        {"Timers__Closed": "PT9M"},
    ],
)
async def test_conversations_that_are_refused(caller: Caller, form: dict[str, str]) -> None:
    target = f"{caller.service}/Conversations"
    count = len(await caller.rows(target))
    for reply in (await caller.post(target, **form), await caller.post(caller.conversation, **form)):
        assert (reply.status, reply.json["code"]) == (400, 20001)
    assert len(await caller.rows(target)) == count


async def test_a_closed_conversation_takes_no_messages(caller: Caller) -> None:
    target = await make(caller, State="closed")
    reply = await caller.post(f"{target}/Messages", Body="hi")
    assert (reply.status, reply.json["code"]) == (400, 50377)


async def test_what_was_read_before_a_write_is_read_anew_after_it(caller: Caller) -> None:
    assert (await caller.read(caller.conversation))["friendly_name"] != "changed"
    await caller.post(caller.conversation, FriendlyName="changed")
    assert (await caller.read(caller.conversation))["friendly_name"] == "changed"

"""Each switch, both ways (or all ways), as its caller sees it."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest

from gateway.sandbox import Fault, Sandbox, Switches
from gateway.sandbox.switches import choices

if TYPE_CHECKING:
    from tests.sandbox.conftest import Caller


async def receipt(caller: Caller, name: str) -> Any:
    marks = caller.sandbox.landmarks
    message = marks[f"{name}_receipt_message_sid"]
    return await caller.read(f"{caller.conversation}/Messages/{message}/Receipts/{marks[f'{name}_receipt_sid']}")


async def oversize_page(caller: Caller) -> Any:
    reply = await caller.get(f"{caller.conversation}/Messages?PageSize=101")
    return reply.json["meta"]["page_size"] if reply.status == 200 else (reply.status, reply.json["code"])


async def page_token(caller: Caller) -> Any:
    """The first row of page two, newest first, when a message was written and one deleted after page one."""
    first = await caller.read(f"{caller.conversation}/Messages?Order=desc&PageSize=10")
    assert (await caller.post(f"{caller.conversation}/Messages", Body="new")).status == 201
    shifted = await caller.read(first["meta"]["next_page_url"])
    await caller.delete(f"{caller.conversation}/Messages/{first['messages'][0]['sid']}")
    await caller.delete(f"{caller.conversation}/Messages/{first['messages'][1]['sid']}")
    gone = await caller.read(first["meta"]["next_page_url"])
    return shifted["messages"][0]["index"], gone["messages"][0]["index"]


async def last_page(caller: Caller) -> Any:
    return [len(page["messages"]) for page in await caller.pages(f"{caller.conversation}/Messages?PageSize=90")]


async def chat_only_delivery(caller: Caller) -> Any:
    sid = caller.sandbox.landmarks["chat_only_message_sid"]
    return (await caller.read(f"{caller.conversation}/Messages/{sid}"))["delivery"]


async def pending_status(caller: Caller) -> Any:
    return (await receipt(caller, "pending"))["status"]


async def error_code(caller: Caller) -> Any:
    return [(await receipt(caller, name))["error_code"] for name in ("pending", "failed")]


async def failed_count(caller: Caller) -> Any:
    """Of a message whose every receipt failed."""
    message = caller.sandbox.landmarks["message_sid"]
    caller.sandbox.world.progress(message, to="failed", error_code=30008)
    delivery = (await caller.read(caller.message))["delivery"]
    assert (delivery["failed"], delivery["delivered"]) == ("all", "none")
    return delivery["sent"]


async def whatsapp_sids(caller: Caller) -> Any:
    """The prefixes on the first message's channels: SMS's does not change."""
    rows = await caller.rows(caller.receipts)
    people = {row["sid"]: row for row in await caller.rows(f"{caller.conversation}/Participants?PageSize=100")}
    types = {
        (people[row["participant_sid"]]["messaging_binding"]["type"], row["channel_message_sid"][:2]) for row in rows
    }
    return sorted(types)


async def departed_receipts(caller: Caller) -> Any:
    marks = caller.sandbox.landmarks
    message = f"{caller.conversation}/Messages/{marks['departed_participant_receipt_message_sid']}"
    reply = await caller.get(f"{message}/Receipts/{marks['departed_participant_receipt_sid']}")
    rows = await caller.rows(f"{message}/Receipts")
    assert (await caller.read(message))["delivery"]["total"] == len(rows)
    return reply.status, len(rows)


async def not_found_code(caller: Caller) -> Any:
    missing = {
        "IS": "Services/{}",
        "CH": f"{caller.service}/Conversations/{{}}",
        "MB": f"{caller.conversation}/Participants/{{}}",
        "IM": f"{caller.conversation}/Messages/{{}}",
        "DY": f"{caller.receipts}/{{}}",
    }
    replies = [await caller.get(target.format(prefix + "0" * 32)) for prefix, target in missing.items()]
    assert {reply.status for reply in replies} == {404}
    return [reply.json["code"] for reply in replies]


async def retry_after(caller: Caller) -> Any:
    caller.sandbox.faults.add("*", Fault("status", status=429))
    return (await caller.get("Services")).headers.get("Retry-After")


NONE = dict.fromkeys(("sent", "delivered", "read", "failed", "undelivered"), "none")
SEEN: dict[Any, dict[str, Any]] = {
    oversize_page: {"clamp": 100, "refuse": (400, 20007)},
    page_token: {"offset": (170, 168), "keyset": (169, 169)},
    last_page: {"null": [90, 90], "empty": [90, 90, 0]},
    chat_only_delivery: {"null": None, "zero": {"total": 0, **NONE}},
    pending_status: {"null": None, "queued": "queued"},
    error_code: {"null": [None, 30003], "zero": [0, 30003], "text": ["0", "30003"]},
    failed_count: {"apart": "none", "sent": "all"},
    whatsapp_sids: {way: [("sms", "SM"), ("whatsapp", way)] for way in ("WA", "SM", "MM")},
    departed_receipts: {"kept": (200, 5), "gone": (404, 4)},
    not_found_code: {"general": [20404] * 5, "specific": [50050, 50350, 50432, 50500, 20404]},
    retry_after: {"absent": None, "sent": "1"},
}
CASES = [(look, chosen, seen) for look, ways in SEEN.items() for chosen, seen in ways.items()]


@pytest.mark.parametrize(("look", "chosen", "seen"), CASES, ids=[f"{look.__name__}-{way}" for look, way, _ in CASES])
async def test_a_switch_changes_what_callers_see(caller: Caller, look: Any, chosen: str, seen: Any) -> None:
    reply = await caller.control("POST", "/switches", {look.__name__: chosen})
    assert reply.json[look.__name__] == chosen
    assert await look(caller) == seen


def test_every_switch_is_looked_at_in_all_its_ways() -> None:
    assert {look.__name__: tuple(ways) for look, ways in SEEN.items()} == choices()


def test_every_switch_says_what_each_of_its_values_does() -> None:
    for each in fields(Switches):
        assert all(f"`{value}`" in each.metadata["about"] for value in choices()[each.name]), each.name
        assert each.default == choices()[each.name][0]


async def test_switches_can_be_set_from_the_start() -> None:
    sandbox = Sandbox(switches=Switches(pending_status="queued"))
    assert sandbox.switches.pending_status == "queued"


async def test_a_switch_acts_on_answers_given_before(caller: Caller) -> None:
    assert await pending_status(caller) is None
    caller.sandbox.switches = Switches(pending_status="queued")
    assert await pending_status(caller) == "queued"

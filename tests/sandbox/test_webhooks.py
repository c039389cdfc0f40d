"""Webhooks: what is sent, to which URLs, signed as Twilio's own validator expects, and every fault."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from gateway.sandbox import Fault, Sandbox
from gateway.sandbox.faults import WEBHOOK_KINDS
from gateway.sandbox.webhook_settings import POST_EVENTS

if TYPE_CHECKING:
    from tests.sandbox.conftest import Caller, Received, Receiver

MILLISECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ON = {"X-Twilio-Webhook-Enabled": "true"}


@pytest.fixture
async def hooked(caller: Caller, receiver: Receiver) -> Receiver:
    """The receiver, configured at the service for every event."""
    await caller.post(f"{caller.service}/Configuration/Webhooks", PostWebhookUrl=receiver.url)
    await configure(caller, f"{caller.service}/Configuration/Webhooks", POST_EVENTS)
    return receiver


async def configure(caller: Caller, target: str, events: tuple[str, ...], **form: str) -> Any:
    body = urlencode([*(("Filters", event) for event in events), *form.items()])
    headers = {**caller.headers, "Content-Type": "application/x-www-form-urlencoded"}
    reply = await caller.send("POST", f"{caller.sandbox.url}/v1/{target}", headers=headers, data=body)
    assert reply.status in (200, 201), reply.body
    return reply.json


def is_signed(received: Received, secret: str) -> bool:
    parameters = {} if received.method == "GET" else received.form
    verdict = RequestValidator(secret).validate(received.url, parameters, received.headers["X-Twilio-Signature"])
    return bool(verdict)


async def write(caller: Caller, method: str, target: str, form: str = "", **headers: str) -> Any:
    headers = {**caller.headers, "Content-Type": "application/x-www-form-urlencoded", **headers}
    reply = await caller.send(method, f"{caller.sandbox.url}/v1/{target}", headers=headers, data=form)
    assert reply.status < 300, reply.body
    return reply.json if reply.body else None


async def test_progress_sends_the_receipts_that_changed(caller: Caller, hooked: Receiver, sandbox: Sandbox) -> None:
    message = sandbox.landmarks["message_sid"]
    moved = (
        await caller.control("POST", "/progress", {"message_sid": message, "to": "failed", "error_code": 30006})
    ).json
    received = await hooked.settled()
    assert sorted(each.form["DeliveryReceiptSid"] for each in received) == sorted(moved["moved"])
    rows = {row["sid"]: row for row in await caller.rows(f"{caller.receipts}?PageSize=50")}
    for each in received:
        form, row = each.form, rows[each.form["DeliveryReceiptSid"]]
        assert form == {
            "EventType": "onDeliveryUpdated",
            "AccountSid": sandbox.account_sid,
            "ChatServiceSid": row["chat_service_sid"],
            "ConversationSid": row["conversation_sid"],
            "MessageSid": message,
            "DeliveryReceiptSid": row["sid"],
            "ChannelMessageSid": row["channel_message_sid"],
            "ParticipantSid": row["participant_sid"],
            "Status": "failed",
            "ErrorCode": "30006",
            "DateCreated": form["DateCreated"],
            "DateUpdated": form["DateUpdated"],
            "RetryCount": "0",
        }
        for name, column in (("DateCreated", "date_created"), ("DateUpdated", "date_updated")):
            assert MILLISECONDS.fullmatch(form[name])
            assert form[name][:19] == row[column][:19]
        assert each.headers["Content-Type"] == "application/x-www-form-urlencoded; charset=utf-8"
        assert re.fullmatch(r"[0-9a-f-]{36}", each.headers["I-Twilio-Idempotency-Token"])
        assert is_signed(each, sandbox.auth_token)
    assert len({each.headers["I-Twilio-Idempotency-Token"] for each in received}) == len(received)


async def test_a_delivery_that_did_not_fail_has_no_error_code(hooked: Receiver, sandbox: Sandbox) -> None:
    marks = sandbox.landmarks
    sandbox.world.progress(marks["failed_receipt_message_sid"], receipt_sid=marks["failed_receipt_sid"], to="delivered")
    (received,) = await hooked.settled()
    assert received.form["Status"] == "delivered"
    assert "ErrorCode" not in received.form
    assert "Source" not in received.form


async def test_rest_writes_send_events_only_where_the_header_asks(caller: Caller, hooked: Receiver) -> None:
    messages, people = f"{caller.conversation}/Messages", f"{caller.conversation}/Participants"
    for headers in ({}, {"X-Twilio-Webhook-Enabled": "false"}, ON):
        message = await write(caller, "POST", messages, "Body=a%2Bb%20c&Author=me", **headers)
        await write(caller, "POST", f"{messages}/{message['sid']}", "Body=changed", **headers)
        await write(caller, "DELETE", f"{messages}/{message['sid']}", **headers)
        person = await write(caller, "POST", people, "Identity=zoe", **headers)
        await write(caller, "POST", f"{people}/{person['sid']}", "LastReadMessageIndex=3", **headers)
        await write(caller, "DELETE", f"{people}/{person['sid']}", **headers)
        binding = "MessagingBinding.Address=%2B15550009&MessagingBinding.ProxyAddress=%2B15550002"
        guest = await write(caller, "POST", people, binding, **headers)
        await write(caller, "DELETE", f"{people}/{guest['sid']}", **headers)
        await write(caller, "POST", caller.conversation, "State=inactive", **headers)
        await write(caller, "POST", caller.conversation, "State=active", **headers)
    received = {each.form["EventType"]: each.form for each in reversed(await hooked.settled())}
    assert len(hooked.received) == 10
    assert received.keys() == set(POST_EVENTS) - {"onDeliveryUpdated"}
    added = received["onMessageAdded"]
    assert (added["Body"], added["Author"], added["Source"]) == ("a+b c", "me", "API")
    assert MILLISECONDS.fullmatch(added["DateCreated"])
    assert "DateUpdated" not in added
    assert "ParticipantSid" not in added
    assert "DateUpdated" in received["onMessageUpdated"]
    assert MILLISECONDS.fullmatch(received["onMessageRemoved"]["DateRemoved"])
    assert received["onParticipantUpdated"]["LastReadMessageIndex"] == "3"
    states = [each.form for each in hooked.received if each.form["EventType"] == "onConversationStateUpdated"]
    assert {(each["StateFrom"], each["StateTo"]) for each in states} == {("active", "inactive"), ("inactive", "active")}
    guests = [each.form for each in hooked.received if "MessagingBinding.Address" in each.form]
    assert {each["MessagingBinding.Type"] for each in guests} == {"sms"}
    assert all(is_signed(each, caller.sandbox.auth_token) for each in hooked.received)


async def test_get_sends_the_parameters_in_the_query(caller: Caller, hooked: Receiver, sandbox: Sandbox) -> None:
    await caller.post(f"{caller.service}/Configuration/Webhooks", Method="GET")
    await write(caller, "POST", f"{caller.conversation}/Messages", "Body=it%27s%20%F0%9F%98%80", **ON)
    (received,) = await hooked.settled()
    assert (received.method, received.body) == ("GET", b"")
    assert received.form["tenant"] == "a"
    assert received.form["Body"] == "it's 😀"
    assert is_signed(received, sandbox.auth_token)


async def test_a_service_silences_the_account_and_a_conversation_adds_its_own(
    caller: Caller, receiver: Receiver
) -> None:
    async def urls() -> list[str]:
        receiver.received.clear()
        caller.sandbox.world.progress(caller.sandbox.landmarks["message_sid"], receipt_sid=receipt, to="read")
        return sorted(each.url.rpartition("=")[2] for each in await receiver.settled())

    receipt = caller.sandbox.landmarks["receipt_sid"]
    events = ("onDeliveryUpdated",)
    assert await urls() == []
    await configure(caller, "Configuration/Webhooks", events, PostWebhookUrl=f"{receiver.url}&by=account")
    assert await urls() == ["account"]
    service = f"{caller.service}/Configuration/Webhooks"
    await configure(caller, service, ("onMessageAdded",), PostWebhookUrl=f"{receiver.url}&by=service")
    assert await urls() == []  # Silenced, though the service's own filters leave the event out.
    await configure(caller, service, events, PreWebhookUrl="https://example.com/pre")
    assert await urls() == ["service"]
    hook = {"Target": "webhook", "Configuration.Url": f"{receiver.url}&by=conversation"}
    own = await configure(caller, f"{caller.conversation}/Webhooks", (), **hook)
    assert await urls() == ["service"]  # It has no filters.
    scoped = f"{caller.conversation}/Webhooks/{own['sid']}"
    await write(caller, "POST", scoped, "Configuration.Filters=onDeliveryUpdated")
    assert await urls() == ["conversation", "service"]
    await caller.delete(scoped)
    assert await urls() == ["service"]


async def test_twilio_s_library_reads_and_writes_configurations(twilio: Client, sandbox: Sandbox) -> None:
    marks = sandbox.landmarks

    def use() -> None:
        service = twilio.conversations.v1.services(marks["service_sid"])
        empty = service.configuration.webhooks().fetch()
        assert (empty.post_webhook_url, empty.filters, empty.method) == (None, [], "POST")
        changed = service.configuration.webhooks().update(
            post_webhook_url="https://example.com/hook",
            pre_webhook_url="https://example.com/pre",
            filters=["onDeliveryUpdated", "onMessageAdded"],
            method="GET",
        )
        assert changed.post_webhook_url == "https://example.com/hook"
        assert changed.filters == ["onDeliveryUpdated", "onMessageAdded"]
        again = service.configuration.webhooks().update(post_webhook_url="")
        assert (again.post_webhook_url, again.pre_webhook_url, again.method) == (None, "https://example.com/pre", "GET")
        account = twilio.conversations.v1.configuration.webhooks().update(
            post_webhook_url="https://example.com/account"
        )
        assert (account.post_webhook_url, account.target) == ("https://example.com/account", "webhook")
        hooks = service.conversations(marks["conversation_sid"]).webhooks
        created = [
            hooks.create(
                target="webhook",
                configuration_url=f"https://example.com/{number}",
                configuration_method="post",
                configuration_filters=["onDeliveryUpdated"],
            )
            for number in range(5)
        ]
        assert [hook.sid for hook in hooks.list()] == [hook.sid for hook in created]
        with pytest.raises(TwilioRestException, match="no more than 5"):
            hooks.create(target="webhook", configuration_url="https://example.com/6")
        assert hooks(created[0].sid).fetch().configuration["url"] == "https://example.com/0"
        assert hooks(created[0].sid).update(configuration_filters=["onMessageAdded"]).configuration["filters"] == [
            "onMessageAdded"
        ]
        assert hooks(created[0].sid).delete()
        with pytest.raises(TwilioRestException):
            hooks(created[0].sid).fetch()
        assert len(hooks.list()) == 4

    await asyncio.to_thread(use)


@pytest.mark.parametrize(
    "form",
    [
        {"PostWebhookUrl": "/relative"},
        {"PostWebhookUrl": "ftp://example.com"},
        {"Method": "PUT"},
        {"Filters": "onEverything"},
    ],
)
async def test_an_invalid_configuration_is_refused(caller: Caller, form: dict[str, str]) -> None:
    target = f"{caller.service}/Configuration/Webhooks"
    reply = await caller.post(target, **form)
    assert (reply.status, reply.json["code"]) == (400, 20001)
    assert (await caller.read(target))["post_webhook_url"] is None
    assert (await caller.get(f"{caller.service}/Configuration/Notifications")).status == 404


@pytest.mark.parametrize("form", [{}, {"Target": "pigeon"}, {"Target": "webhook"}])
async def test_an_invalid_webhook_of_a_conversation_is_refused(caller: Caller, form: dict[str, str]) -> None:
    assert (await caller.post(f"{caller.conversation}/Webhooks", **form)).status == 400
    assert await caller.rows(f"{caller.conversation}/Webhooks") == []


# Faults


async def fire(sandbox: Sandbox, *statuses: str) -> None:
    for status in statuses:
        receipt = sandbox.landmarks["receipt_sid"]
        sandbox.world.progress(sandbox.landmarks["message_sid"], receipt_sid=receipt, to=status)


async def test_delay_webhook(hooked: Receiver, sandbox: Sandbox) -> None:
    sandbox.faults.add("onDeliveryUpdated", Fault("delay_webhook", latency=0.05, times=1))
    await fire(sandbox, "sent", "delivered")
    assert [each.form["Status"] for each in await hooked.settled()] == ["delivered", "sent"]


async def test_repeat_webhook(hooked: Receiver, sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault("repeat_webhook"))
    await fire(sandbox, "sent")
    first, second = await hooked.settled()
    assert first.form == second.form
    assert first.headers["I-Twilio-Idempotency-Token"] == second.headers["I-Twilio-Idempotency-Token"]
    assert sandbox.webhooks[0].statuses == [204, 204]


async def test_reorder_webhook(hooked: Receiver, sandbox: Sandbox) -> None:
    rule = sandbox.faults.add("*Status=sent*", Fault("reorder_webhook"))
    await fire(sandbox, "sent")
    assert (rule.hits, sandbox.webhooks[0].open, hooked.received) == (1, True, [])
    await fire(sandbox, "delivered")
    assert [each.form["Status"] for each in await hooked.settled()] == ["delivered", "sent"]


async def test_lose_webhook(hooked: Receiver, sandbox: Sandbox) -> None:
    sandbox.faults.add("onDelivery*", Fault("lose_webhook", times=1))
    await fire(sandbox, "sent", "delivered")
    assert [each.form["Status"] for each in await hooked.settled()] == ["delivered"]
    assert [(each.fault, each.statuses) for each in sandbox.webhooks] == [("lose_webhook", []), (None, [204])]


async def test_forge_webhook(hooked: Receiver, sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault("forge_webhook", times=1))
    await fire(sandbox, "sent", "delivered")
    verdicts = {each.form["Status"]: is_signed(each, sandbox.auth_token) for each in await hooked.settled()}
    assert verdicts == {"sent": False, "delivered": True}


async def test_slow_webhook(hooked: Receiver, sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault("slow_webhook", latency=0.05, times=1))
    await fire(sandbox, "sent", "delivered")
    received = await hooked.settled()
    assert [each.form["Status"] for each in received] == ["delivered", "sent"]
    assert all(is_signed(each, sandbox.auth_token) for each in received)


def test_every_kind_has_its_test() -> None:
    assert {kind for kind in WEBHOOK_KINDS if f"test_{kind}" in globals()} == WEBHOOK_KINDS


async def test_the_faults_of_calls_do_not_hit_webhooks_nor_the_other_way_round(
    caller: Caller, hooked: Receiver, sandbox: Sandbox
) -> None:
    ours = sandbox.faults.add("*", Fault("lose_webhook"))
    theirs = sandbox.faults.add("*", Fault("status", status=500))
    await fire(sandbox, "sent")
    assert (await caller.get("Services")).status == 500
    assert (ours.seen, theirs.seen) == (1, 1)
    assert await hooked.settled() == []


# The log, and events by hand


async def test_an_unreachable_url_is_logged_without_a_status(
    caller: Caller, sandbox: Sandbox, receiver: Receiver
) -> None:
    target = f"{caller.service}/Configuration/Webhooks"
    await configure(caller, target, ("onDeliveryUpdated",), PostWebhookUrl="http://127.0.0.1:1/closed")
    await fire(sandbox, "sent")
    await receiver.settled()
    (logged,) = (await caller.control("GET", "/webhooks")).json
    assert (logged["event"], logged["statuses"], logged["open"]) == ("onDeliveryUpdated", [None], False)
    assert logged["sids"]["DeliveryReceiptSid"] == sandbox.landmarks["receipt_sid"]
    assert "Status" not in str(logged["sids"])
    assert (await caller.control("DELETE", "/webhooks")).status == 204
    assert sandbox.webhooks == []


@pytest.mark.parametrize("event", POST_EVENTS)
async def test_an_event_is_fired_by_hand(caller: Caller, hooked: Receiver, sandbox: Sandbox, event: str) -> None:
    reply = await caller.control("POST", "/trigger", {"event": event, "parameters": {"DateUpdated": "x"}})
    assert reply.status == 200, reply.body
    (received,) = await hooked.settled()
    assert received.form["EventType"] == event
    assert received.form["DateUpdated"] == "x"
    assert is_signed(received, sandbox.auth_token)
    assert len((await caller.control("GET", "/webhooks")).json) == 1


async def test_an_event_is_fired_by_hand_at_any_url(caller: Caller, receiver: Receiver, sandbox: Sandbox) -> None:
    marks = sandbox.landmarks
    names = {"MessageSid": marks["failed_receipt_message_sid"], "DeliveryReceiptSid": marks["failed_receipt_sid"]}
    value = {"event": "onDeliveryUpdated", "parameters": {**names, "Status": "sent"}, "url": receiver.url}
    assert (await caller.control("POST", "/trigger", value)).status == 200
    (received,) = await receiver.settled()
    assert (received.form["Status"], received.form["ErrorCode"]) == ("sent", "30003")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "event is missing"),
        ({"event": "onEverything"}, "event must be one of"),
        ({"event": "onDeliveryUpdated"}, "no webhook is configured"),
        ({"event": "onDeliveryUpdated", "parameters": {"MessageSid": "IM0"}}, "there is no message"),
        ({"event": "onDeliveryUpdated", "parameters": {"DeliveryReceiptSid": "DY0"}}, "has no receipt"),
        ({"event": "onParticipantAdded", "parameters": {"ParticipantSid": "MB0"}}, "there is no participant"),
        ({"event": "onParticipantAdded", "parameters": {"ConversationSid": "CH0"}}, "there is no conversation"),
        ({"event": "onDeliveryUpdated", "parameters": {"Status": 1}}, "must be an object of texts"),
        ({"event": "onDeliveryUpdated", "url": "example.com"}, "must be an absolute URL"),
        ({"event": "onDeliveryUpdated", "when": "now"}, "unknown: when"),
    ],
)
async def test_a_trigger_that_makes_no_sense_is_refused(caller: Caller, value: Any, message: str) -> None:
    reply = await caller.control("POST", "/trigger", value)
    assert reply.status == 400
    assert message in reply.json["error"]

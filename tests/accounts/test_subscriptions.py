"""Subscriptions: who is sent which events, once and in order, what is replayed, and how each of them ends."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from gateway.accounts import subscription_group, subscriptions
from gateway.accounts.operation import Operation
from gateway.accounts.reconciliation import Reconciliation
from gateway.accounts.subscription import Subscription
from gateway.accounts.subscriptions import EndReason
from gateway.app import create_app
from gateway.callers.callers import Token
from gateway.demo import settings_for
from gateway.errors import Overloaded
from gateway.execution.outcome import Outcome
from gateway.sandbox import Fault, Sandbox
from gateway.source.history import History
from gateway.twilio.client import Client
from gateway.twilio.events import Change, Event

from .live import DELIVERIES, MESSAGES, STATUSES, WITH_MESSAGE, Live, parsed, take, taken


@pytest.fixture
def live(sandbox: Sandbox, client: Client) -> Live:
    return Live(sandbox, client)


def refusal(found: Subscription | Outcome) -> tuple[str, str]:
    assert isinstance(found, Outcome)
    assert found.data is None
    (failure,) = found.failures
    return failure.error.code, failure.error.message


# Who is sent what


async def test_ready_comes_first_and_says_refetch(live: Live) -> None:
    for _ in range(2):  # Also for the second of two equal ones.
        ready = await take(live.subscribe())
        assert ready.pop("cursor")
        assert ready == {"__typename": "DeliveriesReady", "refetch": True, "webhooks": False, "pollSeconds": None}
    live.hub.has_webhooks = True
    assert (await take(live.subscribe(messageSids=[live.marks["message_sid"]])))["webhooks"] is True


async def test_equal_subscriptions_are_executed_once_and_sent_the_same_bytes(live: Live) -> None:
    equal = [await live.open(WITH_MESSAGE) for _ in range(20)]
    other = await live.open(DELIVERIES)
    live.sandbox.reset()
    live.apply(live.event("sent"))
    async with asyncio.timeout(20):
        bodies = [await subscription.next() for subscription in equal]
    assert all(body is bodies[0] for body in bodies)
    event = parsed(bodies[0])
    assert event["receipt"] == {"sid": live.marks["receipt_sid"], "status": "SENT"}
    assert event["message"]["body"]
    assert live.sandbox.paths == [live.message]
    assert taken(other)[0]["receipt"] == event["receipt"]
    assert live.hub.groups == 2
    assert (live.hub.counts["executed"], live.hub.counts["delivered"]) == (2, 21)


async def test_arguments_choose_events(live: Live) -> None:
    marks, zero = live.marks, f"IM{0:032x}"
    chosen: dict[str, dict[str, Any]] = {
        "service": {},
        "conversation": {"conversationSids": [f"CH{0:032x}", marks["conversation_sid"]]},
        "message": {"messageSids": [zero, marks["message_sid"]]},
        "both": {"messageSids": [marks["message_sid"]], "conversationSids": [marks["conversation_sid"]]},
        "neither": {"messageSids": [marks["message_sid"]], "conversationSids": [f"CH{0:032x}"]},
        "other message": {"messageSids": [zero]},
        "other service": {"serviceSid": f"IS{0:032x}"},
    }
    opened = {name: await live.open(**variables) for name, variables in chosen.items()}
    messages = await live.open(MESSAGES)
    live.apply(live.event("sent"))
    sent = {name for name, subscription in opened.items() if taken(subscription)}
    assert sent == {"service", "conversation", "message", "both"}
    assert taken(messages) == []
    assert live.hub.counts["executed"] == 4  # What nobody chose was not executed.
    live.apply(live.event("sent", message=f"{live.conversation}/Messages/{zero}", receipt=1))
    assert {name for name, subscription in opened.items() if taken(subscription)} == {
        "service",
        "conversation",
        "message",
        "other message",
    }


async def test_arguments_in_another_order_are_equal(live: Live) -> None:
    sids = [f"CH{number:032x}" for number in range(3)]
    await live.open(conversationSids=sids)
    await live.open(conversationSids=sids[::-1])
    assert live.hub.groups == 1


async def test_messages_that_are_added_changed_and_removed(live: Live) -> None:
    subscription = await live.open(MESSAGES)
    path = f"{live.conversation}/Messages/IM{1:032x}"
    events = [
        Event(Change.ADDED, path, {"body": "a"}, "2026-11-29T20:37:00Z"),
        Event(Change.UPDATED, path, {"body": "b"}, "2026-11-29T20:37:01Z"),
        Event(Change.REMOVED, path, {}, "2026-11-29T20:37:02Z"),
    ]
    found = []
    for event in events:
        live.apply(event)
        found += taken(subscription)
    assert [(each["__typename"], each.get("isNew")) for each in found] == [
        ("MessageChange", True),
        ("MessageChange", False),
        ("MessageRemoval", None),
    ]
    live.apply(live.event("sent"))
    assert taken(subscription) == []


async def test_rights_are_checked_before_anything_is_sent(live: Live) -> None:
    own = frozenset({live.marks["service_sid"]})
    assert isinstance(live.outcome(services=own), Subscription)
    assert isinstance(live.outcome(), Subscription)
    assert live.hub.groups == 2  # Other rights, another execution.
    found = live.outcome(services=frozenset({f"IS{0:032x}"}))
    assert refusal(found) == ("FORBIDDEN", "This caller may not read that service.")
    assert len(live.hub) == 2


@pytest.mark.parametrize(
    ("document", "variables", "code"),
    [
        ("subscription {", {}, "GRAPHQL_PARSE_FAILED"),
        ("subscription { nope }", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("{ services { edges { node { sid } } } }", {}, "BAD_REQUEST"),
        (DELIVERIES, {"serviceSid": "IS1"}, "BAD_USER_INPUT"),
        (DELIVERIES, {"conversationSids": []}, "BAD_USER_INPUT"),
        (DELIVERIES, {"after": "yesterday"}, "BAD_USER_INPUT"),
    ],
)
async def test_what_is_refused(live: Live, document: str, variables: dict[str, Any], code: str) -> None:
    assert refusal(live.outcome(document, **variables))[0] == code
    assert len(live.hub) == 0


def test_whether_an_operation_is_a_subscription(live: Live) -> None:
    documents = [DELIVERIES, STATUSES, "subscription {", "subscription { nope }"]
    assert [live.account.is_subscription(Operation(document)) for document in documents] == [True, False, False, False]


# Order, merging, slow subscribers


async def test_events_are_sent_in_order_although_one_takes_longer(live: Live) -> None:
    subscription = await live.open(WITH_MESSAGE)
    live.sandbox.faults.add(f"*/{live.marks['message_sid']}", Fault("latency", latency=0.2))
    other = f"{live.conversation}/Messages/IM{1:032x}"  # It does not exist, which is known at once.
    live.apply(live.event("sent"), live.event("sent", message=other, receipt=1))
    sids = [(await take(subscription))["receipt"]["sid"] for _ in range(2)]
    assert sids == [live.marks["receipt_sid"], f"DY{1:032x}"]


async def test_events_of_one_receipt_that_wait_are_merged(live: Live) -> None:
    """Into the newest, with what was known before the first: else a client would miss that the receipt is new."""
    slow, quick = await live.open(), await live.open()
    live.apply(live.event("sent", receipt=1))
    first = taken(quick)
    live.apply(live.event("sent", receipt=2), live.event("delivered", 1, receipt=1), live.event("read", 2, receipt=1))
    assert [(each["receipt"]["status"], each["isNew"], each["previousStatus"]) for each in first + taken(quick)] == [
        ("SENT", True, None),
        ("SENT", True, None),
        ("READ", False, "SENT"),  # DELIVERED waited.
    ]
    assert slow.waiting == 2
    merged = taken(slow)
    assert [(each["receipt"]["status"], each["isNew"], each["previousStatus"]) for each in merged] == [
        ("SENT", True, None),
        ("READ", True, None),
    ]


async def test_events_that_wait_for_an_execution_are_merged(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "_EXECUTING_MAX", 1)
    subscription, other = await live.open(WITH_MESSAGE), await live.open(WITH_MESSAGE, messageSids=[f"IM{0:032x}"])
    live.sandbox.faults.add("*/Messages/IM*", Fault("latency", latency=0.05))
    zero = f"{live.conversation}/Messages/IM{0:032x}"
    live.apply(live.event("sent"))
    live.apply(live.event("delivered", 1), live.event("sent", message=zero, receipt=1), live.event("read", 2))
    assert "1 events executing" in repr(live.hub)
    found = [await take(subscription) for _ in range(3)]
    assert [each["receipt"]["status"] for each in found] == ["SENT", "SENT", "READ"]
    assert found[2]["previousStatus"] == "SENT"
    assert (await take(other))["receipt"]["sid"] == f"DY{1:032x}"


async def test_a_subscriber_that_is_too_slow_ends_and_no_other(sandbox: Sandbox, client: Client) -> None:
    live = Live(sandbox, client, queue=3)
    slow, quick = await live.open(), await live.open()
    calls: list[EndReason | None] = []
    slow.on_ready = lambda: calls.append(slow.ended)
    for number in range(1, 4):
        live.apply(live.event("sent", receipt=number))
        assert len(taken(quick)) == 1
    live.apply(live.event("read", 1, receipt=1))  # Merged: there is no fourth.
    assert calls == [None]
    live.apply(live.event("sent", receipt=4))
    assert calls == [None, EndReason.TOO_SLOW]
    assert [slow.take(), slow.take()] == [EndReason.TOO_SLOW] * 2
    assert [each["receipt"]["status"] for each in taken(quick)] == ["READ", "SENT"]
    assert live.hub.ends["too_slow"] == 1
    slow.close()
    assert len(live.hub) == 1


async def test_leaving_ends_everything_that_was_made_for_it(live: Live) -> None:
    subscription = await live.open(WITH_MESSAGE)
    live.sandbox.faults.add("*/Messages/IM*", Fault("latency", latency=5.0))
    live.apply(live.event("sent"))
    await live.sandbox.until(lambda: bool(live.sandbox.calls))
    subscription.close()
    subscription.close()
    assert subscription.take() is None
    assert repr(subscription) == "<Subscription left, 0 waiting>"
    assert repr(live.hub) == "<Subscriptions: 0 in 0 groups, 0 events executing: none>"
    assert live.hub._index == {}
    live.apply(live.event("read", 1))
    assert live.hub.ends["left"] == 1


async def test_the_state_in_words(live: Live) -> None:
    subscription = live.subscribe()
    assert repr(subscription) == "<Subscription open, 1 waiting>"
    assert repr(live.hub) == (
        "<Subscriptions: 1 in 1 groups, 0 events executing: "
        f"1 to deliveryUpdated {live.marks['service_sid']}, 0 executing, 0 waiting>"
    )


# What cannot be read or executed


async def test_a_failed_read_is_null_and_the_subscription_goes_on(live: Live) -> None:
    subscription = await live.open(WITH_MESSAGE)
    rule = live.sandbox.faults.add(f"*/{live.marks['message_sid']}", Fault("status", status=403, code=20403))
    live.apply(live.event("sent"))
    event = await take(subscription)
    assert (event["message"], event["incomplete"]) == (None, "UPSTREAM_REJECTED")
    assert event["receipt"]["status"] == "SENT"
    live.sandbox.faults.remove(rule)
    live.apply(live.event("read", 1))
    event = await take(subscription)
    assert event["message"]["body"]
    assert event["incomplete"] is None


async def test_calls_for_events_are_charged_to_the_caller(sandbox: Sandbox, client: Client) -> None:
    live = Live(sandbox, client, budget=1)
    subscription, other = await live.open(WITH_MESSAGE, "a"), await live.open(WITH_MESSAGE, "b")
    assert live.hub.groups == 2
    live.apply(live.event("sent"))
    assert (await take(subscription))["message"]["body"]
    assert live.hub.calls == {"a": 1}  # Both waited for one call.
    await take(other)
    elsewhere = f"{live.conversation}/Messages/IM{1:032x}"
    live.apply(live.event("sent", message=elsewhere, receipt=1))
    event = await take(subscription)
    assert (event["message"], event["incomplete"]) == (None, "COST_LIMIT_EXCEEDED")


async def test_an_event_that_cannot_be_executed_becomes_ready(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    subscription = await live.open()

    def broken(path: str, *_: Any) -> Any:
        raise RuntimeError(path)

    monkeypatch.setattr(subscription_group, "event_of", broken)
    with capture_logs() as log:
        live.apply(live.event("sent"))
    (line,) = log
    assert (line["event"], line["kind"]) == ("event not executed", "RuntimeError")
    assert "Services" not in str(line)
    (event,) = taken(subscription)
    assert (event["__typename"], event["refetch"]) == ("DeliveriesReady", True)


# Cursors


async def test_events_after_a_cursor_are_sent_again(live: Live) -> None:
    subscription = await live.open()
    live.apply(live.event("sent"))
    cursor = taken(subscription)[0]["cursor"]
    subscription.close()
    live.apply(live.event("sent", receipt=1), live.event("delivered", 1), live.event("read", 2))
    again = live.subscribe(after=cursor)
    live.apply(live.event("delivered", 3, receipt=1))  # Merged with the one that is replayed.
    ready, *events = taken(again)
    assert (ready["refetch"], ready["cursor"]) == (False, cursor)
    assert [(each["receipt"]["status"], each["isNew"], each["previousStatus"]) for each in events] == [
        ("READ", False, "SENT"),
        ("DELIVERED", True, None),
    ]
    assert (live.hub.counts["replayed"], live.hub.counts["refetch"]) == (1, 1)
    late = taken(live.subscribe(after=events[-1]["cursor"]))
    assert [(each["__typename"], each["refetch"]) for each in late] == [("DeliveriesReady", False)]


async def test_every_cursor_of_a_replay_resumes_it(live: Live) -> None:
    ready = taken(await_ready := live.subscribe())[0]
    await_ready.close()
    live.apply(*(live.event("sent", receipt=number) for number in range(1, 6)))
    seen: list[str] = []
    cursor = ready["cursor"]
    for number in range(1, 6):  # The connection ends after each of them.
        subscription = live.subscribe(after=cursor)
        assert (await take(subscription))["refetch"] is False
        event = await take(subscription)
        seen.append(event["receipt"]["sid"])
        cursor = event["cursor"]
        subscription.close()
        assert seen[-1] == f"DY{number:032x}"


async def test_equal_replays_are_executed_once(live: Live) -> None:
    cursor = (await take(live.subscribe()))["cursor"]
    live.apply(*(live.event("sent", receipt=number) for number in range(1, 4)))
    executed = live.hub.counts["executed"]
    again = [live.subscribe(after=cursor) for _ in range(10)]
    found = [[await subscription.next() for subscription in again] for _ in range(4)]
    assert all(body is bodies[0] for bodies in found for body in bodies)
    assert live.hub.counts["executed"] == executed + 3


@pytest.mark.parametrize("bounds", [{"events": 2}, {"seconds": 0.000001}])
async def test_what_is_no_longer_held_is_to_be_read_again(sandbox: Sandbox, client: Client, bounds: Any) -> None:
    live = Live(sandbox, client, history=History(**bounds))
    cursor = (await take(live.subscribe()))["cursor"]
    live.apply(*(live.event("sent", receipt=number) for number in range(1, 4)))
    (ready,) = taken(live.subscribe(after=cursor))
    assert ready["refetch"] is True
    assert ready["cursor"] != cursor


async def test_a_cursor_of_a_process_that_is_not_known(sandbox: Sandbox, client: Client, live: Live) -> None:
    cursor = (await take(Live(sandbox, client).subscribe()))["cursor"]
    (ready,) = taken(live.subscribe(after=cursor))
    assert ready["refetch"] is True


async def test_a_cursor_of_another_field_or_service_is_refused(live: Live) -> None:
    cursor = (await take(live.subscribe()))["cursor"]
    for document, variables in ((MESSAGES, {}), (DELIVERIES, {"serviceSid": f"IS{0:032x}"})):
        code, message = refusal(live.outcome(document, after=cursor, **variables))
        assert code == "BAD_USER_INPUT"
        assert "another field, or of another service" in message
    assert isinstance(live.outcome(after=cursor, messageSids=[f"IM{0:032x}"]), Subscription)


async def test_a_possible_loss_is_told(live: Live) -> None:
    subscription = await live.open()
    live.apply(live.event("sent"))
    (event,) = taken(subscription)
    live.account.publication.lose()
    (ready,) = taken(subscription)
    assert (ready["__typename"], ready["refetch"]) == ("DeliveriesReady", True)
    live.apply(live.event("read", 1))
    assert [each["refetch"] for each in taken(live.subscribe(after=event["cursor"]))] == [True]
    again = taken(live.subscribe(after=ready["cursor"]))
    assert (again[0]["refetch"], again[1]["receipt"]["status"]) == (False, "READ")


@pytest.mark.parametrize("seed", range(6))
async def test_no_change_is_missed_at_any_point(live: Live, seed: int) -> None:
    """A client that follows the rules: it queries at each Ready that says so, and applies events in order."""
    choices = random.Random(seed)
    statuses = ["sent", "delivered", "read"]
    receipts = [f"DY{number:032x}" for number in range(1, 4)]
    reached = dict.fromkeys(receipts, -1)
    held: dict[str, str] = {}
    cursor: str | None = None
    subscription: Subscription | None = None
    is_querying = False

    def change() -> None:
        sid = choices.choice(receipts)
        if reached[sid] < 2:
            reached[sid] += 1
            number = receipts.index(sid) + 1
            live.apply(live.event(statuses[reached[sid]], reached[sid], receipt=number))

    def query() -> dict[str, str]:
        known = {sid: live.account.updates.known(f"{live.message}/Receipts/{sid}") for sid in receipts}
        return {sid: str(each["status"]).upper() for sid, each in known.items() if each is not None}

    for _ in range(60):
        step = choices.random()
        if step < 0.35:
            change()
        elif step < 0.45 and subscription is not None:
            subscription.close()
            subscription = None
        elif subscription is None:
            subscription = live.subscribe(after=cursor)
        elif is_querying:
            held.update(query())
            is_querying = False
        else:
            event = parsed(subscription.take())
            if event is not None:
                cursor = event["cursor"]
                if event["__typename"] == "DeliveriesReady":
                    is_querying = is_querying or event["refetch"]
                else:
                    held[event["receipt"]["sid"]] = event["receipt"]["status"]
    if subscription is None:
        subscription = live.subscribe(after=cursor)
    for event in taken(subscription):
        if event["__typename"] == "ReceiptChange":
            held[event["receipt"]["sid"]] = event["receipt"]["status"]
        elif event["refetch"]:
            is_querying = True
    if is_querying:
        held.update(query())
    assert held == {sid: statuses[at].upper() for sid, at in reached.items() if at >= 0}


# How they end


async def test_limits_of_the_process_and_of_each_caller(sandbox: Sandbox, client: Client) -> None:
    live = Live(sandbox, client, most=3, per_caller=2)
    first = live.subscribe(caller="a")
    live.subscribe(caller="a")
    with pytest.raises(Overloaded, match="This caller has 2 subscriptions"):
        live.outcome(caller="a")
    live.subscribe(caller="b")
    with pytest.raises(Overloaded, match="The gateway has 3 subscriptions"):
        live.outcome(caller="c")
    first.close()
    live.subscribe(caller="a")
    live = Live(sandbox, client, most=0)
    assert refusal(live.outcome()) == (
        "FORBIDDEN",
        "This gateway serves no subscriptions: GATEWAY_SUBSCRIPTIONS is 0.",
    )


async def test_before_a_restart_all_end_spread_over_the_time(live: Live) -> None:
    opened = [await live.open() for _ in range(7)]
    live.apply(live.event("sent"))
    live.account.close_subscriptions(0.2)
    with pytest.raises(Overloaded, match="about to restart"):
        live.outcome()
    assert "draining" in repr(live.hub)
    ended = [subscription.ended for subscription in opened]
    assert ended.count(EndReason.RESTART) == 2
    for subscription in opened:
        while (found := await subscription.next()) is not EndReason.RESTART:
            assert isinstance(found, bytes)
    assert len(live.hub) == 0
    assert live.hub.ends["restart"] == 7


async def test_a_right_that_is_lost_ends_the_subscription(live: Live) -> None:
    lost, kept = await live.open(caller="a"), await live.open(caller="b")
    live.apply(live.event("sent"))
    live.hub.check_rights({"a": frozenset({f"IS{0:032x}"}), "b": frozenset({live.marks["service_sid"]})}.get)
    assert lost.ended is EndReason.COMPLETE
    assert parsed(lost.take())["receipt"]["status"] == "SENT"
    body = lost.take()
    assert isinstance(body, bytes)
    result = msgspec.json.decode(body)
    assert result["data"] is None
    assert [error["extensions"]["code"] for error in result["errors"]] == ["FORBIDDEN"]
    assert [lost.take(), lost.take()] == [EndReason.COMPLETE] * 2
    assert kept.ended is None
    assert live.hub.ends["complete"] == 1


async def test_tokens_that_are_read_again_may_end_subscriptions(sandbox: Sandbox) -> None:
    """As on SIGHUP, in a thread."""
    base, service_sid = settings_for(sandbox), sandbox.landmarks["service_sid"]
    token = "ann-has-a-long-token"
    app: Any = create_app(replace(base, tokens={"ann": Token(token, frozenset({service_sid}))}))
    async with app.router.lifespan_context(app):
        operation = Operation(
            DELIVERIES, variables={"serviceSid": service_sid}, caller="ann", services=frozenset({service_sid})
        )
        subscription = app.state.account.subscribe(operation)
        assert (await take(subscription))["__typename"] == "DeliveriesReady"
        await asyncio.to_thread(app.replace_tokens, {"ann": Token(token, frozenset({f"IS{0:032x}"}))})
        assert b"FORBIDDEN" in await subscription.next()
        assert await subscription.next() is EndReason.COMPLETE
        other = app.state.account.subscribe(operation)
    assert other.take() is EndReason.RESTART


# Polls


class Polls:
    """A hub whose named conversations are polled."""

    def __init__(self, sandbox: Sandbox, client: Client, *, has_webhooks: bool = False) -> None:
        self.live = Live(sandbox, client)
        account = self.live.account
        self.reconciliation = Reconciliation(account, account.publication.apply, seconds=30)
        account.subscriptions.polling = self.reconciliation
        account.subscriptions.has_webhooks = has_webhooks
        conversation = sandbox.world.services[0].by_sid[self.live.marks["conversation_sid"]]
        self.newest = conversation.message(len(conversation.message_indexes()) - 1)
        self.receipt_sid = conversation.receipt_sid(self.newest, conversation.receipts(self.newest)[0])

    def subscribe(self, **variables: Any) -> Subscription:
        return self.live.subscribe(conversationSids=[self.live.marks["conversation_sid"]], **variables)

    def progress(self, status: str, **options: Any) -> None:
        self.live.sandbox.world.progress(self.newest.sid, to=status, **options)


async def test_without_webhooks_it_begins_when_its_conversations_have_been_polled(
    sandbox: Sandbox, client: Client
) -> None:
    """Otherwise a change before the first poll would be missed by a query that was made before it."""
    polls = Polls(sandbox, client)
    subscription = polls.subscribe()
    assert subscription.take() is None
    assert repr(subscription) == "<Subscription starting, 0 waiting>"
    await polls.reconciliation.poll()
    ready = await take(subscription)
    assert (ready["webhooks"], ready["pollSeconds"], ready["refetch"]) == (False, 30, True)
    second = polls.subscribe()  # At once: the conversation has been polled.
    assert len(taken(second)) == 1
    polls.progress("sent")
    await polls.reconciliation.poll()
    polls.progress("read", receipt_sid=polls.receipt_sid)
    await polls.reconciliation.poll()
    found = [each for each in taken(second) if each["receipt"]["sid"] == polls.receipt_sid]
    assert [(each["source"], each["receipt"]["status"]) for each in found] == [("POLL", "READ")]  # SENT is merged.


async def test_one_that_leaves_at_its_first_event_takes_another_along(sandbox: Sandbox, client: Client) -> None:
    """As a connection does that is cut: both were its."""
    polls = Polls(sandbox, client)
    first, second, other = polls.subscribe(), polls.subscribe(), polls.subscribe()

    def leave() -> None:
        first.close()
        second.close()

    first.on_ready = leave
    with capture_logs() as log:
        await polls.reconciliation.poll()
    assert log == []
    assert [len(taken(each)) for each in (first, second, other)] == [0, 0, 1]


async def test_one_that_leaves_at_its_end_takes_another_along(live: Live) -> None:
    first, second, other = [await live.open() for _ in range(3)]

    def leave() -> None:
        first.close()
        second.close()

    first.on_ready = leave
    live.hub.check_rights(lambda _: frozenset())
    assert other.take() is not None
    assert other.take() is EndReason.COMPLETE
    assert len(live.hub) == 0


async def test_what_a_poll_found_says_what_was_before(sandbox: Sandbox, client: Client) -> None:
    polls = Polls(sandbox, client)
    polls.progress("sent")
    subscription = polls.subscribe()
    await polls.reconciliation.poll()
    assert (await take(subscription))["refetch"]
    marks = polls.live.marks
    variables = {
        "serviceSid": marks["service_sid"],
        "conversationSid": marks["conversation_sid"],
        "messageSid": polls.newest.sid,
    }
    await polls.live.account.run(Operation(STATUSES, variables=variables))
    polls.progress("read", receipt_sid=polls.receipt_sid)
    await polls.reconciliation.poll()
    (event,) = taken(subscription)
    assert event["receipt"] == {"sid": polls.receipt_sid, "status": "READ"}
    assert (event["isNew"], event["previousStatus"], event["previousDeliveryStatus"]) == (False, "SENT", "SENT")


async def test_a_service_has_no_polls_and_with_webhooks_none_is_waited_for(sandbox: Sandbox, client: Client) -> None:
    polls = Polls(sandbox, client, has_webhooks=True)
    (ready,) = taken(polls.live.subscribe())
    assert (ready["webhooks"], ready["pollSeconds"]) == (True, None)
    (ready,) = taken(polls.subscribe())
    assert (ready["webhooks"], ready["pollSeconds"]) == (True, 30)


async def test_polls_stop_with_the_last_subscriber(sandbox: Sandbox, client: Client) -> None:
    polls = Polls(sandbox, client)
    one, two = polls.subscribe(), polls.subscribe()
    await polls.reconciliation.poll()
    assert len(sandbox.calls) == 1
    one.close()
    await polls.reconciliation.poll()
    assert len(sandbox.calls) == 2
    two.close()
    await polls.reconciliation.poll()
    assert len(sandbox.calls) == 2


async def test_polls_that_begin_again_are_a_possible_loss(sandbox: Sandbox, client: Client) -> None:
    polls = Polls(sandbox, client)
    rule = sandbox.faults.add("*/Messages?*", Fault("status", status=500))
    subscription = polls.subscribe()
    with capture_logs():
        await polls.reconciliation.poll()
    assert (await take(subscription))["refetch"] is True  # Nothing is known of it yet, and it may be so for long.
    sandbox.faults.remove(rule)
    await polls.reconciliation.poll()
    assert [each["__typename"] for each in taken(subscription)] == ["DeliveriesReady"]
    await polls.reconciliation.poll()
    assert taken(subscription) == []


@pytest.mark.parametrize(("status", "code"), [(404, "NOT_FOUND"), (403, "UPSTREAM_REJECTED")])
async def test_a_conversation_that_is_gone_ends_the_subscription(
    sandbox: Sandbox, client: Client, status: int, code: str
) -> None:
    polls = Polls(sandbox, client, has_webhooks=True)
    subscription = polls.subscribe()
    several = polls.live.subscribe(conversationSids=[polls.live.marks["conversation_sid"], f"CH{1:032x}"])
    assert [len(taken(each)) for each in (subscription, several)] == [1, 1]
    fault = Fault("status", status=status, code=20404 if status == 404 else 20403)
    sandbox.faults.add(f"*{polls.live.conversation}/Messages?*", fault)
    with capture_logs():
        await polls.reconciliation.poll()
    body = subscription.take()
    assert isinstance(body, bytes)
    assert [error["extensions"]["code"] for error in msgspec.json.decode(body)["errors"]] == [code]
    assert subscription.take() is EndReason.COMPLETE


@pytest.mark.parametrize("is_named", [True, False])
async def test_a_read_that_fails_for_an_event_shows_what_is_gone(live: Live, is_named: bool) -> None:
    named: dict[str, Any] = {"conversationSids": [live.marks["conversation_sid"]]} if is_named else {}
    subscription = await live.open(WITH_MESSAGE, **named)
    gone = live.conversation if is_named else live.service
    live.sandbox.faults.add(f"*{gone}*", Fault("status", status=403, code=20403))
    live.sandbox.reset()
    live.apply(live.event("sent"))
    assert (await take(subscription))["incomplete"] == "UPSTREAM_REJECTED"
    async with asyncio.timeout(20):
        body = await subscription.next()
    assert isinstance(body, bytes)
    assert [error["extensions"]["code"] for error in msgspec.json.decode(body)["errors"]] == ["UPSTREAM_REJECTED"]
    assert await subscription.next() is EndReason.COMPLETE
    assert live.sandbox.paths == [live.message, gone]

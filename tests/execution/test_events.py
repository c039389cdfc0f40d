"""Subscriptions, executed for events: by generated code, the interpreter and graphql-core, with equal results."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Any, cast

import pytest

from gateway.accounts.operation import Operation
from gateway.execution.context import Event, OperationLimits
from gateway.execution.events import SubscriptionPlan
from gateway.execution.executor import Executor
from gateway.execution.outcome import Outcome
from gateway.graph.context import OperationContext
from gateway.graph.subscription import deliveries_ready, event_of
from gateway.source.updates import Updates
from gateway.twilio.events import Change
from gateway.twilio.events import Event as UpstreamEvent

from .conftest import MARKS, MESSAGE, bare_context, context_over, run_in_loop, sandbox_answer
from .random_operations import GENERATOR, INTERPRETER, REFERENCE, Upstream, Writer

RECEIPT = f"{MESSAGE}/Receipts/{MARKS['receipt_sid']}"
READY = deliveries_ready("c0", refetch=True, webhooks=True, poll_seconds=None)
SERVICE = {"service": MARKS["service_sid"]}


def subscription(selection: str, field: str = "deliveryUpdated", declared: str = "") -> str:
    return f"subscription S($service: ID!{declared}) {{ {field}(serviceSid: $service) {{ {selection} }} }}"


def changed(selection: str, declared: str = "") -> str:
    return subscription(f"... on ReceiptChange {{ {selection} }}", declared=declared)


def receipt_event(**properties: Any) -> UpstreamEvent:
    row = json.loads(sandbox_answer(RECEIPT).body)
    names = ("account_sid", "participant_sid", "channel_message_sid", "date_created")
    known = {name: row[name] for name in names} | {
        "status": "read",
        "error_code": None,
        "date_updated": "2030-01-01T00:00:00Z",
    }
    known |= properties
    return UpstreamEvent(
        Change.UPDATED, RECEIPT, {name: known[name] for name in known if known[name] != ...}, "2030-01-01T00:00:00Z"
    )


def message_event(change: Change = Change.UPDATED) -> UpstreamEvent:
    properties = {"body": "edited", "author": "me", "index": 0} if change is not Change.REMOVED else {}
    return UpstreamEvent(change, MESSAGE, properties, "2030-01-01T00:00:00Z")


@dataclass
class Executed:
    """An event's outcome, and the calls that it took."""

    outcome: Outcome
    calls: list[str]
    context: OperationContext

    @property
    def event(self) -> Any:
        (event,) = (self.outcome.data or {}).values()
        return event


def execute(
    document: str,
    upstream_event: UpstreamEvent | None,
    executor: Executor = GENERATOR,
    *,
    variables: dict[str, Any] | None = None,
    trouble: int = 0,
    limits: OperationLimits | None = None,
) -> Executed:
    """Execute a subscription for an event, or for `READY`."""
    upstream = Upstream(trouble)

    async def once() -> Executed:
        async with context_over(upstream, limits=limits) as context:
            operation = Operation(document, variables={**SERVICE, **(variables or {})}, reference=executor is REFERENCE)
            plan = executor.subscription(operation, context)
            assert isinstance(plan, SubscriptionPlan), plan.failures
            event: Any = READY
            if upstream_event is not None:
                update = Updates(context.loaders._source, lambda: 2e9).apply(upstream_event)
                assert update is not None
                event = event_of(plan.field, update, "c1")
            outcome = await executor.run_event(plan, cast(Event, event), context)
            assert outcome.failures == ()
            assert outcome.requested == plan.cost
            return Executed(outcome, upstream.calls, context)

    return run_in_loop(once())


def refused(document: str, variables: dict[str, Any] | None = None, **context: Any) -> Any:
    """Return the first error of a subscription that is refused."""
    bare = bare_context()
    for name, value in context.items():
        setattr(bare, name, value)
    outcome = GENERATOR.subscription(Operation(document, variables=SERVICE | (variables or {})), bare)
    assert isinstance(outcome, Outcome)
    assert not outcome.executed
    return outcome.failures[0].as_json()


@pytest.mark.timeout(120)
def test_all_executors_have_equal_payloads() -> None:
    """Takes some seconds, for a hundred subscriptions."""
    runs: Counter[str] = Counter()
    for seed in range(120):
        random = Random(seed)
        document, variables = Writer(random.randint).subscription()
        trouble = random.choice([0, 0, 1, 3])
        absent = random.choice(["", "", "account_sid", "participant_sid", "error_code"])
        if "deliveryUpdated" in document:
            event = random.choice([receipt_event(**({absent: ...} if absent else {}))] * 3 + [None])
        else:
            event = random.choice([message_event(), message_event(Change.REMOVED), None])
        payloads = {}
        for name, executor in (("generated", GENERATOR), ("interpreted", INTERPRETER), ("reference", REFERENCE)):
            executed = execute(document, event, executor, variables=variables, trouble=trouble)
            runs.update(executed.context.runs)
            calls = executed.calls
            assert len(calls) == len(set(calls)), f"seed {seed}: a path was read twice"
            if absent in ("", "error_code"):
                assert len(calls) <= executed.outcome.requested, f"seed {seed}: the estimate is below the actual"
            payloads[name] = json.dumps(executed.outcome.data), executed.outcome.incomplete, sorted(calls)
        assert payloads["generated"] == payloads["interpreted"], f"seed {seed}"
        assert payloads["generated"][:2] == payloads["reference"][:2], f"seed {seed}"
    assert runs["generated"] > 60
    assert runs["not generated: exception"] == 0


DOCUMENT = changed(
    "cursor isNew why: incomplete previousStatus source receipt { id status accountSid participant { channel } } "
    "receiptEdge { cursor node { id status } } message { body deliveryStatus }"
)


@pytest.mark.parametrize("executor", [GENERATOR, INTERPRETER, REFERENCE])
def test_an_event_has_no_errors(executor: Executor) -> None:
    whole = execute(DOCUMENT, receipt_event(), executor)
    assert whole.event["why"] is None is whole.outcome.incomplete
    assert whole.event["receipt"]["participant"] == {"channel": "sms"}
    failed = execute(DOCUMENT, receipt_event(), executor, limits=OperationLimits(cost_limit=0))
    assert failed.calls == []
    assert failed.event["why"] == failed.outcome.incomplete == "COST_LIMIT_EXCEEDED"
    assert failed.event["message"] is None is failed.event["receipt"]["participant"]
    assert failed.event["receipt"]["status"] == whole.event["receipt"]["status"] == "READ"


def test_code_is_generated_for_events() -> None:
    executed = execute(DOCUMENT, receipt_event())
    assert executed.outcome.data_json is not None
    assert executed.context.runs == {"generated": 1, "engine": 1}


def test_the_selection_of_one_type_is_executed() -> None:
    document = subscription(
        "__typename ... on DeliveriesReady { cursor refetch pollSeconds } ... on ReceiptChange { isNew }"
    )
    expected = {"__typename": "DeliveriesReady", "cursor": "c0", "refetch": True, "pollSeconds": None}
    assert execute(document, None).event == expected


def test_a_read_of_ids_alone_is_skipped() -> None:
    document = changed(
        "message { id sid conversation { id sid } } receipt { id conversation { sid } participant { id sid } }"
    )
    executed = execute(document, receipt_event())
    assert executed.calls == []
    assert executed.event["message"]["sid"] == MARKS["message_sid"]


def test_a_property_that_nothing_proves_is_read_before() -> None:
    assert execute(changed("receipt { id channelMessageSid }"), receipt_event()).calls == []
    assert execute(changed("receipt { id status }"), receipt_event(channel_message_sid=...)).calls == []
    for selection in ("receipt { channelMessageSid }", "receiptEdge { node { channelMessageSid } }"):
        executed = execute(changed(selection), receipt_event(channel_message_sid=...))
        assert executed.calls == [RECEIPT]
        assert str(executed.event).count("SM") == 1
    executed = execute(
        changed("incomplete receipt { channelMessageSid }"),
        receipt_event(channel_message_sid=...),
        limits=OperationLimits(cost_limit=0),
    )
    assert executed.event == {"incomplete": "COST_LIMIT_EXCEEDED", "receipt": {"channelMessageSid": None}}


def test_a_message_is_not_read_for_what_an_event_proves() -> None:
    message = "... on MessageChange { messageSid message { id body author %s } }"
    proved = execute(subscription(message % "", "messageChanged"), message_event())
    assert proved.calls == []
    assert proved.event["message"]["body"] == "edited"
    read = execute(subscription(message % "deliveryStatus", "messageChanged"), message_event())
    assert read.calls == [MESSAGE]


def test_the_variables_that_only_choose_events_make_no_difference() -> None:
    document = (
        "subscription S($service: ID!, $sids: [ID!], $after: String, $first: Int) { deliveryUpdated(serviceSid: $service, "
        "conversationSids: $sids, after: $after) "
        "{ ... on ReceiptChange { message { receipts(first: $first) { totalCount } } } } }"
    )

    def plan(**variables: Any) -> SubscriptionPlan:
        planned = GENERATOR.subscription(Operation(document, variables=SERVICE | variables), bare_context())
        assert isinstance(planned, SubscriptionPlan)
        return planned

    sid = MARKS["conversation_sid"]
    assert plan(first=1) == plan(first=1, after="x", sids=[sid]) != plan(first=2)
    assert hash(plan(first=1)) == hash(plan(first=1, after="x"))
    assert plan(after="x", sids=[sid, sid]).arguments == {
        "serviceSid": MARKS["service_sid"],
        "conversationSids": (sid,),
        "messageSids": None,
        "after": "x",
    }


@pytest.mark.parametrize(
    ("document", "message", "code"),
    [
        ("subscription {", "Syntax Error: Expected Name, found <EOF>.", "GRAPHQL_PARSE_FAILED"),
        (
            subscription("__typename").replace(
                "deliveryUpdated", "a: messageChanged(serviceSid: $service) { __typename } deliveryUpdated"
            ),
            "Subscription 'S' must select only one top level field.",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            "subscription { __typename }",
            "Anonymous Subscription must not select an introspection top level field.",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            subscription("__typename").replace(" { deliv", " { ... @skip(if: false) { deliv") + "}",
            "Subscription 'S' must not use `@skip` or `@include` directives in the top level selection.",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            changed("message { ... @defer { body } }"),
            "Defer directive not supported on subscription operations. Disable `@defer` by setting the `if` argument to "
            "`false`.",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            changed("message { ... @defer(if: $d) { body } }", ", $d: Boolean = true"),
            "`@defer` has no meaning in a subscription: each event arrives whole. Remove it, or set its `if` to false.",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            changed("message { receipts { edges @stream { cursor } } }"),
            "Stream directive not supported on subscription operations. Disable `@stream` by setting the `if` argument to "
            "`false`.",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            "{ services { edges { cursor } } }",
            "The operation is not a subscription: execute it as a query.",
            "BAD_REQUEST",
        ),
        (
            'subscription { deliveryUpdated(serviceSid: "CH1") { __typename } }',
            "Expected a sid of the form IS followed by 32 hexadecimal digits.",
            "BAD_USER_INPUT",
        ),
        (
            subscription("__typename").replace("$service)", "$service, conversationSids: [])"),
            "`conversationSids` must have 1 to 100 sids; null means all.",
            "BAD_USER_INPUT",
        ),
    ],
)
def test_a_refusal_says_what_to_do(document: str, message: str, code: str) -> None:
    error = refused(document)
    assert (error["message"], error["extensions"]["code"]) == (message, code)


def test_limits_and_rights_are_checked_before_the_first_event() -> None:
    error = refused(subscription("__typename"), services=frozenset(["IS" + "0" * 32]))
    assert (error["path"], error["extensions"]["code"]) == (["deliveryUpdated"], "FORBIDDEN")
    error = refused(changed("message { body receipts { totalCount } }"), limits=OperationLimits(cost_max=1))
    assert error["extensions"]["code"] == "COST_LIMIT_EXCEEDED"
    assert error["message"].startswith(
        "An event of the subscription could take 2 upstream calls or more; 1 are allowed."
    )
    assert error["extensions"]["per"] == "event"
    sids = [f"CH{number:032x}" for number in range(101)]
    document = changed("isNew", ", $sids: [ID!]").replace("$service)", "$service, conversationSids: $sids)")
    assert refused(document, {"sids": sids})["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_subscription_sent_as_a_query_is_told_how_to_send_it() -> None:
    outcome = await GENERATOR.run(Operation(DOCUMENT, variables=SERVICE), bare_context())
    [failure] = outcome.failures
    assert (failure.error.code, failure.error.http_status, outcome.executed) == ("BAD_REQUEST", 406, False)
    assert "`graphql-transport-ws`" in failure.error.message
    assert "`Accept: text/event-stream`" in failure.error.message


async def test_a_dry_run_tells_the_price_of_an_event() -> None:
    outcome = await GENERATOR.run(Operation(DOCUMENT, variables=SERVICE, dry_run=True), bare_context())
    plan = outcome.extensions["plan"]
    assert [(edge["field"], edge["calls"]) for edge in plan["edges"]] == [
        ("deliveryUpdated.receipt.participant", 10),
        ("deliveryUpdated.message", 1),
    ]
    assert outcome.requested == plan["requested"] == 11
    assert plan["per"] == "event"
    context = bare_context()
    context.limits = OperationLimits(cost_max=10)
    outcome = await GENERATOR.run(Operation(DOCUMENT, variables=SERVICE, dry_run=True), context)
    [failure] = outcome.failures
    assert (failure.error.code, outcome.executed, outcome.extensions) == ("COST_LIMIT_EXCEEDED", False, {})


def test_a_subscription_can_be_a_trusted_document() -> None:
    assert GENERATOR.check(DOCUMENT) == ()
    [failure] = GENERATOR.check("subscription { deliveryUpdated { __typename } }")
    assert "serviceSid" in failure.error.message


def test_what_is_a_subscription_is_known_of_a_valid_document() -> None:
    assert GENERATOR.is_subscription(DOCUMENT, None)
    assert not GENERATOR.is_subscription("{ services { edges { cursor } } }", None)
    assert not GENERATOR.is_subscription("subscription { nope }", None)

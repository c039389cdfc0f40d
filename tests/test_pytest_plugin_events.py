"""Subscriptions in contract tests: events that are awaited, the webhooks behind them, and the sandbox's faults of events."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from gateway.pytest_plugin import Gateway, SubscriptionEnded
from gateway.sandbox import Fault, Sandbox

pytest_plugins = ["pytester"]

DELIVERIES = """subscription ($serviceSid: ID!, $messageSids: [ID!]) {
  deliveryUpdated(serviceSid: $serviceSid, messageSids: $messageSids) {
    __typename
    ... on DeliveriesReady { refetch webhooks pollSeconds }
    ... on ReceiptChange { receipt { status } message { sid } }
  }
}"""
READY = {"deliveryUpdated": {"__typename": "DeliveriesReady", "refetch": True, "webhooks": True, "pollSeconds": None}}


Advance = Callable[..., object]
Change = Callable[[str], dict[str, Any]]


@pytest.fixture
def message(receipts_sandbox: Sandbox) -> str:
    """The sid of the message whose receipt the tests advance."""
    return receipts_sandbox.landmarks["pending_receipt_message_sid"]


@pytest.fixture
def advance(receipts_sandbox: Sandbox, message: str) -> Advance:
    """Advances a receipt that is pending: to sent, then to delivered."""
    return partial(receipts_sandbox.progress, message, receipt_sid=receipts_sandbox.landmarks["pending_receipt_sid"])


@pytest.fixture
def change(message: str) -> Change:
    """Returns the event of that receipt."""

    def event(status: str) -> dict[str, Any]:
        known = {"receipt": {"status": status}, "message": {"sid": message}}
        return {"deliveryUpdated": {"__typename": "ReceiptChange", **known}}

    return event


async def test_a_change_in_the_sandbox_is_an_event(
    receipts_gateway: Gateway, receipts_sandbox: Sandbox, advance: Advance, change: Change
) -> None:
    async with receipts_gateway.subscribe(DELIVERIES) as events:
        assert await events.next(timeout=2) == READY
        advance()
        assert await events.next(timeout=2) == change("SENT")
        advance()
        assert await events.next() == change("DELIVERED")
        assert events.received == [READY, change("SENT"), change("DELIVERED")]
        await events.nothing(0.01)
    advance(to="failed")
    await receipts_sandbox.until(lambda: receipts_sandbox.webhooks[-1].statuses == [204])
    assert len(events.received) == 3
    assert receipts_gateway.upstream_calls == []


def test_events_in_a_test_that_is_not_async(
    receipts_gateway: Gateway, receipts_sandbox: Sandbox, advance: Advance, change: Change, message: str
) -> None:
    with receipts_gateway.subscribe(DELIVERIES, {"messageSids": [message]}) as events:
        assert events.next_sync() == READY
        receipts_sandbox.progress(receipts_sandbox.landmarks["message_sid"], to="read")
        advance()
        assert events.next_sync(timeout=2) == change("SENT")
        events.nothing_sync(0.01)


async def test_what_has_arrived_instead_is_shown(
    receipts_gateway: Gateway, receipts_sandbox: Sandbox, advance: Advance, change: Change
) -> None:
    async with receipts_gateway.subscribe(DELIVERIES) as events:
        with pytest.raises(AssertionError, match=r'^Nothing was to arrive within 1 s, but .*\n  .*"DeliveriesReady"'):
            await events.nothing(1)
        await events.next()
        receipts_sandbox.faults.add("*Status=sent*", Fault("lose_webhook"))
        advance()
        with pytest.raises(AssertionError) as missing:
            await events.next(timeout=0.01)
        assert re.fullmatch(
            r"No event has arrived within 0.01 s.\nEvents before:\n  .*DeliveriesReady.*\n"
            r"Webhooks of the sandbox:\n  onDeliveryUpdated: no answer \(lose_webhook\)",
            str(missing.value),
        )
        advance()
        assert await events.next() == change("DELIVERED")


@pytest.mark.parametrize(
    ("document", "more", "code"),
    [
        ("subscription {", {}, "GRAPHQL_PARSE_FAILED"),
        ("{ __typename }", {}, "BAD_REQUEST"),
        (DELIVERIES, {"serviceSid": "nonsense"}, "BAD_USER_INPUT"),
    ],
)
async def test_a_refusal_has_its_code(
    receipts_gateway: Gateway, document: str, more: dict[str, Any], code: str
) -> None:
    with pytest.raises(SubscriptionEnded, match=r"The subscription has ended \(refused\): .") as refused:
        async with receipts_gateway.subscribe(document, **more):
            pass
    assert (refused.value.reason, refused.value.codes) == ("refused", [code])


async def test_a_name_that_is_not_a_variable_is_reported(receipts_gateway: Gateway) -> None:
    with pytest.raises(TypeError, match=r"subscribe\(\) got first: neither options nor variables"):
        receipts_gateway.subscribe(DELIVERIES, first=1)
    with pytest.raises(RuntimeError, match="has not begun: use `async with"):
        await receipts_gateway.subscribe(DELIVERIES).next()


# Faults


@pytest.mark.receipts_faults("deliveryUpdated", "disconnect", after=1, times=1)
async def test_disconnect(receipts_gateway: Gateway, advance: Advance) -> None:
    """The event is lost; the client that comes back is told to read again."""
    async with receipts_gateway.subscribe(DELIVERIES) as events:
        assert await events.next() == READY
        advance()
        with pytest.raises(AssertionError, match=r"but this did:\n  The subscription has ended \(dead\)\."):
            await events.nothing(2)
        with pytest.raises(SubscriptionEnded) as ended:
            await events.next()
    assert (ended.value.reason, ended.value.errors) == ("dead", [])
    async with receipts_gateway.subscribe(DELIVERIES) as events:
        assert await events.next() == READY


@pytest.mark.receipts_faults("*ReceiptChange*", "expire_token")
async def test_expire_token(receipts_gateway: Gateway, advance: Advance) -> None:
    async with receipts_gateway.subscribe(DELIVERIES) as events:
        assert await events.next() == READY
        advance()
        with pytest.raises(SubscriptionEnded) as ended:
            await events.next()
    assert (ended.value.reason, ended.value.codes) == ("token", ["UNAUTHENTICATED"])


@pytest.mark.receipts_faults("*ReceiptChange*", "stall", latency=0.1, times=1)
async def test_stall(receipts_gateway: Gateway, advance: Advance, change: Change) -> None:
    async with receipts_gateway.subscribe(DELIVERIES) as events:
        assert await events.next() == READY
        advance()
        await events.nothing(0.01)
        assert await events.next() == change("SENT")
        advance()
        assert await events.next() == change("DELIVERED")


@pytest.mark.receipts_faults("deliveryUpdated", "stall")
async def test_stall_for_good(receipts_gateway: Gateway) -> None:
    async with receipts_gateway.subscribe(DELIVERIES) as events:
        await events.nothing(0.01)


def test_a_fault_of_events_that_is_not_met_fails_its_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        f"""
        import pytest

        DELIVERIES = {DELIVERIES!r}

        @pytest.mark.receipts_faults("messageChanged", "disconnect")
        @pytest.mark.receipts_faults("deliveryUpdated", "stall", after=1)
        @pytest.mark.receipts_faults("onDeliveryUpdated", "lose_webhook")
        def test_unmet(receipts_gateway):
            with receipts_gateway.subscribe(DELIVERIES) as events:
                events.next_sync()
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:asyncio")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "@pytest.mark.receipts_faults('messageChanged', 'disconnect', …) hit no event: no event matched.",
            "@pytest.mark.receipts_faults('deliveryUpdated', 'stall', …) hit no event: 1 events matched.",
            "@pytest.mark.receipts_faults('onDeliveryUpdated', 'lose_webhook', …) hit no webhook: no webhook matched.",
        ]
    )

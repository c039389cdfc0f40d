"""What the tests of subscriptions share: an account with a sandbox, its events, and payloads as JSON."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from gateway.accounts.account import Account
from gateway.accounts.limits import Limits, SubscriptionLimits
from gateway.accounts.operation import Operation
from gateway.accounts.subscriptions import EndReason, Subscription
from gateway.execution.outcome import Outcome
from gateway.sandbox import Sandbox
from gateway.source.history import History
from gateway.source.lifetimes import Lifetimes
from gateway.source.memory import MemoryCache
from gateway.twilio.client import Client
from gateway.twilio.events import Change, Event

DELIVERIES = """subscription D($serviceSid: ID!, $conversationSids: [ID!], $messageSids: [ID!], $after: String) {
  deliveryUpdated(
    serviceSid: $serviceSid, conversationSids: $conversationSids, messageSids: $messageSids, after: $after
  ) {
    __typename
    ... on DeliveriesReady { cursor refetch webhooks pollSeconds }
    ... on ReceiptChange { cursor isNew previousStatus previousDeliveryStatus source incomplete receipt { sid status } }
  }
}"""
WITH_MESSAGE = DELIVERIES.replace("receipt {", "message { body } receipt {")
MESSAGES = """subscription M($serviceSid: ID!, $conversationSids: [ID!], $after: String) {
  messageChanged(serviceSid: $serviceSid, conversationSids: $conversationSids, after: $after) {
    __typename
    ... on DeliveriesReady { cursor refetch }
    ... on MessageChange { cursor isNew messageSid }
    ... on MessageRemoval { cursor messageSid }
  }
}"""
STATUSES = """query Q($serviceSid: ID!, $conversationSid: ID!, $messageSid: ID!) {
  service(sid: $serviceSid) { conversation(sid: $conversationSid) { message(sid: $messageSid) {
    receipts { edges { node { sid status } } }
  } } }
}"""


def parsed(body: bytes | EndReason | None) -> Any:
    """Return the event in a payload; why there is none, as it is."""
    if not isinstance(body, bytes):
        return body
    result = msgspec.json.decode(body)
    assert "errors" not in result, result
    (event,) = result["data"].values()
    return event


class Live:
    """An account, and the events of its sandbox's landmarks."""

    def __init__(
        self,
        sandbox: Sandbox,
        client: Client,
        *,
        budget: int = 0,
        history: History | None = None,
        lifetimes: Lifetimes | None = None,
        **limits: Any,
    ) -> None:
        self.sandbox = sandbox
        self.marks = sandbox.landmarks
        self.account = Account(
            client,
            Limits(caller_budget=budget),
            cache=MemoryCache(2**24),
            lifetimes=lifetimes,
            history=history,
            subscription_limits=SubscriptionLimits(**limits),
        )
        self.hub = self.account.subscriptions
        self.service = f"Services/{self.marks['service_sid']}"
        self.conversation = f"{self.service}/Conversations/{self.marks['conversation_sid']}"
        self.message = f"{self.conversation}/Messages/{self.marks['message_sid']}"

    def subscribe(self, document: str = DELIVERIES, caller: str = "", **variables: Any) -> Subscription:
        """Subscribe to the service of the landmarks, unless the variables name another."""
        found = self.outcome(document, caller, **variables)
        assert isinstance(found, Subscription), found
        return found

    def outcome(
        self, document: str = DELIVERIES, caller: str = "", services: Any = None, **variables: Any
    ) -> Subscription | Outcome:
        given = {"serviceSid": self.marks["service_sid"]} | variables
        return self.account.subscribe(Operation(document, variables=given, caller=caller, services=services))

    async def open(self, document: str = DELIVERIES, caller: str = "", **variables: Any) -> Subscription:
        """Subscribe, and take `DeliveriesReady`."""
        subscription = self.subscribe(document, caller, **variables)
        ready = await take(subscription)
        assert ready["__typename"] == "DeliveriesReady"
        return subscription

    def event(self, status: str | None, second: int = 0, *, receipt: int = 0, message: str | None = None) -> Event:
        """Return the event of a receipt, the first of the landmarks' message by default."""
        sid = f"DY{receipt:032x}" if receipt else self.marks["receipt_sid"]
        date = f"2026-11-29T20:37:{second:02d}Z"
        properties = {
            "account_sid": self.sandbox.account_sid,
            "status": status,
            "error_code": None,
            "date_created": "2026-11-29T20:37:00Z",
            "date_updated": date,
            "channel_message_sid": None,
            "participant_sid": None,
        }
        return Event(Change.UPDATED, f"{message or self.message}/Receipts/{sid}", properties, date)

    def apply(self, *events: Event) -> None:
        for event in events:
            assert self.account.publication.apply(event) is not None


async def take(subscription: Subscription) -> Any:
    """Return the next event, or why the subscription has ended."""
    async with asyncio.timeout(20):
        return parsed(await subscription.next())


def taken(subscription: Subscription) -> list[Any]:
    """Return the events that wait, without waiting for more."""
    found = []
    while isinstance(body := subscription.take(), bytes):
        found.append(parsed(body))
    return found

"""A service of the sandbox with a known number of failures, for tests and benchmarks that count calls."""

from typing import Any

from gateway.sandbox.conversation import ConversationSettings
from gateway.sandbox.world import PRESENT, ServiceRecord, World

__all__ = ["fill_service"]


def fill_service(world: World, service: ServiceRecord, conversations: int, messages: int, failing: int) -> None:
    """Add conversations with so many messages each, every message to one recipient; `failing` of all messages have failed."""
    every = conversations * messages // failing
    for number in range(conversations):
        times: dict[str, Any] = {"date_created": PRESENT + number, "date_updated": PRESENT + number}
        conversation = world.add_conversation(service, ConversationSettings(**times))
        conversation.add_participant(
            channel="SM",
            identity=None,
            binding={"type": "sms", "address": "+15550100", "proxy_address": "+15550199"},
            attributes="{}",
            role_sid="RL",
            **times,
        )
        for place in range(messages):
            message = conversation.add_message("system", body="", media=None, attributes="{}", **times)
            (receipt,) = conversation.receipts(message)
            has_failed = (number * messages + place) % every == 0
            status, code = ("failed", 30003) if has_failed else ("delivered", 0)
            conversation.update_receipt(message, receipt, status, code, PRESENT)

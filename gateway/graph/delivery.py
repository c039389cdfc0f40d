"""The words of delivery: what Twilio's words mean in the graph, for one receipt and for a message as a whole."""

from enum import Enum
from typing import Any

import strawberry

from gateway.graph.node import word

__all__ = [
    "DeliveryAmount",
    "DeliveryStatus",
    "MessageDeliveryStatus",
    "amount",
    "cannot_match",
    "has_no_receipts",
    "message_delivery_status",
    "receipt_status",
]


@strawberry.enum(description="How far a message got on its way to one recipient.")
class DeliveryStatus(Enum):
    PENDING = word("pending", "Still inside Twilio: not yet handed to the carrier or the channel.")
    SENT = word("sent", "Handed to the carrier or the channel.")
    DELIVERED = word("delivered", "Arrived at the recipient's device.")
    READ = word("read", "Opened by the recipient. Only channels such as WhatsApp report it.")
    FAILED = word("failed", "Could not be sent; `errorCode` says why.")
    UNDELIVERED = word("undelivered", "Sent, but not delivered; `errorCode` says why.")
    UNKNOWN = word("unknown", "A word that this schema does not know; it is in `rawStatus`.")


@strawberry.enum(description="How many of a message's receipts reached a status.")
class DeliveryAmount(Enum):
    NONE = word("none", "Not one.")
    SOME = word("some", "At least one, but not all.")
    ALL = word("all", "Every one.")
    UNKNOWN = word("unknown", "Twilio gave no word, or one that this schema does not know.")


@strawberry.enum(description="How far a message got on its way to all its recipients, in one word.")
class MessageDeliveryStatus(Enum):
    UNTRACKED = word("untracked", "It has no receipts, as when all its recipients are chat users.")
    PENDING = word("pending", "Under way: no other word holds for all recipients yet.")
    SENT = word("sent", "Sent to all recipients.")
    DELIVERED = word("delivered", "Delivered to all recipients.")
    READ = word("read", "Read by all recipients.")
    PARTLY_FAILED = word("partly_failed", "Failed or undelivered for some recipients.")
    FAILED = word("failed", "Failed or undelivered for all recipients.")
    UNKNOWN = word("unknown", "Twilio's summary does not say whether any delivery failed.")


_STATUSES: dict[str | None, DeliveryStatus] = {
    None: DeliveryStatus.PENDING,
    "sent": DeliveryStatus.SENT,
    "delivered": DeliveryStatus.DELIVERED,
    "read": DeliveryStatus.READ,
    "failed": DeliveryStatus.FAILED,
    "undelivered": DeliveryStatus.UNDELIVERED,
}
_AMOUNTS = {"none": DeliveryAmount.NONE, "some": DeliveryAmount.SOME, "all": DeliveryAmount.ALL}
_WORDS = {status: word for word, status in _STATUSES.items() if word is not None}


def receipt_status(row: Any) -> DeliveryStatus:
    """The status of a receipt's row. Twilio's null means that the message is still inside Twilio."""
    return _STATUSES.get(row.status, DeliveryStatus.UNKNOWN)


def amount(word: str | None) -> DeliveryAmount:
    """The amount that a word of a message's delivery summary names."""
    return _AMOUNTS.get(word or "", DeliveryAmount.UNKNOWN)


def message_delivery_status(row: Any) -> MessageDeliveryStatus:
    """A message's status in one word, from its delivery summary; the first rule that applies."""
    delivery = row.delivery
    if delivery is None or delivery.total == 0:
        return MessageDeliveryStatus.UNTRACKED
    bad = (amount(delivery.failed), amount(delivery.undelivered))
    if DeliveryAmount.UNKNOWN in bad:
        return MessageDeliveryStatus.UNKNOWN
    if DeliveryAmount.ALL in bad:
        return MessageDeliveryStatus.FAILED
    if DeliveryAmount.SOME in bad:
        return MessageDeliveryStatus.PARTLY_FAILED
    for reached, status in (
        (delivery.read, MessageDeliveryStatus.READ),
        (delivery.delivered, MessageDeliveryStatus.DELIVERED),
        (delivery.sent, MessageDeliveryStatus.SENT),
    ):
        if amount(reached) is DeliveryAmount.ALL:
            return status
    return MessageDeliveryStatus.PENDING


def has_no_receipts(message: Any) -> bool:
    """Whether a message's row says that it has no receipts, so that asking for them is idle."""
    return message.delivery is None or message.delivery.total == 0


def cannot_match(message: Any, wanted: set[DeliveryStatus]) -> bool:
    """Whether a message's summary says `none` for every wanted status. It says nothing of PENDING and UNKNOWN."""
    return all(status in _WORDS and getattr(message.delivery, _WORDS[status]) == "none" for status in wanted)

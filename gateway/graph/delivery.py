"""Delivery statuses: how Twilio's values map to the graph, for one receipt and for a whole message."""

from collections.abc import Sequence
from enum import Enum
from typing import Any

import strawberry

from gateway.errors import UpstreamInvalidResponse
from gateway.execution.fields import Mapped
from gateway.graph.node import enum_value
from gateway.twilio.partial_rows import PartialRow, readable
from gateway.twilio.statuses import ReceiptSummary

__all__ = [
    "STATUS",
    "DeliveryAmount",
    "DeliveryStatus",
    "MessageDeliveryStatus",
    "amount",
    "cannot_match",
    "has_no_receipts",
    "message_delivery_status",
    "receipt_status",
    "receipt_summary",
    "summary_status",
    "without_receipts",
]


@strawberry.enum(description="The delivery status of a message for one recipient.")
class DeliveryStatus(Enum):
    PENDING = enum_value("pending", "Not yet passed to the carrier or channel.")
    SENT = enum_value("sent", "Passed to the carrier or channel.")
    DELIVERED = enum_value(
        "delivered", "Delivered to the recipient's device. On channels that report it, it may become `READ`."
    )
    READ = enum_value("read", "Read by the recipient. Only channels such as WhatsApp report this.")
    FAILED = enum_value("failed", "Could not be sent. `errorCode` has the reason.")
    UNDELIVERED = enum_value("undelivered", "Sent, but not delivered. `errorCode` has the reason.")
    UNKNOWN = enum_value("unknown", "A status that this schema version does not know. `rawStatus` has the value.")


@strawberry.enum(description="How many of a message's receipts have reached a status.")
class DeliveryAmount(Enum):
    NONE = enum_value("none", "None of them.")
    SOME = enum_value("some", "At least one, but not all of them.")
    ALL = enum_value("all", "All of them.")
    UNKNOWN = enum_value("unknown", "A value that Twilio left out, or that this schema version does not know.")


@strawberry.enum(description="The delivery status of a message over all its recipients.")
class MessageDeliveryStatus(Enum):
    UNTRACKED = enum_value("untracked", "The message has no receipts: all its recipients are chat users.")
    PENDING = enum_value("pending", "In progress: no other status applies to all recipients yet.")
    SENT = enum_value("sent", "Sent to all recipients.")
    DELIVERED = enum_value("delivered", "Delivered to all recipients.")
    READ = enum_value("read", "Read by all recipients.")
    PARTLY_FAILED = enum_value("partly_failed", "Failed or undelivered for some of the recipients.")
    FAILED = enum_value("failed", "Failed or undelivered for all recipients.")
    UNKNOWN = enum_value("unknown", "Twilio's summary does not show whether a delivery failed.")


_STATUSES: dict[str | None, DeliveryStatus] = {
    None: DeliveryStatus.PENDING,
    "sent": DeliveryStatus.SENT,
    "delivered": DeliveryStatus.DELIVERED,
    "read": DeliveryStatus.READ,
    "failed": DeliveryStatus.FAILED,
    "undelivered": DeliveryStatus.UNDELIVERED,
}
STATUS = Mapped("status", _STATUSES, DeliveryStatus.UNKNOWN)
"""`receipt_status` of a row whose status can be read."""
_AMOUNTS = {"none": DeliveryAmount.NONE, "some": DeliveryAmount.SOME, "all": DeliveryAmount.ALL}
_UNREADABLE = ReceiptSummary(-1, None, None, None, None, None)
"""Stands for a delivery summary that could not be read: it shows nothing."""
_SUMMARY_PROPERTIES = {status: value for value, status in _STATUSES.items() if value is not None}


def receipt_status(row: Any) -> DeliveryStatus:
    """Return the status of a receipt's row. Twilio's null means that the message has not left Twilio."""
    try:
        return _STATUSES.get(row.status, DeliveryStatus.UNKNOWN)
    except UpstreamInvalidResponse:
        return DeliveryStatus.UNKNOWN


def amount(value: str | None) -> DeliveryAmount:
    """Return the amount for a value of a message's delivery summary."""
    return _AMOUNTS.get(value or "", DeliveryAmount.UNKNOWN)


def message_delivery_status(row: Any) -> MessageDeliveryStatus:
    """Return a message's status, derived from its delivery summary; the first rule that applies."""
    try:
        return summary_status(row.delivery)
    except UpstreamInvalidResponse:
        return MessageDeliveryStatus.UNKNOWN


def summary_status(delivery: Any) -> MessageDeliveryStatus:
    """Return a message's status, derived from its delivery summary, as Twilio returns it or as a `ReceiptSummary`.

    Raises `UpstreamInvalidResponse`.
    """
    if delivery is None or delivery.total == 0:
        return MessageDeliveryStatus.UNTRACKED
    failures = (amount(delivery.failed), amount(delivery.undelivered))
    if DeliveryAmount.UNKNOWN in failures:
        return MessageDeliveryStatus.UNKNOWN
    if DeliveryAmount.ALL in failures:
        return MessageDeliveryStatus.FAILED
    if DeliveryAmount.SOME in failures:
        return MessageDeliveryStatus.PARTLY_FAILED
    for reached, status in (
        (delivery.read, MessageDeliveryStatus.READ),
        (delivery.delivered, MessageDeliveryStatus.DELIVERED),
        (delivery.sent, MessageDeliveryStatus.SENT),
    ):
        if amount(reached) is DeliveryAmount.ALL:
            return status
    return MessageDeliveryStatus.PENDING


def receipt_summary(message: Any) -> ReceiptSummary | None:
    """Return the delivery summary of a message's row; None when it has none that can be read."""
    delivery = readable(message, "delivery")
    if delivery is None or isinstance(delivery, PartialRow):
        return None
    amounts = (delivery.sent, delivery.delivered, delivery.read, delivery.failed, delivery.undelivered)
    return ReceiptSummary(delivery.total, *amounts)


def has_no_receipts(message: Any) -> bool:
    """Whether a message's row shows that it has no receipts."""
    delivery = readable(message, "delivery", _UNREADABLE)
    return delivery is None or delivery.total == 0


def without_receipts(messages: Sequence[Any]) -> set[int]:
    """Return the positions of the messages' rows that show that they have no receipts."""
    try:
        return {
            position
            for position, message in enumerate(messages)
            if (delivery := message.delivery) is None or delivery.total == 0
        }
    except UpstreamInvalidResponse:
        return {position for position, message in enumerate(messages) if has_no_receipts(message)}


def cannot_match(message: Any, wanted: set[DeliveryStatus]) -> bool:
    """Whether a message's summary has `none` for every wanted status. It has no value for PENDING and UNKNOWN."""
    delivery = readable(message, "delivery", _UNREADABLE)
    return all(
        status in _SUMMARY_PROPERTIES and readable(delivery, _SUMMARY_PROPERTIES[status]) == "none" for status in wanted
    )

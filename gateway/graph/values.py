"""Types inside records: enums, and objects without an id."""

from enum import Enum
from typing import Any

import strawberry

from gateway.errors import UpstreamInvalidResponse
from gateway.execution.fields import Mapped
from gateway.graph.delivery import DeliveryAmount, amount
from gateway.graph.node import embedded, enum_value, prop
from gateway.twilio.partial_rows import readable

__all__ = [
    "STATE",
    "ConversationState",
    "ConversationStateFilter",
    "DeliverySummary",
    "Media",
    "MessageOrder",
    "MessagingBinding",
    "channel_of",
    "conversation_state",
]

_ACTIVE = "Open: messages can be sent."
_INACTIVE = "Open, but without activity for the time that its timer sets."
_CLOSED = "Closed: it can be read, but no messages can be sent."


@strawberry.enum(description="The state of a conversation.")
class ConversationState(Enum):
    INITIALIZING = enum_value("initializing", "Being created.")
    ACTIVE = enum_value("active", _ACTIVE)
    INACTIVE = enum_value("inactive", _INACTIVE)
    CLOSED = enum_value("closed", _CLOSED)
    UNKNOWN = enum_value("unknown", "A state that this schema version does not know.")


@strawberry.enum(description="The states by which conversations can be filtered.")
class ConversationStateFilter(Enum):
    ACTIVE = enum_value("active", _ACTIVE)
    INACTIVE = enum_value("inactive", _INACTIVE)
    CLOSED = enum_value("closed", _CLOSED)


@strawberry.enum(description="The order of messages in a conversation.")
class MessageOrder(Enum):
    ASC = enum_value("asc", "Oldest first.")
    DESC = enum_value("desc", "Newest first.")


@embedded("A file sent with a message. Its content is served by Twilio's Media Content Service, not by this API.")
class Media:
    sid: strawberry.ID = prop("The sid of the file: `ME…`.")
    content_type: str | None = prop("The MIME type, such as `image/png`.", from_outside=True)
    filename: str | None = prop("The file name, if the sender set one.", from_outside=True)
    size: int | None = prop("The size in bytes.")


@embedded("Summary of a message's receipts. It is a part of the message, so selecting it costs no upstream call.")
class DeliverySummary:
    total: int = prop("The number of receipts of the message: one for each recipient outside chat.")
    sent: DeliveryAmount = prop(
        "How many of the receipts are sent. Cumulative: delivered and read ones count too.",
        derive=lambda delivery: amount(readable(delivery, "sent")),
        of={"sent": str | None},
    )
    delivered: DeliveryAmount = prop(
        "How many are delivered. Cumulative: read ones count too.",
        derive=lambda delivery: amount(readable(delivery, "delivered")),
        of={"delivered": str | None},
    )
    read: DeliveryAmount = prop(
        "How many are read.", derive=lambda delivery: amount(readable(delivery, "read")), of={"read": str | None}
    )
    failed: DeliveryAmount = prop(
        "How many are failed: the message could not be sent.",
        derive=lambda delivery: amount(readable(delivery, "failed")),
        of={"failed": str | None},
    )
    undelivered: DeliveryAmount = prop(
        "How many are undelivered: the message was sent, but not delivered.",
        derive=lambda delivery: amount(readable(delivery, "undelivered")),
        of={"undelivered": str | None},
    )


@embedded("How a participant outside chat is reached.")
class MessagingBinding:
    type: str | None = prop("The channel, such as `sms` or `whatsapp`.")
    address: str | None = prop("The participant's own address, such as a phone number.", from_outside=True)
    proxy_address: str | None = prop("The Twilio address that the participant writes to.", from_outside=True)
    projected_address: str | None = prop(
        "The Twilio address that represents a chat user in a group text.", from_outside=True
    )


_STATES = {state.value: state for state in ConversationState if state is not ConversationState.UNKNOWN}
STATE = Mapped("state", {None: None, **_STATES}, ConversationState.UNKNOWN)
"""`conversation_state` of a conversation's row."""


def conversation_state(value: str | None) -> ConversationState | None:
    """Return the state for Twilio's value; `UNKNOWN` for a value that is not in the enum."""
    return _STATES.get(value, ConversationState.UNKNOWN) if value is not None else None


def channel_of(participant: Any) -> str:
    """Return the channel of a participant's row: `chat` without a messaging binding, `unknown` if that could not be read."""
    try:
        binding = participant.messaging_binding
        return (binding.type if binding is not None else None) or "chat"
    except UpstreamInvalidResponse:
        return "unknown"

"""The events that webhooks report, with the parameters that Twilio sends.

https://www.twilio.com/docs/conversations/conversations-webhooks. Parameters that the documentation leaves out, and recorded
webhooks have, are sent too: `RetryCount`, and `ChatServiceSid` of messages. `onDeliveryUpdated` has no `Source`, and an
`ErrorCode` only if the delivery failed. Dates have milliseconds, unlike those of REST.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from .conversation import ConversationRecord, MessageRecord, ReceiptRecord
from .occurrences import Occurrence
from .participants import ParticipantRecord
from .resources import Renderer, Row, date


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """One event: what happened in which conversation."""

    type: str
    service_sid: str
    conversation_sid: str
    parameters: Mapping[str, str]


def webhook_event(occurrence: Occurrence, renderer: Renderer) -> WebhookEvent:
    """Return the event that reports an occurrence."""
    conversation, record = occurrence.conversation, occurrence.record
    removed = {"DateRemoved": milliseconds(occurrence.now)} if occurrence.type.endswith("Removed") else {}
    match record:
        case (message, receipt):
            further = _delivery(renderer.receipt(conversation, message, receipt), receipt)
        case MessageRecord():
            further = _message(renderer.message(conversation, record), conversation, record) | removed
        case ParticipantRecord():
            further = _participant(renderer.participant(conversation, record), record) | removed
        case _:
            further = _state(occurrence)
    if occurrence.type.endswith("Added"):
        further = {
            name: value for name, value in further.items() if name not in ("DateUpdated", "LastReadMessageIndex")
        }
    common = {
        "EventType": occurrence.type,
        "AccountSid": renderer.account_sid,
        "ChatServiceSid": conversation.service_sid,
        "ConversationSid": conversation.sid,
        "RetryCount": "0",
    }
    given = {name: value for name, value in (common | further).items() if value is not None}
    return WebhookEvent(occurrence.type, conversation.service_sid, conversation.sid, given)


def milliseconds(seconds: int | None) -> str | None:
    """Format a time as webhooks do; the sandbox's clock has whole seconds, so that the fraction is invented."""
    text = date(seconds)
    return None if text is None or seconds is None else f"{text[:-1]}.{seconds * 37 % 1000:03d}Z"


def _delivery(row: Row, receipt: ReceiptRecord) -> dict[str, str | None]:
    return {
        "MessageSid": row["message_sid"],
        "DeliveryReceiptSid": row["sid"],
        "ChannelMessageSid": row["channel_message_sid"],
        "ParticipantSid": row["participant_sid"],
        "Status": row["status"] or "",
        "ErrorCode": str(receipt.error_code) if receipt.error_code else None,
        "DateCreated": milliseconds(receipt.date_created),
        "DateUpdated": milliseconds(receipt.date_updated),
    }


def _message(row: Row, conversation: ConversationRecord, message: MessageRecord) -> dict[str, str | None]:
    return {
        "Source": "API",
        "MessageSid": row["sid"],
        "MessagingServiceSid": conversation.settings.messaging_service_sid,
        "Index": str(row["index"]),
        "DateCreated": milliseconds(message.date_created),
        "DateUpdated": milliseconds(message.date_updated),
        "Body": row["body"],
        "Author": row["author"],
        "ParticipantSid": row["participant_sid"],
        "Attributes": row["attributes"],
        "Media": orjson.dumps(row["media"]).decode() if row["media"] else None,
    }


def _participant(row: Row, participant: ParticipantRecord) -> dict[str, str | None]:
    binding: dict[str, Any] = row["messaging_binding"] or {}
    index = row["last_read_message_index"]
    return {
        "Source": "API",
        "ParticipantSid": row["sid"],
        "DateCreated": milliseconds(participant.date_created),
        "DateUpdated": milliseconds(participant.date_updated),
        "Identity": row["identity"],
        "RoleSid": row["role_sid"],
        "Attributes": row["attributes"],
        "MessagingBinding.Address": binding.get("address"),
        "MessagingBinding.ProxyAddress": binding.get("proxy_address"),
        "MessagingBinding.ProjectedAddress": binding.get("projected_address"),
        "MessagingBinding.Type": binding.get("type"),
        "LastReadMessageIndex": None if index is None else str(index),
    }


def _state(occurrence: Occurrence) -> dict[str, str | None]:
    settings = occurrence.conversation.settings
    return {
        "Source": "API",
        "StateFrom": occurrence.state_from,
        "StateTo": settings.state,
        "StateUpdated": milliseconds(occurrence.now),
        "Reason": "API",
        "MessagingServiceSid": settings.messaging_service_sid,
    }

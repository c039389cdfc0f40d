"""The five resources as JSON objects, with the properties of Twilio's OpenAPI description."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .conversation import ConversationRecord, MessageRecord, ReceiptRecord
from .participants import ParticipantRecord
from .switches import Switches
from .world import ServiceRecord

Row = dict[str, Any]

# A message's summary counts cumulatively: a read receipt was also delivered and sent.
REACHED = {"sent": ("sent",), "delivered": ("sent", "delivered"), "read": ("sent", "delivered", "read")}
AMOUNTS = ("sent", "delivered", "read", "failed", "undelivered")


def date(seconds: int | None) -> str | None:
    """Format a time in whole seconds with a Z: Twilio's Python library does not parse fractions."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Renderer:
    """Renders records as rows, with URLs at one origin, under the current switches."""

    account_sid: str
    origin: str
    switches: Switches

    def service_url(self, service_sid: str) -> str:
        return f"{self.origin}/v1/Services/{service_sid}"

    def conversation_url(self, conversation: ConversationRecord) -> str:
        return f"{self.service_url(conversation.service_sid)}/Conversations/{conversation.sid}"

    def service(self, service: ServiceRecord) -> Row:
        url = self.service_url(service.sid)
        return {
            "account_sid": self.account_sid,
            "sid": service.sid,
            "friendly_name": service.friendly_name,
            "date_created": date(service.date_created),
            "date_updated": date(service.date_updated),
            "url": url,
            "links": {
                "conversations": f"{url}/Conversations",
                "users": f"{url}/Users",
                "roles": f"{url}/Roles",
                "bindings": f"{url}/Bindings",
                "configuration": f"{url}/Configuration",
                "participant_conversations": f"{url}/ParticipantConversations",
                "conversation_with_participants": f"{url}/ConversationWithParticipants",
            },
        }

    def conversation(self, conversation: ConversationRecord) -> Row:
        url = self.conversation_url(conversation)
        settings = conversation.settings
        return {
            "account_sid": self.account_sid,
            "chat_service_sid": conversation.service_sid,
            "messaging_service_sid": settings.messaging_service_sid,
            "sid": conversation.sid,
            "friendly_name": settings.friendly_name,
            "unique_name": settings.unique_name,
            "attributes": settings.attributes,
            "state": settings.state,
            "date_created": date(settings.date_created),
            "date_updated": date(settings.date_updated),
            "timers": {name: date(seconds) for name, seconds in settings.timers.items()},
            "url": url,
            "links": {
                "participants": f"{url}/Participants",
                "messages": f"{url}/Messages",
                "webhooks": f"{url}/Webhooks",
                "export": f"{url}/Export",
            },
            "bindings": {},
        }

    def message(self, conversation: ConversationRecord, message: MessageRecord) -> Row:
        url = f"{self.conversation_url(conversation)}/Messages/{message.sid}"
        return {
            "account_sid": self.account_sid,
            "chat_service_sid": conversation.service_sid,
            "conversation_sid": conversation.sid,
            "sid": message.sid,
            "index": message.index,
            "author": message.author,
            "body": message.body,
            "media": message.media,
            "attributes": message.attributes,
            "participant_sid": message.participant.sid if message.participant else None,
            "date_created": date(message.date_created),
            "date_updated": date(message.date_updated),
            "delivery": self.delivery(self.receipts(conversation, message)),
            "url": url,
            "links": {"delivery_receipts": f"{url}/Receipts", "channel_metadata": f"{url}/ChannelMetadata"},
            "content_sid": message.content_sid,
        }

    def receipts(self, conversation: ConversationRecord, message: MessageRecord) -> list[ReceiptRecord]:
        """Return the receipts of a message that the switches show."""
        rows = conversation.receipts(message)
        if self.switches.departed_receipts == "gone":
            return [receipt for receipt in rows if not conversation.has_left(receipt.participant)]
        return rows

    def delivery(self, receipts: Sequence[ReceiptRecord]) -> Row | None:
        """Return the summary that a message embeds."""
        total = len(receipts)
        if not total and self.switches.chat_only_delivery == "null":
            return None
        counts = dict.fromkeys(AMOUNTS, 0)
        for receipt in receipts:
            status = receipt.status or ""
            for name in REACHED.get(status, ()):
                counts[name] += 1
            if status in ("failed", "undelivered"):
                counts[status] += 1
                counts["sent"] += self.switches.failed_count == "sent"
        amounts = {name: "none" if not count else "all" if count == total else "some" for name, count in counts.items()}
        return {"total": total, **amounts}

    def channel_message_sid(
        self, conversation: ConversationRecord, message: MessageRecord, receipt: ReceiptRecord
    ) -> str:
        """Return the sid on the channel, whose prefix the switches set for WhatsApp."""
        sid = conversation.channel_message_sid(message, receipt)
        return self.switches.whatsapp_sids + sid[2:] if receipt.participant.channel == "WA" else sid

    def receipt(self, conversation: ConversationRecord, message: MessageRecord, receipt: ReceiptRecord) -> Row:
        sid = conversation.receipt_sid(message, receipt)
        status = receipt.status
        if status is None and self.switches.pending_status == "queued":
            status = "queued"
        error_code: int | str | None = receipt.error_code
        if self.switches.error_code == "text":
            error_code = str(error_code)
        elif not error_code and self.switches.error_code == "null":
            error_code = None
        return {
            "account_sid": self.account_sid,
            "chat_service_sid": conversation.service_sid,
            "conversation_sid": conversation.sid,
            "message_sid": message.sid,
            "sid": sid,
            "channel_message_sid": self.channel_message_sid(conversation, message, receipt),
            "participant_sid": receipt.participant.sid,
            "status": status,
            "error_code": error_code,
            "date_created": date(receipt.date_created),
            "date_updated": date(receipt.date_updated),
            "url": f"{self.conversation_url(conversation)}/Messages/{message.sid}/Receipts/{sid}",
        }

    def participant(self, conversation: ConversationRecord, participant: ParticipantRecord) -> Row:
        return {
            "account_sid": self.account_sid,
            "chat_service_sid": conversation.service_sid,
            "conversation_sid": conversation.sid,
            "sid": participant.sid,
            "identity": participant.identity,
            "attributes": participant.attributes,
            "messaging_binding": participant.binding,
            "role_sid": participant.role_sid,
            "date_created": date(participant.date_created),
            "date_updated": date(participant.date_updated),
            "url": f"{self.conversation_url(conversation)}/Participants/{participant.sid}",
            "last_read_message_index": participant.last_read_message_index,
            "last_read_timestamp": date(participant.last_read_timestamp),
        }

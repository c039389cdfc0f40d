"""The seeded data: services and their conversations in three sizes, a clock, and landmarks."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from .conversation import (
    CHAT_ONLY_INDEX,
    DEPARTED_INDEX,
    ConversationRecord,
    ConversationSettings,
    MessageRecord,
    ReceiptRecord,
)
from .occurrences import Occurrence
from .sample_text import AWKWARD_UNIQUE_NAME, SERVICE_NAMES, TITLES, TOPICS
from .seeds import Seed
from .webhook_settings import POST_EVENTS, WebhookRegistry

Size = Literal["small", "medium", "large"]

# Per service: the number of conversations, and the average number of messages in each.
SIZES: dict[Size, tuple[tuple[int, int], ...]] = {
    "small": ((16, 16), (4, 16), (2, 10), (0, 0)),
    "medium": ((130, 70), (12, 60), (3, 20), (0, 0)),
    "large": ((450, 600), (120, 200), (3, 20), (0, 0)),
}
# The first service begins with one conversation of each kind; all others repeat the ordinary kinds.
OPENING = ("landmark", "empty", "crowded", "named", "group", "broadcast", "team", "closed", "inactive")
ORDINARY = ("support", "whatsapp", "mixed", "team", "group")
MESSAGES = {"landmark": 180, "empty": 0, "crowded": 40}
LONGEST = {"large": 100_000}

TWILIO = "https://conversations.twilio.com"
BEGINNING = 1_756_717_200  # 2025-09-01T09:00:00Z
PRESENT = 1_772_366_400  # 2026-03-01T12:00:00Z
DAY = 86_400

STATUSES = ("sent", "delivered", "read", "failed", "undelivered", "queued")
# How a receipt advances by one step; other statuses are final.
NEXT_STATUS: dict[str | None, str] = {None: "sent", "queued": "sent", "sent": "delivered", "delivered": "read"}


@dataclass(slots=True)
class ServiceRecord:
    """A service with its conversations by number, in order of creation, by sid and by unique name."""

    number: int
    sid: str
    friendly_name: str
    date_created: int
    date_updated: int
    role_sid: str
    messaging_service_sid: str
    conversations: dict[int, ConversationRecord] = field(default_factory=dict)
    by_sid: dict[str, ConversationRecord] = field(default_factory=dict)
    by_unique_name: dict[str, ConversationRecord] = field(default_factory=dict)
    next_number: int = 0

    def find(self, name: str) -> ConversationRecord | None:
        """Return the conversation with this sid or unique name."""
        return self.by_sid.get(name) or self.by_unique_name.get(name)


class World:
    """All data of a sandbox. `version` is incremented by each change, so that responses can be cached until the next."""

    def __init__(self, seed: int = 1, size: Size = "small", account_sid: str | None = None) -> None:
        self.seed = Seed(seed)
        self.size = size
        self.account_sid = account_sid or self.seed.sid("AC", "", 0)
        self.version = 0
        self.webhooks = WebhookRegistry(self.seed)
        self.on_occurrence: Callable[[Occurrence], None] | None = None
        """Called with each change that fires webhooks."""
        self.services = [self._service(number) for number in range(len(SIZES[size]))]
        self._by_sid = {service.sid: service for service in self.services}
        for service, (count, average) in zip(self.services, SIZES[size], strict=True):
            for number in range(count):
                self._draw_conversation(service, number, count, average)

    def user_sid(self, service_sid: str, identity: str) -> str:
        """Return the sid of the user with an identity in a service."""
        return self.seed.sid("US", f"{service_sid}/{identity}", 0)

    def find_service(self, sid: str) -> ServiceRecord | None:
        return self._by_sid.get(sid)

    def conversations(self) -> Iterator[ConversationRecord]:
        for service in self.services:
            yield from service.conversations.values()

    def tick(self) -> int:
        """Count a change, and return its time in seconds since 1970: the clock advances one second with each change."""
        self.version += 1
        return PRESENT + self.version

    def _service(self, number: int) -> ServiceRecord:
        sid = self.seed.sid("IS", "", number)
        created = BEGINNING - (9 - number) * DAY
        return ServiceRecord(
            number=number,
            sid=sid,
            friendly_name=SERVICE_NAMES[number],
            date_created=created,
            date_updated=created + DAY,
            role_sid=self.seed.sid("RL", sid, 0),
            messaging_service_sid=self.seed.sid("MG", sid, 0),
        )

    def _draw_conversation(self, service: ServiceRecord, number: int, count: int, average: int) -> None:
        drawn = self.seed.draw("conversation", service.number, number)
        opening = OPENING if service.number == 0 else ()
        kind = opening[number] if number < len(opening) else ORDINARY[number % len(ORDINARY)]
        messages = MESSAGES.get(kind, average // 2 + int.from_bytes(drawn[:4], "big") % (average + 1))
        if service.number == 0 and number == len(OPENING):
            messages = LONGEST.get(self.size, messages)
        created = BEGINNING + number * (100 * DAY // count) + drawn[4]
        state = {"closed": "closed", "inactive": "inactive"}.get(kind, "active")
        timers = {}
        if state == "active" and drawn[5] < 100:
            timers = {"date_inactive": PRESENT + 7 * DAY, "date_closed": PRESENT + 30 * DAY}
        elif state == "inactive":
            timers = {"date_closed": PRESENT + 30 * DAY}
        unique_name = f"case-{service.number}-{number:04d}" if drawn[6] < 90 else None
        settings = ConversationSettings(
            friendly_name=None if drawn[7] < 20 and number else TITLES[number % len(TITLES)],
            unique_name=AWKWARD_UNIQUE_NAME if kind == "named" else unique_name,
            attributes=TOPICS[drawn[9] % len(TOPICS)],
            state=state,
            messaging_service_sid=service.messaging_service_sid,
            date_created=created,
            date_updated=created + drawn[10],
            timers=timers,
        )
        self.add_conversation(service, settings, kind, messages)

    # Changes

    def add_conversation(
        self, service: ServiceRecord, settings: ConversationSettings, kind: str = "bare", messages: int = 0
    ) -> ConversationRecord:
        number = service.next_number
        service.next_number += 1
        created = ConversationRecord(self.seed, service.sid, number, kind, service.role_sid, settings, messages)
        service.conversations[number] = service.by_sid[created.sid] = created
        if settings.unique_name is not None:
            service.by_unique_name[settings.unique_name] = created
        return created

    def change_conversation(
        self, service: ServiceRecord, conversation: ConversationRecord, settings: ConversationSettings
    ) -> None:
        service.by_unique_name.pop(conversation.settings.unique_name or "", None)
        conversation.settings = settings
        if settings.unique_name is not None:
            service.by_unique_name[settings.unique_name] = conversation

    def remove_conversation(self, service: ServiceRecord, conversation: ConversationRecord) -> None:
        self.webhooks.conversations.pop(conversation.sid, None)
        del service.conversations[conversation.number], service.by_sid[conversation.sid]
        service.by_unique_name.pop(conversation.settings.unique_name or "", None)

    def fire(self, occurrence: Occurrence) -> None:
        """Fire webhooks for a change."""
        if self.on_occurrence is not None:
            self.on_occurrence(occurrence)

    def progress(
        self, message_sid: str, *, receipt_sid: str | None = None, to: str | None = None, error_code: int = 30008
    ) -> list[str]:
        """Advance the receipts of a message, and fire `onDeliveryUpdated` for each that changes; see `Sandbox.progress`."""
        if to is not None and to not in STATUSES:
            raise ValueError(f"to must be one of {', '.join(STATUSES)}")
        conversation, message = self.find_message(message_sid)
        receipts = {conversation.receipt_sid(message, receipt): receipt for receipt in conversation.receipts(message)}
        if receipt_sid is not None:
            if receipt_sid not in receipts:
                raise LookupError(f"message {message_sid} has no receipt {receipt_sid}")
            receipts = {receipt_sid: receipts[receipt_sid]}
        now = self.tick()
        advanced = []
        for sid, receipt in receipts.items():
            status = to or _next_status(receipt)
            if status is not None:
                code = error_code if status in ("failed", "undelivered") else 0
                updated = conversation.update_receipt(message, receipt, status, code, now)
                advanced.append(sid)
                self.fire(Occurrence("onDeliveryUpdated", conversation, now, (message, updated)))
        return advanced

    def occurrence(self, event: str, parameters: Mapping[str, str]) -> Occurrence:
        """Return the occurrence that an event would report now of the record that its parameters name.

        Raises LookupError if a record does not exist, and ValueError for an unknown event.
        """
        if event not in POST_EVENTS:
            raise ValueError(f"event must be one of {', '.join(POST_EVENTS)}")
        marks, now = self.landmarks(), PRESENT + self.version
        if event == "onConversationStateUpdated":
            conversation = self.find_conversation(parameters.get("ConversationSid", marks["conversation_sid"]))
            return Occurrence(event, conversation, now, state_from=conversation.settings.state)
        if event.startswith("onParticipant"):
            conversation = self.find_conversation(parameters.get("ConversationSid", marks["conversation_sid"]))
            sid = parameters.get("ParticipantSid", marks["participant_sid"])
            found = next((one for one in conversation.participants if one.sid == sid), None)
            if found is None:
                raise LookupError(f"there is no participant {sid} in {conversation.sid}")
            return Occurrence(event, conversation, now, found)
        conversation, message = self.find_message(parameters.get("MessageSid", marks["message_sid"]))
        if event != "onDeliveryUpdated":
            return Occurrence(event, conversation, now, message)
        receipts = {conversation.receipt_sid(message, receipt): receipt for receipt in conversation.receipts(message)}
        sid = parameters.get("DeliveryReceiptSid", next(iter(receipts), ""))
        if sid not in receipts:
            raise LookupError(f"message {message.sid} has no receipt {sid}".rstrip())
        return Occurrence(event, conversation, now, (message, receipts[sid]))

    def find_conversation(self, sid: str) -> ConversationRecord:
        """Return the conversation. Raises LookupError if there is none."""
        for service in self.services:
            if sid in service.by_sid:
                return service.by_sid[sid]
        raise LookupError(f"there is no conversation {sid}")

    def find_message(self, sid: str) -> tuple[ConversationRecord, MessageRecord]:
        """Return the message with its conversation. Raises LookupError if there is none."""
        for conversation in self.conversations():
            message = conversation.find_message(sid)
            if message is not None:
                return conversation, message
        raise LookupError(f"there is no message {sid}")

    # Landmarks

    def landmarks(self) -> dict[str, str]:
        """Return sids to start from, in the first conversation of the first service, and those of edge cases, by name."""
        service = self.services[0]
        landmark, empty, crowded, named = (service.conversations[number] for number in range(4))

        def first(index: int, place: int = 0) -> tuple[MessageRecord, ReceiptRecord]:
            message = landmark.message(index)
            return message, landmark.receipts(message)[place]

        message, receipt = first(0)
        found = {
            "service_sid": service.sid,
            "conversation_sid": landmark.sid,
            "message_sid": message.sid,
            "receipt_sid": landmark.receipt_sid(message, receipt),
            "receipt_message_sid": message.sid,
            "participant_sid": receipt.participant.sid,
            "address": receipt.participant.name,
            "message_url": f"{TWILIO}/v1/Services/{service.sid}/Conversations/{landmark.sid}/Messages/{message.sid}",
            "chat_only_message_sid": landmark.message(CHAT_ONLY_INDEX).sid,
        }
        special = {
            "failed": first(51),
            "pending": first(52),
            "unknown_status": first(53),
            "departed_participant": first(DEPARTED_INDEX, -1),
        }
        for name, (message, receipt) in special.items():
            found[f"{name}_receipt_sid"] = landmark.receipt_sid(message, receipt)
            found[f"{name}_receipt_message_sid"] = message.sid
        agent = landmark.participants[0]
        return {
            **found,
            "empty_conversation_sid": empty.sid,
            "crowded_conversation_sid": crowded.sid,
            "unique_name": named.settings.unique_name or "",
            "unique_name_conversation_sid": named.sid,
            "identity": agent.identity or "",
            "identity_participant_sid": agent.sid,
            "first_read_participant_sid": landmark.participants[1].sid,
            "read_participant_sid": landmark.participants[2].sid,
            "other_service_sid": self.services[1].sid,
        }


def _next_status(receipt: ReceiptRecord) -> str | None:
    status = NEXT_STATUS.get(receipt.status)
    return None if status == "read" and receipt.participant.channel != "WA" else status

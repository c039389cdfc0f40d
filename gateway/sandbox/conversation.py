"""One conversation: its settings, participants, messages and receipts, drawn on demand and overlaid by writes."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from .participants import KINDS, ParticipantRecord, draw_participant
from .sample_text import ATTRIBUTES, BODIES, FILES
from .seeds import Seed

# The status of a receipt by a drawn byte, as often as it is common on the channel.
CARRIER_STATUSES = (None,) * 8 + ("sent",) * 16 + ("undelivered",) * 16 + ("failed",) * 12 + ("delivered",) * 204
WHATSAPP_STATUSES = (
    (None,) * 8 + ("sent",) * 20 + ("undelivered",) * 8 + ("failed",) * 12 + ("delivered",) * 64 + ("read",) * 144
)
STATUSES_BY_CHANNEL: dict[str, tuple[str | None, ...]] = {
    "SM": CARRIER_STATUSES,
    "MM": CARRIER_STATUSES,
    "WA": WHATSAPP_STATUSES,
}
# Messaging error codes: https://www.twilio.com/docs/api/errors.
ERROR_CODES: dict[tuple[str, str], tuple[int, ...]] = {
    ("SM", "failed"): (21610, 30034, 30003),
    ("SM", "undelivered"): (30003, 30005, 30006, 30007, 30008),
    ("MM", "failed"): (21610, 30034),
    ("MM", "undelivered"): (30008, 30003, 30007, 30017),
    ("WA", "failed"): (63018, 63024, 63016),
    ("WA", "undelivered"): (63016, 63049, 63032),
}
# The landmark conversation has one receipt of each edge case: message index -> status and code for its first recipient.
# `queued` stands for a status that Twilio may add.
FIXED_STATUSES: dict[int, tuple[str | None, int]] = {51: ("failed", 30003), 52: (None, 0), 53: ("queued", 0)}
CHAT_ONLY_INDEX = 57
DEPARTED_INDEX = 54


class ReceiptRecord(NamedTuple):
    participant: ParticipantRecord
    status: str | None
    error_code: int
    date_created: int
    date_updated: int | None


@dataclass(frozen=True, slots=True)
class MessageRecord:
    index: int
    sid: str
    author: str
    participant: ParticipantRecord | None
    body: str | None
    media: list[dict[str, Any]] | None
    attributes: str
    date_created: int
    date_updated: int
    content_sid: str | None = None
    recipients: tuple[ParticipantRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class ConversationSettings:
    """The properties of a conversation that callers can change."""

    friendly_name: str | None = None
    unique_name: str | None = None
    attributes: str = "{}"
    state: str = "active"
    messaging_service_sid: str | None = None
    date_created: int = 0
    date_updated: int = 0
    timers: dict[str, int] = field(default_factory=dict)


class ConversationRecord:
    """A conversation whose messages are numbered by index, and participants in order of joining."""

    def __init__(
        self,
        seed: Seed,
        service_sid: str,
        number: int,
        kind: str,
        role_sid: str,
        settings: ConversationSettings,
        messages: int = 0,
    ) -> None:
        self.sid = seed.sid("CH", service_sid, number)
        self.service_sid = service_sid
        self.number = number
        self.kind = kind
        self.role_sid = role_sid
        self.settings = settings
        self.seeded = messages
        self._seed = seed
        self._started = settings.date_created
        self._departed = set(KINDS[kind].leaving)
        self._next_index = messages
        self._written: dict[int, MessageRecord] = {}
        self._deleted: set[int] = set()
        self._updated_receipts: dict[tuple[int, int], ReceiptRecord] = {}

    # Participants

    @cached_property
    def _seeded_participants(self) -> list[ParticipantRecord]:
        kind = KINDS[self.kind]
        return [
            draw_participant(self._seed, kind, number, self.sid, self.role_sid, self._started, self.seeded)
            for number in range(len(kind.channels))
        ]

    @cached_property
    def _reachable(self) -> list[ParticipantRecord]:
        return [one for one in self._seeded_participants if one.is_reachable]

    @cached_property
    def _chat_only(self) -> list[ParticipantRecord]:
        return [one for one in self._seeded_participants if not one.is_reachable]

    @cached_property
    def participants(self) -> list[ParticipantRecord]:
        """All current and former participants, in order of joining."""
        return list(self._seeded_participants)

    def participant_numbers(self) -> Sequence[int]:
        """Return the numbers of the current participants."""
        return [number for number in range(len(self.participants)) if number not in self._departed]

    def present_participants(self) -> list[ParticipantRecord]:
        """Return the current participants."""
        return [self.participants[number] for number in self.participant_numbers()]

    def find_participant(self, name: str) -> ParticipantRecord | None:
        """Return the current participant with this sid or chat identity."""
        return next((one for one in self.present_participants() if name in (one.sid, one.identity)), None)

    def has_left(self, participant: ParticipantRecord) -> bool:
        return participant.number in self._departed

    def add_participant(self, **values: Any) -> ParticipantRecord:
        number = len(self.participants)
        self.participants.append(ParticipantRecord(number=number, sid=self._seed.sid("MB", self.sid, number), **values))
        return self.participants[number]

    def change_participant(self, participant: ParticipantRecord, **values: Any) -> ParticipantRecord:
        self.participants[participant.number] = replace(participant, **values)
        return self.participants[participant.number]

    def remove_participant(self, participant: ParticipantRecord) -> None:
        self._departed.add(participant.number)

    # Messages

    def message_indexes(self) -> Sequence[int]:
        if not self._deleted:
            return range(self._next_index)
        return [index for index in range(self._next_index) if index not in self._deleted]

    def find_message(self, sid: str) -> MessageRecord | None:
        index = self._seed.number_of(sid, "IM", self.sid)
        if index is None or not 0 <= index < self._next_index or index in self._deleted:
            return None
        return self.message(index)

    def message(self, index: int) -> MessageRecord:
        return self._written.get(index) or self._draw_message(index)

    def add_message(self, author: str, **values: Any) -> MessageRecord:
        index = self._next_index
        self._next_index += 1
        sender = self._find_author(author)
        present = self.present_participants()
        message = MessageRecord(
            index=index,
            sid=self._seed.sid("IM", self.sid, index),
            author=author,
            participant=sender,
            recipients=tuple(one for one in present if one.is_reachable and one is not sender),
            **values,
        )
        self._written[index] = message
        return message

    def change_message(self, message: MessageRecord, **values: Any) -> MessageRecord:
        if "author" in values:
            values["participant"] = self._find_author(values["author"])
        self._written[message.index] = replace(message, **values)
        return self._written[message.index]

    def remove_message(self, message: MessageRecord) -> None:
        self._deleted.add(message.index)

    def unread_messages(self, participant: ParticipantRecord) -> int | None:
        """Return how many messages come after the participant's read horizon; None without one."""
        horizon, indexes = participant.last_read_message_index, self.message_indexes()
        return None if horizon is None else len(indexes) - bisect_right(indexes, horizon)

    def _find_author(self, author: str) -> ParticipantRecord | None:
        return next((one for one in self.present_participants() if one.name == author), None)

    def _draw_message(self, index: int) -> MessageRecord:
        drawn = self._seed.draw("message", self.sid, index)
        recipients, senders = self._draw_recipients(index)
        sender = self._draw_author(drawn, senders)
        media = None
        if sender is not None and sender.is_reachable and drawn[4] < 40:
            content_type, filename = FILES[drawn[5] % len(FILES)]
            size = 1_000 + int.from_bytes(drawn[6:8], "big")
            sid = self._seed.sid("ME", self.sid, index)
            media = [{"sid": sid, "size": size, "content_type": content_type, "filename": filename}]
        created = self._started + 600 + index * self.pace + drawn[8] % 50
        is_edited = drawn[9] < 8
        return MessageRecord(
            index=index,
            sid=self._seed.sid("IM", self.sid, index),
            author=sender.name if sender else "system",
            participant=sender,
            body=None if media and drawn[10] < 128 else BODIES[drawn[11] % len(BODIES)],
            media=media,
            attributes=ATTRIBUTES[drawn[12] % len(ATTRIBUTES)],
            date_created=created,
            date_updated=created + 30 if is_edited else created,
            content_sid=self._seed.sid("HX", self.sid, drawn[13] % 3) if not media and drawn[14] < 16 else None,
            recipients=tuple(one for one in recipients if one is not sender),
        )

    @property
    def pace(self) -> int:
        """Seconds between seeded messages: fewer in a long conversation, so that it too ends in the past."""
        return max(60, min(3_600, 5_000_000 // (self.seeded or 1)))

    def _draw_recipients(self, index: int) -> tuple[list[ParticipantRecord], list[ParticipantRecord]]:
        """Return who gets message `index` outside chat, and which reachable participants may have sent it."""
        leaving = KINDS[self.kind].leaving
        if self.kind != "landmark":
            present = [one for one in self._reachable if index < leaving.get(one.number, self.seeded)]
            return present, present
        # The landmark is made for counting, not realistic: four receipts a message, over ten participants in turn.
        ten, departed = self._reachable[:10], self._reachable[10]
        four = [ten[(index + step) % 10] for step in range(4)]
        if index >= 50 and index % 10 == CHAT_ONLY_INDEX % 10:
            return [], []
        if DEPARTED_INDEX <= index < leaving[departed.number]:
            four.append(departed)
        return four, [ten[(index + 6) % 10]]

    def _draw_author(self, drawn: bytes, senders: list[ParticipantRecord]) -> ParticipantRecord | None:
        if drawn[0] < 20:
            return None
        if senders and drawn[1] < 80:
            return senders[drawn[2] % len(senders)]
        return self._chat_only[drawn[3] % len(self._chat_only)]

    # Receipts

    def receipts(self, message: MessageRecord) -> list[ReceiptRecord]:
        """Return the receipts of a message, those of former participants included, in order of the recipients' joining."""
        if not message.recipients:
            return []
        drawn = self._seed.draw("receipts", self.sid, message.index) if message.index < self.seeded else b""
        rows = []
        for place, one in enumerate(message.recipients):
            updated = self._updated_receipts.get((message.index, one.number)) if self._updated_receipts else None
            rows.append(updated or self._draw_receipt(message, one, place, drawn))
        return rows

    def receipt_sid(self, message: MessageRecord, receipt: ReceiptRecord) -> str:
        return self._seed.sid("DY", message.sid, receipt.participant.number)

    def channel_message_sid(self, message: MessageRecord, receipt: ReceiptRecord) -> str:
        return self._seed.sid(receipt.participant.channel, message.sid, receipt.participant.number)

    def update_receipt(
        self, message: MessageRecord, receipt: ReceiptRecord, status: str | None, error_code: int, now: int
    ) -> ReceiptRecord:
        updated = receipt._replace(status=status, error_code=error_code, date_updated=now)
        self._updated_receipts[message.index, receipt.participant.number] = updated
        return updated

    def _draw_receipt(self, message: MessageRecord, one: ParticipantRecord, place: int, drawn: bytes) -> ReceiptRecord:
        created = message.date_created + 1
        if not drawn:
            return ReceiptRecord(one, None, 0, created, None)
        if place == 0 and self.kind == "landmark" and message.index in FIXED_STATUSES:
            status, error_code = FIXED_STATUSES[message.index]
        else:
            chance = drawn[place]
            status = STATUSES_BY_CHANNEL[one.channel][chance]
            codes = ERROR_CODES.get((one.channel, status or ""), (0,))
            error_code = codes[(chance + message.index + place) % len(codes)]
        if status is None:
            return ReceiptRecord(one, None, 0, created, None)
        delay = 900 if status == "read" else 1 + drawn[place] % 5
        return ReceiptRecord(one, status, error_code, created, created + delay)

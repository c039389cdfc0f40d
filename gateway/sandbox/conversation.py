"""One conversation: its settings, people, messages and receipts, drawn when asked for and overlaid by writes."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from .participants import KINDS, Participant, draw_participant
from .sample_text import ATTRIBUTES, BODIES, FILES
from .seeds import Seed

# What becomes of a receipt, by a drawn byte: the word as often as it is common on the channel.
CARRIER_FATES = (None,) * 8 + ("sent",) * 16 + ("undelivered",) * 16 + ("failed",) * 12 + ("delivered",) * 204
WHATSAPP_FATES = (
    (None,) * 8 + ("sent",) * 20 + ("undelivered",) * 8 + ("failed",) * 12 + ("delivered",) * 64 + ("read",) * 144
)
FATES: dict[str, tuple[str | None, ...]] = {"SM": CARRIER_FATES, "MM": CARRIER_FATES, "WA": WHATSAPP_FATES}
# Messaging error codes as Twilio's dictionary of errors has them.
FAILURES: dict[tuple[str, str], tuple[int, ...]] = {
    ("SM", "failed"): (21610, 30034, 30003),
    ("SM", "undelivered"): (30003, 30005, 30006, 30007, 30008),
    ("MM", "failed"): (21610, 30034),
    ("MM", "undelivered"): (30008, 30003, 30007),
    ("WA", "failed"): (63016,),
    ("WA", "undelivered"): (63016,),
}
# The landmark conversation has one receipt of each hard case: message index -> what befell its first recipient.
# `queued` stands for a word that the documentation does not know yet.
FIXED_FATES: dict[int, tuple[str | None, int]] = {51: ("failed", 30003), 52: (None, 0), 53: ("queued", 0)}
CHAT_ONLY_INDEX = 57
DEPARTED_INDEX = 54


class Receipt(NamedTuple):
    participant: Participant
    status: str | None
    error_code: int
    date_created: int
    date_updated: int | None


@dataclass(frozen=True, slots=True)
class Message:
    index: int
    sid: str
    author: str
    participant: Participant | None
    body: str | None
    media: list[dict[str, Any]] | None
    attributes: str
    date_created: int
    date_updated: int
    content_sid: str | None = None
    recipients: tuple[Participant, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """What a caller may change of a conversation."""

    friendly_name: str | None = None
    unique_name: str | None = None
    attributes: str = "{}"
    state: str = "active"
    messaging_service_sid: str | None = None
    date_created: int = 0
    date_updated: int = 0
    timers: dict[str, int] = field(default_factory=dict)


class Conversation:
    """Numbers name everything inside: a message its index, a participant its place in the order of joining."""

    def __init__(
        self, seed: Seed, service_sid: str, number: int, kind: str, role_sid: str, settings: Settings, messages: int = 0
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
        self._left = set(KINDS[kind].leaving)
        self._next_index = messages
        self._written: dict[int, Message] = {}
        self._deleted: set[int] = set()
        self._moved: dict[tuple[int, int], Receipt] = {}

    # People

    @cached_property
    def _seeded_cast(self) -> list[Participant]:
        kind = KINDS[self.kind]
        return [
            draw_participant(self._seed, kind, number, self.sid, self.role_sid, self._started, self.seeded)
            for number in range(len(kind.channels))
        ]

    @cached_property
    def _reachable(self) -> list[Participant]:
        return [one for one in self._seeded_cast if one.is_reachable]

    @cached_property
    def _chatting(self) -> list[Participant]:
        return [one for one in self._seeded_cast if not one.is_reachable]

    @cached_property
    def cast(self) -> list[Participant]:
        """All who ever took part, in the order of joining."""
        return list(self._seeded_cast)

    def participant_numbers(self) -> Sequence[int]:
        """The numbers of those who take part now."""
        cast = self.cast
        return [number for number in range(len(cast)) if number not in self._left]

    def find_participant(self, name: str) -> Participant | None:
        """The participant with this sid or, failing that, this chat identity, unless it left."""
        for number in self.participant_numbers():
            if name in (self.cast[number].sid, self.cast[number].identity):
                return self.cast[number]
        return None

    def has_left(self, participant: Participant) -> bool:
        return participant.number in self._left

    def add_participant(self, **values: Any) -> Participant:
        number = len(self.cast)
        self.cast.append(Participant(number=number, sid=self._seed.sid("MB", self.sid, number), **values))
        return self.cast[number]

    def change_participant(self, participant: Participant, **values: Any) -> Participant:
        self.cast[participant.number] = replace(participant, **values)
        return self.cast[participant.number]

    def remove_participant(self, participant: Participant) -> None:
        self._left.add(participant.number)

    # Messages

    def message_indexes(self) -> Sequence[int]:
        if not self._deleted:
            return range(self._next_index)
        return [index for index in range(self._next_index) if index not in self._deleted]

    def find_message(self, sid: str) -> Message | None:
        index = self._seed.number_of(sid, "IM", self.sid)
        if index is None or not 0 <= index < self._next_index or index in self._deleted:
            return None
        return self.message(index)

    def message(self, index: int) -> Message:
        return self._written.get(index) or self._draw_message(index)

    def add_message(self, author: str, **values: Any) -> Message:
        index = self._next_index
        self._next_index += 1
        writer = self._present_writer(author)
        present = [self.cast[number] for number in self.participant_numbers()]
        message = Message(
            index=index,
            sid=self._seed.sid("IM", self.sid, index),
            author=author,
            participant=writer,
            recipients=tuple(one for one in present if one.is_reachable and one is not writer),
            **values,
        )
        self._written[index] = message
        return message

    def change_message(self, message: Message, **values: Any) -> Message:
        if "author" in values:
            values["participant"] = self._present_writer(values["author"])
        self._written[message.index] = replace(message, **values)
        return self._written[message.index]

    def remove_message(self, message: Message) -> None:
        self._deleted.add(message.index)

    def _present_writer(self, author: str) -> Participant | None:
        present = (self.cast[number] for number in self.participant_numbers())
        return next((one for one in present if one.name == author), None)

    def _draw_message(self, index: int) -> Message:
        drawn = self._seed.draw("message", self.sid, index)
        recipients, strangers = self._draw_recipients(index)
        writer = self._draw_writer(index, drawn, strangers)
        media = None
        if writer is not None and writer.is_reachable and drawn[4] < 40:
            content_type, filename = FILES[drawn[5] % len(FILES)]
            size = 1_000 + int.from_bytes(drawn[6:8], "big")
            sid = self._seed.sid("ME", self.sid, index)
            media = [{"sid": sid, "size": size, "content_type": content_type, "filename": filename}]
        created = self._started + 600 + index * self.pace + drawn[8] % 50
        is_edited = drawn[9] < 8
        return Message(
            index=index,
            sid=self._seed.sid("IM", self.sid, index),
            author=writer.name if writer else "system",
            participant=writer,
            body=None if media and drawn[10] < 128 else BODIES[drawn[11] % len(BODIES)],
            media=media,
            attributes=ATTRIBUTES[drawn[12] % len(ATTRIBUTES)],
            date_created=created,
            date_updated=created + 30 if is_edited else created,
            content_sid=self._seed.sid("HX", self.sid, drawn[13] % 3) if not media and drawn[14] < 16 else None,
            recipients=tuple(one for one in recipients if one is not writer),
        )

    @property
    def pace(self) -> int:
        """Seconds between seeded messages: a long conversation talks faster, so that it too ends in the past."""
        return max(60, min(3_600, 5_000_000 // (self.seeded or 1)))

    def _draw_recipients(self, index: int) -> tuple[list[Participant], list[Participant]]:
        """Who gets message `index` outside chat, and which other reachable participants could have written it."""
        leaving = KINDS[self.kind].leaving
        if self.kind != "landmark":
            there = [one for one in self._reachable if index < leaving.get(one.number, self.seeded)]
            return there, there
        # The landmark is built to be counted, not to be lifelike: four receipts a message, in turn over ten people.
        ten, departed = self._reachable[:10], self._reachable[10]
        four = [ten[(index + step) % 10] for step in range(4)]
        if index >= 50 and index % 10 == CHAT_ONLY_INDEX % 10:
            return [], []
        if DEPARTED_INDEX <= index < leaving[departed.number]:
            four.append(departed)
        return four, [ten[(index + 6) % 10]]

    def _draw_writer(self, index: int, drawn: bytes, strangers: list[Participant]) -> Participant | None:
        if drawn[0] < 20:
            return None
        if strangers and drawn[1] < 80:
            return strangers[drawn[2] % len(strangers)]
        return self._chatting[drawn[3] % len(self._chatting)]

    # Receipts

    def receipts(self, message: Message) -> list[Receipt]:
        """The receipts of a message in the order of its recipients' joining, also of those who left since."""
        if not message.recipients:
            return []
        drawn = self._seed.draw("receipts", self.sid, message.index) if message.index < self.seeded else b""
        rows = []
        for place, one in enumerate(message.recipients):
            moved = self._moved.get((message.index, one.number)) if self._moved else None
            rows.append(moved or self._draw_receipt(message, one, place, drawn))
        return rows

    def receipt_sid(self, message: Message, receipt: Receipt) -> str:
        return self._seed.sid("DY", message.sid, receipt.participant.number)

    def channel_message_sid(self, message: Message, receipt: Receipt) -> str:
        return self._seed.sid(receipt.participant.channel, message.sid, receipt.participant.number)

    def move_receipt(
        self, message: Message, receipt: Receipt, status: str | None, error_code: int, now: int
    ) -> Receipt:
        moved = receipt._replace(status=status, error_code=error_code, date_updated=now)
        self._moved[message.index, receipt.participant.number] = moved
        return moved

    def _draw_receipt(self, message: Message, one: Participant, place: int, drawn: bytes) -> Receipt:
        created = message.date_created + 1
        if not drawn:
            return Receipt(one, None, 0, created, None)
        if place == 0 and self.kind == "landmark" and message.index in FIXED_FATES:
            status, error_code = FIXED_FATES[message.index]
        else:
            chance = drawn[place]
            status = FATES[one.channel][chance]
            codes = FAILURES.get((one.channel, status or ""), (0,))
            error_code = codes[(chance + message.index + place) % len(codes)]
        if status is None:
            return Receipt(one, None, 0, created, None)
        waited = 900 if status == "read" else 1 + drawn[place] % 5
        return Receipt(one, status, error_code, created, created + waited)

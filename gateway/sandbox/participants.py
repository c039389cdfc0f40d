"""Participants: the kinds of conversation by their channels, and the seeded participants of a conversation."""

from dataclasses import dataclass, field

from .sample_text import AWKWARD_IDENTITY, FIRST_NAMES, ROLES
from .seeds import Seed

PROXY = {"SM": "+15005550006", "MM": "+15005550006", "WA": "whatsapp:+14155238886"}


@dataclass(frozen=True, slots=True)
class ConversationKind:
    """A kind of conversation: one channel per participant, in order of joining.

    A channel is `chat`, `both` (a chat participant with a projected address) or the prefix of the channel's message
    sids: SM, MM or WA. `leaving` maps the number of a participant that left to the first message it did not get, and
    `horizons` that of a chat participant to its read horizon, where that is not drawn.
    """

    channels: tuple[str, ...]
    leaving: dict[int, int] = field(default_factory=dict)
    state: str = "active"
    horizons: dict[int, int] = field(default_factory=dict)


KINDS = {
    "bare": ConversationKind(()),
    "landmark": ConversationKind(
        ("chat", "chat", "both", *("SM", "SM", "WA") * 3, "SM", "SM"), leaving={13: 60}, horizons={1: 0, 2: 105}
    ),
    "empty": ConversationKind(("chat", "SM")),
    "crowded": ConversationKind(tuple("SM" if n % 7 == 3 else "chat" for n in range(140))),
    "named": ConversationKind(("chat", "SM", "WA")),
    "group": ConversationKind(("both", "MM", "MM", "MM", "MM", "MM")),
    "broadcast": ConversationKind(("chat", *("SM",) * 40, *("WA",) * 10)),
    "team": ConversationKind(("chat", "chat", "chat")),
    "closed": ConversationKind(("chat", "SM", "SM"), state="closed"),
    "inactive": ConversationKind(("chat", "WA"), state="inactive"),
    "support": ConversationKind(("chat", "chat", "SM")),
    "whatsapp": ConversationKind(("chat", "WA", "WA", "WA")),
    "mixed": ConversationKind(("chat", "both", "SM", "WA", "SM"), leaving={4: 4}),
}


@dataclass(frozen=True, slots=True)
class ParticipantRecord:
    number: int
    sid: str
    channel: str
    identity: str | None
    binding: dict[str, str] | None
    attributes: str
    role_sid: str
    date_created: int
    date_updated: int
    last_read_message_index: int | None = None
    last_read_timestamp: int | None = None

    @property
    def is_reachable(self) -> bool:
        """Whether messages are delivered outside chat, so that each of them has a receipt."""
        return self.channel in PROXY

    @property
    def name(self) -> str:
        """The `author` of the participant's messages."""
        return self.identity or (self.binding or {}).get("address", "")


def draw_participant(
    seed: Seed, kind: ConversationKind, number: int, conversation_sid: str, role_sid: str, started: int, messages: int
) -> ParticipantRecord:
    """Draw participant `number` of a conversation that began at `started` and has this many messages."""
    channel = kind.channels[number]
    drawn = seed.draw("participant", conversation_sid, number)
    identity, binding = None, None
    if channel in PROXY:
        service = "whatsapp" if channel == "WA" else "sms"
        # The number makes addresses unique within a conversation.
        digits = f"+1555{drawn[0] % 100:02d}{drawn[1] % 100:02d}{number:03d}"
        address = f"whatsapp:{digits}" if channel == "WA" else digits
        binding = {"type": service, "address": address, "proxy_address": PROXY[channel]}
    else:
        first = FIRST_NAMES[drawn[0] % len(FIRST_NAMES)]
        identity = AWKWARD_IDENTITY if number == 0 and channel == "chat" else f"{first}-{number}"
        if channel == "both":
            binding = {"type": "sms", "projected_address": f"+1555{drawn[1] % 100:02d}77{number:03d}"}
    joined = started + number
    horizon = kind.horizons.get(number)
    if horizon is None and identity is not None and messages > 0 and drawn[2] % 3 > 0:
        horizon = drawn[5] % messages
    return ParticipantRecord(
        number=number,
        sid=seed.sid("MB", conversation_sid, number),
        channel=channel,
        identity=identity,
        binding=binding,
        attributes=ROLES[drawn[3] % len(ROLES)],
        role_sid=role_sid,
        date_created=joined,
        date_updated=joined + drawn[4],
        last_read_message_index=horizon,
        last_read_timestamp=joined + 86_400 + drawn[6] if horizon is not None else None,
    )

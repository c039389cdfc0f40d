"""Who takes part: the kinds of conversation there are, and the seeded participants of one."""

from dataclasses import dataclass, field

from .sample_text import AWKWARD_IDENTITY, FIRST_NAMES, ROLES
from .seeds import Seed

PROXY = {"SM": "+15005550006", "MM": "+15005550006", "WA": "whatsapp:+14155238886"}


@dataclass(frozen=True, slots=True)
class Kind:
    """The shape of a conversation: one channel per participant in the order of joining.

    A channel is `chat`, `both` (a chat participant with a projected address) or the prefix of the channel's message
    sids: SM, MM or WA. `leaving` maps the number of a participant that left to the first message it did not get.
    """

    channels: tuple[str, ...]
    leaving: dict[int, int] = field(default_factory=dict)
    state: str = "active"


KINDS = {
    "bare": Kind(()),
    "landmark": Kind(("chat", "chat", "both", *("SM", "SM", "WA") * 3, "SM", "SM"), leaving={13: 60}),
    "empty": Kind(("chat", "SM")),
    "crowded": Kind(tuple("SM" if n % 7 == 3 else "chat" for n in range(140))),
    "named": Kind(("chat", "SM", "WA")),
    "group": Kind(("both", "MM", "MM", "MM", "MM", "MM")),
    "broadcast": Kind(("chat", *("SM",) * 40, *("WA",) * 10)),
    "team": Kind(("chat", "chat", "chat")),
    "closed": Kind(("chat", "SM", "SM"), state="closed"),
    "inactive": Kind(("chat", "WA"), state="inactive"),
    "support": Kind(("chat", "chat", "SM")),
    "whatsapp": Kind(("chat", "WA", "WA", "WA")),
    "mixed": Kind(("chat", "both", "SM", "WA", "SM"), leaving={4: 4}),
}


@dataclass(frozen=True, slots=True)
class Participant:
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
        """Whether messages reach this participant outside chat, so that each leaves a receipt."""
        return self.channel in PROXY

    @property
    def name(self) -> str:
        """How the participant appears as the author of a message."""
        return self.identity or (self.binding or {}).get("address", "")


def draw_participant(
    seed: Seed, kind: Kind, number: int, conversation_sid: str, role_sid: str, started: int, messages: int
) -> Participant:
    """Participant `number` of a conversation of `messages` messages that began at `started`."""
    channel = kind.channels[number]
    drawn = seed.draw("participant", conversation_sid, number)
    identity, binding = None, None
    if channel in PROXY:
        service = "whatsapp" if channel == "WA" else "sms"
        # The number makes addresses differ within a conversation, whatever is drawn.
        digits = f"+1555{drawn[0] % 100:02d}{drawn[1] % 100:02d}{number:03d}"
        address = f"whatsapp:{digits}" if channel == "WA" else digits
        binding = {"type": service, "address": address, "proxy_address": PROXY[channel]}
    else:
        first = FIRST_NAMES[drawn[0] % len(FIRST_NAMES)]
        identity = AWKWARD_IDENTITY if number == 0 and channel == "chat" else f"{first}-{number}"
        if channel == "both":
            binding = {"type": "sms", "projected_address": f"+1555{drawn[1] % 100:02d}77{number:03d}"}
    joined = started + number
    has_read = identity is not None and messages > 0 and drawn[2] % 3 > 0
    return Participant(
        number=number,
        sid=seed.sid("MB", conversation_sid, number),
        channel=channel,
        identity=identity,
        binding=binding,
        attributes=ROLES[drawn[3] % len(ROLES)],
        role_sid=role_sid,
        date_created=joined,
        date_updated=joined + drawn[4],
        last_read_message_index=drawn[5] % messages if has_read else None,
        last_read_timestamp=joined + 86_400 + drawn[6] if has_read else None,
    )

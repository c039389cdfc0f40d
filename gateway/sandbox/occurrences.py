"""Changes of the data that webhooks may report."""

from dataclasses import dataclass

from .conversation import ConversationRecord, MessageRecord, ReceiptRecord
from .participants import ParticipantRecord


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A change: of a record, at a time in seconds since 1970.

    `record` is a message, a participant, or a message with one of its receipts; None for the conversation itself, whose state
    was `state_from` before.
    """

    type: str
    conversation: ConversationRecord
    now: int
    record: MessageRecord | ParticipantRecord | tuple[MessageRecord, ReceiptRecord] | None = None
    state_from: str = ""

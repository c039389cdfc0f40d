"""The recipients of a message: everybody it was for, and what is known of each."""

from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import strawberry

from gateway.errors import UpstreamInvalidResponse
from gateway.execution.fields import edge
from gateway.execution.price import Price, Unit
from gateway.graph.connection import PlaceholderSlice, Slice
from gateway.graph.delivery import DeliveryStatus, has_no_receipts, receipt_status, receipt_summary
from gateway.graph.lists import KNOWN_EMPTY, ListRead, RowFilter
from gateway.graph.node import Entry, Node, entry, enum_value, prop, resource_of
from gateway.graph.participant_reads import BY_PARTICIPANT, estimated_participant, named_participant, participants_of
from gateway.graph.reads import Item, Member
from gateway.graph.scalars import DateTime, in_utc, moment
from gateway.graph.walk import SPARE_PAGES
from gateway.source.loaders import Loaders
from gateway.twilio.partial_rows import readable
from gateway.twilio.paths import child
from gateway.twilio.resources import Row

if TYPE_CHECKING:
    from gateway.graph.context import OperationContext
    from gateway.graph.types import Participant, Receipt

__all__ = ["Recipient", "RecipientEvidence", "RecipientList", "RecipientRow", "RecipientStatus", "recipients_of"]


@strawberry.enum(description="What shows the status of a recipient.")
class RecipientEvidence(Enum):
    RECEIPT = enum_value("receipt", "The delivery receipt of this message for this recipient.")
    READ_HORIZON = enum_value(
        "read_horizon",
        "The `lastReadMessageIndex` of the chat user, compared with the `index` of the message. It is no receipt: the user's "
        "application sets it, usually when the conversation is opened, and it says nothing of a single message.",
    )
    NONE = enum_value(
        "none", "Nothing: there is no receipt, and no application of the recipient has set a `lastReadMessageIndex`."
    )


@strawberry.enum(description="What is known of a message for one recipient.")
class RecipientStatus(Enum):
    READ = enum_value(
        "read",
        "Read: by the receipt, or because the chat user's `lastReadMessageIndex` is not below the message's `index`.",
    )
    DELIVERED = enum_value("delivered", "Delivered to the recipient's device. It may become `READ` on some channels.")
    SENT = enum_value("sent", "Passed to the carrier or channel.")
    PENDING = enum_value("pending", "Not yet passed to the carrier or channel.")
    FAILED = enum_value("failed", "Could not be sent. `receipt { error { … } }` says why.")
    UNDELIVERED = enum_value("undelivered", "Sent, but not delivered. `receipt { error { … } }` says why.")
    NOT_READ = enum_value(
        "not_read", "The chat user's `lastReadMessageIndex` is below the message's `index`: it was not read yet."
    )
    UNKNOWN = enum_value(
        "unknown",
        "Not known: there is neither a receipt nor a `lastReadMessageIndex`. Who has none may have read the message: this is "
        "not `NOT_READ`.",
    )


_Participant = Annotated["Participant", strawberry.lazy("gateway.graph.types")]
_Receipt = Annotated["Receipt", strawberry.lazy("gateway.graph.types")]
_BY_RECEIPT = {status: RecipientStatus[status.name] for status in DeliveryStatus}


class RecipientRow(msgspec.Struct, frozen=True, gc=False):
    """One recipient, made from a receipt or from a participant."""

    sid: str
    """Of the receipt or, without one, of the participant: it identifies the recipient in cursors."""
    participant_sid: str | None
    via: RecipientEvidence
    status: RecipientStatus
    receipt: Row | None = None
    participant: Row | None = None
    """The participant whose read horizon it is made from."""

    @property
    def at(self) -> str | None:
        """When the status was reached, as far as the evidence has a time."""
        time: str | None = None
        if self.receipt is not None:
            time = self.receipt.date_updated
        elif self.participant is not None and self.status is RecipientStatus.READ:
            time = self.participant.last_read_timestamp
        return in_utc(time)


@entry("A recipient of a message, and what is known of the message for them. It has no id of its own.")
class Recipient(Entry):
    participant_sid: strawberry.ID | None = prop("The sid of the recipient: `MB…`.")
    via: RecipientEvidence = prop("What shows the status.", derive=attrgetter("via"), of={})
    status: RecipientStatus = prop(
        "What is known of the message for this recipient.", derive=attrgetter("status"), of={}
    )
    at: DateTime | None = prop(
        "With a receipt, when its status last changed. With `READ` by a read horizon, when the chat user last read anything in "
        "the conversation, which may be later than this message. Null otherwise.",
        derive=attrgetter("at"),
        of={},
    )

    @edge(
        "_Participant | None",
        "The recipient; null when they have left the conversation.",
        Price(Unit.CONVERSATION, page_size=100, calls=0),
        needs_row=True,
        estimate=estimated_participant,
        distinct=BY_PARTICIPANT,
    )
    def participant(self) -> Item | Member | None:
        return named_participant(self)

    @edge(
        "_Receipt | None",
        "The receipt that shows the status; null when `via` is not `RECEIPT`.",
        Price(Unit.PARENT, page_size=50, calls=0),
        needs_row=True,
        estimate=lambda recipient, token: _receipt_read(recipient, token),
    )
    def receipt(self) -> Member | None:
        return _receipt_read(self, self.row.sid) if self.row.receipt is not None else None


class RecipientList(ListRead):
    """The recipients of a message, from its receipts and the participants of its conversation, which are read whole."""

    __slots__ = ("_known_empty", "_message", "_people", "_start", "also", "expected_summary")

    type_name = "RecipientConnection"

    def __init__(
        self,
        message: Node,
        first: int | None,
        after: str | None,
        status: Iterable[RecipientStatus] | None,
    ) -> None:
        """Read the recipients of `message`, whose row is known except in an estimate; `status` has the wanted ones."""
        wanted = set(status) if isinstance(status, list) else None
        row_filter = None
        if wanted is not None:
            key = ",".join(sorted(each.value for each in wanted))
            row_filter = RowFilter(lambda row: row.status in wanted, key, matches_nothing=not wanted)
        super().__init__(resource_of("Receipts"), message.path, first, after, row_filter=row_filter)
        self._message = message.row
        self._known_empty = message.row is not None and has_no_receipts(message.row)
        self.expected_summary = (
            receipt_summary(message.row) if message.row is not None and not self._known_empty else None
        )
        self._start = self.resource.largest_page(self.path)
        self._people = participants_of(message.path)
        self.also = (self._people,)

    @property
    def key(self) -> str:
        """See `ListRead.key`."""
        return f"recipients {super().key}"

    @property
    def calls_max(self) -> int:
        """The pages of the longest list of receipts."""
        return self.resource.pages_max

    def first_key(self, *, no_cache: bool) -> str | None:
        """Return the first page of the receipts, or that of the participants where there are none."""
        if self._matches_nothing:
            return None
        return self._people.first_key(no_cache=no_cache) if self._known_empty and not no_cache else self._start

    def placeholder(self, token: str) -> tuple[Slice, int]:
        """Return a slice with one recipient, and the most that it can have."""
        size = 0 if self._matches_nothing else self.first
        return PlaceholderSlice(self, Recipient(path=child(self.path, token))), size

    def node(self, row: RecipientRow) -> Recipient:
        """Return the recipient of a row."""
        return Recipient(path=f"{self.path}/{row.sid}", row=row)

    def resolve(self, context: "OperationContext") -> Slice:
        """Return the slice, once all receipts and participants are known."""
        if self._matches_nothing:
            return self._empty(context, "nothing matches")
        loaders, receipts = context.loaders, list[Row]()
        is_skipped = self._known_empty and not context.no_cache
        if not is_skipped:
            receipts = _whole_list(loaders, self._start)
        people = _whole_list(loaders, self._people.first_key(no_cache=False))
        if is_skipped:
            context.skip([self.path], KNOWN_EMPTY)
        return self.slice_of(list(recipients_of(self._message, receipts, people)))


def recipients_of(message: Row, receipts: Sequence[Row], participants: Sequence[Row]) -> Iterator[RecipientRow]:
    """Yield the recipients of a message: first those with a receipt, then the other current participants.

    The author is no recipient, and neither is who joined later, unless there is a receipt.
    """
    with_receipt = set()
    for receipt in receipts:
        sid = readable(receipt, "participant_sid")
        with_receipt.add(sid)
        yield RecipientRow(receipt.sid, sid, RecipientEvidence.RECEIPT, _BY_RECEIPT[receipt_status(receipt)], receipt)
    index, sent = readable(message, "index"), _time(message)
    for participant in participants:
        if participant.sid in with_receipt or _is_author(participant, message):
            continue
        joined = _time(participant)
        if sent is not None and joined is not None and joined > sent:
            continue
        horizon = readable(participant, "last_read_message_index")
        via, status = RecipientEvidence.NONE, RecipientStatus.UNKNOWN
        if horizon is not None and index is not None:
            via = RecipientEvidence.READ_HORIZON
            status = RecipientStatus.READ if horizon >= index else RecipientStatus.NOT_READ
        yield RecipientRow(participant.sid, participant.sid, via, status, participant=participant)


def _is_author(participant: Row, message: Row) -> bool:
    """Whether a participant wrote a message: by sid or, of a message without it, by its name for the author."""
    sid = readable(message, "participant_sid")
    if sid is not None:
        return bool(participant.sid == sid)
    author = readable(message, "author")
    binding = readable(participant, "messaging_binding")
    names = (readable(participant, "identity"), readable(binding, "address") if binding is not None else None)
    return author is not None and author in names


def _time(row: Row) -> Any:
    """Return when a record was created, to be compared; None if that is not known."""
    try:
        return moment(row.date_created) if row.date_created is not None else None
    except UpstreamInvalidResponse:
        return None


class _OwnReceipt(Member):
    """The receipt that a recipient is made from: its list has been read, or was not needed, so it is never prefetched."""

    is_shared = False


def _receipt_read(recipient: Recipient, sid: str) -> Member:
    list_path = recipient.path.rpartition("/")[0]
    return _OwnReceipt(resource_of("Receipts"), list_path, sid, f"{list_path}/{sid}")


def _whole_list(loaders: Loaders, start: str) -> list[Row]:
    """Return the rows of a list, each once; raises as `Loaders.pages` does."""
    most = resource_of(start.partition("?")[0].rpartition("/")[2]).page_max + SPARE_PAGES
    by_sid: dict[str, Row] = {}
    for page in loaders.pages(start, most=most):
        for sid, row in page.by_sid.items():
            by_sid.setdefault(sid, row)
    return list(by_sid.values())

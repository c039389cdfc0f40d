"""The five types of record and what is embedded in them: a field is one line, an edge says where it leads."""

from enum import Enum
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Any

import strawberry

from gateway.errors import BadUserInput, UpstreamInvalidResponse
from gateway.execution.fields import edge
from gateway.execution.price import Price, Unit
from gateway.graph.connection import Connection
from gateway.graph.delivery import (
    DeliveryAmount,
    DeliveryStatus,
    MessageDeliveryStatus,
    amount,
    cannot_match,
    has_no_receipts,
    message_delivery_status,
    receipt_status,
)
from gateway.graph.delivery_errors import TITLES, documentation_url
from gateway.graph.node import Node, embedded, from_path, node, prop, sid_of, word
from gateway.graph.reads import SCAN_DEFAULT, SCAN_MAX, Item, Listing, Member
from gateway.graph.scalars import DateTime, Url, in_utc, moment
from gateway.twilio.paths import checked_sid, child, is_sid, name_segment, parent_of
from gateway.twilio.resources import Int32, Resource, row_type
from gateway.twilio.statuses import is_terminal

__all__ = [
    "RESOURCES",
    "Conversation",
    "Message",
    "Participant",
    "Receipt",
    "Service",
    "ServiceConnection",
]

First = Annotated[int | None, strawberry.argument(description="How many at most: 0 to 1000. Null means the default.")]
After = Annotated[
    str | None,
    strawberry.argument(
        description="Go on behind this `cursor` or `endCursor` of the same list; null begins at its start."
    ),
]


Sid = Annotated[strawberry.ID, strawberry.argument(description="Its sid.")]

_LOOK_UP = Price(Unit.PARENT, skipped="only ids, sids and what is below it are selected: then it is not looked up")
_BY_NAME = Price(Unit.PARENT)
_PAGES = Price(Unit.PAGE, page_size=100)
_OWNER = Price(Unit.ITEM, skipped="only ids and sids are selected, or it is at hand")
_PARTICIPANT = Price(Unit.CONVERSATION, page_size=100, skipped="only ids and sids are selected")
_RECEIPTS = Price(Unit.PARENT, page_size=50, skipped="the message's own `delivery` tells that there is nothing to find")
_NOT_FOUND = "Null, with the error `NOT_FOUND`, when what it is a list of does not exist and was not looked up."
_TIMERS = row_type("Timers", {"date_inactive": str | None, "date_closed": str | None})


def _by_sid(resource: Resource, parent: Node, sid: str) -> Item:
    """Return the read of a record below `parent`; raises `BadUserInput` for a sid of another kind."""
    return Item(resource, child(parent.path, resource.collection, checked_sid(sid, resource.prefix)), parent.listed)


def _by_name(resource: Resource, parent: Node, name: str) -> Item:
    """Return the read of a record by the property that Twilio accepts in place of its sid; raises `BadUserInput`."""
    assert resource.name_property is not None
    segment = name_segment(name, resource.name_property.replace("_", " "), resource.prefix)
    return Item(resource, child(parent.path, resource.collection, segment), parent.listed, by_name=True)


def _unread_participant(record: Node, star: str) -> Item | Member:
    """What is read for the participant of a record of which only the path is known."""
    return _participant_of(_conversation_path(record), star, record.listed)


@strawberry.enum(description="What a conversation is doing.")
class ConversationState(Enum):
    INITIALIZING = word("initializing", "Being set up.")
    ACTIVE = word("active", "Open: messages can be sent.")
    INACTIVE = word("inactive", "Open, but nothing was sent for the time its timer sets.")
    CLOSED = word("closed", "Over: it can be read, not written to.")
    UNKNOWN = word("unknown", "A word that this schema does not know.")


@strawberry.enum(description="The states by which conversations can be chosen.")
class ConversationStateFilter(Enum):
    ACTIVE = word("active", "Open: messages can be sent.")
    INACTIVE = word("inactive", "Open, but nothing was sent for the time its timer sets.")
    CLOSED = word("closed", "Over: it can be read, not written to.")


@strawberry.enum(description="The order of messages in a conversation.")
class MessageOrder(Enum):
    ASC = word("asc", "Oldest first.")
    DESC = word("desc", "Newest first.")


@embedded("A file that was sent with a message. Its content is served by Twilio's Media Content Service, not here.")
class Media:
    sid: strawberry.ID = prop("Its sid: `ME…`.")
    content_type: str | None = prop("Its MIME type, such as `image/png`.")
    filename: str | None = prop("Its name, when the sender gave one.")
    size: int | None = prop("Its size in bytes.")


@embedded("How a message's receipts stand, in sum. It comes with the message: asking for it costs nothing more.")
class DeliverySummary:
    total: int = prop("How many receipts the message has: one for each recipient outside chat.")
    sent: DeliveryAmount = prop(
        "How many were sent. Cumulative: what was delivered or read was sent too.",
        derive=lambda delivery: amount(delivery.sent),
        of={"sent": str | None},
    )
    delivered: DeliveryAmount = prop(
        "How many were delivered. Cumulative: what was read was delivered too.",
        derive=lambda delivery: amount(delivery.delivered),
        of={"delivered": str | None},
    )
    read: DeliveryAmount = prop(
        "How many were read.", derive=lambda delivery: amount(delivery.read), of={"read": str | None}
    )
    failed: DeliveryAmount = prop(
        "How many could not be sent.", derive=lambda delivery: amount(delivery.failed), of={"failed": str | None}
    )
    undelivered: DeliveryAmount = prop(
        "How many were sent and not delivered.",
        derive=lambda delivery: amount(delivery.undelivered),
        of={"undelivered": str | None},
    )


@embedded("Why a message did not reach a recipient.")
class DeliveryError:
    code: int = prop("The code, such as 30003.", derive=lambda code: code, of={})
    title: str | None = prop(
        "What it means, in a few words; null for a code that is not known here.", derive=TITLES.get, of={}
    )
    documentation_url: Url = prop(
        "Twilio's page about the code, with causes and cures.", derive=documentation_url, of={}
    )


@embedded("How a participant outside chat is reached.")
class MessagingBinding:
    type: str | None = prop("The channel: `sms`, `whatsapp`, and so on.")
    address: str | None = prop("The participant's own address, such as a phone number.")
    proxy_address: str | None = prop("The Twilio address the participant writes to.")
    projected_address: str | None = prop("The Twilio address that stands for a chat user in a group text.")


@node(
    "A Conversations service: a separate space of conversations in the account.",
    collection="Services",
    prefix="IS",
    letter="S",
    rows_key="services",
    page_max=100,
    lifetime="services",
    sid_property="chat_service_sid",
    parent=None,
)
class Service(Node):
    sid: strawberry.ID = sid_of(0, "Its sid: `IS…`.")
    account_sid: strawberry.ID | None = prop("The account it belongs to: `AC…`.")
    friendly_name: str | None = prop("Its name, for people.")
    date_created: DateTime | None = prop("When it was made.")
    date_updated: DateTime | None = prop("When it was last changed.")
    url: Url | None = prop("Its address in Twilio's REST API.")

    @edge(
        "ConversationConnection | None",
        "Its conversations. With a range of times the newest come first, and a page may hold fewer than `first`, even "
        f"none, while `hasNextPage` is true. {_NOT_FOUND}",
        _PAGES,
    )
    def conversations(
        self,
        first: First = 50,
        after: After = strawberry.UNSET,
        state: Annotated[
            ConversationStateFilter | None, strawberry.argument(description="Only those in this state; null for all.")
        ] = strawberry.UNSET,
        created_from: Annotated[
            DateTime | None, strawberry.argument(description="Only those made at this time or later.")
        ] = strawberry.UNSET,
        created_to: Annotated[
            DateTime | None, strawberry.argument(description="Only those made at this time or earlier.")
        ] = strawberry.UNSET,
    ) -> Listing:
        # Twilio takes whole days, in UTC; what of those days is outside the range is left out here.
        filters = []
        if created_from:
            filters.append(("StartDate", f"{created_from[:10]}T00:00:00Z"))
        if created_to:
            filters.append(("EndDate", f"{created_to[:10]}T23:59:59Z"))
        if state:
            filters.append(("State", state.value))
        earliest, latest = (moment(text) if text else None for text in (created_from, created_to))

        def keep(row: Any) -> bool:
            made = moment(row.date_created) if row.date_created is not None else None
            return made is not None and (earliest is None or earliest <= made) and (latest is None or made <= latest)

        ranged = bool(created_from or created_to)
        return Listing(
            Conversation.resource,
            self.path,
            first,
            after,
            filters=tuple(filters),
            keep=keep if ranged else None,
            variant=f"{created_from or ''}/{created_to or ''}" if ranged else "",
            scan=SCAN_MAX if ranged else None,
        )

    @edge(
        "Conversation | None",
        "One of its conversations, by sid. Null when there is none.",
        _LOOK_UP,
    )
    def conversation(self, sid: Sid) -> Item:
        return _by_sid(Conversation.resource, self, sid)

    @edge(
        "Conversation | None",
        "One of its conversations, by unique name. Null when there is none.",
        _BY_NAME,
    )
    def conversation_by_unique_name(
        self, unique_name: Annotated[str, strawberry.argument(description="The conversation's unique name.")]
    ) -> Item:
        return _by_name(Conversation.resource, self, unique_name)


@node(
    "A conversation: a thread of messages between participants on chat, SMS, WhatsApp and other channels.",
    collection="Conversations",
    prefix="CH",
    letter="C",
    rows_key="conversations",
    page_max=100,
    lifetime="conversations",
    list_lifetime="messages",
    sid_property="conversation_sid",
    name_property="unique_name",
    parent=Service,
)
class Conversation(Node):
    sid: strawberry.ID = sid_of(-1, "Its sid: `CH…`.")
    account_sid: strawberry.ID | None = prop("The account it belongs to: `AC…`.")
    chat_service_sid: strawberry.ID = sid_of(0, "The sid of its service: `IS…`.")
    messaging_service_sid: strawberry.ID | None = prop("The messaging service it sends through: `MG…`.")
    friendly_name: str | None = prop("Its name, for people.")
    unique_name: str | None = prop("Its name, for programs, where it has one.")
    attributes: str | None = prop("What the application stored with it: JSON, as text.")
    state: ConversationState | None = prop(
        "What it is doing.", derive=lambda row: _conversation_state(row.state), of={"state": str | None}
    )
    date_inactive: DateTime | None = prop(
        "When it will become inactive, if nothing is sent.",
        derive=lambda row: in_utc(row.timers.date_inactive) if row.timers is not None else None,
        of={"timers": _TIMERS | None},
    )
    date_closed: DateTime | None = prop(
        "When it will be closed, if nothing is sent.",
        derive=lambda row: in_utc(row.timers.date_closed) if row.timers is not None else None,
        of={"timers": _TIMERS | None},
    )
    date_created: DateTime | None = prop("When it was made.")
    date_updated: DateTime | None = prop("When it was last changed.")
    url: Url | None = prop("Its address in Twilio's REST API.")

    @edge(
        "Service | None",
        "The service it is part of.",
        _OWNER,
    )
    def service(self) -> Item:
        return Item(Service.resource, parent_of(self.path), self.listed)

    @edge(
        "MessageConnection | None",
        "Its messages. With `deliveryStatus`, `first` counts those that match and `scan` bounds those that are looked at: a "
        "page may hold fewer than `first`, even none, while `hasNextPage` is true; its `endCursor` goes on behind what was "
        f"looked at. What is chosen this way has come with the page: receipts are read of matches only. {_NOT_FOUND}",
        _PAGES,
    )
    def messages(
        self,
        first: First = 50,
        after: After = strawberry.UNSET,
        order: Annotated[
            MessageOrder | None, strawberry.argument(description="Oldest or newest first; null means the default.")
        ] = MessageOrder.ASC,
        delivery_status: Annotated[
            list[MessageDeliveryStatus] | None,
            strawberry.argument(description="Only those with one of these; null for all, `[]` for none."),
        ] = strawberry.UNSET,
        scan: Annotated[
            int | None,
            strawberry.argument(
                description="How many to look at, at most, for `deliveryStatus`: 0 to 1000. Null means the default."
            ),
        ] = SCAN_DEFAULT,
    ) -> Listing:
        wanted = set(delivery_status) if isinstance(delivery_status, list) else None

        def keep(row: Any) -> bool:
            return wanted is None or message_delivery_status(row) in wanted

        scan = SCAN_DEFAULT if scan is None else scan
        if not 0 <= scan <= SCAN_MAX:
            raise BadUserInput(f"`scan` must be from 0 to {SCAN_MAX}.")
        return Listing(
            Message.resource,
            self.path,
            first,
            after,
            filters=(("Order", "desc"),) if order is MessageOrder.DESC else (),
            keep=keep if wanted is not None else None,
            variant=",".join(sorted(word.value for word in wanted)) if wanted is not None else "",
            scan=scan if wanted is not None else None,
            nothing=wanted is not None and not wanted,
        )

    @edge(
        "Message | None",
        "One of its messages, by sid. Null when there is none.",
        _LOOK_UP,
    )
    def message(self, sid: Sid) -> Item:
        return _by_sid(Message.resource, self, sid)

    @edge(
        "ParticipantConnection | None",
        f"Who takes part now. {_NOT_FOUND}",
        _PAGES,
    )
    def participants(self, first: First = 50, after: After = strawberry.UNSET) -> Listing:
        return Listing(Participant.resource, self.path, first, after, shared=True)

    @edge(
        "Participant | None",
        "One of its participants, by sid. Null when there is none.",
        _LOOK_UP,
    )
    def participant(self, sid: Sid) -> Item:
        return _by_sid(Participant.resource, self, sid)

    @edge(
        "Participant | None",
        "The participant with a chat identity. Null when there is none.",
        _BY_NAME,
    )
    def participant_by_identity(
        self, identity: Annotated[str, strawberry.argument(description="The participant's chat identity.")]
    ) -> Item:
        return _by_name(Participant.resource, self, identity)


@node(
    "A message in a conversation.",
    collection="Messages",
    prefix="IM",
    letter="M",
    rows_key="messages",
    page_max=100,
    lifetime="messages",
    sid_property="message_sid",
    parent=Conversation,
)
class Message(Node):
    sid: strawberry.ID = sid_of(-1, "Its sid: `IM…`.")
    account_sid: strawberry.ID | None = prop("The account it belongs to: `AC…`.")
    chat_service_sid: strawberry.ID = sid_of(0, "The sid of its service: `IS…`.")
    conversation_sid: strawberry.ID = sid_of(1, "The sid of its conversation: `CH…`.")
    participant_sid: strawberry.ID | None = prop(
        "The sid of the participant who wrote it: `MB…`; null when no participant did."
    )
    index: int | None = prop("Its place in the conversation, from 0. Deleted messages leave gaps.")
    author: str | None = prop("Who wrote it: a chat identity, an address, or `system`.")
    body: str | None = prop("Its text.")
    attributes: str | None = prop("What the application stored with it: JSON, as text.")
    media: list[Media] | None = prop("The files sent with it; null or empty when there are none.")
    content_sid: strawberry.ID | None = prop("The content template it was made from: `HX…`.")
    date_created: DateTime | None = prop("When it was sent.")
    date_updated: DateTime | None = prop("When it was last changed.")
    url: Url | None = prop("Its address in Twilio's REST API.")
    delivery: DeliverySummary | None = prop("How its receipts stand, in sum; null when it has none.")
    delivery_status: MessageDeliveryStatus = prop(
        "How far it got on its way to all its recipients, in one word.", derive=message_delivery_status, of={}
    )

    @edge(
        "Service | None",
        "The service it is part of.",
        _OWNER,
    )
    def service(self) -> Item:
        return Item(Service.resource, parent_of(parent_of(self.path)), self.listed)

    @edge(
        "Conversation | None",
        "The conversation it is part of.",
        _OWNER,
    )
    def conversation(self) -> Item:
        return Item(Conversation.resource, parent_of(self.path), self.listed)

    @edge(
        "Participant | None",
        "Who wrote it, when that is a participant; null when it is none, or one who has left. Below a list it comes with "
        "the conversation's participants.",
        _PARTICIPANT,
        needs_row=True,
        unread=_unread_participant,
    )
    def participant(self) -> Item | Member | None:
        return _participant(self)

    @edge(
        "ReceiptConnection | None",
        "Its receipts, one for each recipient outside chat. Null, with the error `NOT_FOUND`, when the message does not exist "
        "and was not looked up.",
        _RECEIPTS,
    )
    def receipts(
        self,
        first: First = 50,
        after: After = strawberry.UNSET,
        status: Annotated[
            list[DeliveryStatus] | None,
            strawberry.argument(description="Only those with one of these statuses; null for all, `[]` for none."),
        ] = strawberry.UNSET,
    ) -> Listing:
        wanted = set(status) if isinstance(status, list) else None
        delivery = self.row.delivery if self.row is not None else None

        def keep(row: Any) -> bool:
            return wanted is None or receipt_status(row) in wanted

        return Listing(
            Receipt.resource,
            self.path,
            first,
            after,
            keep=keep if wanted is not None else None,
            variant=",".join(sorted(word.value for word in wanted)) if wanted is not None else "",
            whole=True,
            nothing=wanted is not None and not wanted,
            idle=self.row is not None
            and (has_no_receipts(self.row) or (wanted is not None and cannot_match(self.row, wanted))),
            total=delivery.total if delivery is not None else None,
        )

    @edge(
        "Receipt | None",
        "One of its receipts, by sid. Null when there is none.",
        _LOOK_UP,
    )
    def receipt(self, sid: Sid) -> Item:
        return _by_sid(Receipt.resource, self, sid)


@node(
    "How far one message got on its way to one recipient outside chat: the latest status only, not its history.",
    collection="Receipts",
    prefix="DY",
    letter="R",
    rows_key="delivery_receipts",
    page_max=50,
    rows_max=50,
    lifetime="receipts",
    final_lifetime="final_receipts",
    is_final=is_terminal,
    parent=Message,
)
class Receipt(Node):
    sid: strawberry.ID = sid_of(-1, "Its sid: `DY…`.")
    account_sid: strawberry.ID | None = prop("The account it belongs to: `AC…`.")
    chat_service_sid: strawberry.ID = sid_of(0, "The sid of its service: `IS…`.")
    conversation_sid: strawberry.ID = sid_of(1, "The sid of its conversation: `CH…`.")
    message_sid: strawberry.ID = sid_of(2, "The sid of its message: `IM…`.")
    channel_message_sid: strawberry.ID | None = prop(
        "The sid of what was sent over the channel: `SM…`, `MM…` or `WA…`; look for it in the messaging logs."
    )
    participant_sid: strawberry.ID | None = prop("The sid of the recipient: `MB…`.")
    status: DeliveryStatus = prop("How far it got.", derive=receipt_status, of={"status": str | None})
    raw_status: str | None = prop(
        "Twilio's own word for the status; null while the message is still inside Twilio.",
        derive=lambda row: row.status,
        of={"status": str | None},
    )
    is_final: bool = prop(
        "Whether no further change is expected: read, failed or undelivered, or delivered over SMS or MMS.",
        derive=is_terminal,
        of={},
    )
    error_code: int | None = prop(
        "Why it failed or was undelivered, as a code; null when it did not.",
        derive=lambda row: row.error_code or None,
        of={"error_code": Int32 | None},
    )
    error: DeliveryError | None = prop(
        "Why it failed or was undelivered, in words; null when it did not.",
        derive=lambda row: row.error_code or None,
        of={},
    )
    date_created: DateTime | None = prop("When it was made.")
    date_updated: DateTime | None = prop("When its status last changed; null if it never did.")
    url: Url | None = prop("Its address in Twilio's REST API.")

    @edge(
        "Service | None",
        "The service it is part of.",
        _OWNER,
    )
    def service(self) -> Item:
        return Item(Service.resource, parent_of(parent_of(parent_of(self.path))), self.listed)

    @edge(
        "Conversation | None",
        "The conversation it is part of.",
        _OWNER,
    )
    def conversation(self) -> Item:
        return Item(Conversation.resource, parent_of(parent_of(self.path)), self.listed)

    @edge("Message | None", "The message it is about.", _OWNER)
    def message(self) -> Item:
        return Item(Message.resource, parent_of(self.path), self.listed)

    @edge(
        "Participant | None",
        "The recipient; null when the participant has left. Below a list it comes with the conversation's participants.",
        _PARTICIPANT,
        needs_row=True,
        unread=_unread_participant,
    )
    def participant(self) -> Item | Member | None:
        return _participant(self)


@node(
    "Someone who takes part in a conversation, over chat or another channel.",
    collection="Participants",
    prefix="MB",
    letter="P",
    rows_key="participants",
    page_max=100,
    rows_max=1000,
    lifetime="participants",
    name_property="identity",
    parent=Conversation,
)
class Participant(Node):
    sid: strawberry.ID = sid_of(-1, "Its sid: `MB…`. Someone who leaves and comes back has another.")
    account_sid: strawberry.ID | None = prop("The account it belongs to: `AC…`.")
    chat_service_sid: strawberry.ID = sid_of(0, "The sid of its service: `IS…`.")
    conversation_sid: strawberry.ID = sid_of(1, "The sid of its conversation: `CH…`.")
    identity: str | None = prop("The chat user's identity; null outside chat.")
    attributes: str | None = prop("What the application stored with it: JSON, as text.")
    channel: str = prop(
        "How the participant takes part: `chat`, or the type of its binding, such as `sms` or `whatsapp`.",
        derive=lambda row: (row.messaging_binding.type if row.messaging_binding is not None else None) or "chat",
        of={},
    )
    messaging_binding: MessagingBinding | None = prop(
        "How the participant is reached outside chat; null for a chat user."
    )
    role_sid: strawberry.ID | None = prop("The sid of its role: `RL…`.")
    last_read_message_index: int | None = prop("The `index` of the last message the participant has read, where known.")
    last_read_timestamp: DateTime | None = prop("When the participant last read, where known.")
    date_created: DateTime | None = prop("When the participant joined.")
    date_updated: DateTime | None = prop("When the participant was last changed.")
    url: Url | None = prop("Its address in Twilio's REST API.")

    @edge(
        "Service | None",
        "The service it is part of.",
        _OWNER,
    )
    def service(self) -> Item:
        return Item(Service.resource, parent_of(parent_of(self.path)), self.listed)

    @edge(
        "Conversation | None",
        "The conversation it is part of.",
        _OWNER,
    )
    def conversation(self) -> Item:
        return Item(Conversation.resource, parent_of(self.path), self.listed)


ServiceConnection = Connection[Service]
ConversationConnection = Connection[Conversation]
MessageConnection = Connection[Message]
ParticipantConnection = Connection[Participant]


@embedded("One page of a message's receipts. Null, with an error at its path, when they could not be read.")
class ReceiptConnection(Connection[Receipt]):
    total_count: int | None = from_path(
        "How many receipts there are with the statuses asked for, on this page and all others: at most 50. Alone, and for "
        "all statuses, it comes with the message and costs no call.",
        attrgetter("total_count"),
    )


RESOURCES: dict[str, Resource] = {
    kind.resource.collection: kind.resource for kind in (Service, Conversation, Message, Receipt, Participant)
}
"""The resources behind the graph, by the collections in upstream paths."""


def _conversation_state(word: str | None) -> ConversationState | None:
    if word is None:
        return None
    return next((state for state in ConversationState if state.value == word), ConversationState.UNKNOWN)


_BELOW_CONVERSATION = f"/{Message.resource.collection}/"


def _conversation_path(record: Node) -> str:
    """Return the path of the conversation of a message or receipt."""
    return record.path.partition(_BELOW_CONVERSATION)[0]


def _participant(record: Receipt | Message) -> Item | Member | None:
    """The participant that a record names."""
    sid = record.row.participant_sid
    return _named_participant(_conversation_path(record), sid, record.listed) if sid is not None else None


@lru_cache(maxsize=1024)  # All the receipts of a thread name the same few.
def _named_participant(conversation_path: str, sid: str, listed: bool) -> Item | Member:
    if not is_sid(sid, Participant.resource.prefix):
        raise UpstreamInvalidResponse("Twilio named a participant by something that is not a sid.")
    return _participant_of(conversation_path, sid, listed)


def _participant_of(conversation_path: str, sid: str, listed: bool) -> Item | Member:
    """A participant: out of its conversation's list when the record came in a list, else by itself."""
    list_path = Participant.resource.list_path(conversation_path)
    path = f"{list_path}/{sid}"
    return Member(Participant.resource, list_path, sid, path) if listed else Item(Participant.resource, path)

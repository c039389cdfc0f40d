"""The five types of record, with all facts about their resources: a property is one line, an edge says where it leads."""

from collections.abc import Callable, Iterable
from enum import Enum
from operator import attrgetter
from typing import Annotated, Any

import strawberry

from gateway.errors import BadUserInput, UpstreamInvalidResponse
from gateway.execution.fields import Distinct, edge
from gateway.execution.price import Price, Unit
from gateway.graph.arguments import After, First, Sid, by_sid
from gateway.graph.connection import Connection
from gateway.graph.delivery import (
    STATUS,
    DeliveryStatus,
    MessageDeliveryStatus,
    cannot_match,
    has_no_receipts,
    message_delivery_status,
    receipt_status,
    receipt_summary,
    without_receipts,
)
from gateway.graph.delivery_errors import DeliveryError
from gateway.graph.failures import ScanProgress, failures
from gateway.graph.limits import FIRST_DEFAULT, FIRST_MAX, SCAN_DEFAULT, SCAN_MAX
from gateway.graph.lists import PagedList, RowFilter, WholeList, WholeLists
from gateway.graph.node import Node, embedded, from_path, node, prop, sid_of
from gateway.graph.participant_reads import BY_PARTICIPANT, estimated_participant, named_participant
from gateway.graph.participations import Participation, ParticipationList, PersonInput, participations
from gateway.graph.reads import Item, Member
from gateway.graph.recipients import Recipient, RecipientList, RecipientStatus
from gateway.graph.scalars import DateTime, Url, in_utc, moment
from gateway.graph.statistics import conversation_statistics, service_statistics
from gateway.graph.unread import UnreadMessages, estimated_unread_messages, unread_messages, user_conversations
from gateway.graph.values import (
    STATE,
    ConversationState,
    ConversationStateFilter,
    DeliverySummary,
    Media,
    MessageOrder,
    MessagingBinding,
    channel_of,
    conversation_state,
)
from gateway.twilio.paths import checked_sid, child, name_segment, parent_of
from gateway.twilio.resources import Int32, Resource, row_type
from gateway.twilio.statuses import is_terminal

__all__ = [
    "RESOURCES",
    "UPSTREAM_RESOURCES",
    "Conversation",
    "Message",
    "Participant",
    "Receipt",
    "Service",
    "ServiceConnection",
]

_BY_SID = Price(Unit.PARENT, skipped="only ids, sids and edges are selected")
_BY_NAME = Price(Unit.PARENT)
_PAGES = Price(Unit.PAGE, page_size=100)
_OWNER = Price(Unit.ITEM, skipped="only ids and sids are selected, or the operation reads it anyway")
_PARTICIPANT = Price(Unit.CONVERSATION, page_size=100, skipped="only ids and sids are selected")
_RECEIPTS = Price(Unit.PARENT, page_size=50, skipped="the message's `delivery` shows that no receipt matches")
_NOT_FOUND = (
    "Null, with the error `NOT_FOUND`, when its parent does not exist and none of the parent's own fields is selected."
)
_TIMERS = row_type("Timers", {"date_inactive": str | None, "date_closed": str | None})


def _by_sid(resource: Resource, parent: Node, sid: str) -> Item:
    """Return the read of a record below `parent`; raises `BadUserInput` for a sid of another kind."""
    return Item(resource, child(parent.path, resource.collection, checked_sid(sid, resource.prefix)), parent.listed)


def _by_name(resource: Resource, parent: Node, name: str) -> Item:
    """Return the read of a record by the property that Twilio accepts in place of its sid; raises `BadUserInput`."""
    assert resource.name_property is not None
    segment = name_segment(name, resource.name_property.replace("_", " "), resource.prefix)
    return Item(resource, child(parent.path, resource.collection, segment), parent.listed, by_name=True)


def _receipts_below(
    list_path: str,
    rows: list[Any],
    first: int | None,
    after: str | None = strawberry.UNSET,
    status: list[DeliveryStatus] | None = strawberry.UNSET,
) -> WholeLists | None:
    """Return the reads of `Message.receipts` for all messages of a list; None with a cursor, a filter or a wrong `first`."""
    first = FIRST_DEFAULT if first is None else first
    if isinstance(after, str) or isinstance(status, list) or not 0 <= first <= FIRST_MAX:
        return None
    known_empty = without_receipts(rows)
    return WholeLists(Receipt.resource, list_path, rows, first, known_empty=known_empty, summary=receipt_summary)


def _above(list_path: str, level: int) -> str:
    """Return the path of the owner at a level of the records in a list: 0 is the service, 1 the conversation, 2 the message."""
    return "/".join(list_path.split("/", 2 * level + 2)[: 2 * level + 2])


_BY_SERVICE = Distinct(lambda path: _above(path, 0), lambda path, _: Item(Service.resource, path, True))
_BY_CONVERSATION = Distinct(lambda path: _above(path, 1), lambda path, _: Item(Conversation.resource, path, True))
_BY_MESSAGE = Distinct(lambda path: _above(path, 2), lambda path, _: Item(Message.resource, path, True))


@node(
    "A Conversations service: a container for the conversations of one application. An account can have several.",
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
    sid: strawberry.ID = sid_of(-1, "The sid of the service: `IS…`.")
    account_sid: strawberry.ID | None = prop("The sid of the account: `AC…`.")
    friendly_name: str | None = prop("The name of the service, for display.", from_outside=True)
    date_created: DateTime | None = prop("When the service was created.")
    date_updated: DateTime | None = prop("When the service was last updated.")
    url: Url | None = prop("The URL of the service in Twilio's REST API.")

    @edge(
        "ConversationConnection | None",
        "The conversations of the service. With `createdFrom` or `createdTo` the newest come first, and a page may have fewer "
        f"than `first` edges, even none, while `hasNextPage` is true. {_NOT_FOUND}",
        _PAGES,
    )
    def conversations(
        self,
        first: First = FIRST_DEFAULT,
        after: After = strawberry.UNSET,
        state: Annotated[
            ConversationStateFilter | None,
            strawberry.argument(description="Return only conversations in this state. Null means all."),
        ] = strawberry.UNSET,
        created_from: Annotated[
            DateTime | None, strawberry.argument(description="Return only conversations created at this time or later.")
        ] = strawberry.UNSET,
        created_to: Annotated[
            DateTime | None,
            strawberry.argument(description="Return only conversations created at this time or earlier."),
        ] = strawberry.UNSET,
    ) -> PagedList:
        # Twilio filters by whole days, in UTC; the rest of the first and last day is left out here.
        parameters = []
        if created_from:
            parameters.append(("StartDate", f"{created_from[:10]}T00:00:00Z"))
        if created_to:
            parameters.append(("EndDate", f"{created_to[:10]}T23:59:59Z"))
        if state:
            parameters.append(("State", state.value))
        earliest, latest = (moment(text) if text else None for text in (created_from, created_to))

        def is_in_range(row: Any) -> bool:
            try:
                made = moment(row.date_created) if row.date_created is not None else None
            except UpstreamInvalidResponse:  # Shown, with an error at `dateCreated`, since it may be in the range.
                return True
            return made is not None and (earliest is None or earliest <= made) and (latest is None or made <= latest)

        ranged = bool(created_from or created_to)
        return PagedList(
            Conversation.resource,
            self.path,
            first,
            after,
            parameters=tuple(parameters),
            row_filter=RowFilter(is_in_range, f"{created_from or ''}/{created_to or ''}") if ranged else None,
            scan=SCAN_MAX if ranged else None,
        )

    failures = failures
    delivery_statistics = service_statistics

    @edge(
        "Conversation | None",
        "The conversation with this sid. Null when there is none.",
        _BY_SID,
        named_by=by_sid("Conversations", "CH"),
    )
    def conversation(self, sid: Sid) -> Item:
        return _by_sid(Conversation.resource, self, sid)

    @edge(
        "Conversation | None",
        "The conversation with this unique name. Null when there is none.",
        _BY_NAME,
    )
    def conversation_by_unique_name(
        self, unique_name: Annotated[str, strawberry.argument(description="The `uniqueName` of the conversation.")]
    ) -> Item:
        return _by_name(Conversation.resource, self, unique_name)

    @edge(
        "ParticipationConnection | None",
        "The conversations of the service that a person is in, found by chat identity or by address. By POST only: a GET with "
        f"it is refused, since its URL would stand in the logs of proxies. {_NOT_FOUND}",
        Price(Unit.PAGE, page_size=50),
        is_private=True,
    )
    def participations(
        self,
        by: Annotated[PersonInput, strawberry.argument(description="Whose conversations to find.")],
        first: First = FIRST_DEFAULT,
        after: After = strawberry.UNSET,
    ) -> ParticipationList:
        return ParticipationList(self.path, by, first, after)


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
    sid: strawberry.ID = sid_of(-1, "The sid of the conversation: `CH…`.")
    account_sid: strawberry.ID | None = prop("The sid of the account: `AC…`.")
    chat_service_sid: strawberry.ID = sid_of(0, "The sid of the service: `IS…`.")
    messaging_service_sid: strawberry.ID | None = prop("The sid of the messaging service that it sends through: `MG…`.")
    friendly_name: str | None = prop("The name of the conversation, for display.", from_outside=True)
    unique_name: str | None = prop(
        "The name of the conversation that is unique in its service, if one is set.", from_outside=True
    )
    attributes: str | None = prop("Data of the application, as JSON text.", from_outside=True)
    state: ConversationState | None = prop(
        "The state of the conversation.",
        derive=lambda row: conversation_state(row.state),
        of={"state": str | None},
        mapped=STATE,
    )
    date_inactive: DateTime | None = prop(
        "When the conversation becomes inactive, unless there is activity before.",
        derive=lambda row: in_utc(row.timers.date_inactive) if row.timers is not None else None,
        of={"timers": _TIMERS | None},
    )
    date_closed: DateTime | None = prop(
        "When the conversation is closed, unless there is activity before.",
        derive=lambda row: in_utc(row.timers.date_closed) if row.timers is not None else None,
        of={"timers": _TIMERS | None},
    )
    date_created: DateTime | None = prop("When the conversation was created.")
    date_updated: DateTime | None = prop("When the conversation was last updated.")
    url: Url | None = prop("The URL of the conversation in Twilio's REST API.")

    @edge("Service | None", "The service of the conversation.", _OWNER, distinct=_BY_SERVICE)
    def service(self) -> Item:
        return Item(Service.resource, parent_of(self.path), self.listed)

    @edge(
        "MessageConnection | None",
        "The messages of the conversation. With `deliveryStatus`, `first` counts matches, and at most `scan` messages are "
        "examined: a page may have fewer than `first` edges, even none, while `hasNextPage` is true, and its `endCursor` "
        "continues after the last message examined. The filter itself costs no extra call, and receipts are read for matches "
        f"only. {_NOT_FOUND}",
        _PAGES,
    )
    def messages(
        self,
        first: First = FIRST_DEFAULT,
        after: After = strawberry.UNSET,
        order: Annotated[
            MessageOrder | None, strawberry.argument(description="The order of the messages. Null means the default.")
        ] = MessageOrder.ASC,
        delivery_status: Annotated[
            list[MessageDeliveryStatus] | None,
            strawberry.argument(
                description="Return only messages with one of these statuses. Null means all; `[]` matches none."
            ),
        ] = strawberry.UNSET,
        scan: Annotated[
            int | None,
            strawberry.argument(
                description="The most messages to examine for `deliveryStatus`, from 0 to "
                f"{SCAN_MAX}. Null means the default."
            ),
        ] = SCAN_DEFAULT,
    ) -> PagedList:
        scan = SCAN_DEFAULT if scan is None else scan
        if not 0 <= scan <= SCAN_MAX:
            raise BadUserInput(f"`scan` must be from 0 to {SCAN_MAX}.")
        row_filter = (
            _status_filter(delivery_status, message_delivery_status) if isinstance(delivery_status, list) else None
        )
        return PagedList(
            Message.resource,
            self.path,
            first,
            after,
            parameters=(("Order", "desc"),) if order is MessageOrder.DESC else (),
            row_filter=row_filter,
            scan=scan if row_filter is not None else None,
        )

    delivery_statistics = conversation_statistics

    @edge(
        "Message | None",
        "The message with this sid. Null when there is none.",
        _BY_SID,
        named_by=by_sid("Messages", "IM"),
    )
    def message(self, sid: Sid) -> Item:
        return _by_sid(Message.resource, self, sid)

    @edge(
        "ParticipantConnection | None",
        f"The current participants of the conversation. {_NOT_FOUND}",
        _PAGES,
    )
    def participants(self, first: First = FIRST_DEFAULT, after: After = strawberry.UNSET) -> PagedList:
        return PagedList(Participant.resource, self.path, first, after, shared=True)

    @edge(
        "Participant | None",
        "The participant with this sid. Null when there is none.",
        _BY_SID,
        named_by=by_sid("Participants", "MB"),
    )
    def participant(self, sid: Sid) -> Item:
        return _by_sid(Participant.resource, self, sid)

    @edge(
        "Participant | None",
        "The participant with this chat identity. Null when there is none.",
        _BY_NAME,
    )
    def participant_by_identity(
        self, identity: Annotated[str, strawberry.argument(description="The `identity` of the participant.")]
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
    sid: strawberry.ID = sid_of(-1, "The sid of the message: `IM…`.")
    account_sid: strawberry.ID | None = prop("The sid of the account: `AC…`.")
    chat_service_sid: strawberry.ID = sid_of(0, "The sid of the service: `IS…`.")
    conversation_sid: strawberry.ID = sid_of(1, "The sid of the conversation: `CH…`.")
    participant_sid: strawberry.ID | None = prop(
        "The sid of the author: `MB…`; null when the author is not a participant."
    )
    index: int | None = prop("The position in the conversation, from 0. Deleted messages leave gaps.")
    author: str | None = prop("The author: a chat identity, an address, or `system`.", from_outside=True)
    body: str | None = prop("The text of the message.", from_outside=True)
    attributes: str | None = prop("Data of the application, as JSON text.", from_outside=True)
    media: list[Media] | None = prop("The files sent with the message; null or empty when there are none.")
    content_sid: strawberry.ID | None = prop("The sid of the content template that the message was made from: `HX…`.")
    date_created: DateTime | None = prop("When the message was created.")
    date_updated: DateTime | None = prop("When the message was last updated.")
    url: Url | None = prop("The URL of the message in Twilio's REST API.")
    delivery: DeliverySummary | None = prop("Summary of the message's receipts; null when it has none.")
    delivery_status: MessageDeliveryStatus = prop(
        "The delivery status of the message over all its recipients.",
        derive=message_delivery_status,
        of={"delivery": DeliverySummary | None},
    )

    @edge("Service | None", "The service of the message.", _OWNER, distinct=_BY_SERVICE)
    def service(self) -> Item:
        return Item(Service.resource, parent_of(parent_of(self.path)), self.listed)

    @edge("Conversation | None", "The conversation of the message.", _OWNER, distinct=_BY_CONVERSATION)
    def conversation(self) -> Item:
        return Item(Conversation.resource, parent_of(self.path), self.listed)

    @edge(
        "Participant | None",
        "The author of the message; null when the author is not a participant, or has left. Below a list, authors are read "
        "with the participants of the conversation.",
        _PARTICIPANT,
        needs_row=True,
        estimate=estimated_participant,
        distinct=BY_PARTICIPANT,
    )
    def participant(self) -> Item | Member | None:
        return named_participant(self)

    @edge(
        "ReceiptConnection | None",
        f"The receipts of the message, one for each recipient outside chat. {_NOT_FOUND}",
        _RECEIPTS,
        may_be_skipped=True,
        batch=_receipts_below,
    )
    def receipts(
        self,
        first: First = FIRST_DEFAULT,
        after: After = strawberry.UNSET,
        status: Annotated[
            list[DeliveryStatus] | None,
            strawberry.argument(
                description="Return only receipts with one of these statuses. Null means all; `[]` matches none."
            ),
        ] = strawberry.UNSET,
    ) -> WholeList:
        wanted = set(status) if isinstance(status, list) else None
        return WholeList(
            Receipt.resource,
            self.path,
            first,
            after,
            row_filter=_status_filter(wanted, receipt_status) if wanted is not None else None,
            known_empty=self.row is not None
            and (has_no_receipts(self.row) or (wanted is not None and cannot_match(self.row, wanted))),
            summary=receipt_summary(self.row) if self.row is not None else None,
        )

    @edge(
        "RecipientConnection | None",
        "Everybody the message was for, up to 1,000 people: outside chat by their receipts, in chat by `lastReadMessageIndex`. "
        "The author is left out, and so is who joined after the message. Of those who have left, only who has a receipt is "
        "known. Those with a receipt come first. Besides the receipts, the participants of the conversation are read: one "
        "upstream call per 100, for all its messages together.",
        _RECEIPTS,
        needs_row=True,
        may_be_skipped=True,
        estimate=lambda message, _, **arguments: _recipients(message, **arguments),
    )
    def recipients(
        self,
        first: First = FIRST_DEFAULT,
        after: After = strawberry.UNSET,
        status: Annotated[
            list[RecipientStatus] | None,
            strawberry.argument(
                description="Return only recipients with one of these statuses. Null means all; `[]` matches none."
            ),
        ] = strawberry.UNSET,
    ) -> RecipientList:
        return _recipients(self, first, after, status)

    @edge(
        "Receipt | None",
        "The receipt with this sid. Null when there is none.",
        _BY_SID,
        named_by=by_sid("Receipts", "DY"),
    )
    def receipt(self, sid: Sid) -> Item:
        return _by_sid(Receipt.resource, self, sid)


@node(
    "The delivery receipt of one message for one recipient outside chat. It has the latest status only, not the history.",
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
    sid: strawberry.ID = sid_of(-1, "The sid of the receipt: `DY…`.")
    account_sid: strawberry.ID | None = prop("The sid of the account: `AC…`.")
    chat_service_sid: strawberry.ID = sid_of(0, "The sid of the service: `IS…`.")
    conversation_sid: strawberry.ID = sid_of(1, "The sid of the conversation: `CH…`.")
    message_sid: strawberry.ID = sid_of(2, "The sid of the message: `IM…`.")
    channel_message_sid: strawberry.ID | None = prop(
        "The sid of the message on the channel: `SM…`, `MM…` or `WA…`. Twilio's messaging logs list it."
    )
    participant_sid: strawberry.ID | None = prop("The sid of the recipient: `MB…`.")
    status: DeliveryStatus = prop(
        "The delivery status.", derive=receipt_status, of={"status": str | None}, mapped=STATUS
    )
    raw_status: str | None = prop(
        "The status as Twilio returns it; null while the message has not left Twilio.",
        derive=lambda row: row.status,
        of={"status": str | None},
    )
    is_final: bool = prop(
        "Whether the status is final: read, failed or undelivered. `DELIVERED` may become `READ`.",
        derive=is_terminal,
        of={"status": str | None},
    )
    error_code: int | None = prop(
        "Twilio's error code if the message failed or was undelivered; null otherwise.",
        derive=lambda row: row.error_code or None,
        of={"error_code": Int32 | None},
        non_zero="error_code",
    )
    error: DeliveryError | None = prop(
        "The error if the message failed or was undelivered; null otherwise.",
        derive=lambda row: row.error_code or None,
        of={"error_code": Int32 | None},
    )
    date_created: DateTime | None = prop("When the receipt was created.")
    date_updated: DateTime | None = prop("When the status last changed; null if it never did.")
    url: Url | None = prop("The URL of the receipt in Twilio's REST API.")

    @edge("Service | None", "The service of the receipt.", _OWNER, distinct=_BY_SERVICE)
    def service(self) -> Item:
        return Item(Service.resource, parent_of(parent_of(parent_of(self.path))), self.listed)

    @edge("Conversation | None", "The conversation of the receipt.", _OWNER, distinct=_BY_CONVERSATION)
    def conversation(self) -> Item:
        return Item(Conversation.resource, parent_of(parent_of(self.path)), self.listed)

    @edge("Message | None", "The message of the receipt.", _OWNER, distinct=_BY_MESSAGE)
    def message(self) -> Item:
        return Item(Message.resource, parent_of(self.path), self.listed)

    @edge(
        "Participant | None",
        "The recipient; null when the participant has left. Below a list, recipients are read with the participants of the "
        "conversation.",
        _PARTICIPANT,
        needs_row=True,
        estimate=estimated_participant,
        distinct=BY_PARTICIPANT,
    )
    def participant(self) -> Item | Member | None:
        return named_participant(self)


@node(
    "A participant of a conversation, in chat or on another channel.",
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
    sid: strawberry.ID = sid_of(
        -1, "The sid of the participant: `MB…`. Someone who leaves and joins again gets a new one."
    )
    account_sid: strawberry.ID | None = prop("The sid of the account: `AC…`.")
    chat_service_sid: strawberry.ID = sid_of(0, "The sid of the service: `IS…`.")
    conversation_sid: strawberry.ID = sid_of(1, "The sid of the conversation: `CH…`.")
    identity: str | None = prop("The chat user's identity; null outside chat.", from_outside=True)
    attributes: str | None = prop("Data of the application, as JSON text.", from_outside=True)
    channel: str = prop(
        "The channel of the participant: `chat`, or the type of its `messagingBinding`, such as `sms` or `whatsapp`. `unknown` "
        "when Twilio's value could not be read.",
        derive=channel_of,
        of={},
    )
    messaging_binding: MessagingBinding | None = prop(
        "How the participant is reached outside chat; null for a chat user."
    )
    role_sid: strawberry.ID | None = prop("The sid of the participant's role: `RL…`.")
    last_read_message_index: int | None = prop(
        "The `index` of the last message that the chat user has read, as their application reports it. Null when it has "
        "reported none, and outside chat; 0 is the first message."
    )
    last_read_timestamp: DateTime | None = prop("When the participant last read a message, if known.")
    date_created: DateTime | None = prop("When the participant joined.")
    date_updated: DateTime | None = prop("When the participant was last updated.")
    url: Url | None = prop("The URL of the participant in Twilio's REST API.")

    @edge(
        "int | None",
        "How many messages of the conversation come after `lastReadMessageIndex`, as Twilio counts them. Null outside chat, "
        "and when it is not known: it is never 0 for that reason.",
        Price(Unit.PARENT, skipped="the participant is outside chat"),
        needs_row=True,
        estimate=estimated_unread_messages,
    )
    def unread_messages(self) -> UnreadMessages | None:
        return unread_messages(self)

    @edge("Service | None", "The service of the participant.", _OWNER, distinct=_BY_SERVICE)
    def service(self) -> Item:
        return Item(Service.resource, parent_of(parent_of(self.path)), self.listed)

    @edge("Conversation | None", "The conversation of the participant.", _OWNER, distinct=_BY_CONVERSATION)
    def conversation(self) -> Item:
        return Item(Conversation.resource, parent_of(self.path), self.listed)


ServiceConnection = Connection[Service]
ConversationConnection = Connection[Conversation]
MessageConnection = Connection[Message]
ParticipantConnection = Connection[Participant]
ParticipationConnection = Connection[Participation]
RecipientConnection = Connection[Recipient]


@embedded("One page of a message's receipts. Null, with an error at its path, when they could not be read.")
class ReceiptConnection(Connection[Receipt]):
    total_count: int | None = from_path(
        "The number of receipts with the requested statuses on all pages, at most "
        f"{Receipt.resource.rows_max}. Without other fields, and for all statuses, it is taken from the message and costs no "
        "upstream call.",
        attrgetter("total_count"),
    )


@embedded(
    "One page of the failures of a service. It may have fewer than `first` edges, even none, while `hasNextPage` is true. It "
    "is shown with what could be read: each list that could not be read has an error with the path of this field, and is "
    "counted in `scan.unread`. So an empty page means that there are no failures only if `scan.unread` is 0 and `hasNextPage` "
    "is false. Null, with an error at its path, when nothing could be read."
)
class FailureConnection(Connection[Receipt]):
    scan: ScanProgress = prop("How far the search has come with this page.")


RESOURCES: dict[str, Resource] = {
    kind.resource.collection: kind.resource for kind in (Service, Conversation, Message, Receipt, Participant)
}
"""The resources behind the types of node, by the collections in upstream paths."""
UPSTREAM_RESOURCES: dict[str, Resource] = {
    **RESOURCES,
    "ParticipantConversations": participations(),
    "UserConversations": user_conversations(),
}
"""All resources that are read (see `collection_of`)."""


def _recipients(
    message: Node,
    first: int | None = FIRST_DEFAULT,
    after: str | None = strawberry.UNSET,
    status: list[RecipientStatus] | None = strawberry.UNSET,
) -> RecipientList:
    return RecipientList(message, first, after, status)


def _status_filter(wanted: Iterable[Enum], status_of: Callable[[Any], Enum]) -> RowFilter:
    """Return the filter that matches rows with one of the wanted statuses."""
    statuses = set(wanted)
    key = ",".join(sorted(status.value for status in statuses))
    return RowFilter(lambda row: status_of(row) in statuses, key, matches_nothing=not statuses)

"""The subscription type: its fields, and the events that they deliver, made from updates.

An event is an instance of its type. It holds what the update and earlier reads prove; only `message` may have to be read.
"""

from collections.abc import Mapping
from copy import copy
from datetime import UTC, datetime
from enum import Enum
from operator import attrgetter
from typing import Annotated, Any, Self, TypeVar

import msgspec
import strawberry

from gateway.errors import BadUserInput
from gateway.execution.fields import EventSource, IncompleteField, edge, event_field
from gateway.execution.price import Price, Unit
from gateway.graph.connection import Edge, EdgeSource
from gateway.graph.delivery import DeliveryStatus, MessageDeliveryStatus, receipt_status, summary_status
from gateway.graph.error_codes import ErrorCode
from gateway.graph.ids import encode_id
from gateway.graph.limits import WATCHED_MAX
from gateway.graph.lists import WholeList
from gateway.graph.node import embedded, enum_value, prop
from gateway.graph.reads import Item, KnownItem, ReceiptOwner
from gateway.graph.scalars import DateTime
from gateway.graph.types import Conversation, Message, Receipt, Service
from gateway.source.journal import Update
from gateway.twilio.events import Change
from gateway.twilio.partial_rows import readable
from gateway.twilio.paths import checked_sid, child, collection_of, parent_of, sids_of
from gateway.twilio.resources import Resource, Row

__all__ = [
    "DeliveriesReady",
    "MessageChange",
    "MessageRemoval",
    "ReceiptChange",
    "Subscription",
    "UpdateSource",
    "deliveries_ready",
    "event_of",
    "message_change",
    "message_removal",
    "receipt_change",
]

T = TypeVar("T")

_MESSAGE = Price(Unit.ITEM, skipped="only ids and sids are selected, or the message is at hand")
_CURSOR = "The position after this event: to miss nothing, subscribe again with it as `after`."


@strawberry.enum(description="How a change was found.")
class UpdateSource(Enum):
    WEBHOOK = enum_value("WEBHOOK", "Twilio reported it by a webhook.")
    POLL = enum_value("POLL", "No webhook reported it: a comparison with Twilio's records found it.")


class _Complete:
    """An event that holds all that is selected of it, whatever that is."""

    def select(self, selected: Mapping[str, frozenset[str] | None]) -> tuple[Self, Item | None]:
        """See `Event`."""
        return self, None

    def with_record(self, record: Any) -> Self:
        """See `Event`."""
        return self


@embedded("A receipt that is new or has changed. Select `receipt { id … }`, and the cache of a client is up to date.")
class ReceiptChange(_Complete):
    unproved: strawberry.Private[frozenset[str]]
    """The properties of the receipt that nothing proves: they are read if they are selected."""
    has_delivery: strawberry.Private[bool]
    """Whether the delivery of the message is selected."""
    cursor: str = prop(_CURSOR)
    is_new: bool = prop("Whether no event or read of this gateway knew the receipt before.")
    receipt: Receipt = prop("The receipt as it is now. The same `id` as in queries.")
    receipt_edge: Edge[Receipt] = prop("To be added to `Message.receipts` without a `status` filter.")
    incomplete: ErrorCode | None = IncompleteField(  # type: ignore[valid-type]
        "Why something selected could not be read for this event; null when all was. What could not be read is null."
    )
    previous_status: DeliveryStatus | None = prop(
        "The `status` of the receipt before; null when that is not known.", derive=attrgetter("previous_status")
    )
    previous_delivery_status: MessageDeliveryStatus | None = prop(
        "The `deliveryStatus` of its message before; null when that is not known.",
        derive=attrgetter("previous_delivery_status"),
    )
    source: UpdateSource = prop("How the change was found.", derive=attrgetter("source"))
    received_at: DateTime = prop("When the gateway received it.")

    @edge("Message | None", "Its message as it is now; null when it could not be read.", _MESSAGE)
    def message(self) -> Item:
        read = ReceiptOwner if self.has_delivery else Item
        return read(Message.resource, parent_of(self.receipt.path), True)

    def set_receipt(self, receipt: Receipt) -> None:
        """Set the receipt, and the edge to it."""
        receipts = WholeList(Receipt.resource, parent_of(receipt.path), None, None)
        self.receipt = receipt
        self.receipt_edge = EdgeSource(receipt, receipts.key, "", 0)  # type: ignore[assignment]

    def select(self, selected: Mapping[str, frozenset[str] | None]) -> tuple[Self, Item | None]:
        """See `Event`. The receipt is read if one of its properties is selected that nothing proves."""
        properties, of_message = selected.get("Receipt", frozenset()), selected.get("Message", frozenset())
        needs = self.unproved if properties is None else self.unproved & properties
        event = copy(self)
        event.has_delivery = of_message is None or "delivery" in of_message
        return event, Item(Receipt.resource, self.receipt.path, True) if needs else None

    def with_record(self, record: Any) -> Self:
        """See `Event`."""
        event = copy(self)
        event.set_receipt(record)
        return event


@embedded("From here on nothing is missed. Comes first, and again whenever changes may have been missed.")
class DeliveriesReady(_Complete):
    cursor: str = prop(_CURSOR)
    refetch: bool = prop("Whether changes may have been missed: run your queries again.")
    webhooks: bool = prop("Whether webhooks arrive; if not, changes come by polling.")
    poll_seconds: int | None = prop("Seconds between polls; null when there are none.")


@embedded("A message that is new or has changed.")
class MessageChange(_Complete):
    path: strawberry.Private[str]
    proved: strawberry.Private[Mapping[str, Any]]
    """The properties of the message that events prove."""
    row: strawberry.Private[Row]
    """The message with these properties, if no other is selected."""
    cursor: str = prop(_CURSOR)
    is_new: bool = prop("Whether the message was added, and not changed.")
    message_sid: strawberry.ID = prop("The sid of the message: `IM…`.")
    incomplete: ErrorCode | None = IncompleteField(  # type: ignore[valid-type]
        "Why something selected could not be read for this event; null when all was. What could not be read is null."
    )

    @edge("Message | None", "The message as it is now; null when it could not be read.", _MESSAGE)
    def message(self) -> Item:
        return KnownItem(Message.resource, self.path, True, row=self.row)

    def select(self, selected: Mapping[str, frozenset[str] | None]) -> tuple[Self, Item | None]:
        """See `Event`. The message is not read if events prove all that is selected of it."""
        properties = selected.get("Message")
        if not properties or not properties <= self.proved.keys():
            return self, None
        event = copy(self)
        event.row = _proved_message(self.path, self.proved)
        return event, None


@embedded("A message that was removed.")
class MessageRemoval(_Complete):
    cursor: str = prop(_CURSOR)
    message_id: strawberry.ID = prop("The `id` of the message, to be removed from a client's cache.")
    message_sid: strawberry.ID = prop("The sid of the message: `IM…`.")


DeliveryEvent = Annotated[
    ReceiptChange | DeliveriesReady,
    strawberry.union("DeliveryEvent", description="An event of `deliveryUpdated`."),
]
MessageEvent = Annotated[
    MessageChange | MessageRemoval | DeliveriesReady,
    strawberry.union("MessageEvent", description="An event of `messageChanged`."),
]

_ServiceSid = Annotated[strawberry.ID, strawberry.argument(description="The sid of the service: `IS…`.")]
_ConversationSids = Annotated[
    list[strawberry.ID] | None,
    strawberry.argument(description=f"Only these conversations: 1 to {WATCHED_MAX}; null for all of the service."),
]
_MessageSids = Annotated[
    list[strawberry.ID] | None,
    strawberry.argument(description=f"Only these messages: 1 to {WATCHED_MAX}; null for all."),
]
_After = Annotated[
    str | None,
    strawberry.argument(
        description="Return events after this `cursor`, if they are still stored; otherwise `DeliveriesReady` says `refetch`. "
        "Null begins now, and `refetch` is true then, since a client that reconnects by itself sends the same variables."
    ),
]


def _sample(type_name: str, arguments: Mapping[str, Any]) -> Any:
    """Return an event of some message of the service, of which nothing is known: for an estimate."""
    path = f"Services/{arguments['serviceSid']}/Conversations/CH{0:032x}/Messages/IM{0:032x}"
    if type_name == "ReceiptChange":
        # Webhooks carry all properties but the URL, which is known once any record has been read.
        return _receipt_event(child(path, Receipt.resource.collection, f"DY{0:032x}"), None, frozenset(["url"]))
    return _event(MessageChange, path=path, proved={}, row=None) if type_name == "MessageChange" else _Complete()


@strawberry.type(
    description="What can be subscribed to. Each field is a stream of events; an event never has `errors`."
)
class Subscription:
    @event_field(
        "DeliveryEvent | None",
        "Deliveries as they change. Begins with `DeliveriesReady`. Without `conversationSids`, changes come by webhooks only; "
        "those of named conversations are also found by polling. A message that is sent by REST without "
        "`X-Twilio-Webhook-Enabled` fires no webhook: polling alone finds it.",
        sample=_sample,
    )
    def delivery_updated(
        self,
        service_sid: _ServiceSid,
        conversation_sids: _ConversationSids = strawberry.UNSET,
        message_sids: _MessageSids = strawberry.UNSET,
        after: _After = strawberry.UNSET,
    ) -> EventSource:
        return _source(
            service_sid,
            conversation_sids,
            after,
            messageSids=_sids("messageSids", message_sids, Message.resource),
        )

    @event_field(
        "MessageEvent | None",
        "Messages that are added, changed and removed. Begins with `DeliveriesReady`. Without `conversationSids`, changes come "
        "by webhooks only; those of named conversations are also found by polling. A message that is sent by REST without "
        "`X-Twilio-Webhook-Enabled` fires no webhook: polling alone finds it.",
        sample=_sample,
    )
    def message_changed(
        self,
        service_sid: _ServiceSid,
        conversation_sids: _ConversationSids = strawberry.UNSET,
        after: _After = strawberry.UNSET,
    ) -> EventSource:
        return _source(service_sid, conversation_sids, after)


def receipt_change(update: Update, cursor: str) -> ReceiptChange:
    """Return the event of a receipt's update."""
    row, before = update.row, update.before
    names = Receipt.resource.row.__struct_fields__
    unproved = {name for name in names if name not in update.properties and readable(row, name, row) is None}
    event = _receipt_event(update.event.path, row, frozenset(unproved))
    event.cursor, event.is_new = cursor, not before.is_known
    status = receipt_status(before) if before.has_status else None
    # The same status as now shows that a read has found the change before the event arrived.
    event.previous_status = status if status is not receipt_status(row) else None
    event.previous_delivery_status = summary_status(before.summary) if before.summary is not None else None
    event.source = UpdateSource(update.event.source.value)
    received_at = datetime.fromtimestamp(update.received_at, UTC).isoformat(timespec="milliseconds")
    event.received_at = DateTime(received_at.replace("+00:00", "Z"))
    return event


def message_change(update: Update, cursor: str) -> MessageChange:
    """Return the event of a message that was added or changed."""
    path = update.event.path
    is_new = update.event.change is Change.ADDED
    sid, proved = path.rpartition("/")[2], update.properties
    return _event(MessageChange, path=path, proved=proved, row=None, cursor=cursor, is_new=is_new, message_sid=sid)


def message_removal(update: Update, cursor: str) -> MessageRemoval:
    """Return the event of a message that was removed."""
    path = update.event.path
    sid = path.rpartition("/")[2]
    return _event(MessageRemoval, cursor=cursor, message_id=encode_id(Message.resource, path), message_sid=sid)


def deliveries_ready(cursor: str, *, refetch: bool, webhooks: bool, poll_seconds: int | None) -> DeliveriesReady:
    """Return the event that says from where on nothing is missed."""
    return _event(DeliveriesReady, cursor=cursor, refetch=refetch, webhooks=webhooks, poll_seconds=poll_seconds)


def event_of(field: str, update: Update, cursor: str) -> ReceiptChange | MessageChange | MessageRemoval | None:
    """Return the event of a field of the subscription type that an update is; None if it is none of that field."""
    collection = collection_of(update.event.path)
    if field == "deliveryUpdated":
        return receipt_change(update, cursor) if collection == Receipt.resource.collection else None
    if collection != Message.resource.collection:
        return None
    return (message_removal if update.event.change is Change.REMOVED else message_change)(update, cursor)


def _receipt_event(path: str, row: Row, unproved: frozenset[str] = frozenset()) -> ReceiptChange:
    receipt = Receipt.resource.node(path=path, row=row, listed=True)
    event = _event(ReceiptChange, unproved=unproved, has_delivery=False)
    event.set_receipt(receipt)
    return event


def _proved_message(path: str, properties: Mapping[str, Any]) -> Row | None:
    """Return the row of a message with the properties that events prove; None if one of them cannot be read."""
    resource = Message.resource
    owners = {owner.sid_property: sid for owner, sid in zip(resource.ancestors, sids_of(path), strict=False)}
    try:
        return msgspec.convert({**properties, **owners, "sid": path.rpartition("/")[2]}, resource.row, strict=False)
    except msgspec.ValidationError:
        return None


def _event(kind: type[T], **values: Any) -> T:
    event = object.__new__(kind)
    vars(event).update(values)
    return event


def _source(service_sid: str, conversation_sids: Any, after: Any, **more: Any) -> EventSource:
    """Return what a subscription asks for; raises `BadUserInput` for sids of another kind, and for too many."""
    arguments = {
        "serviceSid": checked_sid(service_sid, Service.resource.prefix),
        "conversationSids": _sids("conversationSids", conversation_sids, Conversation.resource),
        **more,
        "after": after if isinstance(after, str) else None,
    }
    return EventSource(arguments, Item(Service.resource, child("", Service.resource.collection, service_sid)))


def _sids(name: str, sids: Any, resource: Resource) -> tuple[str, ...] | None:
    if not isinstance(sids, list):
        return None
    if not 1 <= len(sids) <= WATCHED_MAX:
        raise BadUserInput(f"`{name}` must have 1 to {WATCHED_MAX} sids; null means all.")
    return tuple(dict.fromkeys(checked_sid(sid, resource.prefix) for sid in sids))

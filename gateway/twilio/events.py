"""Events: what a webhook says, as a value. Pure functions over its parameters, no I/O.

Follows https://www.twilio.com/docs/conversations/conversations-webhooks. An event says that one record was added, changed or
removed, with some of the record's properties, under the names that REST gives them:

    EventType                     change     record         properties that it proves, besides the sids of its owners
    onDeliveryUpdated             UPDATED    Receipt        status, error_code, channel_message_sid, participant_sid, both dates
    onMessageAdded                ADDED      Message        index, author, body, attributes, participant_sid, date_created
    onMessageUpdated              UPDATED    Message        the same, and date_updated
    onMessageRemoved              REMOVED    Message        -
    onParticipantAdded            ADDED      Participant    identity, role_sid, attributes, messaging_binding, date_created
    onParticipantUpdated          UPDATED    Participant    the same, date_updated and last_read_message_index
    onParticipantRemoved          REMOVED    Participant    -
    onConversationStateUpdated    UPDATED    Conversation   state, date_updated

An absent parameter proves nothing, with one exception: a delivery that did not fail and has no `ErrorCode` has no error.
`DeliveryStatus`, which some descriptions name in place of `Status`, is read where that is absent.
Dates are cut to whole seconds, as REST returns them. All other parameters are ignored, so that Twilio can add some.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

import msgspec

from gateway.twilio.paths import is_sid

__all__ = ["EVENT_TYPES", "Change", "Event", "InvalidEvent", "UpdateSource", "read_event", "whole_seconds"]

_DATE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:[.,]\d{1,9})?(?:Z|[+-]00:?00)", re.ASCII)
_STATUS = re.compile(r"[A-Za-z_-]{1,40}", re.ASCII)
_INTEGER = re.compile(r"-?\d{1,10}", re.ASCII)


class InvalidEvent(ValueError):
    """Parameters that are no event of a kind that is read; the message holds none of their values."""


class Change(Enum):
    """What happened to a record."""

    ADDED = "added"
    UPDATED = "updated"
    REMOVED = "removed"


class UpdateSource(Enum):
    """How a change was found."""

    WEBHOOK = "WEBHOOK"
    POLL = "POLL"


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One change of one record."""

    change: Change
    path: str
    """The record's upstream path."""
    properties: dict[str, Any]
    """The properties that are proved, by REST's names."""
    date: str
    """When it happened, by Twilio's clock: an ISO 8601 date in whole seconds."""
    source: UpdateSource = UpdateSource.WEBHOOK

    def __repr__(self) -> str:
        return f"Event({self.change.value}, {self.path!r}, {self.date!r})"  # Properties may hold personal data.


_RECEIPT = {
    "DeliveryStatus": "status",
    "Status": "status",
    "ErrorCode": "error_code",
    "ChannelMessageSid": "channel_message_sid",
}
_MESSAGE = {"Index": "index", "Author": "author", "Body": "body", "Attributes": "attributes"}
_PARTICIPANT = {"Identity": "identity", "RoleSid": "role_sid", "Attributes": "attributes"}
_ACCOUNT = {"AccountSid": "account_sid"}
_DATES = {"DateUpdated": "date_updated", "DateCreated": "date_created"}
_LAST_READ = {"LastReadMessageIndex": "last_read_message_index"}
_STATE = {"StateTo": "state", "StateUpdated": "date_updated"}
_OF_PARTICIPANT = {"ParticipantSid": "participant_sid"}
_INTEGERS = {"index", "error_code", "last_read_message_index"}
_BINDING = {
    "Type": "type",
    "Address": "address",
    "ProxyAddress": "proxy_address",
    "ProjectedAddress": "projected_address",
}


class _Kind(msgspec.Struct, frozen=True):
    """How events of one type are read."""

    change: Change
    levels: tuple[tuple[str, str, str], ...]
    """The record's path below the conversation: collection, parameter of the sid, and prefix."""
    properties: Mapping[str, str] = {}
    """Parameters that are properties of the record: the parameter's name to REST's."""
    date: str = "DateUpdated"
    """The parameter that says when it happened."""


_MESSAGES = (("Messages", "MessageSid", "IM"),)
_RECEIPTS = (*_MESSAGES, ("Receipts", "DeliveryReceiptSid", "DY"))
_PARTICIPANTS = (("Participants", "ParticipantSid", "MB"),)

_KINDS: dict[str, _Kind] = {
    "onDeliveryUpdated": _Kind(Change.UPDATED, _RECEIPTS, _ACCOUNT | _RECEIPT | _DATES | _OF_PARTICIPANT),
    "onMessageAdded": _Kind(Change.ADDED, _MESSAGES, _ACCOUNT | _MESSAGE | _DATES | _OF_PARTICIPANT, "DateCreated"),
    "onMessageUpdated": _Kind(Change.UPDATED, _MESSAGES, _ACCOUNT | _MESSAGE | _DATES | _OF_PARTICIPANT),
    "onMessageRemoved": _Kind(Change.REMOVED, _MESSAGES, date="DateRemoved"),
    "onParticipantAdded": _Kind(Change.ADDED, _PARTICIPANTS, _ACCOUNT | _PARTICIPANT | _DATES, "DateCreated"),
    "onParticipantUpdated": _Kind(Change.UPDATED, _PARTICIPANTS, _ACCOUNT | _PARTICIPANT | _DATES | _LAST_READ),
    "onParticipantRemoved": _Kind(Change.REMOVED, _PARTICIPANTS, date="DateRemoved"),
    "onConversationStateUpdated": _Kind(Change.UPDATED, (), _STATE, "StateUpdated"),
}
EVENT_TYPES = tuple(_KINDS)
"""The values of `EventType` that are read."""


def read_event(parameters: Mapping[str, str]) -> Event:
    """Return the event that a webhook's parameters are.

    Raises `InvalidEvent` for a type that is not read, and for sids, dates or a status in an unknown form.
    """
    kind = _KINDS.get(parameters.get("EventType", ""))
    if kind is None:
        raise InvalidEvent("EventType is not one that is read.")
    path = "Services/" + _sid(parameters, "ChatServiceSid", "IS")
    path += "/Conversations/" + _sid(parameters, "ConversationSid", "CH")
    for collection, name, prefix in kind.levels:
        path += f"/{collection}/{_sid(parameters, name, prefix)}"
    properties = _properties(kind, parameters)
    if kind.levels is _RECEIPTS:
        status = properties.setdefault("status", None)  # REST's null: the message has not left Twilio.
        if status is not None and not _STATUS.fullmatch(status):
            raise InvalidEvent("Status is not a word.")
        if "ErrorCode" not in parameters and status not in {"failed", "undelivered"}:
            properties["error_code"] = None
    elif kind.levels is _PARTICIPANTS and kind.properties:
        binding = {
            prop: text for name, prop in _BINDING.items() if (text := parameters.get(f"MessagingBinding.{name}"))
        }
        if binding.keys() - {"type"}:
            properties["messaging_binding"] = binding
    date = next((text for name in (kind.date, *_DATES) if (text := parameters.get(name))), None)
    if date is None:
        raise InvalidEvent(f"{kind.date} is missing.")
    return Event(kind.change, path, properties, whole_seconds(date, kind.date))


def whole_seconds(text: str, name: str = "The date") -> str:
    """Return an ISO 8601 date in UTC without its fraction: `2026-03-24T20:37:57Z`. Raises `InvalidEvent` for any other text."""
    match = _DATE.fullmatch(text)
    if match is None:
        raise InvalidEvent(f"{name} is not an ISO 8601 date in UTC.")
    return f"{match[1]}Z"


def _sid(parameters: Mapping[str, str], name: str, prefix: str) -> str:
    sid = parameters.get(name, "")
    if not is_sid(sid, prefix):
        raise InvalidEvent(f"{name} is not a sid of the form {prefix}….")
    return sid


def _properties(kind: _Kind, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return the properties of the record that the parameters prove; one whose text cannot be read is left out."""
    properties: dict[str, Any] = {}
    for name, prop in kind.properties.items():
        text = parameters.get(name)
        if text is None:
            continue
        if prop in _INTEGERS:
            if _INTEGER.fullmatch(text) and -(2**31) <= int(text) < 2**31:
                properties[prop] = int(text)
        elif prop.startswith("date_"):
            properties[prop] = whole_seconds(text, name) if text else None
        elif prop.endswith("_sid"):
            if not text or is_sid(text):
                properties[prop] = text or None
        else:
            properties[prop] = text or None if prop in {"status", "state", "identity"} else text
    return properties

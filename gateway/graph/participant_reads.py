"""The reads of the participants that messages and receipts name."""

from functools import lru_cache
from typing import Any

from gateway.errors import UpstreamInvalidResponse
from gateway.execution.fields import Distinct
from gateway.graph.node import Node, resource_of
from gateway.graph.reads import Item, Member
from gateway.twilio.paths import is_sid

__all__ = ["BY_PARTICIPANT", "estimated_participant", "named_participant", "participants_of"]


def named_participant(record: Any) -> Item | Member | None:
    """Return the read of the participant that a record names; None when it names none."""
    sid = record.row.participant_sid
    return _named(_conversation_path(record.path), sid, record.listed) if sid is not None else None


def estimated_participant(record: Node, token: str) -> Item | Member:
    """Return the read of the participant of a record without a row, for an estimate."""
    return _read(_conversation_path(record.path), token, record.listed)


def participants_of(path: str) -> Member:
    """Return the read of all participants of the conversation that a message belongs to, for an estimate."""
    list_path = resource_of("Participants").list_path(_conversation_path(path))
    return Member(resource_of("Participants"), list_path, "", list_path)


def _conversation_path(path: str) -> str:
    """Return the path of the conversation of a message or receipt, or of their list."""
    return path.partition("/Messages")[0]


def _of_rows(conversation_path: str, sid: str | None) -> Item | Member | None:
    """Return the read of the participant that the rows of a list name."""
    return _named(conversation_path, sid, True) if sid is not None else None


BY_PARTICIPANT = Distinct(_conversation_path, _of_rows, "participant_sid")
"""Rows of messages, receipts and recipients with the same participant."""


@lru_cache(maxsize=1024)  # The receipts of a conversation name the same few participants.
def _named(conversation_path: str, sid: str, listed: bool) -> Item | Member:
    if not is_sid(sid, resource_of("Participants").prefix):
        raise UpstreamInvalidResponse("Twilio named a participant by something that is not a sid.")
    return _read(conversation_path, sid, listed)


def _read(conversation_path: str, sid: str, listed: bool) -> Item | Member:
    """Return the read of a participant: from the conversation's list below a list, by its path otherwise."""
    resource = resource_of("Participants")
    list_path = resource.list_path(conversation_path)
    path = f"{list_path}/{sid}"
    return Member(resource, list_path, sid, path) if listed else Item(resource, path)

"""The conversations of a person, found by chat identity or by address."""

import re
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import strawberry

from gateway.errors import BadUserInput, UpstreamInvalidResponse
from gateway.execution.fields import edge
from gateway.execution.price import Price, Unit
from gateway.graph.lists import PagedList
from gateway.graph.node import Entry, entry, prop, resource_of
from gateway.graph.reads import Item
from gateway.twilio.paths import checked_name, child, is_sid, parent_of
from gateway.twilio.resources import Resource

if TYPE_CHECKING:
    from gateway.graph.types import Conversation, Participant

__all__ = ["Participation", "ParticipationList", "PersonInput", "participations"]

_Conversation = Annotated["Conversation", strawberry.lazy("gateway.graph.types")]
_Participant = Annotated["Participant", strawberry.lazy("gateway.graph.types")]
_PERSON = re.compile(r"(?<![^&])(Identity|Address)=[^&]*")
_ITEM = Price(Unit.ITEM, skipped="only ids and sids are selected")


@strawberry.input(
    one_of=True,
    description="A person, by exactly one of these. Both identify somebody: an operation with this input is accepted by POST "
    "only, and its values appear in no log, trace, metric or error.",
)
class PersonInput:
    identity: str | None = strawberry.field(default=strawberry.UNSET, description="The `identity` of a chat user.")
    address: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="The address of somebody outside chat, as in `messagingBinding { address }`: `+15550100`, or "
        "`whatsapp:+15550100`.",
    )


@entry(
    "A person in one conversation. It has no id of its own: those of the participant and the conversation are permanent."
)
class Participation(Entry):
    conversation_sid: strawberry.ID = prop("The sid of the conversation: `CH…`.")
    participant_sid: strawberry.ID = prop(
        "The sid of the person as a participant of the conversation: `MB…`.", derive=attrgetter("sid"), of={}
    )

    @edge(
        "_Conversation | None",
        "The conversation. Null when it no longer exists.",
        _ITEM,
        needs_row=True,
        estimate=lambda participation, token: _conversation(participation, token),
    )
    def conversation(self) -> Item:
        return _conversation(self, _conversation_sid(self))

    @edge(
        "_Participant | None",
        "The person as a participant of the conversation. Null when they have left it.",
        _ITEM,
        needs_row=True,
        estimate=lambda participation, token: _participant(participation, token),
    )
    def participant(self) -> Item:
        return _participant(self, _conversation_sid(self))


@cache
def participations() -> Resource:
    """Return the resource of participations."""
    return Resource(
        type_name="Participation",
        collection="ParticipantConversations",
        prefix="MB",
        letter="",
        rows_key="conversations",
        page_max=50,
        rows_max=None,
        lifetime="messages",
        list_lifetime="messages",
        final_lifetime=None,
        is_final=None,
        sid_property="",
        name_property=None,
        parent=resource_of("Services"),
        properties=Participation.properties,  # type: ignore[attr-defined]
        node=Participation,
        sid_key="participant_sid",
    )


class ParticipationList(PagedList):
    """The participations of a person. Cursors do not hold who it is: the next request says it again."""

    __slots__ = ("_person",)

    def __init__(self, service_path: str, by: PersonInput, first: int | None, after: str | None) -> None:
        """Read the participations in a service; raises `BadUserInput` for a person that cannot be searched for."""
        given = {"Identity": by.identity, "Address": by.address}
        parameters = tuple((name, value) for name, value in given.items() if isinstance(value, str))
        if len(parameters) != 1:
            raise BadUserInput("Give exactly one of `identity` and `address` in `by`.")
        ((name, value),) = parameters
        checked_name(value, name.lower())
        self._person = f"{name}={quote(value, safe='')}"
        super().__init__(participations(), service_path, first, after, parameters=parameters)

    def shown_query(self, query: str) -> str:
        """Return the parameters of a page without the value that identifies the person."""
        return _PERSON.sub(r"\1=", query)

    def sent_query(self, query: str) -> str:
        """Return them with that value."""
        return _PERSON.sub(lambda _: self._person, query)


def _conversation_sid(participation: Participation) -> str:
    sid: str = participation.row.conversation_sid
    if not is_sid(sid, "CH"):
        raise UpstreamInvalidResponse("Twilio named a conversation by something that is not a sid.")
    return sid


def _conversation(participation: Participation, sid: str) -> Item:
    resource = resource_of("Conversations")
    return Item(resource, child(parent_of(participation.path), resource.collection, sid), listed=True)


def _participant(participation: Participation, conversation_sid: str) -> Item:
    resource, sid = resource_of("Participants"), participation.path.rpartition("/")[2]
    conversation = _conversation(participation, conversation_sid)
    return Item(resource, child(conversation.path, resource.collection, sid), listed=True)

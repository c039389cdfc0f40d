"""Routes that lead from a person to conversations: those of a participant by identity or address, and those of a user."""

from typing import Any

from .conversation import ConversationRecord
from .pages import ListResource
from .parameters import PARTICIPANT, read_form
from .participants import ParticipantRecord
from .request import ResourceRequest, not_found
from .resources import date
from .responses import ApiError, SandboxResponse

Membership = tuple[ConversationRecord, ParticipantRecord]
READ_HORIZON = {name: PARTICIPANT[name] for name in ("LastReadMessageIndex", "LastReadTimestamp")}


def participant_conversations(request: ResourceRequest) -> SandboxResponse:
    """The search is for exactly one of `Identity` and `Address`."""
    filters = {name: request.query[name] for name in ("Identity", "Address") if request.query.get(name)}
    if len(filters) != 1:
        raise ApiError(400, 50451, "Give either Identity or Address")
    ((name, value),) = filters.items()
    found = {
        conversation.number: (conversation, participant)
        for conversation in request.service.conversations.values()
        for participant in conversation.present_participants()
        if value == (participant.identity if name == "Identity" else (participant.binding or {}).get("address"))
    }
    return request.page(
        ListResource(
            "conversations",
            f"participant conversations {request.service.sid} {filters}",
            50,
            list(found),
            lambda number: _participant_conversation(request, *found[number]),
            filters=filters,
        )
    )


def user_conversations(request: ResourceRequest) -> SandboxResponse:
    found = {conversation.number: (conversation, participant) for conversation, participant in _memberships(request)}
    return request.page(
        ListResource(
            "conversations",
            f"user conversations {request.service.sid} {request.ids[1]}",
            50,
            list(found),
            lambda number: _user_conversation(request, *found[number]),
        )
    )


def user_conversation(request: ResourceRequest) -> SandboxResponse:
    return SandboxResponse.json(200, _user_conversation(request, *_membership(request)))


def update_user_conversation(request: ResourceRequest) -> SandboxResponse:
    """Only the read horizon can be changed."""
    conversation, participant = _membership(request)
    now = request.world.tick()
    values = {"date_updated": now} | read_form(request.form, READ_HORIZON, now)
    changed = conversation.change_participant(participant, **values)
    return SandboxResponse.json(200, _user_conversation(request, conversation, changed))


def _memberships(request: ResourceRequest) -> list[Membership]:
    """Return the conversations of the user whose sid or identity is in the path; raises ApiError if there is no such user."""
    name, service = request.ids[1], request.service
    found = [
        (conversation, participant)
        for conversation in service.conversations.values()
        for participant in conversation.present_participants()
        if participant.identity is not None
        and name in (participant.identity, request.world.user_sid(service.sid, participant.identity))
    ]
    if not found:
        raise not_found(request.path)
    return found


def _membership(request: ResourceRequest) -> Membership:
    wanted = request.service.find(request.ids[2])
    for conversation, participant in _memberships(request):
        if conversation is wanted:
            return conversation, participant
    raise not_found(request.path)


def _participant_conversation(
    request: ResourceRequest, conversation: ConversationRecord, participant: ParticipantRecord
) -> dict[str, Any]:
    row, identity = request.renderer.conversation(conversation), participant.identity
    return {
        "account_sid": row["account_sid"],
        "chat_service_sid": row["chat_service_sid"],
        "participant_sid": participant.sid,
        "participant_user_sid": request.world.user_sid(conversation.service_sid, identity)
        if identity is not None
        else None,
        "participant_identity": identity,
        "participant_messaging_binding": participant.binding,
        "conversation_sid": conversation.sid,
        "conversation_unique_name": row["unique_name"],
        "conversation_friendly_name": row["friendly_name"],
        "conversation_attributes": row["attributes"],
        "conversation_date_created": row["date_created"],
        "conversation_date_updated": row["date_updated"],
        "conversation_created_by": None,
        "conversation_state": row["state"],
        "conversation_timers": row["timers"],
        "links": {"participant": f"{row['url']}/Participants/{participant.sid}", "conversation": row["url"]},
    }


def _user_conversation(
    request: ResourceRequest, conversation: ConversationRecord, participant: ParticipantRecord
) -> dict[str, Any]:
    row = request.renderer.conversation(conversation)
    user_sid = request.world.user_sid(conversation.service_sid, participant.identity or "")
    return {
        "account_sid": row["account_sid"],
        "chat_service_sid": row["chat_service_sid"],
        "conversation_sid": conversation.sid,
        "unread_messages_count": conversation.unread_messages(participant),
        "last_read_message_index": participant.last_read_message_index,
        "participant_sid": participant.sid,
        "user_sid": user_sid,
        "friendly_name": row["friendly_name"],
        "conversation_state": row["state"],
        "timers": row["timers"],
        "attributes": row["attributes"],
        "date_created": date(participant.date_created),
        "date_updated": date(participant.date_updated),
        "created_by": None,
        "notification_level": "default",
        "unique_name": row["unique_name"],
        "url": f"{request.renderer.service_url(conversation.service_sid)}/Users/{user_sid}/Conversations/{conversation.sid}",
        "links": {"participant": f"{row['url']}/Participants/{participant.sid}", "conversation": row["url"]},
    }

"""POST and DELETE routes: conversations, messages and participants, with form-encoded bodies."""

from dataclasses import replace

from .conversation import ConversationSettings
from .occurrences import Occurrence
from .parameters import CONVERSATION, MESSAGE, PARTICIPANT, read_form
from .request import ResourceRequest
from .responses import ApiError, SandboxResponse

NON_CHAT_LIMIT = 50


def create_conversation(request: ResourceRequest) -> SandboxResponse:
    now = request.world.tick()
    settings = ConversationSettings(
        messaging_service_sid=request.service.messaging_service_sid, date_created=now, date_updated=now
    )
    created = request.world.add_conversation(request.service, _settings(request, settings, now))
    return SandboxResponse.json(201, request.renderer.conversation(created))


def update_conversation(request: ResourceRequest) -> SandboxResponse:
    now = request.world.tick()
    state = request.conversation.settings.state
    settings = _settings(
        request, replace(request.conversation.settings, date_updated=now), now, request.conversation.sid
    )
    request.world.change_conversation(request.service, request.conversation, settings)
    if settings.state != state:
        request.fire(Occurrence("onConversationStateUpdated", request.conversation, now, state_from=state))
    return SandboxResponse.json(200, request.renderer.conversation(request.conversation))


def delete_conversation(request: ResourceRequest) -> SandboxResponse:
    request.world.remove_conversation(request.service, request.conversation)
    request.world.tick()
    return SandboxResponse(204)


def create_message(request: ResourceRequest) -> SandboxResponse:
    if request.conversation.settings.state == "closed":
        raise ApiError(400, 50377, "Conversation is closed")
    now = request.world.tick()
    values = {
        "author": "system",
        "body": None,
        "media": None,
        "attributes": "{}",
        "content_sid": None,
        "date_created": now,
        "date_updated": now,
    }
    created = request.conversation.add_message(**(values | read_form(request.form, MESSAGE, now)))
    request.fire(Occurrence("onMessageAdded", request.conversation, now, created))
    return SandboxResponse.json(201, request.renderer.message(request.conversation, created))


def update_message(request: ResourceRequest) -> SandboxResponse:
    now = request.world.tick()
    values = {"date_updated": now} | read_form(request.form, MESSAGE, now)
    changed = request.conversation.change_message(request.message, **values)
    request.fire(Occurrence("onMessageUpdated", request.conversation, now, changed))
    return SandboxResponse.json(200, request.renderer.message(request.conversation, changed))


def delete_message(request: ResourceRequest) -> SandboxResponse:
    request.conversation.remove_message(request.message)
    request.fire(Occurrence("onMessageRemoved", request.conversation, request.world.tick(), request.message))
    return SandboxResponse(204)


def create_participant(request: ResourceRequest) -> SandboxResponse:
    conversation = request.conversation
    form = request.form
    identity, address = form.get("Identity") or None, form.get("MessagingBinding.Address") or None
    if (identity is None) == (address is None):
        raise ApiError(400, 20001, "Give either Identity or MessagingBinding.Address")
    present = conversation.present_participants()
    if identity is not None and any(one.identity == identity for one in present):
        raise ApiError(409, 50433, "Participant already exists")
    proxy = form.get("MessagingBinding.ProxyAddress") or None
    if address is not None:
        if any(one.is_reachable and one.name == address for one in present):
            raise ApiError(409, 50416, "A binding for this participant and proxy address already exists")
        if sum(one.is_reachable for one in present) >= NON_CHAT_LIMIT:
            raise ApiError(403, 50422, f"No more than {NON_CHAT_LIMIT} participants outside chat")
    channel = "chat" if address is None else "WA" if address.startswith("whatsapp:") else "SM"
    projected = form.get("MessagingBinding.ProjectedAddress") or None
    binding = {
        "type": "whatsapp" if channel == "WA" else "sms",
        **({"address": address} if address else {}),
        **({"proxy_address": proxy} if proxy else {}),
        **({"projected_address": projected} if projected else {}),
    }
    now = request.world.tick()
    values = {
        "channel": "both" if channel == "chat" and projected else channel,
        "identity": identity,
        "binding": binding if len(binding) > 1 else None,
        "attributes": "{}",
        "role_sid": conversation.role_sid,
        "date_created": now,
        "date_updated": now,
    }
    created = conversation.add_participant(**(values | read_form(form, PARTICIPANT, now)))
    request.fire(Occurrence("onParticipantAdded", conversation, now, created))
    return SandboxResponse.json(201, request.renderer.participant(conversation, created))


def update_participant(request: ResourceRequest) -> SandboxResponse:
    now = request.world.tick()
    values = {"date_updated": now} | read_form(request.form, PARTICIPANT, now)
    changed = request.conversation.change_participant(request.participant, **values)
    request.fire(Occurrence("onParticipantUpdated", request.conversation, now, changed))
    return SandboxResponse.json(200, request.renderer.participant(request.conversation, changed))


def delete_participant(request: ResourceRequest) -> SandboxResponse:
    request.conversation.remove_participant(request.participant)
    request.fire(Occurrence("onParticipantRemoved", request.conversation, request.world.tick(), request.participant))
    return SandboxResponse(204)


def _settings(
    request: ResourceRequest, settings: ConversationSettings, now: int, own_sid: str | None = None
) -> ConversationSettings:
    values = read_form(request.form, CONVERSATION, now)
    timers = {name: values.pop(name) for name in ("date_inactive", "date_closed") if name in values}
    settings = replace(settings, timers=settings.timers | timers, **values)
    owner = request.service.by_unique_name.get(settings.unique_name or "")
    if owner is not None and owner.sid != own_sid:
        raise ApiError(409, 50353, "Conversation with provided unique name already exists")
    return settings

"""What can be changed: conversations, messages and participants, made, edited and deleted by form-encoded posts."""

from dataclasses import replace

from .answers import Answer, Refusal
from .conversation import Settings
from .parameters import CONVERSATION, MESSAGE, PARTICIPANT, read_form
from .request import Visit

NON_CHAT_LIMIT = 50


def create_conversation(visit: Visit) -> Answer:
    now = visit.world.tick()
    settings = Settings(messaging_service_sid=visit.service.messaging_service_sid, date_created=now, date_updated=now)
    made = visit.world.add_conversation(visit.service, _settings(visit, settings, now))
    return Answer.of(201, visit.rendering.conversation(made))


def update_conversation(visit: Visit) -> Answer:
    now = visit.world.tick()
    settings = _settings(visit, replace(visit.conversation.settings, date_updated=now), now, visit.conversation.sid)
    visit.world.change_conversation(visit.service, visit.conversation, settings)
    return Answer.of(200, visit.rendering.conversation(visit.conversation))


def delete_conversation(visit: Visit) -> Answer:
    visit.world.remove_conversation(visit.service, visit.conversation)
    visit.world.tick()
    return Answer(204)


def create_message(visit: Visit) -> Answer:
    if visit.conversation.settings.state == "closed":
        raise Refusal(400, 50377, "Conversation is closed")
    now = visit.world.tick()
    values = {
        "author": "system",
        "body": None,
        "media": None,
        "attributes": "{}",
        "content_sid": None,
        "date_created": now,
        "date_updated": now,
    }
    made = visit.conversation.add_message(**(values | read_form(visit.form, MESSAGE, now)))
    return Answer.of(201, visit.rendering.message(visit.conversation, made))


def update_message(visit: Visit) -> Answer:
    now = visit.world.tick()
    values = {"date_updated": now} | read_form(visit.form, MESSAGE, now)
    changed = visit.conversation.change_message(visit.message, **values)
    return Answer.of(200, visit.rendering.message(visit.conversation, changed))


def delete_message(visit: Visit) -> Answer:
    visit.conversation.remove_message(visit.message)
    visit.world.tick()
    return Answer(204)


def create_participant(visit: Visit) -> Answer:
    there = visit.conversation
    form = visit.form
    identity, address = form.get("Identity") or None, form.get("MessagingBinding.Address") or None
    if (identity is None) == (address is None):
        raise Refusal(400, 20001, "Give either Identity or MessagingBinding.Address")
    present = [there.cast[number] for number in there.participant_numbers()]
    if identity is not None and any(one.identity == identity for one in present):
        raise Refusal(409, 50433, "Participant already exists")
    proxy = form.get("MessagingBinding.ProxyAddress") or None
    if address is not None:
        if any(one.is_reachable and one.name == address for one in present):
            raise Refusal(409, 50416, "A binding for this participant and proxy address already exists")
        if sum(one.is_reachable for one in present) >= NON_CHAT_LIMIT:
            raise Refusal(403, 50422, f"No more than {NON_CHAT_LIMIT} participants outside chat")
    channel = "chat" if address is None else "WA" if address.startswith("whatsapp:") else "SM"
    projected = form.get("MessagingBinding.ProjectedAddress") or None
    binding = {
        "type": "whatsapp" if channel == "WA" else "sms",
        **({"address": address} if address else {}),
        **({"proxy_address": proxy} if proxy else {}),
        **({"projected_address": projected} if projected else {}),
    }
    now = visit.world.tick()
    values = {
        "channel": "both" if channel == "chat" and projected else channel,
        "identity": identity,
        "binding": binding if len(binding) > 1 else None,
        "attributes": "{}",
        "role_sid": there.role_sid,
        "date_created": now,
        "date_updated": now,
    }
    made = there.add_participant(**(values | read_form(form, PARTICIPANT, now)))
    return Answer.of(201, visit.rendering.participant(there, made))


def update_participant(visit: Visit) -> Answer:
    now = visit.world.tick()
    values = {"date_updated": now} | read_form(visit.form, PARTICIPANT, now)
    changed = visit.conversation.change_participant(visit.participant, **values)
    return Answer.of(200, visit.rendering.participant(visit.conversation, changed))


def delete_participant(visit: Visit) -> Answer:
    visit.conversation.remove_participant(visit.participant)
    visit.world.tick()
    return Answer(204)


def _settings(visit: Visit, settings: Settings, now: int, own_sid: str | None = None) -> Settings:
    values = read_form(visit.form, CONVERSATION, now)
    timers = {name: values.pop(name) for name in ("date_inactive", "date_closed") if name in values}
    settings = replace(settings, timers=settings.timers | timers, **values)
    holder = visit.service.by_unique_name.get(settings.unique_name or "")
    if holder is not None and holder.sid != own_sid:
        raise Refusal(409, 50353, "Conversation with provided unique name already exists")
    return settings

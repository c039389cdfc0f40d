"""The routes of webhook configurations: the account's, a service's, and those of a conversation.

https://www.twilio.com/docs/conversations/api/service-configuration-resource and
https://www.twilio.com/docs/conversations/api/conversation-scoped-webhook-resource
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from .pages import ListResource
from .request import ResourceRequest, not_found
from .resources import Row, date
from .responses import ApiError, SandboxResponse
from .webhook_settings import FILTERS, SCOPED_MAX, ScopedWebhook, WebhookConfiguration


def configuration(request: ResourceRequest) -> SandboxResponse:
    """Return the configuration of a service, or of the account."""
    return SandboxResponse.json(200, _configuration_row(request))


def update_configuration(request: ResourceRequest) -> SandboxResponse:
    """Change the configuration of a service, or of the account, and return it."""
    _check_path(request)
    settings = request.world.webhooks
    service_sid = request.service.sid if len(request.ids) > 1 else None
    known = settings.account if service_sid is None else settings.services.get(service_sid, WebhookConfiguration())
    form = request.form
    changed = replace(
        known,
        pre_url=_url(form["PreWebhookUrl"], "PreWebhookUrl") if "PreWebhookUrl" in form else known.pre_url,
        post_url=_url(form["PostWebhookUrl"], "PostWebhookUrl") if "PostWebhookUrl" in form else known.post_url,
        filters=_filters(request.repeated["Filters"]) if "Filters" in form else known.filters,
        method=_method(form.get("Method", known.method), "Method"),
    )
    if service_sid is None:
        settings.account = changed
    else:
        settings.services[service_sid] = changed
    request.world.tick()
    return configuration(request)


def scoped_webhooks(request: ResourceRequest) -> SandboxResponse:
    """Return a page of a conversation's webhooks."""
    sid = request.conversation.sid
    hooks = request.world.webhooks.conversations.get(sid, {})
    return request.page(
        ListResource("webhooks", f"webhooks {sid}", SCOPED_MAX, list(hooks), lambda n: _scoped_row(request, hooks[n]))
    )


def scoped_webhook(request: ResourceRequest) -> SandboxResponse:
    """Return one webhook of a conversation."""
    return SandboxResponse.json(200, _scoped_row(request, _found(request)))


def create_scoped_webhook(request: ResourceRequest) -> SandboxResponse:
    """Add a webhook to a conversation."""
    target = request.form.get("Target", "")
    if target not in ("webhook", "trigger", "studio"):
        raise ApiError(400, 20001, "Invalid Target: must be one of webhook, trigger, studio")
    now = request.world.tick()
    values = _scoped_values(request)
    if target == "webhook" and "url" not in values:
        raise ApiError(400, 20001, "Invalid Configuration.Url: is missing")
    hook = replace(request.world.webhooks.add(request.conversation.sid, target, now), **values)
    request.world.webhooks.replace(request.conversation.sid, hook)
    return SandboxResponse.json(201, _scoped_row(request, hook))


def update_scoped_webhook(request: ResourceRequest) -> SandboxResponse:
    """Change a webhook of a conversation."""
    hook = replace(_found(request), **_scoped_values(request), date_updated=request.world.tick())
    request.world.webhooks.replace(request.conversation.sid, hook)
    return SandboxResponse.json(200, _scoped_row(request, hook))


def delete_scoped_webhook(request: ResourceRequest) -> SandboxResponse:
    """Delete a webhook of a conversation."""
    hooks, found = request.world.webhooks.conversations.get(request.conversation.sid, {}), _found(request)
    for number in [number for number, hook in hooks.items() if hook is found]:
        del hooks[number]
    request.world.tick()
    return SandboxResponse(204)


def _found(request: ResourceRequest) -> ScopedWebhook:
    hooks = request.world.webhooks.conversations.get(request.conversation.sid, {})
    for hook in hooks.values():
        if hook.sid == request.ids[2]:
            return hook
    raise not_found(request.path)


def _configuration_row(request: ResourceRequest) -> Row:
    _check_path(request)
    world = request.world
    if len(request.ids) == 1:
        shown, owner = world.webhooks.account, {"target": "webhook"}
    else:
        service = request.service
        shown = world.webhooks.services.get(service.sid, WebhookConfiguration())
        owner = {"chat_service_sid": service.sid}
    return {
        "account_sid": world.account_sid,
        **owner,
        "pre_webhook_url": shown.pre_url,
        "post_webhook_url": shown.post_url,
        "filters": list(shown.filters),
        "method": shown.method,
        "url": f"{request.origin}/v1{request.path}",
    }


def _check_path(request: ResourceRequest) -> None:
    """Raise ApiError unless the path ends in `Configuration/Webhooks`: there are other kinds of configuration."""
    if request.ids[-1] != "Webhooks":
        raise not_found(request.path)


def _scoped_row(request: ResourceRequest, hook: ScopedWebhook) -> Row:
    called = {} if hook.url is None else {"url": hook.url, "method": hook.method, "filters": list(hook.filters)}
    conversation = request.conversation
    return {
        "sid": hook.sid,
        "account_sid": request.world.account_sid,
        "chat_service_sid": conversation.service_sid,
        "conversation_sid": conversation.sid,
        "target": hook.target,
        "url": f"{request.renderer.conversation_url(conversation)}/Webhooks/{hook.sid}",
        "configuration": {**called, **hook.further},
        "date_created": date(hook.date_created),
        "date_updated": date(hook.date_updated),
    }


def _scoped_values(request: ResourceRequest) -> dict[str, Any]:
    form, values = request.form, dict[str, Any]()
    if "Configuration.Url" in form:
        values["url"] = _url(form["Configuration.Url"], "Configuration.Url")
    if "Configuration.Method" in form:
        values["method"] = _method(form["Configuration.Method"], "Configuration.Method")
    if "Configuration.Filters" in form:
        values["filters"] = _filters(request.repeated["Configuration.Filters"])
    further: dict[str, Any] = {}
    if "Configuration.FlowSid" in form:
        further["flow_sid"] = form["Configuration.FlowSid"]
    if "Configuration.Triggers" in form:
        further["triggers"] = list(request.repeated["Configuration.Triggers"])
    return values | ({"further": further} if further else {})


def _url(text: str, name: str) -> str | None:
    if not text:
        return None
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.fragment:
        raise ApiError(400, 20001, f"Invalid {name}: must be an absolute URL")
    return text


def _method(text: str, name: str) -> str:
    if text.upper() not in ("GET", "POST"):
        raise ApiError(400, 20001, f"Invalid {name}: must be GET or POST")
    return text.upper()


def _filters(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of events; an empty one, which clears the list, is left out."""
    given = tuple(filter(None, names))
    unknown = [name for name in given if name not in FILTERS]
    if unknown:
        raise ApiError(400, 20001, f"Invalid Filters: {unknown[0]} is not an event")
    return given

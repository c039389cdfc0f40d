"""`receipts-gateway check --webhooks`: whether Twilio sends its webhooks to this gateway, as far as reads can tell."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, TypeVar

import msgspec

if TYPE_CHECKING:
    from gateway.settings import Settings
    from gateway.twilio.client import Client

__all__ = ["check_webhooks"]

T = TypeVar("T")

_DEADLINE_SECONDS = 15
_SERVICES_MAX = 20
_CONVERSATIONS_MAX = 10
"""Conversations of each service whose own webhooks are read: each costs a call."""
_NEEDED = "onDeliveryUpdated"


class _Configuration(msgspec.Struct):
    """https://www.twilio.com/docs/conversations/api/service-configuration-resource"""

    post_webhook_url: str | None = None
    filters: list[str] | None = None
    method: str | None = None


class _Called(msgspec.Struct):
    url: str | None = None
    filters: list[str] | None = None


class _Scoped(msgspec.Struct):
    """https://www.twilio.com/docs/conversations/api/conversation-scoped-webhook-resource"""

    target: str | None = None
    configuration: _Called | None = None


class _ScopedPage(msgspec.Struct):
    webhooks: list[_Scoped]


class _Record(msgspec.Struct):
    sid: str


class _ServicePage(msgspec.Struct):
    services: list[_Record]


class _ConversationPage(msgspec.Struct):
    conversations: list[_Record]


async def check_webhooks(settings: Settings) -> tuple[bool, str]:
    """Return whether the webhooks of every service reach `GATEWAY_WEBHOOK_URL`, and a report."""
    from gateway.app import create_client
    from gateway.errors import GatewayError

    if settings.webhook is None:
        return False, "Webhooks: GATEWAY_WEBHOOK_URL is not set, so that the gateway accepts none."
    async with create_client(settings) as client:
        reads = _Reads(client)
        try:
            services = (await reads.get("Services?PageSize=100", _ServicePage)).services
        except GatewayError as error:
            return False, f"Webhooks: {error.message}"
        account = await reads.get_if_allowed("Configuration/Webhooks", _Configuration)
        is_right, lines = True, [f"Webhooks are accepted at {_shown(settings.webhook.url)}."]
        for service in services[:_SERVICES_MAX]:
            target = f"Services/{service.sid}/Configuration/Webhooks"
            own = await reads.get_if_allowed(target, _Configuration)
            problems, notes = _compare(own, account, settings.webhook.url)
            notes += await _scoped_notes(reads, service.sid, settings.webhook.url)
            is_right = is_right and not problems
            lines.append(f"  {service.sid}: {' '.join(problems) or 'its webhooks are sent here.'}")
            lines += [f"    {note}" for note in notes]
            if problems:
                lines.append(f"    To configure it: {_curl(settings, target)}")
        lines += _key_notes(settings, reads)
    return is_right, "\n".join(lines)


class _Reads:
    """Reads whatever the credentials may read, and remembers what they may not."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.allowed: dict[str, bool] = {}
        """By the kind of thing, whether it could be read."""

    async def get(self, target: str, kind: type[T]) -> T:
        """Return the decoded response; raises `GatewayError`."""
        import asyncio

        from gateway.errors import UpstreamInvalidResponse
        from gateway.twilio.responses import Response, failure

        def decode(target: str, response: Response) -> T:
            if response.status != 200:
                raise failure(target, response)
            try:
                return msgspec.json.decode(response.body, type=kind)
            except msgspec.DecodeError:
                raise UpstreamInvalidResponse("Twilio answered with an unreadable body.") from None

        deadline = asyncio.get_running_loop().time() + _DEADLINE_SECONDS
        return await self._client.get(target, decode, deadline=deadline)

    async def get_if_allowed(self, target: str, kind: type[T]) -> T | None:
        """Return the decoded response, or None if it cannot be read."""
        from gateway.errors import GatewayError

        what = _what(target)
        try:
            found = await self.get(target, kind)
        except GatewayError:
            self.allowed.setdefault(what, False)
            return None
        self.allowed[what] = True
        return found


def _compare(own: _Configuration | None, account: _Configuration | None, url: str) -> tuple[list[str], list[str]]:
    """Return the problems with a service's configuration, and notes."""
    from gateway.twilio.events import EVENT_TYPES

    if own is None:
        return ["its configuration cannot be read with these credentials."], []
    by_account = account is not None and account.post_webhook_url
    if not own.post_webhook_url:
        if (
            by_account
            and account is not None
            and account.post_webhook_url == url
            and _NEEDED in (account.filters or ())
        ):
            return [], ["By the account's configuration; a configuration of the service would replace it."]
        return ["it has no PostWebhookUrl."], []
    problems, filters = [], own.filters or []
    if own.post_webhook_url != url:
        problems.append(f"its PostWebhookUrl is {_shown(own.post_webhook_url)}, not exactly GATEWAY_WEBHOOK_URL.")
    if _NEEDED not in filters:
        problems.append(f"its Filters lack {_NEEDED}.")
    if own.method not in {"GET", "POST"}:
        problems.append("its Method is neither GET nor POST.")
    absent = [name for name in EVENT_TYPES if name not in filters and name != _NEEDED]
    notes = [f"Its Filters lack {', '.join(absent)}: such changes appear when cached values expire."] if absent else []
    if by_account:
        notes.append("The account's configuration is not used for this service.")
    return problems, notes


async def _scoped_notes(reads: _Reads, service_sid: str, url: str) -> list[str]:
    """Return a note on each conversation, among the first ones, that has webhooks."""
    conversations = await reads.get_if_allowed(
        f"Services/{service_sid}/Conversations?PageSize={_CONVERSATIONS_MAX}", _ConversationPage
    )
    notes = []
    for conversation in conversations.conversations if conversations is not None else ():
        target = f"Services/{service_sid}/Conversations/{conversation.sid}/Webhooks?PageSize=5"
        page = await reads.get_if_allowed(target, _ScopedPage)
        called = [hook.configuration for hook in page.webhooks if hook.target == "webhook"] if page is not None else []
        for hook in called:
            if hook is not None and hook.url == url:
                notes.append(f"{conversation.sid} has a webhook to the same URL, too: its events arrive twice.")
            elif hook is not None and hook.url and _NEEDED in (hook.filters or ()):
                notes.append(f"{conversation.sid} has another webhook, to {_shown(hook.url)}, in addition.")
    return notes


def _curl(settings: Settings, target: str) -> str:
    from gateway.twilio.events import EVENT_TYPES

    assert settings.webhook is not None
    filters = " ".join(f"-d Filters={name}" for name in EVENT_TYPES)
    url = shlex.quote(f"PostWebhookUrl={settings.webhook.url}")
    return (
        f'curl -X POST {settings.upstream_url}/v1/{target} -u "$TWILIO_ACCOUNT_SID:$TWILIO_AUTH_TOKEN" '
        f"--data-urlencode {url} -d Method=POST {filters}"
    )


def _key_notes(settings: Settings, reads: _Reads) -> list[str]:
    may = [what for what, is_allowed in reads.allowed.items() if is_allowed]
    may_not = [what for what, is_allowed in reads.allowed.items() if not is_allowed]
    limits = f", but not {', '.join(may_not)}" if may_not else ""
    lines = [f"The credentials may read {', '.join(['services', *may])}{limits}."]
    if settings.credentials.username.startswith("AC"):
        lines.append(
            "They are the account's own, which may also write. To read, a restricted API key with read permissions for "
            "Conversations is enough (TWILIO_API_KEY); webhooks are verified with TWILIO_AUTH_TOKEN or GATEWAY_WEBHOOK_KEYS."
        )
    else:
        lines.append(
            "Reads do not show whether this API key may also write: a restricted key with read permissions is enough."
        )
    return lines


def _what(target: str) -> str:
    path = target.partition("?")[0]
    if path.endswith("/Conversations"):
        return "conversations"
    return "webhooks of conversations" if "/Conversations/" in path else "webhook configurations"


def _shown(url: str) -> str:
    """Return a URL without its query, and without a user and password."""
    return re.sub(r"(?<=://)[^/@]*@", "", url.partition("?")[0])

"""What `receipts-gateway check --webhooks` reports: configured webhooks, and what the credentials may read."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from gateway.app import create_client
from gateway.errors import GatewayError, NotFound, UpstreamInvalidResponse
from gateway.twilio.client import Client
from gateway.twilio.paths import redacted
from gateway.twilio.responses import Response, failure
from gateway.twilio.webhook_configuration import (
    ConfiguredHook,
    ConfiguredHooks,
    conversation_command,
    review,
    review_conversation,
    service_command,
)

if TYPE_CHECKING:
    from gateway.settings import Settings, WebhookSettings

__all__ = ["check_webhooks"]

T = TypeVar("T")

_DEADLINE_SECONDS = 15
_SERVICES = "Services?PageSize=100"
_ACCOUNT = "Configuration/Webhooks"
_NOT_SET = (
    "GATEWAY_WEBHOOK_URL is not set: the gateway accepts no webhooks, and a change appears when cached values expire. "
    "See: receipts-gateway docs webhooks"
)


class _Sid(msgspec.Struct):
    sid: str
    friendly_name: str | None = None


class _Services(msgspec.Struct):
    services: list[_Sid]


class _Conversations(msgspec.Struct):
    conversations: list[_Sid]


class _Messages(msgspec.Struct):
    messages: list[_Sid]


class _Hooks(msgspec.Struct):
    webhooks: list[ConfiguredHook]


async def check_webhooks(
    settings: Settings, services: Collection[str], conversations: Collection[str]
) -> list[tuple[bool, str]]:
    """Return reports on webhooks and credentials, each with whether all is right.

    Args:
        settings: The account, and the address at which the gateway expects webhooks.
        services: Sids of the services to check; if there are none, those that callers may read.
        conversations: Paths of conversations to check: `Services/IS…/Conversations/CH…`.
    """
    webhook = settings.webhook
    if webhook is None:
        return [(False, _NOT_SET)]
    async with create_client(settings) as client:
        account = await _read(client, _ACCOUNT, ConfiguredHooks)
        names = await _names(client, settings)
        of_conversations = [path.split("/")[1] for path in conversations]
        chosen = dict.fromkeys([*services, *of_conversations]) or names
        check = _ServiceCheck(client, settings.upstream_url, webhook.url, account)
        reports = await asyncio.gather(*(check.report(sid, names.get(sid, ""), conversations) for sid in chosen))
        return [*reports, await _rights(client, settings, webhook, list(chosen), account)]


class _ServiceCheck:
    """Checks services of one account."""

    def __init__(self, client: Client, origin: str, url: str, account: ConfiguredHooks | GatewayError) -> None:
        """Check against the gateway's `url`; `account` is the account's configuration, or why it could not be read."""
        self._client, self._origin, self._url, self._account = client, origin, url, account

    async def report(self, sid: str, name: str, conversations: Collection[str]) -> tuple[bool, str]:
        """Return whether the webhooks of a service reach the gateway, and a report on it and on its conversations."""
        path = f"Services/{sid}"
        title = f"Webhooks of {sid} {name}".rstrip()
        hooks = await _read(self._client, f"{path}/Configuration/Webhooks", ConfiguredHooks)
        if isinstance(hooks, GatewayError):
            lines = [f"{title} cannot be checked: {_reason(hooks)}. This configures them:"]
            return False, "\n".join(lines + _indented(service_command(self._origin, path, self._url, ())))
        account = None if isinstance(self._account, GatewayError) else self._account
        found = review(self._url, hooks, account)
        is_right = not found.problems
        notes = found.notes
        if isinstance(self._account, GatewayError):
            notes = [*notes, f"The account-wide configuration cannot be read: {_reason(self._account)}."]
        lines = [f"{title}: {'' if is_right else 'not '}every event reaches the gateway."]
        lines += [f"  {each}" for each in (*found.problems, *notes)]
        if not is_right:
            lines.append("  This configures them, with credentials that may write:")
            filters = hooks.filters if hooks.is_set else account and account.filters
            lines += _indented(service_command(self._origin, path, self._url, filters or ()))
        for conversation in conversations:
            if conversation.startswith(f"{path}/"):
                lines += await self._conversation(conversation, is_service_right=is_right)
        return is_right, "\n".join(lines)

    async def _conversation(self, path: str, *, is_service_right: bool) -> list[str]:
        title = f"  Conversation {path.rpartition('/')[2]}:"
        page = await _read(self._client, f"{path}/Webhooks?PageSize=5", _Hooks)
        if isinstance(page, GatewayError):
            return [f"{title} its webhooks cannot be read: {_reason(page)}."]
        found = review_conversation(self._url, page.webhooks, is_service_right=is_service_right)
        lines = [title, *(f"    {each}" for each in (*found.problems, *found.notes))]
        if found.problems:
            lines.append(
                "    This sends its events to the gateway, and leaves the service as it is. Twilio recommends the"
            )
            lines.append("    service's configuration for onDeliveryUpdated.")
            lines += _indented(conversation_command(self._origin, path, self._url), 6)
        return lines


async def _rights(
    client: Client,
    settings: Settings,
    webhook: WebhookSettings,
    services: list[str],
    account: ConfiguredHooks | GatewayError,
) -> tuple[bool, str]:
    """Return a report on what the credentials may read, as far as reads show it; False if they may not read a resource."""
    allowed, refused, untried = list[str](), list[str](), list[str]()

    async def is_readable(what: str, target: str, type_: type[T]) -> T | None:
        value = await _read(client, target, type_)
        if not isinstance(value, GatewayError):
            allowed.append(what)
            return value
        (refused if _status(value) in {401, 403} else untried).append(what)
        return None

    page = await is_readable("services", _SERVICES, _Services)
    service = next(iter(services), None) or (page.services[0].sid if page is not None and page.services else None)
    below = f"Services/{service}/Conversations"
    found = await is_readable("conversations", f"{below}?PageSize=1", _Conversations) if service else None
    if found is not None and found.conversations:
        below += f"/{found.conversations[0].sid}"
        await is_readable("participants", f"{below}/Participants?PageSize=1", dict[str, Any])
        messages = await is_readable("messages", f"{below}/Messages?Order=desc&PageSize=1", _Messages)
        if messages is not None and messages.messages:
            sid = messages.messages[0].sid
            await is_readable("receipts", f"{below}/Messages/{sid}/Receipts?PageSize=1", dict[str, Any])
    if not isinstance(account, GatewayError):
        allowed.append("the account's webhooks")
    tried = {*allowed, *refused, *untried}
    untried += [what for what in ("conversations", "participants", "messages", "receipts") if what not in tried]
    username = settings.credentials.username
    lines = [f"What {username} may do, as far as reads show:", f"  It may read {', '.join(allowed) or 'nothing'}."]
    if refused:
        lines.append(f"  It may not read {', '.join(refused)}: the gateway needs these.")
    if untried:
        lines.append(f"  Not tried, since there is none or no answer: {', '.join(untried)}.")
    if username.startswith("AC"):
        lines.append("  It is the account itself with its auth token, which may also change and delete everything.")
    else:
        lines.append("  Whether this API key may also write, reads do not show.")
    lines.append(
        "  Recommended: a restricted API key with no more than the permission to read Conversations, in TWILIO_API_KEY and "
        "TWILIO_API_SECRET."
    )
    if webhook.auth_token:
        lines.append(
            "  An API key cannot verify webhooks. With a webhook shared key in GATEWAY_WEBHOOK_KEYS, the auth token need not "
            "be here."
        )
    return not refused, "\n".join(lines)


async def _names(client: Client, settings: Settings) -> dict[str, str]:
    """Return the names of the services that callers may read, of the first 100, by sid."""
    limits = [token.services for token in settings.tokens.values()]
    page = await _read(client, _SERVICES, _Services)
    names = {} if isinstance(page, GatewayError) else {row.sid: row.friendly_name or "" for row in page.services}
    if not limits or settings.jwt is not None or any(services is None for services in limits):
        return names
    return {sid: names.get(sid, "") for services in limits for sid in sorted(services or ())}


async def _read(client: Client, target: str, type_: type[T]) -> T | GatewayError:
    """Return the value of a resource, or the error."""

    def decode(target: str, response: Response) -> T:
        if response.status != 200:
            raise failure(target, response)
        try:
            return msgspec.json.decode(response.body, type=type_)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise UpstreamInvalidResponse(f"Twilio answered with an unreadable body for {redacted(target)}.") from None

    try:
        deadline = asyncio.get_running_loop().time() + _DEADLINE_SECONDS
        return await client.get(target, decode, deadline=deadline)
    except GatewayError as error:
        return error


def _status(error: GatewayError) -> int | None:
    return error.upstream.status if error.upstream is not None else None


def _reason(error: GatewayError) -> str:
    if _status(error) in {401, 403}:
        return f"the credentials may not read it ({_status(error)})"
    if isinstance(error, NotFound):
        return "there is no such record (404)"
    return error.message.rstrip(".")


def _indented(text: str, spaces: int = 4) -> list[str]:
    return [f"{' ' * spaces}{line}" for line in text.splitlines()]

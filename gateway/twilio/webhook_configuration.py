"""The webhooks that are configured at Twilio: whether they reach the gateway, and what configures them. Pure functions.

See https://www.twilio.com/docs/conversations/conversations-webhooks. Three configurations decide where an event is sent:

    scope            resource                                      applies
    the account      /Configuration/Webhooks                       to services that have no configuration of their own
    a service        /Services/IS…/Configuration/Webhooks          instead of the account's, even for events that it leaves out
    a conversation   /Services/IS…/Conversations/CH…/Webhooks      in addition
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import msgspec

from gateway.twilio.events import EVENT_TYPES
from gateway.twilio.signatures import signed_bases

__all__ = [
    "ConfiguredHook",
    "ConfiguredHooks",
    "Review",
    "conversation_command",
    "review",
    "review_conversation",
    "service_command",
]

_LOST = {
    "onDeliveryUpdated": "a new status of a receipt appears only when cached values expire, and one that is overwritten before "
    "is never seen",
    "onMessageAdded": "a new message appears only when cached lists expire",
    "onMessageUpdated": "an edited message appears only when cached values expire",
    "onMessageRemoved": "a removed message stays in cached lists until they expire",
    "onParticipantAdded": "a new participant appears only when cached lists expire",
    "onParticipantUpdated": "a changed participant appears only when cached values expire",
    "onParticipantRemoved": "a removed participant stays in cached lists until they expire",
    "onConversationStateUpdated": "a closed conversation is shown as active until cached values expire",
}
"""What users notice when an event is not sent, by its type."""


class ConfiguredHooks(msgspec.Struct):
    """The configuration of the account or of a service, by REST's names."""

    post_webhook_url: str | None = None
    pre_webhook_url: str | None = None
    filters: list[str] | None = None
    method: str | None = None
    target: str | None = None
    """Of the account alone: `webhook`, or `flex` for events that are sent to Flex."""

    @property
    def is_set(self) -> bool:
        """Whether anything is configured."""
        return bool(self.post_webhook_url or self.pre_webhook_url or self.filters)


class HookConfiguration(msgspec.Struct):
    """Where a webhook of one conversation is sent."""

    url: str | None = None
    method: str | None = None
    filters: list[str] | None = None


class ConfiguredHook(msgspec.Struct):
    """A webhook of one conversation, by REST's names."""

    sid: str
    target: str | None = None
    """`webhook`, `studio` or `trigger`."""
    configuration: HookConfiguration | None = None


@dataclass
class Review:
    """What is wrong with a configuration, and what else to know about it. Each is a sentence."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def review(url: str, service: ConfiguredHooks, account: ConfiguredHooks | None) -> Review:
    """Return a review of the configuration that applies to a service.

    Args:
        url: The address at which the gateway expects webhooks.
        service: The configuration of the service.
        account: The account's configuration; None if it cannot be read.
    """
    found = Review()
    applied = service if service.is_set or account is None else account
    is_account = applied is account
    called = applied.post_webhook_url
    if not called:
        found.problems.append(
            "No PostWebhookUrl is set: Twilio calls no URL for this service, and a change appears only when cached values "
            "expire."
        )
    elif is_account and applied.target == "flex":
        found.problems.append("The account-wide configuration has the target flex: Twilio sends its events to Flex.")
    elif not _is_same(url, called):
        found.problems.append(f"PostWebhookUrl is {_shown(called, url)}, and not GATEWAY_WEBHOOK_URL, {url}.")
        if _is_alike(url, called):
            found.problems.append("Twilio signs the URL as it is configured, so that the two must be equal.")
        else:
            found.notes.append("A service has one PostWebhookUrl: setting it takes the events from the address above.")
    else:
        found.problems += _missing(applied.filters or ())
        found.notes += _method(applied.method)
        if is_account:
            found.notes.append(
                "Its webhooks come from the account-wide configuration. A configuration of the service would silence that."
            )
    if account is not None and not is_account and found.problems and _is_same(url, account.post_webhook_url):
        found.notes.append("The account-wide configuration names the gateway, but the service's own silences it.")
    if _is_same(url, applied.pre_webhook_url):
        found.notes.append(
            "PreWebhookUrl is the gateway, which uses no pre-event webhooks, and Twilio waits for each: remove it."
        )
    unread = [name for name in applied.filters or () if name.endswith("ed") and name not in EVENT_TYPES]
    if unread and _is_same(url, called):
        found.notes.append(f"The gateway does not read {', '.join(unread)}, and counts them as unknown.")
    return found


def review_conversation(url: str, hooks: Iterable[ConfiguredHook], *, is_service_right: bool) -> Review:
    """Return a review of a conversation's own webhooks.

    Args:
        url: The address at which the gateway expects webhooks.
        hooks: The webhooks of the conversation.
        is_service_right: Whether all events of its service reach the gateway.
    """
    found, reaches = Review(), is_service_right
    for hook in hooks:
        configuration = hook.configuration or HookConfiguration()
        names = ", ".join(configuration.filters or ()) or "no event"
        if hook.target != "webhook" or not configuration.url:
            found.notes.append(f"{hook.sid} has the target {hook.target or 'unknown'}, and calls no URL.")
        elif not _is_same(url, configuration.url):
            where = _shown(configuration.url, url)
            found.notes.append(f"{hook.sid} calls {where} for {names}, in addition to the service's configuration.")
        elif is_service_right:
            found.notes.append(
                f"{hook.sid} calls the gateway too, for {names}: these events arrive twice, and are applied once. Remove it."
            )
        else:
            reaches = True
            found.notes.append(f"{hook.sid} calls the gateway for this conversation alone, for {names}.")
            found.notes += _missing(configuration.filters or ())
            found.notes += _method(configuration.method)
    if not found.notes:
        found.notes.append("It has no webhooks of its own.")
    if not reaches:
        found.problems.append("Its events do not reach the gateway.")
    return found


def service_command(origin: str, path: str, url: str, filters: Collection[str]) -> str:
    """Return the curl command that configures a service. Credentials are variables of the shell.

    Args:
        origin: Twilio's API, such as `https://conversations.twilio.com`.
        path: The path of the service.
        url: The address at which the gateway expects webhooks.
        filters: The present filters, which are kept.
    """
    wanted = [*EVENT_TYPES, *(name for name in filters if name not in EVENT_TYPES)]
    data = [f"PostWebhookUrl={url}", "Method=POST", *(f"Filters={name}" for name in wanted)]
    return _command(f"{origin}/v1/{path}/Configuration/Webhooks", data)


def conversation_command(origin: str, path: str, url: str) -> str:
    """Return the curl command that adds a webhook to the conversation at `path`. See `service_command`."""
    data = ["Target=webhook", f"Configuration.Url={url}", "Configuration.Method=POST"]
    data += [f"Configuration.Filters={name}" for name in EVENT_TYPES]
    return _command(f"{origin}/v1/{path}/Webhooks", data)


def _command(url: str, data: Iterable[str]) -> str:
    lines = [f"curl -X POST {shlex.quote(url)}", '-u "$TWILIO_ACCOUNT_SID:$TWILIO_AUTH_TOKEN"']
    lines += [f"--data-urlencode {shlex.quote(each)}" for each in data]
    return " \\\n  ".join(lines)


def _missing(filters: Collection[str]) -> list[str]:
    return [f"Without {name} in Filters, {_LOST[name]}." for name in EVENT_TYPES if name not in filters]


def _method(method: str | None) -> list[str]:
    if (method or "POST").upper() == "POST":
        return []
    return [f"Method is {method}: texts and addresses are in the URL, which proxies log. POST sends them in the body."]


def _is_same(url: str, called: str | None) -> bool:
    """Whether webhooks to `called` are verified with `url`: its query may be any."""
    return called is not None and called.partition("?")[0] in signed_bases(url.partition("?")[0])


def _is_alike(url: str, called: str) -> bool:
    """Whether two URLs have the same host, and differ in the rest, or in upper and lower case."""
    return _host(url) is not None and _host(url) == _host(called)


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _shown(called: str, url: str) -> str:
    """Return a configured URL without its secrets: the path and the query of another host may have some."""
    parts = urlsplit(called) if _host(called) is not None else None
    if parts is None:
        return "another text"
    place = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{place}{parts.path}" if _is_alike(url, called) else f"{parts.scheme}://{place}/…"

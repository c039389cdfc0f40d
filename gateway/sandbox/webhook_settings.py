"""Where webhooks are sent: the configuration of the account, of each service and of each conversation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .responses import ApiError
from .seeds import Seed

POST_EVENTS = (
    "onMessageAdded",
    "onMessageUpdated",
    "onMessageRemoved",
    "onParticipantAdded",
    "onParticipantUpdated",
    "onParticipantRemoved",
    "onDeliveryUpdated",
    "onConversationStateUpdated",
)
"""The events that the sandbox sends."""
FILTERS = {
    *POST_EVENTS,
    *(f"on{kind}{verb}" for kind in ("Message", "Participant", "Conversation") for verb in ("Add", "Update", "Remove")),
    *(f"onConversation{verb}" for verb in ("Added", "Updated", "Removed")),
    *("onUserAdded", "onUserUpdate", "onUserUpdated"),
}
SCOPED_MAX = 5


@dataclass(frozen=True, slots=True)
class WebhookConfiguration:
    """The configuration of the account, or of one service."""

    pre_url: str | None = None
    """Kept and shown, but never called: the sandbox lets every change through."""
    post_url: str | None = None
    filters: tuple[str, ...] = ()
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class ScopedWebhook:
    """A webhook of one conversation."""

    sid: str
    target: str
    date_created: int
    date_updated: int
    url: str | None = None
    method: str = "POST"
    filters: tuple[str, ...] = ()
    further: Mapping[str, Any] = field(default_factory=dict)
    """The configuration of the targets `studio` and `trigger`, which are never called."""


class WebhookRegistry:
    """All configured webhooks."""

    def __init__(self, seed: Seed) -> None:
        self.account = WebhookConfiguration()
        self.services: dict[str, WebhookConfiguration] = {}
        """By the service's sid; a service without an entry has never been configured."""
        self.conversations: dict[str, dict[int, ScopedWebhook]] = {}
        """By the conversation's sid, then by number in order of creation."""
        self._seed = seed
        self._created = 0

    def targets(self, event: str, service_sid: str, conversation_sid: str) -> list[tuple[str, str]]:
        """Return the method and URL of each webhook to send for an event.

        A service's configuration silences the account's. Those of a conversation come in addition.
        """
        configuration = self.services.get(service_sid, self.account)
        found = [
            (hook.method, hook.url)
            for hook in self.conversations.get(conversation_sid, {}).values()
            if hook.target == "webhook" and hook.url and event in hook.filters
        ]
        if configuration.post_url and event in configuration.filters:
            found.append((configuration.method, configuration.post_url))
        return found

    def add(self, conversation_sid: str, target: str, now: int) -> ScopedWebhook:
        """Add a webhook to a conversation. Raises ApiError if it has five."""
        hooks = self.conversations.setdefault(conversation_sid, {})
        if len(hooks) >= SCOPED_MAX:
            raise ApiError(400, 20001, f"A conversation has no more than {SCOPED_MAX} webhooks")
        self._created += 1
        hook = ScopedWebhook(self._seed.sid("WH", "", self._created), target, now, now)
        hooks[self._created] = hook
        return hook

    def replace(self, conversation_sid: str, hook: ScopedWebhook) -> None:
        """Replace the webhook of a conversation that has the same sid."""
        hooks = self.conversations[conversation_sid]
        hooks.update({number: hook for number, known in hooks.items() if known.sid == hook.sid})

"""The webhooks that the sandbox sends: to which URLs, with which signature and which faults. `sender.py` sends them."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from .faults import Fault, Faults
from .seeds import Seed
from .webhook_events import WebhookEvent
from .webhook_settings import WebhookRegistry

LOG_LENGTH = 200_000
FORM = "application/x-www-form-urlencoded; charset=utf-8"


@dataclass(slots=True)
class Webhook:
    """One webhook, as `Sandbox.webhooks` lists them.

    Attributes:
        event: The `EventType`.
        method: `POST`, or `GET` with the parameters in the query.
        url: The URL as it is configured.
        parameters: The event's parameters. They may hold message bodies and addresses, so that they are not in the `repr`.
        token: The header I-Twilio-Idempotency-Token.
        fault: The kind of the fault that was applied, if any.
        statuses: The HTTP status of each time it was sent; None if there was no response within 5 seconds.
        open: Whether it is still to be sent, or to be answered.
    """

    event: str
    method: str
    url: str = field(repr=False)
    parameters: Mapping[str, str] = field(repr=False)
    token: str = field(repr=False)
    fault: str | None = None
    statuses: list[int | None] = field(default_factory=list)
    open: bool = True

    def as_json(self) -> dict[str, Any]:
        """Return the webhook as a JSON object, with the sids of the event and no other parameters."""
        sids = {name: text for name, text in self.parameters.items() if name.endswith("Sid")}
        return {
            "event": self.event,
            "method": self.method,
            "url": self.url,
            "sids": sids,
            "fault": self.fault,
            "statuses": self.statuses,
            "open": self.open,
        }


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """The HTTP request of a webhook."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


def sign(secret: str, url: str, parameters: Mapping[str, str]) -> str:
    """Return X-Twilio-Signature: https://www.twilio.com/docs/usage/webhooks/webhooks-security."""
    signed = url + "".join(f"{name}{parameters[name]}" for name in sorted(parameters))
    return base64.b64encode(hmac.new(secret.encode(), signed.encode(), hashlib.sha1).digest()).decode()


def signed_request(webhook: Webhook, secret: str) -> SignedRequest:
    """Return the request of a webhook, signed with a secret."""
    url, body, signed = webhook.url, b"", webhook.parameters
    if webhook.method == "GET":
        url += ("&" if "?" in url else "?") + urlencode(webhook.parameters)
        signed = {}
    else:
        body = urlencode(webhook.parameters).encode()
    headers = {
        "Accept": "*/*",
        "I-Twilio-Idempotency-Token": webhook.token,
        "User-Agent": "TwilioProxy/1.1",
        "X-Home-Region": "us1",
        "X-Twilio-Signature": sign(secret, url, signed),
        **({"Content-Type": FORM} if webhook.method == "POST" else {}),
    }
    return SignedRequest(webhook.method, url, headers, body)


class Webhooks:
    """Decides which requests an event causes, and logs them. No sockets here: `send` has them."""

    def __init__(
        self, settings: WebhookRegistry, seed: Seed, auth_token: str, faults: Faults, on_change: Callable[[], None]
    ) -> None:
        """Sign with `auth_token`; call `on_change` whenever a webhook is logged or has been answered."""
        self.log: list[Webhook] = []
        self.send: Callable[[Webhook, SignedRequest, float, float, int], None] | None = None
        """Sends a webhook after the first number of seconds, its body after the second, as often as the last number."""
        self._settings = settings
        self._seed = seed
        self._auth_token = auth_token
        self._faults = faults
        self._on_change = on_change
        self._sent = 0
        self._held_back: list[tuple[Webhook, Fault]] = []
        """Webhooks that are sent after the next one."""
        self._followers: dict[str, list[tuple[Webhook, Fault]]] = {}
        """Webhooks that are sent once another is answered, by that one's token."""

    def fire(self, event: WebhookEvent) -> list[Webhook]:
        """Send the webhooks that are configured for an event, and return them."""
        targets = self._settings.targets(event.type, event.service_sid, event.conversation_sid)
        return [self.fire_at(method, url, event) for method, url in targets]

    def fire_at(self, method: str, url: str, event: WebhookEvent) -> Webhook:
        """Send a webhook for an event to a URL, and return it."""
        self._sent += 1
        token = str(UUID(bytes=self._seed.draw("idempotency token", self._sent)[:16], version=4))
        webhook = Webhook(event.type, method, url, event.parameters, token)
        fault = self._faults.pick(f"{event.type}?{urlencode(event.parameters)}", "webhook")
        webhook.fault = fault.kind if fault is not None else None
        self.log.append(webhook)
        if len(self.log) > LOG_LENGTH:
            del self.log[: LOG_LENGTH // 2]
        self._on_change()
        if fault is not None and fault.kind == "reorder_webhook":
            self._held_back.append((webhook, fault))
            return webhook
        self._followers[token], self._held_back = self._held_back, []
        self._send(webhook, fault)
        return webhook

    def answered(self, webhook: Webhook, statuses: list[int | None]) -> None:
        """Log the responses to a webhook."""
        webhook.statuses += statuses
        webhook.open = False
        self._on_change()
        for follower, fault in self._followers.pop(webhook.token, ()):
            self._send(follower, fault)

    def _send(self, webhook: Webhook, fault: Fault | None) -> None:
        kind = fault.kind if fault is not None else None
        if kind == "lose_webhook" or self.send is None:
            self.answered(webhook, [])
            return
        secret = self._auth_token[::-1] if kind == "forge_webhook" else self._auth_token
        seconds = self._faults.draw_latency(fault) if fault is not None else 0.0
        in_body = kind == "slow_webhook"
        times = 2 if kind == "repeat_webhook" else 1
        self.send(
            webhook, signed_request(webhook, secret), 0.0 if in_body else seconds, seconds if in_body else 0.0, times
        )

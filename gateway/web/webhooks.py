"""The intake of Twilio's webhooks: verified before they are read, answered at once, and applied afterwards.

https://www.twilio.com/docs/conversations/conversations-webhooks. Twilio waits 5 seconds for an answer, and does not repeat a
webhook by default. So the answer depends on nothing but the request:

    request                                          status    verdict      what happens
    its body is larger than 64 KiB                   413       forged       nothing
    its signature is not valid                       403       forged       a line in the log says which part to check
    the same, beyond the limit of its peer address   429       forged       nothing
    an event of another account, service or type     204       unknown      nothing
    a known idempotency token, or an equal event     204       duplicate    nothing
    an event that adds nothing                       204       late         nothing: a later one has been applied
    one that cannot be applied because of a bug      204       failed       the log says where
    any other event                                  204       accepted     it is applied, in the next turn of the event loop

Only verified requests are remembered, so that a forged one cannot make a genuine one a duplicate.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.callers.callers import Callers
from gateway.errors import BadRequest, Forbidden, GatewayError, raised_at
from gateway.twilio.events import Event, InvalidEvent, read_event
from gateway.twilio.paths import sids_of
from gateway.twilio.signatures import Flaw, Secrets, WebhookRequest, called_url, find_flaw
from gateway.web.admission import Admission
from gateway.web.browsers import SECURITY_HEADERS
from gateway.web.deliveries import Deliveries, Delivery, age_of
from gateway.web.pending import PendingReply, Steps, start
from gateway.web.request import HttpRequest
from gateway.web.responses import Reply, error_reply, error_response, respond

if TYPE_CHECKING:
    from gateway.settings import WebhookSettings

__all__ = ["WEBHOOK_PATH", "RecentPage", "WebhookIntake"]

WEBHOOK_PATH = "/webhooks/twilio"
_BODY_MAX = 64 * 2**10
_SEEN_MAX = 2**16
_PEERS_MAX = 10_000
_EXPLAINED_BYTES_MAX = 4 * 2**10  # To find the part of a larger request to check would take too long.

_logger = structlog.get_logger("gateway")

_HINTS = {
    Flaw.SIGNATURE: "The request has no X-Twilio-Signature: it is not Twilio's, or a proxy removed the header.",
    Flaw.KEY: "Check TWILIO_AUTH_TOKEN or GATEWAY_WEBHOOK_KEYS, and that GATEWAY_WEBHOOK_URL is exactly the URL that is "
    "configured at Twilio.",
    Flaw.BODY: "The body is not the one that was signed: check that no proxy changes it.",
}


class WebhookIntake:
    """The route that Twilio calls."""

    def __init__(
        self,
        settings: WebhookSettings,
        apply: Callable[[Event], object | None],
        deliveries: Deliveries,
        callers: Callers,
    ) -> None:
        """Accept the webhooks that the settings verify, of services that `callers` may read.

        `apply` applies an event, and returns None if that adds nothing.
        """
        self._url, _, _ = settings.url.partition("?")
        self._account_sid = settings.account_sid
        self._secrets = Secrets(settings.auth_token, dict(settings.keys))
        self._rejects = RejectLimit(settings.rejects)
        self._apply = apply
        self._deliveries = deliveries
        self._callers = callers
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        """Idempotency tokens, and digests of events."""

    def replace(self, settings: WebhookSettings) -> None:
        """Verify with the secrets of these settings from now on."""
        self._secrets = Secrets(settings.auth_token, dict(settings.keys))

    def start(self, request: HttpRequest) -> Reply | PendingReply:
        """Return the reply to a request, or a pending one if the body is still to be received."""
        if request.body is None:
            return start(request, self._steps(request))
        return self._answer(request, request.body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reply to a request through ASGI."""
        await respond(self.start(HttpRequest.from_asgi(scope, receive)), send)

    def _steps(self, request: HttpRequest) -> Steps:
        try:
            body = (yield request.receive_body(_BODY_MAX)) if request.method == "POST" else b""
        except BadRequest:
            body = bytes(_BODY_MAX + 1)
        return self._answer(request, body)

    def _answer(self, request: HttpRequest, body: bytes) -> Reply:
        reply = self._verdict(request, body, time.perf_counter(), time.time())
        reply.request_id = request.id
        return reply

    def _verdict(self, request: HttpRequest, body: bytes, began: float, received_at: float) -> Reply:
        query = request.query_string.decode("latin-1")
        url = f"{self._url}?{query}" if query else self._url
        webhook = WebhookRequest(request.method, url, request.headers, body)
        if len(body) > _BODY_MAX:
            return self._reject(request, webhook, Flaw.BODY, received_at, 413)
        flaw = find_flaw(webhook, self._secrets)
        if flaw is not None:
            return self._reject(request, webhook, flaw, received_at, 403)
        delivery = Delivery(received_at, "unknown")
        try:
            parameters = webhook.parameters
            event = read_event(parameters)
        except ValueError as error:
            reason = str(error) if isinstance(error, InvalidEvent) else "The parameters cannot be read."
            delivery.reason, delivery.ms = reason, _milliseconds(began)
            self._deliveries.add(delivery)
            return Reply(204, [])
        delivery.event, delivery.path, properties = parameters["EventType"], event.path, event.properties
        delivery.participant_sid = properties.get("participant_sid")
        delivery.status, delivery.error_code = properties.get("status"), properties.get("error_code")
        delivery.age = age_of(parameters, received_at)
        delivery.reason = self._foreign(parameters.get("AccountSid"), event.path)
        delivery.ms = _milliseconds(began)
        if delivery.reason is not None:
            self._deliveries.add(delivery)
        elif self._is_seen(request.headers.get("i-twilio-idempotency-token"), event):
            delivery.verdict = "duplicate"
            self._deliveries.add(delivery)
        else:
            asyncio.get_running_loop().call_soon(self._accept, event, delivery)
        return Reply(204, [])

    def _accept(self, event: Event, delivery: Delivery) -> None:
        """Apply an event."""
        try:
            update = self._apply(event)
        except Exception as error:
            _logger.error("webhook not applied", type=delivery.event, **raised_at(error))
            delivery.verdict = "failed"
        else:
            delivery.verdict = "accepted" if update is not None else "late"
        self._deliveries.add(delivery, delivery.age)

    def _foreign(self, account_sid: str | None, path: str) -> str | None:
        """Return why an event concerns no record that is served; None if it does."""
        if self._account_sid is not None and account_sid != self._account_sid:
            return "AccountSid is another account."
        services = self._callers.services
        if services is not None and sids_of(path)[0] not in services:
            return "ChatServiceSid is a service that no caller may read."
        return None

    def _is_seen(self, token: str | None, event: Event) -> bool:
        """Whether an equal event, or one with the same idempotency token, arrived before; remember both."""
        digest = blake2b(msgspec.msgpack.encode(event), digest_size=16).digest()
        keys = [digest] if token is None else [digest, b"token " + token[:100].encode("utf-8", "surrogateescape")]
        seen = self._seen
        is_seen = any(key in seen for key in keys)
        for key in keys:
            seen[key] = None
        while len(seen) > _SEEN_MAX:
            seen.popitem(last=False)
        return is_seen

    def _reject(
        self, request: HttpRequest, webhook: WebhookRequest, flaw: Flaw, received_at: float, status: int
    ) -> Reply:
        if not self._rejects.allows(request.connection.peer, received_at):
            self._deliveries.counts["forged"] += 1
            self._deliveries.rejected += 1
            return Reply(429, [(b"retry-after", b"1")])
        hint = f"The body is larger than {_BODY_MAX} bytes." if status == 413 else _HINTS.get(flaw)
        if flaw is Flaw.KEY and len(webhook.body) + len(request.query_string) <= _EXPLAINED_BYTES_MAX:
            called = self._called_url(request, webhook)
            if called is not None:
                flaw, hint = Flaw.URL, f"Twilio calls {called}: set GATEWAY_WEBHOOK_URL to it."
        _logger.warning("webhook rejected", check=flaw.value, status=status, hint=hint)
        self._deliveries.add(Delivery(received_at, "forged", reason=flaw.value))
        if status == 413:
            return error_reply(BadRequest(f"The request is larger than {_BODY_MAX} bytes.", status=413))
        return error_reply(Forbidden("The signature is not valid."))

    def _called_url(self, request: HttpRequest, webhook: WebhookRequest) -> str | None:
        """Return the URL that a request was signed for, if a proxy, or the setting, has another one."""
        parts = urlsplit(self._url)
        hosts = (parts.netloc, request.headers.get("x-forwarded-host", ""), request.headers.get("host", ""))
        origins = dict.fromkeys(f"{scheme}://{host}" for host in hosts if host for scheme in ("https", "http"))
        paths = dict.fromkeys((parts.path, request.path, f"{parts.path}/", parts.path.rstrip("/"), f"{request.path}/"))
        return called_url(webhook, self._secrets, origins, paths)


class RejectLimit:
    """How many requests of each peer address are rejected in full: a token bucket of one second for each."""

    def __init__(self, most: int) -> None:
        """Allow `most` a second for each peer."""
        self._most = most
        self._peers: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """The tokens left, and when they were counted, by peer."""

    def allows(self, peer: str, now: float) -> bool:
        """Return whether one more request of a peer is within the limit at `now` (seconds), and count it."""
        left, counted_at = self._peers.get(peer, (float(self._most), now))
        left = min(float(self._most), left + max(0.0, now - counted_at) * self._most)
        is_allowed = left >= 1
        self._peers[peer] = (left - 1 if is_allowed else left, now)
        self._peers.move_to_end(peer)
        if len(self._peers) > _PEERS_MAX:
            self._peers.popitem(last=False)
        return is_allowed


class RecentPage:
    """The route `/webhooks/recent`, for every caller that may send operations: the last deliveries as JSON."""

    def __init__(self, deliveries: Deliveries, admission: Admission) -> None:
        """Create the route."""
        self._deliveries = deliveries
        self._admission = admission

    async def answer(self, request: Request) -> Response:
        """Reply with the deliveries that the caller may see, or with 401 or 403."""
        try:
            caller = await self._admission.caller(request.headers)
        except GatewayError as error:
            return error_response(error, "")
        shown = [
            each.as_json()
            for each in self._deliveries.recent()
            if caller.services is None or each.service_sid in caller.services
        ]
        body = msgspec.json.encode({"deliveries": shown})
        return Response(body, headers=SECURITY_HEADERS, media_type="application/json")


def _milliseconds(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 3)

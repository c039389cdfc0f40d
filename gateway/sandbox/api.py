"""Conversations v1 as a function from a request to a complete response; faults and the connection are elsewhere."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from . import reads, user_resources, webhook_resources, writes
from .request import ResourceRequest, not_found
from .responses import ApiError, SandboxResponse
from .switches import Switches
from .world import World

ROUTES: Mapping[str, Mapping[str, Callable[[ResourceRequest], SandboxResponse]]] = {
    "Services": {"GET": reads.services},
    "Services/*": {"GET": reads.service},
    "Services/*/Conversations": {"GET": reads.conversations, "POST": writes.create_conversation},
    "Services/*/Conversations/*": {
        "GET": reads.conversation,
        "POST": writes.update_conversation,
        "DELETE": writes.delete_conversation,
    },
    "Services/*/Conversations/*/Messages": {"GET": reads.messages, "POST": writes.create_message},
    "Services/*/Conversations/*/Messages/*": {
        "GET": reads.message,
        "POST": writes.update_message,
        "DELETE": writes.delete_message,
    },
    "Services/*/Conversations/*/Messages/*/Receipts": {"GET": reads.receipts},
    "Services/*/Conversations/*/Messages/*/Receipts/*": {"GET": reads.receipt},
    "Services/*/Conversations/*/Participants": {"GET": reads.participants, "POST": writes.create_participant},
    "Services/*/Conversations/*/Participants/*": {
        "GET": reads.participant,
        "POST": writes.update_participant,
        "DELETE": writes.delete_participant,
    },
    "Services/*/Conversations/*/Webhooks": {
        "GET": webhook_resources.scoped_webhooks,
        "POST": webhook_resources.create_scoped_webhook,
    },
    "Services/*/Conversations/*/Webhooks/*": {
        "GET": webhook_resources.scoped_webhook,
        "POST": webhook_resources.update_scoped_webhook,
        "DELETE": webhook_resources.delete_scoped_webhook,
    },
    "Services/*/ParticipantConversations": {"GET": user_resources.participant_conversations},
    "Services/*/Users/*/Conversations": {"GET": user_resources.user_conversations},
    "Services/*/Users/*/Conversations/*": {
        "GET": user_resources.user_conversation,
        "POST": user_resources.update_user_conversation,
    },
    "Services/*/Configuration/*": {
        "GET": webhook_resources.configuration,
        "POST": webhook_resources.update_configuration,
    },
    "Configuration/*": {"GET": webhook_resources.configuration, "POST": webhook_resources.update_configuration},
}
CACHE_SIZE = 512


@dataclass(frozen=True, slots=True)
class BasicAuthentication:
    """Basic authentication (RFC 7617) with any of several pairs of a name and a secret."""

    secrets: Mapping[str, str]

    def check(self, header: str | None) -> None:
        """Raise ApiError unless an Authorization header has one of the pairs."""
        if header is None:
            raise ApiError(401, 20003, "Authentication Error - No credentials provided")
        scheme, _, encoded = header.partition(" ")
        try:
            name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            name, secret = "", ""
        if scheme.lower() != "basic" or name not in self.secrets:
            raise ApiError(401, 20003, "Authentication Error - invalid username")
        if self.secrets[name] != secret:
            raise ApiError(401, 20003, "Authenticate", detail="Your AccountSid or AuthToken was incorrect.")


class Api:
    """Answers requests from the world. Responses to reads are cached until the world changes, for speed alone."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._cache: dict[tuple[str, str, str, Switches], SandboxResponse] = {}
        self._version = world.version

    def answer(
        self,
        method: str,
        path: str,
        query: str,
        origin: str,
        switches: Switches,
        form: bytes = b"",
        *,
        fires_webhooks: bool = False,
    ) -> SandboxResponse:
        """Return the response to a request.

        `path` and `query` are percent-encoded, as sent; `origin` is the scheme and host of the URLs in the response.
        `fires_webhooks` is whether a write fires webhooks.
        """
        if self._version != self._world.version or len(self._cache) >= CACHE_SIZE:
            self._cache.clear()
            self._version = self._world.version
        key = (path, query, origin, switches)
        if method == "GET" and key in self._cache:
            return self._cache[key]
        try:
            response = self._route(method, path, query, origin, switches, form, fires_webhooks)
        except ApiError as error:
            return error.response()
        if method == "GET":
            self._cache[key] = response
        return response

    def _route(
        self,
        method: str,
        path: str,
        query: str,
        origin: str,
        switches: Switches,
        form: bytes,
        fires_webhooks: bool,
    ) -> SandboxResponse:
        resource_path = path.removeprefix("/v1")
        segments = resource_path[1:].split("/")
        shape = "/".join("*" if place % 2 and segment else segment for place, segment in enumerate(segments))
        route = ROUTES.get(shape)
        if route is None or not path.startswith("/v1/"):
            raise not_found(resource_path)
        if method not in route:
            raise ApiError(405)
        parameters = parse_qsl(form.decode(errors="replace"), keep_blank_values=True)
        request = ResourceRequest(
            world=self._world,
            switches=switches,
            origin=origin,
            path=resource_path,
            ids=[unquote(segment) for segment in segments[1::2]],
            query=dict(parse_qsl(query, keep_blank_values=True)),
            form=dict(parameters),
            repeated=_by_name(parameters),
            fires_webhooks=fires_webhooks,
        )
        return route[method](request)


def _by_name(parameters: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in parameters:
        values.setdefault(name, []).append(value)
    return values

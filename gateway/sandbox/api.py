"""Conversations v1 as a function: a request in, a finished answer out; what the wire does to it is not decided here."""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from . import reads, writes
from .answers import Answer, Refusal
from .request import Visit, missing
from .switches import Switches
from .world import World

ROUTES: Mapping[str, Mapping[str, Callable[[Visit], Answer]]] = {
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
}
ANSWERS_KEPT = 512


@dataclass(frozen=True, slots=True)
class Credentials:
    """Both pairs that Basic authentication accepts."""

    account_sid: str
    auth_token: str
    api_key: str
    api_secret: str

    def check(self, header: str | None) -> None:
        """Refusal when an Authorization header names neither pair."""
        if header is None:
            raise Refusal(401, 20003, "Authentication Error - No credentials provided")
        scheme, _, encoded = header.partition(" ")
        try:
            name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            name, secret = "", ""
        known = {self.account_sid: self.auth_token, self.api_key: self.api_secret}
        if scheme.lower() != "basic" or name not in known:
            raise Refusal(401, 20003, "Authentication Error - invalid username")
        if known[name] != secret:
            raise Refusal(401, 20003, "Authenticate", detail="Your AccountSid or AuthToken was incorrect.")


class Api:
    """Answers requests from the world. Finished reads are kept until something changes, for speed alone."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._kept: dict[tuple[str, str, str, Switches], Answer] = {}
        self._version = world.version

    def answer(self, method: str, path: str, query: str, origin: str, switches: Switches, form: bytes = b"") -> Answer:
        """The answer to a request; `path` and `query` are as sent, `origin` is what the caller calls us."""
        if self._version != self._world.version or len(self._kept) >= ANSWERS_KEPT:
            self._kept.clear()
            self._version = self._world.version
        key = (path, query, origin, switches)
        if method == "GET" and key in self._kept:
            return self._kept[key]
        try:
            answer = self._answer(method, path, query, origin, switches, form)
        except Refusal as refusal:
            return refusal.answer()
        if method == "GET":
            self._kept[key] = answer
        return answer

    def _answer(self, method: str, path: str, query: str, origin: str, switches: Switches, form: bytes) -> Answer:
        shown = path.removeprefix("/v1")
        segments = shown[1:].split("/")
        shape = "/".join("*" if place % 2 and segment else segment for place, segment in enumerate(segments))
        route = ROUTES.get(shape)
        if route is None or not path.startswith("/v1/"):
            raise missing(shown)
        if method not in route:
            raise Refusal(405)
        visit = Visit(
            world=self._world,
            switches=switches,
            origin=origin,
            path=shown,
            ids=[unquote(segment) for segment in segments[1::2]],
            query=dict(parse_qsl(query, keep_blank_values=True)),
            form=dict(parse_qsl(form.decode(errors="replace"), keep_blank_values=True)),
        )
        return route[method](visit)

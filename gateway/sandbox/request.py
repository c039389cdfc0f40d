"""A request on its way through the API: its parameters, and the resources its path names, found or refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from .answers import Answer, Refusal
from .conversation import Conversation, Message, Receipt
from .pages import Listing, page
from .participants import Participant
from .resources import Rendering
from .switches import Switches
from .world import Service, World

T = TypeVar("T")

# The codes of the dictionary that name a resource; 20404 where it has none, as for receipts.
SPECIFIC_CODES = {"service": 50050, "conversation": 50350, "participant": 50432, "message": 50500}


@dataclass
class Visit:
    """`path` is as sent, without /v1; `ids` are its decoded sids and names, outermost first."""

    world: World
    switches: Switches
    origin: str
    path: str
    ids: Sequence[str]
    query: Mapping[str, str]
    form: Mapping[str, str]

    @cached_property
    def rendering(self) -> Rendering:
        return Rendering(self.world.account_sid, self.origin, self.switches)

    @cached_property
    def service(self) -> Service:
        return self._found("service", self.world.find_service(self.ids[0]))

    @cached_property
    def conversation(self) -> Conversation:
        return self._found("conversation", self.service.find(self.ids[1]))

    @cached_property
    def message(self) -> Message:
        return self._found("message", self.conversation.find_message(self.ids[2]))

    @cached_property
    def participant(self) -> Participant:
        return self._found("participant", self.conversation.find_participant(self.ids[2]))

    @cached_property
    def receipt(self) -> Receipt:
        message, conversation = self.message, self.conversation
        rows = self.rendering.receipts(conversation, message)
        named = (row for row in rows if conversation.receipt_sid(message, row) == self.ids[3])
        return self._found("receipt", next(named, None))

    def page(self, listing: Listing) -> Answer:
        return Answer.of(200, page(listing, f"{self.origin}/v1{self.path}", self.query, self.switches))

    def _found(self, kind: str, resource: T | None) -> T:
        if resource is None:
            raise missing(self.path, SPECIFIC_CODES.get(kind) if self.switches.not_found_code == "specific" else None)
        return resource


def missing(path: str, code: int | None = None) -> Refusal:
    """Twilio names the path without its version, and calls a malformed sid missing too."""
    return Refusal(404, code, f"The requested resource {path} was not found")

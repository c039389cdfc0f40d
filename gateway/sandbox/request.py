"""A request to the API: its parameters, and the resources that its path names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from .conversation import ConversationRecord, MessageRecord, ReceiptRecord
from .occurrences import Occurrence
from .pages import ListResource, page
from .participants import ParticipantRecord
from .resources import Renderer
from .responses import ApiError, SandboxResponse
from .switches import Switches
from .world import ServiceRecord, World

T = TypeVar("T")

# Codes of https://www.twilio.com/docs/api/errors that name a kind of resource; receipts have none.
SPECIFIC_CODES = {"service": 50050, "conversation": 50350, "participant": 50432, "message": 50500}


@dataclass
class ResourceRequest:
    """A request to one resource or list. Its properties raise ApiError if the resource does not exist.

    `path` is as sent, without /v1; `ids` are the decoded sids and names in it, outermost first.
    """

    world: World
    switches: Switches
    origin: str
    path: str
    ids: Sequence[str]
    query: Mapping[str, str]
    form: Mapping[str, str]
    repeated: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The values of each form parameter, in order: `form` has the last one."""
    fires_webhooks: bool = False
    """Whether a write fires webhooks: `X-Twilio-Webhook-Enabled: true`."""

    @cached_property
    def renderer(self) -> Renderer:
        return Renderer(self.world.account_sid, self.origin, self.switches)

    @cached_property
    def service(self) -> ServiceRecord:
        return self._found("service", self.world.find_service(self.ids[0]))

    @cached_property
    def conversation(self) -> ConversationRecord:
        return self._found("conversation", self.service.find(self.ids[1]))

    @cached_property
    def message(self) -> MessageRecord:
        return self._found("message", self.conversation.find_message(self.ids[2]))

    @cached_property
    def participant(self) -> ParticipantRecord:
        return self._found("participant", self.conversation.find_participant(self.ids[2]))

    @cached_property
    def receipt(self) -> ReceiptRecord:
        message, conversation = self.message, self.conversation
        rows = self.renderer.receipts(conversation, message)
        matching = (row for row in rows if conversation.receipt_sid(message, row) == self.ids[3])
        return self._found("receipt", next(matching, None))

    def page(self, listing: ListResource) -> SandboxResponse:
        return SandboxResponse.json(200, page(listing, f"{self.origin}/v1{self.path}", self.query, self.switches))

    def fire(self, occurrence: Occurrence) -> None:
        """Fire webhooks for a write, if the request asks for them."""
        if self.fires_webhooks:
            self.world.fire(occurrence)

    def _found(self, kind: str, resource: T | None) -> T:
        if resource is None:
            raise not_found(self.path, SPECIFIC_CODES.get(kind) if self.switches.not_found_code == "specific" else None)
        return resource


def not_found(path: str, code: int | None = None) -> ApiError:
    """Create the error for a path without /v1, as Twilio shows it; for a malformed sid it is the same."""
    return ApiError(404, code, f"The requested resource {path} was not found")

"""The number of unread messages of a chat user in one conversation: a value that is read upstream by itself."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from gateway.errors import BadUserInput, NotFound
from gateway.graph.node import Node, resource_of
from gateway.twilio.paths import child, name_segment, parent_of, sids_of
from gateway.twilio.resources import Int32, Resource
from gateway.twilio.statuses import ReceiptSummary

if TYPE_CHECKING:
    from gateway.execution.context import Read
    from gateway.graph.context import OperationContext

__all__ = ["UnreadMessages", "estimated_unread_messages", "unread_messages", "user_conversations"]


@cache
def user_conversations() -> Resource:
    """Return the resource of a user's conversations."""
    shared: dict[str, Any] = {
        "letter": "",
        "page_max": 50,
        "rows_max": None,
        "lifetime": "messages",
        "list_lifetime": "messages",
        "final_lifetime": None,
        "is_final": None,
        "node": Node,
    }
    user = Resource(
        type_name="User",
        collection="Users",
        prefix="US",
        rows_key="users",
        sid_property="user_sid",
        name_property="identity",
        parent=resource_of("Services"),
        properties={},
        **shared,
    )
    return Resource(
        type_name="UserConversation",
        collection="Conversations",
        prefix="CH",
        rows_key="conversations",
        sid_property="",
        name_property=None,
        parent=user,
        properties={"unread_messages_count": Int32 | None},
        sid_key="conversation_sid",
        **shared,
    )


@dataclass(slots=True)
class UnreadMessages:
    """The read of the number of a user's unread messages in one conversation. It is null when Twilio does not know it."""

    path: str
    type_name: ClassVar[str] = "Int"
    is_single: ClassVar[bool] = True
    is_shared: ClassVar[bool] = False
    is_sparse: ClassVar[bool] = False
    may_be_skipped: ClassVar[bool] = False
    calls_max: ClassVar[int] = 1
    also: ClassVar[tuple[Read, ...]] = ()
    expected_summary: ClassVar[ReceiptSummary | None] = None

    def first_key(self, *, no_cache: bool) -> str:
        """Return the path."""
        return self.path

    def reference(self) -> None:
        """Return None: the number has to be read."""

    def placeholder(self, token: str) -> tuple[None, None]:
        """Return nothing: a number leads nowhere."""
        return None, None

    def size_of(self, child: object) -> int:
        """Return 0: a number is no record."""
        return 0

    def resolve(self, context: OperationContext) -> int | None:
        """Return the number; None for a user, or a user's conversation, that does not exist."""
        try:
            count: int | None = context.loaders.item(self.path).unread_messages_count
        except NotFound:
            return None
        return count


def unread_messages(participant: Node) -> UnreadMessages | None:
    """Return the read for a participant; None for one outside chat."""
    identity = participant.row.identity
    if identity is None:
        return None
    try:
        return _read(participant, name_segment(identity, "identity", "US"))
    except BadUserInput:  # An identity that no path can name.
        return None


def estimated_unread_messages(participant: Node, token: str) -> UnreadMessages:
    """Return the read for a participant without a row, for an estimate."""
    return _read(participant, token)


def _read(participant: Node, user: str) -> UnreadMessages:
    conversation = parent_of(participant.path)
    service = parent_of(conversation)
    return UnreadMessages(child(child(service, "Users", user), "Conversations", sids_of(conversation)[-1]))

"""The reads of single records: an item by its path, and a member of a list that other reads share.

Each is a plain value; creating one does no I/O. The reads of lists are in `lists`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import msgspec

from gateway.errors import NotFound, UpstreamInvalidResponse
from gateway.graph.node import Node
from gateway.twilio.partial_rows import readable
from gateway.twilio.paths import child, is_sid, sids_of
from gateway.twilio.resources import Resource, Row
from gateway.twilio.statuses import ReceiptSummary

if TYPE_CHECKING:
    from gateway.execution.context import Read
    from gateway.graph.context import OperationContext

__all__ = ["Item", "KnownItem", "Member", "ReceiptOwner"]


class Item(msgspec.Struct):
    """A record that is read by its path. It is null, without an error, when Twilio answers 404."""

    resource: Resource
    path: str
    listed: bool = False
    by_name: bool = False
    """Whether the path holds a name in place of a sid, which is known only after the record is read."""
    is_single: ClassVar[bool] = True
    is_shared: ClassVar[bool] = False
    is_sparse: ClassVar[bool] = False
    may_be_skipped: ClassVar[bool] = False
    calls_max: ClassVar[int] = 1
    also: ClassVar[tuple[Read, ...]] = ()
    expected_summary: ClassVar[ReceiptSummary | None] = None

    __repr__ = object.__repr__  # A path may hold a name.

    @property
    def type_name(self) -> str:
        """The record's type."""
        return self.resource.type_name

    def first_key(self, *, no_cache: bool) -> str | None:
        """Return the path."""
        return self.path

    def reference(self) -> Node | None:
        """Return the record without a row; None when it is read by name."""
        return None if self.by_name else self.resource.node(path=self.path, listed=self.listed)

    def placeholder(self, token: str) -> tuple[Node, int | None]:
        """Return the record without a row. One that is read by name has the token for each sid that is not known."""
        path = self._path([token] * len(self._lineage), token) if self.by_name else self.path
        return self.resource.node(path=path, listed=self.listed), 1 if self.by_name else None

    def size_of(self, child: object) -> int:
        """Return 1."""
        return 1

    def resolve(self, context: OperationContext) -> Node | None:
        """Return the record with its row."""
        try:
            return self.child(context.loaders.item(self.path))
        except NotFound:
            return None

    def child(self, row: Row) -> Node:
        """Return the record with the row that was read; raises `UpstreamInvalidResponse` if that lacks a sid in its path."""
        path = f"{self.path.rpartition('/')[0]}/{row.sid}"  # Twilio accepts sids in another case.
        if self.by_name:
            owners = [getattr(row, owner.sid_property) for owner in self.resource.ancestors]
            path = self._path([*owners, row.sid], row.sid)
        return self.resource.node(path=path, row=row, listed=self.listed)  # type: ignore[no-any-return]

    @property
    def _lineage(self) -> tuple[Resource, ...]:
        return (*self.resource.ancestors, self.resource)

    def _path(self, sids: Sequence[str | None], own: str) -> str:
        """Return the path with the record's `own` sid, and with these `sids` in place of the names of its owners."""
        path, given = "", sids_of(self.path)
        for resource, segment, sid in zip(self._lineage, given, sids, strict=True):
            is_known = is_sid(segment, resource.prefix) or segment.startswith("*")  # `*1` is one of an estimate.
            known = segment if is_known else sid
            if known is None:
                raise UpstreamInvalidResponse("Twilio returned a record without the sid of its owner.")
            path = child(path, resource.collection, known)
        return path if is_sid(given[-1], self.resource.prefix) else f"{path.rpartition('/')[0]}/{own}"


class KnownItem(Item):
    """A record that is read by its path, unless all that is selected of it is known."""

    row: Row = None

    def first_key(self, *, no_cache: bool) -> str | None:
        """Return the path; None when what is selected is known."""
        return self.path if self.row is None else None

    def resolve(self, context: OperationContext) -> Node | None:
        """Return the record with what is known of it, or with its row."""
        if self.row is None:
            return super().resolve(context)
        return self.resource.node(path=self.path, row=self.row, listed=self.listed)  # type: ignore[no-any-return]


class ReceiptOwner(Item):
    """The message of a receipt that an event has named: Twilio may show it without the summary of its receipts at first."""

    def resolve(self, context: OperationContext) -> Node | None:
        """Return the message with its row; raises `UpstreamInvalidResponse` for one that shows no receipts."""
        message = super().resolve(context)
        if message is not None and readable(message.row, "delivery", message) is None:
            raise UpstreamInvalidResponse("Twilio returned a message without the summary of its receipts.")
        return message


class Member(msgspec.Struct):
    """A record that is read with its list, because other reads need the list too: a receipt's participant.

    It is null, without an error, when the list does not have it: the participant has left.
    """

    resource: Resource
    list_path: str
    sid: str
    path: str
    is_single: ClassVar[bool] = True
    is_shared: ClassVar[bool] = True
    is_sparse: ClassVar[bool] = False
    may_be_skipped: ClassVar[bool] = False
    also: ClassVar[tuple[Read, ...]] = ()
    expected_summary: ClassVar[ReceiptSummary | None] = None

    __repr__ = object.__repr__  # A path may hold a name.

    @property
    def type_name(self) -> str:
        """The record's type."""
        return self.resource.type_name

    @property
    def calls_max(self) -> int:
        """The pages of the largest list that there can be."""
        return self.resource.pages_max

    def first_key(self, *, no_cache: bool) -> str:
        """Return the first page of the list."""
        return self.resource.largest_page(self.list_path)

    def reference(self) -> Node:
        """Return the record without a row."""
        return self._node(None)

    def placeholder(self, token: str) -> tuple[Node, None]:
        """Return the record without a row."""
        return self._node(None), None

    def size_of(self, child: object) -> int:
        """Return 1."""
        return 1

    def resolve(self, context: OperationContext) -> Node | None:
        """Return the record with its row. A list that does not exist is an error, since it says nothing about the record."""
        row = context.loaders.member(self.list_path, self.sid)
        return self._node(row) if row is not None else None

    def _node(self, row: Row) -> Node:
        return self.resource.node(path=self.path, row=row, listed=True)  # type: ignore[no-any-return]

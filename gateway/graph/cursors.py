"""Cursors: the position after one row of a list.

A cursor holds the parameters of the page to read next (with its page token), the row's sid and place, and a digest of the
list and its filters, so that it is rejected for any other list. It is opaque to clients, and validated on use.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, TypeVar

import msgspec

from gateway.errors import BadUserInput, UpstreamInvalidResponse
from gateway.graph.scalars import moment
from gateway.twilio.paths import is_sid
from gateway.twilio.resources import Row

__all__ = ["Cursor", "SearchCursor", "decode_cursor", "decode_search_cursor", "index_of"]

C = TypeVar("C", bound="_Opaque")

_VERSION = 1
_LENGTH_MAX = 24_576  # Of a cursor with two queries of the length that is read from Twilio.


class _Opaque(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What both kinds of cursor begin with."""

    version: int
    list_digest: bytes

    def encode(self) -> str:
        """Return the text that clients see: base64url (RFC 4648, 5) of MessagePack."""
        return urlsafe_b64encode(msgspec.msgpack.encode(self)).rstrip(b"=").decode()


class Cursor(_Opaque, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The position after one row of a list."""

    query: str
    """The parameters of the page to read next; "" for a list that is read whole."""
    sid: str
    """The row's sid."""
    place: int
    """How many rows of that page come up to and including the row; 0 when it is the page after the row's own."""
    index: int | None = None
    """The row's `index`, if rows have one: it gives the position even after the row is deleted."""
    row_query: str = ""
    """The parameters of the row's own page, if that is another."""

    @classmethod
    def make(cls, list_key: str, query: str, sid: str, place: int, index: int | None, row_query: str = "") -> "Cursor":
        """Return the cursor after a row of the list `list_key` (its path and filters)."""
        return cls(_VERSION, _digest(list_key), query, sid, place, index, row_query)

    def place_in(self, rows: Sequence[Row]) -> int:
        """Return how many of the page's rows to skip: up to the row, or up to its former place if it was deleted."""
        for position, row in enumerate(rows):
            if row.sid == self.sid:
                return position + 1
        # The row was deleted, so the rows after it moved up by one. Rows with an index are compared by it instead.
        return 0 if self.index is not None else max(0, self.place - 1)


class SearchCursor(_Opaque, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The position of a search through the messages of a service: after a conversation, one of its messages, or a receipt."""

    conversation_sid: str
    created: str
    """When the conversation was created; "" if that could not be read."""
    query: str
    """The parameters of the page that has the conversation."""
    before: tuple[str, ...]
    """The sids of conversations created in the same second that come before it."""
    message_sid: str = ""
    """The message; "" when the search is done with the conversation."""
    index: int | None = None
    """The message's `index`."""
    message_query: str = ""
    """The parameters of the page that has the message."""
    receipt_sid: str = ""
    """The receipt; "" when the search is done with the message."""

    @classmethod
    def make(cls, list_key: str, *position: Any, **more: Any) -> "SearchCursor":
        """Return the cursor of a position in the search that `list_key` identifies."""
        return cls(_VERSION, _digest(list_key), *position, **more)


def index_of(row: Row) -> int | None:
    """Return the `index` of a row; None if it has none that can be read."""
    try:
        return getattr(row, "index", None)
    except UpstreamInvalidResponse:
        return None


def decode_cursor(text: str, list_key: str) -> Cursor:
    """Return the cursor that `text` encodes; raises `BadUserInput` for any other text, list, order or filter.

    Its parameters are Twilio's own, from a `next_page_url`, which may have others than were sent. A client can forge them, and
    gets no more than other pages of the same list.
    """
    return _decode(text, list_key, Cursor, lambda cursor: _is_query(cursor.query) and _is_query(cursor.row_query))


def decode_search_cursor(text: str, list_key: str) -> SearchCursor:
    """Return the cursor of a search that `text` encodes; raises as `decode_cursor` does."""

    def is_valid(cursor: SearchCursor) -> bool:
        return (
            _is_query(cursor.query)
            and _is_query(cursor.message_query)
            and is_sid(cursor.conversation_sid, "CH")
            and (not cursor.created or moment(cursor.created) is not None)
        )

    return _decode(text, list_key, SearchCursor, is_valid)


def _decode(text: str, list_key: str, kind: type[C], is_valid: Callable[[C], bool]) -> C:
    try:
        if len(text) > _LENGTH_MAX:
            raise ValueError("too long")
        cursor = msgspec.msgpack.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=kind)
        if cursor.version != _VERSION or cursor.encode() != text:
            raise ValueError("not a cursor of this gateway")
        if cursor.list_digest != _digest(list_key):
            raise BadUserInput("`after` is a cursor of another list, or of this list with other arguments.")
        if not is_valid(cursor):
            raise ValueError("not a cursor of this gateway")
    except (ValueError, msgspec.DecodeError, UpstreamInvalidResponse):
        raise BadUserInput("`after` is not a cursor. Pass the value of an `endCursor` or `cursor` field.") from None
    return cursor


@lru_cache(maxsize=256)  # A cursor of each row of a list has the same one.
def _digest(list_key: str) -> bytes:
    return blake2b(list_key.encode(), digest_size=8).digest()


def _is_query(text: str) -> bool:
    """Whether a text can be the query of a URL as it is (RFC 3986, 3.4)."""
    return text.isascii() and text.isprintable() and not {" ", "#"} & set(text)

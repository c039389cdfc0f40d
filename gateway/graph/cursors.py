"""Cursors: where in a list a row stands, and how to go on behind it.

A cursor holds the parameters of the page that goes on (its token among them), the row's sid, and its place; and a digest
of the list and its filters, so that it is refused anywhere else. It is opaque to callers and checked when it comes back.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b
from urllib.parse import parse_qsl

import msgspec

from gateway.errors import BadUserInput
from gateway.twilio.resources import Row

__all__ = ["Cursor", "decode_cursor"]

_VERSION = 1
_LENGTH_MAX = 8192
_PAGING = {"PageSize", "Page", "PageToken"}


class Cursor(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A place in a list, behind one row."""

    version: int
    list_digest: bytes
    query: str
    """The parameters of the page to read first; "" for a list that is read whole."""
    sid: str
    """The row's sid."""
    place: int
    """How many rows of that page are behind us; 0 when the page is the one after the row's."""
    index: int | None = None
    """The row's `index`, where rows have one: it orders them even when the row is gone."""
    own: str = ""
    """The parameters of the row's own page, when that is another."""

    @classmethod
    def make(cls, list_key: str, query: str, sid: str, place: int, index: int | None, own: str = "") -> "Cursor":
        """The cursor behind a row of the list `list_key` (its path and filters)."""
        return cls(_VERSION, _digest(list_key), query, sid, place, index, own)

    def encode(self) -> str:
        """The text that callers see."""
        return urlsafe_b64encode(msgspec.msgpack.encode(self)).rstrip(b"=").decode()

    def place_in(self, rows: Sequence[Row]) -> int:
        """How many of the page's rows to pass over: up to the row itself, or as far as it stood when it is gone."""
        for position, row in enumerate(rows):
            if row.sid == self.sid:
                return position + 1
        # The row has gone, so those behind it moved up by one. Rows that have an index are told apart by it instead.
        return 0 if self.index is not None else max(0, self.place - 1)


def decode_cursor(text: str, list_key: str, filters: Sequence[tuple[str, str]], page_max: int) -> Cursor:
    """The cursor that `text` is; raises `BadUserInput` when it is none, or one of another list, order or filter."""
    try:
        if len(text) > _LENGTH_MAX:
            raise ValueError("too long")
        cursor = msgspec.msgpack.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=Cursor)
        if cursor.version != _VERSION or cursor.encode() != text:
            raise ValueError("not ours")
        if cursor.list_digest != _digest(list_key):
            raise BadUserInput("`after` is a cursor of another list, or of this list with other arguments.")
        if not all(_goes_on(query, dict(filters), page_max) for query in (cursor.query, cursor.own)):
            raise ValueError("not ours")
    except (ValueError, msgspec.DecodeError):
        raise BadUserInput("`after` is not a cursor. Pass on what `endCursor` or `cursor` gave.") from None
    return cursor


def _digest(list_key: str) -> bytes:
    return blake2b(list_key.encode(), digest_size=8).digest()


def _goes_on(query: str, filters: dict[str, str], page_max: int) -> bool:
    """Whether a page's parameters are such as this list's own next pages have; a cursor may have been made by anyone."""
    if not query:
        return True
    if not query.isascii() or not query.isprintable() or {" ", "#", "?"} & set(query):
        return False
    given = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True))
    size = given.get("PageSize", "1")
    return (
        given.keys() <= _PAGING | filters.keys()
        and all(given[name] == filters[name] for name in given.keys() & filters.keys())
        and size.isdecimal()
        and 1 <= int(size) <= page_max
    )

"""Rows of which some properties cannot be read: the others are kept, so that one value does not fail a whole page."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Collection
from typing import Any, get_args

import msgspec

from gateway.errors import UpstreamInvalidResponse
from gateway.twilio.resources import Resource, Row

__all__ = [
    "PartialRow",
    "decode_partial_item",
    "decode_partial_page",
    "readable",
    "repaired",
    "replace_lone_surrogates",
]

_ESCAPES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
"""One escape of a JSON string, or a pair of them that is one character; `lone` is half of such a pair."""


class PartialRow:
    """The readable properties of a row, or of an object inside one; reading another raises `UpstreamInvalidResponse`."""

    def __init__(self, values: dict[str, Any], unreadable: Collection[str]) -> None:
        """Hold the readable `values` and the names of the others."""
        self.__dict__.update(values)
        self._unreadable = frozenset(unreadable)

    def __getattr__(self, name: str) -> Any:
        if name in self.__dict__.get("_unreadable", ()):
            raise UpstreamInvalidResponse(f"Twilio returned a value for `{name}` that could not be read.")
        raise AttributeError(name)


def readable(row: Row, name: str, default: Any = None) -> Any:
    """Return a property of a row, or `default` if it could not be read."""
    try:
        return getattr(row, name)
    except UpstreamInvalidResponse:
        return default


def repaired(body: bytes) -> bytes:
    """Return a JSON text without a byte order mark, and with U+FFFD for what is no character (RFC 8259, 8.1 and 8.2)."""
    return replace_lone_surrogates(body.removeprefix(BOM_UTF8).decode(errors="replace").encode())


def replace_lone_surrogates(text: bytes) -> bytes:
    """Return a JSON text with U+FFFD for each escape of half a character, which no Unicode text can hold (RFC 8259, 8.2)."""
    return _ESCAPES.sub(lambda match: rb"\ufffd" if match["lone"] else match[0], text)


def decode_partial_page(resource: Resource, body: bytes) -> Any:
    """Return a page as `Resource.page_decoder` does, with a `PartialRow` for each row that it cannot decode.

    Raises `msgspec.DecodeError` or RecursionError when anything else cannot be decoded: `meta`, or what identifies a row.
    """
    body = repaired(body)
    try:
        return resource.page_decoder.decode(body)
    except msgspec.ValidationError as error:
        value = msgspec.json.decode(body)
        rows = value.get(resource.rows_key) if isinstance(value, dict) else None
        if not isinstance(rows, list):
            raise
        page = msgspec.convert({**value, resource.rows_key: []}, resource.page_decoder.type, strict=False)
        page.rows = _rows(resource, rows, error)
        return page


def decode_partial_item(resource: Resource, body: bytes) -> Row:
    """Return a record as `Resource.item_decoder` does, or as a `PartialRow`; raises as `decode_partial_page` does."""
    body = repaired(body)
    try:
        return resource.item_decoder.decode(body)
    except msgspec.ValidationError as error:
        return _rows(resource, [msgspec.json.decode(body)], error)[0]


def _rows(resource: Resource, values: list[Any], error: msgspec.ValidationError) -> list[Row]:
    """Return JSON values as rows; raises `error`, which names the place, if one lacks what identifies it."""
    required = {owner.sid_property for owner in resource.ancestors}
    try:
        return [_converted(value, resource.row, required) for value in values]
    except msgspec.ValidationError:
        raise error from None


def _converted(value: Any, kind: Any, required: Collection[str] = ()) -> Any:
    """Return a JSON value as a `kind`, with partial objects; raises `msgspec.ValidationError`."""
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        for each in (kind, *get_args(kind)):
            if isinstance(value, dict) and isinstance(each, type) and issubclass(each, msgspec.Struct):
                return _partial(value, each, required)
            if isinstance(value, list) and getattr(each, "__origin__", None) is list:
                return [_converted(inner, get_args(each)[0]) for inner in value]
        raise


def _partial(value: dict[str, Any], kind: type[msgspec.Struct], required: Collection[str]) -> PartialRow:
    values, unreadable = {}, set()
    for field in msgspec.structs.fields(kind):
        try:
            values[field.name] = _converted(value.get(field.encode_name), field.type)
        except msgspec.ValidationError:
            if field.required or field.name in required:
                raise
            unreadable.add(field.name)
    return PartialRow(values, unreadable)

"""Paging: page sizes, opaque page tokens, and the envelope of a page: https://www.twilio.com/docs/usage/twilios-response#pagination."""

import base64
import binascii
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any
from urllib.parse import quote

import orjson

from .parameters import integer
from .responses import ApiError
from .switches import Switches

DEFAULT_SIZE = 50


@dataclass(frozen=True, slots=True)
class ListResource:
    """A list in its order: `keys` ascend by `rank`, and `row` renders the row of a key.

    `key` is the property that holds the rows, and `largest` the maximum page size. `name` identifies the list with its
    filters, so that the page tokens of another list are refused.
    """

    key: str
    name: str
    largest: int
    keys: Sequence[int]
    row: Callable[[int], dict[str, Any]]
    rank: Callable[[int], int] = int
    filters: Mapping[str, str] | None = None


def page(listing: ListResource, url: str, query: Mapping[str, str], switches: Switches) -> dict[str, Any]:
    """Return one page of the list at `url` (absolute, without its query) in Twilio's envelope.

    Raises ApiError for invalid parameters.
    """
    size = _size(listing, query, switches)
    number = integer(query.get("Page", "0"), "Page", 0)
    token = query.get("PageToken")
    keys = listing.keys
    start = 0 if token is None else _start(listing, token, size)
    shown = keys[start : start + size]
    end = start + len(shown)
    has_more = end < len(keys) or (switches.last_page == "empty" and len(shown) == size)

    def link(page: int, token: str | None) -> str:
        parameters = {**(listing.filters or {}), "PageSize": str(size), "Page": str(page)}
        if token is not None:
            parameters["PageToken"] = token
        return f"{url}?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())

    def next_url() -> str:
        by_rank = switches.page_token == "keyset"
        return link(number + 1, _token(listing, **({"a": listing.rank(shown[-1])} if by_rank else {"o": end})))

    def previous_url() -> str:
        if switches.page_token == "keyset":
            edge = listing.rank(shown[0]) if shown else listing.rank(keys[-1]) + 1
            return link(max(0, number - 1), _token(listing, b=edge))
        return link(max(0, number - 1), _token(listing, o=max(0, start - size)))

    return {
        "meta": {
            "page": number,
            "page_size": size,
            "first_page_url": link(0, None),
            "previous_page_url": previous_url() if start and keys else None,
            "url": link(number, token),
            "next_page_url": next_url() if has_more else None,
            "key": listing.key,
        },
        listing.key: [listing.row(key) for key in shown],
    }


def _size(listing: ListResource, query: Mapping[str, str], switches: Switches) -> int:
    size = integer(query.get("PageSize", str(min(DEFAULT_SIZE, listing.largest))), "PageSize", 1)
    if size > listing.largest and switches.oversize_page == "refuse":
        raise ApiError(400, 20007, "Page size too large")
    return min(size, listing.largest)


def _token(listing: ListResource, **position: int) -> str:
    text = orjson.dumps({**position, "l": _digest(listing)})
    return "PT" + base64.urlsafe_b64encode(text).decode().rstrip("=")


def _digest(listing: ListResource) -> str:
    return blake2b(listing.name.encode(), digest_size=6).hexdigest()


def _start(listing: ListResource, token: str, size: int) -> int:
    """Return the start of a token's page: the offset `o`, after the rank `a`, or one page before the rank `b`."""
    try:
        text = base64.b64decode(token[2:] + "=" * (-len(token[2:]) % 4), altchars=b"-_", validate=True)
        position = orjson.loads(text)
        is_ours = token.startswith("PT") and position["l"] == _digest(listing)
        kind, value = next((kind, int(position[kind])) for kind in "oab" if kind in position)
    except (binascii.Error, ValueError, TypeError, KeyError, OverflowError, StopIteration):
        is_ours = False
    if not is_ours:
        raise ApiError(400, 21481, "Invalid PageToken")
    if kind == "o":
        return min(max(0, value), len(listing.keys))
    if kind == "a":
        return bisect_right(listing.keys, value, key=listing.rank)
    return max(0, bisect_left(listing.keys, value, key=listing.rank) - size)

"""Addresses of Twilio's API as they stand in logs: which record they are of."""

import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from gateway.addresses import is_loopback
from gateway.errors import BadUserInput
from gateway.graph.reads import Item
from gateway.twilio.paths import checked_sid, child, is_sid, name_segment
from gateway.twilio.resources import Resource

__all__ = ["read_of_url"]

_HOST = re.compile(r"conversations(?:\.[a-z0-9-]+){0,2}\.twilio\.com")  # Perhaps with an edge, a region, or both.
_LIST = re.compile(r"[A-Za-z]+")
_EXPECTED = "Expected the address of a service, conversation, message, receipt or participant in Twilio's API, such as"
_EXAMPLE = "https://conversations.twilio.com/v1/Services/IS…/Conversations/CH…"


def read_of_url(resources: Mapping[str, Resource], url: str) -> Item:
    """Return the read of the record that a URL of Twilio's API is of.

    The query and the fragment are ignored, and a list below a record, such as its receipts, leads to that record. Only the path
    is used: nothing is sent to the URL. Raises `BadUserInput`, which does not repeat the URL, for any other address.
    """
    segments = _segments(url)
    if len(segments) % 2 and _LIST.fullmatch(segments[-1]):
        segments.pop()
    if not segments or len(segments) % 2:
        raise _unexpected()
    path, by_name, parent = "", False, None
    for collection, name in zip(segments[::2], segments[1::2], strict=True):
        resource = resources.get(collection)
        if resource is None or resource.parent is not parent:
            raise _unexpected()
        if is_sid(name, resource.prefix) or resource.name_property is None:
            segment = checked_sid(name, resource.prefix)
        else:
            segment, by_name = name_segment(name, resource.name_property.replace("_", " "), resource.prefix), True
        path, parent = child(path, collection, segment), resource
    assert parent is not None
    return Item(parent, path, by_name=by_name)


def _segments(url: str) -> list[str]:
    """Return the decoded segments of the path below `/v1/`."""
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _unexpected() from None
    if parts.scheme not in {"http", "https"} or parts.username is not None or port == 0:
        raise _unexpected()
    if not _HOST.fullmatch(host) and not is_loopback(host):
        raise BadUserInput(f"This is not an address of Twilio's Conversations API. {_EXPECTED} {_EXAMPLE}.")
    version, _, path = parts.path.removeprefix("/").removesuffix("/").partition("/")
    if version != "v1":
        raise _unexpected()
    if path.partition("/")[0] == "Conversations":
        raise BadUserInput(
            "This address does not name its service: take one that begins with /v1/Services/IS…, as in the `url` of records."
        )
    return [unquote(segment) for segment in path.split("/")]


def _unexpected() -> BadUserInput:
    return BadUserInput(f"{_EXPECTED} {_EXAMPLE}.")

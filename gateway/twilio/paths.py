"""Upstream paths: how they are built, split and logged.

A path is the text after `/v1/`, such as `Services/IS…/Conversations/CH…/Messages/IM…`; with the parameters of a list after `?`
it is a page key. Both are percent-encoded, and both are keys: of caches, loaders, logs and node ids.
"""

import re
from collections.abc import Callable
from functools import cache
from urllib.parse import quote

from gateway.errors import BadUserInput

__all__ = [
    "checked_name",
    "checked_sid",
    "child",
    "collection_of",
    "is_sid",
    "list_of",
    "name_segment",
    "parent_of",
    "pseudonymized",
    "redacted",
    "sid_pattern",
    "sids_of",
]

_NAMED = {"Conversations": "CH", "Participants": "MB", "Users": "US"}
"""Collections whose members may also be addressed by name, and the prefixes of their sids."""
_NAME_LENGTH = 512
_ANY_PREFIX = "[A-Z]{2}"


@cache
def sid_pattern(prefix: str) -> re.Pattern[str]:
    """Return the pattern of sids with that prefix: it and 32 hex digits."""
    return re.compile(f"{prefix}[0-9a-fA-F]{{32}}")


def is_sid(text: str, prefix: str | None = None) -> bool:
    """Whether `text` has the form of a sid: two capital letters (`prefix`, when given) and 32 hex digits."""
    return sid_pattern(prefix or _ANY_PREFIX).fullmatch(text) is not None


def checked_sid(value: str, prefix: str) -> str:
    """Return `value` as a path segment; raises `BadUserInput` if it is not a sid with that prefix."""
    if not is_sid(value, prefix):
        raise BadUserInput(f"Expected a sid of the form {prefix} followed by 32 hexadecimal digits.")
    return value


def checked_name(value: str, what: str) -> str:
    """Return a name as it is; raises `BadUserInput` for one that Twilio cannot have. `what` names it in the error message."""
    if not 1 <= len(value) <= _NAME_LENGTH:
        raise BadUserInput(f"The {what} must have 1 to {_NAME_LENGTH} characters.")
    if value in {".", ".."} or any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 for c in value):
        raise BadUserInput(f"The {what} must not be '.' or '..', nor hold control characters.")
    return value


def name_segment(value: str, what: str, prefix: str) -> str:
    """Return a conversation's unique name or a participant's identity as a path segment, percent-encoded (RFC 3986, 2.1).

    Raises `BadUserInput` as `checked_name` does, and for a name in the form of the resource's own sids, which Twilio would take
    for a sid.
    """
    if is_sid(checked_name(value, what), prefix):
        raise BadUserInput(f"The {what} has the form of a sid: ask for it by sid.")
    return quote(value, safe="")


def child(path: str, collection: str, segment: str = "") -> str:
    """Return the path of a collection below `path` ("" for the root), or of its member `segment`."""
    list_path = f"{path}/{collection}" if path else collection
    return f"{list_path}/{segment}" if segment else list_path


def parent_of(path: str) -> str:
    """Return the path of the record that owns the record at `path`; "" for a service."""
    return path.rsplit("/", 2)[0] if path.count("/") > 1 else ""


def sids_of(path: str) -> list[str]:
    """Return the sids and names in a path, outermost first."""
    return path.split("/")[1::2]


def collection_of(target: str) -> str:
    """Return the last collection in a path or page key, such as `Receipts`; `UserConversations` for those of a user."""
    segments = target.partition("?")[0].split("/")
    is_list = len(segments) % 2  # Its path ends with the collection, a record's with a sid.
    collection = segments[-1] if is_list else segments[-2]
    return f"User{collection}" if len(segments) > 4 and segments[2] == "Users" else collection


def list_of(key: str) -> str:
    """Return the path of the list that a page or a record belongs to."""
    path, is_page, _ = key.partition("?")
    return path if is_page else path.rpartition("/")[0]


def redacted(target: str) -> str:
    """Return a path or page key for logs, errors and traces: without names and parameters, with sids and the page size."""
    path, _, query = target.partition("?")
    path = _with_names(path, lambda name: "{sid}" if name.startswith("*") else "{name}")  # `*1` is one of an estimate.
    return path if not query else path + "?" + re.sub(r"(?<![^&])(?!PageSize=)([^&=]*=)[^&]*", r"\1{value}", query)


def pseudonymized(target: str, pseudonym: Callable[[str], str]) -> str:
    """Return a path or page key with pseudonyms in place of names, and of the parameters of a search for a person."""
    path, mark, query = target.partition("?")
    query = pseudonym(query) if path.endswith("/ParticipantConversations") else query
    return _with_names(path, pseudonym) + mark + query


def _with_names(path: str, replacement: Callable[[str], str]) -> str:
    """Return a path with a replacement for each segment that should be a sid and is none."""
    segments = path.split("/")
    for place in range(1, len(segments), 2):
        if not is_sid(segments[place], _NAMED.get(segments[place - 1])):
            segments[place] = replacement(segments[place])
    return "/".join(segments)

"""Upstream paths: how they are made, taken apart, and shown.

A path is the text behind `/v1/`, such as `Services/IS…/Conversations/CH…/Messages/IM…`; with a list's parameters behind
`?` it is a page key. Both are ready for the wire, and both are keys: of the loaders, of the log, of node ids.
"""

import re
from urllib.parse import quote

from gateway.errors import BadUserInput

__all__ = ["checked_sid", "child", "collection_of", "is_sid", "name_segment", "parent_of", "redacted", "sids_of"]

_NAMED = {"Conversations": "CH", "Participants": "MB"}
"""The collections whose members may be named otherwise than by their sid, and what their sids begin with."""
_SID = re.compile(r"[A-Z]{2}[0-9a-fA-F]{32}")
_NAME_LENGTH = 512


def is_sid(text: str, prefix: str | None = None) -> bool:
    """Whether `text` has the form of a sid: two capital letters (`prefix`, when given) and 32 hex digits."""
    return _SID.fullmatch(text) is not None and (prefix is None or text.startswith(prefix))


def checked_sid(value: str, prefix: str) -> str:
    """`value` as a path segment, once it is known to be a sid of that kind; raises `BadUserInput`."""
    if not is_sid(value, prefix):
        raise BadUserInput(f"Expected a sid of the form {prefix} followed by 32 hexadecimal digits.")
    return value


def name_segment(value: str, what: str, prefix: str) -> str:
    """A conversation's unique name or a participant's identity as a path segment; raises `BadUserInput`.

    The name is percent-encoded whole, `/` too. One that has the form of the resource's own sid is refused, since
    Twilio would take it for the sid.
    """
    if not 1 <= len(value) <= _NAME_LENGTH:
        raise BadUserInput(f"The {what} must have 1 to {_NAME_LENGTH} characters.")
    if value in {".", ".."} or any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 for c in value):
        raise BadUserInput(f"The {what} must not be '.' or '..', nor hold control characters.")
    if is_sid(value, prefix):
        raise BadUserInput(f"The {what} has the form of a sid: ask for it by sid.")
    return quote(value, safe="")


def child(path: str, collection: str, segment: str = "") -> str:
    """The path of a collection below `path` ("" for the root), or of its member `segment`."""
    list_path = f"{path}/{collection}" if path else collection
    return f"{list_path}/{segment}" if segment else list_path


def parent_of(path: str) -> str:
    """The path of the record that owns the record at `path`; "" for a service."""
    return path.rsplit("/", 2)[0] if path.count("/") > 1 else ""


def sids_of(path: str) -> list[str]:
    """The sids (or names) in a record's path, outermost first."""
    return path.split("/")[1::2]


def collection_of(target: str) -> str:
    """The collection that a path or page key leads into, such as `Receipts`."""
    segments = target.partition("?")[0].split("/")
    return segments[-1] if len(segments) % 2 else segments[-2]  # A list's path ends in it, a record's in a sid.


def redacted(target: str) -> str:
    """A path or page key as logs, errors and traces show it: sids as they are, a name as `{name}`, of values a page's size."""
    path, _, query = target.partition("?")
    segments = path.split("/")
    for place in range(1, len(segments), 2):
        if segments[place].startswith("*"):  # A list's member, in a path that is foreseen.
            segments[place] = "{sid}"
        elif not is_sid(segments[place], _NAMED.get(segments[place - 1])):
            segments[place] = "{name}"
    if not query:
        return "/".join(segments)
    return "/".join(segments) + "?" + re.sub(r"(?<![^&])(?!PageSize=)([^&=]*=)[^&]*", r"\1{value}", query)

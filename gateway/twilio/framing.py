"""The framing of a plain HTTP/1.1 response: one that is complete, and whose header section alone says so.

Most of Twilio's responses are. The parser decides on all others, and always agrees.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gateway.twilio.responses import KEPT_HEADERS
from gateway.twilio.transport import BODY_MAX, HEAD_MAX

__all__ = ["HEADERS_MAX", "KEPT", "PlainResponses"]

HEADERS_MAX = 128
"""Maximum number of a response's headers."""
KEPT = {name.encode(): name for name in KEPT_HEADERS}
"""The names of `KEPT_HEADERS`, by their bytes."""

_NAME = rb"[!#-'*+\-.0-9A-Z^-z|~]+"
_VALUE = rb"[!-~](?:[ -~]*[!-~])?"
_HEAD = re.compile(rb"HTTP/1\.1 ([2-5][0-9]{2}) [ -~]*\r\n(?:%b: %b\r\n)+\r\n" % (_NAME, _VALUE))
"""A header section in the plainest form that RFC 9112 allows: no obs-text, no folding, one space after each colon."""
_HEADER = re.compile(rb"\r\n(%b): ([ -~]*)" % _NAME)
_DECISIVE = {b"content-length", b"transfer-encoding", b"connection", b"upgrade"}
"""The headers that decide where a response ends, and whether its connection can be used again."""
_WITHOUT_BODY = (204, 304)
_LAYOUTS_MAX = 16


class PlainResponses:
    """Reads plain responses from one origin.

    An origin sends the same headers with most of its responses, in the same order. The pattern that matches the last of these
    layouts, by its names, finds a response's length in a tenth of the time that its headers take one by one.
    """

    def __init__(self) -> None:
        self._layouts: dict[tuple[bytes, ...], _Layout] = {}
        self._last: _Layout | None = None

    def read(self, data: bytes) -> tuple[int, dict[str, str], bytes] | None:
        """Return the status, the kept headers and the body of a plain response; None if the data is anything else.

        It has exactly one `Content-Length`, no `Transfer-Encoding`, no `Connection` but `keep-alive`, and not one byte more or
        less (RFC 9112, 6.3).
        """
        last = self._last
        head = last.pattern.match(data, 0, HEAD_MAX) if last is not None else None
        if last is None or head is None:
            return self._read_headers(data)
        body, values = data[head.end() :], list(head.groups())
        if len(body) != int(values.pop(last.length)) or len(body) > BODY_MAX:
            return None
        return 200, dict(zip(last.kept, map(bytes.decode, values), strict=True)), body

    def _read_headers(self, data: bytes) -> tuple[int, dict[str, str], bytes] | None:
        """Do the same header by header, and remember the layout."""
        head = _HEAD.match(data, 0, HEAD_MAX)
        if head is None or data.count(b"\r\n", 0, head.end()) > HEADERS_MAX:
            return None
        status, length, kept = int(head[1]), -1, {}
        headers = _HEADER.findall(data, 0, head.end())
        for name, value in headers:
            name = name.lower()
            if name in KEPT:
                kept[KEPT[name]] = value.decode("ascii")
            elif name == b"content-length" and length < 0 and value.isdigit() and len(value) < 9:
                length = int(value)
            elif name in _DECISIVE and (name != b"connection" or value.lower() != b"keep-alive"):
                return None
        if len(data) != head.end() + length or length > BODY_MAX or status in _WITHOUT_BODY:
            return None
        if status == 200:
            self._last = self._layout(tuple(name for name, _ in headers))
        return status, kept, data[head.end() :]

    def _layout(self, names: tuple[bytes, ...]) -> _Layout | None:
        """Return the layout of a response with these headers; None for a new one when there are too many."""
        layout = self._layouts.get(names)
        if layout is None and len(self._layouts) < _LAYOUTS_MAX:
            layout = self._layouts[names] = _layout_of(names)
        return layout


class _Layout(NamedTuple):
    """A response with the status 200, and certain headers in a certain order."""

    pattern: re.Pattern[bytes]
    """Matches its header section, with a group for the length and for each header that is kept, in their order."""
    length: int
    """The index of the length among the groups."""
    kept: tuple[str, ...]
    """The names of the headers that are kept."""


def _layout_of(names: tuple[bytes, ...]) -> _Layout:
    lines = [rb"HTTP/1\.1 200 [ -~]*"]
    kept: list[str] = []
    length = 0
    for name in names:
        lower, value = name.lower(), rb"[ -~]*"
        if lower == b"connection":
            value = rb"(?i:keep-alive)"
        elif lower == b"content-length":
            value, length = rb"([0-9]{1,8})", len(kept)
        elif lower in KEPT:
            value = rb"(%b)" % _VALUE
            kept.append(KEPT[lower])
        lines.append(b"%b: %b" % (re.escape(name), value))
    return _Layout(re.compile(rb"\r\n".join([*lines, rb"\r\n"])), length, tuple(kept))

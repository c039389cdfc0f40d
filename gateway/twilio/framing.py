"""The framing of a plain HTTP/1.1 response: one that is complete, and whose header section alone says so.

Most of Twilio's responses are. The parser decides on all others, and always agrees.
"""

from __future__ import annotations

import re

from gateway.twilio.responses import KEPT_HEADERS
from gateway.twilio.transport import BODY_MAX, HEAD_MAX

__all__ = ["HEADERS_MAX", "KEPT", "read_whole"]

HEADERS_MAX = 128
"""Maximum number of a response's headers."""
KEPT = {name.encode(): name for name in KEPT_HEADERS}
"""The names of `KEPT_HEADERS`, by their bytes."""

_HEAD = re.compile(rb"HTTP/1\.1 ([2-5][0-9]{2}) [ -~]*\r\n(?:[!#-'*+\-.0-9A-Z^-z|~]+: [!-~](?:[ -~]*[!-~])?\r\n)+\r\n")
"""A header section in the plainest form that RFC 9112 allows: no obs-text, no folding, one space after each colon."""
_DECISIVE = re.compile(
    rb"\r\n(content-length|transfer-encoding|connection|upgrade|%b): ([ -~]*)" % b"|".join(KEPT), re.IGNORECASE
)
"""The headers that decide where a response ends, and those that are kept."""
_WITHOUT_BODY = (204, 304)


def read_whole(data: bytes) -> tuple[int, dict[str, str], bytes] | None:
    """Return the status, the kept headers and the body of a plain response; None if the data is anything else.

    It has exactly one `Content-Length`, no `Transfer-Encoding`, no `Connection` but `keep-alive`, and not one byte more or less
    (RFC 9112, 6.3).
    """
    head = _HEAD.match(data, 0, HEAD_MAX)
    if head is None or data.count(b"\r\n", 0, head.end()) > HEADERS_MAX:
        return None
    status, length, headers = int(head[1]), -1, {}
    for name, value in _DECISIVE.findall(data, 0, head.end()):
        name = name.lower()
        if name in KEPT:
            headers[KEPT[name]] = value.decode("ascii")
        elif name == b"content-length" and length < 0 and value.isdigit() and len(value) < 9:
            length = int(value)
        elif name != b"connection" or value.lower() != b"keep-alive":
            return None
    if len(data) != head.end() + length or length > BODY_MAX or status in _WITHOUT_BODY:
        return None
    return status, headers, data[head.end() :]

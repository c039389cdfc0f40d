"""Limits on untrusted JSON, checked before it is decoded: its depth, the length of its numbers, and its number of values."""

import re

from gateway.errors import BadRequest

__all__ = ["check_json"]

_DEPTH_MAX = 32
_DIGITS_MAX = 100
_VALUES_MAX = 10_000
_SHORT = 1024  # Bytes. Only its depth can be too much.

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]|[,:]|\d{%d,}' % (_DIGITS_MAX + 1), re.DOTALL)


def check_json(text: bytes) -> None:
    """Raise `BadRequest` for a JSON text beyond the limits. Whether it is valid JSON, the decoder checks."""
    if len(text) <= _SHORT and text.count(b"{") + (text.count(b"[") if b"[" in text else 0) <= _DEPTH_MAX:
        return
    depth = values = 0
    for match in _TOKEN.finditer(text):
        first = match.group()[:1]
        if first in (b"[", b"{"):
            depth += 1
            if depth > _DEPTH_MAX:
                raise BadRequest(f"The JSON is nested more deeply than {_DEPTH_MAX} levels.")
        elif first in (b"]", b"}"):
            depth -= 1
        elif first in (b",", b":"):
            values += 1
            if values > _VALUES_MAX:
                raise BadRequest(f"The JSON has more than {_VALUES_MAX} values.")
        elif first != b'"':
            raise BadRequest(f"The JSON has a number of more than {_DIGITS_MAX} digits.")

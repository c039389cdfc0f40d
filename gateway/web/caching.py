"""What a client may keep of the answer to a GET, and for how long (RFC 9111); and whether it has it already (RFC 9110, 13).

A cache that several people share may keep nothing: who may read what depends on who asks.
"""

from __future__ import annotations

import re
from hashlib import blake2b

from gateway.execution.outcome import Outcome
from gateway.web.responses import Reply

__all__ = ["is_held", "let_keep"]

_TAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')


def let_keep(reply: Reply, outcome: Outcome, if_none_match: str | None) -> Reply:
    """The answer to a GET with how long it is good; without its body for a client that holds it, as `If-None-Match` says.

    What holds an error, or something told about this one request, is not to be kept. An answer is good as long as what was
    read for it; then, or when that is no time at all, the client asks whether it has changed.
    """
    if not outcome.executed or outcome.failures or outcome.extensions:
        return reply
    seconds = int(outcome.max_age())
    # A weak one: the same answer may come compressed, or in the other media type.
    tag = f'"{blake2b(reply.body, digest_size=12).hexdigest()}"'
    reply.caching = [
        (b"cache-control", b"private, max-age=%d" % seconds if seconds else b"private, no-cache"),
        (b"etag", f"W/{tag}".encode("ascii")),
    ]
    if if_none_match is not None and is_held(tag, if_none_match):
        reply.status, reply.body = 304, b""
        reply.own = [each for each in reply.own if each[0] != b"content-type"]
    return reply


def is_held(tag: str, if_none_match: str) -> bool:
    """Whether an `If-None-Match` header names an entity tag, compared weakly: `*`, or a list of tags."""
    return if_none_match.strip() == "*" or tag in _TAG.findall(if_none_match)

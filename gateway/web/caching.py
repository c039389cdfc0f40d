"""What clients may cache of the answer to a GET, for how long (RFC 9111), and whether they have it already (RFC 9110, 13).

Shared caches must not store an answer, since its content depends on the caller's rights.
"""

from __future__ import annotations

import re
from hashlib import blake2b

from gateway.execution.outcome import Outcome
from gateway.web.responses import Reply

__all__ = ["add_cache_headers", "matches_etag"]

_TAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')


def add_cache_headers(reply: Reply, outcome: Outcome, if_none_match: str | None) -> None:
    """Let a client cache the answer to a GET while it is fresh, and turn it into a 304 if the client has it already.

    An answer is fresh as long as everything that was read for it; after that, which may be at once, the client revalidates
    it. An answer with errors, or with extensions, which describe this one request, is not cached.
    """
    if not outcome.executed or outcome.failures or outcome.extensions:
        return
    seconds = int(outcome.max_age())
    # A weak one: the same answer may be compressed, or have the other media type.
    tag = f'"{blake2b(reply.body, digest_size=12).hexdigest()}"'
    reply.cache_headers = [
        (b"cache-control", b"private, max-age=%d" % seconds if seconds else b"private, no-cache"),
        (b"etag", f"W/{tag}".encode("ascii")),
    ]
    if if_none_match is not None and matches_etag(tag, if_none_match):
        reply.status, reply.body = 304, b""
        reply.headers = [header for header in reply.headers if header[0] != b"content-type"]


def matches_etag(tag: str, if_none_match: str) -> bool:
    """Return whether an `If-None-Match` header, `*` or a list, matches an entity tag in the weak comparison."""
    return if_none_match.strip() == "*" or tag in _TAG.findall(if_none_match)

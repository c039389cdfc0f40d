"""Callers: who may ask, told by a bearer token (RFC 6750)."""

import hmac
from collections.abc import Mapping
from hashlib import sha256

from gateway.errors import Unauthenticated

__all__ = ["ANYONE", "Callers"]

ANYONE = "anyone"
"""The caller's name where no tokens are set."""


class Callers:
    """The callers that are known, by their tokens' digests. Without any, everyone may ask."""

    def __init__(self, tokens: Mapping[str, str]) -> None:
        """Take callers' names and their tokens."""
        self._digests = {name: _digest(token) for name, token in tokens.items()}

    def name(self, authorization: str | None) -> str:
        """The name of the caller that an `Authorization` header names; raises `Unauthenticated`.

        Every token is compared, in constant time, so that the time taken tells nothing.
        """
        if not self._digests:
            return ANYONE
        scheme, _, token = (authorization or "").partition(" ")
        given = _digest(token.strip()) if scheme.lower() == "bearer" else b""
        found = [name for name, digest in self._digests.items() if hmac.compare_digest(digest, given)]
        if not found:
            raise Unauthenticated("A known token is needed: `Authorization: Bearer <token>`.")
        return found[0]


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogateescape")).digest()

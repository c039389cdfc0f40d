"""Callers: who asks, told by a bearer token (RFC 6750), and which services each may read."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol

from gateway.errors import Unauthenticated

__all__ = ["ANONYMOUS", "Caller", "Callers", "Token", "Verifier"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Someone who may ask."""

    name: str
    services: frozenset[str] | None = None
    """The sids of the services that may be read; None for all of the account's."""


ANONYMOUS = Caller("anyone")
"""The caller where no tokens are asked for."""


@dataclass(frozen=True, slots=True)
class Token:
    """A caller's bearer token (RFC 6750), and the sids of the services that the caller may read; None means all.

    Example:
        token = gateway.Token("a secret of 16 characters or more", services=frozenset({"IS" + 32 * "0"}))
        app = gateway.create_app(dataclasses.replace(settings, tokens={"frontend": token}))
    """

    secret: str = field(repr=False)
    services: frozenset[str] | None = None


class Verifier(Protocol):
    """Tells callers by tokens that were not set one by one, such as JWTs."""

    async def caller(self, token: str) -> Caller | None:
        """The caller that the token is for; None when it is not valid."""


class Callers:
    """The callers that are known. Without tokens and a verifier, everyone may ask."""

    def __init__(self, tokens: Mapping[str, Token], verifier: Verifier | None = None) -> None:
        """Take callers' names with their tokens, and who to ask about any other token."""
        self._verifier = verifier
        self._known: list[tuple[bytes, Caller]] = []
        self.replace(tokens)

    def replace(self, tokens: Mapping[str, Token]) -> None:
        """Know these tokens from now on, and no others."""
        self._known = [(_digest(token.secret), Caller(name, token.services)) for name, token in tokens.items()]

    @property
    def require_token(self) -> bool:
        """Whether a token is needed."""
        return bool(self._known) or self._verifier is not None

    async def identify(self, authorization: str | None) -> Caller:
        """The caller that an `Authorization` header names; raises `Unauthenticated`."""
        caller = self.known(authorization)
        if caller is None and self._verifier is not None and (token := _token(authorization)):
            caller = await self._verifier.caller(token)
        if caller is None:
            raise Unauthenticated(
                "A known token is needed: `Authorization: Bearer <token>`, without its caller's name."
            )
        return caller

    def known(self, authorization: str | None) -> Caller | None:
        """The caller, when it can be told without asking a verifier.

        Every token is compared, in constant time, so that the time taken tells nothing.
        """
        if not self.require_token:
            return ANONYMOUS
        token = _token(authorization)
        if not token:
            return None
        given = _digest(token)
        found = [caller for digest, caller in self._known if hmac.compare_digest(digest, given)]
        return found[0] if found else None


def _token(authorization: str | None) -> str:
    """The token that an `Authorization` header bears, or nothing."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogateescape")).digest()

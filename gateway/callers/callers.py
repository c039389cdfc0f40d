"""Callers: who sends a request, identified by a bearer token (RFC 6750), and which services each caller may read."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol

from gateway.errors import Unauthenticated

__all__ = ["ANONYMOUS", "Caller", "Callers", "Token", "Verifier"]


@dataclass(frozen=True, slots=True)
class Caller:
    """A client that may send operations, and its rights."""

    name: str
    services: frozenset[str] | None = None
    """The sids of the services that it may read; None means all of the account's."""
    expires_at: float | None = field(default=None, compare=False)
    """When its token expires, in seconds since 1970; None for a token that does not."""
    token_digest: bytes | None = field(default=None, compare=False, repr=False)
    """The SHA-256 of its configured token; None for a caller that a verifier identified, and without tokens."""


ANONYMOUS = Caller("anyone")
"""Every caller, where no token is required."""


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
    """Identifies callers by tokens that are not configured one by one, such as JWTs."""

    def verify(self, token: str) -> Caller | Awaitable[Caller | None] | None:
        """Return the caller that a token was issued to, None for an invalid token.

        Return an awaitable of either where something must be fetched first, such as the key.
        """


class Callers:
    """The callers of this process. Without tokens and a verifier, everyone is `ANONYMOUS`."""

    def __init__(self, tokens: Mapping[str, Token], verifier: Verifier | None = None) -> None:
        """Create the callers of `tokens`, which are by the callers' names; `verifier` checks every other token."""
        self._verifier = verifier
        self._by_digest: list[tuple[bytes, Caller]] = []
        self._by_header: dict[str | None, Caller] = {}
        """The callers that were identified by a configured token, by the `Authorization` header as clients write it."""
        self.on_replace: Callable[[], object] | None = None
        """Called after the tokens were replaced, perhaps in another thread."""
        self.replace(tokens)

    def replace(self, tokens: Mapping[str, Token]) -> None:
        """Accept these tokens, by the callers' names, in place of the earlier ones."""
        callers: list[tuple[bytes, Caller]] = []
        for name, token in tokens.items():
            digest = _digest(token.secret)
            callers.append((digest, Caller(name, token.services, token_digest=digest)))
        self._by_digest, self._by_header = callers, {}
        self.require_token = bool(callers) or self._verifier is not None
        """Whether a request needs a token."""
        if self.on_replace is not None:
            self.on_replace()

    def current(self, caller: Caller) -> Caller | None:
        """Return a caller with the rights that its token has now; None if the token is not accepted any more.

        A caller that a verifier identified, such as that of a JWT, stays as it is: its token has an end of its own.
        """
        if caller.token_digest is None:
            return caller if caller.expires_at is not None or not self.require_token else None
        return next((each for digest, each in self._by_digest if digest == caller.token_digest), None)

    @property
    def services(self) -> frozenset[str] | None:
        """The sids of the services that at least one caller may read; None means all."""
        if not self._by_digest or self._verifier is not None:
            return None
        services: set[str] = set()
        for _, caller in self._by_digest:
            if caller.services is None:
                return None
            services |= caller.services
        return frozenset(services)

    def identify(self, authorization: str | None) -> Caller | Awaitable[Caller]:
        """Return the caller that an `Authorization` header identifies, or an awaitable where a verifier must fetch a key.

        Raises `Unauthenticated`, here or when awaited, and `Overloaded` when no key could be fetched yet. The token is compared
        with every configured one, each in constant time, so that the time taken reveals nothing.
        """
        by_header = self._by_header  # Of these tokens: in another thread, they may be replaced meanwhile.
        known = by_header.get(authorization)  # The time that this takes reveals nothing: hashes have a secret key.
        if known is not None:
            return known
        if not self.require_token:
            return ANONYMOUS
        token = _bearer_token(authorization)
        if not token:
            raise _unauthenticated()
        digest = _digest(token)
        found = [caller for each, caller in self._by_digest if hmac.compare_digest(each, digest)]
        if found:
            if authorization == f"Bearer {token}":  # Other spellings are as many as clients can think of.
                by_header[authorization] = found[0]
            return found[0]
        verified = self._verifier.verify(token) if self._verifier is not None else None
        if verified is None:
            raise _unauthenticated()
        return verified if isinstance(verified, Caller) else _verified(verified)


async def _verified(verifying: Awaitable[Caller | None]) -> Caller:
    caller = await verifying
    if caller is None:
        raise _unauthenticated()
    return caller


def _unauthenticated() -> Unauthenticated:
    return Unauthenticated("A valid token is required: `Authorization: Bearer <token>`, without its caller's name.")


def _bearer_token(authorization: str | None) -> str:
    """Return the token in an `Authorization` header; empty without one."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogateescape")).digest()

"""JSON Web Tokens as callers' tokens (RFC 7519, RFC 8725): algorithms are pinned, issuer and audience are checked.

Needs the extra `jwt`. A token is verified with one configured key, or with the key of its `kid` in a JWK set (RFC 7517), which
is fetched from a URL when it lacks the key, and rate-limited so that forged tokens cannot cause traffic.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

import aiohttp
import jwt
import structlog

from gateway.callers.callers import Caller
from gateway.errors import Overloaded
from gateway.log import network_cause
from gateway.twilio.paths import is_sid

__all__ = ["JwtVerifier", "KeySet", "KeySetUnavailable", "fetch_keys"]

_LEEWAY = 10
_TOKEN_LENGTH_MAX = 8192
_KEYS_MAX = 2**18
_KEYS_AGE_MAX = 3600
_RETRY_SECONDS = 5
_logger = structlog.get_logger("gateway")


class KeySetUnavailable(Exception):
    """A JWK set cannot be fetched; the message says why, without its URL."""


async def fetch_keys(url: str, seconds: float = 5.0) -> dict[str | None, Any]:
    """Return the keys of the JWK set at `url` by their ids; `seconds` is the time limit.

    Raises `KeySetUnavailable`, also for a set without a key that can be used.
    """
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds)) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise KeySetUnavailable(f"status {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_chunked(2**14):
                body += chunk
                if len(body) > _KEYS_MAX:
                    raise KeySetUnavailable(f"more than {_KEYS_MAX // 2**10} KiB")
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        raise KeySetUnavailable(network_cause(error) or type(error).__name__) from error
    try:
        return {key.key_id: key.key for key in jwt.PyJWKSet.from_json(body.decode()).keys}
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError) as error:
        raise KeySetUnavailable("not a JWK set with a usable key") from error


class KeySet:
    """The JWK set at a URL. It is fetched again after an hour, so that a revoked key is dropped."""

    def __init__(self, url: str, *, seconds_between_fetches: float = 30.0, timeout: float = 5.0) -> None:
        """Create the set; `timeout` is in seconds, for one fetch. Nothing is fetched before a key is needed."""
        self._url = url
        self._pause = seconds_between_fetches
        self._timeout = timeout
        self._keys: Mapping[str | None, Any] = {}
        self._fetched_at = float("-inf")
        self._fetching = asyncio.Lock()

    def cached(self, key_id: str | None) -> Any:
        """Return the key with that id; None when it has to be fetched."""
        age = asyncio.get_running_loop().time() - self._fetched_at
        return self._keys.get(key_id) if age < _KEYS_AGE_MAX else None

    async def find(self, key_id: str | None) -> Any:
        """Return the key with that id; None when there is none.

        Raises `KeySetUnavailable` as long as the set could not be fetched once.
        """
        if self.cached(key_id) is None:
            async with self._fetching:
                age = asyncio.get_running_loop().time() - self._fetched_at
                if age >= (self._pause if key_id not in self._keys else _KEYS_AGE_MAX):
                    self._fetched_at = asyncio.get_running_loop().time()
                    await self._fetch()
        if not self._keys:
            raise KeySetUnavailable("it has not been fetched")
        return self._keys.get(key_id)

    async def _fetch(self) -> None:
        try:
            self._keys = await fetch_keys(self._url, self._timeout)
        except KeySetUnavailable as error:
            _logger.warning("token keys cannot be fetched", reason=str(error))


class JwtVerifier:
    """Identifies callers by the JWTs of one issuer for one audience."""

    def __init__(
        self,
        keys: KeySet | str,
        *,
        issuer: str,
        audience: str,
        algorithms: Sequence[str],
        services_claim: str | None = None,
    ) -> None:
        """Create the verifier with a key set, or with one key as text (PEM, or a shared secret for HS algorithms).

        `services_claim` names the claim that lists the services a caller may read: a list of sids, or text with spaces
        between them. With it, a token that lacks the claim may read none.
        """
        self._keys = keys
        self._issuer, self._audience, self._algorithms = issuer, audience, list(algorithms)
        self._services_claim = services_claim

    def verify(self, token: str) -> Caller | Awaitable[Caller | None] | None:
        """Return the caller that the token's subject names, None for an invalid token.

        Return an awaitable of either when the key set lacks the token's key and must be fetched.
        """
        if len(token) > _TOKEN_LENGTH_MAX:
            return None
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, TypeError):
            return None
        if header.get("alg") not in self._algorithms:
            return None
        if isinstance(self._keys, str):
            return self._decode(token, self._keys)
        key = self._keys.cached(header.get("kid"))
        return (
            self._decode(token, key)
            if key is not None
            else self._fetch_and_decode(token, header.get("kid"), self._keys)
        )

    async def _fetch_and_decode(self, token: str, key_id: str | None, keys: KeySet) -> Caller | None:
        try:
            key = await keys.find(key_id)
        except KeySetUnavailable:  # The token may be valid: a client that is told otherwise would not come back.
            raise Overloaded("Tokens cannot be verified now. Try again.", retry_after=_RETRY_SECONDS) from None
        return self._decode(token, key) if key is not None else None

    def _decode(self, token: str, key: Any) -> Caller | None:
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=self._algorithms,
                issuer=self._issuer,
                audience=self._audience,
                leeway=_LEEWAY,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
            expires_at = float(claims["exp"]) + _LEEWAY
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
            return None
        return Caller(str(claims["sub"])[:100], self._services(claims), expires_at=expires_at)

    def _services(self, claims: Mapping[str, Any]) -> frozenset[str] | None:
        if self._services_claim is None:
            return None
        value = claims.get(self._services_claim, [])
        listed = value.split() if isinstance(value, str) else value if isinstance(value, list) else []
        return frozenset(sid for sid in listed if isinstance(sid, str) and is_sid(sid, "IS"))

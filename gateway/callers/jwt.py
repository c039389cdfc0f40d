"""JSON Web Tokens as callers' tokens (RFC 7519, RFC 8725): the algorithms are pinned, issuer and audience are checked.

Needs the extra `jwt`. Keys are one fixed key, or a set at an address (RFC 7517) that is fetched when a key is not known, at
most once in a while, whatever is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import jwt
import structlog

from gateway.callers.callers import Caller
from gateway.twilio.paths import is_sid

__all__ = ["JwtVerifier", "KeySet"]

_LEEWAY = 10
_TOKEN_LENGTH_MAX = 8192
_KEYS_MAX = 2**18
_KEYS_AGE_MAX = 3600
_logger = structlog.get_logger("gateway")


class KeySet:
    """The keys at an address, by their ids; fetched again after an hour, so that a key that was withdrawn is forgotten."""

    def __init__(self, url: str, *, seconds_between_fetches: float = 30.0, timeout: float = 5.0) -> None:
        """Take the address of the key set, how often it may be fetched at most, and how long that may take."""
        self._url = url
        self._pause = seconds_between_fetches
        self._timeout = timeout
        self._keys: Mapping[str | None, Any] = {}
        self._fetched_at = float("-inf")
        self._fetching = asyncio.Lock()

    async def find(self, key_id: str | None) -> Any:
        """The key with that id; None when there is none, or it cannot be had now."""
        now = asyncio.get_running_loop().time()
        if key_id not in self._keys or now - self._fetched_at >= _KEYS_AGE_MAX:
            async with self._fetching:
                age = asyncio.get_running_loop().time() - self._fetched_at
                if age >= (self._pause if key_id not in self._keys else _KEYS_AGE_MAX):
                    self._fetched_at = asyncio.get_running_loop().time()
                    await self._fetch()
        return self._keys.get(key_id)

    async def _fetch(self) -> None:
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._timeout)) as session,
                session.get(self._url, allow_redirects=False) as response,
            ):
                body = bytearray()
                async for chunk in response.content.iter_chunked(2**14):
                    body += chunk
                    if response.status != 200 or len(body) > _KEYS_MAX:
                        raise ValueError("no key set")
            keys = jwt.PyJWKSet.from_json(body.decode()).keys
            self._keys = {key.key_id: key.key for key in keys}
        except (
            aiohttp.ClientError,
            OSError,
            TimeoutError,
            jwt.PyJWTError,
            ValueError,
            TypeError,
            AttributeError,
        ) as error:
            _logger.warning("token keys cannot be fetched", reason=type(error).__name__)


class JwtVerifier:
    """Tells callers by JWTs of one issuer for one audience."""

    def __init__(
        self,
        keys: KeySet | str,
        *,
        issuer: str,
        audience: str,
        algorithms: Sequence[str],
        services_claim: str | None = None,
    ) -> None:
        """Take the keys, or one key as text (PEM, or a shared secret for HS algorithms).

        With `services_claim`, that claim lists the services a caller may read (a list, or text with spaces between); a
        token without it may read none.
        """
        self._keys = keys
        self._issuer, self._audience, self._algorithms = issuer, audience, list(algorithms)
        self._services_claim = services_claim

    async def caller(self, token: str) -> Caller | None:
        """The caller that the token's subject names; None when the token is not valid."""
        if len(token) > _TOKEN_LENGTH_MAX:
            return None
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in self._algorithms:
                return None
            key = self._keys if isinstance(self._keys, str) else await self._keys.find(header.get("kid"))
            if key is None:
                return None
            claims = jwt.decode(
                token,
                key,
                algorithms=self._algorithms,
                issuer=self._issuer,
                audience=self._audience,
                leeway=_LEEWAY,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError):
            return None
        return Caller(str(claims["sub"])[:100], self._services(claims))

    def _services(self, claims: Mapping[str, Any]) -> frozenset[str] | None:
        if self._services_claim is None:
            return None
        value = claims.get(self._services_claim, [])
        listed = value.split() if isinstance(value, str) else value if isinstance(value, list) else []
        return frozenset(sid for sid in listed if isinstance(sid, str) and is_sid(sid, "IS"))

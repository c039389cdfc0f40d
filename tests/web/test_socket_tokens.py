"""Tokens of WebSockets: where they come, and how a socket ends whose token is bad, expires or is withdrawn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.app import create_app
from gateway.callers.callers import Token
from gateway.demo import settings_for
from gateway.sandbox import Sandbox
from gateway.settings import JwtSettings

from ..conftest import serving
from .feed import Feed
from .socket_client import INIT, QUERY, opened, subscribe

SECRET = "a secret of 16 characters"


@pytest.fixture
async def locked(sandbox: Sandbox) -> AsyncIterator[tuple[str, Any]]:
    app = create_app(replace(settings_for(sandbox), tokens={"web": Token(SECRET)}))
    async with serving(app) as url:
        yield url, app


@pytest.mark.parametrize(
    "payload",
    [
        {"Authorization": f"Bearer {SECRET}"},
        {"authorization": f"bearer {SECRET}"},
        {"headers": {"Authorization": f"Bearer {SECRET}"}},
        {"headers": {"AUTHORIZATION": f"Bearer {SECRET}", "x": 1}},
    ],
)
async def test_a_token_comes_in_connection_init(locked: tuple[str, Any], payload: dict[str, Any]) -> None:
    async with opened(locked[0], init={**INIT, "payload": payload}):
        pass


async def test_a_token_comes_in_a_header_and_that_of_connection_init_counts(locked: tuple[str, Any]) -> None:
    headers = {"Authorization": f"Bearer {SECRET}"}
    async with opened(locked[0], additional_headers=headers):
        pass
    async with opened(locked[0], init=None, additional_headers=headers) as client:
        await client.send({**INIT, "payload": {"Authorization": "Bearer wrong"}})
        assert (await client.closed())[0] == 4401


@pytest.mark.parametrize(
    "payload",
    [None, {}, {"Authorization": SECRET}, {"Authorization": "Bearer wrong"}, {"Authorization": 1}, {"headers": []}],
)
async def test_a_bad_token_is_told_before_the_ack(locked: tuple[str, Any], payload: Any) -> None:
    async with opened(locked[0], init=None) as client:
        await client.send({**INIT, "payload": payload})
        code, reason = await client.closed()
        assert code == 4401
        assert SECRET not in reason


async def test_a_withdrawn_token_closes_its_sockets_and_no_other(locked: tuple[str, Any]) -> None:
    url, app = locked
    other = "another secret, of 16 or more"
    tokens = {"web": Token(SECRET), "ci": Token(other.replace(" ", "_"))}
    app.replace_tokens(tokens)
    feed = Feed(app)
    async with (
        opened(url, init={**INIT, "payload": {"Authorization": f"Bearer {SECRET}"}}) as client,
        opened(url, init={**INIT, "payload": {"Authorization": f"Bearer {tokens['ci'].secret}"}}) as survivor,
    ):
        await client.send(subscribe())
        await survivor.send(subscribe())
        await feed.until(2)
        await asyncio.to_thread(app.replace_tokens, {"ci": Token(tokens["ci"].secret, frozenset({"IS" + 32 * "0"}))})
        assert (await client.closed())[0] == 4403
        await survivor.nothing()
        await survivor.send(subscribe("2"))
        await feed.until(2)
        assert feed.operations[-1].services == frozenset({"IS" + 32 * "0"})


async def test_a_token_that_expires_closes_its_socket(sandbox: Sandbox) -> None:
    key = "a shared secret of 32 characters or more"
    settings = JwtSettings(key=key, issuer="i", audience="a", algorithms=("HS256",))
    async with serving(create_app(replace(settings_for(sandbox), jwt=settings))) as url:
        # Ten seconds of leeway, of which a tenth of one is left.
        token = jwt.encode({"iss": "i", "aud": "a", "sub": "ada", "exp": time.time() - 9.0}, key, "HS256")
        async with opened(url, init={**INIT, "payload": {"Authorization": f"Bearer {token}"}}) as client:
            assert (await client.closed())[0] == 4403
        async with opened(url, init=None) as client:  # The same one again is bad.
            await client.send({**INIT, "payload": {"Authorization": f"Bearer {token}"}})
            assert (await client.closed())[0] == 4401


async def test_a_token_that_cannot_be_verified_yet_may_come_again(
    sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    """Nobody serves the keys: 4401 and 401 would be final."""
    settings = JwtSettings(jwks_url="http://127.0.0.1:1/keys", issuer="i", audience="a", algorithms=("ES256",))
    key = ec.generate_private_key(ec.SECP256R1())
    token = jwt.encode({"iss": "i", "aud": "a", "sub": "ada", "exp": time.time() + 60}, key, "ES256")
    async with serving(create_app(replace(settings_for(sandbox), jwt=settings))) as url:
        async with opened(url, init=None) as client:
            await client.send({**INIT, "payload": {"Authorization": f"Bearer {token}"}})
            assert await client.closed() == (1013, "Tokens cannot be verified now. Try again.")
        for accept in ("application/json", "text/event-stream"):
            headers = {"Authorization": f"Bearer {token}", "Accept": accept}
            async with http.post(f"{url}/graphql", json={"query": QUERY}, headers=headers) as response:
                assert (response.status, response.headers["Retry-After"]) == (503, "5")

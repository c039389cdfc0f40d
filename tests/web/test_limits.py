"""Limits: too many operations are refused, and a read after the deadline is an error at its path."""

import asyncio
from typing import Any

import aiohttp
import pytest

from gateway.app import create_app
from gateway.demo import settings_for
from gateway.sandbox import Fault, Sandbox
from gateway.settings import Settings

from ..conftest import serving

BOTH = "query Q($s: ID!, $o: ID!) { fast: service(sid: $s) { friendlyName } slow: service(sid: $o) { friendlyName } }"


def body(sandbox: Sandbox) -> dict[str, Any]:
    given = {"s": sandbox.landmarks["service_sid"], "o": sandbox.landmarks["other_service_sid"]}
    sandbox.faults.add(f"Services/{given['o']}", Fault("hang"))
    return {"query": BOTH, "variables": given}


async def post(http: aiohttp.ClientSession, url: str, body: Any, **headers: str) -> tuple[int, Any, Any]:
    async with http.post(f"{url}/graphql", json=body, headers=headers) as response:
        return response.status, await response.json(), response.headers


async def test_too_many_operations_at_once_are_refused_quickly(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    base = settings_for(sandbox)
    app = create_app(Settings(credentials=base.credentials, upstream_url=base.upstream_url, max_operations=1))
    async with serving(app) as url:
        first = asyncio.create_task(post(http, url, body(sandbox)))
        await sandbox.until(lambda: len(sandbox.calls) == 2)
        status, answer, headers = await post(http, url, {"query": "{ __typename }"})
        assert status == 503
        assert headers["Retry-After"] == "1"
        (error,) = answer["errors"]
        assert (error["extensions"]["code"], error["extensions"]["retryable"]) == ("OVERLOADED", True)
        first.cancel()
        await sandbox.until(lambda: sandbox.in_flight == 0)
        status, answer, _ = await post(http, url, {"query": "{ __typename }"})
        assert (status, answer) == (200, {"data": {"__typename": "Query"}})


async def test_a_request_may_shorten_its_deadline(http: aiohttp.ClientSession, base_url: str, sandbox: Sandbox) -> None:
    status, answer, _ = await post(http, base_url, body(sandbox), **{"X-Gateway-Timeout": "0.2"})
    assert status == 200
    assert answer["data"]["fast"]["friendlyName"]
    assert answer["data"]["slow"] is None
    (error,) = answer["errors"]
    assert (error["path"], error["extensions"]["code"]) == (["slow"], "UPSTREAM_TIMEOUT")


@pytest.mark.parametrize("given", ["0", "-1", "soon", "1e3", "", "0.0000000001"])
async def test_an_invalid_timeout_is_refused(http: aiohttp.ClientSession, base_url: str, given: str) -> None:
    status, answer, _ = await post(http, base_url, {"query": "{ __typename }"}, **{"X-Gateway-Timeout": given})
    assert (status, answer["errors"][0]["extensions"]["code"]) == (400, "BAD_REQUEST")

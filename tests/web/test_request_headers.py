"""The table of request headers, held against what they do over real HTTP."""

from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from gateway.app import create_app
from gateway.demo import landmark_variables, settings_for
from gateway.errors import Forbidden
from gateway.sandbox import Sandbox
from gateway.web.browsers import check_get
from gateway.web.request_headers import REQUEST_HEADERS, VARY, RequestHeader

from ..conftest import serving

QUERY = "query Q($serviceSid: ID!) { service(sid: $serviceSid) { friendlyName } }"
VALUES = {"Cache-Control": "no-cache", "X-Gateway-Dry-Run": "1", "X-Gateway-Timeout": "5", "X-Gateway-Trace": "1"}
ORIGIN = "https://app.test"


def test_names_are_sorted_and_every_header_has_a_sentence() -> None:
    names = [header.name for header in REQUEST_HEADERS]
    assert names == sorted(names)
    assert all(header.help.endswith(".") for header in REQUEST_HEADERS)


@pytest.mark.parametrize("header", REQUEST_HEADERS, ids=lambda header: header.name)
def test_a_header_proves_a_preflight_or_does_not(header: RequestHeader) -> None:
    request = {"sec-fetch-site": "cross-site", header.name.lower(): "text/plain"}
    if header.proves_preflight:
        check_get(request, ())
    else:
        with pytest.raises(Forbidden):
            check_get(request, ())


@pytest.mark.parametrize("header", REQUEST_HEADERS, ids=lambda header: header.name)
async def test_a_header_is_allowed_by_cors_or_is_not(
    http: aiohttp.ClientSession, sandbox: Sandbox, header: RequestHeader
) -> None:
    """Browsers ask about the headers that are not CORS-safelisted."""
    app = create_app(replace(settings_for(sandbox), cors_origins=frozenset({ORIGIN})))
    preflight = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": header.name.lower(),
    }
    async with serving(app) as url, http.options(f"{url}/graphql", headers=preflight) as response:
        assert (response.status == 200) is (header.allowed_by_cors or header.name == "Accept")


@pytest.mark.parametrize("header", REQUEST_HEADERS, ids=lambda header: header.name)
async def test_a_header_bypasses_the_cached_answer_or_does_not(
    http: aiohttp.ClientSession, sandbox: Sandbox, header: RequestHeader
) -> None:
    app = create_app(settings_for(sandbox))
    body = {"query": QUERY, "variables": landmark_variables(QUERY, sandbox.landmarks)}
    headers = {header.name: VALUES[header.name]} if header.name in VALUES else {}

    async def ask() -> Any:
        async with http.post(f"{url}/graphql", json=body, headers=headers) as response:
            assert response.status == 200
            return response.headers["Vary"]

    async with serving(app) as url:
        for _ in range(2):  # The second is cached, since all that it is made from was cached before.
            await ask()
        lookups = app.state.account.lookups["answer"]
        assert await ask() == VARY
        assert (app.state.account.lookups["answer"] == lookups) is header.bypasses_cache

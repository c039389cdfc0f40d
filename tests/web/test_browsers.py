"""What a page in a browser can make the gateway do, and what it cannot."""

import aiohttp
import pytest

from gateway.app import create_app
from gateway.demo import demo_app, settings_for
from gateway.errors import Forbidden
from gateway.sandbox import Sandbox
from gateway.settings import Settings
from gateway.web.browsers import Origins, check_get, check_host

from ..conftest import serving

ORIGINS = {"https://app.test"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "cross-site", "origin": "https://app.test"},
        {"sec-fetch-site": "cross-site", "authorization": "Bearer x"},
        {"sec-fetch-site": "cross-site", "apollo-require-preflight": "true"},
        {"sec-fetch-site": "same-site", "x-gateway-trace": "1"},
        {"sec-fetch-site": "cross-site", "content-type": "application/json"},
    ],
)
def test_a_get_that_may_execute(headers: dict[str, str]) -> None:
    check_get(headers, ORIGINS)


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "origin": "https://evil.test"},
        {"sec-fetch-site": "cross-site", "origin": "null", "accept": "application/json"},
        {"sec-fetch-site": "cross-site", "content-type": "text/plain; x=application/json"},
        {"sec-fetch-site": "something new"},
        {"sec-fetch-site": "cross-site", "x-forwarded-for": "1.2.3.4"},
    ],
)
def test_a_get_that_another_sites_page_may_have_sent(headers: dict[str, str]) -> None:
    with pytest.raises(Forbidden):
        check_get(headers, ORIGINS)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8000", "localhost:1", "LOCALHOST", "[::1]:8000"])
def test_this_machines_names(host: str) -> None:
    check_host(host)


@pytest.mark.parametrize(
    "host", [None, "", "evil.test", "evil.test:8000", "127.0.0.1.evil.test", "0.0.0.0", "[", "::1"]
)
def test_other_names(host: str | None) -> None:
    with pytest.raises(Forbidden):
        check_host(host)


QUERY = "/graphql?query=%7B__typename%7D"


async def test_only_pages_of_allowed_origins_may_read(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    base = settings_for(sandbox)
    app = create_app(
        Settings(credentials=base.credentials, upstream_url=base.upstream_url, cors_origins=frozenset(ORIGINS))
    )
    asks = {
        "Origin": "https://app.test",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,authorization",
    }
    sent_by_clients = [
        "apollographql-client-name,apollographql-client-version,content-type",
        "baggage,content-type,sentry-trace",
        "content-type,traceparent,tracestate",
        "x-apollo-operation-id,x-apollo-operation-name",
        "x-requested-with",
        "x-request-id",
    ]
    async with serving(app) as url:
        async with http.options(f"{url}/graphql", headers=asks) as response:
            assert response.status == 200
            assert response.headers["Access-Control-Allow-Origin"] == "https://app.test"
        for names in sent_by_clients:
            preflight = asks | {"Access-Control-Request-Headers": names}
            async with http.options(f"{url}/graphql", headers=preflight) as response:
                assert (response.status, response.headers["Access-Control-Allow-Headers"]) == (200, names)
        async with http.options(f"{url}/graphql", headers=asks | {"Access-Control-Request-Method": "HEAD"}) as response:
            assert response.status == 200
        in_lines = [*asks.items(), ("Access-Control-Request-Headers", "x-request-id")]
        async with http.options(f"{url}/graphql", headers=in_lines) as response:
            assert response.headers["Access-Control-Allow-Headers"] == "content-type,authorization, x-request-id"
        async with http.options(f"{url}/graphql", headers=asks | {"Origin": "https://evil.test"}) as response:
            assert response.status == 400
            assert "Access-Control-Allow-Origin" not in response.headers
        body = {"query": "{ __typename }"}
        async with http.post(f"{url}/graphql", json=body, headers={"Origin": "https://app.test"}) as response:
            assert response.headers["Access-Control-Allow-Origin"] == "https://app.test"
            assert "X-Request-Id" in response.headers["Access-Control-Expose-Headers"]
        async with http.post(f"{url}/graphql", json=body, headers={"Origin": "https://evil.test"}) as response:
            assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize(
    ("origins", "origin", "may"),
    [
        (["http://localhost:*"], "http://localhost", True),
        (["http://localhost:*"], "http://localhost:5173", True),
        (["http://localhost:*"], "https://localhost:5173", False),
        (["http://localhost:*"], "http://localhost:5173.evil.test", False),
        (["http://localhost:*"], "http://localhostx", False),
        (["https://a.test", "https://b.test:8443"], "https://b.test:8443", True),
        (["https://a.test", "https://b.test:8443"], "https://b.test", False),
        (["https://a.test"], "https://axtest", False),
        (["https://a.test"], None, False),
        ([], "", False),
    ],
)
def test_origins_with_and_without_ports(origins: list[str], origin: str | None, may: bool) -> None:
    assert (origin in Origins(origins)) is may


async def test_the_demo_allows_pages_of_this_machine(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    body = {"query": "{ __typename }"}
    async with serving(demo_app(sandbox)) as url:
        for origin, may in {
            "http://localhost:5173": True,
            "http://127.0.0.1:3000": True,
            "https://evil.test": False,
        }.items():
            async with http.post(f"{url}/graphql", json=body, headers={"Origin": origin}) as response:
                assert (response.headers.get("Access-Control-Allow-Origin") == origin) is may


async def test_a_get_over_http(http: aiohttp.ClientSession, base_url: str) -> None:
    async with http.get(base_url + QUERY) as response:
        assert (response.status, await response.json()) == (200, {"data": {"__typename": "Query"}})
        for name, value in {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-cache"}.items():
            assert response.headers[name] == value
    async with http.get(base_url + QUERY, headers={"Sec-Fetch-Site": "cross-site"}) as response:
        assert response.status == 403
        assert (await response.json())["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    async with http.get(base_url + QUERY, headers={"Host": "evil.test"}) as response:
        assert response.status == 403


async def test_the_root_leads_a_browser_to_graphiql(http: aiohttp.ClientSession, base_url: str) -> None:
    async with http.get(f"{base_url}/", headers={"Accept": "text/html,*/*"}) as response:
        assert (response.url.path, response.content_type) == ("/graphiql", "text/html")
        (redirect,) = response.history
        assert (redirect.status, redirect.headers["Vary"]) == (303, "Accept")
    async with http.get(f"{base_url}/") as response:
        assert response.status == 404
        assert "GraphQL is at /graphql" in (await response.json())["errors"][0]["message"]


async def test_a_browser_is_redirected_to_graphiql(http: aiohttp.ClientSession, base_url: str) -> None:
    whole = "variables=%7B%22x%22%3A%20%22%5Cu00fc%22%7D&operationName=A"
    for address, led_to in (
        ("/graphql", "graphiql"),
        (QUERY, "graphiql?q=%7B__typename%7D"),
        (f"{QUERY}&{whole}&extensions=%7B%7D", f"graphiql?q=%7B__typename%7D&{whole}"),
        (f"{QUERY}&variables=nonsense", "graphiql"),
    ):
        async with http.get(base_url + address, headers={"Accept": "text/html,*/*"}, allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (303, led_to)
    async with http.get(f"{base_url}/graphql", headers={"Accept": "text/html"}) as response:
        assert response.url.path == "/graphiql"
        assert response.content_type == "text/html"

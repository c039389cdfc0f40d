"""The table of request headers, held against what they do over real HTTP."""

from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from gateway.app import create_app
from gateway.callers.callers import Token
from gateway.demo import landmark_variables, settings_for
from gateway.errors import Forbidden
from gateway.sandbox import Sandbox
from gateway.web.browsers import check_get
from gateway.web.graphql_over_http import GRAPHQL, JSON
from gateway.web.request import decode_headers
from gateway.web.request_headers import REQUEST_HEADERS, VARY, RequestHeader, list_elements

from ..conftest import serving

QUERY = "query Q($serviceSid: ID!) { service(sid: $serviceSid) { friendlyName } }"
VALUES = {"Cache-Control": "no-cache", "X-Gateway-Dry-Run": "1", "X-Gateway-Timeout": "5", "X-Gateway-Trace": "1"}
DOCUMENTS = {
    "list": """query Q($serviceSid: ID!, $conversationSid: ID!) { service(sid: $serviceSid) { sid friendlyName
        conversation(sid: $conversationSid) { messages(first: 50) { edges { cursor node { id sid body } } } } } }""",
    "defer": """query Q($serviceSid: ID!) { service(sid: $serviceSid) { sid ... @defer { friendlyName } } }""",
}


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


@pytest.mark.parametrize(
    ("value", "elements"),
    [
        ("", []),
        (",", []),
        (" , a ,, b;q=1 ,", ["a", "b;q=1"]),
        ('a;x="1, 2", "b, c"', ['a;x="1, 2"', '"b, c"']),
        ('a;x="\\", b", c', ['a;x="\\", b"', "c"]),
        ('a, b;x="never closed, c', ["a", 'b;x="never closed, c']),
    ],
)
def test_the_elements_of_a_list(value: str, elements: list[str]) -> None:
    assert list_elements(value) == elements


def test_a_header_in_several_lines_is_one_list() -> None:
    headers = [(b"accept", b"text/plain"), (b"host", b"a"), (b"accept", b"application/json")]
    assert decode_headers(headers) == {"accept": "text/plain, application/json", "host": "a"}


Lines = list[tuple[str, str]]


@pytest.mark.parametrize(
    ("lines", "status", "headers"),
    [
        ([("Accept", "text/plain"), ("Accept", "application/json")], 200, {"Content-Type": JSON}),
        ([("Accept", ""), ("Accept", "application/graphql-response+json")], 200, {"Content-Type": GRAPHQL}),
        ([("Accept", "application/json"), ("Accept", "multipart/mixed")], 200, {"Content-Type": "multipart/mixed"}),
        ([("Accept-Encoding", "br"), ("Accept-Encoding", "gzip")], 200, {"Content-Encoding": "gzip"}),
        ([("Accept-Encoding", "gzip"), ("Accept-Encoding", "identity")], 200, {"Content-Encoding": "gzip"}),
        ([("Cache-Control", "max-age=0"), ("Cache-Control", "no-cache")], 200, {"Gateway-Cost": "actual=3"}),
        ([("Content-Encoding", "identity"), ("Content-Encoding", "identity")], 200, {}),
        ([("Content-Encoding", "identity"), ("Content-Encoding", "gzip")], 415, {}),
        ([("Authorization", "Bearer secret"), ("Authorization", "Bearer other")], 401, {}),
        ([("Authorization", "Bearer other"), ("Authorization", "Bearer secret")], 401, {}),
        ([("X-Gateway-Timeout", "5"), ("X-Gateway-Timeout", "6")], 400, {}),
    ],
)
async def test_lines_over_http(
    http: aiohttp.ClientSession, sandbox: Sandbox, lines: Lines, status: int, headers: dict[str, str]
) -> None:
    settings = replace(settings_for(sandbox), tokens={"app": Token("secret")})
    document = "defer" if headers.get("Content-Type") == "multipart/mixed" else "list"
    body = {"query": DOCUMENTS[document], "variables": {}}
    body["variables"] = landmark_variables(DOCUMENTS[document], sandbox.landmarks)
    if all(name != "Authorization" for name, _ in lines):
        lines = [*lines, ("Authorization", "Bearer secret")]
    async with serving(create_app(settings)) as url:
        for _ in range(2):
            async with http.post(f"{url}/graphql", json=body, headers=lines) as response:
                assert response.status == status
                for name, value in headers.items():
                    assert value in response.headers[name]


async def test_if_none_match_in_several_lines(http: aiohttp.ClientSession, base_url: str) -> None:
    url = f"{base_url}/graphql?query=%7B__typename%7D"
    async with http.get(url) as response:
        tag = response.headers["ETag"]
    async with http.get(url, headers=[("If-None-Match", 'W/"other"'), ("If-None-Match", tag)]) as response:
        assert response.status == 304


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

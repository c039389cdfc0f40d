"""The endpoint over real HTTP: answers, refusals, and clients that disconnect."""

import asyncio
import json
from collections.abc import Awaitable
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from structlog.testing import capture_logs
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway import app as application
from gateway.app import create_app
from gateway.callers.callers import Caller, Token
from gateway.demo import settings_for
from gateway.sandbox import Fault, Sandbox
from gateway.settings import Settings

from ..conftest import serving

QUERY = "query Q($sid: ID!) { service(sid: $sid) { friendlyName } }"


async def post(http: aiohttp.ClientSession, url: str, **options: Any) -> tuple[int, Any, Any]:
    async with http.post(f"{url}/graphql", **options) as response:
        return response.status, await response.json(), response.headers


async def test_a_query_is_answered(http: aiohttp.ClientSession, base_url: str, sandbox: Sandbox) -> None:
    body = {"query": QUERY, "variables": {"sid": sandbox.landmarks["service_sid"]}, "operationName": "Q"}
    status, answer, headers = await post(http, base_url, json=body)
    assert (status, list(answer)) == (200, ["data"])
    assert answer["data"]["service"]["friendlyName"]
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert len(headers["X-Request-Id"]) == 32
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("document", "value", "message"),
    [
        (
            "query Q($x: ID!) { service(sid: $x) { sid } }",
            None,
            "Expected value of non-null type 'ID!' not to be null.",
        ),
        ("query Q($x: ID!) { service(sid: $x) { sid } }", True, "ID cannot represent value: true"),
        ("query Q($x: ID!) { service(sid: $x) { sid } }", [None, "None"], "ID cannot represent value: [null, 'None']"),
        (
            "query Q($x: Int) { services(first: $x) { edges { cursor } } }",
            False,
            "Int cannot represent non-integer value: false",
        ),
    ],
)
async def test_values_in_messages_are_written_as_graphql(
    http: aiohttp.ClientSession, base_url: str, document: str, value: Any, message: str
) -> None:
    _, answer, _ = await post(http, base_url, json={"query": document, "variables": {"x": value}})
    (error,) = answer["errors"]
    assert message in error["message"]
    assert "None." not in error["message"]


async def test_no_cache_reads_from_twilio(http: aiohttp.ClientSession, base_url: str, sandbox: Sandbox) -> None:
    body = {"query": "query Q($sid: ID!) { service(sid: $sid) { sid } }", "variables": {"sid": "IS" + "0" * 32}}
    assert (await post(http, base_url, json=body))[1] == {"data": {"service": {"sid": "IS" + "0" * 32}}}
    no_cache = {"Cache-Control": "no-cache"}
    assert (await post(http, base_url, json=body, headers=no_cache))[1] == {"data": {"service": None}}
    assert len(sandbox.calls) == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "BAD_REQUEST"),
        (b"{", 400, "BAD_REQUEST"),
        (b"\xff", 400, "BAD_REQUEST"),
        (b'{"query": "\xff"}', 400, "BAD_REQUEST"),
        (b"[" * 100_000, 400, "BAD_REQUEST"),
        (b'{"query": "{services{edges{cursor}}}", "variables": {"n": ' + b"9" * 100_000 + b"}}", 400, "BAD_REQUEST"),
        (b"null", 400, "BAD_REQUEST"),
        (b"[]", 400, "BAD_REQUEST"),
        (b"{}", 400, "BAD_REQUEST"),
        (b'{"query": null}', 400, "BAD_REQUEST"),
        (b'{"query": "{services{edges{cursor}}}", "variables": []}', 400, "BAD_REQUEST"),
        (b'{"query": "{services{edges{cursor}}}", "operationName": 1}', 400, "BAD_REQUEST"),
        (b'{"query": "{services{edges{cursor}}}", "variables": null, "extensions": null, "x": 1}', 200, None),
        (b'{"query": "{"}', 400, "GRAPHQL_PARSE_FAILED"),
        (b'{"query": "{nope}"}', 400, "GRAPHQL_VALIDATION_FAILED"),
        (b'{"query": "query A{__typename} query B{__typename}"}', 400, "OPERATION_RESOLUTION_FAILURE"),
        (b'{"query": "query A($s: ID!){service(sid: $s){id}}"}', 400, "BAD_USER_INPUT"),
        (b'{"query": "' + b"#" * 300_000 + b'"}', 413, "BAD_REQUEST"),
        (b'{"query": "' + b"#" * 200_000 + b'"}', 400, "GRAPHQL_PARSE_FAILED"),
        (b'[{"query": "{__typename}"}]', 400, "BAD_REQUEST"),
        (b'{"query": "{__typename}", "variables": ' + b'{"a":' * 40 + b"1" + b"}" * 41, 400, "BAD_REQUEST"),
        (b'{"query": "{__typename}", "variables": {"a": [' + b"1," * 20_000 + b"1]}}", 400, "BAD_REQUEST"),
        (b'{"query": "query A($s: ID!){service(sid: $s){id}}", "variables": {"s": "\\ud800"}}', 200, "BAD_USER_INPUT"),
    ],
)
async def test_every_body_gets_a_json_answer(
    http: aiohttp.ClientSession, base_url: str, body: bytes, status: int, code: str | None
) -> None:
    headers = {"Content-Type": "application/json", "Accept": "application/graphql-response+json"}
    got, answer, received = await post(http, base_url, data=body, headers=headers)
    assert got == status, answer
    assert received["Content-Type"] == "application/graphql-response+json; charset=utf-8"
    assert not code or {error["extensions"]["code"] for error in answer["errors"]} == {code}
    assert ("data" in answer) == (status == 200)
    # As plain JSON, what is wrong with a document is told with status 200.
    headers["Accept"] = "application/json"
    got, answer, received = await post(http, base_url, data=body, headers=headers)
    assert got == (status if code == "BAD_REQUEST" or not code else 200)


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "", "multipart/form-data"])
async def test_only_json_is_read(http: aiohttp.ClientSession, base_url: str, media_type: str) -> None:
    status, answer, _ = await post(http, base_url, data=b'{"query": "{x}"}', headers={"Content-Type": media_type})
    assert (status, answer["errors"][0]["extensions"]["code"]) == (415, "BAD_REQUEST")


@pytest.mark.parametrize(
    ("method", "path", "status"), [("PUT", "/graphql", 405), ("GET", "/nothing", 404), ("PUT", "/livez", 405)]
)
async def test_other_routes_reply_with_json_too(
    http: aiohttp.ClientSession, base_url: str, method: str, path: str, status: int
) -> None:
    async with http.request(method, base_url + path) as response:
        assert response.status == status
        assert (await response.json())["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
        assert status != 405 or response.headers["Allow"]


async def test_health_does_not_depend_on_twilio(http: aiohttp.ClientSession, base_url: str, sandbox: Sandbox) -> None:
    await sandbox.stop()
    for path in ("/livez", "/readyz"):
        async with http.get(base_url + path) as response:
            assert (response.status, await response.text()) == (200, "ok\n")


@pytest.mark.parametrize("padding", [0, 200_000], ids=["small", "large"])
async def test_a_client_that_disconnects_cancels_its_calls(
    http: aiohttp.ClientSession, base_url: str, sandbox: Sandbox, padding: int
) -> None:
    """Also behind a body so large that the server stopped reading for a moment."""
    sandbox.faults.add("*", Fault("hang"))
    body = {
        "query": QUERY,
        "variables": {"sid": sandbox.landmarks["service_sid"]},
        "extensions": {"padding": " " * padding},
    }
    leaving = asyncio.create_task(post(http, base_url, json=body))
    await sandbox.until(lambda: len(sandbox.calls) == 1)
    leaving.cancel()
    async with asyncio.timeout(4):  # Before the call comes to the end of its own time.
        await sandbox.until(lambda: sandbox.calls[0].client_left)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_client_that_disconnects_from_another_server_cancels_its_calls(
    http: aiohttp.ClientSession, sandbox: Sandbox, method: str
) -> None:
    sandbox.faults.add("*", Fault("hang"))
    query = '{ service(sid: "%s") { friendlyName } }' % sandbox.landmarks["service_sid"]
    body = {"json": {"query": query}} if method == "POST" else {"params": {"query": query}}
    async with serving(create_app(settings_for(sandbox)), HttpToolsProtocol) as url:  # type: ignore[arg-type]
        leaving = asyncio.create_task(http.request(method, f"{url}/graphql", **body))  # type: ignore[arg-type]
        await sandbox.until(lambda: len(sandbox.calls) == 1)
        leaving.cancel()
        async with asyncio.timeout(4):  # Before the call comes to the end of its own time.
            await sandbox.until(lambda: sandbox.calls[0].client_left)


async def test_a_caller_is_awaited_where_its_key_must_be_fetched(
    http: aiohttp.ClientSession, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow:
        def verify(self, token: str) -> Awaitable[Caller | None]:
            return self._fetch(token)

        async def _fetch(self, token: str) -> Caller | None:
            await asyncio.sleep(0)
            return Caller("ann") if token == "good" else None

    monkeypatch.setattr(application, "_verifier", lambda _: Slow())
    async with serving(create_app(settings_for(sandbox))) as url:
        with capture_logs() as log:
            statuses = [
                (await post(http, url, json={"query": "{ __typename }"}, headers={"Authorization": f"Bearer {token}"}))[
                    0
                ]
                for token in ("good", "bad")
            ]
    assert statuses == [200, 401]
    assert [(line["event"], line.get("caller"), line.get("code")) for line in log] == [
        ("operation", "ann", None),
        ("refused", None, "UNAUTHENTICATED"),
    ]


@pytest.mark.parametrize("before", ["a part behind the answer", "a body that a GET has no use for"])
async def test_a_client_that_disconnects_is_noticed_after_other_requests(
    base_url: str, sandbox: Sandbox, before: str
) -> None:
    """On its connection, before what hangs: an answer in parts, whose last is sent before all has been put away."""
    marks = sandbox.landmarks
    host = base_url.removeprefix("http://")
    hanging = f'{{ service(sid: "{marks["other_service_sid"]}") {{ friendlyName }} }}'
    sandbox.faults.add(f"*{marks['other_service_sid']}*", Fault("hang"))
    if before.startswith("a part"):
        deferred = f'conversation(sid: "{marks["conversation_sid"]}") {{ friendlyName }}'
        first = f'{{ service(sid: "{marks["service_sid"]}") {{ friendlyName ... @defer {{ {deferred} }} }} }}'
        sent = request(host, first, "multipart/mixed, application/json") + request(host, hanging, "application/json")
    else:
        head = (
            f"GET /graphql?{urlencode({'query': hanging})} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 200000\r\n\r\n"
        )
        sent = head.encode() + b"x" * 200_000
    address, _, port = host.rpartition(":")
    _, writer = await asyncio.open_connection(address, int(port))
    writer.write(sent)
    await sandbox.until(lambda: any(marks["other_service_sid"] in call.path for call in sandbox.calls))
    (call,) = [call for call in sandbox.calls if marks["other_service_sid"] in call.path]
    writer.close()
    async with asyncio.timeout(4):  # Before the call comes to the end of its own time.
        await sandbox.until(lambda: call.client_left)


def request(host: str, query: str, accept: str) -> bytes:
    body = json.dumps({"query": query}).encode()
    head = f"POST /graphql HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nAccept: {accept}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def test_only_callers_with_a_token_are_answered(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    base = settings_for(sandbox)
    tokens = {"ann": Token("ann-has-a-long-token"), "bob": Token("bob-has-a-long-token")}
    app = create_app(Settings(credentials=base.credentials, upstream_url=base.upstream_url, tokens=tokens))
    body = {"query": "{ __typename }"}
    async with serving(app) as url:
        for given in ("Bearer ann-has-a-long-token", "bearer bob-has-a-long-token"):
            assert (await post(http, url, json=body, headers={"Authorization": given}))[0] == 200
        for given in ("", "Bearer", "Bearer nope", "Basic ann-has-a-long-token", "ann-has-a-long-token", "Bearer é"):
            status, answer, headers = await post(http, url, json=body, headers={"Authorization": given})
            assert (status, answer["errors"][0]["extensions"]["code"]) == (401, "UNAUTHENTICATED")
            assert headers["WWW-Authenticate"] == "Bearer"
            assert "token" in answer["errors"][0]["message"]
        async with http.get(f"{url}/livez") as response:
            assert response.status == 200


async def test_graphiql_can_be_switched_off(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    base = settings_for(sandbox)
    app = create_app(Settings(credentials=base.credentials, upstream_url=base.upstream_url, graphiql=False))
    async with serving(app) as url:
        for path in ("/", "/graphiql", "/graphiql/index.js"):
            async with http.get(url + path) as response:
                assert response.status == 404


async def test_an_upstream_that_stops_during_a_query_is_an_error(
    http: aiohttp.ClientSession, base_url: str, sandbox: Sandbox
) -> None:
    sandbox.faults.add("*", Fault("hang"))
    body = {"query": QUERY, "variables": {"sid": sandbox.landmarks["service_sid"]}}
    with capture_logs() as log:
        asking = asyncio.create_task(post(http, base_url, json=body))
        await sandbox.until(lambda: len(sandbox.calls) == 1)
        await sandbox.stop()
        status, answer, _ = await asking
    assert (status, answer["data"]) == (200, {"service": None})
    assert answer["errors"][0]["extensions"]["code"] == "UPSTREAM_UNAVAILABLE"
    assert [(line["event"], line["outcome"]) for line in log] == [("operation", "UPSTREAM_UNAVAILABLE")]


async def test_the_cost_is_in_a_header_and_on_request_in_extensions(
    http: aiohttp.ClientSession, base_url: str, sandbox: Sandbox
) -> None:
    body = {"query": QUERY, "variables": {"sid": sandbox.landmarks["service_sid"]}}
    _, answer, headers = await post(http, base_url, json=body)
    assert headers["Gateway-Cost"] == "requested=1, planned=1, actual=1"
    assert "extensions" not in answer
    traced = {"X-Gateway-Trace": "1", "Cache-Control": "no-cache"}
    _, answer, _ = await post(http, base_url, json=body, headers=traced)
    assert answer["extensions"]["cost"] == {"requested": 1, "planned": 1, "actual": 1}
    assert answer["extensions"]["upstream"]["calls"][0]["path"] == sandbox.paths[0]
    sandbox.reset()
    _, answer, headers = await post(http, base_url, json=body, headers={"X-Gateway-Dry-Run": "1"})
    assert answer["data"] is None
    assert answer["extensions"]["plan"]["requested"] == 1
    assert headers["Gateway-Cost"] == "requested=1, planned=0, actual=0"
    assert sandbox.calls == []

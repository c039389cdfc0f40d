"""No personal data and no secret is in the log: known secrets are sent in every place of a request."""

import json
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from gateway.app import create_app
from gateway.callers.callers import Token
from gateway.demo import settings_for
from gateway.execution.prepared import OneRow, Prepared
from gateway.graph.context import OperationContext
from gateway.graph.reads import KnownItem, Member
from gateway.log import add_request_id
from gateway.sandbox import Fault, Sandbox
from gateway.settings import Settings
from gateway.source.in_flight import Waiter
from gateway.source.loaders import Loaders
from gateway.source.options import ExpectedSummaries, ReadOptions
from gateway.twilio.httptools_transport import _Exchange as Exchange
from gateway.web.graphql_over_http import GraphQLRequest
from gateway.web.request import HttpRequest

from ..conftest import serving

SECRET = "5up3r-s3cr3t"
TOKEN = f"{SECRET}-token-of-the-caller"


def leaks(*texts: Any) -> bool:
    return any(SECRET in json.dumps(text, default=str) for text in texts)


async def test_the_log_of_an_operation_is_one_line(
    http: aiohttp.ClientSession, base_url: str, sandbox: Sandbox
) -> None:
    query = "query Q($sid: ID!) { service(sid: $sid) { friendlyName } }"
    body = {"query": query, "variables": {"sid": sandbox.landmarks["service_sid"]}}
    with capture_logs([add_request_id]) as log:
        async with http.post(f"{base_url}/graphql", json=body) as response:
            assert response.status == 200
    (line,) = log
    assert line == {
        "event": "operation",
        "log_level": "info",
        "request_id": response.headers["X-Request-Id"],
        "caller": "anyone",
        "name": "Q",
        "document": line["document"],
        "calls": 1,
        "ms": line["ms"],
        "outcome": "ok",
        "errors": 0,
    }
    assert len(line["document"]) == 16


REQUESTS: list[tuple[dict[str, Any], int]] = [
    ({"json": {"query": '{ service(sid: "%s") { sid } }' % SECRET}}, 200),
    ({"json": {"query": "{ %s }" % SECRET.replace("-", "_")}}, 200),
    ({"json": {"query": '{ services(after: "%s") { edges { cursor } } }' % SECRET}}, 200),
    ({"json": {"query": '{ node(id: "%s") { id } }' % SECRET}}, 200),
    ({"json": {"query": "query A($s: ID!) { service(sid: $s) { sid } }", "variables": {"s": SECRET}}}, 200),
    (
        {
            "json": {
                "query": "query A($n: Int) { services(first: $n) { edges { cursor } } }",
                "variables": {"n": SECRET},
            }
        },
        200,
    ),
    ({"json": {"query": "{ __typename }", "operationName": SECRET}}, 200),
    ({"json": {"query": "{ __typename }", "variables": SECRET}}, 400),
    ({"json": {"query": "{ __typename }", "extensions": {"x": SECRET}}}, 200),
    ({"json": {"query": '{ "%s" ' % SECRET}}, 200),
    ({"data": f'{{"query": "{SECRET}', "headers": {"Content-Type": "application/json"}}, 400),
    ({"data": SECRET, "headers": {"Content-Type": f"text/{SECRET}"}}, 415),
    ({"json": {"query": "{ __typename }"}, "headers": {"Accept": f"text/{SECRET}"}}, 406),
    ({"json": {"query": "{ __typename }"}, "headers": {"Authorization": f"Bearer {SECRET}"}}, 401),
    ({"json": {"query": "{ __typename }"}, "headers": {"Cookie": SECRET, "X-Anything": SECRET}}, 200),
    ({"json": {"query": "{ __typename }"}, "params": {"q": SECRET}}, 200),
]


@pytest.mark.parametrize(("request_", "status"), REQUESTS)
async def test_what_a_client_sends_is_not_logged(
    http: aiohttp.ClientSession, sandbox: Sandbox, request_: dict[str, Any], status: int
) -> None:
    base = settings_for(sandbox)
    tokens = {"ann": Token(TOKEN)}
    app = create_app(Settings(credentials=base.credentials, upstream_url=base.upstream_url, tokens=tokens))
    headers = {"Authorization": f"Bearer {TOKEN}"} | request_.get("headers", {})
    with capture_logs() as log:
        async with serving(app) as url, http.post(f"{url}/graphql", **request_ | {"headers": headers}) as response:
            answer = await response.text()
            assert response.status == status
    assert log
    assert not leaks(log)
    assert TOKEN not in answer


@pytest.mark.parametrize(
    ("fault", "service"),
    [
        (Fault("body", body=b'{"sid": "%s"}' % SECRET.encode()), None),
        (Fault("body", body=SECRET.encode()), None),
        (Fault("body", status=404, body=b'{"code": 20404, "message": "%s"}' % SECRET.encode()), None),
        (Fault("body", status=403, body=b'{"code": 20403, "message": "%s"}' % SECRET.encode()), None),
        (
            Fault("body", status=500, body=b"<html>%s</html>" % SECRET.encode(), headers={"Twilio-Request-Id": SECRET}),
            None,
        ),
        (Fault("status", status=429, message=SECRET, retry_after=SECRET), None),
        (Fault("redirect", url=f"http://127.0.0.1:1/{SECRET}"), None),
        (Fault("raw", body=SECRET.encode() + b"\r\n\r\n"), None),
        (
            Fault("body", body=b'{"sid": "IS' + b"0" * 32 + b'", "friendly_name": {"%s": 1}}' % SECRET.encode()),
            {"friendlyName": None},
        ),
    ],
)
async def test_what_twilio_sends_is_neither_logged_nor_in_errors(
    http: aiohttp.ClientSession, base_url: str, sandbox: Sandbox, fault: Fault, service: Any
) -> None:
    sandbox.faults.add("*", fault)
    body = {"query": '{ service(sid: "IS%s") { friendlyName } }' % ("0" * 32)}
    with capture_logs() as log:
        async with http.post(f"{base_url}/graphql", json=body) as response:
            answer = await response.json()
    assert answer["data"] == {"service": service}
    assert log
    assert not leaks(log, answer.get("errors"))
    assert sandbox.auth_token not in json.dumps([log, answer], default=str)


async def test_unique_names_are_redacted(http: aiohttp.ClientSession, base_url: str, sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault("status", status=400))
    query = "query Q($s: ID!, $n: String!) { service(sid: $s) { conversationByUniqueName(uniqueName: $n) { sid } } }"
    body = {"query": query, "variables": {"s": sandbox.landmarks["service_sid"], "n": SECRET}}
    with capture_logs() as log:
        async with http.post(f"{base_url}/graphql", json=body) as response:
            answer = await response.json()
    assert answer["errors"][0]["extensions"]["code"] == "UPSTREAM_REJECTED"
    assert "{name}" in answer["errors"][0]["message"]
    assert not leaks(log, answer)


@pytest.mark.parametrize(
    "kind",
    [
        Exchange,
        ExpectedSummaries,
        GraphQLRequest,
        HttpRequest,
        KnownItem,
        Loaders,
        Member,
        OneRow,
        OperationContext,
        Prepared,
        ReadOptions,
        Waiter,
    ],
)
def test_the_text_of_an_object_shows_nothing_of_it(kind: type) -> None:
    """asyncio logs the text of a callback that fails, and with it that of the object whose method it is."""
    assert vars(kind).get("__repr__", kind.__repr__) is object.__repr__

"""`@defer` over HTTP: which clients get parts, in which format, and what happens when a part fails."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from gateway.app import create_app
from gateway.demo import settings_for
from gateway.log import add_request_id
from gateway.sandbox import Fault, Sandbox
from gateway.web.incremental import Delivery, delivery_for

from ..conftest import serving

PARTS = Delivery("multipart/mixed")
PARTS_2022 = Delivery("multipart/mixed", is_named=True)
ANNOUNCED = Delivery("multipart/mixed", announces=True, is_named=True)
ONLY_PARTS = Delivery("multipart/mixed", is_for_all=True)
EVENTS = Delivery("text/event-stream", is_for_all=True)

APOLLO_2022 = "multipart/mixed;deferSpec=20220824,application/graphql-response+json,application/json;q=0.9"
APOLLO_ALPHA = "multipart/mixed;incrementalSpec=v0.2,application/graphql-response+json,application/json;q=0.9"
URQL = (
    "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed"
)

THREAD = """query Thread($serviceSid: ID!, $conversationSid: ID!) {
  service(sid: $serviceSid) { conversation(sid: $conversationSid) {
    messages(first: 3) { edges { node { sid ... @defer(label: "R") { receipts { edges { node { status } } } } } } }
  } }
}"""


@pytest.mark.parametrize(
    ("accept", "delivery"),
    [
        (None, None),
        ("", None),
        ("*/*", None),
        ("application/json", None),
        ("application/graphql-response+json,application/json;q=0.9", None),
        (APOLLO_2022, PARTS_2022),
        (APOLLO_ALPHA, ANNOUNCED),
        (APOLLO_ALPHA.upper(), ANNOUNCED),
        (URQL, PARTS),
        ("multipart/mixed", ONLY_PARTS),
        ("multipart/mixed, */*;q=0.1", PARTS),
        ("multipart/mixed;q=0, application/json", None),
        ("text/event-stream", EVENTS),
        ("text/event-stream, application/json", EVENTS),
        ("text/event-stream, */*", EVENTS),
        ("application/json, text/event-stream", None),
        ("application/json;q=0.5, text/event-stream", EVENTS),
        ("text/event-stream;q=0.5, application/json", None),
        ("multipart/mixed, text/event-stream", ONLY_PARTS),
        (
            "text/event-stream;incrementalSpec=v0.2",
            Delivery("text/event-stream", announces=True, is_for_all=True, is_named=True),
        ),
    ],
)
def test_which_format_a_client_accepts(accept: str | None, delivery: Delivery | None) -> None:
    assert delivery_for(accept) == delivery


def parts_of(body: bytes) -> list[Any]:
    """The payloads of a multipart body, as strictly as the strictest of readers."""
    assert body.startswith(b"\r\n---\r\n")
    assert body.endswith(b"\r\n-----\r\n")
    payloads = []
    for part in body.removeprefix(b"\r\n---").removesuffix(b"\r\n-----\r\n").split(b"\r\n---"):
        head, _, text = part.partition(b"\r\n\r\n")
        assert head == b"\r\nContent-Type: application/json; charset=utf-8"
        payloads.append(json.loads(text))
    return payloads


async def ask(
    http: aiohttp.ClientSession, url: str, sandbox: Sandbox, accept: str, query: str = THREAD, **headers: str
) -> tuple[int, str, bytes]:
    marks = sandbox.landmarks
    variables = {"serviceSid": marks["service_sid"], "conversationSid": marks["conversation_sid"]}
    body = {"query": query, "variables": variables}
    async with http.post(f"{url}/graphql", json=body, headers={"Accept": accept, **headers}) as response:
        assert response.headers["Cache-Control"] == "no-store"
        return response.status, response.headers["Content-Type"], await response.read()


async def test_parts_with_paths(http: aiohttp.ClientSession, base_url: str, sandbox: Sandbox) -> None:
    with capture_logs() as logs:
        status, content_type, body = await ask(http, base_url, sandbox, APOLLO_2022)
    assert (status, content_type) == (200, 'multipart/mixed; boundary="-"; deferSpec=20220824')
    first, then = parts_of(body)
    assert first["hasNext"] is True
    nodes = [edge["node"] for edge in first["data"]["service"]["conversation"]["messages"]["edges"]]
    assert [list(node) for node in nodes] == [["sid"]] * 3
    assert then["hasNext"] is False
    here = ["service", "conversation", "messages", "edges"]
    assert [(part["path"], part["label"]) for part in then["incremental"]] == [
        ([*here, number, "node"], "R") for number in range(3)
    ]
    assert all(len(part["data"]["receipts"]["edges"]) == 4 for part in then["incremental"])
    (line,) = [log for log in logs if log["event"] == "operation"]
    assert (line["calls"], line["outcome"]) == (4, "ok")


async def test_parts_with_ids(http: aiohttp.ClientSession, base_url: str, sandbox: Sandbox) -> None:
    _, content_type, body = await ask(http, base_url, sandbox, APOLLO_ALPHA)
    assert content_type == 'multipart/mixed; boundary="-"; incrementalSpec=v0.2'
    first, then = parts_of(body)
    assert [(each["id"], each["path"][-2], each["label"]) for each in first["pending"]] == [
        ("0", 0, "R"),
        ("1", 1, "R"),
        ("2", 2, "R"),
    ]
    assert [(each["id"], list(each["data"])) for each in then["incremental"]] == [
        ("0", ["receipts"]),
        ("1", ["receipts"]),
        ("2", ["receipts"]),
    ]
    assert then["completed"] == [{"id": "0"}, {"id": "1"}, {"id": "2"}]
    assert "pending" not in then


async def test_parts_as_events(http: aiohttp.ClientSession, base_url: str, sandbox: Sandbox) -> None:
    _, content_type, body = await ask(http, base_url, sandbox, "text/event-stream")
    assert content_type == "text/event-stream; charset=utf-8"
    first, then, end, nothing = body.split(b"\n\n")
    assert (end, nothing) == (b"event: complete\ndata:", b"")
    for event, has_next in ((first, True), (then, False)):
        head, _, data = event.partition(b"\ndata: ")
        assert head == b"event: next"
        assert json.loads(data)["hasNext"] is has_next


@pytest.mark.parametrize("accept", ["text/event-stream", "multipart/mixed"])
@pytest.mark.parametrize("query", ["{ __typename }", "{ nothing }", "{ ... @defer(if: false) { __typename } }"])
async def test_a_client_that_accepts_parts_only_gets_whole_answers_in_that_format(
    http: aiohttp.ClientSession, base_url: str, sandbox: Sandbox, accept: str, query: str
) -> None:
    status, content_type, body = await ask(http, base_url, sandbox, accept, query)
    assert (status, content_type.partition(";")[0]) == (200, accept)
    events = body.split(b"\n\n")
    (answer,) = parts_of(body) if accept == "multipart/mixed" else [json.loads(events[0].partition(b"data: ")[2])]
    assert "hasNext" not in answer
    if query == "{ nothing }":
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["GRAPHQL_VALIDATION_FAILED"]
        assert "data" not in answer
    else:
        assert answer == {"data": {"__typename": "Query"}}


async def test_a_cached_answer_in_parts_is_logged_with_its_request_id(
    http: aiohttp.ClientSession, base_url: str, sandbox: Sandbox
) -> None:
    query = '{ service(sid: "%s") { friendlyName } }' % sandbox.landmarks["service_sid"]
    for _ in range(3):
        with capture_logs([add_request_id]) as logs:
            headers = {"Accept": "text/event-stream"}
            async with http.post(f"{base_url}/graphql", json={"query": query}, headers=headers) as response:
                assert (await response.read()).endswith(b"event: complete\ndata:\n\n")
        assert [log["request_id"] for log in logs] == [response.headers["X-Request-Id"]]


@pytest.mark.parametrize("accept", [APOLLO_2022, APOLLO_ALPHA, URQL])
async def test_an_operation_that_defers_nothing_is_answered_with_json(
    http: aiohttp.ClientSession, base_url: str, sandbox: Sandbox, accept: str
) -> None:
    for query in ("{ __typename }", "{ ... @defer(if: false) { __typename } }", "{ @defer"):
        _, content_type, _ = await ask(http, base_url, sandbox, accept, query)
        assert content_type == "application/graphql-response+json; charset=utf-8"


async def test_a_client_that_does_not_accept_parts_gets_the_whole_answer(
    http: aiohttp.ClientSession, base_url: str, sandbox: Sandbox
) -> None:
    _, content_type, body = await ask(http, base_url, sandbox, "application/json, text/event-stream")
    assert content_type == "application/json; charset=utf-8"
    (node, *_) = json.loads(body)["data"]["service"]["conversation"]["messages"]["edges"]
    assert list(node["node"]) == ["sid", "receipts"]


@pytest.mark.parametrize("accept", [APOLLO_2022, APOLLO_ALPHA])
async def test_errors_are_in_their_parts_and_extensions_in_the_last(
    http: aiohttp.ClientSession, base_url: str, sandbox: Sandbox, accept: str
) -> None:
    message = sandbox.landmarks["message_sid"]
    sandbox.faults.add(f"*/{message}/Receipts*", Fault("status", status=403))
    _, _, body = await ask(http, base_url, sandbox, accept, **{"X-Gateway-Trace": "1"})
    first, then = parts_of(body)
    assert set(first) == {"data", "hasNext"} | ({"pending"} if accept == APOLLO_ALPHA else set())
    (failed,) = [part for part in then["incremental"] if "errors" in part]
    assert failed["data"] == {"receipts": None}
    (error,) = failed["errors"]
    assert error["path"] == ["service", "conversation", "messages", "edges", 0, "node", "receipts"]
    assert error["extensions"]["code"] == "UPSTREAM_REJECTED"
    *others, last = then["incremental"]
    assert last["extensions"]["cost"] == {"requested": 4, "planned": 4, "actual": 4}
    assert last["extensions"]["upstream"]["roundTrips"] == 2
    assert not any("extensions" in part for part in others)


async def test_a_part_without_data(http: aiohttp.ClientSession, base_url: str, sandbox: Sandbox) -> None:
    query = '{ service(sid: "IS%s") { sid ... @defer { friendlyName } } }' % ("0" * 32)
    _, _, body = await ask(http, base_url, sandbox, APOLLO_2022, query)
    ((part,),) = (frame["incremental"] for frame in parts_of(body)[1:])
    assert (part["path"], part["data"], part["errors"][0]["path"]) == (["service"], None, ["service"])
    _, _, body = await ask(http, base_url, sandbox, APOLLO_ALPHA, query)
    _, then = parts_of(body)
    assert "incremental" not in then
    assert [error["extensions"]["code"] for error in then["completed"][0]["errors"]] == ["NOT_FOUND"]


async def test_the_initial_payload_comes_first_and_a_disconnect_cancels_the_rest(
    http: aiohttp.ClientSession, base_url: str, sandbox: Sandbox
) -> None:
    sandbox.faults.add("*/Receipts*", Fault("hang"))
    marks = sandbox.landmarks
    variables = {"serviceSid": marks["service_sid"], "conversationSid": marks["conversation_sid"]}
    async with http.post(
        f"{base_url}/graphql", json={"query": THREAD, "variables": variables}, headers={"Accept": APOLLO_2022}
    ) as response:
        first = b""
        while first.count(b"\r\n---") < 2:
            first += await response.content.readany()
        assert b'"hasNext":true' in first
        await sandbox.until(lambda: sandbox.in_flight == 3)
        response.close()
    await sandbox.until(lambda: sandbox.in_flight == 0)


async def test_a_client_that_has_every_part_has_not_disconnected(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    query = '{ service(sid: "%s") { sid ... @defer { friendlyName } } }' % sandbox.landmarks["service_sid"]
    with capture_logs() as logs:
        async with serving(create_app(settings_for(sandbox))) as url:
            for accept in (APOLLO_2022, "text/event-stream"):
                await ask(http, url, sandbox, accept, query)
    assert [(log["event"], log.get("calls")) for log in logs] == [("operation", 1), ("operation", 0)]


async def test_the_deadline_applies_to_subsequent_payloads(
    http: aiohttp.ClientSession, base_url: str, sandbox: Sandbox
) -> None:
    sandbox.faults.add("*/Receipts*", Fault("hang"))
    _, _, body = await ask(http, base_url, sandbox, APOLLO_2022, **{"X-Gateway-Timeout": "0.3"})
    _, then = parts_of(body)
    codes = [error["extensions"]["code"] for part in then["incremental"] for error in part["errors"]]
    assert codes == ["UPSTREAM_TIMEOUT"] * 3


async def test_a_get_can_be_answered_in_parts(http: aiohttp.ClientSession, base_url: str, sandbox: Sandbox) -> None:
    query = '{ service(sid: "%s") { sid ... @defer { friendlyName } } }' % sandbox.landmarks["service_sid"]
    headers = {"Accept": APOLLO_2022}
    async with http.get(f"{base_url}/graphql", params={"query": query}, headers=headers) as response:
        assert len(parts_of(await response.read())) == 2


SHARED = """query ($serviceSid: ID!, $conversationSid: ID!) { service(sid: $serviceSid) { conversation(sid: $conversationSid) {
  message(sid: "%s") { body receipts(first: 1) { totalCount } %s }
} } }"""


@pytest.mark.parametrize("accept", [APOLLO_2022, APOLLO_ALPHA, URQL])
async def test_a_deferred_part_that_fails_writes_no_null_over_what_was_delivered(
    http: aiohttp.ClientSession, base_url: str, sandbox: Sandbox, accept: str
) -> None:
    sandbox.faults.add("*/Receipts*", Fault("status", status=403))
    query = SHARED % (sandbox.landmarks["message_sid"], "... @defer { receipts(first: 1) { edges { node { sid } } } }")
    _, _, body = await ask(http, base_url, sandbox, accept, query)
    first, then = parts_of(body)
    assert first["data"]["service"]["conversation"]["message"]["receipts"] == {"totalCount": 4}
    if accept == APOLLO_ALPHA:
        assert "incremental" not in then
        ((error,),) = (each["errors"] for each in then["completed"])
    else:
        (part,) = then["incremental"]
        assert part["data"] == {"receipts": {}}
        (error,) = part["errors"]
    assert error["path"] == ["service", "conversation", "message", "receipts"]
    assert error["extensions"]["code"] == "UPSTREAM_REJECTED"


async def test_a_shared_field_comes_once_below_the_innermost_fragment(
    http: aiohttp.ClientSession, base_url: str, sandbox: Sandbox
) -> None:
    deferred = "... @defer { body delivery { read total } } delivery { total ... @defer { read sent } }"
    query = SHARED % (sandbox.landmarks["message_sid"], deferred)
    _, _, body = await ask(http, base_url, sandbox, APOLLO_ALPHA, query)
    first, *others = parts_of(body)
    outer, inner = (each["id"] for each in first["pending"])
    assert [each["path"][3:] for each in first["pending"]] == [[], ["delivery"]]
    results = [each for then in others for each in then["incremental"]]
    assert sorted((each["id"], *each["data"], *each.get("subPath", ())) for each in results) == [
        (inner, "read"),
        (inner, "sent"),
    ]
    assert sorted(each["id"] for then in others for each in then["completed"]) == [outer, inner]


async def test_a_client_that_names_no_format_gets_no_null_for_a_fragment(
    http: aiohttp.ClientSession, base_url: str, sandbox: Sandbox
) -> None:
    """@urql/core 6.0.3 names none, and would write the null over the service."""
    query = '{ service(sid: "IS%s") { sid ... @defer { friendlyName } } }' % ("0" * 32)
    _, _, body = await ask(http, base_url, sandbox, URQL, query)
    ((part,),) = (frame["incremental"] for frame in parts_of(body)[1:])
    assert part.keys() == {"path", "errors"}

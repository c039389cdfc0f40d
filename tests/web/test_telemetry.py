"""Traces: one span for an operation, one for each call below it, none for a field, and no personal data."""

import re
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway import app as application
from gateway.demo import settings_for
from gateway.sandbox import Fault, Sandbox
from gateway.web.telemetry import Telemetry

from ..conftest import serving

QUERY = """query Thread($s: ID!, $name: String!) {
  service(sid: $s) { friendlyName conversationByUniqueName(uniqueName: $name) { friendlyName } }
}"""


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """What the application records, kept in memory."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(
        application, "_telemetry", lambda settings: Telemetry(provider, upstream_url=settings.upstream_url)
    )
    return exporter


async def test_an_operation_is_a_span_with_its_calls_below(
    http: aiohttp.ClientSession, sandbox: Sandbox, spans: InMemorySpanExporter
) -> None:
    marks = sandbox.landmarks
    sandbox.faults.add("*/Conversations/*", Fault("status", status=503, times=1))
    body = {"query": QUERY, "variables": {"s": marks["service_sid"], "name": marks["unique_name"]}}
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    async with serving(application.create_app(settings_for(sandbox))) as url:
        headers = {"traceparent": f"00-{trace}-{parent}-01"}
        async with http.post(f"{url}/graphql", json=body, headers=headers) as response:
            assert "errors" not in await response.json()
    *calls, operation = spans.get_finished_spans()
    assert operation.context is not None
    assert operation.parent is not None
    assert (f"{operation.context.trace_id:032x}", f"{operation.parent.span_id:016x}") == (trace, parent)
    attributes = dict(operation.attributes or {})
    assert (attributes["graphql.operation.name"], attributes["gateway.outcome"]) == ("Thread", "ok")
    by_name = f"/v1/Services/{marks['service_sid']}/Conversations/{{name}}"
    server = {"server.address": "127.0.0.1", "server.port": urlsplit(sandbox.url).port, "http.request.method": "GET"}
    described: list[dict[str, Any]] = [dict(call.attributes or {}) for call in calls]
    assert all(isinstance(attributes.pop("gateway.wait_ms"), float) for attributes in described)
    expected: list[dict[str, Any]] = [
        {"url.path": f"/v1/Services/{marks['service_sid']}", "http.response.status_code": 200},
        {"url.path": by_name, "http.response.status_code": 503, "error.type": "503"},
        {"url.path": by_name, "http.response.status_code": 200, "http.request.resend_count": 1},
    ]
    assert sorted(described, key=repr) == sorted(
        (server | {"url.full": sandbox.url + each["url.path"]} | each for each in expected), key=repr
    )
    assert all(call.parent is not None and call.parent.span_id == operation.context.span_id for call in calls)
    assert all(0 < (call.end_time or 0) - (call.start_time or 0) < 5e9 for call in calls)
    assert marks["unique_name"] not in "".join(span.to_json() for span in spans.get_finished_spans())


async def test_a_url_is_recorded_without_what_it_says_of_people(
    http: aiohttp.ClientSession, sandbox: Sandbox, spans: InMemorySpanExporter
) -> None:
    document = """query ($s: ID!, $from: DateTime) {
      service(sid: $s) { conversations(first: 1, createdFrom: $from) { edges { cursor } } }
    }"""
    body = {"query": document, "variables": {"s": sandbox.landmarks["service_sid"], "from": "2020-01-01T00:00:00Z"}}
    app = application.create_app(settings_for(sandbox))
    async with serving(app) as url, http.post(f"{url}/graphql", json=body) as response:
        assert "errors" not in await response.json()
    call, _ = spans.get_finished_spans()
    attributes = dict(call.attributes or {})
    path = f"/v1/Services/{sandbox.landmarks['service_sid']}/Conversations"
    assert attributes["url.path"] == path
    assert re.fullmatch(
        re.escape(f"{sandbox.url}{path}") + r"\?(PageSize=\d+|\w+=REDACTED)(&(PageSize=\d+|\w+=REDACTED))*",
        str(attributes["url.full"]),
    )
    assert "=REDACTED" in str(attributes["url.full"])


@pytest.mark.parametrize(
    ("fault", "error_type"),
    [(Fault("reset"), "UPSTREAM_UNAVAILABLE"), (Fault("bad_json"), "UPSTREAM_INVALID_RESPONSE")],
)
async def test_a_call_that_fails_has_the_type_of_its_error(
    http: aiohttp.ClientSession, sandbox: Sandbox, spans: InMemorySpanExporter, fault: Fault, error_type: str
) -> None:
    sandbox.faults.add("*", fault)
    body = {"query": '{ service(sid: "%s") { friendlyName } }' % sandbox.landmarks["service_sid"]}
    async with (
        serving(application.create_app(settings_for(sandbox))) as url,
        http.post(f"{url}/graphql", json=body) as response,
    ):
        assert "errors" in await response.json()
    *calls, _ = spans.get_finished_spans()
    assert calls
    assert {dict(call.attributes or {})["error.type"] for call in calls} == {error_type}
    assert not any(call.status.is_ok for call in calls)


@pytest.mark.parametrize(
    ("body", "name", "outcome"),
    [
        ({"query": "query Wrong { nothing }"}, "Wrong", "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "query A { a } query B { b }", "operationName": "B"}, "B", "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "query A { a } query B { b }"}, None, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "{ nothing }"}, None, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "query Values($x: ID!) { service(sid: $x) { sid } }"}, "Values", "BAD_USER_INPUT"),
        ({"query": "query Torn {"}, None, "GRAPHQL_PARSE_FAILED"),
    ],
)
async def test_an_invalid_operation_has_its_name(
    http: aiohttp.ClientSession,
    sandbox: Sandbox,
    spans: InMemorySpanExporter,
    body: Any,
    name: str | None,
    outcome: str,
) -> None:
    async with serving(application.create_app(settings_for(sandbox))) as url, http.post(f"{url}/graphql", json=body):
        pass
    (span,) = spans.get_finished_spans()
    attributes = dict(span.attributes or {})
    assert (attributes.get("graphql.operation.name"), attributes["gateway.outcome"]) == (name, outcome)


async def test_a_refusal_is_a_span_with_its_code(
    http: aiohttp.ClientSession, sandbox: Sandbox, spans: InMemorySpanExporter
) -> None:
    app = application.create_app(settings_for(sandbox))
    async with serving(app) as url, http.post(f"{url}/graphql", json={"query": 1}) as response:
        assert response.status == 400
    (span,) = spans.get_finished_spans()
    assert dict(span.attributes or {})["gateway.outcome"] == "BAD_REQUEST"
    assert not span.status.is_ok


async def test_a_cached_answer_is_a_span_without_calls(
    http: aiohttp.ClientSession, sandbox: Sandbox, spans: InMemorySpanExporter
) -> None:
    app = application.create_app(settings_for(sandbox))
    body = {"query": '{ service(sid: "%s") { friendlyName } }' % sandbox.landmarks["service_sid"]}
    async with serving(app) as url:
        for _ in range(3):
            async with http.post(f"{url}/graphql", json=body) as response:
                assert response.status == 200
    assert app.state.account.lookups["answer"] == 1
    *_, last = spans.get_finished_spans()
    assert dict(last.attributes or {}) == {
        "graphql.operation.type": "query",
        "gateway.outcome": "ok",
        "gateway.calls": 0,
    }
    assert len(spans.get_finished_spans()) == 4

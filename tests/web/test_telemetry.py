"""Traces: one span for an operation, one for each call below it, none for a field, and no personal data."""

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
    monkeypatch.setattr(application, "_telemetry", lambda settings: Telemetry(provider))
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
    told = [
        (dict(call.attributes or {})["url.path"], dict(call.attributes or {})["http.response.status_code"])
        for call in calls
    ]
    by_name = f"/v1/Services/{marks['service_sid']}/Conversations/{{name}}"
    assert sorted(told) == [(f"/v1/Services/{marks['service_sid']}", 200), (by_name, 200), (by_name, 503)]
    assert all(call.parent is not None and call.parent.span_id == operation.context.span_id for call in calls)
    assert all(0 < (call.end_time or 0) - (call.start_time or 0) < 5e9 for call in calls)
    assert marks["unique_name"] not in "".join(span.to_json() for span in spans.get_finished_spans())


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

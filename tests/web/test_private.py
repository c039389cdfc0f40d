"""A search for a person: by POST only, and nowhere to be read but in its answer."""

import json
import logging
from typing import Any

import aiohttp
import pytest
import structlog

from gateway.app import create_app
from gateway.demo import settings_for
from gateway.sandbox import Sandbox

from ..conftest import serving

SECRET = "person-that-nobody-may-read-of"
LITERAL = """query Find($serviceSid: ID!) { service(sid: $serviceSid) {
  participations(by: {identity: "%s"}) { edges { cursor } } } }"""
VARIABLE = """query Find($serviceSid: ID!, $by: PersonInput!) { service(sid: $serviceSid) { ...P } }
fragment P on Service { found: participations(by: $by) { edges { cursor } } }"""


def requests(sandbox: Sandbox) -> list[dict[str, Any]]:
    sid = {"serviceSid": sandbox.landmarks["service_sid"]}
    return [
        {"query": LITERAL % SECRET, "variables": sid},
        {"query": VARIABLE, "variables": {**sid, "by": {"identity": SECRET}}},
        {"query": VARIABLE, "variables": {**sid, "by": {"address": SECRET}}},
    ]


async def test_a_get_is_refused_and_a_post_is_not(base_url: str, http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    for request in requests(sandbox):
        parameters = {"query": request["query"], "variables": json.dumps(request["variables"])}
        for _ in range(2):  # Before and after the same operation was answered by POST.
            async with http.get(f"{base_url}/graphql", params=parameters) as reply:
                assert (reply.status, reply.headers["Allow"]) == (405, "POST")
                (error,) = (await reply.json())["errors"]
            assert error["extensions"]["code"] == "BAD_REQUEST"
            assert "by POST" in error["message"]
            assert SECRET not in json.dumps(error)
            async with http.post(f"{base_url}/graphql", json=request) as reply:
                assert reply.status == 200
                assert "errors" not in await reply.json()


SUBSCRIPTION = """subscription Follow($serviceSid: ID!, $by: PersonInput!) { deliveryUpdated(serviceSid: $serviceSid) {
  __typename
  ... on ReceiptChange { receipt { service { participations(by: $by) { edges { cursor } } } } } } }"""


@pytest.mark.parametrize(
    ("by", "accept"),
    [
        ({"identity": SECRET}, "text/event-stream"),
        ({"identity": SECRET}, "multipart/mixed;subscriptionSpec=1.0"),
        ({"identity": [SECRET]}, "text/event-stream"),  # Not valid: its error does not repeat it.
    ],
)
async def test_a_subscription_is_refused_by_get_too(
    base_url: str, http: aiohttp.ClientSession, sandbox: Sandbox, by: dict[str, Any], accept: str
) -> None:
    variables = {"serviceSid": sandbox.landmarks["service_sid"], "by": by}
    headers = {"Accept": accept, "Apollo-Require-Preflight": "1"}
    parameters = {"query": SUBSCRIPTION, "variables": json.dumps(variables)}
    async with http.get(f"{base_url}/graphql", params=parameters, headers=headers) as reply:
        refusal = (await reply.content.readany()).decode()
    assert "by POST" in refusal
    assert SECRET not in refusal
    body = json.dumps({"query": SUBSCRIPTION, "variables": variables})
    headers |= {"Content-Type": "application/json"}
    async with http.post(f"{base_url}/graphql", data=body, headers=headers) as reply:
        first = (await reply.content.readuntil(b"}\n\n" if "event-stream" in accept else b"--graphql")).decode()
    assert SECRET not in first
    if isinstance(by["identity"], str) and "event-stream" in accept:
        assert "DeliveriesReady" in first


async def test_a_get_of_anything_else_is_answered(base_url: str, http: aiohttp.ClientSession) -> None:
    document = '{ __type(name: "PersonInput") { isOneOf inputFields { name } } } # participations'
    async with http.get(f"{base_url}/graphql", params={"query": document}) as reply:
        assert (await reply.json())["data"]["__type"]["isOneOf"] is True


async def test_the_person_is_in_no_log_trace_metric_or_header(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as entries:
        async with serving(create_app(settings_for(sandbox))) as url, aiohttp.ClientSession() as http:
            shown = []
            for request in requests(sandbox):
                for more in ({"X-Gateway-Trace": "1"}, {"X-Gateway-Dry-Run": "1"}, {}):
                    async with http.post(f"{url}/graphql", json=request, headers=more) as reply:
                        answer = await reply.json()
                        shown += [json.dumps(answer.get("extensions")), str(reply.headers)]
                        assert reply.status == 200
            async with http.get(f"{url}/metrics") as reply:
                shown.append(await reply.text())
    assert any("ParticipantConversations?Identity={value}" in text for text in shown)
    assert any(SECRET in path for path in sandbox.paths)
    assert SECRET not in " ".join([*shown, str(entries), caplog.text])

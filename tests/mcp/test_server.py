"""Assistants call tools: the SDK's own client, in the newest version of the protocol and in older ones."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from jsonschema import validate
from mcp.shared.exceptions import MCPError
from structlog.testing import capture_logs

from gateway.app import create_app
from gateway.callers.callers import Token
from gateway.demo import demo_app
from gateway.execution.outside_text import FROM_OUTSIDE
from gateway.mcp.calls import NOTICE
from gateway.sandbox import Fault, Sandbox
from gateway.web.server import serving

from .conftest import assistant, connected, settings_with_tools

OLD_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")


def text_of(result: Any) -> str:
    (content,) = result.content
    return str(content.text)


def data_of(result: Any) -> Any:
    assert not result.is_error, text_of(result)
    return result.structured_content["data"]


def nodes(connection: Any) -> list[Any]:
    return [edge["node"] for edge in connection["edges"]]


def in_thread(sandbox: Sandbox, **more: Any) -> dict[str, Any]:
    marks = sandbox.landmarks
    return {"serviceSid": marks["service_sid"], "conversationSid": marks["conversation_sid"], **more}


def objects(value: Any) -> Iterator[dict[str, Any]]:
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(each)
    if isinstance(value, dict):
        yield value


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_call_gives_what_the_tool_promises(sandbox: Sandbox, mode: str) -> None:
    async with serving(demo_app(sandbox)) as url, assistant(url, mode=mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        sandbox.reset()
        result = await client.call_tool("Thread", in_thread(sandbox, first=2))
        paths = list(sandbox.paths)
    assert set(tools) == {"ExplainedReceipt", "Failures", "PersonMessages", "Statistics", "Thread"}
    for tool in tools.values():
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint
        assert tool.annotations.destructive_hint is False
    validate(result.structured_content, tools["Thread"].output_schema or {})
    notice, _, text = text_of(result).partition("\n")
    assert notice == NOTICE
    assert json.loads(text) == result.structured_content
    messages = nodes(data_of(result)["service"]["conversation"]["messages"])
    assert len(messages) == 2
    assert set(messages[0]["body"]) == {FROM_OUTSIDE}
    assert Counter(path.split("/")[-1].partition("?")[0] for path in paths if "Messages/" in path) == {"Receipts": 2}
    assert result.structured_content["cost"]["actual"] == len(paths) == 5


async def test_an_assistant_finds_out_why_a_person_did_not_get_a_message(sandbox: Sandbox) -> None:
    """Given the server alone, one question leads to the next."""
    async with connected(sandbox) as client:
        service, *_ = nodes(data_of(await client.call_tool("Statistics", {}))["services"])
        assert service["deliveryStatistics"]["receipts"] > 0
        found = data_of(await client.call_tool("Failures", {"serviceSid": service["sid"], "first": 1}))
        (failed,) = nodes(found["service"]["failures"])
        assert failed["message"]["body"][FROM_OUTSIDE]
        address = failed["participant"]["messagingBinding"]["address"][FROM_OUTSIDE]
        arguments = {"serviceSid": service["sid"], "person": {"address": address}, "conversations": 10, "messages": 20}
        person = data_of(await client.call_tool("PersonMessages", arguments))
        receipts = [
            (participation["participantSid"], receipt)
            for participation in nodes(person["service"]["participations"])
            for message in nodes(participation["conversation"]["messages"])
            for receipt in nodes(message["receipts"])
        ]
        (own,) = [receipt for _, receipt in receipts if receipt["sid"] == failed["sid"]]
        assert own["participantSid"] in {participant for participant, _ in receipts}
        assert own["error"]["advice"]
        sids = {"serviceSid": service["sid"], "receiptSid": failed["sid"]}
        sids |= {name: failed[name] for name in ("conversationSid", "messageSid")}
        explained = data_of(await client.call_tool("ExplainedReceipt", sids))
        receipt = explained["service"]["conversation"]["message"]["receipt"]
        assert receipt["error"]["code"] == failed["error"]["code"]
        assert receipt["error"]["category"]
        assert data_of(await client.call_tool("Thread", in_thread(sandbox, first=1)))


async def test_what_a_chat_user_has_read_is_told_by_the_read_horizon(
    sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    """Chat users have no receipts."""
    marks = sandbox.landmarks
    credentials = {"Authorization": aiohttp.encode_basic_auth(sandbox.account_sid, sandbox.auth_token)}
    people = f"{sandbox.url}/v1/Services/{marks['service_sid']}/Conversations/{marks['conversation_sid']}/Participants"
    horizon = {"LastReadMessageIndex": "178"}
    async with http.post(
        f"{people}/{marks['identity_participant_sid']}", data=horizon, headers=credentials
    ) as response:
        assert response.status == 200
    arguments = {"serviceSid": marks["service_sid"], "person": {"identity": marks["identity"]}, "messages": 2}
    async with connected(sandbox) as client:
        found = data_of(await client.call_tool("PersonMessages", arguments))
    (participation,) = [
        each
        for each in nodes(found["service"]["participations"])
        if each["participantSid"] == marks["identity_participant_sid"]
    ]
    assert participation["participant"]["lastReadMessageIndex"] == 178
    assert [message["index"] for message in nodes(participation["conversation"]["messages"])] == [179, 178]


async def test_text_from_outside_is_only_where_it_is_marked(sandbox: Sandbox) -> None:
    async with connected(sandbox) as client:
        listed = (await client.list_tools()).model_dump_json()
        result = await client.call_tool("Thread", in_thread(sandbox, first=20))
    marked = [each[FROM_OUTSIDE] for each in objects(result.structured_content) if FROM_OUTSIDE in each]
    bodies = [
        message["body"][FROM_OUTSIDE] for message in nodes(data_of(result)["service"]["conversation"]["messages"])
    ]
    assert set(bodies) <= set(marked)
    text = json.dumps(result.structured_content)
    for body in filter(lambda body: len(body) > 20, bodies):
        assert json.dumps({FROM_OUTSIDE: body}) in text
        assert json.dumps(body) not in text.replace(json.dumps({FROM_OUTSIDE: body}), "")
        assert body not in listed


async def test_a_refusal_says_what_would_fit(sandbox: Sandbox) -> None:
    async with connected(sandbox, mcp_budget=30) as client:
        small = await client.call_tool("Thread", in_thread(sandbox, first=10))
        assert not small.is_error
        refused = await client.call_tool("Thread", in_thread(sandbox, first=25))
        assert refused.is_error
        assert refused.structured_content["data"] is None
        (error,) = refused.structured_content["errors"]
        assert error["code"] == "COST_LIMIT_EXCEEDED"
        fits = error["fits"]["first"]
        assert 1 <= fits < 25
        assert f"What would fit: `first`: {fits}." in error["message"]
        assert error["retryAfter"] > 0
        assert error["retryable"]
        sandbox.reset()
        assert not (await client.call_tool("Thread", in_thread(sandbox, first=fits))).is_error
        assert sandbox.paths


async def test_what_fits_the_limit_of_operations_fits_the_budget_too(sandbox: Sandbox) -> None:
    person = {"address": sandbox.landmarks["address"]}
    arguments = {"serviceSid": sandbox.landmarks["service_sid"], "person": person, "messages": 40}
    async with connected(sandbox, mcp_budget=100, cost_max=300) as client:
        refused = await client.call_tool("PersonMessages", {**arguments, "conversations": 100})
        (error,) = refused.structured_content["errors"]
        assert "300 are allowed" in error["message"]
        assert error["message"].count("What would fit") == 1
        fits = error["fits"]["conversations"]
        fitting = await client.call_tool("PersonMessages", {**arguments, "conversations": fits})
        assert not fitting.is_error
        assert fitting.structured_content["cost"]["requested"] <= 100


@pytest.mark.parametrize("version", ["newest", "older"])
async def test_a_client_that_leaves_cancels_its_call_and_is_charged_what_was_read(
    sandbox: Sandbox, http: aiohttp.ClientSession, version: str
) -> None:
    arguments = in_thread(sandbox, first=15)
    params = {"name": "Thread", "arguments": arguments}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    async with serving(create_app(settings_with_tools(sandbox, mcp_budget=60))) as url, assistant(url) as client:
        sandbox.reset()
        sandbox.faults.add("*/Receipts*", Fault("hang"))
        with capture_logs() as log:
            if version == "newest":
                leaving = asyncio.create_task(client.call_tool("Thread", arguments))
            else:
                leaving = asyncio.create_task(http.post(f"{url}/mcp", json=body))  # type: ignore[arg-type]
            await sandbox.until(lambda: any("/Receipts" in path for path in sandbox.paths))
            leaving.cancel()
            async with asyncio.timeout(4):  # Before the calls come to the end of their own time.
                await sandbox.until(lambda: all(call.client_left for call in sandbox.calls if "/Receipts" in call.path))
        read = len(sandbox.paths)
        sandbox.faults.clear()
        refused = await client.call_tool("Thread", in_thread(sandbox, first=100))
    assert [line["event"] for line in log] == ["tool cancelled"]
    (error,) = refused.structured_content["errors"]
    assert f"{60 - read} left of 60" in error["message"]


async def test_clients_have_budgets_of_their_own(sandbox: Sandbox) -> None:
    tokens = {name: Token(f"{name}-0123456789abcdef") for name in ("one", "two")}
    app = create_app(settings_with_tools(sandbox, mcp_budget=20, tokens=tokens))
    async with (
        serving(app) as url,
        assistant(url, token=tokens["one"].secret) as one,
        assistant(url, token=tokens["two"].secret) as two,
    ):
        arguments = in_thread(sandbox, first=8)
        assert not (await one.call_tool("Thread", arguments)).is_error
        assert (await one.call_tool("Thread", arguments)).is_error
        assert not (await two.call_tool("Thread", arguments)).is_error


async def test_a_caller_reads_its_own_services_only(sandbox: Sandbox) -> None:
    token = Token("0123456789abcdef", frozenset({sandbox.landmarks["other_service_sid"]}))
    app = create_app(settings_with_tools(sandbox, tokens={"limited": token}))
    async with serving(app) as url, assistant(url, token=token.secret) as client:
        sandbox.reset()
        result = await client.call_tool("Thread", in_thread(sandbox))
    assert result.is_error
    assert [error["code"] for error in result.structured_content["errors"]] == ["FORBIDDEN"]
    assert sandbox.paths == []


async def test_errors_are_for_the_assistant_to_read(sandbox: Sandbox) -> None:
    async with connected(sandbox) as client:
        for name, arguments, said in [
            ("Thread", {"service": "IS"}, "There is no argument `service`. The arguments are: serviceSid, "),
            ("Thread", {"serviceSid": "IS"}, "$conversationSid"),
            ("Thread", in_thread(sandbox, serviceSid="IS"), "Expected a sid of the form IS"),
            ("Thread", in_thread(sandbox, conversationSid="CH"), "Expected a sid of the form CH"),
            ("PersonMessages", {"serviceSid": sandbox.landmarks["service_sid"], "person": {}}, "$person"),
        ]:
            result = await client.call_tool(name, arguments)
            assert result.is_error
            assert said in result.structured_content["errors"][0]["message"]
            assert said in json.loads(text_of(result).removeprefix(NOTICE))["errors"][0]["message"]
        with pytest.raises(MCPError, match="no tool with that name"):
            await client.call_tool("Nothing", {})


@pytest.mark.parametrize("version", OLD_VERSIONS)
async def test_older_versions_of_the_protocol(sandbox: Sandbox, http: aiohttp.ClientSession, version: str) -> None:
    headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": version}
    async with serving(create_app(settings_with_tools(sandbox))) as url:

        async def ask(method: str, params: dict[str, Any]) -> Any:
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            async with http.post(f"{url}/mcp", json=body, headers=headers) as response:
                assert response.status == 200
                assert response.headers["cache-control"] == "no-store"
                return (await response.json())["result"]

        about = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
        assert (await ask("initialize", about))["protocolVersion"] == version
        assert len((await ask("tools/list", {}))["tools"]) == 5
        result = await ask("tools/call", {"name": "Thread", "arguments": in_thread(sandbox, first=1)})
    notice, _, text = result["content"][0]["text"].partition("\n")
    assert notice == NOTICE
    assert json.loads(text)["data"]["service"]["conversation"]["messages"]["edges"]
    assert result.get("structuredContent", json.loads(text)) == json.loads(text)


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Host": "evil.example"}, 403, "FORBIDDEN"),
        ({"Origin": "https://evil.example"}, 403, "FORBIDDEN"),
        ({"Origin": "null"}, 403, "FORBIDDEN"),
    ],
)
async def test_foreign_pages_are_refused(
    sandbox: Sandbox, http: aiohttp.ClientSession, headers: dict[str, str], status: int, code: str
) -> None:
    async with (
        serving(create_app(settings_with_tools(sandbox))) as url,
        http.post(f"{url}/mcp", json={}, headers=headers) as response,
    ):
        assert response.status == status
        assert (await response.json())["errors"][0]["extensions"]["code"] == code


async def test_a_token_is_needed_where_tokens_are_set(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    app = create_app(settings_with_tools(sandbox, tokens={"one": Token("0123456789abcdef")}))
    async with serving(app) as url:
        async with http.post(f"{url}/mcp", json={}) as response:
            assert response.status == 401
            assert response.headers["www-authenticate"] == "Bearer"
        async with http.get(f"{url}/mcp") as response:
            assert response.status == 405


async def test_there_are_no_tools_unless_they_are_asked_for(base_url: str, http: aiohttp.ClientSession) -> None:
    async with http.post(f"{base_url}/mcp", json={}) as response:
        assert response.status == 404


async def test_trusted_documents_have_tools_and_are_replaced(sandbox: Sandbox) -> None:
    settings = replace(settings_with_tools(sandbox), mcp=frozenset({"trusted"}))
    app = create_app(settings, documents={"1": "query Legend { deliveryErrors(codes: [30003]) { code } }"})
    async with serving(app) as url, assistant(url) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["Legend"]
        result = await client.call_tool("Legend", {})
        assert data_of(result) == {"deliveryErrors": [{"code": 30003}]}
        assert NOTICE not in text_of(result), "nothing in it is from outside"
        app.state.tools.replace({"2": "query Other { deliveryErrors(codes: [30003]) { title } }"})
        async with assistant(url) as another:
            assert [tool.name for tool in (await another.list_tools()).tools] == ["Other"]


async def test_the_log_and_the_metrics_name_the_tool_and_nothing_personal(
    sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    arguments = {"serviceSid": sandbox.landmarks["service_sid"], "person": {"identity": "somebody-private"}}
    with capture_logs() as lines:
        async with serving(create_app(settings_with_tools(sandbox))) as url:
            async with assistant(url) as client:
                await client.call_tool("PersonMessages", arguments)
            async with http.get(f"{url}/metrics") as response:
                metrics = await response.text()
    (line,) = [line for line in lines if line["event"] == "tool"]
    assert (line["name"], line["caller"], line["outcome"], line["errors"]) == ("PersonMessages", "anyone", "ok", 0)
    assert line["calls"] >= 1
    assert 'gateway_operations_total{name="PersonMessages",outcome="ok"} 1.0' in metrics
    assert "somebody-private" not in f"{lines} {metrics}"

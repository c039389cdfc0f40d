"""`receipts-gateway mcp`: an assistant starts it, and speaks with it on its standard input and output."""

import json
import sys
from pathlib import Path

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from gateway.sandbox import Sandbox

from ..commands.conftest import ENVIRON, environ_for, run


def command(sandbox: Sandbox, **more: str) -> StdioServerParameters:
    environ = ENVIRON | environ_for(sandbox) | {"GATEWAY_LOG_LEVEL": "error"} | more
    return StdioServerParameters(command=sys.executable, args=["-m", "gateway", "mcp"], env=environ)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_shipped_tools(sandbox: Sandbox, mode: str) -> None:
    async with Client(command(sandbox), mode=mode) as client:
        assert len((await client.list_tools()).tools) == 5
        marks = sandbox.landmarks
        arguments = {"serviceSid": marks["service_sid"], "conversationSid": marks["conversation_sid"], "first": 1}
        result = await client.call_tool("Thread", arguments)
    assert not result.is_error
    (content,) = result.content
    assert json.loads(str(content.text).partition("\n")[2]) == result.structured_content  # type: ignore[union-attr]


async def test_trusted_documents_take_their_place(sandbox: Sandbox, tmp_path: Path) -> None:
    manifest = tmp_path / "documents.json"
    manifest.write_text(json.dumps({"1": '"All codes." query Legend { deliveryErrors { code } }'}), encoding="utf-8")
    async with Client(command(sandbox, GATEWAY_TRUSTED_DOCUMENTS=str(manifest))) as client:
        (tool,) = (await client.list_tools()).tools
    assert tool.name == "Legend"
    assert tool.description == "All codes.\n\nRead-only. Costs at most 0 upstream calls."


def test_settings_that_cannot_be_used_are_reported() -> None:
    done = run("mcp", GATEWAY_MCP="all")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "GATEWAY_MCP: must be trusted, shipped, or both, separated by a comma." in done.stderr
    done = run("mcp", GATEWAY_MCP="trusted")
    assert "GATEWAY_MCP: `trusted` needs GATEWAY_TRUSTED_DOCUMENTS" in done.stderr

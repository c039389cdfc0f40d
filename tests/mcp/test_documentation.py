"""The documentation's blocks: configurations of assistants, a document, a marked text and a refusal."""

import json
import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.client.stdio import StdioServerParameters

from gateway.execution.outside_text import FROM_OUTSIDE
from gateway.mcp.tools import read_tools, shipped_documents
from gateway.sandbox import Sandbox

from ..commands.conftest import ENVIRON, environ_for
from ..conftest import ROOT
from ..docs.blocks import blocks, read, rows
from .conftest import connected

JSON: list[Any] = [json.loads(text) for text in blocks("assistants", "json")]


def test_the_extra_exists() -> None:
    (line,) = blocks("assistants", "sh")
    extra = re.findall(r"\[(\w+)\]", line)[0]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert any(each.startswith("mcp>=") for each in project["optional-dependencies"][extra])


async def test_the_configurations(sandbox: Sandbox) -> None:
    over_http, on_this_machine = (each["mcpServers"]["receipts"] for each in JSON[:2])
    assert over_http["type"] == "http"
    assert over_http["url"].endswith("/mcp")
    assert over_http["headers"]["Authorization"].startswith("Bearer ")
    environ = environ_for(sandbox)
    assert set(on_this_machine["env"]) == set(environ) - {"GATEWAY_UPSTREAM_URL"}
    environ["PATH"] = (
        f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # The command is installed there.
    )
    parameters = StdioServerParameters(**{**on_this_machine, "env": ENVIRON | environ})
    async with Client(parameters) as client:
        assert len((await client.list_tools()).tools) == 5


def test_the_document_has_a_tool_and_the_shipped_ones_are_listed() -> None:
    (document,) = blocks("assistants", "graphql")
    (tool,) = read_tools({"it": document})
    assert tool.name == "FailedReceipts"
    listed = [cells[0] for cells in rows(read("assistants"), "shipped tool")]
    assert sorted(name.strip("`") for name in listed) == [each.name for each in read_tools(shipped_documents())]


async def test_the_marked_text_and_the_refusal(sandbox: Sandbox) -> None:
    marked, shown = JSON[2:]
    assert list(marked["body"]) == [FROM_OUTSIDE]
    marks = sandbox.landmarks
    arguments = {"serviceSid": marks["service_sid"], "conversationSid": marks["conversation_sid"]}
    async with connected(sandbox, mcp_budget=30) as client:
        await client.call_tool("Thread", {**arguments, "first": 15})
        refused = await client.call_tool("Thread", {**arguments, "first": 15})
    (error,) = refused.structured_content["errors"]
    assert set(error) == set(shown)
    assert set(error["fits"]) == set(shown["fits"])
    begin, end = (re.sub(r"\d+", r"\\d+", re.escape(part)) for part in shown["message"].split("…"))
    assert re.fullmatch(f"{begin}.*{end}", error["message"])

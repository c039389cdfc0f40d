"""The SDK is imported, and the server of tools created, with the first request to it."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Mapping

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Message

from gateway.app import create_app
from gateway.mcp.on_demand import ToolsOnDemand
from gateway.mcp.server import ToolServer
from gateway.sandbox import Sandbox
from gateway.web.server import serving

from .conftest import assistant, settings_with_tools

BEFORE_ANY_REQUEST = """
import asyncio, sys
from gateway.demo import demo_app
from gateway.sandbox import Sandbox

async def main():
    async with Sandbox() as sandbox:
        app = demo_app(sandbox)
        async with app.router.lifespan_context(app):
            print(app.state.tools is not None, {"mcp", "mcp_types", "pydantic"} & sys.modules.keys())

asyncio.run(main())
"""


def test_the_sdk_is_not_imported_before_a_request() -> None:
    result = subprocess.run([sys.executable, "-c", BEFORE_ANY_REQUEST], capture_output=True, text=True, check=True)
    assert result.stdout == "True set()\n"


async def tools_of(url: str) -> set[str]:
    async with assistant(url) as client:
        return {tool.name for tool in (await client.list_tools()).tools}


async def test_assistants_that_come_first_together_have_one_server(sandbox: Sandbox) -> None:
    async with serving(create_app(settings_with_tools(sandbox))) as url:
        first, second = await asyncio.gather(tools_of(url), tools_of(url))
    assert first == second
    assert "Failures" in first


async def test_documents_replaced_before_and_while_the_server_is_created() -> None:
    creating, may_go_on = threading.Event(), threading.Event()
    created: list[Mapping[str, str]] = []

    def create(documents: Mapping[str, str]) -> ToolServer:
        created.append(documents)
        creating.set()
        may_go_on.wait(10)
        return ToolServer(None, documents, sets={"trusted"}, body_max=2**20)  # type: ignore[arg-type]  # Nothing is called.

    tools = ToolsOnDemand(create, {"1": "query One { __typename }"})
    tools.replace({"2": "query Two { __typename }"})
    app = Starlette(routes=[Route("/mcp", tools)], lifespan=lambda _: tools.running())
    async with serving(app) as url:
        listed = asyncio.create_task(tools_of(url))
        await asyncio.to_thread(creating.wait, 10)
        tools.replace({"3": "query Three { __typename }"})
        may_go_on.set()
        assert await listed == {"Three"}
        tools.replace({"4": "query Four { __typename }"})
        assert await tools_of(url) == {"Four"}
    assert [list(documents) for documents in created] == [["2"]]


async def test_each_request_fails_if_the_server_cannot_be_created() -> None:
    def create(documents: Mapping[str, str]) -> ToolServer:
        raise ImportError("no SDK")

    async def receive() -> Message:
        raise AssertionError("nothing is read")

    async def send(message: Message) -> None:
        raise AssertionError("nothing is sent")

    tools = ToolsOnDemand(create, {})
    async with tools.running():
        for _ in range(2):
            with pytest.raises(ImportError, match="no SDK"):
                await tools({}, receive, send)
        tools.replace({"1": "query One { __typename }"})

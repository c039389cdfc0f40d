"""The protocol's own inspector lists the tools of a gateway over the sandbox and calls one, in both eras of the protocol."""

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gateway.app import create_app
from gateway.sandbox import Sandbox
from gateway.web.server import serving

from ..conftest import npm_ci
from .conftest import settings_with_tools

_TOOL_FAILED = 5
"""The inspector's exit code for a result with `isError`."""
pytestmark = pytest.mark.timeout(300)  # npm fetches 50 MB when its cache is empty.


@pytest.fixture(scope="module")
def inspector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the inspector is installed."""
    folder = tmp_path_factory.mktemp("inspector")
    npm_ci(Path(__file__).parent / "inspector", folder)
    return folder


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_the_inspector_lists_and_calls_tools(sandbox: Sandbox, inspector: Path, era: str) -> None:
    async with serving(create_app(settings_with_tools(sandbox))) as url:

        async def ask(method: str, *arguments: str, code: int = 0) -> Any:
            server = ["--server-url", f"{url}/mcp", "--transport", "http", "--protocol-era", era]
            program = ["node", "node_modules/.bin/mcp-inspector", "--cli", *server, "--method", method, *arguments]
            environ = os.environ | {"HOME": str(inspector)}  # It reads nothing that the user has stored.
            done = await asyncio.to_thread(
                subprocess.run, program, cwd=inspector, env=environ, capture_output=True, text=True, check=False
            )
            assert done.returncode == code, done.stderr
            return json.loads(done.stdout)

        tools = (await ask("tools/list", "--strict"))["tools"]  # Strict: schemas that some clients refuse are errors.
        assert {tool["name"] for tool in tools} == {
            "ExplainedReceipt",
            "Failures",
            "PersonMessages",
            "Statistics",
            "Thread",
        }
        sid = sandbox.landmarks["service_sid"]
        arguments = ["--tool-name", "Failures", "--tool-arg", f"serviceSid={sid}", "first=1"]
        failures = (await ask("tools/call", *arguments))["structuredContent"]["data"]["service"]["failures"]
        assert len(failures["edges"]) == 1
        refused = await ask("tools/call", "--tool-name", "Failures", "--tool-arg", "serviceSid=IS", code=_TOOL_FAILED)
        assert refused["isError"] is True

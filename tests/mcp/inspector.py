"""The protocol's inspector lists the tools of a gateway over the sandbox, and calls each that needs no argument.

python -m tests.mcp.inspector        installs it with npm on the first run: 110 MB
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from gateway.app import create_app
from gateway.sandbox import Sandbox
from gateway.web.server import serving

from .conftest import settings_with_tools

VERSION = "2.12.0"


def installed() -> Path:
    """Return the program, installed into a cache of its own. npm cannot install it from a lock file."""
    target = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / f"receipts-gateway-inspector-{VERSION}"
    program = target / "node_modules" / ".bin" / "mcp-inspector"
    if not program.exists():
        target.mkdir(parents=True, exist_ok=True)
        (target / "package.json").write_text('{"private": true}', encoding="utf-8")
        package = f"@modelcontextprotocol/inspector@{VERSION}"
        command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", package]
        subprocess.run(command, cwd=target, check=True)
    return program


async def main() -> None:
    """Ask the inspector, and raise if an answer is not as expected."""
    program = installed()
    async with Sandbox() as sandbox, serving(create_app(settings_with_tools(sandbox))) as url:

        async def ask(*arguments: str) -> Any:
            command = ["node", str(program), "--cli", f"{url}/mcp", "--transport", "http", "--method", *arguments]
            done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True)
            return json.loads(done.stdout)

        tools = (await ask("tools/list"))["tools"]
        assert len(tools) == 5
        for tool in tools:
            if not tool["inputSchema"].get("required"):
                result = await ask("tools/call", "--tool-name", tool["name"])
                assert result["structuredContent"]["data"]
                print(f"{tool['name']}: {json.dumps(result['structuredContent'])[:200]}…")  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())

"""`receipts-gateway mcp`: tools for one assistant, on standard input and output."""

from __future__ import annotations

import click

from gateway.commands.options import CommandWithSettings, fail, load_or_fail

__all__ = ["mcp"]


@click.command(cls=CommandWithSettings)
def mcp() -> None:
    """Serve tools to an assistant, by standard input and output.

    The protocol is the Model Context Protocol. There is one tool for each trusted document; without any, for each document of
    this package. The settings are environment variables, listed below. To serve several assistants over HTTP, use
    `receipts-gateway serve` with GATEWAY_MCP.
    """
    from importlib.util import find_spec

    from gateway.log import configure_log
    from gateway.web.server import run

    if find_spec("mcp") is None:
        fail("This command needs an extra: pip install 'receipts-gateway[mcp]'.")
    settings, documents = load_or_fail()
    configure_log(settings.log_level)

    async def serve() -> None:
        from gateway.app import open_tools

        async with open_tools(settings, documents) as tools:
            await tools.run_stdio()

    run(serve())

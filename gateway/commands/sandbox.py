"""`receipts-gateway sandbox`: the sandbox without a gateway."""

from __future__ import annotations

from typing import Any

import click

from gateway.commands.options import HOST, SEED, fail, port_option

__all__ = ["sandbox"]


@click.command()
@HOST
@port_option("--port", 8001, "Port to listen on; 0 for any free one.")
@SEED
@click.option(
    "--size",
    type=click.Choice(["small", "medium", "large"]),
    default="small",
    show_default=True,
    help="The amount of data.",
)
def sandbox(host: str, port: int, seed: int, size: Any) -> None:
    """Run the sandbox alone: a simulated Twilio."""
    from gateway.sandbox import Sandbox
    from gateway.web.server import run, unusable

    async def serve() -> None:
        server = Sandbox(host=host, port=port, seed=seed, size=size)
        try:
            await server.start()
        except OSError as error:
            fail(str(unusable(error, host, port, "--port")))
        try:
            click.echo(
                f"Sandbox      {server.url}/sandbox\nAccount sid  {server.account_sid}\nAuth token   {server.auth_token}"
            )
            click.echo("".join(f"{name:38} {value}\n" for name, value in server.landmarks.items()) + "Ctrl-C stops it.")
            await _stop_signal()
        finally:
            await server.stop()

    run(serve())


async def _stop_signal() -> None:
    """Wait for SIGINT or SIGTERM, even if the shell started the process with SIGINT ignored."""
    import asyncio
    import signal

    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    before = {
        number: signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        await stop.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""`receipts-gateway sandbox`: the sandbox without a gateway."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from gateway.commands.options import HOST, SEED, check_url, fail, port_option

__all__ = ["sandbox"]


@click.group(invoke_without_command=True)
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
@click.pass_context
def sandbox(context: click.Context, host: str, port: int, seed: int, size: Any) -> None:
    """Run the sandbox alone: a simulated Twilio."""
    if context.invoked_subcommand is not None:
        return
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


@sandbox.command()
@click.argument("event")
@click.argument("parameters", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--sandbox", "url", default="http://127.0.0.1:8001", show_default=True, help="Address of the sandbox.")
@click.option("--to", help="URL to send the webhook to; by default, wherever the sandbox's webhooks are configured.")
def trigger(event: str, parameters: tuple[str, ...], url: str, to: str | None) -> None:
    """Fire one webhook event of a running sandbox by hand.

    EVENT is its type, such as onDeliveryUpdated. The parameters are those of the record that they name, such as
    DeliveryReceiptSid=DY... with MessageSid=IM...; others replace its own, such as Status=failed.
    """
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    pairs = [pair.partition("=") for pair in parameters]
    if not all(name and equals for name, equals, _ in pairs):
        fail("A parameter is NAME=VALUE, such as Status=failed.")
    check_url("--sandbox", url)
    value = {"event": event, "parameters": {name: text for name, _, text in pairs}, **({"url": to} if to else {})}
    request = Request(f"{url.rstrip('/')}/sandbox/trigger", json.dumps(value).encode())
    try:
        with urlopen(request, timeout=10) as response:
            sent = json.load(response)
    except HTTPError as error:
        with error:
            click.echo(_reason(error.read()) or f"{url} answered {error.code}.", err=True)
        sys.exit(1)
    except (URLError, OSError, ValueError) as error:
        fail(f"{url} is not a running sandbox: {getattr(error, 'reason', error)}.")
    for webhook in sent:
        click.echo(f"{webhook['event']} sent to {webhook['url']}")


def _reason(body: bytes) -> str | None:
    """Return the message in an error response of the sandbox."""
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return None


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

"""`receipts-gateway healthcheck`: whether the gateway in this container is ready, for the image's health check."""

from __future__ import annotations

import sys
from pathlib import Path

import click

__all__ = ["healthcheck"]

_SECONDS = 2


@click.command()
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Port of the gateway; by default, the one in the arguments of the container's first process, or else 8000.",
)
def healthcheck(port: int | None) -> None:
    """Check the readiness of this container's gateway.

    The exit code is 1 if /readyz does not reply with 200 within two seconds.
    """
    from http.client import HTTPConnection, HTTPException

    where = f"127.0.0.1:{port or _port_of_first_process()}"
    try:
        connection = HTTPConnection(where, timeout=_SECONDS)
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        text, is_ready = response.read(100).decode("utf-8", "replace").strip(), response.status == 200
        connection.close()
    except (OSError, HTTPException) as error:
        text, is_ready = str(error), False
    click.echo(f"{where}: {text}", err=not is_ready)
    if not is_ready:
        sys.exit(1)


def _port_of_first_process() -> int:
    """Return the port that `serve`, or an init process before it, was given as an argument."""
    try:
        arguments = Path("/proc/1/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        arguments = []
    port = 8000
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, _, value = argument.partition("=")
        if name == "--port" and (value or following).isdecimal():
            port = int(value or following)
    return port

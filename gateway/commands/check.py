"""`receipts-gateway check`: whether Twilio accepts the credentials, and how long a call takes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from gateway.commands.options import CommandWithSettings, load_or_fail

if TYPE_CHECKING:
    from gateway.errors import GatewayError
    from gateway.settings import Settings

__all__ = ["check"]

_FIRST_PAGE = "Services?PageSize=100"
_TIMES = 3
_DEADLINE_SECONDS = 15


@click.command(cls=CommandWithSettings)
def check() -> None:
    """Check the settings and the credentials.

    Print which services the credentials can read, and how long a call takes.
    """
    import asyncio

    settings, _ = load_or_fail()
    ok, report = asyncio.run(_check_account(settings))
    click.echo(report, err=not ok)
    if not ok:
        sys.exit(1)


async def _check_account(settings: Settings) -> tuple[bool, str]:
    """Return whether the account can be read with these settings, and a report."""
    import asyncio
    import time
    from statistics import median

    from gateway.app import create_client
    from gateway.errors import GatewayError
    from gateway.graph.types import Service
    from gateway.twilio.responses import Page, Response, read_page

    def read(target: str, response: Response) -> Page:
        return read_page(Service.resource, target, response)

    async with create_client(settings) as client:

        async def services() -> tuple[Page, float]:
            start = time.monotonic()
            deadline = asyncio.get_running_loop().time() + _DEADLINE_SECONDS
            page = await client.get(_FIRST_PAGE, read, deadline=deadline)
            return page, time.monotonic() - start

        try:
            page, _ = await services()  # This one connects.
            seconds = [(await services())[1] for _ in range(_TIMES)]
        except GatewayError as error:
            return False, _explain(error, settings)
    lines = [
        f"Twilio accepts these credentials ({settings.credentials.username}).",
        f"A call takes {median(seconds) * 1000:.0f} ms (median of {_TIMES}, on an open connection).",
    ]
    if page.rows:
        more = " (the first 100)" if page.next else ""
        lines.append(f"{len(page.rows)} services{more}:")
        lines += [f"  {row.sid}  {row.friendly_name or ''}" for row in page.rows]
    else:
        lines.append("They can read no Conversations service: is this the right account?")
    return True, "\n".join(lines)


def _explain(error: GatewayError, settings: Settings) -> str:
    """Return what a failed read means for these settings, and what to check."""
    from gateway.errors import UpstreamError, UpstreamTimeout

    status = error.upstream.status if error.upstream is not None else None
    if status == 401:
        return (
            "Twilio rejects these credentials (401): check TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN, or TWILIO_API_KEY "
            "with TWILIO_API_SECRET. Test credentials do not work with Conversations."
        )
    if status == 403:
        return (
            "Twilio accepts these credentials, but they may not read Conversations (403): check the key's permissions."
        )
    if isinstance(error, UpstreamError) and status is None:
        what = "does not answer" if isinstance(error, UpstreamTimeout) else "cannot be reached"
        cure = _unused_proxy(settings) or "check the network, the proxy and the firewall."
        return f"{settings.upstream_url} {what}: {cure}"
    return error.message


def _unused_proxy(settings: Settings) -> str | None:
    """Return how to use the proxy that the environment names, if the transport does not."""
    from gateway.twilio.aiohttp_transport import proxy_for
    from gateway.twilio.transport import Origin

    origin = Origin(settings.upstream_url, settings.credentials)
    if settings.transport == "aiohttp" or proxy_for(origin) is None:
        return None
    return (
        f"GATEWAY_TRANSPORT={settings.transport} does not use the proxy in {'HTTPS' if origin.is_secure else 'HTTP'}_PROXY. "
        "Set GATEWAY_TRANSPORT=aiohttp."
    )

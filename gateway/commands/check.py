"""A look at the account: whether the credentials work, which services they see, and how far away Twilio is."""

import asyncio
import time
from statistics import median

from gateway.app import create_client
from gateway.errors import GatewayError, UpstreamError, UpstreamTimeout
from gateway.graph.types import Service
from gateway.settings import Settings
from gateway.twilio.client import Client
from gateway.twilio.responses import Page, Response, read_page

__all__ = ["check_account"]

_FIRST_PAGE = "Services?PageSize=100"
_TIMES = 3


async def check_account(settings: Settings) -> tuple[bool, str]:
    """Whether the gateway can work with these settings, and a report in words."""
    async with create_client(settings) as client:
        try:
            page = await _services(client)
            times = [await _seconds(client) for _ in range(_TIMES)]
        except GatewayError as error:
            return False, _trouble(error, settings)
    lines = [
        f"Twilio accepts these credentials ({settings.credentials.username}).",
        f"A call takes {median(times) * 1000:.0f} ms (median of {_TIMES}, on a kept connection).",
    ]
    if page.rows:
        more = " (the first 100)" if page.next else ""
        lines.append(f"{len(page.rows)} services{more}:")
        lines += [f"  {row.sid}  {row.friendly_name or ''}" for row in page.rows]
    else:
        lines.append("They see no Conversations service: is this the right account?")
    return True, "\n".join(lines)


async def _services(client: Client) -> Page:
    def read(target: str, response: Response) -> Page:
        return read_page(Service.resource, target, response)

    return await client.get(_FIRST_PAGE, read, deadline=asyncio.get_running_loop().time() + 15)


async def _seconds(client: Client) -> float:
    began = time.monotonic()
    await _services(client)
    return time.monotonic() - began


def _trouble(error: GatewayError, settings: Settings) -> str:
    status = error.upstream.status if error.upstream is not None else None
    if status == 401:
        return (
            "Twilio refuses these credentials (401): check TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN, or TWILIO_API_KEY "
            "with TWILIO_API_SECRET. Test credentials do not work with Conversations."
        )
    if status == 403:
        return (
            "Twilio knows these credentials but does not let them read Conversations (403): see the key's permissions."
        )
    if isinstance(error, UpstreamTimeout):
        return f"{settings.upstream_url} does not answer: is there a network, a proxy, a firewall?"
    if isinstance(error, UpstreamError) and status is None:
        return f"{settings.upstream_url} cannot be reached: is there a network, a proxy, a firewall?"
    return error.message

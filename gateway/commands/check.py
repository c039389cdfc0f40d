"""`receipts-gateway check`: whether Twilio, Redis and the issuer of JWTs can be reached with these settings."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import click

from gateway.commands.options import CommandWithSettings, fail, load_or_fail

if TYPE_CHECKING:
    from gateway.errors import GatewayError
    from gateway.settings import Settings

__all__ = ["check"]

_FIRST_PAGE = "Services?PageSize=100"
_TIMES = 3
_DEADLINE_SECONDS = 15
_REDIS_SECONDS = 2.0
_SERVICE, _CONVERSATION = re.compile("IS[0-9a-fA-F]{32}"), re.compile("CH[0-9a-fA-F]{32}")


def _service_sids(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> list[str]:
    for text in given:
        if not _SERVICE.fullmatch(text):
            fail(f"--service takes a sid of the form IS…; got {text!r}.")
    return list(given)


def _conversation_paths(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> list[str]:
    paths = []
    for text in given:
        service, _, conversation = text.partition("/")
        if not _SERVICE.fullmatch(service) or not _CONVERSATION.fullmatch(conversation):
            fail(f"--conversation takes the sids of a service and a conversation, IS…/CH…; got {text!r}.")
        paths.append(f"Services/{service}/Conversations/{conversation}")
    return paths


@click.command(cls=CommandWithSettings)
@click.option(
    "--webhooks", is_flag=True, help="Compare the webhooks that are configured at Twilio with GATEWAY_WEBHOOK_URL."
)
@click.option(
    "--service",
    "services",
    multiple=True,
    metavar="IS...",
    callback=_service_sids,
    help="Check the webhooks of this service; by default, of all that callers may read. May be repeated.",
)
@click.option(
    "--conversation",
    "conversations",
    multiple=True,
    metavar="IS.../CH...",
    callback=_conversation_paths,
    help="Check the webhooks of this conversation, and of its service. May be repeated.",
)
def check(webhooks: bool, services: list[str], conversations: list[str]) -> None:
    """Check the settings, the credentials, Redis and JWT keys.

    Print which services the credentials can read, and how long a call takes. Redis and the URL of the JWK set are tried if
    they are set. With --webhooks, print what is wrong with the webhooks that are configured at Twilio, and the curl commands
    that configure them; nothing is changed.
    """
    import asyncio

    if (services or conversations) and not webhooks:
        fail("--service and --conversation go with --webhooks.")
    settings, _ = load_or_fail()
    reports = asyncio.run(_check_all(settings))
    if webhooks and reports[0][0]:
        from gateway.commands.check_webhooks import check_webhooks

        reports += asyncio.run(check_webhooks(settings, services, conversations))
    for ok, report in reports:
        click.echo(report, err=not ok)
    if not all(ok for ok, _ in reports):
        sys.exit(1)


async def _check_all(settings: Settings) -> list[tuple[bool, str]]:
    """Return a report on each server that the settings name, and whether it can be used."""
    reports = [await _check_account(settings)]
    if settings.cache_url != "memory://":
        reports.append(await _check_redis(settings.cache_url))
    if settings.jwt is not None and settings.jwt.jwks_url:
        reports.append(await _check_keys(settings.jwt.jwks_url))
    return reports


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


async def _check_redis(url: str) -> tuple[bool, str]:
    """Return whether the Redis server at `url` can be used, and a report without the URL, which may have a password."""
    import time

    from gateway.source.redis import RedisCache

    async with RedisCache(url, "check", timeout=_REDIS_SECONDS) as cache:
        await cache.probe()  # This one connects.
        start = time.monotonic()
        cause = await cache.probe()
        seconds = time.monotonic() - start
    if cause is None:
        return True, f"Redis can be used: two requests take {seconds * 1000:.1f} ms."
    return False, f"Redis cannot be used ({cause}): check GATEWAY_CACHE_URL. The gateway would continue without it."


async def _check_keys(url: str) -> tuple[bool, str]:
    """Return whether the JWK set at `url` can be fetched, and a report."""
    from gateway.callers.jwt import KeySetUnavailable, fetch_keys

    try:
        keys = await fetch_keys(url)
    except KeySetUnavailable as error:
        return (
            False,
            f"The JWK set cannot be fetched ({error}): check GATEWAY_JWKS_URL. Without it, no JWT is accepted.",
        )
    return True, f"The JWK set at GATEWAY_JWKS_URL has {len(keys)} usable {'key' if len(keys) == 1 else 'keys'}."


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

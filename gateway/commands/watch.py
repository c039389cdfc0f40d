"""`receipts-gateway watch`: the receipts of a running gateway as they change."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, NoReturn

import click
from click.shell_completion import CompletionItem

from gateway.commands.options import TOKEN, check_url, fail

if TYPE_CHECKING:
    import aiohttp

__all__ = ["watch"]

_DOCUMENT = """\
subscription Watch($serviceSid: ID!, $conversationSids: [ID!], $after: String) {
  deliveryUpdated(serviceSid: $serviceSid, conversationSids: $conversationSids, after: $after) {
    __typename
    ... on DeliveriesReady { cursor refetch webhooks pollSeconds }
    ... on ReceiptChange {
      cursor
      receivedAt
      source
      isNew
      previousStatus
      receipt {
        sid
        status
        errorCode
        error { title }
        dateUpdated
        conversationSid
        messageSid
        participantSid
      }
    }
  }
}"""
_SERVICE = "query WatchedService($serviceSid: ID!) { service(sid: $serviceSid) { friendlyName } }"
"""To subscribe costs no upstream call, so that it does not find out whether the service exists."""
_SILENT_SECONDS = 60
"""The gateway sends a heartbeat more often than this (`GATEWAY_HEARTBEAT_SECONDS`), unless it is dead."""
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
"""Bounds of the random wait before the first attempt to come back, and before later ones, in seconds."""
_EVENT_MAX = 2**20


class _Interrupted(Exception):
    """The connection has ended and the subscription has not: subscribe again."""


def _complete_sid(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the services of the gateway, or the conversations of the service that is named before."""
    from urllib.request import Request, urlopen

    fields = "{ edges { node { sid friendlyName } } }"
    query = f"query Q($sid: ID!) {{ service(sid: $sid) {{ found: conversations {fields} }} }}"
    variables = {"sid": context.params.get("service")}
    if parameter.name == "service":
        query, variables = f"{{ found: services {fields} }}", {}
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if context.params.get("token"):
        headers["Authorization"] = f"Bearer {context.params['token']}"
    body = json.dumps({"query": query, "variables": variables}).encode()
    try:
        with urlopen(Request(context.params["url"], body, headers), timeout=2) as response:
            data = json.load(response)["data"]
        edges = data.get("service", data)["found"]["edges"]
        return [
            CompletionItem(edge["node"]["sid"], help=edge["node"]["friendlyName"])
            for edge in edges
            if edge["node"]["sid"].startswith(incomplete)
        ]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return []  # The shell shows no errors.


@click.command()
@click.argument("service", shell_complete=_complete_sid)
@click.argument("conversations", nargs=-1, metavar="[CONVERSATION]...", shell_complete=_complete_sid)
@click.option(
    "--url",
    default="http://127.0.0.1:8000/graphql",
    show_default=True,
    help="Address of the gateway; by default, that of a demo.",
)
@TOKEN
@click.option(
    "--format",
    "output",
    type=click.Choice(["table", "ndjson"]),
    default="table",
    show_default=True,
    help="Output for people, or each event as a line of JSON.",
)
def watch(service: str, conversations: tuple[str, ...], url: str, token: str | None, output: str) -> None:
    """Print receipts of a gateway as they change.

    It runs until Ctrl-C. SERVICE and CONVERSATION are sids, IS... and CH..., of 100 conversations at most. Without any, it
    prints all that webhooks report of the service. When the connection ends, it subscribes again after the last event;
    standard error says whether changes may have been missed.
    """
    import asyncio

    check_url("--url", url)
    show = _show_json if output == "ndjson" else _Table(has_conversations=len(conversations) != 1).show
    variables = {"serviceSid": service, "conversationSids": list(conversations) or None, "after": None}
    try:
        asyncio.run(_follow(url, token, variables, show))
    except KeyboardInterrupt:
        return


async def _follow(
    url: str, token: str | None, variables: dict[str, Any], show: Callable[[dict[str, Any]], None]
) -> None:
    """Show events until the subscription is over, and subscribe again whenever the connection ends before."""
    import asyncio
    import random

    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_SILENT_SECONDS)
    headers = {"Accept": "text/event-stream", **({"Authorization": f"Bearer {token}"} if token else {})}
    wait, has_begun = _FIRST_WAIT, False
    async with aiohttp.ClientSession(timeout=timeout, headers=headers, read_bufsize=_EVENT_MAX) as session:
        while True:
            try:
                if not has_begun:
                    await _read_service(session, url, variables["serviceSid"])
                async for event in _events(session, url, variables):
                    variables["after"] = event["cursor"]
                    if event["__typename"] == "DeliveriesReady":
                        click.echo(_about(event, has_begun=has_begun), err=True)
                    wait, has_begun = _FIRST_WAIT, True
                    show(event)
                fail(f"{url} has ended the subscription.")
            except aiohttp.InvalidURL:
                fail(f"--url: {url} is not an address.")
            except (aiohttp.ClientError, OSError, TimeoutError, _Interrupted) as error:
                if not has_begun and not isinstance(error, _Interrupted):
                    fail(f"{url} cannot be reached. Is the gateway running? To try it: receipts-gateway demo --live")
                reason = str(error) if isinstance(error, _Interrupted) else "The connection has ended."
            click.echo(f"{reason} Subscribing again.", err=True)
            await asyncio.sleep(
                random.uniform(0, wait)
            )  # So that the clients of a gateway do not come back all at once.
            wait = min(2 * wait, _LONGEST_WAIT)


async def _read_service(session: aiohttp.ClientSession, url: str, sid: str) -> None:
    """Read the service; fails, and raises, as `_events` does."""
    body = {"query": _SERVICE, "variables": {"serviceSid": sid}}
    async with session.post(url, json=body, headers={"Accept": "application/json"}, allow_redirects=False) as response:
        answer = await response.read()
    try:
        service = json.loads(answer)["data"]["service"]
    except (ValueError, LookupError, TypeError):
        _refuse(url, response.status, answer)
    if service is None:
        _fail_with(json.loads(answer).get("errors") or [{"message": f"There is no service {sid}."}])


async def _events(session: aiohttp.ClientSession, url: str, variables: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """Yield the events of one connection until the subscription is over for good.

    The format is https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md, in distinct connections. Raises
    `_Interrupted` and aiohttp's errors if the connection ends before that. Ends the command if the gateway refuses.
    """
    body = {"query": _DOCUMENT, "variables": variables}
    async with session.post(url, json=body, allow_redirects=False) as response:
        if response.content_type != "text/event-stream":
            _refuse(url, response.status, await response.read())
        name = data = ""
        async for raw in response.content:
            field, _, text = raw.decode().rstrip("\r\n").partition(":")
            if field == "event":
                name = text.strip()
            elif field == "data":
                data = text
            elif not field and name == "complete":
                return
            elif not field and data:
                payload = json.loads(data)
                if payload.get("errors"):
                    _fail_with(payload["errors"])
                yield payload["data"]["deliveryUpdated"]
                name = data = ""
    raise _Interrupted("The connection has ended.")


def _refuse(url: str, status: int, body: bytes) -> NoReturn:
    """Raise `_Interrupted` if the gateway is busy; otherwise end the command with what it says."""
    try:
        errors = json.loads(body)["errors"]
    except (ValueError, LookupError, TypeError):
        errors = None
    if status in {429, 502, 503, 504}:
        raise _Interrupted(_texts(errors)[0] if errors else f"{url} answered {status}.")
    if errors:
        _fail_with(errors)
    fail(f"{url} does not answer as a gateway does: its path is /graphql.")


def _fail_with(errors: list[dict[str, Any]]) -> NoReturn:
    """Print errors of the gateway, and end the command with exit code 1."""
    for text in _texts(errors):
        click.echo(text, err=True)
    if any(error.get("extensions", {}).get("code") == "UNAUTHENTICATED" for error in errors):
        click.echo("Set --token, or RECEIPTS_GATEWAY_TOKEN.", err=True)
    sys.exit(1)


def _texts(errors: list[dict[str, Any]]) -> list[str]:
    return [str(error.get("message")) for error in errors]


def _about(ready: dict[str, Any], *, has_begun: bool) -> str:
    """Return what a `DeliveriesReady` says to a person."""
    sources = ["webhooks"] if ready["webhooks"] else []
    if ready["pollSeconds"] is not None:
        sources.append(f"polling every {ready['pollSeconds']} seconds")
    if has_begun:
        missed = "Changes may have been missed: run your queries again." if ready["refetch"] else "Nothing was missed."
        return f"Subscribed again. {missed}"
    if not sources:
        return (
            "Subscribed, but no change will be found: the gateway accepts no webhooks, and no conversation is named that it "
            "could poll."
        )
    return f"Subscribed. Changes are found by {' and by '.join(sources)}. Ctrl-C ends it."


def _show_json(event: dict[str, Any]) -> None:
    click.echo(json.dumps(event, ensure_ascii=False))


class _Table:
    """Prints changes as rows, below a head."""

    def __init__(self, *, has_conversations: bool) -> None:
        self._columns = [("TIME", 8), ("STATUS", 24), ("MESSAGE", 34), ("RECIPIENT", 34)]
        self._columns += [("CONVERSATION", 34)] if has_conversations else []
        self._has_head = False

    def show(self, event: dict[str, Any]) -> None:
        """Print a change."""
        from datetime import datetime

        if event["__typename"] != "ReceiptChange":
            return
        if not self._has_head:
            self._has_head = True
            self._print(*(name for name, _ in self._columns), "ERROR")
        receipt = event["receipt"]
        before, status = event["previousStatus"], receipt["status"]
        conversation = [receipt["conversationSid"]] if len(self._columns) == 5 else []
        error = " ".join(str(each) for each in (receipt["errorCode"], (receipt["error"] or {}).get("title")) if each)
        self._print(
            datetime.fromisoformat(event["receivedAt"]).astimezone().strftime("%H:%M:%S"),
            f"{before} -> {status}" if before else status,
            receipt["messageSid"],
            receipt["participantSid"] or "",
            *conversation,
            error,
        )

    def _print(self, *texts: str) -> None:
        widths = [width for _, width in self._columns]
        cells = [text.ljust(width) for text, width in zip(texts, [*widths, 0], strict=True)]
        click.echo("  ".join(cells).rstrip())

"""`receipts-gateway demo`: the sandbox and a gateway over it, in one process."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import click

from gateway.commands.options import HOST, SEED, fail, port_option

__all__ = ["demo"]

_FIRST_QUERY = """\
query Thread {
  service(sid: "%(service_sid)s") {
    conversation(sid: "%(conversation_sid)s") {
      friendlyName
      messages(first: 5%(order)s) {
        edges { node {
          index
          deliveryStatus
          receipts { edges { node { status errorCode participant { channel } } } }
        } }
      }
    }
  }
}"""


_WITHOUT_MCP = "not served: it needs an extra, pip install 'receipts-gateway[mcp]'"


@click.command()
@HOST
@port_option("--port", 8000, "Port of the gateway; 0 for any free one.")
@port_option("--sandbox-port", 0, "Port of the sandbox; 0 for any free one.")
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write addresses, credentials and sids to this file, as JSON, once both answer; it is removed at the end.",
)
@click.option(
    "--token",
    envvar="RECEIPTS_GATEWAY_TOKEN",
    help="Require this bearer token, of 16 characters or more. Also RECEIPTS_GATEWAY_TOKEN.",
)
@click.option("--insecure-no-auth", is_flag=True, help="Serve other machines without a token.")
@SEED
@click.option(
    "--live",
    is_flag=True,
    help="Let messages be sent and their receipts change, one each second.",
)
def demo(
    host: str,
    port: int,
    sandbox_port: int,
    ready_file: Path | None,
    token: str | None,
    insecure_no_auth: bool,
    seed: int,
    live: bool,
) -> None:
    """Run the sandbox and a gateway over it.

    With --host 0.0.0.0, other machines can reach the gateway; the sandbox stays on this machine.
    """
    from gateway.addresses import is_loopback
    from gateway.settings.parsing import tokens

    if token is not None:
        try:
            tokens(f"demo:{token}")
        except ValueError:
            fail("--token must have 16 characters or more: letters, digits and signs, but no comma, colon or space.")
    if not is_loopback(host) and token is None and not insecure_no_auth:
        fail(
            f"Other machines can reach {host}: set --token, or serve on 127.0.0.1. "
            "To let anyone use the demo, use --insecure-no-auth."
        )
    if ready_file is not None:
        try:
            _write_whole(ready_file, "")
            ready_file.unlink()
        except OSError as error:
            _fail_to_write(ready_file, error)

    # Importing the server takes a third of a second: what is wrong with the options is reported before.
    from gateway.log import configure_log
    from gateway.web.server import AddressUnusable, run

    configure_log("warning")
    try:
        run(_run(host, port, sandbox_port, seed, ready_file, token, any_host=insecure_no_auth, is_live=live))
    except AddressUnusable as error:
        fail(str(error))
    except OSError as error:
        if ready_file is None:
            raise
        _fail_to_write(ready_file, error)
    finally:
        if ready_file is not None:
            ready_file.unlink(missing_ok=True)


def _fail_to_write(ready_file: Path, error: OSError) -> NoReturn:
    fail(f"--ready-file: {ready_file} cannot be written ({error.strerror}).")


async def _run(
    host: str,
    port: int,
    sandbox_port: int,
    seed: int,
    ready_file: Path | None,
    token: str | None,
    *,
    any_host: bool,
    is_live: bool,
) -> None:
    """Run both until a signal. Raises `AddressUnusable`, and OSError for a ready file that cannot be written."""
    from yarl import URL

    from gateway.addresses import is_loopback
    from gateway.demo import demo_app, ready_facts
    from gateway.sandbox import Sandbox
    from gateway.sandbox.activity import Activity
    from gateway.web.server import Server, address, listen, unusable
    from gateway.web.webhooks import WEBHOOK_PATH

    with listen(host, port, "--port") as listener:
        sandbox_host = host if is_loopback(host) else "127.0.0.1"
        sandbox = Sandbox(host=sandbox_host, port=sandbox_port, seed=seed)
        try:
            await sandbox.start()
        except OSError as error:
            raise unusable(error, sandbox_host, sandbox_port, "--sandbox-port") from None
        try:
            # Browsers do not open the unspecified address, which stands for all of this machine's.
            base = address(listener).replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
            facts = ready_facts(sandbox, base)
            secrets = {"token": token} if token is not None else {}
            activity = Activity(sandbox)

            def on_ready() -> None:
                if ready_file is not None:
                    _write_whole(ready_file, json.dumps(facts | secrets, indent=2) + "\n")
                click.echo(_greeting(facts, requires_token=token is not None, is_live=is_live))
                if is_live:
                    activity.start()

            # Webhooks over http are accepted on a loopback address alone; without them, changes come by polling.
            webhook_url = f"{base}{WEBHOOK_PATH}" if is_loopback(URL(base).host or "") else None
            app = demo_app(sandbox, token=token, any_host=any_host, webhook_url=webhook_url, is_live=is_live)
            try:
                await Server(app, on_ready).serve(sockets=[listener])
            finally:
                await activity.stop()
        finally:
            await sandbox.stop()


def _greeting(facts: dict[str, str], *, requires_token: bool, is_live: bool) -> str:
    """Return the addresses, a query to paste, and a hint for settings that are set and have no effect.

    The token is not printed: a container's output is often kept.
    """
    from gateway.settings import SETTINGS

    authorization = ' -H "Authorization: Bearer $RECEIPTS_GATEWAY_TOKEN"' if requires_token else ""
    about_token = "   (with the token in RECEIPTS_GATEWAY_TOKEN)" if requires_token else ""
    is_served = find_spec("mcp") is not None
    mcp = f"{facts['mcp']}   (tools for assistants, over streamable HTTP)" if is_served else _WITHOUT_MCP
    query = _FIRST_QUERY % {**facts, "order": ", order: DESC" if is_live else ""}
    body = json.dumps({"query": " ".join(query.split())})
    watch = (
        f"""\
  receipts-gateway watch {facts["service_sid"]} --url {facts["graphql"]}

"""
        if is_live
        else ""
    )
    names = [setting.env for setting in SETTINGS if setting.env.startswith("GATEWAY_")]
    ignored = [name for name in names if os.environ.get(name) or os.environ.get(f"{name}_FILE")]
    hint = (
        f"""\
The demo ignores settings: {", ".join(ignored)} has no effect here. To use it with the same data, also run:

  TWILIO_ACCOUNT_SID={facts["account_sid"]} TWILIO_AUTH_TOKEN={facts["auth_token"]} \
GATEWAY_UPSTREAM_URL={facts["sandbox"]} receipts-gateway serve --port 0

"""
        if ignored
        else ""
    )
    return f"""\
GraphQL    {facts["graphql"]}
GraphiQL   {facts["graphiql"]}
Sandbox    {facts["sandbox"]}/sandbox   (a simulated Twilio; no account is used)
MCP        {mcp}

Try it:{about_token}

  curl -s {facts["graphql"]} -H 'Content-Type: application/json'{authorization} -d '{body}'

{watch}{hint}{_for_assistants(facts, requires_token) if is_served else ""}Ctrl-C stops both."""


def _for_assistants(facts: dict[str, str], requires_token: bool) -> str:
    """Return how to connect an assistant."""
    headers = {"headers": {"Authorization": "Bearer ${RECEIPTS_GATEWAY_TOKEN}"}} if requires_token else {}
    server = {"type": "http", "url": facts["mcp"], **headers}
    return f"""\
Or ask an assistant "Who did not get my messages, and why?", after adding this server to its configuration:

  {json.dumps({"mcpServers": {"receipts": server}})}

"""


def _write_whole(path: Path, text: str) -> None:
    """Write a file at once, so that no reader sees a part of it. Only its owner may read it."""
    import tempfile

    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o600)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise

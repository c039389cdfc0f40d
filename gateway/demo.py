"""The demonstration: the sandbox and a gateway over it, in one process."""

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from starlette.applications import Starlette

from gateway.app import create_app
from gateway.graph.ids import encode_id
from gateway.graph.types import Conversation, Message, Participant, Receipt, Service
from gateway.sandbox import Sandbox
from gateway.settings import Settings
from gateway.twilio.transport import Credentials
from gateway.web.server import Server, address, listen, unusable

__all__ = ["FIRST_QUERY", "demo_app", "known_variables", "ready_facts", "run_demo", "settings_for"]

_DEVELOPMENT = frozenset({"http://localhost:*", "http://127.0.0.1:*"})

FIRST_QUERY = """\
query Thread {
  service(sid: "%(service_sid)s") {
    conversation(sid: "%(conversation_sid)s") {
      friendlyName
      messages(first: 5) {
        edges { node {
          index
          deliveryStatus
          receipts { edges { node { status errorCode participant { channel } } } }
        } }
      }
    }
  }
}"""


def settings_for(sandbox: Sandbox) -> Settings:
    """Settings for a gateway over a sandbox."""
    return Settings(
        credentials=Credentials(sandbox.account_sid, sandbox.auth_token), upstream_url=sandbox.url, log_level="warning"
    )


def demo_app(sandbox: Sandbox) -> Starlette:
    """The gateway over a sandbox, for pages under development too.

    It keeps nothing between requests, so that whatever is done to the sandbox shows at once.
    """
    settings = replace(settings_for(sandbox), cache_bytes=0, cors_origins=_DEVELOPMENT)
    return create_app(settings, known=known_variables(sandbox.landmarks))


def known_variables(landmarks: dict[str, str]) -> dict[str, str]:
    """The sandbox's landmarks by the names that variables have: its `service_sid` is `$serviceSid`."""

    def camel(name: str) -> str:
        first, *others = name.split("_")
        return first + "".join(part.capitalize() for part in others)

    return {camel(name): value for name, value in landmarks.items()}


def ready_facts(sandbox: Sandbox, base: str) -> dict[str, str]:
    """What a script needs to know of a running demo: addresses, credentials, and where the interesting records are."""
    marks = sandbox.landmarks
    service = f"Services/{marks['service_sid']}"
    conversation = f"{service}/Conversations/{marks['conversation_sid']}"
    message = f"{conversation}/Messages/{marks['message_sid']}"
    return {
        "graphql": f"{base}/graphql",
        "graphiql": f"{base}/graphiql",
        "sandbox": sandbox.url,
        "account_sid": sandbox.account_sid,
        "auth_token": sandbox.auth_token,
        **marks,
        "service_id": encode_id(Service.resource, service),
        "conversation_id": encode_id(Conversation.resource, conversation),
        "message_id": encode_id(Message.resource, message),
        "receipt_id": encode_id(Receipt.resource, f"{message}/Receipts/{marks['receipt_sid']}"),
        "participant_id": encode_id(Participant.resource, f"{conversation}/Participants/{marks['participant_sid']}"),
    }


async def run_demo(
    *,
    host: str,
    port: int,
    sandbox_port: int,
    seed: int,
    ready_file: Path | None,
    unread: list[str],
    say: Callable[[str], None],
) -> None:
    """Run both until a signal, and say what there is, and that settings which are `unread` have no effect.

    Raises `AddressUnusable`, and OSError for a ready file that cannot be written."""
    if ready_file is not None:
        _write_whole(ready_file, "")  # Found out now, not when all is up.
        _remove(ready_file)
    with listen(host, port, "--port") as listener:
        sandbox = Sandbox(host=host, port=sandbox_port, seed=seed)
        try:
            await sandbox.start()
        except OSError as error:
            raise unusable(error, host, sandbox_port, "--sandbox-port") from None
        try:
            facts = ready_facts(sandbox, address(listener))

            def tell() -> None:
                if ready_file is not None:
                    _write_whole(ready_file, json.dumps(facts, indent=2) + "\n")
                say(_greeting(facts, unread))

            server = Server(demo_app(sandbox), tell)
            await server.serve(sockets=[listener])
        finally:
            await sandbox.stop()
            if ready_file is not None:
                _remove(ready_file)


def _greeting(facts: dict[str, str], unread: list[str]) -> str:
    body = json.dumps({"query": " ".join((FIRST_QUERY % facts).split())})
    hint = (
        f"""\
The demo's settings are its own: {", ".join(unread)} has no effect here. To try it on the same data, beside this:

  TWILIO_ACCOUNT_SID={facts["account_sid"]} TWILIO_AUTH_TOKEN={facts["auth_token"]} \
GATEWAY_UPSTREAM_URL={facts["sandbox"]} receipts-gateway serve --port 0

"""
        if unread
        else ""
    )
    return f"""\
GraphQL    {facts["graphql"]}
GraphiQL   {facts["graphiql"]}
Sandbox    {facts["sandbox"]}/sandbox   (a pretend Twilio; no account is touched)

Try it:

  curl -s {facts["graphql"]} -H 'Content-Type: application/json' -d '{body}'

{hint}Ctrl-C stops both."""


def _write_whole(path: Path, text: str) -> None:
    """Write a file so that no one ever sees a part of it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o600)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)

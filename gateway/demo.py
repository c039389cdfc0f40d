"""A gateway over the sandbox, and its addresses, sids and ids: for the demo, for contract tests, and for tests here."""

from dataclasses import replace
from importlib.util import find_spec

from starlette.applications import Starlette

from gateway.app import create_app
from gateway.callers.callers import Token
from gateway.execution.inputs import declared_variables
from gateway.graph.ids import encode_id
from gateway.graph.types import Conversation, Message, Participant, Receipt, Service
from gateway.sandbox import Sandbox
from gateway.settings import Settings, WebhookSettings
from gateway.stream_faults import StreamFaults
from gateway.twilio.transport import Credentials

__all__ = ["demo_app", "known_variables", "landmark_variables", "ready_facts", "settings_for"]

_LIVE = "The sandbox makes a change each second, and sends a webhook for it."
_STILL = "The sandbox sends one for each change, and makes none by itself; with `demo --live` it does, each second."
_ELSEWHERE = (
    "The sandbox sends webhooks to an address of this machine only: with `--host 127.0.0.1`, the demo receives them."
)
_DEVELOPMENT_ORIGINS = frozenset({"http://localhost:*", "http://127.0.0.1:*"})


def settings_for(sandbox: Sandbox) -> Settings:
    """Return the settings for a gateway over a sandbox."""
    return Settings(
        credentials=Credentials(sandbox.account_sid, sandbox.auth_token), upstream_url=sandbox.url, log_level="warning"
    )


def demo_app(
    sandbox: Sandbox,
    *,
    token: str | None = None,
    any_host: bool = False,
    webhook_url: str | None = None,
    is_live: bool = False,
) -> Starlette:
    """Return the gateway over a sandbox, as an ASGI application that pages under development may call.

    It caches nothing between requests, so that a change to the sandbox is visible at once. Requests need the `token`, if there
    is one; `any_host` is as for `create_app`. The sandbox sends its webhooks to `webhook_url`, at which the gateway is to be
    served; then nothing is polled, so that only operations make calls. The sandbox's faults of events are applied. Tools are
    served if their extra is installed. `is_live` tells GraphiQL whether the sandbox has an `Activity`.
    """
    tokens = {"demo": Token(token)} if token is not None else {}
    settings = replace(
        settings_for(sandbox),
        cache_bytes=0,
        cors_origins=_DEVELOPMENT_ORIGINS,
        tokens=tokens,
        mcp=frozenset({"shipped"} if find_spec("mcp") is not None else ()),
    )
    if webhook_url is not None:
        webhook = WebhookSettings(url=webhook_url, auth_token=sandbox.auth_token, account_sid=sandbox.account_sid)
        settings = replace(settings, webhook=webhook, reconcile_seconds=0)
        sandbox.configure_webhooks(webhook_url)
    app = create_app(
        settings,
        any_host=any_host,
        graphiql_variables=known_variables(sandbox.landmarks),
        graphiql_user=f"{sandbox.account_sid}:{sandbox.auth_token}",  # The sandbox shows both to anyone.
        graphiql_note=_ELSEWHERE if webhook_url is None else _LIVE if is_live else _STILL,
    )
    app.state.streams.on_payload = StreamFaults(sandbox.faults).apply
    return app


def known_variables(landmarks: dict[str, str]) -> dict[str, str]:
    """Return the values of variables that the sandbox's landmarks give: `service_sid` is the value of `$serviceSid`."""

    def camel(name: str) -> str:
        first, *others = name.split("_")
        return first + "".join(part.capitalize() for part in others)

    return {camel(name): value for name, value in landmarks.items()}


def landmark_variables(document: str, landmarks: dict[str, str]) -> dict[str, str]:
    """Return the values of those variables that the document declares; see `known_variables`."""
    values = known_variables(landmarks)
    return {name: values[name] for name in declared_variables(document) if name in values}


def ready_facts(sandbox: Sandbox, base: str) -> dict[str, str]:
    """Return the facts that a script needs to use the demo: addresses, credentials, landmarks, and ids for `node(id:)`."""
    marks = sandbox.landmarks
    service = f"Services/{marks['service_sid']}"
    conversation = f"{service}/Conversations/{marks['conversation_sid']}"
    message = f"{conversation}/Messages/{marks['message_sid']}"
    return {
        "graphql": f"{base}/graphql",
        "graphql_ws": f"{base}/graphql".replace("http", "ws", 1),
        "graphiql": f"{base}/graphiql",
        "mcp": f"{base}/mcp",
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

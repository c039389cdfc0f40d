"""The application: everything is put together here, top to bottom."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from gateway.accounts.account import Account
from gateway.accounts.limits import Limits, SubscriptionLimits
from gateway.accounts.reconciliation import Reconciliation
from gateway.accounts.subscription import whole_seconds
from gateway.callers.callers import Callers, Token
from gateway.errors import BadRequest, InternalError
from gateway.graph.schema import shared_executor
from gateway.mcp.calls import CALLER, OnCall, ToolCalls
from gateway.mcp.on_demand import ToolsOnDemand
from gateway.settings import JwtSettings, Settings, SettingsError
from gateway.source.history import History
from gateway.source.memory import MemoryCache
from gateway.source.publication import Publication
from gateway.source.slots import share_slots
from gateway.twilio.client import Client
from gateway.twilio.httptools_transport import HttptoolsTransport
from gateway.twilio.transport import Credentials, Origin, Timeouts, Transport
from gateway.web.admission import Admission
from gateway.web.browsers import SECURITY_HEADERS, Origins
from gateway.web.deliveries import Deliveries
from gateway.web.documents import Documents
from gateway.web.endpoint import Endpoint
from gateway.web.events import SINGLE_CONNECTION
from gateway.web.graphiql import Graphiql, SourcesOfChanges
from gateway.web.graphiql.trusted import TrustedPage
from gateway.web.graphql_over_http import BODY_MAX, prefers_html
from gateway.web.guard import Guard
from gateway.web.health import live, ready
from gateway.web.manifests import read_manifests
from gateway.web.metrics import Metrics, MetricsPage
from gateway.web.pending import PendingReply
from gateway.web.recorder import Recorder
from gateway.web.request import HttpRequest, combine_headers
from gateway.web.responses import Reply, error_reply, error_response, respond
from gateway.web.socket_protocol import SocketEndpoint
from gateway.web.sockets import Socket, SocketService
from gateway.web.streams import StreamLimits, Streams
from gateway.web.webhooks import WEBHOOK_PATH, RecentPage, WebhookIntake

if TYPE_CHECKING:
    from gateway.callers.jwt import JwtVerifier
    from gateway.mcp.server import ToolServer
    from gateway.source.redis import RedisCache
    from gateway.source.worker_lease import WorkerLeases
    from gateway.web.telemetry import Telemetry
    from gateway.web.worker_metrics import WorkerMetrics

__all__ = ["create_app", "create_client", "load_settings", "open_account", "open_tools"]


def load_settings(environ: Mapping[str, str] = os.environ) -> tuple[Settings, dict[str, str]]:
    """Return the settings in `environ` and the trusted documents that they name, by id.

    Args:
        environ: Values by the names of the table `gateway.settings.SETTINGS`.

    Raises:
        SettingsError: With the problems of the settings and of the documents.
    """
    problems: list[str] = []
    settings = Settings.read(environ, problems)
    documents = _read_documents(settings, problems)
    if problems:
        raise SettingsError(problems)
    return settings, documents


def create_client(settings: Settings) -> Client:
    """Return a client of the Twilio account that the settings name; it is an async context manager."""
    origin = Origin(settings.upstream_url, settings.credentials, Timeouts(read=settings.upstream_timeout))
    return Client(origin, transport=_transport(settings.transport), concurrency=settings.upstream_concurrency)


def _transport(name: str) -> Callable[[Origin], Transport]:
    """Return the transport with that name; aiohttp, which takes 6 MB of memory, is imported only when it is asked for."""
    if name == "aiohttp":
        from gateway.twilio.aiohttp_transport import AiohttpTransport

        return AiohttpTransport
    return HttptoolsTransport


@asynccontextmanager
async def open_account(settings: Settings) -> AsyncIterator[Account]:
    """Open a Twilio account to run operations on, without HTTP; close it at the end of the block.

    Args:
        settings: The account, and the limits on operations. Those of callers, browsers and HTTP have no effect.

    Returns:
        An async context manager of an `Account`.

    Example:
        async with gateway.open_account(settings) as account:
            outcome = await account.run(gateway.Operation("{ services { edges { node { sid } } } }"))
            assert not outcome.failures
            print(outcome.data["services"]["edges"])
    """
    client, remote = create_client(settings), _remote_cache(settings)
    async with _open(client, remote):
        yield _account(settings, client, remote)


def create_app(
    settings: Settings,
    *,
    documents: Mapping[str, str] | None = None,
    any_host: bool = False,
    graphiql_variables: Mapping[str, str] | None = None,
    graphiql_user: str | None = None,
    graphiql_note: str | None = None,
    metrics_directory: Path | None = None,
    watch: Collection[str] = (),
) -> Starlette:
    """Create the gateway as an ASGI application.

    Its lifespan opens and closes the connections to Twilio. A server runs the lifespan; an application that the gateway is
    mounted in does not, and has to: see `receipts-gateway docs python`.

    Args:
        settings: The account to serve, and to whom.
        documents: The trusted documents by id; by default, those in the manifests of `settings.trusted_documents`.
        any_host: Without callers' tokens the gateway answers only to loopback names in `Host`, against DNS rebinding.
            True has it answer to any: for an application that authenticates its callers itself.
        graphiql_variables: Values of variables in GraphiQL's opening tabs, as those of the demo's sandbox.
        graphiql_user: curl's user, `name:secret`, in calls copied from GraphiQL. The page shows it to anyone, so only a
            sandbox's is suitable. By default, the names of the environment variables that hold the credentials.
        graphiql_note: Where webhooks come from, in a sentence that GraphiQL shows as long as there are none. By default,
            how to configure them at Twilio.
        metrics_directory: An empty directory that several processes with the same settings share, on Unix: `/metrics` of
            each then returns the sum over all. Only this user should be able to open it.
        watch: Conversations to poll for changes that no webhook reports, as `IS…/CH…`, every `settings.reconcile_seconds`.

    Returns:
        An application with the routes `/`, `/graphql`, `/graphiql`, `/metrics`, `/livez` and `/readyz`, and those of webhooks
        if `settings.webhook` is set.

    Raises:
        SettingsError: A manifest of trusted documents cannot be read, or a document does not fit the schema.

    Example:
        app = gateway.create_app(settings)
        async with app.router.lifespan_context(app):
            ...  # It answers requests until the end of the block.
    """
    if documents is None:
        documents = _trusted_documents(settings)
    client, remote = create_client(settings), _remote_cache(settings)
    account = _account(settings, client, remote)
    callers = Callers(settings.tokens, _verifier(settings.jwt))
    origins = Origins(settings.cors_origins)
    persisted = Documents(documents, trusted_only=settings.trusted_only)
    deliveries, publication = Deliveries(), account.publication
    deliveries.on_delivery = partial(publication.send, "delivery")
    publication.on_message("delivery", deliveries.receive)
    streams = Streams(callers, _stream_limits(settings))
    metrics = Metrics(account, client, deliveries, streams)
    webhooks = WebhookIntake(settings.webhook, publication.apply, deliveries, callers) if settings.webhook else None
    leases = _Leases(remote, metrics_directory)
    reconciliation = Reconciliation(
        account,
        publication.apply,
        seconds=settings.reconcile_seconds,
        messages=settings.reconcile_messages,
        leases=leases,
    )
    metrics.reconciliation = reconciliation
    for conversation in watch:
        service_sid, _, conversation_sid = conversation.partition("/")
        reconciliation.watch(f"Services/{service_sid}/Conversations/{conversation_sid}")
    polls = (bool(watch) or settings.subscriptions) and settings.reconcile_seconds > 0
    account.subscriptions.has_webhooks = webhooks is not None
    account.subscriptions.polling = reconciliation if polls else None
    workers = _worker_metrics(metrics, metrics_directory)
    telemetry = _telemetry(settings)
    admission = Admission(callers, any_host=any_host)
    recorder = Recorder(metrics, telemetry)
    endpoint = Endpoint(
        account,
        admission,
        origins,
        has_graphiql=settings.graphiql,
        documents=persisted,
        recorder=recorder,
        streams=streams,
    )
    sockets = SocketService(account, admission, origins, persisted, streams, recorder)

    tools = None
    if settings.mcp:
        tools = ToolsOnDemand(lambda texts: _tool_server(settings, account, texts, metrics.answered), documents)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            has_events = webhooks is not None or polls or settings.subscriptions
            channels = _channels(settings, publication, remote, metrics_directory) if has_events else nullcontext()
            polling = reconciliation if polls else nullcontext()
            serving_tools = tools.running() if tools is not None else nullcontext()
            async with _open(client, remote), workers or nullcontext(), channels, polling, serving_tools:
                app.is_open, app.loop = True, asyncio.get_running_loop()
                try:
                    yield
                finally:
                    streams.drain(0)
                    account.close_subscriptions(0)
        finally:
            app.is_open, app.loop = False, None
            leases.close()
            if telemetry is not None:
                telemetry.close()

    routes = [
        Route("/graphql", endpoint, methods=["GET", "POST"]),
        WebSocketRoute("/graphql", SocketEndpoint(sockets)),
        Route("/livez", live),
        Route("/readyz", ready),
        Route("/metrics", MetricsPage(metrics, admission, workers=workers).answer),
    ]
    if webhooks is not None:
        routes += [
            Route(WEBHOOK_PATH, webhooks, methods=["GET", "POST"]),
            Route("/webhooks/recent", RecentPage(deliveries, admission).answer),
        ]
    if tools is not None:
        routes.append(Route("/mcp", Guard(tools, admission, origins, CALLER), methods=["POST"]))
    if settings.graphiql:
        routes.append(Route("/", _redirect_to_graphiql))
        origin_shown = settings.upstream_url if graphiql_variables else None
        user = graphiql_user or _environment_user(settings.credentials)
        routes += TrustedPage(persisted, admission).routes
        changes = SourcesOfChanges(
            webhooks=webhooks is not None,
            subscriptions=settings.subscriptions,
            poll_seconds=whole_seconds(settings.reconcile_seconds) if settings.reconcile_seconds else None,
            note=graphiql_note,
        )
        routes += Graphiql(graphiql_variables, origin=origin_shown, user=user, changes=changes).routes
    middleware = [Middleware(CORSMiddleware, **_cors(origins))] if settings.cors_origins else []
    app = _Application(
        routes=routes, middleware=middleware, lifespan=lifespan, exception_handlers={HTTPException: _refuse}
    )
    app.endpoint, app.sockets, app.webhooks = endpoint, sockets, webhooks
    app.has_cors = bool(settings.cors_origins)
    app.router.redirect_slashes = False
    app.state.callers, app.state.documents, app.state.account = callers, persisted, account
    app.state.tools = tools
    app.state.webhooks, app.state.reconciliation, app.state.streams = webhooks, reconciliation, streams
    return app


@asynccontextmanager
async def open_tools(settings: Settings, documents: Mapping[str, str]) -> AsyncIterator[ToolServer]:
    """Open the tools for assistants, on a Twilio account of their own.

    `documents` are the trusted ones; without `settings.mcp`, there are tools of these, or of the shipped ones if
    there are none.
    """
    chosen = settings.mcp or frozenset({"trusted" if documents else "shipped"})
    async with open_account(settings) as account:
        yield _tool_server(replace(settings, mcp=chosen), account, documents)


def _tool_server(
    settings: Settings, account: Account, documents: Mapping[str, str], on_call: OnCall | None = None
) -> ToolServer:
    from gateway.mcp.server import ToolServer  # The SDK is an extra, and large.

    calls = ToolCalls(account, settings.mcp_budget, on_call)
    return ToolServer(calls, documents, sets=settings.mcp, body_max=BODY_MAX)


def _account(settings: Settings, client: Client, remote: RedisCache | None) -> Account:
    limits = Limits(
        deadline=settings.deadline,
        cost_max=settings.cost_max,
        cost_limit=settings.cost_limit,
        max_operations=settings.max_operations,
        caller_budget=settings.caller_budget,
    )
    return Account(
        client,
        limits,
        executor=shared_executor(introspection=settings.introspection),
        cache=MemoryCache(settings.cache_bytes),
        lifetimes=settings.lifetimes,
        remote=remote,
        history=History(settings.replay_events, settings.replay_seconds),
        subscription_limits=SubscriptionLimits(
            most=settings.subscriptions_max if settings.subscriptions else 0,
            per_caller=settings.caller_subscriptions,
            queue=settings.subscription_queue,
        ),
    )


def _stream_limits(settings: Settings) -> StreamLimits:
    return StreamLimits(
        heartbeat=settings.heartbeat_seconds,
        sockets=settings.sockets,
        sockets_per_second=settings.sockets_per_second,
        operations_per_socket=settings.socket_operations,
    )


@asynccontextmanager
async def _open(client: Client, remote: RedisCache | None) -> AsyncIterator[None]:
    """Open the connections of an account, and share its upstream slots with other processes over the remote cache."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(client)
        if remote is not None:
            await stack.enter_async_context(remote)
            stack.callback(asyncio.create_task(share_slots(client.limiter, remote)).cancel)
        yield


@asynccontextmanager
async def _channels(
    settings: Settings, publication: Publication, remote: RedisCache | None, directory: Path | None
) -> AsyncIterator[None]:
    """Open the channels to the other processes of the account: to the workers that share `directory`, and over Redis."""
    async with AsyncExitStack() as stack:
        if directory is not None:
            from gateway.source.worker_channel import WorkerChannel  # It needs Unix.

            workers = WorkerChannel(directory, publication.receive, publication.greeting)
            publication.add(await stack.enter_async_context(workers))
        if remote is not None:
            from gateway.source.redis_stream import RedisStream  # redis is an extra.

            stream = RedisStream(settings.cache_url, _tenant(settings), publication)
            publication.add(await stack.enter_async_context(stream))
            remote.position = stream.position
        yield


def _trusted_documents(settings: Settings) -> dict[str, str]:
    """Return the trusted documents by id; raises `SettingsError`."""
    problems: list[str] = []
    documents = _read_documents(settings, problems)
    if problems:
        raise SettingsError(problems)
    return documents


def _read_documents(settings: Settings, problems: list[str]) -> dict[str, str]:
    """Return the trusted documents by id; a line for each problem is appended to `problems`."""
    if not settings.trusted_documents:
        return {}
    found: list[str] = []
    documents = read_manifests(settings.trusted_documents, found, introspection=settings.introspection)
    problems += [f"GATEWAY_TRUSTED_DOCUMENTS: {problem}" for problem in found]
    return documents


def _environment_user(credentials: Credentials) -> str:
    """Return curl's user as the names of the environment variables for credentials of this kind."""
    if credentials.username.startswith("SK"):
        return "$TWILIO_API_KEY:$TWILIO_API_SECRET"
    return "$TWILIO_ACCOUNT_SID:$TWILIO_AUTH_TOKEN"


def _telemetry(settings: Settings) -> Telemetry | None:
    if not settings.traces:
        return None
    from gateway.web.telemetry import Telemetry  # OpenTelemetry is an extra.

    return Telemetry(upstream_url=settings.upstream_url)


def _worker_metrics(metrics: Metrics, directory: Path | None) -> WorkerMetrics | None:
    if directory is None:
        return None
    from gateway.web.worker_metrics import WorkerMetrics  # It needs Unix.

    return WorkerMetrics(directory, metrics.registry.collect)


def _remote_cache(settings: Settings) -> RedisCache | None:
    """Return the cache that processes share, if there is one."""
    if settings.cache_url == "memory://":
        return None
    from gateway.source.redis import RedisCache  # redis is an extra.

    secret = sha256(f"names in keys {settings.credentials.secret}".encode()).digest()
    return RedisCache(settings.cache_url, _tenant(settings), secret=secret)


class _Leases:
    """Leases on polling: each of one worker of this machine, and of one machine over Redis."""

    def __init__(self, remote: RedisCache | None, directory: Path | None) -> None:
        self._remote = remote
        self._workers: WorkerLeases | None = None
        if directory is not None:
            from gateway.source.worker_lease import WorkerLeases  # It needs Unix.

            self._workers = WorkerLeases(directory)

    async def acquire(self, name: str, seconds: float) -> bool:
        """Return whether this process has the lease for the next `seconds`."""
        if self._workers is not None and not self._workers.acquire(name):
            return False
        return self._remote is None or await self._remote.lease(name, seconds)

    def release(self, name: str) -> None:
        """Let another process have the lease."""
        if self._workers is not None:
            self._workers.release(name)
        if self._remote is not None:
            self._remote.release(name)

    def close(self) -> None:
        """Let other workers have all leases."""
        if self._workers is not None:
            self._workers.close()


def _tenant(settings: Settings) -> str:
    """Return the prefix of an account's keys in Redis: a hash of the account and its rights."""
    credentials = settings.credentials
    tenant = f"{settings.upstream_url} {credentials.username} {credentials.secret}"
    return sha256(tenant.encode()).hexdigest()[:32]


_NOT_STARTED = (
    "The lifespan of the gateway's application is not running. An application that it is mounted in must run it within "
    "its own: async with app.router.lifespan_context(app). See: receipts-gateway docs python"
)


class _Application(Starlette):
    """Starlette, with a direct way to the endpoint for requests that need none of the middleware."""

    endpoint: Endpoint
    sockets: SocketService
    webhooks: WebhookIntake | None = None
    has_cors = False
    is_open = False
    """Whether its lifespan is running."""
    loop: asyncio.AbstractEventLoop | None = None
    """The event loop of the lifespan, while it is running."""

    def begin_drain(self, seconds: float) -> None:
        """Answer `/readyz` with 503 from here on, since the server is about to stop, and end streams within `seconds`."""
        self.state.is_draining = True
        self.state.streams.drain(seconds)

    def open_socket(self, request: HttpRequest) -> Socket | Reply:
        """Return the WebSocket for an upgrade request, or the reply that refuses it."""
        if request.path == "/graphql" and self.is_open:
            return self.sockets.open(request)
        reply = error_reply(BadRequest("There is no WebSocket here: it is at /graphql.", status=404))
        reply.request_id = request.id
        return reply

    def replace_tokens(self, tokens: Mapping[str, Token]) -> None:
        """Accept these tokens of callers in place of the earlier ones, and end subscriptions to services that were taken away.

        It may be called from any thread.
        """
        self.state.callers.replace(tokens)
        services = {name: token.services for name, token in tokens.items()}
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self.state.account.subscriptions.check_rights, services.get)

    def start(self, request: HttpRequest) -> Reply | PendingReply | None:
        """Return what the endpoint does (see its `start`), or the intake of webhooks.

        None for a request to another route, or one that needs CORS.
        """
        if request.method not in {"GET", "POST"} or (self.has_cors and "origin" in request.headers):
            return None
        if request.path == "/graphql":
            return self.endpoint.start(request)
        return self.webhooks.start(request) if self.webhooks is not None and request.path == WEBHOOK_PATH else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or the lifespan, through ASGI; reply with 500 when the lifespan is not running."""
        if scope["type"] == "http" and not self.is_open:
            structlog.get_logger("gateway").error("not started", hint=_NOT_STARTED)
            refusal = InternalError("The gateway has not been started. Its log says how to start it.")
            await error_response(refusal, uuid4().hex)(scope, receive, send)
            return
        started = self.start(HttpRequest.from_asgi(scope, receive)) if scope["type"] == "http" else None
        if started is not None:
            await respond(started, send)
        else:
            if scope["type"] == "http":
                scope = {**scope, "headers": combine_headers(scope["headers"])}
            await super().__call__(scope, receive, send)


def _verifier(settings: JwtSettings | None) -> JwtVerifier | None:
    if settings is None:
        return None
    from gateway.callers.jwt import JwtVerifier, KeySet  # PyJWT is an extra.

    return JwtVerifier(
        KeySet(settings.jwks_url) if settings.jwks_url else settings.key or "",
        issuer=settings.issuer,
        audience=settings.audience,
        algorithms=settings.algorithms,
        services_claim=settings.services_claim,
    )


def _cors(origins: Origins) -> dict[str, Any]:
    return {
        "allow_origin_regex": origins.pattern,
        "allow_methods": ["GET", "HEAD", "POST"],
        "allow_headers": [
            "*"
        ],  # Those that a preflight names. Without cookies, a page has no right that it does not bring along.
        "expose_headers": ["ETag", "Gateway-Budget", "Gateway-Cost", "X-Request-Id", "Retry-After"],
        "max_age": 600,
    }


async def _redirect_to_graphiql(request: Request) -> Response:
    """Redirect a browser to GraphiQL; raise 404 for other clients."""
    if not prefers_html(request.headers.get("accept")):
        raise HTTPException(404)
    return RedirectResponse("graphiql", 303, headers={**SECURITY_HEADERS, "Vary": "Accept"})


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    prefix = request.scope.get("root_path", "")
    messages = {
        404: f"There is nothing here. GraphQL is at {prefix}/graphql, GraphiQL at {prefix}/graphiql.",
        405: f"This method is not served here. GraphQL requests are POST or GET requests to {prefix}/graphql.",
    }
    if request.method in {"PUT", "DELETE"}:
        messages[405] += f" {SINGLE_CONNECTION}"
    refusal = BadRequest(messages.get(error.status_code, "The request cannot be served."), status=error.status_code)
    response = error_response(refusal, uuid4().hex)
    response.headers.update(error.headers or {})
    return response

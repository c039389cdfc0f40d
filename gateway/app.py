"""The application: everything is put together here, top to bottom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.accounts.account import Account
from gateway.accounts.limits import Limits
from gateway.callers.callers import Callers
from gateway.errors import BadRequest
from gateway.execution.executor import Executor
from gateway.graph.schema import make_schema
from gateway.settings import JwtSettings, Settings
from gateway.source.memory import MemoryCache
from gateway.source.slots import share_slots
from gateway.twilio.aiohttp_transport import AiohttpTransport
from gateway.twilio.client import Client
from gateway.twilio.httptools_transport import HttptoolsTransport
from gateway.twilio.transport import Origin, Timeouts, Transport
from gateway.web.browsers import Origins
from gateway.web.documents import Documents
from gateway.web.endpoint import Endpoint
from gateway.web.graphiql import Graphiql
from gateway.web.health import live, ready
from gateway.web.http_protocol import Headers
from gateway.web.metrics import Metrics, MetricsPage
from gateway.web.responses import error_response

if TYPE_CHECKING:
    from gateway.callers.jwt import JwtVerifier
    from gateway.source.redis import RedisCache
    from gateway.web.telemetry import Telemetry

__all__ = ["create_app", "create_client"]

_TRANSPORTS: dict[str, Callable[[Origin], Transport]] = {"lean": HttptoolsTransport, "aiohttp": AiohttpTransport}


def create_client(settings: Settings) -> Client:
    """The client for the account that the settings name."""
    origin = Origin(settings.upstream_url, settings.credentials, Timeouts(read=settings.upstream_timeout))
    return Client(origin, transport=_TRANSPORTS[settings.transport], concurrency=settings.upstream_concurrency)


def create_app(settings: Settings, *, any_host: bool = False, known: Mapping[str, str] | None = None) -> Starlette:
    """The gateway as an ASGI application.

    Without callers' tokens it answers only to this machine's own names, unless it is meant for `any_host`. GraphiQL's
    opening tabs use the values of variables that are `known`, as those of the demo's sandbox.
    """
    client = create_client(settings)
    limits = Limits(
        deadline=settings.deadline,
        cost_max=settings.cost_max,
        cost_limit=settings.cost_limit,
        max_operations=settings.queue,
        caller_budget=settings.caller_budget,
    )
    remote = _remote_cache(settings)
    account = Account(
        client,
        limits,
        executor=Executor(make_schema(), introspection=settings.introspection),
        cache=MemoryCache(settings.cache_bytes),
        lifetimes=settings.lifetimes,
        remote=remote,
    )
    callers = Callers(settings.tokens, _verifier(settings.jwt))
    origins = Origins(settings.cors_origins)
    documents = Documents(settings.trusted_documents, trusted_only=settings.trusted_only)
    metrics = Metrics(account, client)
    telemetry = _telemetry(settings)
    endpoint = Endpoint(
        account,
        callers,
        origins,
        has_graphiql=settings.graphiql,
        documents=documents,
        any_host=any_host,
        metrics=metrics,
        telemetry=telemetry,
    )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if telemetry is not None:
                stack.callback(telemetry.close)
            await stack.enter_async_context(client)
            if remote is not None:
                await stack.enter_async_context(remote)
                stack.callback(asyncio.create_task(share_slots(client.limiter, remote)).cancel)
            yield

    routes = [
        Route("/graphql", endpoint, methods=["GET", "POST"]),
        Route("/livez", live),
        Route("/readyz", ready),
        Route("/metrics", MetricsPage(metrics, callers, any_host=any_host).answer),
    ]
    if settings.graphiql:
        routes += Graphiql(known, settings.upstream_url if known else None).routes
    middleware = [Middleware(CORSMiddleware, **_cors(origins))] if settings.cors_origins else []
    app = _Application(
        routes=routes, middleware=middleware, lifespan=lifespan, exception_handlers={HTTPException: _refuse}
    )
    app.endpoint, app.has_cors = endpoint, bool(settings.cors_origins)
    app.router.redirect_slashes = False
    app.state.callers, app.state.documents, app.state.account = callers, documents, account
    return app


def _telemetry(settings: Settings) -> Telemetry | None:
    if not settings.traces:
        return None
    from gateway.web.telemetry import Telemetry  # OpenTelemetry is an extra.

    return Telemetry()


def _remote_cache(settings: Settings) -> RedisCache | None:
    """The cache that is shared with other processes, if any. Its keys begin with what tells the account and its rights."""
    if settings.cache_url == "memory://":
        return None
    from gateway.source.redis import RedisCache  # redis is an extra.

    credentials = settings.credentials
    tenant = f"{settings.upstream_url} {credentials.username} {credentials.secret}"
    return RedisCache(settings.cache_url, sha256(tenant.encode()).hexdigest()[:32])


class _Application(Starlette):
    """Starlette, with ways to the endpoint that pass by what only other requests need."""

    endpoint: Endpoint
    has_cors = False

    def at_once(
        self, method: bytes, target: bytes, headers: Headers, body: bytes, extensions: dict[str, Any]
    ) -> bytes | None:
        """The answer to a request whose answer is known: see `gateway.web.http_protocol.AtOnce`."""
        if method != b"POST" or target != b"/graphql" or self._is_for_cors(headers):
            return None
        return self.endpoint.at_once(headers, body, extensions)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        is_plain = (
            scope["type"] == "http"
            and scope["path"] == "/graphql"
            and scope["method"] in {"GET", "POST"}
            and not self._is_for_cors(scope["headers"])
        )
        await (self.endpoint if is_plain else super().__call__)(scope, receive, send)

    def _is_for_cors(self, headers: Headers) -> bool:
        return self.has_cors and any(name == b"origin" for name, _ in headers)


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
        "allow_methods": ["GET", "POST"],
        "allow_headers": [
            "Authorization",
            "Cache-Control",
            "Content-Type",
            "If-None-Match",
            "Apollo-Require-Preflight",
            "X-Gateway-Timeout",
            "X-Gateway-Trace",
            "X-Gateway-Dry-Run",
        ],
        "expose_headers": ["ETag", "Gateway-Budget", "Gateway-Cost", "X-Request-Id", "Retry-After"],
        "max_age": 600,
    }


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {
        404: "There is nothing here. GraphQL is at /graphql, GraphiQL at /graphiql.",
        405: "This method is not served here. GraphQL requests are POST or GET requests to /graphql.",
    }
    refusal = BadRequest(words.get(error.status_code, "The request cannot be served."), status=error.status_code)
    response = error_response(refusal, uuid4().hex)
    response.headers.update(error.headers or {})
    return response

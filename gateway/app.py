"""The application: everything is put together here, top to bottom."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.errors import BadRequest
from gateway.graph.operations import Operations
from gateway.settings import Settings
from gateway.twilio.client import Client, Timeouts
from gateway.web.auth import Callers
from gateway.web.endpoint import Endpoint
from gateway.web.graphiql import graphiql
from gateway.web.health import live, ready
from gateway.web.responses import error_response

__all__ = ["create_app", "create_client"]


def create_client(settings: Settings) -> Client:
    """The client for the account that the settings name."""
    return Client(
        settings.upstream_url,
        settings.credentials,
        concurrency=settings.upstream_concurrency,
        timeouts=Timeouts(read=settings.upstream_timeout),
    )


def create_app(settings: Settings) -> Starlette:
    """The gateway as an ASGI application."""
    client = create_client(settings)
    operations = Operations(client, deadline=settings.deadline)
    endpoint = Endpoint(operations, Callers(settings.tokens))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with client:
            yield

    routes = [
        Route("/graphql", endpoint.answer, methods=["POST"]),
        Route("/livez", live),
        Route("/readyz", ready),
    ]
    if settings.graphiql:
        routes.append(Route("/graphiql", graphiql))
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _refuse})


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {
        404: "There is nothing here. GraphQL is at /graphql, GraphiQL at /graphiql.",
        405: "This method is not served here. GraphQL requests are POST requests to /graphql.",
    }
    response = error_response(
        BadRequest(words.get(error.status_code, "The request cannot be served.")), uuid4().hex, status=error.status_code
    )
    response.headers.update(error.headers or {})
    return response

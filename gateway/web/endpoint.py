"""The GraphQL endpoint: from an HTTP request to an operation, and back, with one line in the log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Container
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import quote, urlencode
from uuid import uuid4

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from structlog.contextvars import bind_contextvars

from gateway.errors import BadRequest, GatewayError, InternalError, UpstreamError
from gateway.execution.failures import mask
from gateway.execution.operation import Outcome
from gateway.graph.operations import Operations
from gateway.web.auth import Caller, Callers
from gateway.web.browsers import HEADERS, check_get, check_host
from gateway.web.protocol import (
    BODY_MAX,
    JSON,
    GraphQLRequest,
    check_post_head,
    prefers_html,
    read_get,
    read_post,
    response_type,
    too_large,
)
from gateway.web.responses import error_response, outcome_response

__all__ = ["Endpoint"]

_logger = structlog.get_logger("gateway")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Answers GET and POST requests with GraphQL answers."""

    operations: Operations
    callers: Callers
    origins: Container[str] = field(default_factory=frozenset)
    """The sites whose pages may ask."""
    has_graphiql: bool = True
    any_host: bool = False
    """Whether it answers, without tokens, to other names than this machine's own."""

    async def answer(self, request: Request) -> Response:
        """The response to one request: JSON with a request id, whatever happens, but for a browser that is led to the page."""
        request_id, began, media_type = uuid4().hex, time.perf_counter(), JSON
        bind_contextvars(request_id=request_id)  # Every line that is logged below has it.
        try:
            if request.method == "GET" and self.has_graphiql and prefers_html(request.headers.get("accept")):
                return _to_graphiql(request, request_id)
            media_type = response_type(request.headers.get("accept"))
            if not self.callers.are_asked and not self.any_host:
                check_host(request.headers.get("host"))
            caller = await self.callers.identify(request.headers.get("authorization"))
            asked = await self._read(request)
            outcome = await self._run(request, asked, caller)
        except GatewayError as error:
            _logger.info("refused", code=error.code, status=error.http_status)
            return error_response(error, request_id, media_type)
        except ClientDisconnect:
            _logger.info("client left", ms=_milliseconds(began))
            return Response(status_code=499)
        except Exception as error:
            return error_response(mask(error), request_id, media_type)
        _log(outcome, asked, caller, _milliseconds(began))
        return outcome_response(outcome, media_type, request_id)

    async def _read(self, request: Request) -> GraphQLRequest:
        if request.method != "POST":
            check_get(request.headers, self.origins)
            return read_get(request.scope["query_string"])
        content_type, encoding = request.headers.get("content-type"), request.headers.get("content-encoding")
        check_post_head(content_type, encoding)
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_MAX:
                raise too_large()
        return read_post(content_type, encoding, bytes(body))

    async def _run(self, request: Request, asked: GraphQLRequest, caller: Caller) -> Outcome:
        """Run the operation; if the client leaves before it is done, end it, and with it the reads it waits for."""
        operation = asyncio.create_task(
            self.operations.run(
                asked.query,
                variables=asked.variables,
                operation_name=asked.operation_name,
                fresh="no-cache" in request.headers.get("cache-control", "").lower(),
                services=caller.services,
                trace=request.headers.get("x-gateway-trace") == "1",
                dry_run=request.headers.get("x-gateway-dry-run") == "1",
            )
        )
        leaving = asyncio.create_task(_left(request))
        try:
            await asyncio.wait({operation, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not operation.done():
                raise ClientDisconnect
            return operation.result()
        finally:
            operation.cancel()
            leaving.cancel()
            await asyncio.gather(operation, leaving, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _to_graphiql(request: Request, request_id: str) -> Response:
    """A browser that was led to the endpoint is shown the page, with the query it was led to."""
    try:
        asked = read_get(request.scope["query_string"])
        page = f"graphiql?{urlencode({'q': asked.query}, quote_via=quote)}"
    except BadRequest:
        page = "graphiql"
    return RedirectResponse(page, 303, {**HEADERS, "X-Request-Id": request_id})


def _milliseconds(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 1)


def _log(outcome: Outcome, asked: GraphQLRequest, caller: Caller, ms: float) -> None:
    errors = [failure.error for failure in outcome.failures]
    ours = any(isinstance(error, UpstreamError | InternalError) for error in errors)
    (_logger.warning if ours else _logger.info)(
        "operation",
        caller=caller.name,
        name=outcome.operation,
        document=sha256(asked.query.encode("utf-8", "surrogatepass")).hexdigest()[:16],
        calls=outcome.calls,
        ms=ms,
        outcome=errors[0].code if errors else "ok",
        errors=len(errors),
    )

"""The GraphQL endpoint: from an HTTP request to an operation, and back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gateway.errors import BadRequest, GatewayError
from gateway.execution.failures import mask
from gateway.execution.operation import Outcome
from gateway.graph.operations import Operations
from gateway.web.auth import Callers
from gateway.web.responses import error_response, outcome_response

__all__ = ["Endpoint"]

_BODY_MAX = 256 * 2**10


class _Body(msgspec.Struct):
    """A GraphQL request (https://graphql.github.io/graphql-over-http/draft/#sec-Request-Parameters)."""

    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = msgspec.field(name="operationName", default=None)
    extensions: dict[str, Any] | None = None


_body_decoder = msgspec.json.Decoder(_Body)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Answers POST requests with GraphQL answers."""

    operations: Operations
    callers: Callers

    async def answer(self, request: Request) -> Response:
        """The response to one request; whatever happens, it is JSON and has a request id."""
        request_id = uuid4().hex
        try:
            self.callers.name(request.headers.get("authorization"))
            body = await _read(request)
            fresh = "no-cache" in request.headers.get("cache-control", "").lower()
            outcome = await self._run(request, body, fresh)
        except GatewayError as error:
            return error_response(error, request_id)
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception as error:
            return error_response(mask(error), request_id)
        return outcome_response(outcome, request_id)

    async def _run(self, request: Request, body: _Body, fresh: bool) -> Outcome:
        """Run the operation; if the client leaves before it is done, end it, and with it the reads it waits for."""
        operation = asyncio.create_task(
            self.operations.run(body.query, variables=body.variables, operation_name=body.operation_name, fresh=fresh)
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


async def _read(request: Request) -> _Body:
    """The GraphQL request in the HTTP request; raises `BadRequest`."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise BadRequest("Send the request as JSON, with `Content-Type: application/json`.")
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > _BODY_MAX:
            raise BadRequest(f"The request is larger than {_BODY_MAX} bytes.")
    try:
        return _body_decoder.decode(content)
    except msgspec.ValidationError:
        raise BadRequest(
            "Expected an object with `query` (text), and `variables` (an object) and `operationName` (text) if needed."
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        raise BadRequest("The request's body is not JSON.") from None

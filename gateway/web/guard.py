"""The same checks as `/graphql` has, before another ASGI application: `Host`, `Origin` and the caller's token."""

from __future__ import annotations

import asyncio
from collections.abc import Container
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import GatewayError
from gateway.log import REQUEST_ID
from gateway.web.admission import Admission
from gateway.web.browsers import SECURITY_HEADERS, check_origin
from gateway.web.connection import AsgiConnection
from gateway.web.responses import encode_headers, error_response

__all__ = ["Guard"]

_HEADERS = encode_headers(SECURITY_HEADERS)


class Guard:
    """Passes the requests of known callers on to an ASGI application; others are answered with 401 or 403."""

    def __init__(self, app: ASGIApp, admission: Admission, origins: Container[str], caller_key: str) -> None:
        """Guard `app`, which finds the caller in the scope under `caller_key`. Pages of `origins` may send requests."""
        self._app = app
        self._admission = admission
        self._origins = origins
        self._caller_key = caller_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request, and pass it on with its caller. Its work is cancelled when the client disconnects."""
        request_id, headers = uuid4().hex, Headers(scope=scope)
        try:
            check_origin(headers, self._origins)
            caller = await self._admission.caller(headers)
        except GatewayError as error:
            await error_response(error, request_id)(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [header for header in message["headers"] if header[0].lower() != b"cache-control"]
                message = {**message, "headers": [*own, *_HEADERS, (b"x-request-id", request_id.encode())]}
            await send(message)

        task, connection = asyncio.current_task(), AsgiConnection(receive)
        assert task is not None

        async def receive_and_watch() -> Message:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                connection.watch(task.cancel)
            return message

        token = REQUEST_ID.set(request_id)
        try:
            await self._app({**scope, self._caller_key: caller}, receive_and_watch, send_with_headers)
        except asyncio.CancelledError:
            if not connection.closed or task.uncancel() > 0:
                raise
        finally:
            connection.unwatch()
            REQUEST_ID.reset(token)

"""The GraphQL endpoint: from an HTTP request to an operation, and back, with one line in the log.

It speaks ASGI itself (https://asgi.readthedocs.io/en/latest/specs/www.html): with a framework's requests and responses in
between, a small operation would take half as long again.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Container, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import structlog
from starlette.types import Receive, Scope, Send

from gateway.accounts.account import Account
from gateway.accounts.operation import Operation
from gateway.callers.callers import Caller, Callers
from gateway.errors import BadRequest, GatewayError, InternalError, UpstreamError
from gateway.execution.failures import mask
from gateway.execution.outcome import Outcome
from gateway.log import REQUEST_ID
from gateway.twilio.client import AttemptListener
from gateway.web.browsers import check_get, check_host
from gateway.web.caching import let_keep
from gateway.web.compression import compress, compress_at_once
from gateway.web.documents import Documents
from gateway.web.graphql_over_http import (
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
from gateway.web.http_protocol import Headers, Peer, peer_of
from gateway.web.incremental import Stream, delivery_for
from gateway.web.metrics import Metrics
from gateway.web.responses import Reply, error_reply, outcome_reply, redirect

if TYPE_CHECKING:
    from gateway.web.telemetry import Recording, Telemetry

__all__ = ["Endpoint"]

_LOOKED_AT = "receipts_gateway.looked_at"
_OUT_OF_THE_ORDINARY = {"cache-control", "x-gateway-trace", "x-gateway-dry-run", "x-gateway-timeout"}
"""Headers that may ask for more than the answer, or for another one."""


@dataclass(slots=True)
class _Asked:
    """What a request asks, and who asks it."""

    headers: Mapping[str, str]
    caller: Caller
    request: GraphQLRequest
    document: str
    digest: str | None
    """The hash to remember the document by once it was carried out."""


class Endpoint:
    """Answers GET and POST requests with GraphQL answers; an ASGI application."""

    def __init__(
        self,
        account: Account,
        callers: Callers,
        origins: Container[str] = frozenset(),
        *,
        has_graphiql: bool = True,
        documents: Documents | None = None,
        any_host: bool = False,
        metrics: Metrics | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        """Take what carries out operations, who may ask, the sites whose pages may, and the documents that have names.

        Without tokens it answers to this machine's own names only, unless it is meant for `any_host`. What it does is told to
        `metrics`, and to `telemetry`.
        """
        self._account = account
        self._callers = callers
        self._origins = origins
        self._documents = documents or Documents()
        self._has_graphiql = has_graphiql
        self._any_host = any_host
        self._metrics = metrics
        self._telemetry = telemetry
        self._logger = structlog.get_logger("gateway").bind()  # Bound once: to look it up anew is dearer than the line.

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: JSON with a request id, whatever happens, but for a browser that is led to the page."""
        request_id = _new_id()
        REQUEST_ID.set(request_id)
        looked_at: _Asked | None = scope.get("extensions", {}).get(_LOOKED_AT)
        headers = looked_at.headers if looked_at is not None else _decoded(scope["headers"])
        try:
            reply = await self._reply(scope, headers, receive, send, request_id, looked_at)
        except _ClientLeft:
            return
        if reply is None:
            return
        await compress(reply, headers.get("accept-encoding"))
        await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers(request_id)})
        await send({"type": "http.response.body", "body": reply.body})

    def at_once(self, raw: Headers, body: bytes, extensions: dict[str, Any]) -> bytes | None:
        """The response to a POST, from the line behind its status on, when all is known; None, and nothing done, for others.

        What is refused, what asks for anything out of the ordinary, and what is to be waited for is left to `__call__`, which
        finds in the scope's `extensions` what was read here.
        """
        if not self._account.caches_answers or self._telemetry is not None:
            return None
        began, headers = time.perf_counter(), _decoded(raw)
        if not headers.keys().isdisjoint(_OUT_OF_THE_ORDINARY):
            return None
        try:
            asked = self._look(headers, body)
            if asked is None:
                return None
            extensions[_LOOKED_AT] = asked
            media_type = response_type(headers.get("accept"))
            outcome = self._account.start(_operation(asked))
            if not isinstance(outcome, Outcome):
                outcome.close()
                return None
        except GatewayError:
            return None
        reply = outcome_reply(outcome, media_type)
        if not compress_at_once(reply, headers.get("accept-encoding")):
            return None
        if asked.digest is not None:
            self._documents.remember(asked.digest, asked.document)
        request_id = _new_id()
        token = REQUEST_ID.set(request_id)
        self._tell(outcome, asked.caller, began)
        REQUEST_ID.reset(token)
        return reply.as_bytes(request_id)

    def _look(self, headers: Mapping[str, str], body: bytes) -> _Asked | None:
        """What a POST asks, where that can be told at once and it is answered whole; raises `GatewayError`."""
        self._check_host(headers)
        caller = self._callers.identify(headers.get("authorization"))
        delivery = delivery_for(headers.get("accept"))
        if not isinstance(caller, Caller) or (delivery is not None and delivery.is_for_all):
            return None
        check_post_head(headers.get("content-type"), headers.get("content-encoding"))
        asked = self._find(headers, caller, read_post(body))
        return asked if delivery is None or "defer" not in asked.document else None

    def _find(self, headers: Mapping[str, str], caller: Caller, request: GraphQLRequest) -> _Asked:
        document, digest = self._documents.find(request)
        return _Asked(headers, caller, request, document, digest)

    def _check_host(self, headers: Mapping[str, str]) -> None:
        if not self._callers.require_token and not self._any_host:
            check_host(headers.get("host"))

    async def _reply(
        self,
        scope: Scope,
        headers: Mapping[str, str],
        receive: Receive,
        send: Send,
        request_id: str,
        asked: _Asked | None,
    ) -> Reply | None:
        """The response; none when it has been sent, part by part."""
        began, media_type = time.perf_counter(), JSON
        recording = self._telemetry.begin(headers) if self._telemetry is not None else None
        code, name, calls = "CLIENT_LEFT", None, 0
        is_post, accept = scope["method"] == "POST", headers.get("accept")
        stream: Stream | None = None
        try:
            if not is_post and self._has_graphiql and prefers_html(accept):
                return _to_graphiql(scope["query_string"])
            delivery = delivery_for(accept)
            stream = Stream(delivery, send, request_id) if delivery is not None else None
            if stream is None or not stream.is_for_all:
                media_type = response_type(accept)
            if asked is None:
                self._check_host(headers)
                identified = self._callers.identify(headers.get("authorization"))
                caller = identified if isinstance(identified, Caller) else await identified
                if is_post:
                    request = await _read_post(headers, receive)
                else:
                    check_get(headers, self._origins)
                    request = read_get(scope["query_string"])
                asked = self._find(headers, caller, request)
            outcome = await self._run(asked, peer_of(scope), request_id, recording, stream)
            if stream is not None and stream.is_for_all and not stream.has_begun:
                await stream.deliver_whole(outcome)
            if asked.digest is not None and outcome.executed:
                self._documents.remember(asked.digest, asked.document)
            code, name, calls = outcome.code, outcome.operation, outcome.calls
        except GatewayError as error:
            code, reply = error.code, error_reply(error, media_type)
            self._logger.info("refused", code=code, status=reply.status)
            if self._metrics is not None:
                self._metrics.refused(code)
            return reply
        except _ClientLeft:
            self._logger.info("client left", ms=_milliseconds(began))
            raise
        except Exception as error:
            masked = mask(error)
            code = masked.code
            if stream is not None and stream.has_begun:
                return None  # The connection is closed on an answer that has not come to its end: clients see that.
            return error_reply(masked, media_type)
        finally:
            if recording is not None:
                recording.end(name, code, calls)
        self._tell(outcome, asked.caller, began)
        if stream is not None and stream.has_begun:
            return None
        reply = outcome_reply(outcome, media_type)
        return reply if is_post else let_keep(reply, outcome, headers.get("if-none-match"))

    async def _run(
        self,
        asked: _Asked,
        peer: Peer,
        request_id: str,
        recording: Recording | None,
        stream: Stream | None,
    ) -> Outcome:
        """Run the operation; if the client leaves before it is done, end it, and with it the reads it waits for.

        What it defers goes into the `stream` of a client that takes parts.
        """
        task = asyncio.current_task()
        assert task is not None
        if peer.has_left:
            raise _ClientLeft

        def leave() -> None:
            if stream is None or not stream.has_ended:  # One that has all it asked for may leave.
                task.cancel()

        peer.on_leave = leave
        try:
            defer = stream is not None and "defer" in asked.document
            operation = _operation(
                asked, request_id, defer=defer, on_attempt=recording.call if recording is not None else None
            )
            outcome = await self._account.run(operation)
            if stream is not None and outcome.subsequent is not None:
                async with aclosing(outcome.subsequent) as payloads:
                    await stream.deliver(outcome)
                    async for payload in payloads:
                        await stream.deliver(payload)
            return outcome
        except asyncio.CancelledError:
            if peer.has_left and task.uncancel() == 0:
                raise _ClientLeft from None
            raise
        finally:
            if peer.on_leave is leave:  # And not that of the next request.
                peer.on_leave = None

    def _tell(self, outcome: Outcome, caller: Caller, began: float) -> None:
        """Tell the log and the metrics that an operation was answered."""
        is_ours = outcome.failures and any(
            isinstance(failure.error, UpstreamError | InternalError) for failure in outcome.failures
        )
        (self._logger.warning if is_ours else self._logger.info)(
            "operation",
            caller=caller.name,
            name=outcome.operation,
            document=outcome.document,
            calls=outcome.calls,
            ms=_milliseconds(began),
            outcome=outcome.code,
            errors=len(outcome.failures),
            **({"shared_with": outcome.shared_with} if outcome.shared_with is not None else {}),
        )
        if self._metrics is not None:
            self._metrics.answered(outcome.operation, outcome.code, time.perf_counter() - began)


def _operation(
    asked: _Asked, request_id: str = "", *, defer: bool = False, on_attempt: AttemptListener | None = None
) -> Operation:
    """The operation that a request asks for; raises `BadRequest` for a header that cannot be read."""
    headers, caller, request = asked.headers, asked.caller, asked.request
    return Operation(
        document=asked.document,
        variables=request.variables,
        name=request.operation_name,
        caller=caller.name,
        services=caller.services,
        no_cache="no-cache" in headers.get("cache-control", "").lower(),
        timeout=_timeout(headers.get("x-gateway-timeout")),
        trace=headers.get("x-gateway-trace") == "1",
        dry_run=headers.get("x-gateway-dry-run") == "1",
        defer=defer,
        request_id=request_id,
        on_attempt=on_attempt,
    )


def _new_id() -> str:
    """An id for a request. It tells requests apart and is no secret, so that nobody has to ask the system for randomness."""
    return f"{random.getrandbits(128):032x}"


def _decoded(headers: Headers) -> dict[str, str]:
    """The headers by their names, in lower case; of one that comes twice, the first counts."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(headers)}


class _ClientLeft(Exception):
    """There is nobody to answer."""


async def _read_post(headers: Mapping[str, str], receive: Receive) -> GraphQLRequest:
    content_type, encoding = headers.get("content-type"), headers.get("content-encoding")
    check_post_head(content_type, encoding)
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _ClientLeft
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > BODY_MAX:
            raise too_large()
    return read_post(body)


def _timeout(text: str | None) -> float | None:
    """The seconds that a request gives its operation; more than the gateway's own deadline changes nothing."""
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text) or not float(text):
        raise BadRequest("`X-Gateway-Timeout` must be a number of seconds above 0, such as 2.5.")
    return float(text)


def _to_graphiql(query_string: bytes) -> Reply:
    """A browser that was led to the endpoint is shown the page, with the query it was led to."""
    try:
        query = read_get(query_string).query
    except BadRequest:
        query = None
    return redirect("graphiql" if query is None else f"graphiql?{urlencode({'q': query}, quote_via=quote)}")


def _milliseconds(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 1)

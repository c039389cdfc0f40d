"""The GraphQL endpoint: from an HTTP request to an operation, and from its outcome to a reply.

It reads requests and writes replies itself: a framework's classes would take half as long as a small operation.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Container
from urllib.parse import quote, urlencode

from starlette.types import Receive, Scope, Send

from gateway.accounts.account import Account
from gateway.accounts.operation import Operation
from gateway.callers.callers import Caller, Callers
from gateway.errors import BadRequest, GatewayError
from gateway.execution.failures import mask
from gateway.execution.outcome import Outcome
from gateway.web.admission import Admission
from gateway.web.browsers import check_get
from gateway.web.caching import add_cache_headers
from gateway.web.compression import compress
from gateway.web.connection import ClientDisconnected
from gateway.web.documents import Documents
from gateway.web.events import SERVER_SENT_EVENTS, SINGLE_CONNECTION, SubscriptionReply, event_format, event_refusal
from gateway.web.graphql_over_http import (
    EVENTS,
    JSON,
    GraphQLRequest,
    check_post_head,
    prefers_html,
    read_get,
    read_post,
    response_type,
)
from gateway.web.incremental import Delivery, IncrementalReply, delivery_for
from gateway.web.pending import PendingReply, Steps, start
from gateway.web.recorder import Recorder
from gateway.web.request import HttpRequest
from gateway.web.responses import Reply, error_reply, outcome_reply, redirect, respond
from gateway.web.streams import Streams

__all__ = ["Endpoint"]


class Endpoint:
    """Replies to GET and POST requests with GraphQL responses; an ASGI application."""

    def __init__(
        self,
        account: Account,
        admission: Admission,
        origins: Container[str] = frozenset(),
        *,
        has_graphiql: bool = True,
        documents: Documents | None = None,
        recorder: Recorder | None = None,
        streams: Streams | None = None,
    ) -> None:
        """Create an endpoint for one account.

        `origins` are the sites whose pages may send requests without a preflight. With `has_graphiql`, browsers are
        redirected to GraphiQL.
        """
        self._account = account
        self._admission = admission
        self._origins = origins
        self._documents = documents or Documents()
        self._has_graphiql = has_graphiql
        self._recorder = recorder or Recorder(None, None)
        self._streams = streams or Streams(Callers({}))

    def start(self, request: HttpRequest) -> Reply | PendingReply:
        """Return the reply to a request, or a pending one where it has to wait for something.

        This may be the key that verifies a JWT, a body that has not been received, an upstream call, or the compression of a
        long answer. Every error becomes a reply. The result of a pending reply can be `ClientDisconnected`, and sending the
        reply can raise it.
        """
        return start(request, self._steps(request))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reply to a request through ASGI."""
        await respond(self.start(HttpRequest.from_asgi(scope, receive)), send)

    def _steps(self, request: HttpRequest) -> Steps:
        """Check a request, in the one order of checks: media type, host, caller, head, body, document; then execute it."""
        headers, is_post, media_type = request.headers, request.method == "POST", JSON
        accept = headers.get("accept")
        if not is_post and self._has_graphiql and prefers_html(accept):
            return _redirect_to_graphiql(request)
        self._recorder.begin(request)
        delivery: Delivery | None = None
        try:
            delivery = delivery_for(accept)
            if delivery is None or not delivery.is_for_all:
                media_type = response_type(accept)
            caller = self._admission.find_caller(headers)
            if not isinstance(caller, Caller):
                caller = yield caller
            if is_post:
                check_post_head(headers.get("content-type"), headers.get("content-encoding"))
                body = request.body if request.body is not None else (yield request.receive_body())
                graphql_request = read_post(body)
            else:
                check_get(headers, self._origins)
                graphql_request = read_get(request.query_string)
            document, digest = self._documents.find(graphql_request)
            may_defer = delivery is not None and "defer" in document
            operation = _operation(request, graphql_request, document, caller, may_defer)
            is_subscription = (
                "subscription" in document and not operation.dry_run and self._account.is_subscription(operation)
            )
            request.is_certainly_whole = (
                not may_defer and not is_subscription and (delivery is None or not delivery.is_for_all)
            )
            if request.connection.closed:
                raise ClientDisconnected
            started = self._subscribe(request, operation, caller) if is_subscription else self._account.start(operation)
            if isinstance(started, SubscriptionReply):
                if digest is not None:
                    self._documents.remember(digest, document)
                return started
            outcome = started if isinstance(started, Outcome) else (yield started)
            if digest is not None and outcome.executed:
                self._documents.remember(digest, document)
            if delivery is not None and (delivery.is_for_all or outcome.subsequent is not None):
                return IncrementalReply(request, delivery, outcome, caller, self._recorder)
            reply = outcome_reply(outcome, media_type)
            if not is_post:
                add_cache_headers(reply, outcome, headers.get("if-none-match"))
            self._recorder.executed(request, outcome, caller)
        except GatewayError as error:
            is_for_good = delivery is not None and delivery.media_type == EVENTS and error.retry_after is None
            reply = event_refusal(error, SERVER_SENT_EVENTS) if is_for_good else error_reply(error, media_type)
            self._recorder.refused(request, error, reply.status)
        except (ClientDisconnected, asyncio.CancelledError, GeneratorExit) as reason:
            self._recorder.aborted(request, reason)
            raise
        except Exception as error:
            masked = mask(error)
            reply = error_reply(masked, media_type)
            self._recorder.failed(request, masked)
        compressing = compress(reply, headers.get("accept-encoding"))
        if compressing is not None:
            yield compressing
        reply.request_id = request.id
        return reply

    def _subscribe(self, request: HttpRequest, operation: Operation, caller: Caller) -> SubscriptionReply | Outcome:
        """Return the response to a subscription, or the outcome with the errors that it is refused for."""
        if "x-graphql-event-stream-token" in request.headers:
            raise BadRequest(SINGLE_CONNECTION)
        format_ = event_format(request.headers.get("accept"))
        if format_ is None:
            raise BadRequest(
                "A subscription is not answered as JSON. Send it over a WebSocket (`graphql-transport-ws`), or accept "
                "`text/event-stream`, preferred to JSON, or `multipart/mixed; subscriptionSpec=1.0`.",
                status=406,
            )
        self._streams.check_drain()
        started = self._account.subscribe(operation)
        if isinstance(started, Outcome):
            return started
        return SubscriptionReply(request, format_, operation, caller, started, self._streams, self._recorder)


def _operation(
    request: HttpRequest, graphql_request: GraphQLRequest, document: str, caller: Caller, may_defer: bool
) -> Operation:
    """Return the operation that a request asks for; raises `BadRequest` for an invalid header."""
    headers = request.headers
    return Operation(
        document=document,
        variables=graphql_request.variables,
        name=graphql_request.operation_name,
        caller=caller.name,
        services=caller.services,
        no_cache="no-cache" in headers.get("cache-control", "").lower(),
        timeout=_timeout(headers.get("x-gateway-timeout")),
        trace=headers.get("x-gateway-trace") == "1",
        dry_run=headers.get("x-gateway-dry-run") == "1",
        defer=may_defer,
        on_error=graphql_request.error_behavior,
        request_id=request.id,
        in_url=request.method != "POST",
        on_attempt=request.span.call if request.span is not None else None,
    )


def _timeout(text: str | None) -> float | None:
    """Return the value of `X-Gateway-Timeout`, in seconds."""
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text) or not float(text):
        raise BadRequest("`X-Gateway-Timeout` must be a number of seconds above 0, such as 2.5.")
    return float(text)


def _redirect_to_graphiql(request: HttpRequest) -> Reply:
    """Redirect a browser to the page, with the operation that its URL has."""
    try:
        asked = read_get(request.query_string)
    except BadRequest:
        asked = GraphQLRequest()
    if asked.query is None:
        return redirect("graphiql", request.id)
    variables = json.dumps(asked.variables) if asked.variables else None
    operation = {"q": asked.query, "variables": variables, "operationName": asked.operation_name}
    given = {name: value for name, value in operation.items() if value is not None}
    return redirect(f"graphiql?{urlencode(given, quote_via=quote)}", request.id)

"""How an outcome, or a failure of the request itself, becomes an HTTP response; always JSON."""

import orjson
from starlette.responses import Response

from gateway.errors import GatewayError, Unauthenticated
from gateway.execution.failures import Failure
from gateway.execution.operation import Outcome
from gateway.graph.operations import cost_of
from gateway.web.browsers import HEADERS
from gateway.web.protocol import GRAPHQL, JSON

__all__ = ["error_response", "outcome_response"]


def outcome_response(outcome: Outcome, media_type: str, request_id: str) -> Response:
    """The answer to a GraphQL request, with the status that its media type asks for."""
    body: dict[str, object] = {"data": outcome.data} if outcome.executed else {}
    if outcome.failures:
        body["errors"] = [failure.as_json() for failure in outcome.failures]
    if outcome.extensions:
        body["extensions"] = outcome.extensions
    status = outcome.failures[0].error.http_status if not outcome.executed and media_type == GRAPHQL else 200
    response = _response(body, status, media_type, request_id)
    response.headers["Gateway-Cost"] = ", ".join(f"{name}={calls}" for name, calls in cost_of(outcome).items())
    return response


def error_response(error: GatewayError, request_id: str, media_type: str = JSON) -> Response:
    """The answer to a request that is no GraphQL request, or that may not be made."""
    response = _response({"errors": [Failure(error).as_json()]}, error.http_status, media_type, request_id)
    if isinstance(error, Unauthenticated):
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _response(body: dict[str, object], status: int, media_type: str, request_id: str) -> Response:
    headers = {**HEADERS, "X-Request-Id": request_id, "Vary": "Accept, Origin"}
    return Response(orjson.dumps(body), status, headers, media_type=f"{media_type}; charset=utf-8")

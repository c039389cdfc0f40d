"""How an outcome, or a failure of the request itself, becomes an HTTP response; always JSON."""

import orjson
from starlette.responses import Response

from gateway.errors import GatewayError, Unauthenticated
from gateway.execution.failures import Failure
from gateway.execution.operation import Outcome

__all__ = ["error_response", "outcome_response"]

_MEDIA_TYPE = "application/json; charset=utf-8"


def outcome_response(outcome: Outcome, request_id: str) -> Response:
    """The answer to a GraphQL request: 200 once it was executed, else the status of its first failure."""
    body: dict[str, object] = {"data": outcome.data} if outcome.executed else {}
    if outcome.failures:
        body["errors"] = [failure.as_json() for failure in outcome.failures]
    status = 200 if outcome.executed else outcome.failures[0].error.http_status
    return _response(body, status, request_id)


def error_response(error: GatewayError, request_id: str, *, status: int | None = None) -> Response:
    """The answer to a request that is no GraphQL request, or that may not be made."""
    response = _response({"errors": [Failure(error).as_json()]}, status or error.http_status, request_id)
    if isinstance(error, Unauthenticated):
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _response(body: dict[str, object], status: int, request_id: str) -> Response:
    headers = {"X-Request-Id": request_id, "Cache-Control": "no-store"}
    return Response(orjson.dumps(body), status, headers, media_type=_MEDIA_TYPE)

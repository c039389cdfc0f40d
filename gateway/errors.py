"""The errors that clients see, as one tree; each leaf has one `extensions.code`.

    GatewayError
    ├── ParseFailed               GRAPHQL_PARSE_FAILED          the document is not valid GraphQL syntax
    ├── ValidationFailed          GRAPHQL_VALIDATION_FAILED     the document does not match the schema
    ├── OperationUnresolved       OPERATION_RESOLUTION_FAILURE  no single operation can be chosen
    ├── BadUserInput              BAD_USER_INPUT                an argument or a variable is not valid
    ├── BadRequest                BAD_REQUEST                   the HTTP request is not a GraphQL request
    ├── PersistedQueryNotFound    PERSISTED_QUERY_NOT_FOUND     no document has that hash or id
    ├── PersistedQueryUnsupported PERSISTED_QUERY_NOT_SUPPORTED a persisted query of another version
    ├── Unauthenticated           UNAUTHENTICATED               no valid token
    ├── Forbidden                 FORBIDDEN                     the caller may not read this
    ├── CostLimitExceeded         COST_LIMIT_EXCEEDED           the operation exceeds a limit
    ├── NotFound                  NOT_FOUND                     Twilio answers 404
    ├── Overloaded                OVERLOADED                    too many operations are in progress
    ├── InternalError             INTERNAL_SERVER_ERROR         a bug of the gateway: masked
    └── UpstreamError
        ├── UpstreamRateLimited      UPSTREAM_RATE_LIMITED      429
        ├── UpstreamTimeout          UPSTREAM_TIMEOUT           no response in time
        ├── UpstreamUnavailable      UPSTREAM_UNAVAILABLE       5xx, or no connection
        ├── UpstreamRejected         UPSTREAM_REJECTED          any other 4xx: credentials, permissions, parameters
        └── UpstreamInvalidResponse  UPSTREAM_INVALID_RESPONSE  a response to another request, or unreadable

Messages are written for users of the API. They never hold an upstream body, a header, a credential, or a value of a record.
An exception outside this tree is a bug: clients see `InternalError` instead.

Example:
    async with gateway.open_account(settings) as account:
        outcome = await account.run(gateway.Operation("{ nope }"))
    (failure,) = outcome.failures
    assert isinstance(failure.error, gateway.errors.ValidationFailed)
    assert failure.error.code == "GRAPHQL_VALIDATION_FAILED"
    assert not failure.error.retryable
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Any, ClassVar

__all__ = [
    "CODES",
    "BadRequest",
    "BadUserInput",
    "CostLimitExceeded",
    "Forbidden",
    "GatewayError",
    "InternalError",
    "NotFound",
    "OperationUnresolved",
    "Overloaded",
    "ParseFailed",
    "PersistedQueryNotFound",
    "PersistedQueryUnsupported",
    "Unauthenticated",
    "UpstreamAnswer",
    "UpstreamError",
    "UpstreamInvalidResponse",
    "UpstreamRateLimited",
    "UpstreamRejected",
    "UpstreamTimeout",
    "UpstreamUnavailable",
    "ValidationFailed",
    "raised_at",
]


@dataclass(frozen=True, slots=True)
class UpstreamAnswer:
    """The details of a failed upstream response, shown as `extensions.upstream`; None for a detail that it lacks."""

    status: int | None = None
    """HTTP status."""
    code: int | None = None
    """Twilio's own error code (https://www.twilio.com/docs/api/errors)."""
    request_id: str | None = None
    """`Twilio-Request-Id`, for inquiries at Twilio's support."""
    retry_after: float | None = None
    """Seconds to wait, from `Retry-After`."""


class GatewayError(Exception):
    """An error that is shown to the client: `message` for people, `code` for programs."""

    code: ClassVar[str]
    retryable: ClassVar[bool] = False
    """Whether the same request can succeed later."""
    http_status: int = 200
    """HTTP status when the request fails with it before execution."""
    retry_after: int | None = None
    """Seconds after which to retry, sent as `Retry-After`."""

    def __init__(
        self, message: str, *, upstream: UpstreamAnswer | None = None, details: dict[str, Any] | None = None
    ) -> None:
        """Create an error with a message, the details of an upstream response, and further entries of `extensions`."""
        super().__init__(message)
        self.message = message
        self.upstream = upstream
        self.details = details or {}

    def extensions(self) -> dict[str, Any]:
        """Return the error's `extensions` as JSON values."""
        shown: dict[str, Any] = {"code": self.code, "retryable": self.retryable, **self.details}
        if self.upstream is not None:
            shown["upstream"] = {
                "status": self.upstream.status,
                "code": self.upstream.code,
                "requestId": self.upstream.request_id,
                "retryAfter": self.upstream.retry_after,
            }
        return shown


class ParseFailed(GatewayError):
    """The document is not valid GraphQL syntax."""

    code = "GRAPHQL_PARSE_FAILED"
    http_status = 400


class ValidationFailed(GatewayError):
    """The document does not match the schema."""

    code = "GRAPHQL_VALIDATION_FAILED"
    http_status = 400


class OperationUnresolved(GatewayError):
    """The document has no operation with the requested name, or several operations and no name was given."""

    code = "OPERATION_RESOLUTION_FAILURE"
    http_status = 400


class BadUserInput(GatewayError):
    """An argument, a variable, an id or a cursor is not valid. No upstream call was made for it."""

    code = "BAD_USER_INPUT"
    http_status = 400


class BadRequest(GatewayError):
    """The HTTP request is not a well-formed GraphQL request."""

    code = "BAD_REQUEST"

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.http_status = status


class PersistedQueryNotFound(GatewayError):
    """No document has the hash or id that was sent. Clients recognize the message, and send the document itself."""

    code = "PERSISTED_QUERY_NOT_FOUND"
    http_status = 400

    def __init__(self) -> None:
        super().__init__("PersistedQueryNotFound")


class PersistedQueryUnsupported(GatewayError):
    """The version of persisted queries is not supported. Clients recognize the message, and send documents from then on."""

    code = "PERSISTED_QUERY_NOT_SUPPORTED"
    http_status = 400

    def __init__(self) -> None:
        super().__init__("PersistedQueryNotSupported")


class Unauthenticated(GatewayError):
    """The request has no token, or one that is not valid."""

    code = "UNAUTHENTICATED"
    http_status = 401


class Forbidden(GatewayError):
    """The caller may not read this. The error is the same whether it exists or not."""

    code = "FORBIDDEN"
    http_status = 403


class CostLimitExceeded(GatewayError):
    """The operation exceeds a limit on upstream calls, or on the records of one response."""

    code = "COST_LIMIT_EXCEEDED"
    http_status = 400


class NotFound(GatewayError):
    """The record or list does not exist at Twilio."""

    code = "NOT_FOUND"


class Overloaded(GatewayError):
    """Too many operations are in progress. This one was not started."""

    code = "OVERLOADED"
    retryable = True
    http_status = 503

    def __init__(self, message: str, *, retry_after: int | None = 1) -> None:
        """Create an error with a message; `retry_after` is None where waiting does not help."""
        super().__init__(message)
        self.retry_after = retry_after


class InternalError(GatewayError):
    """A bug of the gateway. The details are in its log, under the request id."""

    code = "INTERNAL_SERVER_ERROR"
    http_status = 500


class UpstreamError(GatewayError):
    """A call to Twilio failed."""


class UpstreamRateLimited(UpstreamError):
    """Twilio answered 429 to every attempt: too many concurrent requests for the account."""

    code = "UPSTREAM_RATE_LIMITED"
    retryable = True


class UpstreamTimeout(UpstreamError):
    """Twilio did not respond in time."""

    code = "UPSTREAM_TIMEOUT"
    retryable = True


class UpstreamUnavailable(UpstreamError):
    """Twilio answered 5xx, or the connection failed."""

    code = "UPSTREAM_UNAVAILABLE"
    retryable = True


class UpstreamRejected(UpstreamError):
    """Twilio rejected the request because of its credentials, permissions or parameters."""

    code = "UPSTREAM_REJECTED"


class UpstreamInvalidResponse(UpstreamError):
    """Twilio's response does not match the request, or cannot be decoded."""

    code = "UPSTREAM_INVALID_RESPONSE"


CODES: dict[str, type[GatewayError]] = {
    kind.code: kind
    for kind in list(globals().values())
    if isinstance(kind, type) and issubclass(kind, GatewayError) and "code" in vars(kind)
}
"""The errors by their codes: the values of the schema's `ErrorCode`."""


def raised_at(error: BaseException) -> dict[str, str]:
    """Return the type of an unexpected exception, and where it was raised, for the log.

    The exception's message is left out: it may hold data.
    """
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    where = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(frames))
    return {"kind": type(error).__name__, "where": where or "unknown"}

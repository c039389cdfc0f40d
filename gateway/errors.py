"""Everything that can go wrong on purpose, as one tree; each leaf is one `extensions.code`.

    GatewayError
    ├── ParseFailed               GRAPHQL_PARSE_FAILED          the document is not GraphQL
    ├── ValidationFailed          GRAPHQL_VALIDATION_FAILED     the document does not fit the schema
    ├── OperationUnresolved       OPERATION_RESOLUTION_FAILURE  which operation to run is unclear
    ├── BadUserInput              BAD_USER_INPUT                an argument or a variable is unusable
    ├── BadRequest                BAD_REQUEST                   the HTTP request is no GraphQL request
    ├── PersistedQueryNotFound    PERSISTED_QUERY_NOT_FOUND     no document is known by that hash or id
    ├── PersistedQueryUnsupported PERSISTED_QUERY_NOT_SUPPORTED a persisted query of another version
    ├── Unauthenticated           UNAUTHENTICATED               the caller named no valid token
    ├── Forbidden                 FORBIDDEN                     the caller may not ask this
    ├── CostLimitExceeded         COST_LIMIT_EXCEEDED           the operation asks for too much
    ├── NotFound                  NOT_FOUND                     Twilio has no such thing
    ├── Overloaded                OVERLOADED                    too much is being asked at once
    ├── InternalError             INTERNAL_SERVER_ERROR         a fault of ours: masked
    └── UpstreamError
        ├── UpstreamRateLimited      UPSTREAM_RATE_LIMITED      429
        ├── UpstreamTimeout          UPSTREAM_TIMEOUT           no answer in time
        ├── UpstreamUnavailable      UPSTREAM_UNAVAILABLE       5xx, or no connection
        ├── UpstreamRejected         UPSTREAM_REJECTED          any other 4xx: credentials, permissions, parameters
        └── UpstreamInvalidResponse  UPSTREAM_INVALID_RESPONSE  an answer that is not what was asked for

A message is written for the API's reader. It never holds an upstream's body, a header, a credential, or a value of a
record. An error that is not of this tree is a bug: it is masked as `InternalError` before anyone sees it.

Example:
    async with gateway.open_account(settings) as account:
        outcome = await account.run(gateway.Operation("{ nope }"))
    (failure,) = outcome.failures
    assert isinstance(failure.error, gateway.errors.ValidationFailed)
    assert failure.error.code == "GRAPHQL_VALIDATION_FAILED"
    assert not failure.error.retryable
"""

from __future__ import annotations

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
]


@dataclass(frozen=True, slots=True)
class UpstreamAnswer:
    """What is worth knowing of a failed answer, as `extensions.upstream` shows it; `None` where it said nothing."""

    status: int | None = None
    """HTTP status."""
    code: int | None = None
    """Twilio's own error code (https://www.twilio.com/docs/api/errors)."""
    request_id: str | None = None
    """`Twilio-Request-Id`, which Twilio's support asks for."""
    retry_after: float | None = None
    """Seconds that the answer asks to wait."""


class GatewayError(Exception):
    """A failure shown to the caller as it is: `message` in words, `code` for programs."""

    code: ClassVar[str]
    retryable: ClassVar[bool] = False
    """Whether the same request may well succeed later."""
    http_status: int = 200
    """HTTP status when the whole request fails with it, before execution."""
    retry_after: int | None = None
    """Seconds after which to ask again, as `Retry-After` says them."""

    def __init__(
        self, message: str, *, upstream: UpstreamAnswer | None = None, details: dict[str, Any] | None = None
    ) -> None:
        """Take the message, what Twilio answered, and what else `extensions` should hold."""
        super().__init__(message)
        self.message = message
        self.upstream = upstream
        self.details = details or {}

    def extensions(self) -> dict[str, Any]:
        """The error's `extensions`, as JSON values."""
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
    """The document is not GraphQL."""

    code = "GRAPHQL_PARSE_FAILED"
    http_status = 400


class ValidationFailed(GatewayError):
    """The document asks for what the schema does not have."""

    code = "GRAPHQL_VALIDATION_FAILED"
    http_status = 400


class OperationUnresolved(GatewayError):
    """No operation of the document is named so, or several are there and none was named."""

    code = "OPERATION_RESOLUTION_FAILURE"
    http_status = 400


class BadUserInput(GatewayError):
    """An argument, a variable, an id or a cursor is unusable; nothing was called for it."""

    code = "BAD_USER_INPUT"
    http_status = 400


class BadRequest(GatewayError):
    """The HTTP request does not carry a GraphQL request."""

    code = "BAD_REQUEST"

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.http_status = status


class PersistedQueryNotFound(GatewayError):
    """No document is known by the hash or the id that was sent. Clients go by the message, and send the text."""

    code = "PERSISTED_QUERY_NOT_FOUND"
    http_status = 400

    def __init__(self) -> None:
        super().__init__("PersistedQueryNotFound")


class PersistedQueryUnsupported(GatewayError):
    """Persisted queries of another version than the first. Clients go by the message, and send texts from then on."""

    code = "PERSISTED_QUERY_NOT_SUPPORTED"
    http_status = 400

    def __init__(self) -> None:
        super().__init__("PersistedQueryNotSupported")


class Unauthenticated(GatewayError):
    """The caller sent no token, or one that is not known."""

    code = "UNAUTHENTICATED"
    http_status = 401


class Forbidden(GatewayError):
    """The caller may not ask this; whether it exists is not told."""

    code = "FORBIDDEN"
    http_status = 403


class CostLimitExceeded(GatewayError):
    """The operation could take more upstream calls than are allowed, or its answer would hold too many records."""

    code = "COST_LIMIT_EXCEEDED"
    http_status = 400


class NotFound(GatewayError):
    """Twilio has no such record or list."""

    code = "NOT_FOUND"


class Overloaded(GatewayError):
    """The gateway has as much to do as it can take; nothing was begun."""

    code = "OVERLOADED"
    retryable = True
    http_status = 503
    retry_after = 1


class InternalError(GatewayError):
    """A fault of the gateway; what it was is in the log, under the request id."""

    code = "INTERNAL_SERVER_ERROR"
    http_status = 500


class UpstreamError(GatewayError):
    """Twilio could not be asked, or did not answer as it should."""


class UpstreamRateLimited(UpstreamError):
    """Twilio answered 429 to every attempt: too many requests at once for this account."""

    code = "UPSTREAM_RATE_LIMITED"
    retryable = True


class UpstreamTimeout(UpstreamError):
    """Twilio did not answer within the time allowed."""

    code = "UPSTREAM_TIMEOUT"
    retryable = True


class UpstreamUnavailable(UpstreamError):
    """Twilio answered 5xx, or no connection to it could be made or kept."""

    code = "UPSTREAM_UNAVAILABLE"
    retryable = True


class UpstreamRejected(UpstreamError):
    """Twilio refused the request: its credentials, their permissions, or a parameter."""

    code = "UPSTREAM_REJECTED"


class UpstreamInvalidResponse(UpstreamError):
    """Twilio answered with something else than what was asked for, or nothing that can be read."""

    code = "UPSTREAM_INVALID_RESPONSE"


CODES: dict[str, type[GatewayError]] = {
    kind.code: kind
    for kind in list(globals().values())
    if isinstance(kind, type) and issubclass(kind, GatewayError) and "code" in vars(kind)
}
"""Every code, with the failure it stands for: what the schema's `ErrorCode` and README's table are made of."""

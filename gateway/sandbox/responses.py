"""Responses to the caller, and errors in Twilio's form: https://www.twilio.com/docs/usage/twilios-response#errors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

# Code and message of an error for which only the status is given.
DEFAULT_ERRORS = {
    400: (20001, "Invalid parameter"),
    401: (20003, "Authenticate"),
    403: (20403, "Forbidden"),
    404: (20404, "The requested resource was not found"),
    405: (20004, "Method not allowed"),
    409: (20409, "Conflict"),
    429: (20429, "Too Many Requests"),
}
INTERNAL_ERROR = (20500, "Internal Server Error")


@dataclass(frozen=True, slots=True)
class SandboxResponse:
    """A complete response; `headers` are those that not every response has."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, status: int, value: Any) -> "SandboxResponse":
        return cls(status, orjson.dumps(value))


class ApiError(Exception):
    """An error response in Twilio's form; `details` are properties beside the usual ones."""

    def __init__(self, status: int, code: int | None = None, message: str | None = None, **details: Any) -> None:
        default_code, default_message = DEFAULT_ERRORS.get(status, INTERNAL_ERROR)
        self.status = status
        self.code = default_code if code is None else code
        self.message = message or default_message
        self.details = details
        super().__init__(self.message)

    def response(self, headers: Mapping[str, str] | None = None) -> SandboxResponse:
        body = {
            "code": self.code,
            "message": self.message,
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
            **self.details,
        }
        return SandboxResponse(self.status, orjson.dumps(body), headers or {})

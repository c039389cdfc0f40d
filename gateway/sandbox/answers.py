"""What goes back to the caller: a status, headers and a JSON body; and refusals in Twilio's form."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

# Code and message of an error whose fault or route names only the status.
GENERAL = {
    400: (20001, "Invalid parameter"),
    401: (20003, "Authenticate"),
    403: (20403, "Forbidden"),
    404: (20404, "The requested resource was not found"),
    405: (20004, "Method not allowed"),
    409: (20409, "Conflict"),
    429: (20429, "Too Many Requests"),
}
INTERNAL = (20500, "Internal Server Error")


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer; `headers` are those beside the ones every answer has."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, status: int, value: Any) -> "Answer":
        return cls(status, orjson.dumps(value))


class Refusal(Exception):
    """An error answer in Twilio's own form."""

    def __init__(self, status: int, code: int | None = None, message: str | None = None, **more: Any) -> None:
        general_code, general_message = GENERAL.get(status, INTERNAL)
        self.status = status
        self.code = general_code if code is None else code
        self.message = message or general_message
        self.more = more
        super().__init__(self.message)

    def answer(self, headers: Mapping[str, str] | None = None) -> Answer:
        body = {
            "code": self.code,
            "message": self.message,
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
            **self.more,
        }
        return Answer(self.status, orjson.dumps(body), headers or {})

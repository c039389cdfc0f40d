"""The log of calls: what arrived, in order, and what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Call:
    """One request to the pretend Twilio.

    `status` stays None while it is open, and when no status line was sent; `request_id` is the answer's
    Twilio-Request-Id; `client_left` says that the caller was gone before the answer was.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str] = field(repr=False)
    request_id: str
    status: int | None = None
    fault: str | None = None
    client_left: bool = False
    open: bool = True

    @property
    def target(self) -> str:
        """What follows /v1/, as sent, query included: `Services/IS…/Conversations?PageSize=50`."""
        path = self.path.removeprefix("/v1/")
        return f"{path}?{self.query}" if self.query else path

    def shown(self) -> dict[str, str | int | bool | None]:
        """The call as the control route shows it: without headers, which may hold credentials."""
        return {
            "method": self.method,
            "target": self.target,
            "request_id": self.request_id,
            "status": self.status,
            "fault": self.fault,
            "client_left": self.client_left,
            "open": self.open,
        }

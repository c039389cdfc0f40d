"""The log of calls: what arrived, in order, and how each call ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Call:
    """One request to the sandbox, as `Sandbox.calls` lists them.

    Attributes:
        method: The HTTP method.
        path: The path as sent, percent-encoded: `/v1/Services/IS…`.
        query: The query as sent, without its `?`.
        headers: The request's headers. They may hold credentials, so that they are not in the `repr`.
        request_id: The Twilio-Request-Id header of the response.
        status: The status of the response; None while the call is open, and if no status line was sent.
        fault: The kind of the fault that was applied, if any.
        client_left: Whether the client disconnected before the response was complete.
        open: Whether the response is still to be completed.

    Example:
        import asyncio

        import aiohttp

        from gateway.sandbox import Sandbox

        async def main() -> None:
            async with Sandbox() as sandbox:
                headers = {"Authorization": aiohttp.encode_basic_auth(sandbox.account_sid, sandbox.auth_token)}
                async with aiohttp.request("GET", f"{sandbox.url}/v1/Services?PageSize=2", headers=headers):
                    pass
                (call,) = sandbox.calls
                assert (call.method, call.target, call.status) == ("GET", "Services?PageSize=2", 200)

        asyncio.run(main())
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
        """The path and query after /v1/, as sent: `Services/IS…/Conversations?PageSize=50`."""
        path = self.path.removeprefix("/v1/")
        return f"{path}?{self.query}" if self.query else path

    def as_json(self) -> dict[str, str | int | bool | None]:
        """Return the call as a JSON object, without its headers."""
        return {
            "method": self.method,
            "target": self.target,
            "request_id": self.request_id,
            "status": self.status,
            "fault": self.fault,
            "client_left": self.client_left,
            "open": self.open,
        }

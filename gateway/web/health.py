"""Health checks: liveness and readiness of the process. Neither depends on Twilio."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from gateway.web.browsers import SECURITY_HEADERS

__all__ = ["live", "ready"]


async def live(request: Request) -> Response:
    """Reply that the process is alive."""
    return PlainTextResponse("ok\n", headers=SECURITY_HEADERS)


async def ready(request: Request) -> Response:
    """Reply whether the process is to be sent requests: 503 once it is about to stop, although it still accepts them.

    An outage of Twilio does not make it unready.
    """
    if getattr(request.app.state, "is_draining", False):
        return PlainTextResponse("stopping\n", 503, headers=SECURITY_HEADERS)
    return PlainTextResponse("ok\n", headers=SECURITY_HEADERS)

"""Health: whether the process lives, and whether it takes requests. Neither depends on Twilio."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from gateway.web.browsers import SECURITY_HEADERS

__all__ = ["live", "ready"]


async def live(request: Request) -> Response:
    """The process answers."""
    return PlainTextResponse("ok\n", headers=SECURITY_HEADERS)


async def ready(request: Request) -> Response:
    """It takes requests, until it is told to stop. Twilio being away is no reason to take this process away too."""
    if getattr(request.app.state, "is_stopping", False):
        return PlainTextResponse("stopping\n", 503, headers=SECURITY_HEADERS)
    return PlainTextResponse("ok\n", headers=SECURITY_HEADERS)

"""A plain route that only verifies webhooks, with Starlette and Twilio's Python library: what the intake is compared with."""

from __future__ import annotations

import os
import socket
import sys
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from twilio.request_validator import RequestValidator

URL = os.environ["GATEWAY_WEBHOOK_URL"]
_validator = RequestValidator(os.environ["TWILIO_AUTH_TOKEN"])


async def receive(request: Request) -> Response:
    form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))  # `form()` takes longer.
    signature = request.headers.get("x-twilio-signature", "")
    return Response(status_code=204 if _validator.validate(URL, form, signature) else 403)


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    app = Starlette(routes=[Route("/webhooks/twilio", receive, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, loop="uvloop", http="httptools", log_level="error", access_log=False))
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()

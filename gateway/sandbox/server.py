"""The server: it listens, applies faults, and sends what the API and the control routes respond."""

import asyncio
import time
from dataclasses import replace
from typing import Any, Self

from aiohttp import web

from .api import Api, BasicAuthentication
from .calls import Call
from .control import Control
from .corruption import Corruption
from .faults import Fault
from .responses import ApiError, SandboxResponse
from .sender import WebhookSender
from .state import SandboxState
from .switches import Switches
from .transport import send
from .world import Size

JSON = "application/json;charset=utf-8"
# Faults after which the client has no status line, so that the log has no status.
WITHOUT_STATUS = ("hang", "reset", "raw")


class Sandbox(SandboxState):
    """A simulated Twilio: an HTTP server, with Conversations v1 under `/v1` over seeded data.

    It runs while it is entered as an asynchronous context manager, or between `start` and `stop`. The same seed and size give
    the same data on every machine.

    Args:
        host: The address to listen on.
        port: The port to listen on; 0 for any free one.
        seed: The seed of all data and credentials.
        size: How much data: `small` (about 500 messages), `medium` (10,000) or `large` (400,000).
        switches: How it behaves where Twilio's behaviour is unknown.
        account_sid: The account's sid; drawn from the seed if None.
        auth_token: The account's secret; drawn from the seed if None.

    Attributes:
        url: The base URL, such as `http://127.0.0.1:40123`; empty before the start.
        account_sid: The name for Basic authentication, with `auth_token` as the password.
        api_key: Another name for Basic authentication, with `api_secret` as the password.
        landmarks: Sids to start from, and those of edge cases, by name: `service_sid`, `failed_receipt_sid`, …
        faults: The rules that make calls fail: `faults.add(pattern, fault)`.
        switches: The current switches; may be replaced at any time.
        calls: The log of calls, in order of arrival; the control routes under `/sandbox` are not in it.
        webhooks: The log of webhooks, in the order in which they were fired.
        in_flight: How many calls are open now.
        max_in_flight: The largest `in_flight` since the start, or since `reset()`.
        max_concurrency: How many calls may be open; more are answered 429 with code 20429. None for any number.

    Example:
        import asyncio

        import aiohttp

        from gateway.sandbox import Fault, Sandbox

        async def main() -> None:
            async with Sandbox() as sandbox:
                sandbox.faults.add("Services*", Fault("status", status=503, times=1))
                headers = {"Authorization": aiohttp.encode_basic_auth(sandbox.account_sid, sandbox.auth_token)}
                statuses = []
                for _ in range(2):
                    async with aiohttp.request("GET", f"{sandbox.url}/v1/Services", headers=headers) as response:
                        statuses.append(response.status)
                assert statuses == [503, 200]
                assert sandbox.paths == ["Services", "Services"]

        asyncio.run(main())
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int = 1,
        size: Size = "small",
        switches: Switches | None = None,
        account_sid: str | None = None,
        auth_token: str | None = None,
    ) -> None:
        super().__init__(seed, size, switches, account_sid, auth_token)
        self.url = ""
        self._host = host
        self._port = port
        self._api = Api(self.world)
        self._authentication = BasicAuthentication({self.account_sid: self.auth_token, self.api_key: self.api_secret})
        self._control = Control(self)
        self._corruption = Corruption()
        self._sender = WebhookSender(self._webhooks)
        self._runner: web.ServerRunner | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_stopping = False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen, and set `url`.

        Raises:
            OSError: The port is taken.
        """
        self._is_stopping = False
        # A cancelled handler is how a call that hangs learns that its client disconnected.
        server = web.Server(self._handle, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=2.0)
        await self._runner.setup()
        try:
            site = web.TCPSite(self._runner, self._host, self._port)
            await site.start()
        except BaseException:
            await self.stop()
            raise
        self._sender.start()
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.url = f"http://{host}:{site.port}"

    def is_default(self, name: str) -> bool:
        """Return whether a switch has its default value."""
        return bool(getattr(self.switches, name) == getattr(Switches(), name))

    def has_effect(self, name: str) -> bool:
        """Return whether a call in the log would be answered differently if a switch had its default value."""
        if name == "retry_after":  # Of the answers that faults make, the one that depends on a switch.
            return any(call.status == 429 and call.fault == "status" for call in self.calls)
        others = replace(self.switches, **{name: getattr(Switches(), name)})
        reads = {(call.path, call.query) for call in self.calls if call.method == "GET"}
        return any(
            self._api.answer("GET", path, query, self.url, self.switches)
            != self._api.answer("GET", path, query, self.url, others)
            for path, query in reads
        )

    async def stop(self) -> None:
        """Close the server and all open connections, without waiting for their calls."""
        self._is_stopping = True
        await self._sender.stop()
        for task in list(self._tasks):
            task.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            path, _, query = request.raw_path.partition("?")
            if path == "/sandbox" or path.startswith("/sandbox/"):
                response = self._control.respond(request.method, path, await request.read())
                headers = {"Content-Type": JSON} if response.body else {}
                return await send(request, response, headers, None)
            return await self._serve(request, path, query)
        finally:
            self._tasks.discard(task)

    async def _serve(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        began = time.monotonic()
        call = self.begin_call(request.method, path, query, request.headers)
        is_too_many = self.max_concurrency is not None and self.in_flight > self.max_concurrency
        try:
            fault = self.faults.pick(call.target)
            if fault is not None:
                call.fault = fault.kind
                if fault.latency:
                    await asyncio.sleep(self.faults.draw_latency(fault))
            response = ApiError(429).response() if is_too_many else await self._respond(request, call, fault)
            call.status = None if call.fault in WITHOUT_STATUS else response.status
            headers = self._headers(response, call, began)
            return await send(request, response, headers, fault)
        except asyncio.CancelledError:
            call.client_left = not self._is_stopping
            raise
        except ConnectionError:
            # A write failed before the cancellation arrived; aiohttp will find the connection closed too.
            call.client_left = True
            return web.Response()
        finally:
            self.end_call(call)

    async def _respond(self, request: web.BaseRequest, call: Call, fault: Fault | None) -> SandboxResponse:
        if fault is None or fault.kind not in ("status", "body", "redirect"):
            try:
                self._authentication.check(request.headers.get("Authorization"))
            except ApiError as error:
                return error.response()
        form = await request.read() if request.can_read_body else b""
        origin = f"{request.scheme}://{request.host}"
        fires = request.headers.get("X-Twilio-Webhook-Enabled", "").lower() == "true"
        if fault is None:
            return self._api.answer(
                request.method, call.path, call.query, origin, self.switches, form, fires_webhooks=fires
            )

        def respond(target: str) -> SandboxResponse:
            path, _, query = target.partition("?")
            path = f"/v1/{path}" if call.path.startswith("/v1/") else path
            return self._api.answer(request.method, path, query, origin, self.switches, form, fires_webhooks=fires)

        return self._corruption.apply(fault, call.target, respond, self.switches)

    def _headers(self, response: SandboxResponse, call: Call, began: float) -> dict[str, str]:
        headers = {
            "Twilio-Request-Id": call.request_id,
            "Twilio-Request-Duration": f"{time.monotonic() - began:.3f}",
            "Twilio-Concurrent-Requests": str(self.in_flight),
            "X-Home-Region": "us1",
            "X-API-Domain": "conversations.twilio.com",
            "X-Powered-By": "AT-5000",
        }
        if response.body:
            headers["Content-Type"] = JSON
        if response.status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="Twilio API"'
        return headers | dict(response.headers)

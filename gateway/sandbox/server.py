"""The server: its life, its log of calls, and a call's way from arrival over fault and answer to the wire."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Self

from aiohttp import web

from .answers import Answer, Refusal
from .api import Api, Credentials
from .calls import Call
from .control import Control
from .corruption import Damage
from .faults import Fault, Faults
from .switches import Switches
from .transport import send
from .world import Size, World

# The oldest half of the log is forgotten when it gets longer than this, so that a sandbox can run for weeks.
LOG_LENGTH = 200_000
JSON = "application/json;charset=utf-8"
# Of these faults the caller sees no status line that is worth a status in the log.
SILENT = ("hang", "reset", "raw")


class Sandbox:
    """A pretend Twilio on a port of its own: `async with Sandbox() as sandbox: ... sandbox.url`."""

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
        self.world = World(seed, size, account_sid)
        drawn = self.world.seed
        self.account_sid = self.world.account_sid
        self.auth_token = auth_token or drawn.draw("auth token").hex()[:32]
        self.api_key = drawn.sid("SK", "", 0)
        self.api_secret = drawn.draw("api secret").hex()[:32]
        self.landmarks = self.world.landmarks()
        self.switches = switches or Switches()
        self.faults = Faults(seed)
        self.calls: list[Call] = []
        self.in_flight = 0
        self.max_in_flight = 0
        self.most_at_once: int | None = None
        """How many calls it takes at once; more are answered 429, with the code 20429. None for any number."""
        self.url = ""
        self._host = host
        self._port = port
        self._api = Api(self.world)
        self._credentials = Credentials(self.account_sid, self.auth_token, self.api_key, self.api_secret)
        self._control = Control(self)
        self._damage = Damage()
        self._runner: web.ServerRunner | None = None
        self._serving: set[asyncio.Task[Any]] = set()
        self._watchers: deque[Future[None]] = deque()
        self._is_stopping = False
        self._arrived = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen. OSError when the port is taken."""
        self._is_stopping = False
        # Cancelling a handler is how a hanging call learns that its caller has left.
        server = web.Server(self._handle, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=2.0)
        await self._runner.setup()
        try:
            site = web.TCPSite(self._runner, self._host, self._port)
            await site.start()
        except BaseException:
            await self.stop()
            raise
        shown = f"[{self._host}]" if ":" in self._host else self._host
        self.url = f"http://{shown}:{site.port}"

    async def stop(self) -> None:
        """Close at once, whatever is still open."""
        self._is_stopping = True
        for task in list(self._serving):
            task.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # The log

    @property
    def paths(self) -> list[str]:
        """The targets of all calls, in order of arrival."""
        return [call.target for call in self.calls]

    def reset(self) -> None:
        """Forget the calls so far, and the most that were in flight."""
        self.calls.clear()
        self.max_in_flight = self.in_flight

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition()` holds; it is asked now and whenever a call has arrived or ended.

        Whoever waits may do so in another event loop, and another thread, than the sandbox runs in.
        """
        while True:
            watcher: Future[None] = Future()
            self._watchers.append(watcher)  # Before it is asked, so that nothing can happen unseen in between.
            if condition():
                return
            await asyncio.wrap_future(watcher)

    def _notify(self) -> None:
        for _ in range(len(self._watchers)):
            watcher = self._watchers.popleft()
            if watcher.set_running_or_notify_cancel():
                watcher.set_result(None)

    # A call

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            path, _, query = request.raw_path.partition("?")
            if path == "/sandbox" or path.startswith("/sandbox/"):
                answer = self._control.answer(request.method, path, await request.read())
                headers = {"Content-Type": JSON} if answer.body else {}
                return await send(request, answer, headers, None)
            return await self._serve(request, path, query)
        finally:
            self._serving.discard(task)

    async def _serve(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        began = time.monotonic()
        call = self._arrive(request, path, query)
        is_too_many = self.most_at_once is not None and self.in_flight > self.most_at_once
        try:
            fault = self.faults.pick(call.target)
            if fault is not None:
                call.fault = fault.kind
                if fault.latency:
                    await asyncio.sleep(self.faults.seconds(fault))
            answer = Refusal(429).answer() if is_too_many else await self._answer(request, call, fault)
            call.status = None if call.fault in SILENT else answer.status
            headers = self._headers(answer, call, began)
            return await send(request, answer, headers, fault)
        except asyncio.CancelledError:
            call.client_left = not self._is_stopping
            raise
        except ConnectionError:
            # A write that failed before the cancellation came; aiohttp will find the connection closed too.
            call.client_left = True
            return web.Response()
        finally:
            call.open = False
            self.in_flight -= 1
            self._notify()

    def _arrive(self, request: web.BaseRequest, path: str, query: str) -> Call:
        self._arrived += 1
        call = Call(request.method, path, query, request.headers, self.world.seed.sid("RQ", "", self._arrived))
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        self.calls.append(call)
        if len(self.calls) > LOG_LENGTH:
            del self.calls[: LOG_LENGTH // 2]
        self._notify()
        return call

    async def _answer(self, request: web.BaseRequest, call: Call, fault: Fault | None) -> Answer:
        if fault is None or fault.kind not in ("status", "body", "redirect"):
            try:
                self._credentials.check(request.headers.get("Authorization"))
            except Refusal as refusal:
                return refusal.answer()
        form = await request.read() if request.can_read_body else b""
        origin = f"{request.scheme}://{request.host}"
        if fault is None:
            return self._api.answer(request.method, call.path, call.query, origin, self.switches, form)

        def ask(target: str) -> Answer:
            path, _, query = target.partition("?")
            path = f"/v1/{path}" if call.path.startswith("/v1/") else path
            return self._api.answer(request.method, path, query, origin, self.switches, form)

        return self._damage.apply(fault, call.target, ask, self.switches)

    def _headers(self, answer: Answer, call: Call, began: float) -> dict[str, str]:
        headers = {
            "Twilio-Request-Id": call.request_id,
            "Twilio-Request-Duration": f"{time.monotonic() - began:.3f}",
            "Twilio-Concurrent-Requests": str(self.in_flight),
            "X-Home-Region": "us1",
            "X-API-Domain": "conversations.twilio.com",
            "X-Powered-By": "AT-5000",
        }
        if answer.body:
            headers["Content-Type"] = JSON
        if answer.status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="Twilio API"'
        return headers | dict(answer.headers)

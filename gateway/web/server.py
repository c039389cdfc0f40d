"""The HTTP server around the application: a socket opened in advance, a callback when it is ready, a clean stop on a signal."""

import asyncio
import errno
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from math import ceil
from multiprocessing import parent_process
from types import FrameType
from typing import Any, Protocol, runtime_checkable

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE
from uvicorn.loops.auto import auto_loop_factory
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from gateway.web.graphql_over_http import BODY_MAX
from gateway.web.http_protocol import BoundedProtocol, LingeringProtocol
from gateway.web.socket_protocol import SocketProtocol

__all__ = [
    "AddressUnusable",
    "Drainable",
    "Server",
    "Workers",
    "address",
    "freeze_startup_objects",
    "listen",
    "listen_for_each",
    "run",
    "serving",
]

_logger = structlog.get_logger("gateway")

_GRACE_SECONDS = 5
"""For requests in progress, after a signal to stop."""
_START_SECONDS = 30
"""For a worker to start."""
_PING_SECONDS = 15
"""Between pings on a WebSocket."""
_PONG_SECONDS = 10
"""For the peer to answer one: with both, a dead peer is found within 30 s."""
_KEEP_ALIVE_SECONDS = 30
"""For an idle connection to send its next request."""


class AddressUnusable(Exception):
    """A server cannot listen on its address; the message says why, and what to do."""


def listen(host: str, port: int, option: str) -> socket.socket:
    """Return a socket that listens on `host` and `port` (0: a free one).

    Raises `AddressUnusable`, with `option` as the option to change.
    """
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError:
        raise AddressUnusable(f"{host} is not an address of this machine.") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise unusable(error, host, port, option) from None
    return listener


def listen_for_each(count: int, host: str, port: int, option: str) -> list[socket.socket]:
    """Return a listening socket for each of `count` processes, all at one address.

    On Linux these are separate sockets, over which the kernel spreads connections (SO_REUSEPORT); elsewhere the same one, since
    other systems do not. Raises as `listen` does.
    """
    first = listen(host, port, option)
    if count == 1 or sys.platform != "linux":
        return [first] * count
    where = first.getsockname()
    first.close()  # It showed that no other process listens there: with SO_REUSEPORT, that is no error.
    listeners: list[socket.socket] = []
    try:
        for _ in range(count):
            listeners.append(socket.socket(first.family, first.type, first.proto))
            listeners[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listeners[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listeners[-1].bind(where)
            listeners[-1].listen(2048)
    except OSError as error:
        for listener in listeners:
            listener.close()
        raise unusable(error, host, where[1], option) from None
    return listeners


def unusable(error: OSError, host: str, port: int, option: str) -> AddressUnusable:
    """Return the error for an address that the system refused to listen on."""
    if error.errno == errno.EADDRINUSE:
        return AddressUnusable(f"Port {port} on {host} is taken. Choose another with {option}, or 0 for any free one.")
    if error.errno == errno.EACCES:
        return AddressUnusable(f"Port {port} is not open to this user. Choose one above 1023 with {option}.")
    return AddressUnusable(f"Cannot listen on {host}, port {port}: {error.strerror}.")


def address(listener: socket.socket) -> str:
    """Return the base URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _config(
    app: ASGIApp | Callable[[], ASGIApp], protocol: type[BoundedProtocol], grace: int, **more: Any
) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=protocol,
        ws=SocketProtocol,
        ws_max_size=BODY_MAX,
        ws_ping_interval=_PING_SECONDS,
        ws_ping_timeout=_PONG_SECONDS,
        ws_per_message_deflate=False,  # It takes 50 KiB a socket or more, and what is sent is short.
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=grace,
        **more,
    )


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a server until it stops, on uvloop if it is installed, as `Workers` do."""
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(work)


def freeze_startup_objects() -> None:
    """Exclude the objects of start-up from garbage collection: they live as long as the process, and a scan takes 40 ms.

    Operations leave hardly any reference cycles, so that collections can be rarer than by default.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@runtime_checkable
class Drainable(Protocol):
    """An application that reports when it is about to stop, such as at `/readyz`, and ends its streams before."""

    def begin_drain(self, seconds: float) -> None:
        """Report from here on that the server is about to stop, and end the streams within `seconds`."""


class _DrainingServer(uvicorn.Server):
    """Uvicorn, which drains before it stops, and returns after a signal instead of raising it again.

    On SIGTERM, which orchestrators send, connections are accepted for `drain` more seconds, until load balancers have noticed.
    On SIGINT there is no drain: a person waits, or the successor of this process listens at the same address.
    """

    def __init__(self, config: uvicorn.Config, drain: float = 0.0) -> None:
        super().__init__(config)
        self._drain = drain
        self._drain_ends: float | None = None
        """Time of the event loop at which the drain ends; None before it begins."""
        self._is_terminated = False

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Stop on SIGINT and SIGTERM; only the main thread receives signals."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, handler) for number, handler in self._signal_handlers().items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def on_tick(self, counter: int) -> bool:
        """Return whether to stop; begin and end the drain."""
        if self._is_terminated and not self.should_exit:
            now = asyncio.get_running_loop().time()
            if self._drain_ends is None:
                self._drain_ends = now + self._drain
                self._begin_drain(self._drain)
            self.should_exit = now >= self._drain_ends
        return await super().on_tick(counter)

    def _signal_handlers(self) -> dict[int, Callable[[int, FrameType | None], None]]:
        return {signal.SIGINT: self._on_stop_signal, signal.SIGTERM: self._on_stop_signal}

    def _on_stop_signal(self, number: int, frame: FrameType | None) -> None:
        """Begin to stop. A second SIGINT stops at once."""
        if number == signal.SIGINT:
            self.force_exit = self.should_exit or self._is_terminated
            self.should_exit = True
        else:
            self._is_terminated = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams that are still open, then stop."""
        self._begin_drain(0.0)
        await super().shutdown(sockets)

    def _begin_drain(self, seconds: float) -> None:
        app = self.config.loaded_app
        if isinstance(app, Drainable):
            app.begin_drain(seconds)


class Server(_DrainingServer):
    """The server of an application in this process."""

    def __init__(
        self,
        app: ASGIApp,
        on_ready: Callable[[], None],
        on_reload: Callable[[], None] | None = None,
        protocol: type[BoundedProtocol] = BoundedProtocol,
        *,
        on_stop: Callable[[], None] | None = None,
        drain: float = 0.0,
        grace: float = _GRACE_SECONDS,
    ) -> None:
        """Initialize a server for an application.

        `on_ready` is called once it answers, `on_reload` on SIGHUP, and `on_stop` when it begins to stop. After SIGTERM,
        connections are accepted for `drain` seconds; after that, requests in progress have `grace` seconds.
        """
        super().__init__(_config(app, protocol, ceil(grace)), drain)
        self._on_stop = on_stop
        self._on_ready = on_ready
        self._on_reload = on_reload

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, then call `on_ready`."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def on_tick(self, counter: int) -> bool:
        """Return whether to stop; call `on_stop` when it begins to."""
        stops = await super().on_tick(counter)
        if (self._is_terminated or self.should_exit) and self._on_stop is not None:
            self._on_stop()
            self._on_stop = None
        return stops

    def _signal_handlers(self) -> dict[int, Callable[[int, FrameType | None], None]]:
        reload = {signal.SIGHUP: self._reload} if self._on_reload is not None and hasattr(signal, "SIGHUP") else {}
        return super()._signal_handlers() | reload

    def _reload(self, number: int, frame: FrameType | None) -> None:
        if self._on_reload is not None:
            self._on_reload()

    def _on_stop_signal(self, number: int, frame: FrameType | None) -> None:
        """Begin to stop. A second signal of either kind stops at once."""
        self.force_exit = self.should_exit or self._is_terminated
        self.should_exit |= self.force_exit or number == signal.SIGINT
        self._is_terminated |= number == signal.SIGTERM


class _BlockServer(Server):
    """The server of a block of code. It stops as soon as the block ends: where uvicorn waits 0.1 s, it waits for the event.

    A test often needs a server of its own: uvicorn's waits would take longer than most tests.
    """

    _POLL_SECONDS = 0.002

    def __init__(self, app: ASGIApp, on_ready: Callable[[], None], protocol: type[BoundedProtocol]) -> None:
        super().__init__(app, on_ready, protocol=protocol)
        self._is_over = asyncio.Event()

    def stop(self) -> None:
        """Begin to stop."""
        self.should_exit = True
        self._is_over.set()

    async def main_loop(self) -> None:
        """Tick ten times a second, until it is to stop."""
        counter = 0
        while not await self.on_tick(counter):
            counter = (counter + 1) % 864_000
            with suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await self._is_over.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close idle connections, let requests in progress finish within the grace period, and end the lifespan."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        try:
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                while (self.server_state.connections or self.server_state.tasks) and not self.force_exit:  # noqa: ASYNC110
                    await asyncio.sleep(self._POLL_SECONDS)
                for server in self.servers:
                    await server.wait_closed()
        except TimeoutError:
            for task in self.server_state.tasks:
                task.cancel()
        await self.lifespan.shutdown()


@asynccontextmanager
async def serving(
    app: ASGIApp, protocol: type[BoundedProtocol] = BoundedProtocol, listener: socket.socket | None = None
) -> AsyncIterator[str]:
    """Serve an application, on a free loopback port unless it is given a socket that listens; the value is its base URL."""
    ready = asyncio.Event()
    with listener or listen("127.0.0.1", 0, "--port") as listener:
        server = _BlockServer(app, ready.set, protocol)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        await ready.wait()
        try:
            yield address(listener)
        finally:
            server.stop()
            await running


class _WorkerServer(_DrainingServer):
    """The server of a worker. When its supervisor is gone, it stops as after SIGTERM: nobody else would stop it."""

    async def on_tick(self, counter: int) -> bool:
        """Return whether to stop."""
        supervisor = parent_process()
        self._is_terminated |= supervisor is not None and not supervisor.is_alive()
        return await super().on_tick(counter)


class _Worker(Process):
    """One of several processes at one address."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket, drain: float) -> None:
        super().__init__(config, [listener])
        self._drain = drain

    @property
    def server(self) -> uvicorn.Server:
        """The server in the process itself."""
        if self._server is None:
            self._server = _WorkerServer(self.config, self._drain)
        return self._server

    @property
    def is_running(self) -> bool:
        """Whether the process runs, even if it does not respond."""
        return self.process.is_alive()

    def retire(self) -> None:
        """Stop the process without a drain: its successor accepts the connections."""
        if self.process.exitcode is None:
            assert self.process.pid is not None
            os.kill(self.process.pid, signal.SIGINT)
            self.parent_conn.close()
            self.child_conn.close()


class Workers(Multiprocess):
    """Several processes at one address. One that dies is replaced; on SIGHUP each is replaced once its successor answers.

    On Linux, each process listens on a separate socket, and the kernel spreads connections over these: with one socket, kept
    connections gather in the process that is first to accept them. The supervisor owns the sockets, as in nginx, so that the
    successor of a process accepts the connections that were still queued.
    """

    processes: list[_Worker]  # type: ignore[assignment]

    def __init__(
        self,
        make_app: Callable[[], ASGIApp],
        listeners: list[socket.socket],
        on_ready: Callable[[], None],
        on_reload: Callable[[], Callable[[], ASGIApp] | None],
        *,
        on_stop: Callable[[], None] | None = None,
        drain: float = 0.0,
        grace: float = _GRACE_SECONDS,
    ) -> None:
        """Initialize one process for each listening socket, several of which may be the same; see `listen_for_each`.

        `make_app` returns the application in each process. It must be picklable, since processes are spawned, not forked.
        `on_ready` is called once all answer, and `on_stop` when they begin to stop; `drain` and `grace` are as in `Server`.
        On SIGHUP, `on_reload` returns the `make_app` of the successors, or None to keep the processes that run.
        """
        config = _config(make_app, LingeringProtocol, ceil(grace), factory=True, workers=len(listeners))
        super().__init__(config, listeners)
        self.has_failed = False
        """Whether it stopped because a process could not start."""
        self._on_ready = on_ready
        self._on_reload = on_reload
        self._on_stop = on_stop
        self._drain = drain

    def init_processes(self) -> None:
        """Start the processes, then call `on_ready`."""
        self.processes = [self._start(listener) for listener in self.sockets]
        if all(process.wait_until_ready(_START_SECONDS, self.should_exit) for process in self.processes):
            self._on_ready()
        for process in self.processes:
            if not process.is_running and not self.should_exit.is_set():
                self._fail(process)

    def terminate_all(self) -> None:
        """Stop all processes, which drain."""
        if self._on_stop is not None:
            self._on_stop()
        super().terminate_all()

    def handle_hup(self) -> None:
        """Replace all processes, unless their successors could not start."""
        make_app = self._on_reload()
        if make_app is not None:
            self.config.app = make_app
            self.restart_all()

    def restart_all(self) -> None:
        """Replace each process once its successor, which listens on the same socket, answers."""
        for index, (process, listener) in enumerate(zip(self.processes, self.sockets, strict=True)):
            successor = self._start(listener)
            if not successor.wait_until_ready(_START_SECONDS, self.should_exit):
                successor.kill()
                successor.join()
                _logger.error("worker not replaced", reason="Its successor did not start.", pid=process.pid)
                return
            process.retire()
            process.join()
            self.processes[index] = successor
        _logger.info("workers replaced", workers=len(self.processes))

    def keep_subprocess_alive(self) -> None:
        """Replace the processes that have died or do not respond; stop if one could not start."""
        for index, (process, listener) in enumerate(zip(self.processes, self.sockets, strict=True)):
            if self.should_exit.is_set():
                return
            seconds = self.config.timeout_worker_healthcheck
            if process.is_alive(timeout=seconds):
                continue
            is_hung = process.is_running
            process.kill()
            process.join()
            if process.exitcode == STARTUP_FAILURE:
                self._fail(process)
                return
            if is_hung:
                _logger.error("worker killed", reason=f"It did not respond for {seconds} s.", pid=process.pid)
            else:
                _logger.error("worker died", pid=process.pid, exit_code=process.exitcode)
            self.processes[index] = self._start(listener)

    def handle_ttin(self) -> None:
        """Ignore the signal: the number of processes is that of the sockets."""

    def handle_ttou(self) -> None:
        """Ignore the signal: the number of processes is that of the sockets."""

    def _start(self, listener: socket.socket) -> _Worker:
        process = _Worker(self.config, listener, self._drain)
        process.start()
        return process

    def _fail(self, process: _Worker) -> None:
        _logger.error("worker not started", pid=process.pid, exit_code=process.exitcode)
        self.has_failed = True
        self.should_exit.set()

"""The HTTP server around the application: a socket taken beforehand, a word when it answers, a clean end on a signal."""

import asyncio
import errno
import gc
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager
from math import ceil
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.loops.auto import auto_loop_factory
from uvicorn.supervisors import Multiprocess

from gateway.web.http_protocol import BoundedProtocol

__all__ = ["AddressUnusable", "Server", "Workers", "address", "freeze_startup_objects", "listen", "run", "serving"]

_GRACE = 5
_START = 30
_KEEP_ALIVE = 30


class AddressUnusable(Exception):
    """A server cannot listen where it was told to; the text says why and what to do."""


def listen(host: str, port: int, option: str) -> socket.socket:
    """A socket that listens on `host` and `port` (0: a free one); raises `AddressUnusable`, naming `option`."""
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


def unusable(error: OSError, host: str, port: int, option: str) -> AddressUnusable:
    """What to tell of an address that could not be had."""
    if error.errno == errno.EADDRINUSE:
        return AddressUnusable(f"Port {port} on {host} is taken. Choose another with {option}, or 0 for any free one.")
    if error.errno == errno.EACCES:
        return AddressUnusable(f"Port {port} is not open to this user. Choose one above 1023 with {option}.")
    return AddressUnusable(f"Cannot listen on {host}, port {port}: {error.strerror}.")


def address(listener: socket.socket) -> str:
    """The base URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _config(
    app: ASGIApp | Callable[[], ASGIApp], protocol: type[BoundedProtocol], grace: int, **more: Any
) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=grace,
        **more,
    )


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a server to its end, on the event loop that `Workers` run on too: uvloop, where there is one."""
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(work)


def freeze_startup_objects() -> None:
    """Take what start-up made out of the garbage collector's sight: it stays to the end, and looking at it takes 40 ms.

    What an operation makes is freed without the collector, so that it need not look as often as it does by default.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


class Server(uvicorn.Server):
    """Uvicorn, which ends by itself after a SIGINT or SIGTERM instead of passing the signal on."""

    def __init__(
        self,
        app: ASGIApp,
        on_ready: Callable[[], None],
        on_reload: Callable[[], None] | None = None,
        protocol: type[BoundedProtocol] = BoundedProtocol,
        *,
        on_stop: Callable[[], None] | None = None,
        grace: float = _GRACE,
    ) -> None:
        """Take the application, what to do once it answers, on SIGHUP, and when it is told to stop.

        What is under way then may take `grace` seconds more; nothing else is begun.
        """
        super().__init__(_config(app, protocol, ceil(grace)))
        self._on_stop = on_stop
        self._on_ready = on_ready
        self._on_reload = on_reload

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and tell."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Stop on the first SIGINT or SIGTERM, at once on the second; signals come to the main thread only."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        if self._on_reload is not None and hasattr(signal, "SIGHUP"):
            before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._reload)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _reload(self, number: int, frame: FrameType | None) -> None:
        if self._on_reload is not None:
            self._on_reload()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
        if self._on_stop is not None:
            self._on_stop()


@asynccontextmanager
async def serving(app: ASGIApp, protocol: type[BoundedProtocol] = BoundedProtocol) -> AsyncIterator[str]:
    """The base URL of an application that is served, until the end, on a free port of this machine."""
    ready = asyncio.Event()
    with listen("127.0.0.1", 0, "--port") as listener:
        server = Server(app, ready.set, protocol=protocol)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        await ready.wait()
        try:
            yield address(listener)
        finally:
            server.should_exit = True
            await running


class Workers(Multiprocess):
    """Several processes on one socket. One that dies is replaced; SIGHUP replaces each when its successor answers."""

    def __init__(
        self,
        make_app: Callable[[], ASGIApp],
        count: int,
        listener: socket.socket,
        on_ready: Callable[[], None],
        grace: float = _GRACE,
    ) -> None:
        """Take what makes the application in each process, how many there are, and what to do once all answer.

        `make_app` must be picklable: the processes are begun anew, not forked.
        """
        super().__init__(_config(make_app, BoundedProtocol, ceil(grace), factory=True, workers=count), [listener])
        self._on_ready = on_ready

    def init_processes(self) -> None:
        """Start them, and tell."""
        super().init_processes()
        if all(process.wait_until_ready(_START, self.should_exit) for process in self.processes):
            self._on_ready()

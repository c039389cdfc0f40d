"""The HTTP server around the application: a socket taken beforehand, a word when it answers, a clean end on a signal."""

import errno
import gc
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from gateway.web.wire import BoundedProtocol

__all__ = ["AddressUnusable", "Server", "address", "listen", "settle_memory"]

_GRACE = 5
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


def settle_memory() -> None:
    """Take what start-up made out of the garbage collector's sight: it stays to the end, and looking at it takes 40 ms."""
    gc.collect()
    gc.freeze()


class Server(uvicorn.Server):
    """Uvicorn, which ends by itself after a SIGINT or SIGTERM instead of passing the signal on."""

    def __init__(
        self,
        app: ASGIApp,
        on_ready: Callable[[], None],
        on_reload: Callable[[], None] | None = None,
        protocol: type[BoundedProtocol] = BoundedProtocol,
    ) -> None:
        """Take the application, what to do once it answers, and what to do on SIGHUP."""
        config = uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_GRACE,
        )
        super().__init__(config)
        self._on_ready = on_ready
        self._on_reload = on_reload

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and tell."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Stop on the first SIGINT or SIGTERM, at once on the second."""
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

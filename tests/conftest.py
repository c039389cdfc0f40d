"""Fixtures that all tests share: the sandbox, a client and a gateway on it, a browser, and the description of Twilio's API."""

import asyncio
import fcntl
import os
import shutil
import socket
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any, Self

import aiohttp
import pytest
import uvloop
from anyio.from_thread import start_blocking_portal
from hypothesis import settings
from playwright.async_api import Browser, async_playwright, expect
from starlette.applications import Starlette

from gateway.accounts.account import Account
from gateway.accounts.operation import Operation
from gateway.app import create_app
from gateway.demo import demo_app, landmark_variables, settings_for
from gateway.sandbox import Sandbox
from gateway.twilio.client import Client
from gateway.twilio.responses import Response
from gateway.twilio.retry import RetryPolicy
from gateway.twilio.transport import Credentials, OnDone, Origin, TaskExchange
from gateway.web.graphiql import BUNDLE
from gateway.web.server import address, listen
from gateway.web.server import serving as serving
from gateway.web.webhooks import WEBHOOK_PATH

from .scheduling import pytest_cmdline_main as pytest_cmdline_main
from .scheduling import pytest_collection as pytest_collection
from .scheduling import pytest_collection_modifyitems as pytest_collection_modifyitems
from .scheduling import pytest_xdist_make_scheduler as pytest_xdist_make_scheduler
from .timeouts import pytest_runtest_teardown as pytest_runtest_teardown
from .timeouts import pytest_timeout_set_timer as pytest_timeout_set_timer

ROOT = Path(__file__).parent.parent
# Where a machine is busy, an example takes longer than hypothesis allows: 200 ms.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
# With it, each process that a test starts would compile anew all that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
EXAMPLES = sorted((ROOT / "gateway" / "examples").glob("*.graphql"))


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests run on the event loop with which the gateway is served; what meets transports itself, on asyncio's own too."""
    every = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return every if {"twilio", "test_http_protocol.py"} & set(item.path.parts) else {"uvloop": every["uvloop"]}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With RECEIPTS_GATEWAY_REQUIRE_ALL=1, as in CI, a test that would be skipped fails: something is missing."""
    report = yield
    if report.skipped and os.environ.get("RECEIPTS_GATEWAY_REQUIRE_ALL") == "1":
        report.outcome = "failed"
        report.longrepr = f"Skipped, and RECEIPTS_GATEWAY_REQUIRE_ALL is set: {report.longrepr}"
    return report


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture
def twilio_openapi() -> Path:
    """The published OpenAPI file of Conversations v1. It stays outside the project, so it may be absent."""
    path = Path(os.environ.get("TWILIO_OPENAPI") or ROOT / "../shared/twilio_conversations_v1.json").resolve()
    if not path.is_file():
        reason = f"no file {path}: set TWILIO_OPENAPI to Twilio's twilio_conversations_v1.json"
        pytest.skip(reason)
    return path


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[Client]:
    """The Twilio client, on the sandbox; its retries do not wait."""
    origin = Origin(sandbox.url, Credentials(sandbox.account_sid, sandbox.auth_token))
    async with Client(origin, retries=RetryPolicy(first_delay=0.0)) as client:
        yield client


@asynccontextmanager
async def live(
    sandbox: Sandbox, *, token: str | None = None, is_live: bool = False
) -> AsyncIterator[tuple[Starlette, str]]:
    """The demo's gateway with the sandbox's webhooks, and its address."""
    listener = listen("127.0.0.1", 0, "--port")
    app = demo_app(sandbox, token=token, webhook_url=f"{address(listener)}{WEBHOOK_PATH}", is_live=is_live)
    async with serving(app, listener=listener) as url:
        yield app, url


class RedisServer:
    """A redis-server that can be stopped, started and frozen."""

    def __init__(self, directory: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self._directory = directory
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        command = ["redis-server", "--port", str(self.port), "--save", "", "--dir", str(self._directory), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if b"eady to accept connections" in line:
                return

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    if shutil.which("redis-server") is None:
        pytest.skip("no redis-server: install Debian's package redis-server")
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()


class Steps:
    """Counts the bytecode instructions that Python carries out meanwhile: work that is the same on every machine."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Self:
        self._before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self.count += event == "opcode"
        return self._trace


class Answers(ABC):
    """A transport without a wire, for tests that count calls and round trips."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def send(self, target: str, on_done: OnDone) -> TaskExchange:
        return TaskExchange(self.answer(target), on_done)

    @abstractmethod
    async def answer(self, target: str) -> Response:
        """The answer to a GET of the target."""


def client_over(answers: Answers) -> Client:
    """A client that tries once, over a transport that is none."""
    origin = Origin("http://twilio.test", Credentials("AC" + "0" * 32, "secret"))
    return Client(origin, transport=lambda _: answers, concurrency=10_000, retries=RetryPolicy(attempts=1))


@dataclass(frozen=True)
class Answer:
    """What came of an operation, and the upstream calls it made."""

    data: Any
    errors: list[dict[str, Any]]
    paths: list[str]

    @property
    def codes(self) -> list[str]:
        """The errors' codes."""
        return [error["extensions"]["code"] for error in self.errors]


class Ask:
    """Runs operations in process: `await ask(query, serviceSid="IS…")`. The landmarks' names need no value."""

    def __init__(self, sandbox: Sandbox, client: Client) -> None:
        self.sandbox = sandbox
        self.operations = Account(client)

    async def __call__(self, query: str, *, no_cache: bool = False, **variables: Any) -> Answer:
        self.sandbox.reset()
        given = landmark_variables(query, self.sandbox.landmarks) | variables
        outcome = await self.operations.run(Operation(query, variables=given, no_cache=no_cache))
        return Answer(outcome.data, [failure.as_json() for failure in outcome.failures], list(self.sandbox.paths))


@pytest.fixture
def ask(sandbox: Sandbox, client: Client) -> Ask:
    return Ask(sandbox, client)


def npm_ci(folder: Path, into: Path, *left: str) -> None:
    """Copy a folder, without what is `left`, and link the packages of its lock; a test that cannot have them is skipped.

    They are installed once for all processes and later runs, until the lock is another; `pytest --cache-clear` removes them.
    """
    if shutil.which("npm") is None:
        pytest.skip("no npm: install Node.js 20 or later for the tests that need it")
    wanted = sha256((folder / "package.json").read_bytes() + (folder / "package-lock.json").read_bytes()).hexdigest()
    ignored = shutil.ignore_patterns("*.py", "__pycache__", *left)
    shutil.copytree(folder, into, dirs_exist_ok=True, ignore=ignored)
    place = ROOT / ".pytest_cache" / "d" / "npm" / "-".join(folder.relative_to(ROOT).parts)
    place.mkdir(parents=True, exist_ok=True)
    with (place / "installed").open("a+", encoding="utf-8") as installed:
        fcntl.flock(installed, fcntl.LOCK_EX)
        installed.seek(0)
        if installed.read() != wanted:
            installed.truncate(0)
            shutil.copytree(folder, place, dirs_exist_ok=True, ignore=ignored)
            command = ["npm", "ci", "--silent", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"]
            if subprocess.run(command, cwd=place, stdout=subprocess.DEVNULL, check=False).returncode:
                pytest.skip("npm ci failed: this test needs the npm registry")
            installed.write(wanted)
    (into / "node_modules").symlink_to(place / "node_modules")


@pytest.fixture
async def base_url(sandbox: Sandbox) -> AsyncIterator[str]:
    """The base URL of a gateway over the sandbox."""
    async with serving(create_app(settings_for(sandbox))) as url:
        yield url


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # The lists below the address bar are pages, loaded with each context for the cost of a fifth of GraphiQL.
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


@pytest.fixture
def bundle() -> Path:
    """The built page. It needs npm when the package is built, so it may be absent."""
    if not (BUNDLE / "index.html").is_file():
        pytest.skip("GraphiQL's bundle is not there: install again with Node.js 20.19 or later and the npm registry")
    return BUNDLE


expect.set_options(
    timeout=20_000
)  # Milliseconds. Where a machine is busy, a page takes longer than the default of 5,000.


def find_chromium() -> str | None:
    """Return the command of Chromium, as distributions name it."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@asynccontextmanager
async def launched(executable: str) -> AsyncIterator[str]:
    """A Chromium, and the address at which it can be connected to."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable, args=[*CHROMIUM_FLAGS, f"--remote-debugging-port={port}"]
        )
        yield f"http://127.0.0.1:{port}"
        await browser.close()


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one Chromium for all tests, which each have a context of their own in it: storage, cache and pages."""
    executable = find_chromium()
    if executable is None:
        pytest.skip("no chromium: install Debian's package of that name to try GraphiQL in it")
    with pytest.MonkeyPatch.context() as patch:
        # Each test starts Playwright's driver, since each has an event loop of its own: compiled, in two thirds of the time.
        patch.setenv("NODE_COMPILE_CACHE", str(tmp_path_factory.getbasetemp().parent / "node"))
        # In an event loop of its own: each test has another.
        with start_blocking_portal() as portal, portal.wrap_async_context_manager(launched(executable)) as address:
            yield address


@pytest.fixture
async def browser(bundle: Path, chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(chromium)
        yield browser
        await browser.close()

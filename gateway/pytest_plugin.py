"""Contract tests: fixtures and markers that pytest has wherever this package is installed beside it.

Nothing is in use that a test does not ask for, and nothing else of the gateway is imported until then. The sandbox and the
gateway run in a thread with an event loop of their own, so that a test may be sync, or async by whatever plugin.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

    from gateway.accounts.account import Account
    from gateway.sandbox import Sandbox
    from gateway.twilio.client import Attempt

__all__ = ["Answer", "Gateway"]

_MARKERS = {
    "receipts_faults": '(pattern, kind, **options): what goes wrong in `receipts_sandbox`, such as ("*/Receipts*", "status", '
    "status=429, times=2). May be repeated; of several that fit a call the first strikes, read from top to bottom.",
    "receipts_switches": "(**switches): what `receipts_sandbox` does where Twilio's behaviour is not known, such as "
    '(chat_only_delivery="zero").',
}


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known."""
    for name, about in _MARKERS.items():
        config.addinivalue_line("markers", name + about)


@dataclass(frozen=True)
class Answer:
    """What a gateway answered, as JSON values, and the upstream calls it made for that."""

    data: Any
    """None, too, where the operation was refused before it ran."""
    errors: list[dict[str, Any]]
    extensions: dict[str, Any]
    """Those of an answer to a request with `X-Gateway-Trace: 1`: `cost`, and `upstream` with every call."""
    upstream_calls: list[str]
    """The upstream paths it asked for, behind `/v1/`, in that order; what was tried again is there again."""

    @property
    def codes(self) -> list[str]:
        """The errors' codes."""
        return [error["extensions"]["code"] for error in self.errors]


class Gateway:
    """A gateway over the sandbox of a test, in process. It keeps nothing between queries."""

    def __init__(self, sandbox: Sandbox, account: Account, portal: BlockingPortal) -> None:
        """Take the sandbox, what carries out operations on it, and the way into their event loop."""
        self._sandbox = sandbox
        self._account = account
        self._portal = portal

    @property
    def upstream_calls(self) -> list[str]:
        """The paths of all calls that the test's sandbox has had, behind `/v1/`, in order of arrival."""
        return self._sandbox.paths

    async def query(self, document: str, variables: dict[str, Any] | None = None, **more: Any) -> Answer:
        """The answer to one operation; to be awaited in an event loop of asyncio or trio.

        Variables are given as a dictionary, by name (`first=10`), or both. Those named as the sandbox's landmarks are, such
        as `$serviceSid` and `$conversationSid`, need no value. Three names are options instead: `no_cache=True` is
        `Cache-Control: no-cache`, `seconds` is `X-Gateway-Timeout`, `operation_name` chooses among several operations.
        TypeError for a name that is none of these, and no variable of the document.
        """
        return await self._portal.call_async(partial(self._answer, document, variables, **more))

    def query_sync(self, document: str, variables: dict[str, Any] | None = None, **more: Any) -> Answer:
        """The same, in tests that are not async."""
        return self._portal.call(partial(self._answer, document, variables, **more))

    async def _answer(
        self,
        document: str,
        variables: dict[str, Any] | None,
        *,
        fresh: bool = False,
        seconds: float | None = None,
        operation_name: str | None = None,
        **more: Any,
    ) -> Answer:
        from gateway.accounts.operation import Operation
        from gateway.ask import landmark_variables
        from gateway.execution.inputs import undeclared

        attempts: list[tuple[float, str]] = []

        def note(target: str, attempt: Attempt) -> None:
            attempts.append((attempt.began, target))

        outcome = await self._account.run(
            Operation(
                document,
                variables=landmark_variables(document, self._sandbox.landmarks) | (variables or {}) | more,
                name=operation_name,
                no_cache=fresh,
                timeout=seconds,
                trace=True,
                on_attempt=note,
            )
        )
        unknown = undeclared(document, more)
        if unknown:
            names = ", ".join(unknown)
            raise TypeError(f"query() was given {names}: no variable that the document declares, and no option.")
        return Answer(
            outcome.data,
            [failure.as_json() for failure in outcome.failures],
            outcome.extensions,
            [target for _, target in sorted(attempts, key=lambda each: each[0])],
        )


@pytest.fixture
def _receipts_portal() -> Iterator[BlockingPortal]:
    """The event loop that the sandbox and the gateways over it run in."""
    from anyio.from_thread import start_blocking_portal

    with start_blocking_portal(name="receipts-gateway") as portal:
        yield portal


@pytest.fixture
def receipts_sandbox(request: pytest.FixtureRequest, _receipts_portal: BlockingPortal) -> Iterator[Sandbox]:
    """A running pretend Twilio of this test alone: `.landmarks`, `.faults`, `.switches`, `.paths`."""
    from gateway.sandbox import Sandbox
    from gateway.sandbox.parsing import change_switches, parse_fault

    sandbox = Sandbox()
    # The test's own switches come last, and have the last word.
    for mark in reversed(_marks(request.node, "receipts_switches")):
        with _naming(mark):
            if mark.args:
                raise ValueError('it takes switches by name, such as (chat_only_delivery="zero")')
            sandbox.switches = change_switches(sandbox.switches, mark.kwargs)
    for mark in _marks(request.node, "receipts_faults"):
        with _naming(mark):
            if len(mark.args) != 2 or not isinstance(mark.args[0], str):
                raise ValueError('it takes a pattern and a kind, such as ("*/Receipts*", "status", status=429)')
            sandbox.faults.add(mark.args[0], parse_fault({"kind": mark.args[1], **mark.kwargs}))
    with _receipts_portal.wrap_async_context_manager(sandbox):
        yield sandbox


@pytest.fixture
def receipts_gateway(receipts_sandbox: Sandbox, _receipts_portal: BlockingPortal) -> Iterator[Gateway]:
    """A gateway in process over `receipts_sandbox`: `answer = await receipts_gateway.query("{ … }")`."""
    from gateway.accounts.account import Account
    from gateway.app import create_client
    from gateway.demo import settings_for

    with _receipts_portal.wrap_async_context_manager(create_client(settings_for(receipts_sandbox))) as client:
        yield Gateway(receipts_sandbox, Account(client), _receipts_portal)


@pytest.fixture
def receipts_gateway_url(receipts_sandbox: Sandbox, _receipts_portal: BlockingPortal) -> Iterator[str]:
    """The address of a gateway over `receipts_sandbox`, served by HTTP; GraphQL is at `/graphql` there."""
    from gateway.demo import demo_app
    from gateway.web.server import serving

    with _receipts_portal.wrap_async_context_manager(serving(demo_app(receipts_sandbox))) as url:
        yield url


def _marks(item: pytest.Item, name: str) -> list[pytest.Mark]:
    """The markers of that name that hold for a test, its own before those of its class and module, as they are read."""
    found: list[pytest.Mark] = []
    for node in reversed(item.listchain()):
        marks = [mark for mark in node.own_markers if mark.name == name]
        # Python applies decorators from the lowest to the topmost.
        found += reversed(marks) if isinstance(node, pytest.Function | pytest.Class) else marks
    return found


@contextmanager
def _naming(mark: pytest.Mark) -> Iterator[None]:
    """Say of which marker a ValueError speaks."""
    try:
        yield
    except ValueError as error:
        raise pytest.fail.Exception(f"@pytest.mark.{mark.name}: {error}", pytrace=False) from None

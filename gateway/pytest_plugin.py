"""A pytest plugin for contract tests: fixtures and markers, active wherever this package is installed beside pytest.

- `receipts_gateway`: a `Gateway` in process
- `receipts_gateway_url`: the address of a gateway over HTTP
- `receipts_sandbox`: the `gateway.sandbox.Sandbox` that both read from, of this test alone
- `@pytest.mark.receipts_faults(pattern, kind, **options)`: adds a fault to the sandbox
- `@pytest.mark.receipts_switches(**switches)`: sets switches of the sandbox

A test fails if a fault or a switch of its own markers had no effect: see `receipts_unmet` in `pytest --help`.

A fixture imports and starts what it needs when a test requests it. The sandbox and the gateway run in a thread with their own
event loop, so that tests may be sync, or async with any plugin.

Example:
    @pytest.mark.receipts_faults("*", "status", status=403)
    def test_a_rejection_has_a_code(receipts_gateway):
        answer = receipts_gateway.query_sync("{ services { edges { cursor } } }")
        assert answer.codes == ["UPSTREAM_REJECTED"]
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

    from gateway.accounts.account import Account
    from gateway.sandbox import Sandbox
    from gateway.sandbox.faults import FaultRule
    from gateway.twilio.client import Attempt

__all__ = ["Answer", "Gateway"]

_MARKERS = {
    "receipts_faults": '(pattern, kind, **options): adds a fault to `receipts_sandbox`, such as ("*/Receipts*", "status", '
    "status=429, times=2). May be repeated; of several that match a call the first applies, read from top to bottom.",
    "receipts_switches": "(**switches): sets switches of `receipts_sandbox`, for behaviour that Twilio does not document, "
    'such as (chat_only_delivery="zero").',
}


_UNMET = ("fail", "warn", "ignore")
_ON_UNMET = "receipts_unmet"


@dataclass
class _Markers:
    """What the markers of a test itself have set, to see whether its calls met it."""

    sandbox: Sandbox
    faults: list[tuple[pytest.Mark, FaultRule]] = field(default_factory=list)
    switches: list[pytest.Mark] = field(default_factory=list)

    def unmet(self) -> list[str]:
        """Return a line for each fault that hit no call, and for each switch that changed no response."""
        lines = []
        for mark, rule in self.faults:
            if not rule.hits and (rule.fault.probability == 1 or not rule.seen):
                calls = f"{rule.seen} calls matched" if rule.seen else "no call matched"
                lines.append(f"@pytest.mark.{mark.name}({mark.args[0]!r}, {mark.args[1]!r}, …) hit no call: {calls}.")
        for mark in self.switches:
            lines += [
                f"@pytest.mark.{mark.name}({name}={value!r}) changed no response."
                for name, value in mark.kwargs.items()
                if not self.sandbox.is_default(name) and not self.sandbox.has_effect(name)
            ]
        return lines


_MARKERS_OF_TEST = pytest.StashKey[_Markers]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the option for markers that had no effect."""
    parser.addini(
        _ON_UNMET,
        "What becomes of a test whose own markers receipts_faults or receipts_switches had no effect: fail, warn or ignore.",
        default="fail",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    for name, about in _MARKERS.items():
        config.addinivalue_line("markers", name + about)
    if config.getini(_ON_UNMET) not in _UNMET:
        raise pytest.UsageError(f"{_ON_UNMET} must be one of {', '.join(_UNMET)}.")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Fail a test that passed although a fault or a switch of its own markers had no effect, such as a misspelt pattern."""
    yield
    markers = item.stash.get(_MARKERS_OF_TEST, None)
    on_unmet = item.config.getini(_ON_UNMET)
    unmet = markers.unmet() if markers is not None and on_unmet != "ignore" else []
    if unmet and on_unmet == "fail":
        pytest.fail("\n".join([*unmet, f"To be warned instead: {_ON_UNMET} = warn"]), pytrace=False)
    for line in unmet:
        item.warn(pytest.PytestWarning(line))


@dataclass(frozen=True)
class Answer:
    """The answer to one operation, as JSON values, and the upstream calls made for it."""

    data: Any
    """The data; None also when the operation was rejected before it ran."""
    errors: list[dict[str, Any]]
    extensions: dict[str, Any]
    """The extensions of a request with `X-Gateway-Trace: 1`: `cost`, and `upstream` with every call."""
    upstream_calls: list[str]
    """The upstream paths, without `/v1/`, in the order of the calls; a retried call is there again."""

    @property
    def codes(self) -> list[str]:
        """The errors' codes."""
        return [error["extensions"]["code"] for error in self.errors]


class Gateway:
    """A gateway in process over the sandbox of a test. It caches nothing between queries."""

    def __init__(self, sandbox: Sandbox, account: Account, portal: BlockingPortal) -> None:
        """Initialize with an account that is open on the sandbox, and the portal to their event loop."""
        self._sandbox = sandbox
        self._account = account
        self._portal = portal

    @property
    def upstream_calls(self) -> list[str]:
        """The paths of all calls to the test's sandbox, without `/v1/`, in order of arrival."""
        return self._sandbox.paths

    async def query(self, document: str, variables: dict[str, Any] | None = None, **more: Any) -> Answer:
        """Run one operation and return its answer; awaitable on asyncio and trio.

        Args:
            document: The GraphQL document.
            variables: Its variables. Those with the names of the sandbox's landmarks, such as `$serviceSid` and
                `$conversationSid`, need no value.
            **more: More variables, such as `first=10`; or options: `no_cache=True` for `Cache-Control: no-cache` (alias:
                `fresh`), `seconds` for `X-Gateway-Timeout`, `operation_name` to choose one of several operations.

        Raises:
            TypeError: A name in `more` is neither an option nor a variable of the document.
        """
        return await self._portal.call_async(partial(self._answer, document, variables, **more))

    def query_sync(self, document: str, variables: dict[str, Any] | None = None, **more: Any) -> Answer:
        """Run one operation and return its answer, as `query` does, in a test that is not async."""
        return self._portal.call(partial(self._answer, document, variables, **more))

    async def _answer(
        self,
        document: str,
        variables: dict[str, Any] | None,
        *,
        no_cache: bool = False,
        fresh: bool = False,
        seconds: float | None = None,
        operation_name: str | None = None,
        **more: Any,
    ) -> Answer:
        from gateway.accounts.operation import Operation
        from gateway.demo import landmark_variables
        from gateway.execution.inputs import undeclared

        attempts: list[tuple[float, str]] = []

        def note(target: str, attempt: Attempt) -> None:
            attempts.append((attempt.began, target))

        outcome = await self._account.run(
            Operation(
                document,
                variables=landmark_variables(document, self._sandbox.landmarks) | (variables or {}) | more,
                name=operation_name,
                no_cache=no_cache or fresh,
                timeout=seconds,
                trace=True,
                on_attempt=note,
            )
        )
        unknown = undeclared(document, more)
        if unknown:
            names = ", ".join(unknown)
            raise TypeError(f"query() got {names}: neither options nor variables that the document declares.")
        return Answer(
            outcome.data,
            [failure.as_json() for failure in outcome.failures],
            outcome.extensions,
            [target for _, target in sorted(attempts, key=lambda each: each[0])],
        )


@pytest.fixture
def _receipts_portal() -> Iterator[BlockingPortal]:
    """The event loop of the sandbox and of the gateways over it, in a thread."""
    from anyio.from_thread import start_blocking_portal

    with start_blocking_portal(name="receipts-gateway") as portal:
        yield portal


@pytest.fixture
def receipts_sandbox(request: pytest.FixtureRequest, _receipts_portal: BlockingPortal) -> Iterator[Sandbox]:
    """A running sandbox of this test alone: `.landmarks`, `.faults`, `.switches`, `.paths`."""
    from gateway.sandbox import Sandbox
    from gateway.sandbox.parsing import change_switches, parse_fault

    sandbox = Sandbox()
    markers = _Markers(sandbox)
    own = set(map(id, request.node.own_markers))
    # The test's own switches are applied last, over those of its class and module.
    for mark in reversed(_marks(request.node, "receipts_switches")):
        with _naming(mark):
            if mark.args:
                raise ValueError('it takes switches by name, such as (chat_only_delivery="zero")')
            sandbox.switches = change_switches(sandbox.switches, mark.kwargs)
            markers.switches += [mark] if id(mark) in own else []
    for mark in _marks(request.node, "receipts_faults"):
        with _naming(mark):
            if len(mark.args) != 2 or not isinstance(mark.args[0], str):
                raise ValueError('it takes a pattern and a kind, such as ("*/Receipts*", "status", status=429)')
            rule = sandbox.faults.add(mark.args[0], parse_fault({"kind": mark.args[1], **mark.kwargs}))
            markers.faults += [(mark, rule)] if id(mark) in own else []
    request.node.stash[_MARKERS_OF_TEST] = markers
    with _receipts_portal.wrap_async_context_manager(sandbox):
        yield sandbox


@pytest.fixture
def receipts_gateway(receipts_sandbox: Sandbox, _receipts_portal: BlockingPortal) -> Iterator[Gateway]:
    """A gateway in process over `receipts_sandbox`: `answer = await receipts_gateway.query("{ … }")`."""
    from gateway.app import open_account
    from gateway.demo import settings_for

    settings = replace(settings_for(receipts_sandbox), cache_bytes=0)
    with _receipts_portal.wrap_async_context_manager(open_account(settings)) as account:
        yield Gateway(receipts_sandbox, account, _receipts_portal)


@pytest.fixture
def receipts_gateway_url(receipts_sandbox: Sandbox, _receipts_portal: BlockingPortal) -> Iterator[str]:
    """The address of a gateway over `receipts_sandbox`, served over HTTP; GraphQL is at `/graphql` there."""
    from gateway.demo import demo_app
    from gateway.web.server import serving

    with _receipts_portal.wrap_async_context_manager(serving(demo_app(receipts_sandbox))) as url:
        yield url


def _marks(item: pytest.Item, name: str) -> list[pytest.Mark]:
    """Return the markers of that name that apply to a test, in the order in which its file is read."""
    found: list[pytest.Mark] = []
    for node in reversed(item.listchain()):
        marks = [mark for mark in node.own_markers if mark.name == name]
        # Python applies decorators from the lowest to the highest.
        found += reversed(marks) if isinstance(node, pytest.Function | pytest.Class) else marks
    return found


@contextmanager
def _naming(mark: pytest.Mark) -> Iterator[None]:
    """Fail the test with the message of a ValueError, and the marker that caused it."""
    try:
        yield
    except ValueError as error:
        raise pytest.fail.Exception(f"@pytest.mark.{mark.name}: {error}", pytrace=False) from None

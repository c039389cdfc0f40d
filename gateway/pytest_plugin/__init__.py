"""A pytest plugin for contract tests: fixtures and markers, active wherever this package is installed beside pytest.

- `receipts_gateway`: a `Gateway` in process: `query` it, or `subscribe` to what changes
- `receipts_gateway_url`: the address of the same gateway over HTTP
- `receipts_sandbox`: the `gateway.sandbox.Sandbox` that it reads from, of this test alone
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
from typing import TYPE_CHECKING

import pytest

from .events import Events, SubscriptionEnded
from .markers import Markers, marks_of, naming
from .operations import Answer, Gateway

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal
    from starlette.applications import Starlette

    from gateway.sandbox import Sandbox

__all__ = ["Answer", "Events", "Gateway", "SubscriptionEnded"]

_MARKERS = {
    "receipts_faults": '(pattern, kind, **options): adds a fault to `receipts_sandbox`, such as ("*/Receipts*", "status", '
    "status=429, times=2). May be repeated; of several that match a call the first applies, read from top to bottom.",
    "receipts_switches": "(**switches): sets switches of `receipts_sandbox`, for behaviour that Twilio does not document, "
    'such as (chat_only_delivery="zero").',
}


_UNMET = ("fail", "warn", "ignore")
_ON_UNMET = "receipts_unmet"


_MARKERS_OF_TEST = pytest.StashKey[Markers]()


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
    markers = Markers(sandbox)
    own = set(map(id, request.node.own_markers))
    # The test's own switches are applied last, over those of its class and module.
    for mark in reversed(marks_of(request.node, "receipts_switches")):
        with naming(mark):
            if mark.args:
                raise ValueError('it takes switches by name, such as (chat_only_delivery="zero")')
            sandbox.switches = change_switches(sandbox.switches, mark.kwargs)
            markers.switches += [mark] if id(mark) in own else []
    for mark in marks_of(request.node, "receipts_faults"):
        with naming(mark):
            if len(mark.args) != 2 or not isinstance(mark.args[0], str):
                raise ValueError('it takes a pattern and a kind, such as ("*/Receipts*", "status", status=429)')
            rule = sandbox.faults.add(mark.args[0], parse_fault({"kind": mark.args[1], **mark.kwargs}))
            markers.faults += [(mark, rule)] if id(mark) in own else []
    request.node.stash[_MARKERS_OF_TEST] = markers
    with _receipts_portal.wrap_async_context_manager(sandbox):
        yield sandbox


@pytest.fixture
def _receipts_served(receipts_sandbox: Sandbox, _receipts_portal: BlockingPortal) -> Iterator[tuple[Starlette, str]]:
    """A gateway over `receipts_sandbox`, to which the sandbox sends its webhooks, and its address."""
    from gateway.demo import demo_app
    from gateway.web.server import address, listen, serving
    from gateway.web.webhooks import WEBHOOK_PATH

    listener = listen("127.0.0.1", 0, "--port")
    webhook_url = f"{address(listener)}{WEBHOOK_PATH}"
    app = demo_app(receipts_sandbox, webhook_url=webhook_url)
    with _receipts_portal.wrap_async_context_manager(serving(app, listener=listener)) as url:
        yield app, url


@pytest.fixture
def receipts_gateway(
    receipts_sandbox: Sandbox, _receipts_served: tuple[Starlette, str], _receipts_portal: BlockingPortal
) -> Gateway:
    """A gateway in process over `receipts_sandbox`: `.query("{ … }")`, `.subscribe("subscription …")`, `.upstream_calls`."""
    state = _receipts_served[0].state
    return Gateway(receipts_sandbox, state.account, state.streams, _receipts_portal)


@pytest.fixture
def receipts_gateway_url(_receipts_served: tuple[Starlette, str]) -> str:
    """The address of the same gateway, served over HTTP; GraphQL is at `/graphql` there, also over WebSockets."""
    return _receipts_served[1]

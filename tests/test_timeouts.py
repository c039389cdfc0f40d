"""Time limits of tests: one that never ends fails, on each event loop, and one that failed leaves nothing that waits."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]
CONFTEST = """
import asyncio
import uvloop
from tests import timeouts
from tests.timeouts import pytest_runtest_teardown, pytest_timeout_set_timer

timeouts.TEARDOWN_SECONDS = 1.0

def pytest_asyncio_loop_factories(config, item):
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
"""
ENDLESS = '''
import asyncio
import aiohttp
import pytest
from gateway.app import create_app
from gateway.demo import settings_for
from gateway.sandbox import Sandbox
from gateway.web.server import serving

SUBSCRIPTION = 'subscription { deliveryUpdated(serviceSid: "%s") { __typename } }'

@pytest.fixture
async def stream():
    """A stream that is open, which the server must not wait for at its end."""
    async with Sandbox() as sandbox, serving(create_app(settings_for(sandbox))) as url, aiohttp.ClientSession() as http:
        query = SUBSCRIPTION % sandbox.landmarks["service_sid"]
        async with http.get(f"{url}/graphql", params={"query": query}, headers={"Accept": "text/event-stream"}) as response:
            yield response.content

@pytest.fixture
async def endless():
    yield
    await asyncio.Event().wait()

@pytest.mark.timeout(60)
async def test_first(stream):
    await stream.readuntil(b"\\n\\n")

async def test_that_waits(stream):
    await stream.read()

async def test_with_a_task_that_works(stream):
    async def work():
        while True:
            await asyncio.sleep(0)
    task = asyncio.create_task(work())
    await stream.read()

async def test_that_goes_on_when_it_is_cancelled(stream):
    try:
        await stream.read()
    finally:
        await asyncio.Event().wait()

async def test_that_fails_before_an_endless_teardown(stream, endless):
    assert False

@pytest.mark.timeout(60)
async def test_last(stream):
    await stream.readuntil(b"\\n\\n")
'''


@pytest.mark.timeout(180)
def test_what_never_ends_is_interrupted(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes some seconds: the limits are what is tested."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeini(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
        "timeout = 1\ntimeout_func_only = true\n"
    )
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(ENDLESS)
    result = pytester.runpytest_subprocess("-v", "-p", "no:cacheprovider", timeout=150)
    for loop in ("asyncio", "uvloop"):
        lines = [
            f"*::test_first[[]{loop}] PASSED*",
            f"*::test_that_waits[[]{loop}] FAILED*",
            f"*::test_with_a_task_that_works[[]{loop}] FAILED*",
            f"*::test_that_goes_on_when_it_is_cancelled[[]{loop}] FAILED*",
            f"*::test_that_fails_before_an_endless_teardown[[]{loop}] FAILED*",
            f"*::test_that_fails_before_an_endless_teardown[[]{loop}] ERROR*",
            f"*::test_last[[]{loop}] PASSED*",
        ]
        result.stdout.fnmatch_lines(lines)
    assert str(result.stdout).count("TimedOut: Timeout") >= 8

"""Time limits that hold everywhere: pytest-timeout's do not on uvloop, nor in the teardown of a test that failed.

`tests/conftest.py` takes over the hooks.
"""

import gc
import signal
from collections.abc import Generator
from types import FrameType
from typing import Any

import pytest

__all__ = ["TEARDOWN_SECONDS", "TimedOut", "pytest_runtest_teardown", "pytest_timeout_set_timer"]

TEARDOWN_SECONDS = 20.0
"""For the teardown of a test that failed, and for what is left of any teardown that was interrupted."""

_SETTINGS = pytest.StashKey[Any]()


class TimedOut(pytest.fail.Exception, SystemExit):  # type: ignore[misc,name-defined]
    """A test took too long.

    Of what a signal's handler raises, uvloop lets through only SystemExit and KeyboardInterrupt: it logs the rest, and the loop
    runs on. With SystemExit, it does not stay in a task that happens to run either.
    """


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> Generator[None, object, object]:
    """Let the timer of pytest-timeout interrupt whatever runs."""
    result = yield
    if settings.method == "signal" and callable(handler := signal.getsignal(signal.SIGALRM)):
        item.stash[_SETTINGS] = settings

        def interrupt(number: int, frame: FrameType | None) -> None:
            try:
                handler(number, frame)
            except pytest.fail.Exception as timeout:
                raise TimedOut(timeout.msg) from None

        signal.signal(signal.SIGALRM, interrupt)
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Limit the teardown of a test that failed as well: pytest-timeout stops its timer when a test fails."""
    settings = item.stash.get(_SETTINGS, None)
    if settings is None:
        return (yield)
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    if not left:
        item.ihook.pytest_timeout_set_timer(item=item, settings=settings._replace(timeout=TEARDOWN_SECONDS))
    signal.setitimer(signal.ITIMER_REAL, left or TEARDOWN_SECONDS, TEARDOWN_SECONDS)
    try:
        return (yield)
    finally:
        item.ihook.pytest_timeout_cancel_timer(item=item)
        if not left:
            # Tasks that were interrupted are reported when they are collected. In the middle of a later report, which parses
            # source as theirs does, Python 3.11.7 fails: https://github.com/python/cpython/issues/106905
            gc.collect()

"""`receipts-gateway sandbox`: the sandbox alone."""

import signal
import urllib.request

import pytest

from .conftest import start


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_sandbox_runs_alone_and_stops(number: signal.Signals) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # As a shell has it for what it starts in the background.
    try:
        sandbox = start("sandbox", "--port", "0", "--seed", "7")
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        assert sandbox.stdout is not None
        url = sandbox.stdout.readline().split()[1]
        with urllib.request.urlopen(url, timeout=10) as response:
            assert response.status == 200
        sandbox.send_signal(number)
        _, errors = sandbox.communicate(timeout=10)
    finally:
        sandbox.kill()
        sandbox.communicate()
    assert (sandbox.returncode, errors) == (0, "")

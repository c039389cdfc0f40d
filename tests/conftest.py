"""Fixtures that all tests share: the sandbox, a client and a gateway on it, and the description of Twilio's API."""

import os
from collections.abc import AsyncIterator, Generator
from pathlib import Path

import pytest

from gateway.sandbox import Sandbox

ROOT = Path(__file__).parent.parent


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


@pytest.fixture
def twilio_openapi() -> Path:
    """The published OpenAPI file of Conversations v1. It stays outside the project, so it may be absent."""
    path = Path(os.environ.get("TWILIO_OPENAPI") or ROOT / "../shared/twilio_conversations_v1.json").resolve()
    if not path.is_file():
        reason = f"no file {path}: set TWILIO_OPENAPI to Twilio's twilio_conversations_v1.json"
        pytest.skip(reason)
    return path


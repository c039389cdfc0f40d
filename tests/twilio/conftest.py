"""What the tests of this folder share: a client on the sandbox whose bounds they choose."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.sandbox import Sandbox
from gateway.twilio.client import Client
from gateway.twilio.retry import RetryPolicy
from gateway.twilio.transport import Credentials, Origin, Timeouts


@asynccontextmanager
async def client_of(sandbox: Sandbox, concurrency: int = 64, **timeouts: float) -> AsyncIterator[Client]:
    """A client that retries without a pause."""
    origin = Origin(sandbox.url, Credentials(sandbox.account_sid, sandbox.auth_token), Timeouts(**timeouts))
    async with Client(origin, concurrency=concurrency, retries=RetryPolicy(first_delay=0.0)) as client:
        yield client

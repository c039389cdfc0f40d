"""A simulated Twilio: an HTTP server with the Conversations v1 API over seeded data. It imports no other part of the gateway.

Example:
    async with gateway.sandbox.Sandbox(seed=1, size="small") as sandbox:
        sandbox.faults.add("Services*", gateway.sandbox.Fault("status", status=429, times=1))
        settings = gateway.Settings(
            credentials=gateway.Credentials(sandbox.account_sid, sandbox.auth_token), upstream_url=sandbox.url
        )
        async with gateway.open_account(settings) as account:
            outcome = await account.run(gateway.Operation("{ services { edges { cursor } } }"))
        assert not outcome.failures
        assert len(sandbox.calls) == 2  # The first one was answered 429.
"""

from .calls import Call
from .faults import Fault
from .server import Sandbox
from .switches import Switches
from .webhooks import Webhook

__all__ = ["Call", "Fault", "Sandbox", "Switches", "Webhook"]

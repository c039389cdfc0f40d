"""A simulated Twilio: an HTTP server that speaks Conversations v1 over seeded data, importing nothing of the gateway."""

from .calls import Call
from .faults import Fault
from .server import Sandbox
from .switches import Switches

__all__ = ["Call", "Fault", "Sandbox", "Switches"]

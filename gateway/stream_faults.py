"""The sandbox's faults of events, applied to the streams of a gateway over it."""

import orjson

from gateway.sandbox.faults import Faults
from gateway.web.streams import End, Stream

__all__ = ["StreamFaults"]


class StreamFaults:
    """Lets streams end or stall as a sandbox's faults say: `apply` is a `Streams.on_payload`."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def apply(self, stream: Stream, payload: bytes) -> None:
        """Apply the fault that hits a payload, if there is one; errors, which end a subscription, are not hit."""
        data = orjson.loads(payload).get("data")
        if not data:
            return
        (field,) = data
        fault = self._faults.pick(f"{field}?{payload.decode()}", "event")
        if fault is None:
            return
        if fault.kind == "stall":
            stream.stall(self._faults.draw_latency(fault) or None)
        else:
            stream.end(End.TOKEN if fault.kind == "expire_token" else End.DEAD)

"""How a request wants its reads to be made."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.source.trace import Trace
from gateway.twilio.client import Attempt, AttemptListener
from gateway.twilio.statuses import ReceiptSummary

__all__ = ["ReadOptions"]


@dataclass(slots=True)
class ReadOptions:
    """The options of one request; they apply to all its reads."""

    caller: str = ""
    """The caller in whose queue the reads wait."""
    no_cache: bool = False
    """Read everything from Twilio: no cached value, and no read that another request has started."""
    deadline: float | None = None
    """Time of the event loop at which the request stops waiting; None for no limit."""
    trace: Trace | None = None
    """Records every upstream call, and every cached value that saved one."""
    on_attempt: AttemptListener | None = None
    """Called after every upstream request made for this request."""
    expected_summaries: dict[str, ReceiptSummary] = field(default_factory=dict)
    """The delivery summaries of the messages whose receipts are read, by the key of the list."""
    revalidate: set[str] = field(default_factory=set)
    """Keys whose cached values must not be used, since this request found them incomplete."""

    @property
    def attempt_listener(self) -> AttemptListener | None:
        """What to call after every upstream request: the trace, `on_attempt`, or both."""
        if self.trace is None or self.on_attempt is None:
            return self.on_attempt if self.trace is None else self.trace.add_attempt
        return self._notify_both

    def _notify_both(self, target: str, attempt: Attempt) -> None:
        if self.trace is not None and self.on_attempt is not None:
            self.trace.add_attempt(target, attempt)
            self.on_attempt(target, attempt)

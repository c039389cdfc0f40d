"""How a request wants its reads to be made."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from gateway.source.trace import Trace
from gateway.twilio.client import Attempt, AttemptListener
from gateway.twilio.resources import Row
from gateway.twilio.statuses import ReceiptSummary

__all__ = ["ExpectedSummaries", "ReadOptions"]


class ExpectedSummaries(msgspec.Struct, eq=False):
    """The delivery summaries of messages by the keys of their receipts, each taken from the message's row on first use."""

    _known: dict[str, ReceiptSummary] = {}
    _rows: dict[str, Row] = {}
    """Rows of messages whose summaries have not been used, by the key of the receipts."""
    _summary: Callable[[Row], ReceiptSummary | None] = lambda row: None

    __repr__ = object.__repr__  # Rows may be personal.

    def add(self, key: str, summary: ReceiptSummary) -> None:
        """Add or replace the summary for a key."""
        self._rows.pop(key, None)
        self._known[key] = summary

    def add_all(
        self, keys: Iterable[str], rows: Iterable[Row], summary: Callable[[Row], ReceiptSummary | None]
    ) -> None:
        """Add or replace the summaries that `summary` finds in messages' rows, for one key each."""
        self._summary = summary
        self._rows.update(zip(keys, rows, strict=True))

    def get(self, key: str) -> ReceiptSummary | None:
        """Return the summary for a key, if there is one."""
        row = self._rows.pop(key, None)
        if row is not None:
            summary = self._summary(row)
            if summary is not None:
                self._known[key] = summary
        return self._known.get(key)


class ReadOptions(msgspec.Struct, eq=False):
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
    expected_summaries: ExpectedSummaries = msgspec.field(default_factory=ExpectedSummaries)
    """The delivery summaries of the messages whose receipts are read."""
    revalidate: frozenset[str] = frozenset()
    """Keys that are read from Twilio, since this request found that their values may be out of date."""
    from_lists: bool = False
    """Take a record also from a cached page of its list."""

    __repr__ = object.__repr__  # Keys may hold names.

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

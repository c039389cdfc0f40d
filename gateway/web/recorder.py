"""The record of each request: one line in the log, the metrics, and a span where traces are on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

from gateway.callers.callers import Caller
from gateway.errors import GatewayError, InternalError, UpstreamError
from gateway.execution.outcome import Outcome
from gateway.web.connection import ClientDisconnected
from gateway.web.metrics import Metrics
from gateway.web.request import HttpRequest

if TYPE_CHECKING:
    from gateway.web.telemetry import Telemetry

__all__ = ["Recorder"]


class Recorder:
    """Records how requests end: one of its methods is called once for each, after `begin`."""

    def __init__(self, metrics: Metrics | None, telemetry: Telemetry | None) -> None:
        self._metrics = metrics
        self._telemetry = telemetry
        self._logger = structlog.get_logger("gateway").bind()  # Bound once: binding takes longer than writing a line.

    def begin(self, request: HttpRequest) -> None:
        """Begin the span of a request."""
        if self._telemetry is not None:
            request.span = self._telemetry.begin(request.headers)

    def executed(self, request: HttpRequest, outcome: Outcome, caller: Caller) -> None:
        """Record an operation with its outcome; as a warning when the gateway or Twilio is to blame for an error."""
        is_warning = outcome.failures and any(
            isinstance(failure.error, UpstreamError | InternalError) for failure in outcome.failures
        )
        seconds, code = time.perf_counter() - request.started_at, outcome.code
        values: dict[str, object] = {
            "caller": caller.name,
            "name": outcome.operation,
            "document": outcome.document,
            "calls": outcome.calls,
            "ms": _milliseconds(seconds),
            "outcome": code,
            "errors": len(outcome.failures),
        }
        if outcome.shared_with is not None:
            values["shared_with"] = outcome.shared_with
        (self._logger.warning if is_warning else self._logger.info)("operation", **values)
        if self._metrics is not None:
            self._metrics.answered(outcome, code, caller.name, seconds)
        if request.span is not None:
            request.span.end(outcome.operation, code, outcome.calls)

    def refused(self, request: HttpRequest, error: GatewayError, status: int) -> None:
        """Record a request that was answered with an error before its operation began."""
        self._logger.info("refused", code=error.code, status=status)
        if self._metrics is not None:
            self._metrics.refused(error.code)
        if request.span is not None:
            request.span.end(None, error.code, 0)

    def failed(self, request: HttpRequest, error: InternalError) -> None:
        """Record a fault of the gateway, which has been logged."""
        if request.span is not None:
            request.span.end(None, error.code, 0)

    def subscribed(self, request_id: str, transport: str, caller: str, name: str | None) -> None:
        """Record that a subscription has started; `name` is its operation's, if it was given."""
        self._logger.info("subscription started", request_id=request_id, transport=transport, caller=caller, name=name)

    def unsubscribed(
        self,
        request_id: str,
        transport: str,
        caller: str,
        name: str | None,
        *,
        reason: str,
        events: int,
        seconds: float,
    ) -> None:
        """Record that a subscription has ended (see `gateway.web.streams`), after this many events."""
        self._logger.info(
            "subscription ended",
            request_id=request_id,
            transport=transport,
            caller=caller,
            name=name,
            reason=reason,
            events=events,
            seconds=round(seconds, 1),
        )

    def socket_closed(self, caller: str | None, reason: str, code: int | None, seconds: float) -> None:
        """Record that a WebSocket has closed; `code` is that of the close frame which the gateway sent."""
        self._logger.info("socket closed", caller=caller, reason=reason, code=code, seconds=round(seconds, 1))

    def aborted(self, request: HttpRequest, reason: BaseException) -> None:
        """Record a request that gets no reply: its client disconnected, or the server stops."""
        if isinstance(reason, ClientDisconnected):
            self._logger.info("client disconnected", ms=_milliseconds(time.perf_counter() - request.started_at))
        if request.span is not None:
            request.span.end(None, "CLIENT_LEFT", 0)


def _milliseconds(seconds: float) -> float:
    return int(seconds * 10_000 + 0.5) / 10

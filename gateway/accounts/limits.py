"""The limits on operations."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.execution.context import OperationLimits

__all__ = ["Limits", "SubscriptionLimits"]


@dataclass(frozen=True, slots=True)
class Limits(OperationLimits):
    """The limits on one operation, and on all operations together."""

    deadline: float = 10.0
    """Seconds until an operation ends; reads that have not ended by then are errors at their paths."""
    max_operations: int = 512
    """Operations in progress at the same time; one more is rejected."""
    caller_budget: int = 0
    """Upstream calls per minute for each caller; 0 means no limit."""


@dataclass(frozen=True, slots=True)
class SubscriptionLimits:
    """The limits on subscriptions."""

    most: int = 10_000
    """Subscriptions at the same time; 0 means that none is accepted."""
    per_caller: int = 0
    """Subscriptions of one caller at the same time; 0 means no limit of its own."""
    queue: int = 256
    """Payloads that may wait for one subscriber; with more, its subscription ends."""

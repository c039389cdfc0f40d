"""The limits on operations."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.execution.context import OperationLimits

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits(OperationLimits):
    """The limits on one operation, and on all operations together."""

    deadline: float = 10.0
    """Seconds until an operation is answered with what is known by then."""
    max_operations: int = 512
    """Operations in progress at the same time; one more is rejected."""
    caller_budget: int = 0
    """Upstream calls a minute that each caller may cause; 0 means no limit."""

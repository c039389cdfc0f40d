"""The limits on operations."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits on one operation, and on all operations together."""

    deadline: float = 10.0
    """Seconds until an operation ends; reads that have not ended by then are errors at their paths."""
    cost_max: int = 5000
    """Upstream calls in the worst case (`requested`); an operation that could make more is rejected before it runs."""
    cost_limit: int = 500
    """Upstream calls made for one operation; reads beyond it are not made, and their fields are null with an error."""
    max_operations: int = 512
    """Operations in progress at the same time; one more is rejected."""
    caller_budget: int = 0
    """Upstream calls per minute for each caller; 0 means no limit."""

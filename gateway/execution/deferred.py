"""Incremental delivery: the deferred fragments, and their results (https://github.com/graphql/graphql-spec/pull/1110)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gateway.execution.context import Read
from gateway.execution.failures import Failure, ResponsePath
from gateway.execution.steps import Deferred

__all__ = ["DeferredGroup", "IncrementalPayload", "IncrementalResult", "Pending"]


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """A fragment with `@defer` at one place of the answer, whose result is not delivered yet. Equal only to itself."""

    path: ResponsePath
    label: str | None


@dataclass(frozen=True, slots=True)
class IncrementalResult:
    """The result of a deferred fragment at one place: its data and errors."""

    pending: Pending
    data: dict[str, Any] | None
    """None when a non-null field of the fragment is null."""
    failures: tuple[Failure, ...]


@dataclass(slots=True)
class IncrementalPayload:
    """One subsequent payload. Every fragment in `incremental` is completed by it."""

    incremental: list[IncrementalResult]
    pending: list[Pending]
    """Fragments with `@defer` inside the completed ones, whose results follow."""
    has_next: bool
    extensions: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class DeferredGroup:
    """The records with one deferred fragment; they are executed together. All lists run in parallel."""

    deferred: Deferred
    sources: list[Any]
    weights: list[int]
    """At how many places of the answer each record appears."""
    reads: list[Read]
    """The read of each record; empty for values inside a record."""
    places: list[list[Pending]]
    """The places of each record."""

    @property
    def pending(self) -> list[Pending]:
        """All places of the group."""
        return [place for places in self.places for place in places]

    def only(self, number: int) -> DeferredGroup:
        """Return a group of the one record with that number."""
        one = slice(number, number + 1)
        return DeferredGroup(self.deferred, self.sources[one], self.weights[one], self.reads[one], self.places[one])

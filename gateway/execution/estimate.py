"""What an operation will read, told before it runs: what leaves in the first round trip, and what all of it can cost.

The plan is walked with records of which only the path is known. A list's members stand in it as one, whose place in the
path is a star, `*1`; how many there can be is remembered beside it. So what many records share, as their conversation's
participants, has one key with one star, and is counted once for each conversation, not once for each record.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any

from graphql import GraphQLError

from gateway.errors import GatewayError
from gateway.execution.fields import Read
from gateway.execution.plan import Arguments, EdgeStep, Leaf, Nested, Plan, Selection

__all__ = ["Estimate", "EstimatedRead"]

_STAR = re.compile(r"\*\d+")


@dataclass(slots=True)
class EstimatedRead:
    """One edge's reads."""

    field: tuple[str, ...]
    """The edge's place in the answer."""
    key: str
    """The key that is read first, with stars for the members of lists."""
    calls: int
    """Upstream calls for one such key, at most."""
    times: int
    """How many such keys there can be."""
    round_trip: int
    """In which round trip it is read, at the earliest."""
    is_ahead: bool
    """Whether it is fetched before anything is known."""
    is_deferred: bool = False
    """Whether it is for a fragment with `@defer`, so that it is not read before the answer."""


@dataclass(slots=True)
class Estimate:
    """The reads of one operation with given variables; `context` tells who asks and what is allowed."""

    plan: Plan
    context: Any
    arguments: Arguments
    reads: list[EstimatedRead] = field(default_factory=list)
    lists: dict[str, tuple[tuple[str, ...], int]] = field(default_factory=dict)
    """The stars: each list's place in the answer, and how many members it can have."""
    refused: list[tuple[EdgeStep, Exception]] = field(default_factory=list)
    """The edges that read nothing, because of their arguments or for want of rights."""

    _met: set[tuple[int, str]] = field(default_factory=set)
    _keys: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._walk(self.plan.root, None, (), _Far())

    @property
    def ahead(self) -> dict[str, None]:
        """The keys to fetch before anything else, in the order of the query."""
        return dict.fromkeys(each.key for each in self.reads if each.is_ahead and not each.is_deferred)

    @property
    def ahead_of_deferred(self) -> dict[str, None]:
        """The keys to fetch once the answer is there, for what was deferred."""
        return dict.fromkeys(each.key for each in self.reads if each.is_ahead and each.is_deferred)

    @property
    def requested(self) -> int:
        """Upstream calls at most, retries aside: a key that several edges need counts once."""
        return sum(each.calls * each.times for each in self.priced())

    @property
    def round_trips(self) -> int:
        """Round trips one after another, when each list takes one."""
        return max((each.round_trip for each in self.reads), default=0)

    def priced(self) -> list[EstimatedRead]:
        """The reads without those that another one pays for."""
        dearest: dict[str, EstimatedRead] = {}
        for each in self.reads:
            if each.key not in dearest or dearest[each.key].calls < each.calls:
                dearest[each.key] = each
        return list(dearest.values())

    def as_json(self) -> dict[str, Any]:
        """The forecast as a dry run shows it, edge by edge in the order of the query."""
        return {
            "requested": self.requested,
            "roundTrips": self.round_trips,
            "edges": [
                {
                    "field": ".".join(each.field),
                    "upstream": self.context.redacted(each.key),
                    "calls": each.calls * each.times,
                    "roundTrip": each.round_trip,
                    "isAhead": each.is_ahead and not each.is_deferred,
                }
                for each in self.reads
            ],
        }

    def refusal(self, limit: int) -> dict[str, Any]:
        """Why it is too dear: what costs most, and one change that would fit."""
        priced = sorted(self.priced(), key=lambda each: -each.calls * each.times)
        contributors = [{"field": ".".join(each.field), "calls": each.calls * each.times} for each in priced[:3]]
        requested = sum(each.calls * each.times for each in priced)
        return {
            "requested": requested,
            "limit": limit,
            "contributors": contributors,
            "suggestion": self._suggestion(limit, requested, priced),
        }

    def _suggestion(self, limit: int, requested: int, priced: list[EstimatedRead]) -> str | None:
        """The list that can stay longest when it alone is made shorter, and how long it may be."""
        of_list: Counter[str] = Counter()
        for each in priced:
            for star in _STAR.findall(each.key):
                of_list[star] += each.calls * each.times
        best: tuple[int, str] | None = None
        for star, of_it in of_list.items():
            place, size = self.lists[star]
            others = requested - of_it
            fits = (limit - others) * size // of_it if of_it and limit > others else 0
            if fits >= 1 and (best is None or fits > best[0]):
                best = fits, f"{'.'.join(place)}(first: {fits})"
        return best[1] if best is not None else None

    def _walk(
        self, selection: Selection, record: Any, place: tuple[str, ...], far: _Far, *, has_row: bool = False
    ) -> None:
        has_row = has_row or selection.needs_row
        for step in selection.steps:
            if isinstance(step, Leaf):
                continue
            below = (*place, step.key)
            if isinstance(step, Nested):
                self._walk_within(step, record, below, far)
                continue
            for read in self._reads(step, record, below):
                # The record, once read, may tell where the edge leads, or that there is nothing to find.
                hangs = step.edge.needs_row or (read.may_be_idle and has_row and not self.context.no_cache)
                near = _Far(False, far.is_likely, far.done, far.is_deferred) if hangs else far
                self._estimate_read(step, read, below, near)
        for deferred in selection.deferred:
            later = _Far(far.is_certain, far.is_likely, far.done, True)
            self._walk(deferred.selection, record, place, later, has_row=has_row)

    @property
    def _next_star(self) -> str:
        return f"*{len(self.lists) + 1}"

    def _walk_within(self, step: Nested, record: Any, place: tuple[str, ...], far: _Far) -> None:
        try:
            value = step.read(record)
        except AttributeError:
            return  # It stands on the row, which is not there yet.
        for part in value if step.is_list else [value]:
            self._walk(step.selection, part, place, far)

    def _reads(self, step: EdgeStep, record: Any, place: tuple[str, ...]) -> Iterator[Read]:
        try:
            if step.edge.needs_row:
                star = self._next_star
                self.lists[star] = place, 1
                reads = step.edge.unread(record, star)
            else:
                reads = step.function(record, **self.arguments.of(step))
        except (GatewayError, GraphQLError) as error:
            self.refused.append((step, error))  # It is told when its turn comes, and costs nothing.
            return
        for read in reads if isinstance(reads, list) else [reads]:
            if isinstance(read, Exception):
                self.refused.append((step, read))
            elif read is not None:
                try:
                    self.context.admit(read)
                except GatewayError as error:
                    self.refused.append((step, error))
                else:
                    yield read

    def _estimate_read(self, step: EdgeStep, read: Read, place: tuple[str, ...], far: _Far) -> None:
        met = id(step), read.path
        if met in self._met or len(self._keys) > self.context.cost_max:
            return  # The same record again; or so many that the operation is refused whatever else it reads.
        self._met.add(met)
        below = step.selections.of(read.type_name)
        key, done = read.first_key(self.context), far.done
        is_read = key is not None and (self.context.no_cache or below.needs_row or read.reference() is None)
        is_read_later = not is_read and below.needs_row_later
        if key is not None and (is_read or is_read_later):
            stars = _STAR.findall(key) if "*" in key else ()
            # Below a list there is no telling whether there is anything: only what all its members share is worth it.
            is_ahead = not stars and (far.is_certain or (read.is_shared and done > 0 and far.is_likely))
            is_deferred = far.is_deferred or is_read_later
            trip = 1 if is_ahead and not is_deferred else done + 1
            times = prod(self.lists[star][1] for star in stars)
            self._keys.add(key)
            calls = read.calls_at_most(self.context)
            self.reads.append(EstimatedRead(place, key, calls, times, trip, is_ahead, is_deferred))
            done = max(done, trip)
        if not below.leads_on:
            return
        star = self._next_star
        child, size = read.outlook(star)
        if child is None or size == 0:
            return
        is_list = size is not None
        if size is not None:
            self.lists[star] = place, size
        is_certain, is_likely = far.is_certain and not is_list, far.is_likely and not read.is_sparse
        self._walk(below, child, place, _Far(is_certain, is_likely, done, far.is_deferred))


@dataclass(slots=True)
class _Far:
    """How far away a record is: what is known of it, and after how many round trips."""

    is_certain: bool = True
    """Whether its path follows from the query alone."""
    is_likely: bool = True
    """Whether nearly always there is one."""
    done: int = 0
    """The round trip that brings it."""
    is_deferred: bool = False
    """Whether it stands in a fragment with `@defer`."""

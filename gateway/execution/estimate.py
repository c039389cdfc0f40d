"""What an operation reads, estimated before it runs: the keys of the first round trip, and the worst case in calls.

The plan is walked with records that have a path and no row. All members of a list are represented by one, whose sid is a
placeholder token such as `*1`; `lists` says how many members there can be. A key that several records share, such as their
conversation's participants, holds the conversation's token only, so that it is priced once per conversation.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

from graphql import GraphQLError

from gateway.errors import GatewayError
from gateway.execution.context import Context, Read
from gateway.execution.failures import failure_from
from gateway.execution.plan import Plan
from gateway.execution.properties import selected_properties
from gateway.execution.steps import Arguments, EdgeStep, EventStep, Leaf, Nested, Selection

__all__ = ["FOR_EACH", "Estimate", "EstimatedRead", "Per"]

Per = Literal["event", "operation"]
"""What a cost is of: each event of a subscription, or one operation."""
FOR_EACH: dict[Per, str] = {"event": " for each event", "operation": ""}
"""The words after a number of calls."""

_TOKEN = re.compile(r"\*\d+")


@dataclass(slots=True)
class EstimatedRead:
    """The reads of one edge that have the same key."""

    field: tuple[str, ...]
    """The edge's path in the answer, without list indices."""
    key: str
    """The key that is fetched first, with tokens for the members of lists."""
    calls: int
    """Upstream calls for one such key, in the worst case."""
    times: int
    """The number of such keys, in the worst case."""
    round_trip: int
    """The earliest round trip in which it is fetched, from 1."""
    level: tuple[int, int]
    """The level that waits for it: the id of what is deferred, or 0, and the number of edges above it. A negative one is that
    of what a level needs after its first keys."""
    is_prefetched: bool
    """Whether it is fetched before the first level is executed."""
    is_deferred: bool = False
    """Whether it is fetched for a fragment with `@defer`, after the initial answer."""
    may_be_skipped: bool = False
    """Whether rows that are read before it can show that there is nothing to read."""


@dataclass(slots=True)
class Estimate:
    """The reads of one operation with given arguments; `context` supplies the caller's rights and the limits.

    Those of a subscription are for one event.
    """

    plan: Plan
    context: Context
    arguments: Arguments
    reads: list[EstimatedRead] = field(default_factory=list)
    lists: dict[str, tuple[tuple[str, ...], int]] = field(default_factory=dict)
    """For each token the path of its list in the answer, and how many members it can have."""
    refused: list[tuple[EdgeStep | EventStep, Exception]] = field(default_factory=list)
    """Edges that read nothing because of their arguments or the caller's rights."""
    paths: dict[int, str] = field(default_factory=dict)
    """The path of the last read of each edge, by the id of its step."""
    skipped: dict[tuple[str, ...], str] = field(default_factory=dict)
    """Edges that read nothing because nothing has to be read, by their paths in the answer, each with the reason."""

    _visited: set[tuple[int, str]] = field(default_factory=set)
    _keys: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        events = self.plan.events
        if events is None:
            self._walk(self.plan.root, None, (), _Reach())
            return
        try:
            sources = events.source(self.arguments.variables)
        except (GatewayError, GraphQLError) as error:
            self.refused.append((events, error))
            return
        for type_name, selection in events.selections.items():
            event, read = events.field.sample(type_name, sources.arguments).select(selected_properties(selection))
            if read is not None:
                key = read.first_key(no_cache=self.context.no_cache) or read.path
                self.reads.append(EstimatedRead((events.key,), key, read.calls_max, 1, 1, (0, -1), False))
            # Nothing is prefetched, since most of it is known.
            self._walk(selection, event, (events.key,), _Reach(False, False, int(read is not None)))

    @property
    def prefetch(self) -> dict[str, None]:
        """The keys to fetch before the first level is executed, in the order of the query."""
        return dict.fromkeys(each.key for each in self.reads if each.is_prefetched and not each.is_deferred)

    @property
    def deferred_prefetch(self) -> dict[str, None]:
        """The keys to fetch for deferred fragments, once the initial answer is complete."""
        return dict.fromkeys(each.key for each in self.reads if each.is_prefetched and each.is_deferred)

    @property
    def per(self) -> Per:
        """What it is the cost of."""
        return "event" if self.plan.events is not None else "operation"

    @property
    def requested(self) -> int:
        """Upstream calls in the worst case, without retries; a key that several edges need counts once."""
        return sum(each.calls * each.times for each in self.priced())

    @property
    def round_trips(self) -> int:
        """Sequential round trips in the worst case, without retries.

        Levels are executed one after another, and the calls for one key, such as the pages of a list, are made one after
        another. Deferred fragments are executed concurrently, and counted as if they were not.
        """
        calls: dict[tuple[int, int], int] = {}
        remaining: dict[tuple[int, int], int] = {}
        for each in self.reads:
            calls[each.level] = max(calls.get(each.level, 0), each.calls)
            remaining[each.level] = max(remaining.get(each.level, 0), each.calls - each.is_prefetched)
        prefetches = len({each.is_deferred for each in self.reads if each.is_prefetched})
        round_trips = prefetches + sum(remaining.values())
        if self.requested > self.context.limits.cost_limit:  # There may be no prefetch.
            return max(round_trips, sum(calls.values()))
        return round_trips

    @property
    def single_page_round_trips(self) -> int:
        """Sequential round trips when every list has a single page."""
        return max((each.round_trip for each in self.reads), default=0)

    def priced(self) -> list[EstimatedRead]:
        """Return one read for each key: the one that takes most calls."""
        dearest: dict[str, EstimatedRead] = {}
        for each in self.reads:
            if each.key not in dearest or dearest[each.key].calls < each.calls:
                dearest[each.key] = each
        return list(dearest.values())

    def as_json(self) -> dict[str, Any]:
        """Return the estimate as a dry run shows it, edge by edge in the order of the query."""
        return {
            "per": self.per,
            "requested": self.requested,
            "roundTrips": self.round_trips,
            "singlePageRoundTrips": self.single_page_round_trips,
            "refused": list(self._refused_fields()),
            "edges": [
                {
                    "field": ".".join(each.field),
                    "upstream": self.context.redacted(each.key),
                    "calls": each.calls * each.times,
                    "inSequence": each.calls,
                    "roundTrip": each.round_trip,
                    "isAhead": each.is_prefetched and not each.is_deferred,
                    "mayBeSkipped": each.may_be_skipped,
                }
                for each in self.reads
            ],
            "skipped": [{"field": ".".join(path), "reason": reason} for path, reason in self.skipped.items()],
        }

    def _refused_fields(self) -> Iterator[dict[str, str]]:
        """Yield the fields that will have an error before anything is read, each error once."""
        yielded: set[tuple[str, str]] = set()
        for step, error in self.refused:
            shown = failure_from(error, (step.key,), step.nodes).error
            if (step.key, str(shown)) not in yielded:
                yielded.add((step.key, str(shown)))
                yield {"field": step.key, "message": str(shown), "code": shown.code}

    def refusal(self, limit: int) -> dict[str, Any]:
        """Return the `extensions` of `COST_LIMIT_EXCEEDED`: the largest contributors, and one change that would fit."""
        priced = sorted(self.priced(), key=lambda each: -each.calls * each.times)
        contributors = [{"field": ".".join(each.field), "calls": each.calls * each.times} for each in priced[:3]]
        requested = sum(each.calls * each.times for each in priced)
        return {
            "per": self.per,
            "requested": requested,
            "limit": limit,
            "contributors": contributors,
            "suggestion": self._suggestion(limit, requested, priced),
        }

    def _suggestion(self, limit: int, requested: int, priced: list[EstimatedRead]) -> str | None:
        """Return the list that stays longest when it alone is shortened, such as `service.conversations(first: 8)`."""
        calls_below: Counter[str] = Counter()
        for each in priced:
            for token in _TOKEN.findall(each.key):
                calls_below[token] += each.calls * each.times
        best: tuple[int, str] | None = None
        for token, calls in calls_below.items():
            place, size = self.lists[token]
            others = requested - calls
            fits = (limit - others) * size // calls if calls and limit > others else 0
            if fits >= 1 and (best is None or fits > best[0]):
                best = fits, f"{'.'.join(place)}(first: {fits})"
        return best[1] if best is not None else None

    def _walk(
        self, selection: Selection, record: Any, place: tuple[str, ...], reach: _Reach, *, has_row: bool = False
    ) -> None:
        has_row = has_row or selection.needs_row
        for step in selection.steps:
            if isinstance(step, Leaf):
                continue
            below = (*place, step.key)
            if isinstance(step, Nested):
                self._walk_nested(step, record, below, reach)
                continue
            for read in self._edge_reads(step, record, below):
                # The record's row, once fetched, may show where the edge leads, or that there is nothing to read.
                depends_on_row = step.edge.needs_row or (read.may_be_skipped and has_row and not self.context.no_cache)
                near = (
                    _Reach(False, reach.is_likely, reach.available_after, reach.deferred, reach.depth)
                    if depends_on_row
                    else reach
                )
                self._estimate_read(step, read, below, near)
        for deferred in selection.deferred:
            later = _Reach(reach.is_certain, reach.is_likely, reach.available_after, id(deferred), reach.depth)
            self._walk(deferred.selection, record, place, later, has_row=has_row)

    @property
    def _next_token(self) -> str:
        return f"*{len(self.lists) + 1}"

    def _walk_nested(self, step: Nested, record: Any, place: tuple[str, ...], reach: _Reach) -> None:
        if not step.selection.has_edges:
            return
        try:
            value = step.read(record)
        except AttributeError:
            return  # The value is a part of the row, which is not known.
        for each in value if step.is_list else [value]:
            self._walk(step.selection, each, place, reach)

    def _edge_reads(self, step: EdgeStep, record: Any, place: tuple[str, ...]) -> Iterator[Read]:
        """Yield the reads of an edge that the caller may make; the others are added to `refused`."""
        try:
            if step.edge.needs_row:
                reads = self._estimated_read(step, record, place)
            else:
                reads = step.function(record, **self.arguments.of(step))
        except (GatewayError, GraphQLError) as error:
            self.refused.append((step, error))  # The engine reports it when it executes the edge.
            return
        for read in reads if isinstance(reads, list) else [reads]:
            if isinstance(read, Exception):
                self.refused.append((step, read))
            elif read is not None:
                try:
                    authorized = self.context.authorize(read)
                except GatewayError as error:
                    self.refused.append((step, error))
                else:
                    yield authorized

    def _estimated_read(self, step: EdgeStep, record: Any, place: tuple[str, ...]) -> Read | None:
        """Return the read of an edge that needs the row. Each of the records may lead to its own child, which has a token."""
        token = self._next_token
        self.lists[token] = place, 1
        read = step.edge.estimate(record, token, **self.arguments.of(step))
        if read is not None and record is not None:
            own = {*_TOKEN.findall(record.path)}.difference(_TOKEN.findall(read.path))
            self.lists[token] = place, prod(self.lists[each][1] for each in own)
        return read

    def _estimate_read(self, step: EdgeStep, read: Read, place: tuple[str, ...], reach: _Reach) -> None:
        visit = id(step), read.path
        if visit in self._visited or len(self._keys) > self.context.limits.cost_max:
            return  # The same record again, or an operation that is rejected whatever else it reads.
        self._visited.add(visit)
        self.paths[id(step)] = read.path
        no_cache = self.context.no_cache
        below = step.selections[read.type_name]
        key, available_after = read.first_key(no_cache=no_cache), reach.available_after
        is_read = key is not None and (no_cache or below.needs_row or read.reference() is None)
        is_read_later = not is_read and below.needs_row_later
        if is_read or (key is not None and is_read_later):
            level = (id(step), -1) if is_read_later else (reach.deferred, reach.depth)
            is_deferred = reach.deferred != 0 or is_read_later
            available_after = self._add_read(read, place, reach, level, available_after, is_deferred=is_deferred)
            for each in read.also:  # They are found to be missing once the first key is there.
                after = (reach.deferred, -2 - reach.depth)
                available_after = self._add_read(each, place, reach, after, available_after, is_deferred=is_deferred)
        else:
            self.skipped.setdefault(place, "nothing can match" if key is None else "only ids and sids are selected")
        if not below.has_edges:
            return
        token = self._next_token
        child, size = read.placeholder(token)
        if child is None or size == 0:
            return
        if size is not None:
            self.lists[token] = place, size
        is_certain, is_likely = reach.is_certain and size is None, reach.is_likely and not read.is_sparse
        self._walk(below, child, place, _Reach(is_certain, is_likely, available_after, reach.deferred, reach.depth + 1))

    def _add_read(
        self,
        read: Read,
        place: tuple[str, ...],
        reach: _Reach,
        level: tuple[int, int],
        available_after: int,
        *,
        is_deferred: bool,
    ) -> int:
        """Add a read whose key is known after a round trip; return the round trip after which its result is available too."""
        key = read.first_key(no_cache=self.context.no_cache)
        if key is None:
            return available_after
        tokens = _TOKEN.findall(key) if "*" in key else ()
        # Below a list nothing is certain: a prefetch pays off only for what all members of the list share.
        is_prefetched = not tokens and (
            reach.is_certain or (read.is_shared and reach.available_after > 0 and reach.is_likely)
        )
        round_trip = 1 if is_prefetched and not is_deferred else available_after + 1
        times = prod(self.lists[token][1] for token in tokens)
        self._keys.add(key)
        self.reads.append(
            EstimatedRead(
                place,
                key,
                read.calls_max,
                times,
                round_trip,
                level,
                is_prefetched,
                is_deferred,
                may_be_skipped=read.may_be_skipped and not self.context.no_cache,
            )
        )
        return max(available_after, round_trip)


@dataclass(slots=True)
class _Reach:
    """How a record is reached: how certain it is to exist, and when it is known."""

    is_certain: bool = True
    """Whether its path follows from the query alone."""
    is_likely: bool = True
    """Whether there nearly always is one."""
    available_after: int = 0
    """The round trip after which it is known; 0 when the query names it."""
    deferred: int = 0
    """The id of the fragment with `@defer` that it is inside; 0 for none."""
    depth: int = 0
    """The number of edges above it."""

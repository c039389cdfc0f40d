"""What came of a check of operations, as people and programs read it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from gateway.contract.operations.check import Report
from gateway.contract.operations.gather import ClientOperation
from gateway.contract.operations.snapshot import PriceChange
from gateway.contract.operations.worst_case import Quote

__all__ = ["as_json", "price_lines", "summary_lines"]


def price_lines(source: str, operation: ClientOperation, price: Quote, *, edges: bool = False) -> Iterator[str]:
    """One operation's price, with what was assumed for it, and with each of its edges if that is wanted."""
    trips = _count(price.round_trips, "round trip")
    yield f"{source} {operation.label}: at most {_count(price.calls, 'upstream call')}, {trips}"
    if price.assumed:
        yield f"  with {', '.join(f'${name} = {words}' for name, words in price.assumed.items())}"
    for each in price.edges if edges else ():
        yield f"  {each.round_trip}  {each.calls:>6}  {each.field}  {each.upstream}"


def summary_lines(report: Report) -> Iterator[str]:
    """What changed and is no problem, what was done with the snapshot, and how much there was to check."""
    told = {problem.message for problem in report.problems}
    yield from (words for words in map(str, report.changes) if words not in told)
    yield from report.notes
    yield f"{_count(report.operations, 'operation')}, {_count(len(report.problems), 'problem')}"


def as_json(report: Report) -> str:
    """All of it, for programs."""
    content = {
        "operations": [
            {
                "name": operation.name,
                **operation.place.as_json(),
                "calls": price.calls,
                "roundTrips": price.round_trips,
                "assumed": price.assumed,
                "edges": [
                    {"field": each.field, "upstream": each.upstream, "calls": each.calls, "roundTrip": each.round_trip}
                    for each in price.edges
                ],
            }
            for operation, price in report.quotes
        ],
        "problems": [problem.as_json() for problem in report.problems],
        "changes": [_change(change) for change in report.changes],
        "notes": report.notes,
    }
    return json.dumps(content, indent=2, ensure_ascii=False)


def _change(change: PriceChange) -> dict[str, Any]:
    return {
        "name": change.name,
        "kind": change.kind,
        "before": change.before.calls if change.before is not None else None,
        "after": change.after.calls if change.after is not None else None,
        "edges": [{"field": place, "before": low, "after": high} for place, (low, high) in change.edges.items()],
    }


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"

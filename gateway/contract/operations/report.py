"""The report of a check of operations: as text for people, as JSON, as findings, and as test cases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from gateway.contract.junit import Case
from gateway.contract.operations.check import OperationsReport
from gateway.contract.operations.client_operations import ClientOperation
from gateway.contract.operations.snapshot import CostChange
from gateway.contract.operations.worst_case import OperationCost
from gateway.contract.problems import FileLocation, Finding
from gateway.execution.estimate import FOR_EACH

__all__ = ["as_json", "cases", "cost_lines", "findings", "summary_lines"]


def cost_lines(source: str, operation: ClientOperation, cost: OperationCost, *, edges: bool = False) -> Iterator[str]:
    """Yield an operation's cost with the samples it assumes, and the cost of each field if `edges`."""
    trips = _count(cost.round_trips, "round trip")
    calls = _count(cost.calls, "upstream call") + FOR_EACH[cost.per]
    yield f"{source} {operation.label}: at most {calls}, {trips}"
    if cost.assumed:
        yield f"  with {', '.join(f'${name} = {description}' for name, description in cost.assumed.items())}"
    for each in cost.edges if edges else ():
        yield f"  {each.round_trip}  {each.calls:>6}  {each.field}  {each.upstream}"


def summary_lines(report: OperationsReport) -> Iterator[str]:
    """Yield the changes that are not problems, the notes, what was passed over, and the totals."""
    reported = {problem.message for problem in report.problems}
    yield from (text for text in map(str, report.changes) if text not in reported)
    yield from report.notes
    yield from (f"{each.path}: {each.reason}" for each in report.passed_over)
    yield f"{_count(report.files, 'file')} read, {len(report.passed_over)} passed over"
    yield f"{_count(report.operations, 'operation')}, {_count(len(report.problems), 'problem')}"


def as_json(report: OperationsReport) -> str:
    """Return the whole report as JSON text."""
    content = {
        "operations": [
            {
                "name": operation.name,
                **({"description": operation.description} if operation.description is not None else {}),
                **operation.location.as_json(),
                "per": cost.per,
                "calls": cost.calls,
                "roundTrips": cost.round_trips,
                "assumed": cost.assumed,
                "edges": [
                    {"field": each.field, "upstream": each.upstream, "calls": each.calls, "roundTrip": each.round_trip}
                    for each in cost.edges
                ],
            }
            for operation, cost in report.costs
        ],
        "problems": [problem.as_json() for problem in report.problems],
        "changes": [_change(change) for change in report.changes],
        "notes": report.notes,
        "filesRead": report.files,
        "operationsFound": report.operations,
        "passedOver": [each.as_json() for each in report.passed_over],
    }
    return json.dumps(content, indent=2, ensure_ascii=False)


def findings(report: OperationsReport) -> Iterator[Finding]:
    """Yield each problem."""
    for problem in report.problems:
        yield Finding("error", "OPERATION_PROBLEM", problem.message, problem.location)


def cases(report: OperationsReport) -> Iterator[Case]:
    """Yield a case for each operation that has a cost, and one for each problem elsewhere."""
    messages: dict[FileLocation, list[str]] = {}
    for problem in report.problems:
        messages.setdefault(problem.location, []).append(problem.message)
    for operation, _ in report.costs:
        found = messages.pop(operation.location, None)
        yield Case(str(operation.location.path), operation.label, "\n".join(found) if found is not None else None)
    for location, found in messages.items():
        yield Case(str(location.path), str(location), "\n".join(found))


def _change(change: CostChange) -> dict[str, Any]:
    return {
        "name": change.name,
        "kind": change.kind,
        "per": change.per,
        "before": change.before.calls if change.before is not None else None,
        "after": change.after.calls if change.after is not None else None,
        "edges": [{"field": path, "before": before, "after": after} for path, (before, after) in change.edges.items()],
    }


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

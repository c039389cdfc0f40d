"""The report of a check of schemas: as text for people, as JSON, as findings, and as test cases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

from gateway.contract.github import workflow_command
from gateway.contract.junit import Case
from gateway.contract.operations.client_operations import ClientOperation
from gateway.contract.problems import Finding
from gateway.contract.schema.change import Change, Criticality
from gateway.contract.schema.check import SchemaReport

__all__ = ["as_json", "cases", "findings", "github_lines", "text_lines"]

_LEVELS: dict[Criticality, Literal["error", "warning", "notice"]] = {
    Criticality.BREAKING: "error",
    Criticality.DANGEROUS: "warning",
    Criticality.SAFE: "notice",
}

_NOT_COMPARED = {
    "DEPRECATED_INPUT": "deprecated arguments and input fields, which may be missing in it",
    "DESCRIPTION": "descriptions",
    "DIRECTIVE_REPEATABLE": "whether directives are repeatable",
    "ONE_OF": "@oneOf",
    "SCHEMA_DESCRIPTION": "the schema's description",
    "SPECIFIED_BY": "@specifiedBy",
    "UPSTREAM": "prices (@upstream)",
}


def text_lines(report: SchemaReport) -> Iterator[str]:
    """Yield the whole report as text; changed descriptions are only counted."""
    for criticality in Criticality:
        changes = [change for change in report.changes if change.criticality is criticality]
        listed = [change for change in changes if not _is_description(change)]
        if changes:
            yield f"{criticality.capitalize()}:"
        for change in listed:
            yield f"  {change.message}"
            affected = _affected(report, change)
            yield from (f"    {_line(operation)}" for operation in affected or ())
            if affected == []:
                yield "    It affects no operation."
        if len(listed) < len(changes):
            yield f"  {_count(len(changes) - len(listed), 'description')} changed."
        if changes:
            yield ""
    yield from _operations(report)
    yield from _closing(report)


def as_json(report: SchemaReport) -> str:
    """Return the whole report as JSON text."""
    impact, failing = report.impact, set(report.failing)
    content: dict[str, Any] = {
        "old": report.old,
        "new": report.new,
        "fails": report.fails,
        "counts": {criticality.value: report.count(criticality) for criticality in Criticality},
        "changes": [_change(report, change, fails=change in failing) for change in report.changes],
        "notCompared": [_NOT_COMPARED[kind] for kind in report.not_compared],
        "operations": None,
    }
    if impact is not None:
        content["operations"] = {
            "checked": len(impact.checked),
            "broken": [
                {**_operation(operation), "errors": [each.as_json() for each in problems]}
                for operation, problems in impact.broken
            ],
            "unchecked": [each.as_json() for each in impact.unchecked],
            "notes": impact.notes,
        }
    return json.dumps(content, indent=2, ensure_ascii=False)


def github_lines(report: SchemaReport) -> Iterator[str]:
    """Yield a workflow command for each finding, and the totals."""
    for each in findings(report):
        yield workflow_command(each.level, each.message, each.location, title=each.title)
    yield from _closing(report)


def findings(report: SchemaReport) -> Iterator[Finding]:
    """Yield each change, once for each affected operation, and each problem of an operation.

    Changed descriptions are omitted.
    """
    for change in report.changes:
        if _is_description(change):
            continue
        level, title = _LEVELS[change.criticality], f"{change.criticality.capitalize()}: {change.coordinate}"
        affected = _affected(report, change)
        for operation in affected or ():
            message = f"{change.message} It affects {operation.label}."
            yield Finding(level, change.kind, message, operation.location, title)
        if not affected:
            suffix = " It affects no operation." if affected == [] else ""
            yield Finding(level, change.kind, change.message + suffix, title=title)
    if report.impact is not None:
        for problem in sorted({each for _, problems in report.impact.broken for each in problems}):
            yield Finding(
                "error", "INVALID_OPERATION", problem.message, problem.location, "Does not fit the new schema"
            )
        for problem in report.impact.unchecked:
            yield Finding("warning", "UNCHECKED_OPERATION", problem.message, problem.location, "Not checked")


def cases(report: SchemaReport) -> Iterator[Case]:
    """Yield a case for each change, and one for each operation. Changed descriptions are omitted."""
    failing = set(report.failing)
    for change in report.changes:
        if _is_description(change):
            continue
        affected = [_line(operation) for operation in _affected(report, change) or ()]
        failure = "\n".join([change.message, *affected]) if change in failing else None
        yield Case(f"{change.criticality} changes", change.message, failure)
    if report.impact is not None:
        broken = {operation.location: problems for operation, problems in report.impact.broken}
        for operation in report.impact.checked:
            problems = broken.get(operation.location)
            failure = "\n".join(map(str, problems)) if problems is not None else None
            yield Case(str(operation.location.path), operation.label, failure)
        for problem in report.impact.unchecked:
            yield Case(str(problem.location.path), str(problem.location), skipped=problem.message)


def _is_description(change: Change) -> bool:
    return change.kind.endswith("DESCRIPTION_CHANGED")


def _affected(report: SchemaReport, change: Change) -> list[ClientOperation] | None:
    """Return the operations that a change affects; None if no operations were checked for it."""
    return report.impact.affected.get(change) if report.impact is not None else None


def _operations(report: SchemaReport) -> Iterator[str]:
    if report.impact is None:
        return
    if report.impact.broken:
        yield "Operations that do not fit the new schema:"
        for operation, problems in report.impact.broken:
            yield f"  {_line(operation)}"
            yield from (f"    {problem}" for problem in problems)
        yield ""
    if report.impact.unchecked:
        yield "Not checked, as they cannot be read or do not fit the old schema either:"
        yield from (f"  {problem}" for problem in report.impact.unchecked)
        yield ""


def _closing(report: SchemaReport) -> Iterator[str]:
    if report.not_compared:
        missing = ", ".join(_NOT_COMPARED[kind] for kind in report.not_compared)
        yield f"Not compared, as one of the schemas does not state it: {missing}."
    breaking, dangerous, safe = (report.count(criticality) for criticality in Criticality)
    counts = f"{breaking} breaking, {dangerous} dangerous and {_count(safe, 'safe change')}"
    yield f"{counts if report.changes else 'No changes'} from {report.old} to {report.new}."
    if report.impact is not None:
        yield from report.impact.notes
        broken, all_ = len(report.impact.broken), len(report.impact.checked)
        yield f"{_count(all_, 'operation')} checked, of which {broken} no longer {'fits' if broken == 1 else 'fit'}."
        if report.only_used and not report.impact.is_certain:
            why = "not all operations could be checked" if report.impact.unchecked else "there are no operations"
            yield f"Changes that affect none count as well, since {why}."
    yield f"The check fails (--fail-on {report.fail_on})." if report.fails else "The check passes."


def _line(operation: ClientOperation) -> str:
    return f"{operation.location.path}:{operation.location.line} {operation.label}"


def _change(report: SchemaReport, change: Change, *, fails: bool) -> dict[str, Any]:
    affected = _affected(report, change)
    return {
        "criticality": change.criticality,
        "kind": change.kind,
        "coordinate": change.coordinate,
        "message": change.message,
        "fails": fails,
        "touches": [_operation(each) for each in affected] if affected is not None else None,
    }


def _operation(operation: ClientOperation) -> dict[str, Any]:
    return {"name": operation.name, "file": str(operation.location.path), "line": operation.location.line}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

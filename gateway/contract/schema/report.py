"""What came of a check of schemas, as people, programs and GitHub read it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from gateway.contract.github import workflow_command
from gateway.contract.operations.gather import ClientOperation
from gateway.contract.schema.change import Change, Criticality
from gateway.contract.schema.check import SchemaReport

__all__ = ["as_json", "github_lines", "text_lines"]

_LEVELS = {Criticality.BREAKING: "error", Criticality.DANGEROUS: "warning", Criticality.SAFE: "notice"}

_UNTOLD = {
    "DEPRECATED_INPUT": "deprecated arguments, which may be missing in it",
    "DESCRIPTION": "descriptions",
    "DIRECTIVE_REPEATABLE": "whether directives are repeatable",
    "ONE_OF": "@oneOf",
    "SCHEMA_DESCRIPTION": "the schema's description",
    "SPECIFIED_BY": "@specifiedBy",
    "UPSTREAM": "prices (@upstream)",
}


def text_lines(report: SchemaReport) -> Iterator[str]:
    """All of it for people; descriptions that changed are counted."""
    for criticality in Criticality:
        changes = [change for change in report.changes if change.criticality is criticality]
        told = [change for change in changes if not _is_description(change)]
        if changes:
            yield f"{criticality.capitalize()}:"
        for change in told:
            yield f"  {change.message}"
            touched = _touched(report, change)
            yield from (f"    {_line(operation)}" for operation in touched or ())
            if touched == []:
                yield "    It touches no operation."
        if len(told) < len(changes):
            yield f"  {_count(len(changes) - len(told), 'description')} changed."
        if changes:
            yield ""
    yield from _operations(report)
    yield from _closing(report)


def as_json(report: SchemaReport) -> str:
    """All of it for programs."""
    impact, failing = report.impact, set(report.failing)
    content: dict[str, Any] = {
        "old": report.old,
        "new": report.new,
        "fails": report.fails,
        "counts": {criticality.value: report.count(criticality) for criticality in Criticality},
        "changes": [_change(report, change, fails=change in failing) for change in report.changes],
        "notCompared": [_UNTOLD[kind] for kind in report.untold],
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
        }
    return json.dumps(content, indent=2, ensure_ascii=False)


def github_lines(report: SchemaReport) -> Iterator[str]:
    """A line for each change, or for each operation that it touches, and for what is wrong with operations.

    Descriptions are left out.
    """
    for change in report.changes:
        if _is_description(change):
            continue
        level, title = _LEVELS[change.criticality], f"{change.criticality.capitalize()}: {change.coordinate}"
        touched = _touched(report, change)
        for operation in touched or ():
            yield workflow_command(
                level, f"{change.message} It touches {operation.label}.", operation.place, title=title
            )
        if not touched:
            words = " It touches no operation." if touched == [] else ""
            yield workflow_command(level, change.message + words, title=title)
    if report.impact is not None:
        for problem in sorted({each for _, problems in report.impact.broken for each in problems}):
            yield workflow_command("error", problem.message, problem.place, title="Does not fit the new schema")
        for problem in report.impact.unchecked:
            yield workflow_command("warning", problem.message, problem.place, title="Not checked")
    yield from _closing(report)


def _is_description(change: Change) -> bool:
    return change.kind.endswith("DESCRIPTION_CHANGED")


def _touched(report: SchemaReport, change: Change) -> list[ClientOperation] | None:
    """The operations that a change touches, or None where that was not looked for."""
    return report.impact.touched.get(change) if report.impact is not None else None


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
    if report.untold:
        yield f"Not compared, as introspection does not tell it: {', '.join(_UNTOLD[kind] for kind in report.untold)}."
    breaking, dangerous, safe = (report.count(criticality) for criticality in Criticality)
    counts = f"{breaking} breaking, {dangerous} dangerous and {_count(safe, 'safe change')}"
    yield f"{counts if report.changes else 'No changes'} from {report.old} to {report.new}."
    if report.impact is not None:
        broken, all_ = len(report.impact.broken), len(report.impact.checked)
        yield f"{_count(all_, 'operation')} checked, of which {broken} no longer {'fits' if broken == 1 else 'fit'}."
        if report.only_used and not report.impact.is_certain:
            why = "not all operations could be checked" if report.impact.unchecked else "there are no operations"
            yield f"Changes that touch none count as well, since {why}."
    yield f"The check fails (--fail-on {report.bound})." if report.fails else "The check passes."


def _line(operation: ClientOperation) -> str:
    return f"{operation.place.path}:{operation.place.line} {operation.label}"


def _change(report: SchemaReport, change: Change, *, fails: bool) -> dict[str, Any]:
    touched = _touched(report, change)
    return {
        "criticality": change.criticality,
        "kind": change.kind,
        "coordinate": change.coordinate,
        "message": change.message,
        "fails": fails,
        "touches": [_operation(each) for each in touched] if touched is not None else None,
    }


def _operation(operation: ClientOperation) -> dict[str, Any]:
    return {"name": operation.name, "file": str(operation.place.path), "line": operation.place.line}


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"

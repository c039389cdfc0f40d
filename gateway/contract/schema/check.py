"""The check of one schema against another: what changed, and which of a client's operations that touches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphql import validate

from gateway.contract.operations.documents import ClientDocument
from gateway.contract.operations.gather import ClientOperation, Problem, gather_operations, problem_of
from gateway.contract.schema.change import Change, Criticality
from gateway.contract.schema.changes import find_changes
from gateway.contract.schema.sources import Source
from gateway.contract.schema.usage import marks_of

__all__ = ["Impact", "SchemaReport", "check_schemas"]


@dataclass(frozen=True, slots=True)
class Impact:
    """What changes mean for a client's operations."""

    checked: list[ClientOperation]
    """Those that fit the old schema."""
    touched: dict[Change, list[ClientOperation]]
    """By breaking or dangerous change, the operations that rely on what it changes."""
    broken: list[tuple[ClientOperation, list[Problem]]]
    """Those that do not fit the new schema, and why."""
    unchecked: list[Problem]
    """Why others could not be checked: they cannot be read, or do not fit the old schema either."""

    @property
    def is_certain(self) -> bool:
        """Whether a change that touches none of the operations is known not to matter to them."""
        return bool(self.checked) and not self.unchecked


@dataclass(frozen=True, slots=True)
class SchemaReport:
    """What came of a check."""

    old: str
    new: str
    changes: list[Change]
    """The worst first."""
    untold: list[str]
    """Beginnings of the kinds of change that were not looked for, as one of the schemas does not tell them."""
    impact: Impact | None
    """None when no documents were given."""
    bound: Criticality | None
    """How bad a change must be for the check to fail; None when none is."""
    only_used: bool
    """Whether it was asked that changes that touch no operation do not count."""
    failing: list[Change]
    """The changes that make the check fail."""
    fails: bool
    """Whether the check fails: for these changes, or for operations that do not fit the new schema."""

    def count(self, criticality: Criticality) -> int:
        """How many changes are so bad."""
        return sum(change.criticality is criticality for change in self.changes)


def check_schemas(
    old: Source,
    new: Source,
    documents: Sequence[ClientDocument] | None = None,
    *,
    bound: Criticality | None = Criticality.BREAKING,
    only_used: bool = False,
) -> SchemaReport:
    """Compare two schemas, and look which of the operations in the documents the changes touch.

    The check fails for changes as bad as the bound or worse, and never where that is None. With `only_used` those do not
    count that touch no operation, provided that there are operations, and all could be checked.
    """
    untold = sorted(old.untold | new.untold)
    changes = [change for change in find_changes(old.schema, new.schema) if not change.kind.startswith(tuple(untold))]
    impact = _impact(old, new, changes, documents) if documents is not None else None
    ranks = list(Criticality)
    bad = ranks[: ranks.index(bound) + 1] if bound is not None else []
    failing = [change for change in changes if change.criticality in bad]
    if only_used and impact is not None and impact.is_certain:
        failing = [change for change in failing if impact.touched.get(change)]
    is_broken = bound is not None and impact is not None and bool(impact.broken)
    fails = bool(failing) or is_broken
    return SchemaReport(old.name, new.name, changes, untold, impact, bound, only_used, failing, fails)


def _impact(old: Source, new: Source, changes: list[Change], documents: Sequence[ClientDocument]) -> Impact:
    gathered = gather_operations(documents)
    checked: list[ClientOperation] = []
    broken: list[tuple[ClientOperation, list[Problem]]] = []
    unchecked = set(gathered.problems)
    marks: list[frozenset[str]] = []
    for operation in gathered.operations:
        if not operation.is_whole:
            continue  # The fragment that is missing is among the problems.
        misfits = _misfits(operation, old)
        if misfits:
            unchecked.update(misfits)
            continue
        checked.append(operation)
        marks.append(marks_of(old.schema, operation.document))
        problems = _misfits(operation, new)
        if problems:
            broken.append((operation, problems))
    touched = {
        change: [operation for operation, its in zip(checked, marks, strict=True) if not its.isdisjoint(change.touches)]
        for change in changes
        if change.criticality is not Criticality.SAFE
    }
    return Impact(checked, touched, broken, sorted(unchecked))


def _misfits(operation: ClientOperation, source: Source) -> list[Problem]:
    """Why the operation does not fit the schema."""
    return [problem_of(error, operation.place) for error in validate(source.schema, operation.document)]

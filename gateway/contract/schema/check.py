"""The check of one schema against another: what changed, and which of a client's operations the changes affect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.contract.operations.client_operations import ClientOperation, gather_operations, problem_from
from gateway.contract.operations.client_schema import read_client_schema
from gateway.contract.operations.documents import ClientDocument
from gateway.contract.operations.relay_config import relay_schema_extensions
from gateway.contract.operations.relay_resolvers import RelayResolver
from gateway.contract.operations.validation import validate_all
from gateway.contract.problems import Problem
from gateway.contract.schema.change import Change, Criticality
from gateway.contract.schema.changes import find_changes
from gateway.contract.schema.deprecated_inputs import with_deprecated_inputs
from gateway.contract.schema.sources import SchemaSource
from gateway.contract.schema.usage import usages

__all__ = ["Impact", "SchemaReport", "check_schemas"]


@dataclass(frozen=True, slots=True)
class Impact:
    """How changes affect a client's operations."""

    checked: list[ClientOperation]
    """The operations that are valid for the old schema."""
    affected: dict[Change, list[ClientOperation]]
    """The operations that use what a breaking or dangerous change affects."""
    broken: list[tuple[ClientOperation, list[Problem]]]
    """The operations that are invalid for the new schema, with the errors."""
    unchecked: list[Problem]
    """Why other operations could not be checked: they are unreadable, or invalid for the old schema too."""
    notes: list[str]
    """What could not be read of the client's configuration."""

    @property
    def is_certain(self) -> bool:
        """Whether a change that affects none of the checked operations affects none at all."""
        return bool(self.checked) and not self.unchecked


@dataclass(frozen=True, slots=True)
class SchemaReport:
    """The result of a check."""

    old: str
    """Name of the old schema."""
    new: str
    """Name of the new schema."""
    changes: list[Change]
    """The most critical first."""
    not_compared: list[str]
    """Prefixes of the kinds of change that one of the schemas cannot show."""
    impact: Impact | None
    """None when no documents were given."""
    fail_on: Criticality | None
    """The least criticality that makes the check fail; None when no change does."""
    only_used: bool
    """Whether changes that affect no operation are ignored."""
    failing: list[Change]
    """The changes that make the check fail."""
    fails: bool
    """Whether the check fails: for these changes, or for operations that are invalid for the new schema."""

    def count(self, criticality: Criticality) -> int:
        """Count the changes of a criticality."""
        return sum(change.criticality is criticality for change in self.changes)


def check_schemas(
    old: SchemaSource,
    new: SchemaSource,
    documents: Sequence[ClientDocument] | None = None,
    *,
    fail_on: Criticality | None = Criticality.BREAKING,
    only_used: bool = False,
    unpriced_is_free: bool = False,
    client_schemas: Sequence[Path] = (),
    resolvers: Sequence[RelayResolver] = (),
) -> SchemaReport:
    """Compare two schemas, and find the operations in the documents that the changes affect.

    The check fails for changes that are at least as critical as `fail_on`. With `only_used`, changes that affect no operation
    do not count, if there are operations and all of them could be checked. If no field of one schema has `@upstream`, prices
    are not compared, unless `unpriced_is_free`. Fields that the SDL files `client_schemas`, or those that Relay's configuration
    names, and Relay's `resolvers` add are the client's own. Raises `CheckError` for client schemas that cannot be used.
    """
    hidden = old.not_compared | new.not_compared
    if old.is_priced is not new.is_priced and not unpriced_is_free:
        hidden |= {"UPSTREAM"}
    not_compared = sorted(hidden)
    if "DEPRECATED_INPUT" in hidden:
        old, new = _completed(old, new), _completed(new, old)
    changes = [
        change for change in find_changes(old.schema, new.schema) if not change.kind.startswith(tuple(not_compared))
    ]
    impact = _impact(old, new, changes, documents, client_schemas, resolvers) if documents is not None else None
    ranks = list(Criticality)
    critical = ranks[: ranks.index(fail_on) + 1] if fail_on is not None else []
    failing = [change for change in changes if change.criticality in critical]
    if only_used and impact is not None and impact.is_certain:
        failing = [change for change in failing if impact.affected.get(change)]
    is_broken = fail_on is not None and impact is not None and bool(impact.broken)
    fails = bool(failing) or is_broken
    return SchemaReport(old.name, new.name, changes, not_compared, impact, fail_on, only_used, failing, fails)


def _completed(source: SchemaSource, other: SchemaSource) -> SchemaSource:
    """Add the deprecated inputs of the other schema, if the source may lack its own."""
    is_incomplete = "DEPRECATED_INPUT" in source.not_compared
    return replace(source, schema=with_deprecated_inputs(source.schema, other.schema)) if is_incomplete else source


def _impact(
    old: SchemaSource,
    new: SchemaSource,
    changes: list[Change],
    documents: Sequence[ClientDocument],
    client_schemas: Sequence[Path],
    resolvers: Sequence[RelayResolver],
) -> Impact:
    extensions = relay_schema_extensions([each.path for each in documents])
    client_schema = read_client_schema([*client_schemas, *extensions.files])
    gathered = gather_operations(documents, old.schema, client_schema, resolvers)
    unchecked = set(gathered.problems)
    complete = [each for each in gathered.operations if each.is_complete]  # Others have a missing fragment, a problem.
    checked: list[ClientOperation] = []
    for operation, problems in _validated(complete, old):
        unchecked.update(problems)
        if not problems:
            checked.append(operation)
    used = [usages(old.schema, operation.document) for operation in checked]
    broken = [(operation, problems) for operation, problems in _validated(checked, new) if problems]
    affected = {
        change: [operation for operation, its in zip(checked, used, strict=True) if not its.isdisjoint(change.affects)]
        for change in changes
        if change.criticality is not Criticality.SAFE
    }
    notes = extensions.notes if not client_schemas else []
    return Impact(checked, affected, broken, sorted(unchecked), notes)


def _validated(
    operations: Sequence[ClientOperation], source: SchemaSource
) -> Iterator[tuple[ClientOperation, list[Problem]]]:
    """Yield each operation with its problems."""
    errors = validate_all(source.schema, [each.document for each in operations])
    for operation, found in zip(operations, errors, strict=True):
        yield operation, [problem_from(error, operation.location) for error in found]

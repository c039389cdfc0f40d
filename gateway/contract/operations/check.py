"""The check of a client's operations: whether they are valid, within limits, and what they cost at most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    NoUnusedFragmentsRule,
    NoUnusedVariablesRule,
    print_ast,
    specified_rules,
    validate,
)
from strawberry import Schema

from gateway.contract import CheckError
from gateway.contract.operations.client_operations import ClientOperation, gather_operations, location_of, problem_from
from gateway.contract.operations.client_schema import read_client_schema
from gateway.contract.operations.documents import ClientDocument, ClientFiles, PassedOver, read_files
from gateway.contract.operations.relay_config import relay_schema_extensions
from gateway.contract.operations.relay_resolvers import RelayResolver, find_relay_resolvers
from gateway.contract.operations.snapshot import CostChange, RecordedCost, compare_costs, read_snapshot, write_snapshot
from gateway.contract.operations.validation import validate_all
from gateway.contract.operations.variable_values import read_variables
from gateway.contract.operations.worst_case import OperationCost, operation_cost
from gateway.contract.problems import Problem
from gateway.errors import GatewayError
from gateway.execution.bounds import Bounds, check_document, parse_within
from gateway.execution.estimate import FOR_EACH
from gateway.graph.schema import make_schema

__all__ = ["OperationsReport", "check_documents", "check_operations"]

_FRAGMENT_RULES = tuple(rule for rule in specified_rules if rule is not NoUnusedFragmentsRule)
_INCOMPLETE_RULES = tuple(rule for rule in specified_rules if rule is not NoUnusedVariablesRule)
"""For an operation without all its fragments: a missing one may use any variable."""


@dataclass(slots=True)
class OperationsReport:
    """The result of a check."""

    operations: int
    """How many operations there are, those with problems included."""
    costs: list[tuple[ClientOperation, OperationCost]]
    """The operations without problems, in file order."""
    problems: list[Problem]
    """In file order."""
    changes: list[CostChange] = field(default_factory=list)
    """Differences from the snapshot, by name; increases are among the problems too."""
    notes: list[str] = field(default_factory=list)
    """Remarks: whether the snapshot was written, and why not; or that no operation was found."""
    files: int = 0
    """How many files were read."""
    passed_over: list[PassedOver] = field(default_factory=list)
    """Files and parts of files that were not read, in file order."""


def check_operations(
    patterns: Sequence[str],
    variables: Mapping[str, str],
    *,
    served: GraphQLSchema | None = None,
    client_schemas: Sequence[Path] = (),
    max_calls: int | None = None,
    snapshot: Path | None = None,
    update: bool = False,
    tags: Sequence[str] = (),
) -> OperationsReport:
    """Check the operations in all documents that match the patterns.

    Operations must be valid for the `served` schema, if that is another one, and for this package's, from which costs are
    computed; `variables` are written as text. Fields that the SDL files `client_schemas` add, or those that Relay's
    configuration names, are the client's own, and are not sent. It is a problem if an operation may need more than `max_calls`
    upstream calls, or more than the `snapshot` has for it. The snapshot is written if it does not exist, or with `update`.
    `tags` are names of tags besides `gql` and `graphql`. Raises `CheckError` if the check cannot be made, or if there is
    nothing to check.
    """
    before = _previous(snapshot, update) if snapshot is not None else None
    read = read_files(patterns, tags)
    if not read.documents:
        raise CheckError(_nothing_found(patterns, read))
    resolvers = find_relay_resolvers(patterns)
    report = check_documents(read.documents, variables, served, client_schemas, resolvers)
    report.files, report.passed_over = read.files, read.passed_over
    if not report.operations and not report.problems:
        report.notes.append(
            "No operation is sent: there are only fragments, type definitions, or fields of the client."
        )
    is_complete = not report.problems
    if max_calls is not None:
        report.problems += _over_limit(report, max_calls)
    if snapshot is not None:
        _compare(report, snapshot, before, is_complete, update)
    report.problems.sort()
    return report


def check_documents(
    documents: Sequence[ClientDocument],
    variables: Mapping[str, str],
    served: GraphQLSchema | None = None,
    client_schemas: Sequence[Path] = (),
    resolvers: Sequence[RelayResolver] = (),
) -> OperationsReport:
    """Check the operations in documents, without limits.

    Raises `CheckError` for a variable that no operation defines, and for client schemas that cannot be used.
    """
    schema = make_schema()
    extensions = relay_schema_extensions([each.path for each in documents])
    client_schema = read_client_schema([*client_schemas, *extensions.files])
    gathered = gather_operations(documents, served or schema._schema, client_schema, resolvers)
    costs: list[tuple[ClientOperation, OperationCost]] = []
    problems = set(gathered.problems)
    unknown = set(variables)
    for operation, found in zip(gathered.operations, _problems(gathered.operations, schema, served), strict=True):
        unknown -= {each.variable.name.value for each in operation.node.variable_definitions or ()}
        if not found and operation.is_complete:
            values, errors = read_variables(schema._schema, operation.node.variable_definitions or (), variables)
            cost = errors or operation_cost(schema, operation.document, values)
            if isinstance(cost, OperationCost):
                costs.append((operation, cost))
            else:
                found = [problem_from(error, operation.location) for error in cost]
        problems.update(found)
    for fragment in gathered.fragments:
        problems.update(_fragment_problems(fragment, served or schema._schema))
    notes = [*gathered.notes, *(extensions.notes if not client_schemas else ())]
    if unknown and not problems:
        raise CheckError(f"--var {min(unknown)}: no operation has a variable ${min(unknown)}.")
    return OperationsReport(len(gathered.operations), costs, sorted(problems), notes=notes)


def _nothing_found(patterns: Sequence[str], read: ClientFiles) -> str:
    files = "1 file was" if read.files == 1 else f"{read.files} files were"
    reasons = "".join(f"\n{each.path}: {each.reason}" for each in read.passed_over)
    return f"{', '.join(patterns)}: {files} read, and no operation was found. Name other tags with --tag NAME.{reasons}"


def _problems(
    operations: Sequence[ClientOperation], schema: Schema, served: GraphQLSchema | None
) -> list[list[Problem]]:
    """Return the problems of each operation: with its size, or else with the schemas."""
    problems = [_size_problems(each) for each in operations]
    _validate(operations, problems, served or schema._schema)
    if served is not None:
        _validate(operations, problems, schema._schema, "This release, which computes the cost, rejects it: ")
    return problems


def _validate(
    operations: Sequence[ClientOperation], problems: list[list[Problem]], schema: GraphQLSchema, prefix: str = ""
) -> None:
    """Validate the operations without problems so far, and add the errors to their problems."""
    valid = [position for position, found in enumerate(problems) if not found]
    for is_complete, rules in ((True, specified_rules), (False, _INCOMPLETE_RULES)):
        positions = [each for each in valid if operations[each].is_complete is is_complete]
        errors = validate_all(schema, [operations[each].document for each in positions], rules)
        for position, found in zip(positions, errors, strict=True):
            located = (problem_from(error, operations[position].location) for error in found)
            problems[position] = [Problem(each.location, prefix + each.message) for each in located]


def _size_problems(operation: ClientOperation) -> list[Problem]:
    """Check an operation against the limits with which the gateway parses it."""
    bounds = Bounds()
    text = print_ast(operation.document)
    try:
        if len(text) <= bounds.tokens:  # A token has a character.
            check_document(operation.document, bounds)
        else:
            parse_within(text, bounds)
    except (GatewayError, GraphQLError) as error:
        return [Problem(operation.location, f"{operation.label}: {error.message}")]
    return []


def _fragment_problems(fragment: DocumentNode, schema: GraphQLSchema) -> list[Problem]:
    """Check a fragment that no operation spreads, with those that it needs."""
    location = location_of(fragment.definitions[0])
    try:
        check_document(fragment, Bounds())
    except GatewayError as error:
        return [Problem(location, str(error))]
    return [problem_from(error, location) for error in validate(schema, fragment, _FRAGMENT_RULES)]


def _over_limit(report: OperationsReport, limit: int) -> list[Problem]:
    problems: list[Problem] = []
    for operation, cost in report.costs:
        if cost.calls > limit:
            path, calls = max(cost.calls_by_field.items(), key=lambda each: each[1])
            fitting = cost.fitting(limit)
            hint = f"{fitting} would fit" if fitting is not None else "shortening a single list is not enough"
            price = f"{cost.calls} upstream call{'s' * (cost.calls != 1)}{FOR_EACH[cost.per]}"
            total = f"could take {price}, and {limit} are allowed."
            largest = f"The largest part is {path} with {calls}; {hint}."
            problems.append(Problem(operation.location, f"{operation.label} {total} {largest}"))
    return problems


def _previous(snapshot: Path, update: bool) -> dict[str, RecordedCost] | None:
    try:
        return read_snapshot(snapshot)
    except CheckError:
        if not update:
            raise
        return None  # It will be overwritten.


def _compare(
    report: OperationsReport, snapshot: Path, before: dict[str, RecordedCost] | None, is_complete: bool, update: bool
) -> None:
    """Compare costs with the previous ones, and write them if requested, and if all could be computed."""
    costs = {
        operation.name: RecordedCost(cost.calls, cost.round_trips, cost.calls_by_field, cost.per)
        for operation, cost in report.costs
        if operation.name is not None
    }
    nameless = len(report.costs) - len(costs)
    if nameless:
        report.notes.append(f"{snapshot} has no costs of operations without a name; there are {nameless}.")
    if before is not None:
        changes = compare_costs(before, costs)
        report.changes = [change for change in changes if is_complete or change.kind != "removed"]
    if not update and before is not None:
        locations = {operation.name: operation.location for operation, _ in report.costs}
        dearer = [change for change in report.changes if change.kind == "dearer"]
        report.problems += [Problem(locations[change.name], str(change)) for change in dearer]
        if report.changes:
            report.notes.append(f"{snapshot} has other costs: if the new ones are intended, write them with --update.")
    elif is_complete:
        write_snapshot(snapshot, costs)
        report.notes.append(f"{snapshot} is written: commit it.")
    else:
        report.notes.append(f"{snapshot} is not written, since not all costs could be computed.")

"""The check of a client's operations: whether the schema has what they ask, within bounds, and what they cost at most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
from gateway.contract.operations.documents import ClientDocument, find_documents
from gateway.contract.operations.gather import ClientOperation, Problem, gather_operations, place_of, problem_of
from gateway.contract.operations.snapshot import Price, PriceChange, compare_prices, read_snapshot, write_snapshot
from gateway.contract.operations.worst_case import Quote, quote
from gateway.errors import GatewayError
from gateway.execution.bounds import Bounds, check_document, parse_within
from gateway.graph.schema import make_schema

__all__ = ["Report", "check_documents", "check_operations"]

_FOR_FRAGMENTS = tuple(rule for rule in specified_rules if rule is not NoUnusedFragmentsRule)
_FOR_PARTS = tuple(rule for rule in specified_rules if rule is not NoUnusedVariablesRule)
"""The rules for an operation of which a fragment is missing, which may use any variable."""


@dataclass(slots=True)
class Report:
    """What came of a check."""

    operations: int
    """How many there are, with those that are wrong."""
    quotes: list[tuple[ClientOperation, Quote]]
    """Those that are right, with their prices, in the order of their files."""
    problems: list[Problem]
    """All that is wrong, in the order of files."""
    changes: list[PriceChange] = field(default_factory=list)
    """What differs from the snapshot, by name; what is dearer is among the problems, too."""
    notes: list[str] = field(default_factory=list)
    """What was done, or not, with the snapshot."""


def check_operations(
    patterns: Sequence[str],
    variables: Mapping[str, Any],
    *,
    served: GraphQLSchema | None = None,
    max_calls: int | None = None,
    snapshot: Path | None = None,
    update: bool = False,
) -> Report:
    """Check the operations in all documents that the patterns name, with these variables where an operation has them.

    They must fit the schema that is `served`, where that is another one, and this package's, which tells the price. None may
    take more than `max_calls`, or more than in the `snapshot`; where that is no file yet, or with `update`, it is written.
    Raises `CheckError` when the check cannot be made.
    """
    before = _before(snapshot, update) if snapshot is not None else None
    report = check_documents(find_documents(patterns), variables, served)
    is_whole = not report.problems
    if max_calls is not None:
        report.problems += _too_dear(report, max_calls)
    if snapshot is not None:
        _compare(report, snapshot, before, is_whole, update)
    report.problems.sort()
    return report


def check_documents(
    documents: Sequence[ClientDocument], variables: Mapping[str, Any], served: GraphQLSchema | None = None
) -> Report:
    """The same for documents at hand, without limits; raises `CheckError` for a variable that no operation has."""
    gathered = gather_operations(documents)
    schema = make_schema()
    quotes: list[tuple[ClientOperation, Quote]] = []
    problems = set(gathered.problems)
    unknown = set(variables)
    for operation in gathered.operations:
        unknown -= {each.variable.name.value for each in operation.node.variable_definitions or ()}
        found = _problems(operation, schema, served)
        if not found and operation.is_whole:
            price = quote(schema, operation.document, variables)
            if isinstance(price, Quote):
                quotes.append((operation, price))
            else:
                found = [problem_of(error, operation.place) for error in price]
        problems.update(found)
    for fragment in gathered.fragments:
        problems.update(_problems_alone(fragment, served or schema._schema))
    if unknown and not problems:
        raise CheckError(f"--var {min(unknown)}: no operation has a variable ${min(unknown)}.")
    return Report(len(gathered.operations), quotes, sorted(problems))


def _problems(operation: ClientOperation, schema: Schema, served: GraphQLSchema | None) -> list[Problem]:
    try:
        parse_within(print_ast(operation.document), Bounds())
    except (GatewayError, GraphQLError) as error:
        return [Problem(operation.place, f"{operation.label}: {error}")]
    rules = specified_rules if operation.is_whole else _FOR_PARTS
    errors = validate(served or schema._schema, operation.document, rules)
    prefix = ""
    if not errors and served is not None:
        errors = validate(schema._schema, operation.document, rules)
        prefix = "This release, which tells the price, does not take it: "
    found = (problem_of(error, operation.place) for error in errors)
    return [Problem(each.place, prefix + each.message) for each in found]


def _problems_alone(fragment: DocumentNode, schema: GraphQLSchema) -> list[Problem]:
    """What is wrong with a fragment that no operation spreads, and with those that it needs."""
    place = place_of(fragment.definitions[0])
    try:
        check_document(fragment, Bounds())
    except GatewayError as error:
        return [Problem(place, str(error))]
    return [problem_of(error, place) for error in validate(schema, fragment, _FOR_FRAGMENTS)]


def _too_dear(report: Report, most: int) -> list[Problem]:
    problems: list[Problem] = []
    for operation, price in report.quotes:
        if price.calls > most:
            place, calls = max(price.calls_by_field.items(), key=lambda each: each[1])
            fitting = price.fitting(most)
            hint = f"{fitting} would fit" if fitting is not None else "no one list made shorter would fit"
            dearest = f"The dearest part is {place} with {calls}; {hint}."
            words = (
                f"could take {price.calls} upstream call{'s' * (price.calls != 1)}, and {most} are allowed. {dearest}"
            )
            problems.append(Problem(operation.place, f"{operation.label} {words}"))
    return problems


def _before(snapshot: Path, update: bool) -> dict[str, Price] | None:
    try:
        return read_snapshot(snapshot)
    except CheckError:
        if not update:
            raise
        return None  # It is to be written anew.


def _compare(report: Report, snapshot: Path, before: dict[str, Price] | None, is_whole: bool, update: bool) -> None:
    """Compare prices with those before, and write them where that is wanted, unless some are not known."""
    prices = {
        operation.name: Price(price.calls, price.round_trips, price.calls_by_field)
        for operation, price in report.quotes
        if operation.name is not None
    }
    nameless = len(report.quotes) - len(prices)
    if nameless:
        report.notes.append(f"{snapshot} has no prices of operations without a name, of which there are {nameless}.")
    if before is not None:
        changes = compare_prices(before, prices)
        report.changes = [change for change in changes if is_whole or change.kind != "removed"]
    if not update and before is not None:
        places = {operation.name: operation.place for operation, _ in report.quotes}
        dearer = [change for change in report.changes if change.kind == "dearer"]
        report.problems += [Problem(places[change.name], str(change)) for change in dearer]
        if report.changes:
            report.notes.append(f"{snapshot} has other prices: if these are meant, write them with --update.")
    elif is_whole:
        write_snapshot(snapshot, prices)
        report.notes.append(f"{snapshot} is written: commit it.")
    else:
        report.notes.append(f"{snapshot} is not written, since not all operations have a price.")

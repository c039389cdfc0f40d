"""What one operation costs at most, told from the schema alone: no account, no sandbox, no call.

Its variables are taken at their worst. One that is given is what it is; one with a default has that, and one that may be null
is left out, as is `after`: a list's first page is priced. What else is required is made up: `first` and `scan` at their most,
sids and names of records that differ, an id of whatever kind of record costs most, one id in a list of them. Conditions are
tried both ways.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import Any, cast

from graphql import (
    REMOVE,
    DirectiveNode,
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    NonNullTypeNode,
    OperationDefinitionNode,
    Visitor,
    VisitorAction,
    visit,
)
from strawberry import Schema

from gateway.contract.operations.compiled import variables_in
from gateway.contract.operations.samples import Sample, samples_of, without_samples
from gateway.execution.context import OperationLimits
from gateway.execution.documents import condition_variables, without_defer
from gateway.execution.estimate import Estimate
from gateway.execution.inputs import variable_reader
from gateway.execution.plan import Plan
from gateway.execution.steps import Arguments, EdgeStep, NeedsReference
from gateway.graph.context import OperationContext
from gateway.graph.types import RESOURCES
from gateway.source.loaders import Loaders
from gateway.source.source import Source
from gateway.twilio.client import Client

__all__ = ["Edge", "Quote", "quote"]

_CONDITIONS_MAX = 6
"""Conditions that are tried both ways; of more, both sides are taken together."""
_COMBINATIONS_MAX = 640
_ERRORS_MAX = 20
_UNLIMITED = 10**12


@dataclass(frozen=True, slots=True)
class Edge:
    """What one field reads, in the worst case."""

    field: str
    """Its place in the answer, such as `Query.service.conversation.messages.receipts`."""
    upstream: str
    """The upstream path that is read first."""
    calls: int
    round_trip: int


@dataclass(frozen=True, slots=True)
class Quote:
    """An operation's price in the worst case."""

    estimate: Estimate
    """Of the choice of variables that takes most calls."""
    round_trips: int
    """Round trips one after another, at most."""
    assumed: dict[str, str]
    """What was made up for its variables, in words, where it makes a difference."""

    @property
    def calls(self) -> int:
        """Upstream calls."""
        return self.estimate.requested

    @property
    def edges(self) -> list[Edge]:
        """What each field reads, in the order of the operation; what several need, as participants, each of them tells."""
        return [
            Edge(_shown(edge["field"]), without_samples(edge["upstream"]), edge["calls"], edge["roundTrip"])
            for edge in self.estimate.as_json()["edges"]
        ]

    @property
    def calls_by_field(self) -> dict[str, int]:
        """Calls by a field's place; what several fields need counts once. Their sum is `calls`."""
        found: dict[str, int] = {}
        for each in self.estimate.priced():
            place = _shown(".".join(each.field))
            found[place] = found.get(place, 0) + each.calls * each.times
        return found

    def fitting(self, limit: int) -> str | None:
        """One list made shorter so that it all fits, such as `Query.service.conversation.messages(first: 38)`."""
        suggestion = self.estimate.refusal(limit)["suggestion"]
        return _shown(suggestion) if suggestion is not None else None


def quote(schema: Schema, document: DocumentNode, given: Mapping[str, Any]) -> Quote | list[GraphQLError]:
    """The price of a valid document's one operation, or why it would fail before it reads anything.

    `given` may have variables that are not this operation's.
    """
    operation, fragments = _parts(document)
    deferring = condition_variables(operation, fragments)
    whole = without_defer(document)  # It says when a part is sent, not what it costs.
    operation, fragments = _parts(whole)
    sides = [Sample(True, "true"), Sample(False, "false")]
    conditions = condition_variables(operation, fragments)
    if len(conditions) > _CONDITIONS_MAX:
        operation, fragments = _parts(visit(whole, _BothSides()))
        sides = [Sample(True)]
    samples = samples_of(schema._schema, document)
    samples |= {name: [Sample(True)] for name in deferring} | dict.fromkeys(conditions, sides)
    samples = {name: several for name, several in samples.items() if name not in given}
    operation = _nullable(operation, {name for name, several in samples.items() if several[0].value is None})
    dearest, assumed, round_trips = None, dict[str, Sample](), 0
    refused: dict[tuple[int, str], GraphQLError] = {}
    for chosen in _combinations(samples):
        values = {name: sample.value for name, sample in chosen.items()}
        estimate = _forecast(schema, operation, fragments, {**values, **given})
        if not isinstance(estimate, Estimate):
            return estimate
        refused |= {(id(step.nodes[0]), str(error)): _refusal(step, error, chosen) for step, error in estimate.refused}
        round_trips = max(round_trips, estimate.round_trips)
        if dearest is None or estimate.requested > dearest.requested:
            dearest, assumed = estimate, chosen
    assert dearest is not None
    words = {name: sample.words for name, sample in assumed.items() if sample.words}
    return list(refused.values()) or Quote(dearest, round_trips, words)


def _combinations(samples: Mapping[str, list[Sample]]) -> Iterator[dict[str, Sample]]:
    """Every choice of a sample for each variable; where there are too many, some variables keep their first."""
    chosen = {name: several[0] for name, several in samples.items()}
    varied: list[str] = []
    for name in samples:
        if prod(len(samples[each]) for each in (*varied, name)) <= _COMBINATIONS_MAX:
            varied.append(name)
    for combination in product(*(samples[name] for name in varied)):
        yield chosen | dict(zip(varied, combination, strict=True))


def _forecast(
    schema: Schema,
    operation: OperationDefinitionNode,
    fragments: Mapping[str, FragmentDefinitionNode],
    variables: Mapping[str, Any],
) -> Estimate | list[GraphQLError]:
    definitions = operation.variable_definitions or ()
    declared = {definition.variable.name.value for definition in definitions}
    values = variable_reader(schema._schema, definitions, max_errors=_ERRORS_MAX, hide_suggestions=False)(
        {name: value for name, value in variables.items() if name in declared}
    )
    if isinstance(values, list):
        return values
    conditions = {name: values.coerced.get(name) for name in condition_variables(operation, fragments)}
    try:
        plan = Plan(schema._schema, schema.schema_converter, operation, fragments, conditions)
    except NeedsReference as reason:
        return [GraphQLError(f"What it costs cannot be told ({reason}).", operation)]
    limits = OperationLimits(cost_max=_UNLIMITED)
    context = OperationContext(Loaders(Source(cast(Client, None), RESOURCES)), limits=limits)  # Nothing is read.
    return Estimate(plan, context, Arguments(values))


def _refusal(step: EdgeStep, error: Exception, chosen: Mapping[str, Sample]) -> GraphQLError:
    """Why an edge would read nothing, at its place."""
    node = step.nodes[0]
    made_up = min(variables_in(node.arguments or ()) & chosen.keys(), default=None)
    hint = f" What was made up for ${made_up} does not fit: give it a value, --var {made_up}=…" if made_up else ""
    return GraphQLError(f"{node.name.value}: {error}{hint}", node)


def _parts(document: DocumentNode) -> tuple[OperationDefinitionNode, dict[str, FragmentDefinitionNode]]:
    operation, *fragments = document.definitions
    assert isinstance(operation, OperationDefinitionNode)
    return operation, {each.name.value: each for each in fragments if isinstance(each, FragmentDefinitionNode)}


def _nullable(operation: OperationDefinitionNode, names: Container[str]) -> OperationDefinitionNode:
    """The operation with these variables allowed to be null."""
    definitions = (
        replace(each, type=each.type.type)
        if each.variable.name.value in names and isinstance(each.type, NonNullTypeNode)
        else each
        for each in operation.variable_definitions or ()
    )
    return replace(operation, variable_definitions=tuple(definitions))


class _BothSides(Visitor):
    """Takes out conditions that depend on variables."""

    def enter_directive(self, node: DirectiveNode, *_: Any) -> VisitorAction:
        is_open = node.name.value in {"skip", "include"} and any(variables_in([node]))
        return REMOVE if is_open else None


def _shown(place: str) -> str:
    """A place in the answer without the `edges` and `node` of lists."""
    return "Query." + re.sub(r"\.edges\.node(?=\.|$)", "", place)

"""The worst-case cost of one operation, computed from the schema alone, without an account or an upstream call.

A variable with a value or a default keeps it. Nullable variables are omitted, and so is `after`, so that the first page of a
list is costed. Every other variable gets a sample: `first` and `scan` their maximum, sids and names of distinct records, an id
of the type that costs most, a list of one id. Conditions of `@include` and `@skip` are evaluated both ways. The cost of a
subscription is that of each event.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
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

from gateway.contract.operations.references import variables_in, walk
from gateway.contract.operations.samples import Sample, samples_for, without_samples
from gateway.execution.context import OperationLimits
from gateway.execution.documents import condition_variables, without_defer
from gateway.execution.estimate import Estimate, Per
from gateway.execution.inputs import variable_reader
from gateway.execution.plan import Plan
from gateway.execution.steps import Arguments, EdgeStep, EventStep, NeedsReference
from gateway.graph.context import OperationContext
from gateway.graph.types import UPSTREAM_RESOURCES
from gateway.source.loaders import Loaders
from gateway.source.source import Source
from gateway.twilio.client import Client

__all__ = ["EdgeCost", "OperationCost", "operation_cost"]

_CONDITIONS_MAX = 6
"""The maximum number of conditions that are evaluated both ways. With more, all fields are costed together."""
_COMBINATIONS_MAX = 640
_ERRORS_MAX = 20
_UNLIMITED = 10**12


@dataclass(frozen=True, slots=True)
class EdgeCost:
    """The worst-case cost of one field."""

    field: str
    """Its path in the response, such as `Query.service.conversation.messages.receipts`; for an event, `Subscription.…`."""
    upstream: str
    """The first upstream path that it reads."""
    calls: int
    """Upstream calls."""
    round_trip: int
    """The round trip of its calls, from 1."""


@dataclass(frozen=True, slots=True)
class OperationCost:
    """The worst-case cost of one operation."""

    estimate: Estimate
    """For the variables that cause the most calls."""
    round_trips: int
    """The largest number of sequential round trips, whether the client uses `@defer` or ignores it."""
    assumed: dict[str, str]
    """Descriptions of the samples in that estimate, by variable name."""

    @property
    def per(self) -> Per:
        """What it is the cost of."""
        return self.estimate.per

    @property
    def calls(self) -> int:
        """Upstream calls."""
        return self.estimate.requested

    @property
    def edges(self) -> list[EdgeCost]:
        """The cost of each field, in document order; reads that several fields share, such as participants, count for each."""
        return [
            EdgeCost(
                self._field_path(edge["field"]), without_samples(edge["upstream"]), edge["calls"], edge["roundTrip"]
            )
            for edge in self.estimate.as_json()["edges"]
        ]

    @property
    def calls_by_field(self) -> dict[str, int]:
        """Calls by field path; a read that several fields share counts once, so that the sum is `calls`."""
        calls: dict[str, int] = {}
        for each in self.estimate.priced():
            path = self._field_path(".".join(each.field))
            calls[path] = calls.get(path, 0) + each.calls * each.times
        return calls

    def fitting(self, limit: int) -> str | None:
        """Suggest the one list to shorten for at most `limit` calls: `Query.service.conversation.messages(first: 38)`."""
        suggestion = self.estimate.refusal(limit)["suggestion"]
        return self._field_path(suggestion) if suggestion is not None else None

    def _field_path(self, path: str) -> str:
        """Remove the `edges` and `node` of connections from a response path."""
        root = "Subscription" if self.per == "event" else "Query"
        return f"{root}." + re.sub(r"\.edges\.node(?=\.|$)", "", path)


def operation_cost(
    schema: Schema, document: DocumentNode, variables: Mapping[str, Any]
) -> OperationCost | list[GraphQLError]:
    """Return the cost of a valid document's only operation, or the errors with which it fails before any upstream call.

    `variables` that the operation does not define are ignored.
    """
    operation, fragments = _parts(document)
    undeferred, deferring, conditions = document, dict[str, bool | None](), dict[str, bool | None]()
    deferred: DocumentNode | None = None
    if any(isinstance(node, DirectiveNode) for node in walk(document)):
        deferring = condition_variables(operation, fragments)
        undeferred = without_defer(document)  # @defer changes the round trips, not the calls.
        deferred = document if undeferred != document else None
        operation, fragments = _parts(undeferred)
        conditions = condition_variables(operation, fragments)
    outcomes = [Sample(True, "true"), Sample(False, "false")]
    if len(conditions) > _CONDITIONS_MAX:
        operation, fragments = _parts(visit(undeferred, _Unconditional()))
        deferred = visit(deferred, _Unconditional()) if deferred is not None else None
        outcomes = [Sample(True)]
    samples = samples_for(schema._schema, document)
    samples |= {name: [Sample(True)] for name in deferring} | dict.fromkeys(conditions, outcomes)
    samples = {name: several for name, several in samples.items() if name not in variables}
    operation = _nullable(operation, {name for name, several in samples.items() if several[0].value is None})
    costliest, assumed, round_trips = None, dict[str, Sample](), 0
    refused: dict[tuple[int, str], GraphQLError] = {}
    for chosen in _combinations(samples):
        values = {name: sample.value for name, sample in chosen.items()}
        estimate = _estimate(schema, operation, fragments, {**values, **variables}, conditions)
        if not isinstance(estimate, Estimate):
            return estimate
        refused |= {(id(step.nodes[0]), str(error)): _located(step, error, chosen) for step, error in estimate.refused}
        round_trips = max(round_trips, estimate.round_trips)
        if deferred is not None:
            in_parts = _estimate(schema, *_parts(deferred), {**values, **variables}, deferring, may_defer=True)
            if isinstance(in_parts, Estimate):
                round_trips = max(round_trips, in_parts.round_trips)
        if costliest is None or estimate.requested > costliest.requested:
            costliest, assumed = estimate, chosen
    assert costliest is not None
    descriptions = {name: sample.description for name, sample in assumed.items() if sample.description}
    return list(refused.values()) or OperationCost(costliest, round_trips, descriptions)


def _combinations(samples: Mapping[str, list[Sample]]) -> Iterator[dict[str, Sample]]:
    """Yield every combination of samples; beyond a maximum, some variables keep their first sample."""
    chosen = {name: several[0] for name, several in samples.items()}
    varied: list[str] = []
    for name in samples:
        if prod(len(samples[each]) for each in (*varied, name)) <= _COMBINATIONS_MAX:
            varied.append(name)
    for combination in product(*(samples[name] for name in varied)):
        yield chosen | dict(zip(varied, combination, strict=True))


def _estimate(
    schema: Schema,
    operation: OperationDefinitionNode,
    fragments: Mapping[str, FragmentDefinitionNode],
    variables: Mapping[str, Any],
    conditions: Iterable[str],
    *,
    may_defer: bool = False,
) -> Estimate | list[GraphQLError]:
    definitions = operation.variable_definitions or ()
    declared = {definition.variable.name.value for definition in definitions}
    values = variable_reader(schema._schema, definitions, max_errors=_ERRORS_MAX, hide_suggestions=False)(
        {name: value for name, value in variables.items() if name in declared}
    )
    if isinstance(values, list):
        return values
    outcomes = {name: values.coerced.get(name) for name in conditions}
    try:
        plan = Plan(schema._schema, schema.schema_converter, operation, fragments, outcomes, may_defer=may_defer)
    except NeedsReference as reason:
        return [GraphQLError(f"Its cost cannot be computed ({reason}).", operation)]
    limits = OperationLimits(cost_max=_UNLIMITED)
    context = OperationContext(
        Loaders(Source(cast(Client, None), UPSTREAM_RESOURCES)), limits=limits
    )  # Nothing is read.
    return Estimate(plan, context, Arguments(values))


def _located(step: EdgeStep | EventStep, error: Exception, chosen: Mapping[str, Sample]) -> GraphQLError:
    """Return an edge's error at its field, with a hint if a sample may have caused it."""
    node = step.nodes[0]
    name = min(variables_in(node.arguments or ()) & chosen.keys(), default=None)
    hint = f" The sample for ${name} is not valid here: give it a value, --var {name}=…" if name else ""
    return GraphQLError(f"{node.name.value}: {error}{hint}", node)


def _parts(document: DocumentNode) -> tuple[OperationDefinitionNode, dict[str, FragmentDefinitionNode]]:
    operation, *fragments = document.definitions
    assert isinstance(operation, OperationDefinitionNode)
    return operation, {each.name.value: each for each in fragments if isinstance(each, FragmentDefinitionNode)}


def _nullable(operation: OperationDefinitionNode, names: Container[str]) -> OperationDefinitionNode:
    """Make the types of these variables nullable."""
    definitions = (
        replace(each, type=each.type.type)
        if each.variable.name.value in names and isinstance(each.type, NonNullTypeNode)
        else each
        for each in operation.variable_definitions or ()
    )
    return replace(operation, variable_definitions=tuple(definitions))


class _Unconditional(Visitor):
    """Remove conditions that depend on variables."""

    def enter_directive(self, node: DirectiveNode, *_: Any) -> VisitorAction:
        is_variable = node.name.value in {"skip", "include"} and any(variables_in([node]))
        return REMOVE if is_variable else None

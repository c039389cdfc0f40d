"""What an operation is before it runs: what is kept of it between its runs, and a request for it with its variables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from graphql import ArgumentNode, DocumentNode, FragmentDefinitionNode, GraphQLError, OperationDefinitionNode
from graphql.execution.values import VariableValues

from gateway.execution.expected import ExpectedReads
from gateway.execution.failures import Failure
from gateway.execution.generate import GeneratedPlan
from gateway.execution.levels import NamedRecords, Unusual
from gateway.execution.outcome import Outcome
from gateway.execution.plan import Plan

__all__ = ["CachedPlan", "OneRow", "Prepared", "ValidOperation"]


@dataclass(slots=True)
class ValidOperation:
    """An operation of a valid document, with its cached parts."""

    key: tuple[str, str | None]
    """The document's text and the requested operation name."""
    name: str | None
    """Its name, if it has one."""
    document: DocumentNode
    node: OperationDefinitionNode
    fragments: dict[str, FragmentDefinitionNode]
    conditions: dict[str, bool | None]
    """See `condition_variables`."""
    private: list[ArgumentNode]
    """See `private_arguments`."""
    characters: int
    read_variables: Callable[[dict[str, Any]], VariableValues | list[GraphQLError]]
    fingerprint: str
    introspection: DocumentNode | None = None
    """The document with its introspection fields only."""
    undeferred: DocumentNode | None = None
    """The document without `@defer`."""

    def outcome(self, data: dict[str, Any] | None, failures: tuple[Failure, ...] = (), **more: Any) -> Outcome:
        """Return an outcome of it."""
        return Outcome(data, failures, operation=self.name, document=self.fingerprint, **more)


class Prepared(msgspec.Struct):
    """A valid request, before it runs."""

    operation: ValidOperation
    values: VariableValues
    planned: CachedPlan | str
    """The plan, or the reason why only graphql-core can execute the operation."""

    __repr__ = object.__repr__  # Variables may be personal.

    def one_row(self) -> OneRow | None:
        """Return what the operation needs if that is one row alone, and it has run before; None for any other operation.

        Only for a caller that may read everything, and may be served what is cached.
        """
        planned = self.planned
        if isinstance(planned, str) or planned.one_row is None:
            return None
        kept = planned.expected_reads.kept(self.values)
        if kept is None or kept[0].requested != 1 or not kept[0].paths:
            return None
        (reads, names), (code, named) = kept, planned.one_row
        paths = {index: reads.paths[index].of(names) for index in named.selected}
        assert named.row is not None
        others = named.others
        return OneRow(self.operation, code, paths, paths[named.row], reads.distinct(others), len(others) + 1)


class OneRow(msgspec.Struct):
    """An operation whose answer is a function of one row: that of a record which the query names."""

    operation: ValidOperation
    code: GeneratedPlan
    paths: dict[int, str]
    """The paths of the records of which something is selected (see `NamedRecords`)."""
    key: str
    """The path of the record with the row."""
    skipped: int
    """The number of other records, which need not be read."""
    records: int
    """The number of places in the answer where a record is."""

    __repr__ = object.__repr__  # See `Prepared`.

    def outcome(self, row: Any) -> Outcome:
        """Return the outcome; raises as `GeneratedPlan.answer` does."""
        return self.operation.outcome(None, requested=1, data_json=self.code.answer_from(self.paths, row))


@dataclass(slots=True)
class CachedPlan:
    """A plan, its expected reads, and the code generated from it."""

    plan: Plan
    weight: int
    expected_reads: ExpectedReads
    runs: int = 0
    generated: GeneratedPlan | str | None = None
    """The code, or why there is none."""
    one_row: tuple[GeneratedPlan, NamedRecords] | None = None
    """The code, and its records, if its answer is a function of one row."""
    of_events: dict[str, CachedPlan] = field(default_factory=dict)
    """The plans of a subscription for one event, by the event's type."""

    def of_event(self, type_name: str) -> CachedPlan:
        """Return the plan of a subscription for events of this type."""
        cached = self.of_events.get(type_name)
        if cached is None:
            plan = self.plan.of_event(type_name)
            cached = self.of_events[type_name] = CachedPlan(plan, 0, self.expected_reads)
        return cached

    def code(self, generate_at: int) -> GeneratedPlan | str | None:
        """Return the code of the plan, generated at that run, or why there is none; None before that run."""
        if self.generated is None:
            self.runs += 1
            if self.runs >= generate_at:
                try:
                    self.generated = GeneratedPlan(self.plan)
                except Unusual as reason:
                    self.generated = str(reason)
                else:
                    named = self.generated.of_one_row
                    if named is not None and not self.plan.has_introspection:
                        self.one_row = self.generated, named
        return self.generated

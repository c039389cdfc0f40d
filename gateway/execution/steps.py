"""The steps of a plan: how the fields of one object type are written, in the order of the answer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from graphql import FieldNode, GraphQLError
from graphql.execution.values import VariableValues

from gateway.execution.fields import EdgeField, EventField, EventSource, LookupField, PropertyField

__all__ = [
    "Arguments",
    "DeferUsage",
    "Deferred",
    "EdgeStep",
    "EventStep",
    "FieldTree",
    "Leaf",
    "Lookup",
    "NeedsReference",
    "Nested",
    "Selection",
    "Step",
    "edge_steps",
]


class NeedsReference(Exception):
    """The engine cannot execute an operation, and graphql-core must; the text is the reason that is counted."""


@dataclass(slots=True)
class Leaf:
    """A field with a scalar or enum value."""

    key: str
    nodes: list[FieldNode]
    prop: PropertyField
    read: Callable[[Any], Any]
    reads_row: bool
    """Whether `read` takes the record's row instead of the record."""
    plain: type[Any]
    """Values of exactly this type are written as they are."""
    write: Callable[[Any], Any]
    """Serializes any other value."""
    is_nullable: bool
    is_marked: bool = False
    """Whether values are marked as text from outside (see `outside_text`)."""


@dataclass(slots=True)
class Nested:
    """A field whose value is an object, or a list of objects, inside the record."""

    key: str
    nodes: list[FieldNode]
    prop: PropertyField | LookupField
    read: Callable[..., Any]
    is_list: bool
    is_nullable: bool
    selection: Selection
    is_record: bool
    """Whether the object is a record, with its row."""


@dataclass(slots=True)
class Lookup(Nested):
    """A list of objects that follow from the field's arguments alone: `read` takes None and the arguments."""

    arguments: Callable[[VariableValues], dict[str, Any]]
    """Coerces the arguments; raises GraphQLError for a variable whose value does not fit."""


@dataclass(slots=True)
class EdgeStep:
    """A field that leads to other records, through a read."""

    key: str
    nodes: list[FieldNode]
    edge: EdgeField
    function: Callable[..., Any]
    """The edge's function, from a record and the arguments to a read, a list of reads, or None."""
    arguments: Callable[[VariableValues], dict[str, Any]]
    """Coerces the arguments for the function; raises GraphQLError for a variable whose value does not fit."""
    is_list: bool
    """Whether the function returns a list of reads."""
    selections: dict[str, Selection]
    """The selection for each object type that a child can have."""


Step = Leaf | Nested | EdgeStep


@dataclass(slots=True)
class EventStep:
    """The field of a subscription: the event that it is executed for."""

    key: str
    nodes: list[FieldNode]
    field: EventField
    arguments: Callable[[VariableValues], dict[str, Any]]
    """Coerces the arguments; raises GraphQLError for a variable whose value does not fit."""
    selections: dict[str, Selection]
    """The selection for each type that an event can have."""

    def source(self, variables: VariableValues) -> EventSource:
        """Return what the arguments select; raises GraphQLError, and `GatewayError` for values that are not valid."""
        return self.field.function(None, **self.arguments(variables))


class Arguments:
    """The arguments of a plan's edges and lookups in one run, coerced on first use."""

    def __init__(self, variables: VariableValues) -> None:
        self.variables = variables
        self._coerced: dict[int, dict[str, Any] | GraphQLError] = {}

    def of(self, step: EdgeStep | Lookup) -> dict[str, Any]:
        """Return the arguments for the field's function, which must not be modified; raises GraphQLError."""
        coerced = self._coerced.get(id(step))
        if coerced is None:
            try:
                coerced = step.arguments(self.variables)
            except GraphQLError as error:
                coerced = error
            self._coerced[id(step)] = coerced
        if isinstance(coerced, GraphQLError):
            raise coerced.with_traceback(None)
        return coerced


class FieldTree(dict[str, "FieldTree"]):
    """The response keys of some fields of an answer, each with those below it."""


@dataclass(slots=True)
class Selection:
    """The fields selected of one object type."""

    type_name: str
    """Of an edge that leads to a value instead of records, its scalar type."""
    blank: dict[str, Any] = field(default_factory=dict)
    """The object before it is filled: all response keys in order, with null, or the type's name for `__typename`."""
    steps: list[Step] = field(default_factory=list)
    needs_row: bool = False
    """Whether the row of a record must be read for it."""
    has_edges: bool = False
    """Whether it has edges, here or inside nested objects and deferred fragments."""
    is_value: bool = False
    """Whether the child is a value of a scalar type, which is written as it is and has no fields."""
    usages: list[DeferUsage] = field(default_factory=list)
    """The fragments with `@defer` at this place."""
    deferred: list[Deferred] = field(default_factory=list)
    """The fields that are executed after the others."""

    @property
    def needs_row_later(self) -> bool:
        """Whether the row of a record must be read for a deferred fragment."""
        return bool(self.deferred) and any(
            each.selection.needs_row or each.selection.needs_row_later for each in self.deferred
        )


@dataclass(slots=True, eq=False)
class DeferUsage:
    """A fragment with `@defer` at one place of a plan. Equal only to itself."""

    label: str | None
    parent: DeferUsage | None
    """The fragment with `@defer` that it is in."""
    depth: int
    """The length of the response paths of its place."""
    fields: FieldTree = field(default_factory=FieldTree)
    """The fields that it selects, without those of fragments with `@defer` inside it."""

    def is_inside(self, others: Collection[DeferUsage]) -> bool:
        """Return whether one of the others contains it."""
        above = self.parent
        while above is not None:
            if above in others:
                return True
            above = above.parent
        return False


@dataclass(slots=True)
class Deferred:
    """The fields of one object type that the same fragments with `@defer` select at one place: they are executed once."""

    usages: frozenset[DeferUsage]
    nodes: list[FieldNode]
    selection: Selection


def edge_steps(selection: Selection) -> Iterator[EdgeStep]:
    """Yield all edges of a selection, at any depth."""
    for step in selection.steps:
        if isinstance(step, EdgeStep):
            yield step
            for below in step.selections.values():
                yield from edge_steps(below)
        elif isinstance(step, Nested):
            yield from edge_steps(step.selection)
    for deferred in selection.deferred:
        yield from edge_steps(deferred.selection)

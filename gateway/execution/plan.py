"""An operation made ready to run: for each type a selection can meet, the steps that fill its answer.

A plan is made once for a document and the values of the variables in its `@skip`, `@include` and `@defer`; all other
variables stay parameters. What cannot be planned faithfully, above all a resolver that is neither a property nor an edge,
is `NeedsReference`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from graphql import (
    REMOVE,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLError,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLScalarType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    StringValueNode,
    TypeInfo,
    TypeInfoVisitor,
    VariableNode,
    Visitor,
    visit,
)
from graphql.execution.values import VariableValues

from gateway.execution.fields import Edge, Property
from gateway.execution.inputs import argument_reader
from gateway.execution.selection import applies

__all__ = [
    "Arguments",
    "Deferred",
    "EdgeStep",
    "Leaf",
    "NeedsReference",
    "Nested",
    "Plan",
    "Selection",
    "Step",
    "condition_variables",
    "only_introspection",
    "without_defer",
]

_INTROSPECTION = {"__schema", "__type"}


class NeedsReference(Exception):
    """Something in an operation is not for the engine; the text is a short reason, to be counted."""


@dataclass(slots=True)
class Leaf:
    """A field whose value stands on the record."""

    key: str
    nodes: list[FieldNode]
    read: Callable[[Any], Any]
    of_row: bool
    """Whether `read` takes the record's row, not the record."""
    plain: type[Any]
    """Values of exactly this type stand in the answer as they are."""
    write: Callable[[Any], Any]
    """Makes any other value fit for the answer."""
    is_nullable: bool


@dataclass(slots=True)
class Nested:
    """A field whose value is an object, or a list of objects, that stands on the record."""

    key: str
    nodes: list[FieldNode]
    read: Callable[[Any], Any]
    is_list: bool
    is_nullable: bool
    selection: Selection


@dataclass(slots=True)
class EdgeStep:
    """A field that leads to other records."""

    key: str
    nodes: list[FieldNode]
    edge: Edge
    function: Callable[..., Any]
    """Its function, from a record and the arguments to what is to be read."""
    arguments: Callable[[VariableValues], dict[str, Any]]
    """The arguments for the edge's function; raises GraphQLError where a variable's value does not fit."""
    is_list: bool
    """Whether it answers with a list of reads."""
    selections: Selections


Step = Leaf | Nested | EdgeStep


class Arguments:
    """The arguments of a plan's edges in one run, each edge's made when it is first met."""

    def __init__(self, variables: VariableValues) -> None:
        self._variables = variables
        self._made: dict[int, dict[str, Any] | GraphQLError] = {}

    def of(self, step: EdgeStep) -> dict[str, Any]:
        """The arguments for the edge's function, to be read only; raises GraphQLError, each time alike."""
        made = self._made.get(id(step))
        if made is None:
            try:
                made = step.arguments(self._variables)
            except GraphQLError as error:
                made = error
            self._made[id(step)] = made
        if isinstance(made, GraphQLError):
            raise made.with_traceback(None)
        return made


@dataclass(slots=True)
class Selection:
    """What is selected of one object type."""

    type_name: str
    blank: dict[str, Any] = field(default_factory=dict)
    """All keys, in the order of the answer, with null, or the type's name where that is asked for."""
    steps: list[Step] = field(default_factory=list)
    needs_row: bool = False
    """Whether a record must be looked up for it."""
    leads_on: bool = False
    """Whether other records are selected below it."""
    deferred: list[Deferred] = field(default_factory=list)
    """What is selected of it in fragments with `@defer`."""

    @property
    def needs_row_later(self) -> bool:
        """Whether a record must be looked up for what is deferred."""
        return bool(self.deferred) and any(
            each.selection.needs_row or each.selection.needs_row_later for each in self.deferred
        )


@dataclass(slots=True)
class Deferred:
    """What a fragment with `@defer` selects of one object type: it comes after the answer, in a frame of its own.

    All of it comes, also what the answer had already: clients that store a fragment's data expect it whole.
    """

    label: str | None
    nodes: list[FieldNode]
    selection: Selection


class Selections:
    """What is selected of an edge's children: one selection for each type that they can have, made when it is met."""

    def __init__(self, plan: Plan, of_type: GraphQLObjectType | GraphQLInterfaceType, nodes: list[FieldNode]) -> None:
        self._plan = plan
        self._type = of_type
        self._nodes = nodes
        self._made: dict[str, Selection] = {}

    def of(self, type_name: str) -> Selection:
        """The selection of the child type with that name."""
        made = self._made.get(type_name)
        if made is None:
            made = self._made[type_name] = self._plan.select(type_name, [node.selection_set for node in self._nodes])
        return made

    def make_all(self) -> None:
        """Make every selection now, so that what cannot be planned is found before anything runs."""
        for possible in self._plan.possible_types(self._type):
            self.of(possible)


class Plan:
    """One operation's plan, for given values of its condition variables."""

    def __init__(
        self,
        schema: GraphQLSchema,
        converter: Any,
        operation: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
        conditions: Mapping[str, Any],
        *,
        may_defer: bool = False,
    ) -> None:
        """Take the schema, Strawberry's converter for it, and the operation; raises `NeedsReference`.

        Unless it `may_defer`, `@defer` means nothing.
        """
        if operation.operation is not OperationType.QUERY or schema.query_type is None:
            raise NeedsReference("operation type")
        self._schema = schema
        self._converter = converter
        self._fragments = fragments
        self._conditions = conditions
        self._may_defer = may_defer
        self.asks_for_schema = False
        """Whether something is asked about the schema, which graphql-core answers."""
        self.steps = 0
        """How many steps there are, in all selections: the plan's size."""
        self.root = self.select(schema.query_type.name, [operation.selection_set])

    def possible_types(self, of_type: GraphQLObjectType | GraphQLInterfaceType) -> list[str]:
        """The names of the object types that a value of this type can have."""
        if isinstance(of_type, GraphQLObjectType):
            return [of_type.name]
        return [possible.name for possible in self._schema.get_possible_types(of_type)]

    def select(self, type_name: str, sets: Iterable[Any]) -> Selection:
        """The steps for an object type, from the selection sets that stand at one place."""
        of_type = self._schema.type_map[type_name]
        assert isinstance(of_type, GraphQLObjectType)
        found = _Collected()
        for each in sets:
            if each is not None:
                self._collect(of_type, each.selections, found)
        return self._selection(of_type, found)

    def _selection(self, of_type: GraphQLObjectType, found: _Collected) -> Selection:
        selection = Selection(of_type.name)
        self.steps += 1 + len(found.fields)
        for key, nodes in found.fields.items():
            name = nodes[0].name.value
            selection.blank[key] = of_type.name if name == "__typename" else None
            if name == "__typename":
                continue
            if name in _INTROSPECTION:
                self.asks_for_schema = True
                continue
            step = self._step(of_type.fields[name], key, nodes, selection)
            selection.steps.append(step)
            if isinstance(step, EdgeStep) or (isinstance(step, Nested) and step.selection.leads_on):
                selection.leads_on = True
        for label, later in found.deferred:
            nodes = next(iter(later.fields.values()), [])
            below = self._selection(of_type, later)
            selection.deferred.append(Deferred(label, nodes[:1], below))
            selection.leads_on = selection.leads_on or below.leads_on
        return selection

    def _collect(self, of_type: GraphQLObjectType, selections: Iterable[SelectionNode], found: _Collected) -> None:
        for selection in selections:
            if not self._is_included(selection):
                continue
            if isinstance(selection, FieldNode):
                found.fields.setdefault((selection.alias or selection.name).value, []).append(selection)
                continue
            if isinstance(selection, FragmentSpreadNode):
                fragment: InlineFragmentNode | FragmentDefinitionNode = self._fragments[selection.name.value]
            else:
                assert isinstance(selection, InlineFragmentNode)
                fragment = selection
            condition = fragment.type_condition
            if condition is not None and not applies(self._schema, condition.name.value, of_type):
                continue
            defer = self._defer_of(selection)
            label = _label(defer) if defer is not None else None
            if isinstance(selection, FragmentSpreadNode):
                spread = selection.name.value, defer is not None, label
                if spread in found.visited:
                    continue
                found.visited.add(spread)
            into = found
            if defer is not None:
                into = _Collected()
                found.deferred.append((label, into))
            self._collect(of_type, fragment.selection_set.selections, into)

    def _is_included(self, selection: SelectionNode) -> bool:
        for directive in selection.directives or ():
            name = directive.name.value
            if name in {"skip", "include"}:
                if self._holds(directive) is (name == "skip"):
                    return False
            elif name != "defer":
                raise NeedsReference("directive")
        return True

    def _defer_of(self, selection: SelectionNode) -> DirectiveNode | None:
        """The `@defer` of a fragment, where it holds."""
        for directive in selection.directives or ():
            if directive.name.value == "defer" and self._may_defer and self._holds(directive):
                return directive
        return None

    def _holds(self, directive: DirectiveNode) -> bool:
        """The value of a directive's `if`."""
        for argument in directive.arguments or ():
            if argument.name.value == "if":
                value: Any = argument.value
                return bool(self._conditions[value.name.value] if isinstance(value, VariableNode) else value.value)
        return True

    def _step(self, field: GraphQLField, key: str, nodes: list[FieldNode], selection: Selection) -> Step:
        definition = field.extensions.get("strawberry-definition")
        output = field.type
        is_nullable = not isinstance(output, GraphQLNonNull)
        if isinstance(output, GraphQLNonNull):
            output = output.of_type
        if isinstance(definition, Edge):
            selection.needs_row = selection.needs_row or definition.needs_row
            return self._edge_step(field, definition, output, key, nodes)
        if not isinstance(definition, Property) or definition.extensions:
            raise NeedsReference("resolver")
        selection.needs_row = selection.needs_row or definition.needs_row
        if isinstance(output, GraphQLScalarType | GraphQLEnumType):
            read = definition.read_row or definition.read
            return Leaf(key, nodes, read, definition.read_row is not None, *_writer(output), is_nullable)
        is_list = isinstance(output, GraphQLList)
        if isinstance(output, GraphQLList):
            output = output.of_type.of_type if isinstance(output.of_type, GraphQLNonNull) else None  # type: ignore[assignment]
        if not isinstance(output, GraphQLObjectType):
            raise NeedsReference("shape")
        below = self.select(output.name, [node.selection_set for node in nodes])
        return Nested(key, nodes, definition.read, is_list, is_nullable, below)

    def _edge_step(
        self, field: GraphQLField, edge: Edge, output: GraphQLOutputType, key: str, nodes: list[FieldNode]
    ) -> EdgeStep:
        is_list = isinstance(output, GraphQLList)
        if isinstance(output, GraphQLList):
            output = output.of_type
        if not isinstance(output, GraphQLObjectType | GraphQLInterfaceType) or not edge.is_pure:
            raise NeedsReference("shape")
        selections = Selections(self, output, nodes)
        selections.make_all()
        arguments = argument_reader(field, nodes[0], edge.arguments, self._converter)
        return EdgeStep(key, nodes, edge, edge.function, arguments, is_list, selections)


@dataclass(slots=True)
class _Collected:
    """The fields of one object type that are selected at one place."""

    fields: dict[str, list[FieldNode]] = field(default_factory=dict)
    deferred: list[tuple[str | None, _Collected]] = field(default_factory=list)
    """What is selected in fragments with `@defer`, by their labels."""
    visited: set[tuple[str, bool, str | None]] = field(default_factory=set)


def _label(defer: DirectiveNode) -> str | None:
    for argument in defer.arguments or ():
        if argument.name.value == "label" and isinstance(argument.value, StringValueNode):
            return argument.value.value
    return None


def condition_variables(
    operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> dict[str, bool | None]:
    """The variables on which `@skip`, `@include` and `@defer` depend, in an operation and the fragments that it spreads.

    Each has the value that it has when it is not given: true for `@defer` alone, none for the others.
    """
    found: dict[str, bool | None] = {}
    spread: set[str] = set()
    parts: list[OperationDefinitionNode | FragmentDefinitionNode] = [operation]

    class Conditions(Visitor):
        def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
            name = node.name.value
            for argument in node.arguments or ():
                if isinstance(argument.value, VariableNode) and argument.name.value == "if":
                    variable = argument.value.name.value
                    if name == "defer":
                        found.setdefault(variable, True)
                    elif name in {"skip", "include"}:
                        found[variable] = None

        def enter_fragment_spread(self, node: FragmentSpreadNode, *_: Any) -> None:
            name = node.name.value
            if name not in spread:
                spread.add(name)
                parts.append(fragments[name])

    for part in parts:  # It grows as fragments are met.
        visit(part, Conditions())
    return dict(sorted(found.items()))


def without_defer(document: DocumentNode) -> DocumentNode:
    """The document without its `@defer`, for an executor that answers all at once."""

    class Drop(Visitor):
        def enter_directive(self, node: DirectiveNode, *_: Any) -> Any:
            return REMOVE if node.name.value == "defer" else None

    return visit(document, Drop())  # type: ignore[no-any-return]


def only_introspection(schema: GraphQLSchema, document: DocumentNode) -> DocumentNode:
    """The document without what it asks of records: of the fields at its root, those about the schema remain."""
    info = TypeInfo(schema)

    class Prune(Visitor):
        def enter_field(self, node: FieldNode, *_: Any) -> Any:
            parent = info.get_parent_type()
            is_of_root = parent is not None and parent is schema.query_type
            return REMOVE if is_of_root and node.name.value not in _INTROSPECTION else None

    return visit(document, TypeInfoVisitor(info, Prune()))  # type: ignore[no-any-return]


_PLAIN: dict[str, type[Any]] = {"ID": str, "String": str, "Boolean": bool, "DateTime": str, "URL": str}


def _writer(output: GraphQLScalarType | GraphQLEnumType) -> tuple[type[Any], Callable[[Any], Any]]:
    """The type whose values need nothing done to them, and what makes others fit."""
    serialize = output.coerce_output_value
    if isinstance(output, GraphQLEnumType):
        wrapped = getattr(output, "wrapped_cls", None)
        if wrapped is not None and all(serialize(member) == member.name for member in wrapped):
            return _Nothing, attrgetter("_name_")
    return _PLAIN.get(output.name, _Nothing), serialize


class _Nothing:
    """A type that no value has."""

"""The plan of an operation: for each object type that a selection can have, the steps that write its answer.

A plan is made once for a document and the values of the variables in its `@skip`, `@include` and `@defer`; all other
variables stay parameters. A resolver that is neither a property nor an edge cannot be planned: it raises `NeedsReference`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from graphql import (
    DirectiveNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
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
    VariableNode,
)

from gateway.execution.documents import INTROSPECTION
from gateway.execution.fields import EdgeField, PropertyField
from gateway.execution.inputs import argument_reader
from gateway.execution.selection import applies
from gateway.execution.steps import Deferred, EdgeStep, Leaf, NeedsReference, Nested, Selection, Step

__all__ = ["Plan"]


class Plan:
    """The plan of one operation, for given values of its condition variables."""

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
        """Plan an operation; raises `NeedsReference`.

        `converter` is Strawberry's, for arguments. `conditions` are the values of `documents.condition_variables`. Without
        `may_defer`, `@defer` has no effect.
        """
        if operation.operation is not OperationType.QUERY or schema.query_type is None:
            raise NeedsReference("operation type")
        self._schema = schema
        self._converter = converter
        self._fragments = fragments
        self._conditions = conditions
        self._may_defer = may_defer
        self.has_introspection = False
        """Whether the root has introspection fields, which graphql-core executes."""
        self.steps = 0
        """The number of steps in all selections: the plan's size."""
        self.root = self._select(schema.query_type.name, [operation.selection_set])

    def _possible_types(self, of_type: GraphQLObjectType | GraphQLInterfaceType) -> list[str]:
        """Return the names of the object types that a value of this type can have."""
        if isinstance(of_type, GraphQLObjectType):
            return [of_type.name]
        return [possible.name for possible in self._schema.get_possible_types(of_type)]

    def _select(self, type_name: str, sets: Iterable[Any]) -> Selection:
        """Return the selection of an object type, merged from the selection sets at one place."""
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
            if name in INTROSPECTION:
                self.has_introspection = True
                continue
            step = self._step(of_type.fields[name], key, nodes, selection)
            selection.steps.append(step)
            if isinstance(step, EdgeStep) or (isinstance(step, Nested) and step.selection.has_edges):
                selection.has_edges = True
        for label, later in found.deferred:
            nodes = next(iter(later.fields.values()), [])
            below = self._selection(of_type, later)
            selection.deferred.append(Deferred(label, nodes[:1], below))
            selection.has_edges = selection.has_edges or below.has_edges
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
        """Return the `@defer` of a fragment, if it has effect."""
        for directive in selection.directives or ():
            if directive.name.value == "defer" and self._may_defer and self._holds(directive):
                return directive
        return None

    def _holds(self, directive: DirectiveNode) -> bool:
        """Return the value of a directive's `if`."""
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
        if isinstance(definition, EdgeField):
            selection.needs_row = selection.needs_row or definition.needs_row
            return self._edge_step(field, definition, output, key, nodes)
        if not isinstance(definition, PropertyField) or definition.extensions:
            raise NeedsReference("resolver")
        selection.needs_row = selection.needs_row or definition.needs_row
        if isinstance(output, GraphQLScalarType | GraphQLEnumType):
            read = definition.read_row or definition.read
            return Leaf(key, nodes, definition, read, definition.read_row is not None, *_writer(output), is_nullable)
        is_list = isinstance(output, GraphQLList)
        if isinstance(output, GraphQLList):
            output = output.of_type.of_type if isinstance(output.of_type, GraphQLNonNull) else None  # type: ignore[assignment]
        if not isinstance(output, GraphQLObjectType):
            raise NeedsReference("shape")
        below = self._select(output.name, [node.selection_set for node in nodes])
        return Nested(key, nodes, definition, definition.read, is_list, is_nullable, below)

    def _edge_step(
        self, field: GraphQLField, edge: EdgeField, output: GraphQLOutputType, key: str, nodes: list[FieldNode]
    ) -> EdgeStep:
        is_list = isinstance(output, GraphQLList)
        if isinstance(output, GraphQLList):
            output = output.of_type
        if not isinstance(output, GraphQLObjectType | GraphQLInterfaceType) or not edge.is_pure:
            raise NeedsReference("shape")
        sets = [node.selection_set for node in nodes]
        selections = {name: self._select(name, sets) for name in self._possible_types(output)}
        arguments = argument_reader(field, nodes[0], edge.arguments, self._converter)
        return EdgeStep(key, nodes, edge, edge.function, arguments, is_list, selections)


@dataclass(slots=True)
class _Collected:
    """The fields of one object type that are selected at one place (CollectFields in the specification)."""

    fields: dict[str, list[FieldNode]] = field(default_factory=dict)
    deferred: list[tuple[str | None, _Collected]] = field(default_factory=list)
    """The fields of each fragment with `@defer`, and its label."""
    visited: set[tuple[str, bool, str | None]] = field(default_factory=set)


def _label(defer: DirectiveNode) -> str | None:
    for argument in defer.arguments or ():
        if argument.name.value == "label" and isinstance(argument.value, StringValueNode):
            return argument.value.value
    return None


_PLAIN: dict[str, type[Any]] = {"ID": str, "String": str, "Boolean": bool, "DateTime": str, "URL": str}


def _writer(output: GraphQLScalarType | GraphQLEnumType) -> tuple[type[Any], Callable[[Any], Any]]:
    """Return the type whose values are written as they are, and the function that serializes others."""
    serialize = output.coerce_output_value
    if isinstance(output, GraphQLEnumType):
        wrapped = getattr(output, "wrapped_cls", None)
        if wrapped is not None and all(serialize(member) == member.name for member in wrapped):
            return _Nothing, attrgetter("_name_")
    return _PLAIN.get(output.name, _Nothing), serialize


class _Nothing:
    """A type without values."""

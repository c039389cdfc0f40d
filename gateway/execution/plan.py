"""The plan of an operation: for each object type that a selection can have, the steps that write its answer.

A plan is made once for a document and the values of the variables in its `@skip`, `@include` and `@defer`; all other
variables stay parameters. A field that is no property, edge or lookup cannot be planned: it raises `NeedsReference`.

A subscription is executed anew for each event (https://spec.graphql.org/October2021/#ExecuteSubscriptionEvent()), and
`of_event` returns the plan for events of one type: the event is its root.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import copy
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
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLUnionType,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    StringValueNode,
    VariableNode,
)

from gateway.execution.documents import INTROSPECTION
from gateway.execution.fields import EdgeField, EventField, LookupField, PropertyField
from gateway.execution.inputs import argument_reader
from gateway.execution.selection import applies
from gateway.execution.steps import (
    Deferred,
    DeferUsage,
    EdgeStep,
    EventStep,
    FieldTree,
    Leaf,
    Lookup,
    NeedsReference,
    Nested,
    Selection,
    Step,
)

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
        mark_outside_text: bool = False,
    ) -> None:
        """Plan an operation; raises `NeedsReference`.

        `converter` is Strawberry's, for arguments. `conditions` are the values of `documents.condition_variables`. Without
        `may_defer`, `@defer` has no effect. With `mark_outside_text`, text that people outside wrote is marked.
        """
        root = schema.get_root_type(operation.operation)
        if root is None or operation.operation is OperationType.MUTATION:
            raise NeedsReference("operation type")
        self._schema = schema
        self._converter = converter
        self._fragments = fragments
        self._conditions = conditions
        self._may_defer = may_defer
        self._mark_outside_text = mark_outside_text
        self.has_introspection = False
        """Whether the root has introspection fields, which graphql-core executes."""
        self.has_defer = False
        """Whether a `@defer` has effect."""
        self.has_outside_text = False
        """Whether it selects text that is marked."""
        self.steps = 0
        """The number of steps in all selections: the plan's size."""
        self.events: EventStep | None = None
        """The field of a subscription."""
        self.is_of_event = False
        """Whether the root is an event, and not the query type."""
        if operation.operation is OperationType.SUBSCRIPTION:
            self.events = self._event_step(root, operation.selection_set)
            self.root = Selection(root.name)
        else:
            self.root = self._select(root.name, [_Selected(operation.selection_set)], frozenset(), 0)

    def of_event(self, type_name: str) -> Plan:
        """Return the plan of a subscription for events of this type."""
        assert self.events is not None
        plan = copy(self)
        plan.root, plan.events, plan.is_of_event = self.events.selections[type_name], None, True
        return plan

    def _event_step(self, root: GraphQLObjectType, selection_set: SelectionSetNode) -> EventStep:
        found = _Collected(0)
        self._collect(root, selection_set.selections, found, None, None)
        ((key, several),) = found.fields.items()  # As validation demands.
        nodes = [each.node for each in several]
        field = root.fields[nodes[0].name.value]
        definition, output = field.extensions["strawberry-definition"], field.type
        if not isinstance(definition, EventField) or not isinstance(output, GraphQLUnionType):
            raise NeedsReference("shape")
        sets = [_Selected(node.selection_set) for node in nodes]
        selections = {name: self._select(name, sets, frozenset(), 1) for name in self._possible_types(output)}
        arguments = argument_reader(field, nodes[0], definition.arguments, self._converter)
        return EventStep(key, nodes, definition, arguments, selections)

    def _possible_types(self, of_type: GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType) -> list[str]:
        """Return the names of the object types that a value of this type can have."""
        if isinstance(of_type, GraphQLObjectType):
            return [of_type.name]
        return [possible.name for possible in self._schema.get_possible_types(of_type)]

    def _select(self, type_name: str, sets: Iterable[_Selected], group: frozenset[DeferUsage], depth: int) -> Selection:
        """Return the selection of an object type, merged from the selection sets at one place.

        `group` are the fragments with `@defer` for which the place is executed, and `depth` is the length of its paths.
        """
        of_type = self._schema.type_map[type_name]
        assert isinstance(of_type, GraphQLObjectType)
        found = _Collected(depth)
        for each in sets:
            if each.node is not None:
                self._collect(of_type, each.node.selections, found, each.usage, each.fields)
        selection = Selection(of_type.name, usages=found.usages)
        own, deferred = _by_usages(found.fields, group)
        self._add_steps(selection, of_type, own, group, depth)
        for usages, fields in deferred.items():
            later = Selection(of_type.name)
            self._add_steps(later, of_type, fields, usages, depth)
            selection.deferred.append(Deferred(usages, [next(iter(fields.values()))[0].node], later))
            selection.has_edges = selection.has_edges or later.has_edges
        _share_row(selection)
        return selection

    def _add_steps(
        self,
        selection: Selection,
        of_type: GraphQLObjectType,
        fields: dict[str, list[_CollectedField]],
        group: frozenset[DeferUsage],
        depth: int,
    ) -> None:
        self.steps += 1 + len(fields)
        for key, several in fields.items():
            name = several[0].node.name.value
            selection.blank[key] = of_type.name if name == "__typename" else None
            if name == "__typename":
                continue
            if name in INTROSPECTION:
                self.has_introspection = True
                continue
            step = self._step(of_type.fields[name], key, several, selection, group, depth + 1)
            selection.steps.append(step)
            if isinstance(step, EdgeStep) or (isinstance(step, Nested) and step.selection.has_edges):
                selection.has_edges = True

    def _collect(
        self,
        of_type: GraphQLObjectType,
        selections: Iterable[SelectionNode],
        found: _Collected,
        usage: DeferUsage | None,
        fields: FieldTree | None,
    ) -> None:
        """Collect fields within the fragment `usage`; `fields` are those that it selects at this place."""
        for selection in selections:
            if not self._is_included(selection):
                continue
            if isinstance(selection, FieldNode):
                found.add(selection, usage, fields)
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
                spread = selection.name.value, usage, defer is not None, label
                if spread in found.visited:
                    continue
                found.visited.add(spread)
            if defer is None:
                self._collect(of_type, fragment.selection_set.selections, found, usage, fields)
            else:
                self.has_defer = True
                inner = DeferUsage(label, usage, found.depth)
                found.usages.append(inner)
                self._collect(of_type, fragment.selection_set.selections, found, inner, inner.fields)

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

    def _step(
        self,
        field: GraphQLField,
        key: str,
        several: list[_CollectedField],
        selection: Selection,
        group: frozenset[DeferUsage],
        depth: int,
    ) -> Step:
        definition = field.extensions.get("strawberry-definition")
        nodes = list({id(each.node): each.node for each in several}.values())  # Fragments may be spread in several.
        sets = [_Selected(each.node.selection_set, each.usage, each.fields) for each in several]
        output = field.type
        is_nullable = not isinstance(output, GraphQLNonNull)
        if isinstance(output, GraphQLNonNull):
            output = output.of_type
        if isinstance(definition, EdgeField):
            selection.needs_row = selection.needs_row or definition.needs_row
            is_list = isinstance(output, GraphQLList)
            if isinstance(output, GraphQLList):
                output = output.of_type
            if not definition.is_pure:
                raise NeedsReference("shape")
            if isinstance(output, GraphQLScalarType):
                below_types = {output.name: Selection(output.name, needs_row=True, is_value=True)}
            elif isinstance(output, GraphQLObjectType | GraphQLInterfaceType):
                below_types = {
                    name: self._select(name, sets, group, depth + is_list) for name in self._possible_types(output)
                }
            else:
                raise NeedsReference("shape")
            arguments = argument_reader(field, nodes[0], definition.arguments, self._converter)
            return EdgeStep(key, nodes, definition, definition.function, arguments, is_list, below_types)
        if not isinstance(definition, PropertyField | LookupField) or definition.extensions:
            raise NeedsReference("resolver")
        if isinstance(definition, PropertyField):
            selection.needs_row = selection.needs_row or definition.needs_row
        if isinstance(definition, PropertyField) and isinstance(output, GraphQLScalarType | GraphQLEnumType):
            read, reads_row = definition.read_row or definition.read, definition.read_row is not None
            is_marked = self._mark_outside_text and definition.from_outside
            self.has_outside_text = self.has_outside_text or is_marked
            return Leaf(key, nodes, definition, read, reads_row, *_writer(output), is_nullable, is_marked)
        is_list = isinstance(output, GraphQLList)
        if isinstance(output, GraphQLList):
            output = output.of_type.of_type if isinstance(output.of_type, GraphQLNonNull) else None  # type: ignore[assignment]
        if not isinstance(output, GraphQLObjectType):
            raise NeedsReference("shape")
        below = self._select(output.name, sets, group, depth + is_list)
        if isinstance(definition, LookupField):
            arguments = argument_reader(field, nodes[0], definition.arguments, self._converter)
            return Lookup(key, nodes, definition, definition.function, is_list, is_nullable, below, False, arguments)
        is_record = bool(output.interfaces)  # Only records have one, `Node`.
        return Nested(key, nodes, definition, definition.read, is_list, is_nullable, below, is_record)


@dataclass(slots=True)
class _Selected:
    """A selection set, and the innermost fragment with `@defer` that it is in."""

    node: SelectionSetNode | None
    usage: DeferUsage | None = None
    fields: FieldTree | None = None
    """The fields of `usage` in it."""


@dataclass(slots=True)
class _CollectedField:
    node: FieldNode
    usage: DeferUsage | None
    fields: FieldTree | None
    """The fields of `usage` below it."""


@dataclass(slots=True)
class _Collected:
    """The fields of one object type that are selected at one place (CollectFields in the specification)."""

    depth: int
    fields: dict[str, list[_CollectedField]] = field(default_factory=dict)
    usages: list[DeferUsage] = field(default_factory=list)
    """The fragments with `@defer` at this place."""
    visited: set[tuple[str, DeferUsage | None, bool, str | None]] = field(default_factory=set)

    def add(self, node: FieldNode, usage: DeferUsage | None, fields: FieldTree | None) -> None:
        """Add a field that the fragment `usage` selects, and to the fields of that fragment."""
        key = (node.alias or node.name).value
        below = fields.setdefault(key, FieldTree()) if fields is not None else None
        self.fields.setdefault(key, []).append(_CollectedField(node, usage, below))


def _by_usages(
    fields: dict[str, list[_CollectedField]], group: frozenset[DeferUsage]
) -> tuple[dict[str, list[_CollectedField]], dict[frozenset[DeferUsage], dict[str, list[_CollectedField]]]]:
    """Return the fields to execute with the group, and those to execute later, by the fragments that select them.

    See BuildExecutionPlan (https://github.com/graphql/graphql-spec/pull/1110).
    """
    own: dict[str, list[_CollectedField]] = {}
    later: dict[frozenset[DeferUsage], dict[str, list[_CollectedField]]] = {}
    for key, several in fields.items():
        selecting = {each.usage for each in several if each.usage is not None}
        if any(each.usage is None for each in several):
            selecting = set()
        usages = frozenset(usage for usage in selecting if not usage.is_inside(selecting))
        into = own if usages == group else later.setdefault(usages, {})
        into[key] = several
    return own, later


def _share_row(selection: Selection) -> None:
    """Read the row before edges that it may show to be needless, if fields that are executed at another time need it too.

    So fragments with `@defer` take no more reads than the same operation without them.
    """
    several = [selection, *(each.selection for each in selection.deferred)]
    if any(each.needs_row for each in several):
        for each in several:
            each.needs_row = each.needs_row or any(
                isinstance(step, EdgeStep) and step.edge.may_be_skipped for step in each.steps
            )


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

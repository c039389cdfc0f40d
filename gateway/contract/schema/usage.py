"""How operations use a schema: what they select, pass, omit and spread, in the terms in which changes say what they affect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from graphql import (
    ArgumentNode,
    DirectiveNode,
    DocumentNode,
    EnumValueNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLSchema,
    InlineFragmentNode,
    ListValueNode,
    NonNullTypeNode,
    NullValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    get_named_type,
    is_abstract_type,
    is_required_input_field,
    type_from_ast,
)
from graphql.utilities import get_default_value_ast

from gateway.contract.schema.change import nullable, omitted, returned, within

__all__ = ["usages"]

_Input = GraphQLArgument | GraphQLInputField


def usages(schema: GraphQLSchema, document: DocumentNode) -> frozenset[str]:
    """Return the usages of a document's operations: schema coordinates, and those that `gateway.contract.schema.change` adds.

    The document must be valid for the schema. A field of an interface is also a usage of that field on every possible type;
    a variable is a usage of every value that its type allows.
    """
    collector = _UsageCollector(schema, document)
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            collector.operation(node)
    return frozenset(collector.found)


class _UsageCollector:
    """Collects the usages of a document's operations."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self.schema = schema
        self.fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self.variables: dict[str, VariableDefinitionNode] = {}
        self.found: set[str] = set()
        self.visited: set[tuple[int, str, frozenset[str]]] = set()
        self.visited_inputs: set[str] = set()

    def operation(self, node: OperationDefinitionNode) -> None:
        self._directives(node.directives)
        for variable in node.variable_definitions or ():
            self.variables[variable.variable.name.value] = variable
            self._variable(variable)
        root = self.schema.get_root_type(node.operation)
        assert root is not None
        self._selections(node.selection_set, root, frozenset({root.name}))

    def _selections(self, node: SelectionSetNode, parent: GraphQLNamedType, possible: frozenset[str]) -> None:
        """Visit the selections from a type whose value is of one of the possible object types."""
        if (id(node), parent.name, possible) in self.visited:
            return
        self.visited.add((id(node), parent.name, possible))
        self.found.add(parent.name)
        for selection in node.selections:
            self._directives(selection.directives)
            if isinstance(selection, FieldNode):
                self._field(selection, parent, possible)
            elif isinstance(selection, InlineFragmentNode):
                condition = selection.type_condition
                inner = self.schema.type_map[condition.name.value] if condition else parent
                self._fragment(selection.selection_set, inner, parent, possible)
            elif isinstance(selection, FragmentSpreadNode):
                fragment = self.fragments[selection.name.value]
                self._directives(fragment.directives)
                inner = self.schema.type_map[fragment.type_condition.name.value]
                self._fragment(fragment.selection_set, inner, parent, possible)

    def _fragment(
        self, node: SelectionSetNode, inner: GraphQLNamedType, outer: GraphQLNamedType, possible: frozenset[str]
    ) -> None:
        self.found.add(within(inner.name, outer.name))
        self._selections(node, inner, possible & self._possible(inner))

    def _field(self, node: FieldNode, parent: GraphQLNamedType, possible: frozenset[str]) -> None:
        name = node.name.value
        for owner in {parent.name, *possible}:
            field = self.schema.get_field(self.schema.type_map[owner], name)  # type: ignore[arg-type]
            if field is None:
                continue  # The owner is a union.
            type_ = get_named_type(field.type)
            self.found |= {f"{owner}.{name}", type_.name, returned(type_.name)}
            self._arguments(f"{owner}.{name}", node.arguments, field.args)
            if owner == parent.name and node.selection_set:
                self._selections(node.selection_set, type_, self._possible(type_))

    def _possible(self, type_: GraphQLNamedType) -> frozenset[str]:
        if is_abstract_type(type_):
            return frozenset(each.name for each in self.schema.get_possible_types(type_))
        return frozenset({type_.name})

    def _directives(self, nodes: Iterable[DirectiveNode] | None) -> None:
        for node in nodes or ():
            directive = self.schema.get_directive(node.name.value)
            if directive is not None:
                self.found.add(f"@{directive.name}")
                self._arguments(f"@{directive.name}", node.arguments, directive.args)

    def _arguments(
        self, owner: str, nodes: Iterable[ArgumentNode] | None, arguments: Mapping[str, GraphQLArgument]
    ) -> None:
        given = {node.name.value: node.value for node in nodes or ()}
        for name, argument in arguments.items():
            self._input(f"{owner}({name}:)", given.get(name), argument)

    def _input(self, coordinate: str, value: ValueNode | None, element: _Input) -> None:
        if value is None:
            self._omitted(coordinate, element)
            return
        self.found.add(coordinate)
        if isinstance(value, NullValueNode):
            self.found.add(nullable(coordinate))
        elif isinstance(value, VariableNode):
            variable = self.variables.get(value.name.value)
            if variable is not None and not isinstance(variable.type, NonNullTypeNode):
                self.found.add(nullable(coordinate))
                if variable.default_value is None:
                    self.found.add(omitted(coordinate))
        else:
            self._value(value, get_named_type(element.type))

    def _omitted(self, coordinate: str, element: _Input) -> None:
        """Visit an input that is omitted: it has its default, in which fields may be omitted too."""
        if omitted(coordinate) in self.found:
            return
        self.found.add(omitted(coordinate))
        default = get_default_value_ast(element)
        if default is not None:
            self._default(default, get_named_type(element.type))

    def _default(self, value: ValueNode, type_: GraphQLNamedType) -> None:
        if isinstance(value, ListValueNode):
            for each in value.values:
                self._default(each, type_)
        elif isinstance(value, ObjectValueNode) and isinstance(type_, GraphQLInputObjectType):
            given = {node.name.value: node.value for node in value.fields}
            for name, field in type_.fields.items():
                if name in given:
                    self._default(given[name], get_named_type(field.type))
                else:
                    self._omitted(f"{type_.name}.{name}", field)

    def _value(self, value: ValueNode, type_: GraphQLNamedType) -> None:
        self.found.add(type_.name)
        if isinstance(value, ListValueNode):
            for each in value.values:
                self._value(each, type_)
        elif isinstance(value, EnumValueNode):
            self.found.add(f"{type_.name}.{value.value}")
        elif isinstance(value, ObjectValueNode) and isinstance(type_, GraphQLInputObjectType):
            given = {node.name.value: node.value for node in value.fields}
            for name, field in type_.fields.items():
                self._input(f"{type_.name}.{name}", given.get(name), field)

    def _variable(self, node: VariableDefinitionNode) -> None:
        self._directives(node.directives)
        type_ = type_from_ast(self.schema, node.type)
        if type_ is not None:
            self._any_value(get_named_type(type_))
            if node.default_value is not None:
                self._value(node.default_value, get_named_type(type_))

    def _any_value(self, type_: GraphQLNamedType) -> None:
        """Visit every value that a variable of this type allows."""
        if type_.name in self.visited_inputs:
            return
        self.visited_inputs.add(type_.name)
        self.found.add(type_.name)
        if isinstance(type_, GraphQLEnumType):
            self.found |= {f"{type_.name}.{name}" for name in type_.values}
        elif isinstance(type_, GraphQLInputObjectType):
            for name, field in type_.fields.items():
                coordinate = f"{type_.name}.{name}"
                self.found.add(coordinate)
                if not isinstance(field.type, GraphQLNonNull):
                    self.found.add(nullable(coordinate))
                if not is_required_input_field(field):
                    self.found.add(omitted(coordinate))
                self._any_value(get_named_type(field.type))

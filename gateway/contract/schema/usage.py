"""What an operation relies on in a schema: what it selects, passes, leaves out and spreads, as marks that a change touches."""

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

from gateway.contract.schema.change import left_out, maybe_null, returned, within

__all__ = ["marks_of"]

_Input = GraphQLArgument | GraphQLInputField


def marks_of(schema: GraphQLSchema, document: DocumentNode) -> frozenset[str]:
    """The marks of the operations in a document: coordinates, and those that `gateway.contract.schema.change` makes of them.

    The document must be valid for the schema. A field of an interface counts as that of each type that can be there too; a
    variable counts as all that could be passed with it.
    """
    walk = _Walk(schema, document)
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            walk.operation(node)
    return frozenset(walk.marks)


class _Walk:
    """One operation's way through the schema."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self.schema = schema
        self.fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self.variables: dict[str, VariableDefinitionNode] = {}
        self.marks: set[str] = set()
        self.met: set[tuple[int, str, frozenset[str]]] = set()
        self.passable: set[str] = set()

    def operation(self, node: OperationDefinitionNode) -> None:
        self._directives(node.directives)
        for variable in node.variable_definitions or ():
            self.variables[variable.variable.name.value] = variable
            self._variable(variable)
        root = self.schema.get_root_type(node.operation)
        assert root is not None
        self._selections(node.selection_set, root, frozenset({root.name}))

    def _selections(self, node: SelectionSetNode, parent: GraphQLNamedType, possible: frozenset[str]) -> None:
        """Selections from a type, where what is there is of one of the possible object types."""
        if (id(node), parent.name, possible) in self.met:
            return
        self.met.add((id(node), parent.name, possible))
        self.marks.add(parent.name)
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
        self.marks.add(within(inner.name, outer.name))
        self._selections(node, inner, possible & self._possible(inner))

    def _field(self, node: FieldNode, parent: GraphQLNamedType, possible: frozenset[str]) -> None:
        name = node.name.value
        for owner in {parent.name, *possible}:
            field = self.schema.get_field(self.schema.type_map[owner], name)  # type: ignore[arg-type]
            if field is None:
                continue  # The owner is a union.
            type_ = get_named_type(field.type)
            self.marks |= {f"{owner}.{name}", type_.name, returned(type_.name)}
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
                self.marks.add(f"@{directive.name}")
                self._arguments(f"@{directive.name}", node.arguments, directive.args)

    def _arguments(
        self, owner: str, nodes: Iterable[ArgumentNode] | None, arguments: Mapping[str, GraphQLArgument]
    ) -> None:
        given = {node.name.value: node.value for node in nodes or ()}
        for name, argument in arguments.items():
            self._input(f"{owner}({name}:)", given.get(name), argument)

    def _input(self, coordinate: str, value: ValueNode | None, thing: _Input) -> None:
        if value is None:
            self.marks.add(left_out(coordinate))
            return
        self.marks.add(coordinate)
        if isinstance(value, NullValueNode):
            self.marks.add(maybe_null(coordinate))
        elif isinstance(value, VariableNode):
            variable = self.variables.get(value.name.value)
            if variable is not None and not isinstance(variable.type, NonNullTypeNode):
                self.marks.add(maybe_null(coordinate))
                if variable.default_value is None:
                    self.marks.add(left_out(coordinate))
        else:
            self._value(value, get_named_type(thing.type))

    def _value(self, value: ValueNode, type_: GraphQLNamedType) -> None:
        self.marks.add(type_.name)
        if isinstance(value, ListValueNode):
            for each in value.values:
                self._value(each, type_)
        elif isinstance(value, EnumValueNode):
            self.marks.add(f"{type_.name}.{value.value}")
        elif isinstance(value, ObjectValueNode) and isinstance(type_, GraphQLInputObjectType):
            given = {node.name.value: node.value for node in value.fields}
            for name, field in type_.fields.items():
                self._input(f"{type_.name}.{name}", given.get(name), field)

    def _variable(self, node: VariableDefinitionNode) -> None:
        self._directives(node.directives)
        type_ = type_from_ast(self.schema, node.type)
        if type_ is not None:
            self._anything(get_named_type(type_))
            if node.default_value is not None:
                self._value(node.default_value, get_named_type(type_))

    def _anything(self, type_: GraphQLNamedType) -> None:
        """Whatever can be passed as a variable of this type."""
        if type_.name in self.passable:
            return
        self.passable.add(type_.name)
        self.marks.add(type_.name)
        if isinstance(type_, GraphQLEnumType):
            self.marks |= {f"{type_.name}.{name}" for name in type_.values}
        elif isinstance(type_, GraphQLInputObjectType):
            for name, field in type_.fields.items():
                coordinate = f"{type_.name}.{name}"
                self.marks.add(coordinate)
                if not isinstance(field.type, GraphQLNonNull):
                    self.marks.add(maybe_null(coordinate))
                if not is_required_input_field(field):
                    self.marks.add(left_out(coordinate))
                self._anything(get_named_type(field.type))

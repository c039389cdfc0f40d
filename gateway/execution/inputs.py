"""Coercion of variables and arguments, by graphql-core's rules, with a fast path for common cases.

A variable of a built-in scalar type whose value has the corresponding Python type is used as it is; arguments without variables
are coerced once. Everything else goes through graphql-core, so that errors are always graphql-core's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Self, cast

from graphql import (
    ArgumentNode,
    FieldNode,
    GraphQLArgument,
    GraphQLError,
    GraphQLField,
    GraphQLNonNull,
    GraphQLSchema,
    NonNullTypeNode,
    OperationDefinitionNode,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    parse,
    visit,
)
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource, get_argument_values, get_variable_values
from strawberry.types.arguments import StrawberryArgument, convert_arguments

__all__ = ["argument_reader", "declared_variables", "undeclared", "variable_reader"]

_PLAIN: dict[str, type[Any]] = {"ID": str, "String": str, "Boolean": bool, "Int": int}
_INT = range(-(2**31), 2**31)


def declared_variables(document: str) -> dict[str, bool]:
    """Return the variables that a document's operations declare, and whether each is required."""
    try:
        definitions = parse(document, no_location=True).definitions
    except (GraphQLError, RecursionError):
        return {}  # The error is reported when the document is executed.
    return {
        variable.variable.name.value: isinstance(variable.type, NonNullTypeNode) and variable.default_value is None
        for definition in definitions
        if isinstance(definition, OperationDefinitionNode)
        for variable in definition.variable_definitions or ()
    }


def undeclared(document: str, names: Collection[str]) -> list[str]:
    """Return the names that no operation of a document declares, sorted; none if the document cannot be parsed."""
    try:
        parse(document, no_location=True)
    except (GraphQLError, RecursionError):
        return []
    return sorted(set(names) - declared_variables(document).keys())


def variable_reader(
    schema: GraphQLSchema,
    definitions: Collection[VariableDefinitionNode],
    *,
    max_errors: int,
    hide_suggestions: bool,
) -> Callable[[dict[str, Any]], VariableValues | list[GraphQLError]]:
    """Return a function that coerces the variables of a request: to their values, or to a list of errors."""
    plain = [_plain_variable(schema, definition) for definition in definitions]
    signatures = [each[0] for each in plain if each is not None]
    kinds = [each[1] for each in plain if each is not None]
    names = [signature.name for signature in signatures]
    integers = [name for name, kind in zip(names, kinds, strict=True) if kind is int]

    def read_all(given: dict[str, Any]) -> VariableValues | list[GraphQLError]:
        return get_variable_values(schema, definitions, given, max_errors, hide_suggestions)

    def read(given: dict[str, Any]) -> VariableValues | list[GraphQLError]:
        values = list(map(given.get, names))
        if list(map(type, values)) != kinds or (integers and any(given[name] not in _INT for name in integers)):
            return read_all(given)
        is_all = len(given) == len(names)
        return _PlainValues(signatures, given.copy() if is_all else dict(zip(names, values, strict=True)))

    return read if len(signatures) == len(plain) else read_all


class _PlainValues(VariableValues):
    """The values of variables that are used as they are. Only graphql-core asks for their sources."""

    __slots__ = ()

    def __new__(cls, signatures: list[GraphQLVariableSignature], coerced: dict[str, Any]) -> Self:
        return tuple.__new__(cls, (signatures, coerced))

    @property
    def sources(self) -> dict[str, VariableValueSource]:
        """The source of each value, by the variable's name."""
        signatures = cast("list[GraphQLVariableSignature]", self[0])
        return {each.name: VariableValueSource(each, self.coerced[each.name]) for each in signatures}


def argument_reader(
    field: GraphQLField, node: FieldNode, arguments: list[StrawberryArgument], converter: Any
) -> Callable[[VariableValues], dict[str, Any]]:
    """Return a function that coerces the arguments of a field's function from variable values; it raises GraphQLError.

    It may return the same dictionary each time, which must not be modified.
    """

    def coerce(field: GraphQLField, node: FieldNode, variables: VariableValues | None) -> dict[str, Any]:
        values = get_argument_values(field, node, variables)
        return convert_arguments(values, arguments, converter.scalar_registry, converter.config)

    def read_all(variables: VariableValues) -> dict[str, Any]:
        return coerce(field, node, variables)

    nodes = {argument.name.value: argument for argument in node.arguments or ()}
    varying = {name: nodes[name] for name in nodes if _depends_on_variables(nodes[name])}
    python_names = {converter.config.name_converter.from_argument(each): each.python_name for each in arguments}
    direct: list[tuple[str, str]] = []
    for name, argument in varying.items():
        if not isinstance(argument.value, VariableNode) or not _is_plain(field.args[name]):
            return read_all
        direct.append((python_names[name], argument.value.name.value))
    rest = GraphQLField(field.type, args={name: each for name, each in field.args.items() if name not in varying})
    constant_nodes = tuple(argument for name, argument in nodes.items() if name not in varying)
    try:
        constant = coerce(rest, FieldNode(name=node.name, arguments=constant_nodes), None)
    except GraphQLError:
        return read_all  # The error is reported at each execution, with its location.
    if not direct:
        return lambda variables: constant

    def read(variables: VariableValues) -> dict[str, Any]:
        values, found = variables.coerced, constant.copy()
        for python_name, name in direct:
            value = values.get(name)
            if value is None:
                return read_all(variables)
            found[python_name] = value
        return found

    return read


def _plain_variable(
    schema: GraphQLSchema, definition: VariableDefinitionNode
) -> tuple[GraphQLVariableSignature, type[Any]] | None:
    """Return a variable's signature, and the Python type whose values are used as they are; None if there is no such type."""
    signature = get_variable_signature(schema, definition)
    if isinstance(signature, GraphQLError):
        return None
    kind = signature.type.of_type if isinstance(signature.type, GraphQLNonNull) else signature.type
    plain = _PLAIN.get(getattr(kind, "name", ""))
    return (signature, plain) if plain is not None else None


def _is_plain(argument: GraphQLArgument) -> bool:
    kind = argument.type.of_type if isinstance(argument.type, GraphQLNonNull) else argument.type
    return getattr(kind, "name", "") in _PLAIN


def _depends_on_variables(argument: ArgumentNode) -> bool:
    found: list[VariableNode] = []

    class Variables(Visitor):
        def enter_variable(self, node: VariableNode, *_: Any) -> None:
            found.append(node)

    visit(argument, Variables())
    return bool(found)

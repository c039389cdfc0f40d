"""Values of variables that are written as text, such as `--var first=10`, by their declared types."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from graphql import (
    GraphQLError,
    GraphQLSchema,
    ListTypeNode,
    NamedTypeNode,
    NonNullTypeNode,
    TypeNode,
    VariableDefinitionNode,
    get_nullable_type,
    is_input_object_type,
    is_input_type,
    is_leaf_type,
    parse_type,
    print_ast,
    type_from_ast,
    validate_input_value,
)

__all__ = ["read_variables", "variable_value"]

_JSON_SCALARS = frozenset({"Boolean", "Float", "Int"})


class _Number(str):
    """A number in JSON, as it is written."""

    __slots__ = ()


def read_variables(
    schema: GraphQLSchema, definitions: Iterable[VariableDefinitionNode], texts: Mapping[str, str]
) -> tuple[dict[str, Any], list[GraphQLError]]:
    """Return the values of those variables that have a text, and an error for each that does not fit its type."""
    values: dict[str, Any] = {}
    errors: list[GraphQLError] = []
    for definition in definitions:
        name = definition.variable.name.value
        type_ = type_from_ast(schema, definition.type)
        if name not in texts or not is_input_type(type_):
            continue
        value = values[name] = variable_value(texts[name], definition.type, schema)
        problems: list[str] = []
        validate_input_value(value, type_, lambda error, _path, to=problems: to.append(error.message))  # type: ignore[misc]
        is_broken = isinstance(value, str) and texts[name].lstrip().startswith(("[", "{"))
        if is_broken and (problems or not is_leaf_type(get_nullable_type(type_))):
            problems = ["The value is not valid JSON, in which strings, enum values and keys have double quotes."]
        errors += [
            GraphQLError(
                f"--var {name}: ${name} has the type {print_ast(definition.type)}. {each.replace('to be None', 'to be null')}",
                definition,
            )
            for each in problems
        ]
    return values, errors


def variable_value(text: str, declared: TypeNode | None, schema: GraphQLSchema | None = None) -> Any:
    """Return the value that a text has for a declared type.

    A string, an ID, an enum value or a custom scalar is the text itself, or a string in JSON: a number remains text.
    Everything else is JSON, or the text if it is not valid JSON. The `schema` has the types of input objects' fields.
    """
    try:
        value = json.loads(text, parse_int=_Number, parse_float=_Number, parse_constant=_Number)
    except (ValueError, RecursionError):
        return text
    if value is None and isinstance(declared, NonNullTypeNode) and _is_text(declared.type, schema):
        return text
    if not isinstance(value, str | None) and declared is not None and _is_text(declared, schema):
        is_object = isinstance(value, dict) and schema is None and not _is_builtin(declared)
        return _converted(value, None, None) if is_object else text
    return _converted(value, declared, schema)


def _converted(value: Any, declared: TypeNode | None, schema: GraphQLSchema | None) -> Any:
    """Convert the numbers in a decoded value to text or to numbers, by the declared type."""
    if isinstance(declared, NonNullTypeNode):
        declared = declared.type
    if isinstance(value, list):
        inner = declared.type if isinstance(declared, ListTypeNode) else None
        return [_converted(each, inner, schema) for each in value]
    if isinstance(declared, ListTypeNode):  # One value stands for a list of one.
        return _converted(value, declared.type, schema)
    if isinstance(value, dict):
        type_ = schema.get_type(declared.name.value) if schema and isinstance(declared, NamedTypeNode) else None
        fields = type_.fields if is_input_object_type(type_) else {}
        types = {name: parse_type(str(field.type)) for name, field in fields.items()}
        return {name: _converted(each, types.get(name), schema) for name, each in value.items()}
    if isinstance(value, _Number):
        return str(value) if declared is not None and _is_text(declared, schema) else _number(value)
    return value


def _is_text(declared: TypeNode, schema: GraphQLSchema | None) -> bool:
    """Whether values of a type are written as text; unknown types are."""
    if isinstance(declared, NonNullTypeNode):
        declared = declared.type
    if not isinstance(declared, NamedTypeNode) or declared.name.value in _JSON_SCALARS:
        return False
    return schema is None or not is_input_object_type(schema.get_type(declared.name.value))


def _is_builtin(declared: TypeNode) -> bool:
    if isinstance(declared, NonNullTypeNode):
        declared = declared.type
    return isinstance(declared, NamedTypeNode) and declared.name.value in {"ID", "String"}


def _number(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # It has more digits than Python converts.
        return str(text)

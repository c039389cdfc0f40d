"""Deprecated arguments and input fields, which an introspection result lacks if the query did not ask for them.

https://spec.graphql.org/draft/#sec-Introspection: `args` and `inputFields` have them with `includeDeprecated: true` only.
"""

from __future__ import annotations

from copy import copy, deepcopy
from typing import Any

from graphql import (
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    parse_type,
    type_from_ast,
)

__all__ = ["with_deprecated_inputs"]


def with_deprecated_inputs(schema: GraphQLSchema, other: GraphQLSchema) -> GraphQLSchema:
    """Return a copy of a schema with the deprecated arguments and input fields that only the other schema has.

    An input whose type the schema does not have is not added.
    """
    completed = deepcopy(schema)
    for name, type_ in completed.type_map.items():
        match type_, other.get_type(name):
            case (
                (GraphQLObjectType() | GraphQLInterfaceType()),
                (GraphQLObjectType() | GraphQLInterfaceType() as its),
            ):
                for field_name in type_.fields.keys() & its.fields.keys():
                    _add(type_.fields[field_name].args, its.fields[field_name].args, completed)
            case GraphQLInputObjectType(), GraphQLInputObjectType() as its:
                _add(type_.fields, its.fields, completed)
    for directive in completed.directives:
        its_directive = other.get_directive(directive.name)
        if its_directive is not None:
            _add(directive.args, its_directive.args, completed)
    return completed


def _add(inputs: dict[str, Any], others: dict[str, Any], schema: GraphQLSchema) -> None:
    for name, each in others.items():
        if name not in inputs and each.deprecation_reason is not None:
            type_ = type_from_ast(schema, parse_type(str(each.type)))
            if type_ is not None:
                added = copy(each)
                added.type = type_
                inputs[name] = added

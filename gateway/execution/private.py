"""Arguments that identify a person: which documents have them, and errors without their values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    Node,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    print_ast,
    visit,
)

__all__ = ["private_arguments", "private_fields", "without_values"]

_VARIABLE = re.compile(r"Variable '\$(\w+)'")


def private_fields(schema: GraphQLSchema) -> frozenset[str]:
    """Return the names of fields whose arguments identify a person (see `fields.EdgeField.is_private`)."""
    return frozenset(
        name
        for kind in schema.type_map.values()
        if isinstance(kind, GraphQLObjectType)
        for name, field in kind.fields.items()
        if _is_private(field)
    )


def _is_private(field: GraphQLField | None) -> bool:
    return field is not None and getattr(field.extensions.get("strawberry-definition"), "is_private", False)


def private_arguments(schema: GraphQLSchema, document: DocumentNode) -> list[ArgumentNode]:
    """Return the arguments of such fields in a document."""
    found: list[ArgumentNode] = []
    info = TypeInfo(schema)

    class Fields(Visitor):
        def enter_field(self, node: FieldNode, *_: Any) -> None:
            if _is_private(info.get_field_def()):
                found.extend(node.arguments or ())

    visit(document, TypeInfoVisitor(info, Fields()))
    return found


def without_values(errors: list[GraphQLError], private: Iterable[ArgumentNode]) -> list[GraphQLError]:
    """Return the errors of a document, or of its variables, without values that may stand in private arguments."""
    hidden = {id(node) for argument in private for node in _nodes(argument)}
    return [_without_value(error, hidden) for error in errors] if hidden else errors


def _without_value(error: GraphQLError, hidden: set[int]) -> GraphQLError:
    variable = _VARIABLE.match(error.message)
    if variable is not None:
        message = (
            f"Variable '${variable[1]}' has an invalid value, which is not shown: the operation searches for a person."
        )
    elif any(id(node) in hidden and print_ast(node) in error.message for node in error.nodes or ()):
        message = "A value is invalid, which is not shown: it searches for a person."
    else:
        return error
    return GraphQLError(message, error.nodes)


def _nodes(argument: ArgumentNode) -> Iterator[Node]:
    """Yield a node and all nodes in it."""
    found: list[Node] = []

    class All(Visitor):
        def enter(self, node: Node, *_: Any) -> None:
            found.append(node)

    visit(argument, All())
    yield from found

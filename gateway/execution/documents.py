"""What a parsed document says about its execution, and documents made from one for graphql-core."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphql import (
    REMOVE,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSchema,
    OperationDefinitionNode,
    TypeInfo,
    TypeInfoVisitor,
    VariableNode,
    Visitor,
    visit,
)

__all__ = ["INTROSPECTION", "condition_variables", "only_introspection", "without_defer"]

INTROSPECTION = frozenset({"__schema", "__type"})
"""The root fields of introspection (https://spec.graphql.org/October2021/#sec-Schema-Introspection)."""


def condition_variables(
    operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> dict[str, bool | None]:
    """Return the variables on which `@skip`, `@include` and `@defer` depend, in an operation and its fragments.

    Each name comes with its value when the variable is not given: true for `@defer` alone, None for the others.
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

    for part in parts:  # The list grows with each new fragment.
        visit(part, Conditions())
    return dict(sorted(found.items()))


def without_defer(document: DocumentNode) -> DocumentNode:
    """Return the document without `@defer`, for an executor that answers in one payload."""

    class Drop(Visitor):
        def enter_directive(self, node: DirectiveNode, *_: Any) -> Any:
            return REMOVE if node.name.value == "defer" else None

    return visit(document, Drop())  # type: ignore[no-any-return]


def only_introspection(schema: GraphQLSchema, document: DocumentNode) -> DocumentNode:
    """Return the document with the introspection fields of its root only."""
    info = TypeInfo(schema)

    class Prune(Visitor):
        def enter_field(self, node: FieldNode, *_: Any) -> Any:
            parent = info.get_parent_type()
            is_of_root = parent is not None and parent is schema.query_type
            return REMOVE if is_of_root and node.name.value not in INTROSPECTION else None

    return visit(document, TypeInfoVisitor(info, Prune()))  # type: ignore[no-any-return]

"""Which fragments and variables a part of a document refers to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from graphql import (
    SKIP,
    DocumentNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSchema,
    Node,
    TypeInfo,
    TypeInfoVisitor,
    VariableNode,
    Visitor,
    VisitorAction,
    visit,
)

__all__ = ["fragments_in", "variable_types", "variables_in"]


def fragments_in(node: Node, fragments: Mapping[str, FragmentDefinitionNode]) -> dict[str, None]:
    """Return the names of the `fragments` that a node spreads, directly or through others, in order."""
    found: dict[str, None] = {}
    waiting: list[Node] = [node]

    class Spreads(Visitor):
        def enter_fragment_spread(self, node: FragmentSpreadNode, *_: Any) -> None:
            name = node.name.value
            if name in fragments and name not in found:
                found[name] = None
                waiting.append(fragments[name])

    while waiting:
        visit(waiting.pop(), Spreads())
    return found


def variables_in(nodes: Iterable[Node]) -> set[str]:
    """Return the names of the variables that nodes use; a variable's definition is not a use."""
    found: set[str] = set()

    class Uses(Visitor):
        def enter_variable_definition(self, *_: Any) -> VisitorAction:
            return SKIP

        def enter_variable(self, node: VariableNode, *_: Any) -> None:
            found.add(node.name.value)

    for node in nodes:
        visit(node, Uses())
    return found


def variable_types(document: DocumentNode, schema: GraphQLSchema) -> dict[str, list[str]]:
    """Return the types of the places where variables are used, such as `Int!`, by variable name.

    A place that the schema does not have adds no type.
    """
    found: dict[str, list[str]] = {}
    info = TypeInfo(schema)

    class Uses(Visitor):
        def enter_variable_definition(self, *_: Any) -> VisitorAction:
            return SKIP

        def enter_variable(self, node: VariableNode, *_: Any) -> None:
            types = found.setdefault(node.name.value, [])
            type_ = info.get_input_type()
            if type_ is not None:
                types.append(str(type_))

    visit(document, TypeInfoVisitor(info, Uses()))
    return found

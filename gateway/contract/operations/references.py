"""Which fragments and variables a part of a document refers to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from graphql import (
    SKIP,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    Node,
    VariableNode,
    Visitor,
    VisitorAction,
    visit,
)

__all__ = ["fragments_in", "variables_in"]


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

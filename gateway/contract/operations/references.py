"""Which fragments and variables a part of a document refers to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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

__all__ = ["fragments_in", "variable_types", "variables_in", "walk"]

_CHILDREN = {
    "document": ("definitions",),
    "operation_definition": ("selection_set", "directives"),
    "fragment_definition": ("selection_set", "directives"),
    "selection_set": ("selections",),
    "field": ("selection_set", "directives", "arguments"),
    "fragment_spread": ("directives",),
    "inline_fragment": ("selection_set", "directives"),
    "directive": ("arguments",),
    "argument": ("value",),
    "list_value": ("values",),
    "object_value": ("fields",),
    "object_field": ("value",),
}
"""The attributes that hold nodes, the last one first, by the kind of a node."""


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and those below it in document order, apart from names, types and definitions of variables."""
    waiting: list[Node] = [node]
    while waiting:
        node = waiting.pop()
        yield node
        for key in _CHILDREN.get(node.kind, ()):
            child = getattr(node, key)
            if isinstance(child, Node):
                waiting.append(child)
            elif child:
                waiting += reversed(child)


def fragments_in(node: Node, fragments: Mapping[str, FragmentDefinitionNode]) -> dict[str, None]:
    """Return the names of the `fragments` that a node spreads, directly or through others, in order."""
    found: dict[str, None] = {}
    waiting: list[Node] = [node]
    while waiting:
        for each in walk(waiting.pop()):
            if isinstance(each, FragmentSpreadNode):
                name = each.name.value
                if name in fragments and name not in found:
                    found[name] = None
                    waiting.append(fragments[name])
    return found


def variables_in(nodes: Iterable[Node]) -> set[str]:
    """Return the names of the variables that nodes use; a variable's definition is not a use."""
    return {each.name.value for node in nodes for each in walk(node) if isinstance(each, VariableNode)}


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

"""The schema, and its text in SDL."""

from dataclasses import replace
from functools import cache
from typing import Any

import strawberry
from graphql import (
    ConstDirectiveNode,
    DirectiveLocation,
    GraphQLArgument,
    GraphQLBoolean,
    GraphQLDirective,
    GraphQLInputObjectType,
    GraphQLNonNull,
    GraphQLString,
    ListValueNode,
    NameNode,
    Node,
    ObjectTypeDefinitionNode,
    Visitor,
    parse,
    print_ast,
    visit,
)
from strawberry.schema.config import StrawberryConfig

from gateway.execution.executor import Executor
from gateway.graph.error_codes import ErrorCode
from gateway.graph.nullability import SEMANTIC_NON_NULL, null_only_on_error
from gateway.graph.query import Query
from gateway.graph.scalars import SCALARS
from gateway.graph.subscription import Subscription
from gateway.graph.types import RESOURCES

__all__ = ["make_schema", "print_schema", "shared_executor"]

_DEFER = GraphQLDirective(
    "defer",
    [DirectiveLocation.FRAGMENT_SPREAD, DirectiveLocation.INLINE_FRAGMENT],
    {
        "if": GraphQLArgument(GraphQLNonNull(GraphQLBoolean), True, "With false the fragment is not deferred."),
        "label": GraphQLArgument(
            GraphQLString, description="A label that comes back with the result; unique in the document."
        ),
    },
    description="Deliver the fields of a fragment after the initial response, for all records with that fragment together. "
    "Clients ask for incremental delivery in `Accept`: `multipart/mixed`, or `text/event-stream` preferred to JSON. For other "
    "clients the directive has no effect.",
)


def make_schema() -> strawberry.Schema:
    """Create the gateway's schema. It has `@defer`, without the `@stream` that Strawberry adds together with it."""
    schema = strawberry.Schema(
        query=Query,
        subscription=Subscription,
        types=[*(resource.node for resource in RESOURCES.values()), ErrorCode],
        config=StrawberryConfig(scalar_map=SCALARS),
    )
    schema._schema.directives = (*schema._schema.directives, _DEFER)
    for kind in schema._schema.type_map.values():  # Strawberry checks them itself, but only when a field is executed.
        if isinstance(kind, GraphQLInputObjectType):
            kind.is_one_of = kind.extensions["strawberry-definition"].is_one_of
    return schema


@cache
def shared_executor(*, introspection: bool = True) -> Executor:
    """Return the executor of this process, with its cached documents and plans; made on the first call."""
    return Executor(make_schema(), introspection=introspection)


def print_schema(*, semantic_nullability: bool = False) -> str:
    """Return the schema in SDL, sorted by name: the text of `schema.graphql`.

    With `semantic_nullability`, fields that are null only on error have the directive `@semanticNonNull`.
    """
    schema = make_schema()
    document = parse(schema.as_str(), no_location=True)
    if semantic_nullability:
        marked = visit(document, _Marked(null_only_on_error(schema._schema)))
        document = replace(marked, definitions=(*marked.definitions, *parse(SEMANTIC_NON_NULL).definitions))
    return print_ast(visit(document, _Sorted())) + "\n"


class _Marked(Visitor):
    """Adds `@semanticNonNull` to fields, given as type and field names."""

    def __init__(self, fields: set[tuple[str, str]]) -> None:
        super().__init__()
        self._fields = fields

    def leave_object_type_definition(self, node: ObjectTypeDefinitionNode, *_: Any) -> ObjectTypeDefinitionNode:
        mark = ConstDirectiveNode(name=NameNode(value="semanticNonNull"), arguments=())
        fields = [
            replace(field, directives=(*(field.directives or ()), mark))
            if (node.name.value, field.name.value) in self._fields
            else field
            for field in node.fields or ()
        ]
        return replace(node, fields=tuple(fields))


class _Sorted(Visitor):
    """Sorts definitions, fields, arguments and values by name, so that their order in the code does not matter."""

    def leave(self, node: Node, *_: Any) -> Node | None:
        parts: dict[str, Any] = {}
        for name in ("definitions", "fields", "arguments", "values"):
            children = getattr(node, name, None)
            if children and not isinstance(node, ListValueNode):
                parts[name] = tuple(sorted(children, key=lambda child: child.name.value))
        return replace(node, **parts) if parts else None

"""The schema: an ordinary Strawberry schema, and its text."""

from dataclasses import replace
from functools import cache
from typing import Any

import strawberry
from graphql import (
    DirectiveLocation,
    GraphQLArgument,
    GraphQLBoolean,
    GraphQLDirective,
    GraphQLNonNull,
    GraphQLString,
    Node,
    Visitor,
    parse,
    print_ast,
    visit,
)
from strawberry.schema.config import StrawberryConfig

from gateway.execution.executor import Executor
from gateway.graph.error_codes import ErrorCode
from gateway.graph.query import Query
from gateway.graph.scalars import SCALARS
from gateway.graph.types import RESOURCES

__all__ = ["make_schema", "print_schema", "shared_executor"]

_DEFER = GraphQLDirective(
    "defer",
    [DirectiveLocation.FRAGMENT_SPREAD, DirectiveLocation.INLINE_FRAGMENT],
    {
        "if": GraphQLArgument(GraphQLNonNull(GraphQLBoolean), True, "False has it come with the rest."),
        "label": GraphQLArgument(
            GraphQLString, description="A name that comes back with the part; another one for each fragment."
        ),
    },
    description="Sends what the fragment selects behind the answer, for all records that it stands on together. Clients say "
    "in `Accept` that they take parts: `multipart/mixed`, or `text/event-stream` before JSON. Others get it with the rest.",
)


def make_schema() -> strawberry.Schema:
    """The gateway's schema. It has `@defer`, and not the `@stream` that Strawberry would add with it."""
    schema = strawberry.Schema(
        query=Query,
        types=[*(resource.node for resource in RESOURCES.values()), ErrorCode],
        config=StrawberryConfig(scalar_map=SCALARS),
    )
    schema._schema.directives = (*schema._schema.directives, _DEFER)
    return schema


@cache
def shared_executor(*, introspection: bool = True) -> Executor:
    """Return the executor of this process, with its cached documents and plans; made on the first call."""
    return Executor(make_schema(), introspection=introspection)


def print_schema() -> str:
    """The schema in SDL, sorted by name throughout: what `schema.graphql` holds."""
    return print_ast(visit(parse(make_schema().as_str(), no_location=True), _Sorted())) + "\n"


class _Sorted(Visitor):
    """Sorts what has no order of its own, so that a change of the text is a change of the schema."""

    def leave(self, node: Node, *_: Any) -> Node | None:
        parts: dict[str, Any] = {}
        for name in ("definitions", "fields", "arguments", "values"):
            children = getattr(node, name, None)
            if children:
                parts[name] = tuple(sorted(children, key=lambda child: child.name.value))
        return replace(node, **parts) if parts else None

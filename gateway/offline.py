"""What operations cost, told from the schema alone: no account, no sandbox, no call."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from graphql import (
    ArgumentNode,
    DocumentNode,
    GraphQLError,
    OperationDefinitionNode,
    TypeInfo,
    TypeInfoVisitor,
    VariableNode,
    Visitor,
    get_named_type,
    parse,
    visit,
)

from gateway.execution.operation import Outcome
from gateway.graph.ids import encode_id
from gateway.graph.operations import Limits, Operations
from gateway.graph.schema import make_schema
from gateway.graph.types import RESOURCES
from gateway.twilio.client import Client
from gateway.twilio.paths import child
from gateway.twilio.resources import Resource

__all__ = ["forecast_document"]

_UNLIMITED = Limits(cost_max=10**12)


def forecast_document(document: str, variables: dict[str, Any]) -> list[Outcome]:
    """A dry run of each operation in a document; variables that are required and not given stand for some record."""
    try:
        parsed = parse(document)
    except (GraphQLError, RecursionError):
        return [asyncio.run(_forecast(document, None, variables))]  # It says what is wrong.
    names: list[str | None] = [
        node.name.value for node in parsed.definitions if isinstance(node, OperationDefinitionNode) and node.name
    ]
    given = _samples(parsed) | variables
    return [asyncio.run(_forecast(document, name, given)) for name in (names or [None])]


async def _forecast(document: str, name: str | None, variables: dict[str, Any]) -> Outcome:
    operations = Operations(cast(Client, None), _UNLIMITED)  # A dry run asks the client nothing.
    return await operations.run(document, variables=variables, operation_name=name, dry_run=True)


def _samples(document: DocumentNode) -> dict[str, Any]:
    """A value for each variable, such as fits the argument it is used for."""
    info = TypeInfo(make_schema()._schema)
    values: dict[str, Any] = {}

    class Uses(Visitor):
        def enter_argument(self, node: ArgumentNode, *_: Any) -> None:
            if isinstance(node.value, VariableNode):
                returned = info.get_type()
                values[node.value.name.value] = _sample(
                    node.name.value, get_named_type(returned).name if returned else ""
                )

    visit(document, TypeInfoVisitor(info, Uses()))
    required = {
        variable.variable.name.value
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode)
        for variable in definition.variable_definitions or ()
        if variable.default_value is None and variable.type.kind == "non_null_type"
    }
    return {name: value for name, value in values.items() if name in required}


def _sample(argument: str, type_name: str) -> Any:
    by_type = {resource.type_name: resource for resource in RESOURCES.values()}
    if argument == "sid" and type_name in by_type:
        return by_type[type_name].prefix + "0" * 32
    if argument in {"id", "ids"}:
        some = _id(by_type["Receipt"])
        return some if argument == "id" else [some]
    return {"first": 50, "order": "ASC", "state": "ACTIVE", "status": []}.get(argument, "2026-01-01T00:00:00Z")


def _id(resource: Resource) -> str:
    path = ""
    for owner in (*resource.ancestors, resource):
        path = child(path, owner.collection, owner.prefix + "0" * 32)
    return encode_id(resource, path)

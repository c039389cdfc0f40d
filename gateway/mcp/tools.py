"""Tools as values: one for each operation of the trusted documents. Nothing of the protocol."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.resources import files
from typing import Any

from graphql import (
    REMOVE,
    DirectiveNode,
    DocumentNode,
    FragmentDefinitionNode,
    OperationDefinitionNode,
    OperationType,
    Visitor,
    parse,
    visit,
)
from strawberry import Schema

from gateway.contract.operations.references import fragments_in
from gateway.contract.operations.worst_case import OperationCost, operation_cost
from gateway.execution.descriptions import OperationDescription, describe
from gateway.execution.documents import condition_variables, without_defer
from gateway.execution.plan import Plan
from gateway.execution.steps import NeedsReference
from gateway.graph.schema import make_schema
from gateway.mcp.json_schema import input_schema, output_schema

__all__ = ["Tool", "read_tools", "shipped_documents"]

_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")
"""A tool's name, within what the protocol and the assistants accept."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One operation of a trusted document, as an assistant sees it and as it is executed."""

    name: str
    """The operation's name; with a part of the document's hash where another document has an operation of that name."""
    description: str
    """The operation's own description, and what it costs."""
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    document: str
    """The document's text."""
    operation: str | None
    """The operation's name in the document."""
    calls: int
    """Upstream calls in the worst case, for the arguments that cost most."""
    numbers: tuple[str, ...]
    """The variables of type Int: those that an assistant can lower to have a call cost less."""
    defaults: Mapping[str, Any]
    """The default values of variables."""
    has_outside_text: bool
    """Whether it selects text that people outside write."""


def shipped_documents() -> dict[str, str]:
    """Return the documents that this package has for assistants, by their names."""
    folder = files("gateway").joinpath("mcp", "documents")
    texts = {each.name.removesuffix(".graphql"): each.read_text(encoding="utf-8") for each in folder.iterdir()}
    return dict(sorted(texts.items()))


def read_tools(documents: Mapping[str, str]) -> list[Tool]:
    """Return the tools of valid documents, sorted by name.

    Subscriptions and operations that only graphql-core can execute, such as introspection, have none.
    """
    schema = make_schema()
    tools: dict[str, Tool] = {}
    for text in dict.fromkeys(documents.values()):
        for tool in _tools_of(schema, text):
            name = tool.name if tool.name not in tools else f"{tool.name}_{sha256(text.encode()).hexdigest()[:8]}"
            tools[name] = replace(tool, name=name)
    return [tools[name] for name in sorted(tools)]


def _tools_of(schema: Schema, text: str) -> Iterator[Tool]:
    document = parse(text, no_location=True)
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    for node, described in zip(operations, describe(document), strict=True):
        if node.operation is OperationType.QUERY:
            used = [fragments[name] for name in fragments_in(node, fragments)]
            tool = _tool(schema, text, node, DocumentNode(definitions=(node, *used)), described)
            if tool is not None:
                yield tool


def _tool(
    schema: Schema, text: str, node: OperationDefinitionNode, document: DocumentNode, described: OperationDescription
) -> Tool | None:
    cost = operation_cost(schema, document, {})
    if not isinstance(cost, OperationCost):
        return None
    whole = without_defer(document)
    unconditional: DocumentNode = visit(whole, _Unconditional())
    operation, *others = unconditional.definitions
    assert isinstance(operation, OperationDefinitionNode)
    fragments = {each.name.value: each for each in others if isinstance(each, FragmentDefinitionNode)}
    try:
        plan = Plan(schema._schema, schema.schema_converter, operation, fragments, {}, mark_outside_text=True)
    except NeedsReference:
        return None
    if plan.has_introspection:
        return None
    conditions = condition_variables(node, fragments)
    inputs = input_schema(schema._schema, node, descriptions=dict(described.variables))
    properties: dict[str, dict[str, Any]] = inputs["properties"]
    defaults = {name: each["default"] for name, each in properties.items() if "default" in each}
    digest = sha256(text.encode()).hexdigest()[:8]
    name = described.name or f"operation_{digest}"
    return Tool(
        name=name if _NAME.fullmatch(name) else f"operation_{digest}",
        description=_description(described, cost, has_defaults=bool(defaults)),
        input_schema=inputs,
        output_schema=output_schema(schema._schema, plan, is_conditional=bool(conditions) or unconditional != whole),
        document=text,
        operation=described.name,
        calls=cost.calls,
        numbers=tuple(name for name, each in properties.items() if each.get("type") == "integer"),
        defaults=defaults,
        has_outside_text=plan.has_outside_text,
    )


def _description(described: OperationDescription, cost: OperationCost, *, has_defaults: bool) -> str:
    own = described.description or f"Runs the operation {described.name or 'of a trusted document'}."
    calls = "1 upstream call" if cost.calls == 1 else f"{cost.calls} upstream calls"
    varies = " with the default arguments" if has_defaults else ""
    return f"{own}\n\nRead-only. Costs at most {calls}{varies}."


class _Unconditional(Visitor):
    """Removes `@include` and `@skip`."""

    def enter_directive(self, node: DirectiveNode, *_: Any) -> Any:
        return REMOVE if node.name.value in {"skip", "include"} else None

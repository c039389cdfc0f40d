"""Descriptions in executable documents (https://spec.graphql.org/September2025/#sec-Descriptions)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from graphql import DocumentNode, FragmentDefinitionNode, OperationDefinitionNode, StringValueNode

__all__ = ["OperationDescription", "describe"]


@dataclass(frozen=True, slots=True)
class OperationDescription:
    """What a document says about one of its operations."""

    name: str | None
    description: str | None
    variables: Mapping[str, str]
    """The descriptions of its variables, by name; those without one are left out."""
    fragments: Mapping[str, str]
    """The descriptions of the document's fragments, by name; those without one are left out."""

    def as_json(self) -> dict[str, object]:
        """Return it as JSON values, without what has no description."""
        parts = {"description": self.description, "variables": self.variables, "fragments": self.fragments}
        return {"name": self.name} | {name: value for name, value in parts.items() if value}


def describe(document: DocumentNode) -> Iterator[OperationDescription]:
    """Yield the description of each operation of a parsed document."""
    fragments = {
        node.name.value: node.description.value
        for node in document.definitions
        if isinstance(node, FragmentDefinitionNode) and node.description is not None
    }
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            variables = {
                each.variable.name.value: each.description.value
                for each in node.variable_definitions or ()
                if each.description is not None
            }
            yield OperationDescription(
                node.name.value if node.name is not None else None, _text(node.description), variables, fragments
            )


def _text(description: StringValueNode | None) -> str | None:
    return description.value if description is not None else None

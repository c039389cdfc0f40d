"""Validation of many documents. They are joined, since graphql-core prepares its rules for each call."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from graphql import (
    ASTValidationRule,
    DefinitionNode,
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    specified_rules,
    validate,
)

__all__ = ["validate_all"]

_TOGETHER_MAX = 16


def validate_all(
    schema: GraphQLSchema,
    documents: Sequence[DocumentNode],
    rules: Collection[type[ASTValidationRule]] = specified_rules,
) -> list[list[GraphQLError]]:
    """Return the validation errors of each document; a document has one operation and the fragments that it spreads."""
    return [errors for together in _groups(documents) for errors in _errors(schema, together, rules)]


def _errors(
    schema: GraphQLSchema, documents: Sequence[DocumentNode], rules: Collection[type[ASTValidationRule]]
) -> Iterator[list[GraphQLError]]:
    """Validate documents together: if they are valid, each of them is. If not, validate each."""
    if len(documents) > 1 and not validate(schema, _joined(documents), rules, max_errors=1):
        yield from ([] for _ in documents)
    else:
        yield from (validate(schema, each, rules) for each in documents)


def _joined(documents: Sequence[DocumentNode]) -> DocumentNode:
    operations = [each.definitions[0] for each in documents]
    fragments = {_name(each): each for document in documents for each in document.definitions[1:]}
    return DocumentNode(definitions=(*operations, *fragments.values()))


def _groups(documents: Sequence[DocumentNode]) -> Iterator[list[DocumentNode]]:
    """Divide documents into groups that can be one document: with different names of operations, and equal fragments."""
    group: list[DocumentNode] = []
    operations = set[str | None]()
    fragments = dict[str | None, DefinitionNode]()
    for document in documents:
        name = _name(document.definitions[0])
        fits = name is not None and name not in operations and len(group) < _TOGETHER_MAX
        if not fits or any(fragments.get(_name(each), each) != each for each in document.definitions[1:]):
            if group:
                yield group
            group, operations, fragments = [], set(), {}
        group.append(document)
        operations.add(name)
        fragments.update((_name(each), each) for each in document.definitions[1:])
        if name is None:
            yield group
            group, operations, fragments = [], set(), {}
    if group:
        yield group


def _name(definition: DefinitionNode) -> str | None:
    assert isinstance(definition, OperationDefinitionNode | FragmentDefinitionNode)
    return definition.name.value if definition.name is not None else None

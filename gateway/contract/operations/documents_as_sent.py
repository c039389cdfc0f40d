"""Documents that a client sends as they are written: with every fragment that they include, and with no other.

Apollo's and urql's `gql` and gql.tada's `graphql` do so: https://www.apollographql.com/docs/react/data/fragments and
https://gql-tada.0no.co/guides/fragment-colocation. Relay and codegen's client preset send the fragments that are needed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from graphql import (
    DefinitionNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    Node,
    OperationDefinitionNode,
    Visitor,
    visit,
)

from gateway.contract.operations.documents import ClientDocument
from gateway.contract.operations.javascript import IncludedVariable
from gateway.contract.operations.references import fragments_in

__all__ = ["DocumentProblem", "ParsedDocument", "documents_as_sent"]

_RUNTIME_TAGS = re.compile(r"@apollo/client|@urql/|@vue/apollo|apollo-|graphql-request|graphql-tag|react-apollo|urql")


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """A client's document with its definitions."""

    document: ClientDocument
    definitions: list[DefinitionNode]


@dataclass(frozen=True, slots=True)
class DocumentProblem:
    """A reason for which the gateway refuses a document as it is sent."""

    node: Node
    message: str
    is_certain: bool
    """Whether it is sent so in any case: a build step or a fragment registry may add fragments to Apollo's `gql`."""


def documents_as_sent(
    documents: Sequence[ParsedDocument], fragments: Mapping[str, FragmentDefinitionNode]
) -> Iterator[DocumentProblem]:
    """Find unused fragments, anonymous operations beside others, and spreads of `fragments` that are not included."""
    by_variable: dict[str, list[ParsedDocument]] = {}
    for each in documents:
        if each.document.literal is not None and each.document.literal.name is not None:
            by_variable.setdefault(each.document.literal.name, []).append(each)
    for each in documents:
        operations = [node for node in each.definitions if isinstance(node, OperationDefinitionNode)]
        if operations and _is_sent_whole(each.document):
            yield from _problems(each, operations, by_variable, fragments)


def _is_sent_whole(document: ClientDocument) -> bool:
    literal = document.literal
    if literal is None or literal.tag is None:
        return False
    is_runtime = literal.tag == "gql" and (not literal.is_call or _RUNTIME_TAGS.match(literal.module or "") is not None)
    return is_runtime or _is_tada(document)


def _is_tada(document: ClientDocument) -> bool:
    literal = document.literal
    return literal is not None and literal.is_call and (literal.has_list or literal.module == "gql.tada")


def _problems(
    document: ParsedDocument,
    operations: list[OperationDefinitionNode],
    by_variable: Mapping[str, list[ParsedDocument]],
    fragments: Mapping[str, FragmentDefinitionNode],
) -> Iterator[DocumentProblem]:
    for operation in operations if len(operations) > 1 else ():
        if operation.name is None:
            message = "An operation without a name is refused beside another in the same document: give it a name."
            yield DocumentProblem(operation, message, True)
    sent, is_known = _included(document, by_variable)
    by_name = {node.name.value: node for node in reversed(sent) if isinstance(node, FragmentDefinitionNode)}
    used = {name for operation in operations for name in fragments_in(operation, by_name)}
    for name, fragment in by_name.items():
        if name not in used:
            node = fragment if fragment in document.definitions else operations[0]
            yield DocumentProblem(node, f"Fragment '{name}' is sent with the operation and never used.", True)
    if not is_known:
        return
    is_tada = _is_tada(document.document)
    for name, spread in _spreads([*operations, *(by_name[each] for each in used)]).items():
        if name not in by_name and name in fragments:
            how = f"graphql(`…`, [{name}])" if is_tada else f"${{{name}}}"
            message = f"Fragment '{name}' is in another document, and is not sent with this one: include it with {how}."
            literal = document.document.literal
            assert literal is not None
            if is_tada or literal.included or _RUNTIME_TAGS.match(literal.module or ""):
                yield DocumentProblem(spread, message, is_tada)


def _included(
    document: ParsedDocument, by_variable: Mapping[str, list[ParsedDocument]]
) -> tuple[list[DefinitionNode], bool]:
    """Return the definitions that are sent with a document, and whether those are all."""
    waiting, found, seen, is_known = [document], list[DefinitionNode](), set[int](), True
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        found += each.definitions
        literal = each.document.literal
        for variable in literal.included if literal is not None else ():
            declared = _declarations(variable, each.document.path, by_variable) if variable is not None else []
            if len(declared) == 1:
                waiting.append(declared[0])
            else:
                is_known = False
    return found, is_known


def _declarations(
    variable: IncludedVariable, path: Path, by_variable: Mapping[str, list[ParsedDocument]]
) -> list[ParsedDocument]:
    """Return the documents that a variable in the file `path` may stand for."""
    all_ = by_variable.get(variable.name, [])
    if variable.module is None:
        return [each for each in all_ if each.document.path == path]
    others = [each for each in all_ if each.document.path != path]
    if not variable.module.startswith("."):
        return others
    target = os.path.normpath(path.parent / variable.module)
    named = {target, os.path.splitext(target)[0], os.path.normpath(os.path.join(target, "index"))}
    return [each for each in others if os.path.normpath(each.document.path.with_suffix("")) in named] or others


def _spreads(nodes: Sequence[Node]) -> dict[str, FragmentSpreadNode]:
    found: dict[str, FragmentSpreadNode] = {}

    class Spreads(Visitor):
        def enter_fragment_spread(self, node: FragmentSpreadNode, *_: object) -> None:
            found.setdefault(node.name.value, node)

    for node in nodes:
        visit(node, Spreads())
    return found

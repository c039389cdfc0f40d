"""The operations of a client: those in all its documents, each with its fragments, as they are sent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphql import (
    DefinitionNode,
    DocumentNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    Node,
    OperationDefinitionNode,
    Source,
    VariableDefinitionNode,
    parse,
    print_ast,
)

from gateway.contract.operations.compiled import as_sent, refetch_query, spreads_in
from gateway.contract.operations.documents import ClientDocument

__all__ = ["ClientOperation", "Gathered", "Place", "Problem", "gather_operations", "place_of", "problem_of"]

_TOKEN = re.compile(
    r'(?P<text>"""(?:\\"""|.)*?(?:"""|\Z)|"(?:\\.|[^"\\\n\r])*"?)|(?P<comment>\#[^\n\r]*)|[^\s,\ufeff]', re.DOTALL
)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something stands: a file, a line and a column, from 1."""

    path: Path
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"

    def as_json(self) -> dict[str, Any]:
        """It, for programs."""
        return {"file": str(self.path), "line": self.line, "column": self.column}


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """What is wrong at a place; the message is for people, in one line."""

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"

    def as_json(self) -> dict[str, Any]:
        """It, for programs."""
        return {**self.place.as_json(), "message": self.message}


@dataclass(frozen=True, slots=True)
class ClientOperation:
    """One operation, with the fragments it needs from wherever they are."""

    name: str | None
    place: Place
    document: DocumentNode
    """As it is sent: one operation first, then its fragments. Its nodes know where in the files they stand."""
    is_whole: bool
    """Whether all its fragments were found."""

    @property
    def node(self) -> OperationDefinitionNode:
        """The operation itself."""
        node = self.document.definitions[0]
        assert isinstance(node, OperationDefinitionNode)
        return node

    @property
    def label(self) -> str:
        """Its name for people."""
        return self.name or "(no name)"


@dataclass(frozen=True, slots=True)
class Gathered:
    """What client documents hold, in the order of their files."""

    operations: list[ClientOperation]
    fragments: list[DocumentNode]
    """The fragments that no operation spreads, each first, with those that it needs."""
    problems: list[Problem]
    """What is wrong with the documents themselves, whatever the schema."""


def gather_operations(documents: Sequence[ClientDocument]) -> Gathered:
    """The operations of all documents; what they define of a schema is passed over.

    Problems are documents that cannot be parsed, `${…}` whose meaning cannot be known, fragments that are nowhere, and names
    that two different definitions have. The same definition twice, as generators write it, is one.
    """
    problems: list[Problem] = []
    definitions: list[DefinitionNode] = []
    for document in documents:
        try:
            definitions += _definitions(document)
        except GraphQLError as error:
            problems.append(problem_of(error))
    fragments = _Named("fragment", problems)
    operations = _Named("operation", problems)
    for each in definitions:
        if isinstance(each, FragmentDefinitionNode):
            fragments.add(each)
        elif isinstance(each, OperationDefinitionNode):
            operations.add(each)
    by_name = {each.name.value: each for each in fragments.all}
    for query in _refetch_queries(operations.all, by_name, problems):
        operations.add(query)
    return _join(operations.all, by_name, problems)


def problem_of(error: GraphQLError, other: Place | None = None) -> Problem:
    """An error of graphql-core's in client documents, at its place in their files; or at the `other`, if it has none."""
    message = " ".join(error.message.split())
    for node in error.nodes or ():
        if node.loc is not None:
            return Problem(place_of(node), message)
    if isinstance(error.source, _Source) and error.positions is not None:
        document = error.source.document
        return Problem(Place(document.path, *document.place(next(iter(error.positions)))), message)
    assert other is not None
    return Problem(other, message)


def place_of(node: Node) -> Place:
    """Where a node of a client document stands."""
    assert node.loc is not None
    assert isinstance(node.loc.source, _Source)
    document = node.loc.source.document
    return Place(document.path, *document.place(node.loc.start))


class _Source(Source):
    """A document's text, from which each of its nodes knows the document."""

    __slots__ = ("document",)

    def __init__(self, document: ClientDocument) -> None:
        super().__init__(document.text)
        self.document = document


@dataclass(slots=True)
class _Named:
    """Definitions of one kind, each name once."""

    kind: str
    problems: list[Problem]
    all: list[Any] = field(default_factory=list)
    _known: dict[str, Node] = field(default_factory=dict)

    def add(self, node: OperationDefinitionNode | FragmentDefinitionNode) -> None:
        first = self._known.setdefault(node.name.value, node) if node.name is not None else node
        if first is node:
            self.all.append(node)
        elif node.name is not None and print_ast(node) != print_ast(first):
            words = f"There is another {self.kind} {node.name.value} at {place_of(first)}: give each a name of its own."
            self.problems.append(Problem(place_of(node), words))


def _definitions(document: ClientDocument) -> Iterator[DefinitionNode]:
    source = _Source(document)
    unknown = _unknown_hole(document)
    if unknown is not None:
        raise GraphQLError(
            "What ${…} stands for here cannot be known: only whole fragments can be put in, outside of all braces. "
            "Use a variable, or a fragment and its name.",
            source=source,
            positions=[unknown],
        )
    if document.holes and not _TOKEN.search(document.text):
        return
    yield from parse(source, allow_empty_selection_sets=False).definitions


def _unknown_hole(document: ClientDocument) -> int | None:
    """The first `${…}` that stands elsewhere than a definition may."""
    depth, may_define = 0, True
    waiting = list(reversed(document.holes))
    for token in _TOKEN.finditer(document.text) if waiting else ():
        while waiting and waiting[-1] < token.start():
            if not may_define:
                return waiting[-1]
            waiting.pop()
        is_within = waiting and waiting[-1] < token.end()
        if is_within and token["text"]:
            return waiting[-1]
        if token["comment"]:
            while waiting and waiting[-1] < token.end():
                waiting.pop()
            continue
        depth += (token[0] in "{[(") - (token[0] in "}])") if len(token[0]) == 1 else 0
        may_define = depth == 0 and token[0] == "}"
    return waiting[-1] if waiting and not may_define else None


def _refetch_queries(
    operations: Iterable[OperationDefinitionNode], fragments: dict[str, FragmentDefinitionNode], problems: list[Problem]
) -> Iterator[OperationDefinitionNode]:
    declared: dict[str, dict[str, VariableDefinitionNode]] = {}
    for operation in operations:
        for name in spreads_in(operation, fragments):
            own = {each.variable.name.value: each for each in operation.variable_definitions or ()}
            declared.setdefault(name, {}).update(own)
    for name, fragment in fragments.items():
        try:
            query = refetch_query(fragment, declared.get(name, {}))
        except GraphQLError as error:
            message = f"No query can be made of its @refetchable and @argumentDefinitions: {error.message}"
            problems.append(Problem(place_of(fragment), message))
        else:
            if query is not None:
                yield query


def _join(
    operations: Sequence[OperationDefinitionNode], fragments: dict[str, FragmentDefinitionNode], problems: list[Problem]
) -> Gathered:
    joined: list[ClientOperation] = []
    alone: list[DocumentNode] = []
    missing: list[FragmentSpreadNode] = []
    spread = {name for operation in operations for name in spreads_in(operation, fragments)}
    definitions: list[OperationDefinitionNode | FragmentDefinitionNode] = [*operations]
    definitions += [fragment for name, fragment in fragments.items() if name not in spread]
    for definition in definitions:
        try:
            sent = as_sent(definition, fragments)
        except GraphQLError as error:
            problems.append(problem_of(error))
            continue
        missing += sent.missing
        if sent.document is None:
            continue
        if isinstance(definition, OperationDefinitionNode):
            name = definition.name.value if definition.name is not None else None
            joined.append(ClientOperation(name, place_of(definition), sent.document, not sent.missing))
        else:
            alone.append(sent.document)
    problems += [
        Problem(place_of(each), f"No document that could be read has the fragment {each.name.value}.")
        for each in missing
    ]
    return Gathered(sorted(joined, key=lambda each: each.place), alone, sorted(set(problems)))

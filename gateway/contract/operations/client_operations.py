"""A client's operations: those of all its documents, each with its fragments, as the client sends them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from graphql import (
    DefinitionNode,
    DocumentNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    Node,
    OperationDefinitionNode,
    Source,
    SourceLocation,
    StringValueNode,
    Visitor,
    parse,
    print_ast,
    visit,
)

from gateway.contract.operations.client_schema import ClientSchema
from gateway.contract.operations.compiled import compile_definition, define_variables
from gateway.contract.operations.documents import ClientDocument
from gateway.contract.operations.documents_as_sent import ParsedDocument, documents_as_sent
from gateway.contract.operations.references import fragments_in
from gateway.contract.operations.relay import refetch_query
from gateway.contract.operations.relay_resolvers import RelayResolver
from gateway.contract.problems import FileLocation, Problem

__all__ = ["ClientOperation", "ClientOperations", "gather_operations", "location_of", "problem_from"]

_TOKEN = re.compile(
    r'(?P<text>"""(?:\\"""|.)*?(?:"""|\Z)|"(?:\\.|[^"\\\n\r])*"?)|(?P<comment>\#[^\n\r]*)|[^\s,\ufeff]', re.DOTALL
)

_FRAGMENT_NOTES_MAX = 10

_CLIENT_EDGE = (
    "The selection of {}, which a Relay resolver computes, was not checked. If the resolver returns a type of the server, "
    "Relay's compiler generates a query for it, whose name begins with ClientEdgeQuery_."
)
_RELAY_DESCRIPTION = (
    "Relay's compiler accepts no description of an operation or a fragment, and generates nothing for a literal that begins "
    "with one. Write a comment (#)."
)


@dataclass(frozen=True, slots=True)
class ClientOperation:
    """One operation with the fragments it needs, whichever files they are in."""

    name: str | None
    location: FileLocation
    document: DocumentNode
    """What the client sends: the operation, then its fragments. Nodes keep their locations in the client's files."""
    is_complete: bool
    """Whether all its fragments were found."""

    @property
    def node(self) -> OperationDefinitionNode:
        """The operation's definition."""
        node = self.document.definitions[0]
        assert isinstance(node, OperationDefinitionNode)
        return node

    @property
    def description(self) -> str | None:
        """The operation's own description."""
        return self.node.description.value if self.node.description is not None else None

    @property
    def label(self) -> str:
        """The name to show to people."""
        return self.name or "(no name)"


@dataclass(frozen=True, slots=True)
class ClientOperations:
    """The contents of a client's documents, in file order."""

    operations: list[ClientOperation]
    fragments: list[DocumentNode]
    """One document for each fragment that no operation spreads: the fragment, then those that it needs."""
    problems: list[Problem]
    """Errors that need no schema to be found."""
    notes: list[str]
    """Remarks that are no errors in every client."""


def gather_operations(
    documents: Sequence[ClientDocument],
    schema: GraphQLSchema,
    client_schema: DocumentNode | None = None,
    resolvers: Sequence[RelayResolver] = (),
) -> ClientOperations:
    """Join the operations of all documents with their fragments; type system definitions are ignored.

    Problems are documents that cannot be parsed, substitutions (`${…}`) whose content is unknown, fragments that are not
    defined, and names with two different definitions. Equal definitions, as code generators repeat them, count as one.
    The `schema` gives the types of variables in the queries that Relay generates. The fields that `client_schema` and
    Relay's `resolvers` add to it are the client's own. Raises `CheckError` if `client_schema` does not fit.
    """
    problems: list[Problem] = []
    definitions: list[DefinitionNode] = []
    parsed: list[ParsedDocument] = []
    for document in documents:
        try:
            parsed.append(ParsedDocument(document, list(_definitions(document))))
        except GraphQLError as error:
            problems.append(problem_from(error))
        else:
            definitions += parsed[-1].definitions
    client_schema = client_schema or DocumentNode(definitions=())
    unchecked: list[str] = []
    if client_schema.definitions or resolvers:
        extended = ClientSchema(schema, client_schema, resolvers)
        definitions = extended.mark_all(definitions)
        unchecked = [f"{location_of(each)}: {_CLIENT_EDGE.format(each.name.value)}" for each in extended.client_edges]
    fragments = _UniqueDefinitions("fragment", problems)
    operations = _UniqueDefinitions("operation", problems)
    for each in definitions:
        if getattr(each, "description", None) is not None and _is_relay(each):
            problems.append(Problem(location_of(each), _RELAY_DESCRIPTION))
        if isinstance(each, FragmentDefinitionNode):
            fragments.add(each)
        elif isinstance(each, OperationDefinitionNode):
            operations.add(each)
    by_name = {each.name.value: each for each in fragments.all}
    for query in _refetch_queries(by_name, schema, problems):
        operations.add(query)
    sent = [*documents_as_sent(parsed, by_name)]
    problems += [Problem(location_of(each.node), each.message) for each in sent if each.is_certain]
    notes = [f"{location_of(each.node)}: {each.message}" for each in sent if not each.is_certain]
    if len(notes) > _FRAGMENT_NOTES_MAX:
        more = len(notes) - _FRAGMENT_NOTES_MAX
        notes[_FRAGMENT_NOTES_MAX:] = [
            f"{more} more fragments are in other documents, for a build step or a registry to include."
        ]
    return _join(operations.all, by_name, schema, problems, notes + unchecked)


def problem_from(error: GraphQLError, default: FileLocation | None = None) -> Problem:
    """Convert an error of graphql-core in a client's document; `default` is the location of an error that has none."""
    message = " ".join(error.message.split())
    for node in error.nodes or ():
        if node.loc is not None:
            return Problem(location_of(node), message)
    if isinstance(error.source, _DocumentSource) and error.positions is not None:
        return Problem(error.source.location(next(iter(error.positions))), message)
    assert default is not None
    return Problem(default, message)


def location_of(node: Node) -> FileLocation:
    """Return where a node of a client's document begins in its file."""
    assert node.loc is not None
    assert isinstance(node.loc.source, _DocumentSource)
    return node.loc.source.location(node.loc.start)


class _DocumentSource(Source):
    """The source of a parsed client document, which leads from its nodes back to the file."""

    __slots__ = ("document",)

    def __init__(self, document: ClientDocument) -> None:
        super().__init__(document.text)
        self.document = document

    def location(self, offset: int) -> FileLocation:
        return FileLocation(self.document.path, *self.document.line_and_column(offset))

    def get_location(self, position: int) -> SourceLocation:
        """Find a line without reading the text up to it, as graphql-core would for each error."""
        return SourceLocation(*self.document.line_and_column(position))


@dataclass(slots=True)
class _UniqueDefinitions:
    """Definitions of one kind by name; a name defined twice in different ways is a problem."""

    kind: str
    problems: list[Problem]
    all: list[Any] = field(default_factory=list)
    _by_name: dict[str, Node] = field(default_factory=dict)

    def add(self, node: OperationDefinitionNode | FragmentDefinitionNode) -> None:
        first = self._by_name.setdefault(node.name.value, node) if node.name is not None else node
        if first is node:
            self.all.append(node)
        elif node.name is not None and print_ast(_normalized(node)) != print_ast(_normalized(first)):
            message = f"There is another {self.kind} {node.name.value} at {location_of(first)}: give each its own name."
            self.problems.append(Problem(location_of(node), message))


class _Normalizer(Visitor):
    """Writes strings in one way, and removes descriptions, as builds do."""

    def enter(self, node: Node, *_: Any) -> Node | None:
        if isinstance(node, StringValueNode) and node.block:
            return replace(node, block=False)
        if getattr(node, "description", None) is not None:
            return replace(node, description=None)  # type: ignore[call-arg]
        return None


def _normalized(node: Node) -> Node:
    normalized = visit(node, _Normalizer())
    assert isinstance(normalized, Node)
    return normalized


def _definitions(document: ClientDocument) -> Iterator[DefinitionNode]:
    source = _DocumentSource(document)
    if document.error:
        raise GraphQLError(document.error, source=source, positions=[0])
    unknown = _unknown_substitution(document)
    if unknown is not None:
        raise GraphQLError(
            "The content of ${…} is unknown here: only whole fragments can be inserted, outside of all braces. "
            "Use a variable, or a fragment and its name.",
            source=source,
            positions=[unknown],
        )
    if document.substitutions and not _TOKEN.search(document.text):
        return
    yield from parse(source, allow_empty_selection_sets=False).definitions


def _unknown_substitution(document: ClientDocument) -> int | None:
    """Return the offset of the first `${…}` in a position where no definition is allowed."""
    depth, may_define = 0, True
    waiting = list(reversed(document.substitutions))
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
    fragments: dict[str, FragmentDefinitionNode], schema: GraphQLSchema, problems: list[Problem]
) -> Iterator[OperationDefinitionNode]:
    root = schema.query_type.name if schema.query_type is not None else "Query"
    for fragment in fragments.values():
        try:
            query = refetch_query(fragment, root)
            if query is not None:
                yield define_variables(query, fragments, schema)
        except GraphQLError as error:
            message = f"No query can be generated from its @refetchable and @argumentDefinitions: {error.message}"
            problems.append(Problem(location_of(fragment), message))


def _is_relay(node: Node) -> bool:
    """Whether a definition is in a literal that Relay's compiler reads."""
    return node.loc is not None and isinstance(node.loc.source, _DocumentSource) and node.loc.source.document.is_relay


def _join(
    operations: Sequence[OperationDefinitionNode],
    fragments: dict[str, FragmentDefinitionNode],
    schema: GraphQLSchema,
    problems: list[Problem],
    notes: list[str],
) -> ClientOperations:
    joined: list[ClientOperation] = []
    unused: list[DocumentNode] = []
    missing: list[FragmentSpreadNode] = []
    spread = {name for operation in operations for name in fragments_in(operation, fragments)}
    definitions: list[OperationDefinitionNode | FragmentDefinitionNode] = [*operations]
    definitions += [fragment for name, fragment in fragments.items() if name not in spread]
    for definition in definitions:
        try:
            compiled = compile_definition(definition, fragments, schema, is_relay=_is_relay(definition))
        except GraphQLError as error:
            problems.append(problem_from(error))
            continue
        missing += compiled.missing
        problems += map(problem_from, compiled.errors)
        if compiled.document is None or compiled.errors:
            continue
        if isinstance(definition, OperationDefinitionNode):
            name = definition.name.value if definition.name is not None else None
            joined.append(ClientOperation(name, location_of(definition), compiled.document, not compiled.missing))
        else:
            unused.append(compiled.document)
    problems += [
        Problem(location_of(each), f"No document that could be read has the fragment {each.name.value}.")
        for each in missing
    ]
    return ClientOperations(sorted(joined, key=lambda each: each.location), unused, sorted(set(problems)), notes)

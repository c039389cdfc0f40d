"""Each text that relay-compiler writes, compared with the documents that `operations check` takes to be sent.

The compiler adds `id` and `__typename`, evaluates constant conditions, and prints in another order, so documents are compared
by their variables, and by the fields that they select: each with the types that it is selected on, its conditions and labels.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from graphql import (
    DirectiveDefinitionNode,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    build_schema,
    get_named_type,
    is_abstract_type,
    parse,
    print_ast,
)

from gateway.contract.operations.client_operations import gather_operations
from gateway.contract.operations.client_schema import read_client_schema
from gateway.contract.operations.documents import ClientDocument, find_documents
from gateway.contract.operations.relay_config import relay_schema_extensions
from gateway.graph.schema import print_schema

from .relay_modules import EXTENSION, Module

MODULES = 60

pytestmark = pytest.mark.timeout(300)  # npm fetches 30 MB when its cache is empty.


@dataclass(frozen=True)
class Step:
    """One field on the way from the root."""

    types: frozenset[str]
    """The object types on which it is selected."""
    conditions: frozenset[str]
    """`@include` and `@skip` above it, up to the field before."""
    labels: frozenset[str]
    """The same of `@defer`."""
    field: str = ""
    """Its response name, name and arguments."""

    def covers(self, other: "Step") -> bool:
        return (
            self.field == other.field
            and self.types >= other.types
            and self.conditions <= other.conditions
            and self.labels <= other.labels
        )


class Selections:
    """The leaves of an operation, each as the steps to it."""

    def __init__(self, document: DocumentNode, schema: GraphQLSchema) -> None:
        self.schema = schema
        self.fragments = {
            each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)
        }
        self.operation = next(each for each in document.definitions if isinstance(each, OperationDefinitionNode))
        root = schema.query_type
        assert root is not None
        start = Step(frozenset({root.name}), frozenset(), frozenset())
        self.leaves = set(self._leaves(self.operation.selection_set, root, start))

    @property
    def variables(self) -> set[str]:
        return {print_ast(each) for each in self.operation.variable_definitions or ()}

    def lacking_in(self, other: "Selections") -> set[tuple[Step, ...]]:
        """Return the leaves that no leaf of the other operation covers."""
        return {
            leaf
            for leaf in self.leaves
            if not any(
                len(leaf) == len(each) and all(step.covers(its) for step, its in zip(each, leaf, strict=True))
                for each in other.leaves
            )
        }

    def _leaves(self, node: SelectionSetNode, parent: GraphQLNamedType, at: Step) -> Iterator[tuple[Step, ...]]:
        for each in node.selections:
            inner = self._conditioned(at, each.directives)
            if isinstance(each, FieldNode):
                yield from self._field(each, parent, inner)
                continue
            if isinstance(each, FragmentSpreadNode):
                fragment: FragmentDefinitionNode | InlineFragmentNode = self.fragments[each.name.value]
            else:
                assert isinstance(each, InlineFragmentNode)
                fragment = each
            condition = fragment.type_condition
            type_ = self.schema.type_map[condition.name.value] if condition is not None else parent
            types = inner.types & self._possible(type_)
            if types:
                yield from self._leaves(fragment.selection_set, type_, replace(inner, types=types))

    def _field(self, node: FieldNode, parent: GraphQLNamedType, at: Step) -> Iterator[tuple[Step, ...]]:
        arguments = sorted(print_ast(each) for each in node.arguments or ())
        key = node.alias.value if node.alias is not None else node.name.value
        step = replace(at, field=f"{key}: {node.name.value}({', '.join(arguments)})")
        if node.selection_set is None:
            yield (step,)
            return
        field = self.schema.get_field(parent, node.name.value)  # type: ignore[arg-type]
        assert field is not None
        type_ = get_named_type(field.type)
        below = Step(self._possible(type_), frozenset(), frozenset())
        for rest in self._leaves(node.selection_set, type_, below):
            yield (step, *rest)

    def _possible(self, type_: GraphQLNamedType) -> frozenset[str]:
        if is_abstract_type(type_):
            return frozenset(each.name for each in self.schema.get_possible_types(type_))
        return frozenset({type_.name})

    def _conditioned(self, at: Step, directives: tuple[DirectiveNode, ...] | None) -> Step:
        conditions = {print_ast(each) for each in directives or () if each.name.value in {"include", "skip"}}
        labels = {
            " ".join(sorted(print_ast(argument) for argument in each.arguments or ()))
            for each in directives or ()
            if each.name.value == "defer"
        }
        assert {each.name.value for each in directives or ()} <= {"include", "skip", "defer"}
        return replace(at, conditions=at.conditions | conditions, labels=at.labels | labels)


def compiled_by_relay(folder: Path, sources: dict[str, str], schema: str) -> dict[str, str]:
    """Run the compiler once; return the text of each operation by its name. Modules that it refuses are left out."""
    (folder / "schema.graphql").write_text(schema, encoding="utf-8")
    (folder / "persisted.json").write_text("{}", encoding="utf-8")
    (folder / "extensions").mkdir()
    (folder / "extensions" / "client.graphql").write_text(EXTENSION, encoding="utf-8")
    (folder / "src").mkdir()
    for name, source in sources.items():
        (folder / "src" / f"{name}.ts").write_text(source, encoding="utf-8")
    command = ["node", "node_modules/relay-compiler/cli.js", "relay.config.json", "--output", "quiet-with-errors"]
    for _ in range(9):  # It reports some kinds of error only when there are none of the others.
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            break
        refused = set(re.findall(r"src/(\w+)\.ts:", done.stdout + done.stderr))
        assert refused, done.stdout + done.stderr
        for name in refused:
            (folder / "src" / f"{name}.ts").unlink()
    texts = json.loads((folder / "persisted.json").read_text(encoding="utf-8")).values()
    return {re.search(r"query (\w+)", text)[1]: text for text in texts}  # type: ignore[index]


@pytest.fixture(scope="module")
def sent(npm: Path) -> dict[str, str]:
    """Relay's texts by operation."""
    sources = {module.name: module.source for module in map(Module, range(MODULES))}
    return compiled_by_relay(npm, sources, print_schema())


def test_every_text_is_what_relay_sends(npm: Path, sent: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(npm)
    schema = build_schema(print_schema())
    documents = find_documents(["src"])
    extensions = relay_schema_extensions([each.path for each in documents])
    gathered = gather_operations(documents, schema, read_client_schema(extensions.files))
    assert gathered.problems == []
    assert {operation.name for operation in gathered.operations} == set(sent)
    assert len(list(Path("src").glob("*.ts"))) > MODULES * 2 / 3
    added = re.compile(r"__typename: |__is\w+: |id: id\(|cursor: |endCursor: |hasNextPage: ")
    for operation in gathered.operations:
        assert operation.name is not None
        ours, theirs = Selections(operation.document, schema), Selections(parse(sent[operation.name]), schema)
        assert ours.lacking_in(theirs) == set(), operation.name
        places = {tuple(step.field for step in leaf[:end]) for leaf in ours.leaves for end in range(len(leaf))}
        lacking = {
            leaf
            for leaf in theirs.lacking_in(ours)
            if not added.match(leaf[-1].field) or tuple(step.field for step in leaf[:-1]) not in places
        }
        assert lacking == set(), operation.name
        assert ours.variables == theirs.variables, operation.name


def test_the_modules_have_every_case(sent: dict[str, str]) -> None:
    texts = "\n".join(sent.values())
    for part in ("$defer$d", "if: $", "__relay_internal__pv__", "node(id: $id)", "@include(if: $", "@skip(if: $"):
        assert texts.count(part) > 5, part
    assert len(re.findall(r"\{\s+id\s+\}", texts)) > 5


PLACES = {
    "QUERY": "query Q @ { a }",
    "FIELD": "query Q { a @ }",
    "FRAGMENT_SPREAD": "query Q { a ...F @ } fragment F on Query { b }",
    "FRAGMENT_DEFINITION": "query Q { a ...F } fragment F on Query @ { b }",
    "INLINE_FRAGMENT": "query Q { a ... @ { b } }",
}


def test_every_directive_of_the_compiler_is_known(npm: Path) -> None:
    """All are removed but `@stream_connection`, since no server here has `@stream`."""
    text = (npm / "node_modules/relay-compiler/relay-extensions.graphql").read_text(encoding="utf-8")
    directives = [each for each in parse(text).definitions if isinstance(each, DirectiveDefinitionNode)]
    assert len(directives) > 30
    kept = {
        directive.name.value
        for directive in directives
        for place in directive.locations
        if place.value in PLACES
        for document in [PLACES[place.value].replace("@", f"@{directive.name.value}")]
        for operation in gather_operations(
            [ClientDocument(Path("a"), document)], build_schema("type Query { a: Int }")
        ).operations
        if f"@{directive.name.value}" in print_ast(operation.document)
    }
    assert kept == {"stream_connection"}

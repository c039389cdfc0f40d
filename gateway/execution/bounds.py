"""Limits on the size of documents, checked before validation, so that no client can cause unbounded work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    SelectionNode,
    parse,
)

from gateway.errors import ParseFailed, ValidationFailed

__all__ = ["Bounds", "check_document", "parse_within"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits on a document. A fragment counts at each spread, so that fragments cannot multiply a document."""

    characters: int = 64 * 2**10
    tokens: int = 4000
    depth: int = 25
    fields: int = 4000
    root_fields: int = 50
    aliases: int = 100
    directives: int = 100
    directives_each: int = 4
    """Directives at one place, such as one field."""
    overlap: int = 50_000
    """Pairs of overlapping fields: those with the same response path, which validation compares
    (https://spec.graphql.org/September2025/#sec-Field-Selection-Merging). A field selected n times makes n(n - 1)/2."""


def parse_within(text: str, bounds: Bounds) -> DocumentNode:
    """Parse a document and check its size; raises `ParseFailed`, `ValidationFailed`, or graphql-core's GraphQLSyntaxError."""
    if len(text) > bounds.characters:
        raise ParseFailed(f"The document has more than {bounds.characters} characters.")
    try:
        # Empty selection sets are allowed by the specification's draft, and refused by the parsers of most clients.
        document = parse(text, max_tokens=bounds.tokens, allow_empty_selection_sets=False)
        check_document(document, bounds)
    except RecursionError:
        raise ParseFailed("The document is nested too deeply.") from None
    return document


def check_document(document: DocumentNode, bounds: Bounds) -> None:
    """Check the size of every operation of a parsed document; raises `ValidationFailed`, which names the limit."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            count = _Count(bounds, fragments)
            count.count_directives(node.directives)
            count.add([node.selection_set.selections], 0)
        elif isinstance(node, FragmentDefinitionNode):  # Validation visits unused fragments too.
            _Count(bounds, fragments).add([node.selection_set.selections], 1)


class _Count:
    """Counts what one operation has, level by level; raises at the first limit exceeded."""

    def __init__(self, bounds: Bounds, fragments: dict[str, FragmentDefinitionNode]) -> None:
        self.bounds = bounds
        self.fragments = fragments
        self.fields = self.aliases = self.directives = self.overlap = 0

    def add(self, selections: Iterable[Iterable[SelectionNode]], depth: int) -> None:
        """Count the selections at one place of the answer, and everything below them."""
        if depth > self.bounds.depth:
            raise _too("nested more deeply than", self.bounds.depth, "levels")
        places: dict[str, list[FieldNode]] = {}
        for several in selections:
            self._collect(several, places, frozenset(), 0)
        if depth == 0:
            self._bound("root_fields", sum(len(fields) for fields in places.values()), "fields at its root")
        for fields in places.values():
            self.overlap += len(fields) * (len(fields) - 1) // 2
            self._bound("overlap", self.overlap, "pairs of overlapping fields, selected at the same response path")
            below = [field.selection_set.selections for field in fields if field.selection_set is not None]
            if below:
                self.add(below, depth + 1)

    def count_directives(self, directives: Sequence[DirectiveNode] | None) -> None:
        """Count the directives at one place."""
        if directives:
            self.directives += len(directives)
            self._bound("directives", self.directives, "directives")
            self._bound("directives_each", len(directives), "directives at one place")

    def _collect(
        self,
        selections: Iterable[SelectionNode],
        places: dict[str, list[FieldNode]],
        within: frozenset[str],
        depth: int,
    ) -> None:
        if depth > self.bounds.depth:
            raise _too("nested more deeply than", self.bounds.depth, "levels of fragments")
        for selection in selections:
            self.count_directives(selection.directives)
            self.fields += 1  # A spread counts too: even a chain that selects nothing takes work.
            self._bound("fields", self.fields, "fields, those of fragments counted wherever they are spread")
            if isinstance(selection, FieldNode):
                if selection.alias is not None:
                    self.aliases += 1
                    self._bound("aliases", self.aliases, "aliases")
                key = (selection.alias or selection.name).value
                places.setdefault(key, []).append(selection)
            elif isinstance(selection, FragmentSpreadNode):
                name = selection.name.value
                fragment = self.fragments.get(name)
                if name in within:
                    raise ValidationFailed(f"The fragment {name} contains itself.")
                if fragment is not None:  # Validation reports an unknown fragment.
                    self._collect(fragment.selection_set.selections, places, within | {name}, depth + 1)
            else:
                self._collect(selection.selection_set.selections, places, within, depth + 1)  # type: ignore[attr-defined]

    def _bound(self, name: str, count: int, what: str) -> None:
        most = getattr(self.bounds, name)
        if count > most:
            raise _too("larger than allowed: it has more than", most, what)


def _too(how: str, most: int, what: str) -> ValidationFailed:
    return ValidationFailed(f"The document is {how} {most} {what}.")

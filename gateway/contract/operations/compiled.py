"""What a client makes of an operation before it sends it: fragments joined, its own directives carried out.

Apollo, urql and gql.tada take out directives that are for themselves, and fields that they answer themselves. Relay's
compiler also gives fragments arguments, by making a fragment for each set of them, and writes the queries by which a
fragment is fetched again. What comes of it is what the server is asked, and so what is checked and priced.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from graphql import (
    SKIP,
    ArgumentNode,
    DirectiveNode,
    DocumentNode,
    ExecutableDefinitionNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    ListValueNode,
    NamedTypeNode,
    NameNode,
    Node,
    NullValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionNode,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    VisitorAction,
    parse,
    parse_type,
    print_ast,
    visit,
)

__all__ = ["Sent", "as_sent", "refetch_query", "spreads_in", "variables_in"]

_LOCAL = frozenset({"client", "rest", "updatable"})
"""What has one of these the client answers itself, or only writes to: https://www.apollographql.com/docs/react/local-state,
https://relay.dev/docs/api-reference/graphql-and-directives."""

_FOR_CLIENTS = re.compile(
    "connection|export|live|mask|nonreactive|type|unmask"  # Apollo Client and its links
    "|_optional|_relayPagination|_required|_simplePagination|_unmask|optional|populate"  # urql, gql.tada
    "|alias|appendEdge|appendNode|argumentDefinitions|arguments|assignable|catch|deleteEdge|deleteRecord|fetchable|inline"
    "|match|module|no_inline|preloadable|prependEdge|prependNode|raw_response_type|refetchable|relay|relay_test_operation"
    "|required|semanticNonNull|stream_connection|throwOnFieldError|waterfall"  # Relay
)
"""Directives that clients take out before they send."""

_Scope = Mapping[str, ValueNode | None]
"""What a fragment's own variables stand for; None where nothing was given."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What of an operation, or of a fragment alone, is sent."""

    document: DocumentNode | None
    """None when nothing is left that a server is asked."""
    missing: tuple[FragmentSpreadNode, ...]
    """Spreads of fragments that are nowhere; they are not in the document."""


def as_sent(
    definition: OperationDefinitionNode | FragmentDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> Sent:
    """An operation with the fragments it needs, from all that there are; or a fragment alone, with its arguments' defaults.

    Raises GraphQLError when fragments that have arguments spread themselves without end.
    """
    made = _Sending(fragments)
    try:
        if isinstance(definition, FragmentDefinitionNode):
            made.spread(definition, (), {})
            parts: tuple[ExecutableDefinitionNode, ...] = tuple(made.fragments)
        else:
            operation = _operation_as_sent(definition, made)
            parts = (operation, *made.fragments) if operation is not None else ()
    except RecursionError:
        raise GraphQLError("The fragments it spreads are nested too deeply.", definition) from None
    return Sent(DocumentNode(definitions=parts) if parts else None, tuple(made.missing))


def _operation_as_sent(operation: OperationDefinitionNode, made: _Sending) -> OperationDefinitionNode | None:
    selections = made.selections(operation.selection_set.selections, {}) if not _is_local(operation) else ()
    if not selections:
        return None
    sent = replace(
        operation,
        directives=made.directives(operation.directives, {}),
        selection_set=replace(operation.selection_set, selections=selections),
    )
    needed = [made.known[name] for name in spreads_in(operation, made.known)]
    used_at_first, used = variables_in([operation, *needed]), variables_in([sent, *made.fragments])
    # A variable for what was taken out goes with it; one that was of no use at first remains, for validation to tell.
    kept = [
        each
        for each in operation.variable_definitions or ()
        if each.variable.name.value in used or each.variable.name.value not in used_at_first
    ]
    kept += [definition for name, definition in made.provided.items() if name in used]
    return replace(sent, variable_definitions=tuple(kept))


def spreads_in(node: Node, fragments: Mapping[str, FragmentDefinitionNode]) -> dict[str, None]:
    """The names of the fragments that a definition needs, of those that there are, itself or through others."""
    found: dict[str, None] = {}
    waiting: list[Node] = [node]

    class Spreads(Visitor):
        def enter_fragment_spread(self, node: FragmentSpreadNode, *_: Any) -> None:
            name = node.name.value
            if name in fragments and name not in found:
                found[name] = None
                waiting.append(fragments[name])

    while waiting:
        visit(waiting.pop(), Spreads())
    return found


def refetch_query(
    fragment: FragmentDefinitionNode, global_variables: Mapping[str, VariableDefinitionNode]
) -> OperationDefinitionNode | None:
    """The query by which Relay fetches a fragment again: https://relay.dev/docs/api-reference/graphql/#refetchable.

    It stands where `@refetchable` does, which may be nowhere. Variables that are not the fragment's own are declared as by
    the operations that spread it. Raises GraphQLError when what the directives say makes no query.
    """
    directive = next((each for each in fragment.directives or () if each.name.value == "refetchable"), None)
    if directive is None:
        return None
    query_name = next(
        (print_ast(each.value) for each in directive.arguments or () if each.name.value == "queryName"), ""
    )
    own = {each.name.value: each for each in _definitions_of(fragment)}
    passed = {name: each for name, each in own.items() if _in_object(each, "provider") is None}
    declared = [
        f"${name}: {_type_of(each)}{f' = {print_ast(default)}' if (default := _in_object(each, 'defaultValue')) else ''}"
        for name, each in passed.items()
    ]
    used = variables_in([fragment]) - own.keys()
    declared += [print_ast(definition) for name, definition in global_variables.items() if name in used]
    arguments = f" @arguments({' '.join(f'{name}: ${name}' for name in passed)})" if passed else ""
    spread = f"...{fragment.name.value}{arguments}"
    if fragment.type_condition.name.value != "Query":
        declared.append("$id: ID!")
        spread = f"node(id: $id) {{ {spread} }}"
    variables = f"({' '.join(declared)})" if declared else ""
    query = parse(f"query {query_name.strip(chr(34))}{variables} {{ {spread} }}", no_location=True).definitions[0]
    assert isinstance(query, OperationDefinitionNode)
    return replace(query, loc=directive.loc)


@dataclass(slots=True)
class _Sending:
    """One document on its way: what of the client's is carried out, and what of it is needed."""

    known: Mapping[str, FragmentDefinitionNode]
    fragments: list[FragmentDefinitionNode] = field(default_factory=list)
    missing: list[FragmentSpreadNode] = field(default_factory=list)
    provided: dict[str, VariableDefinitionNode] = field(default_factory=dict)
    """Variables whose values Relay provides: https://relay.dev/docs/guided-tour/rendering/variables."""

    _made: dict[tuple[str, ...], str | None] = field(default_factory=dict)
    """The name in what is sent, by a fragment's own name and its arguments; None when nothing of it is left."""

    def selections(self, selections: Iterable[SelectionNode], scope: _Scope) -> tuple[SelectionNode, ...]:
        """What of these is sent."""
        sent = (self._selection(each, scope) for each in selections if not _is_local(each))
        return tuple(each for each in sent if each is not None)

    def directives(self, directives: Iterable[DirectiveNode] | None, scope: _Scope) -> tuple[DirectiveNode, ...]:
        """What of these is for the server."""
        return tuple(
            replace(each, arguments=self._arguments(each.arguments, scope))
            for each in directives or ()
            if not _FOR_CLIENTS.fullmatch(each.name.value)
        )

    def spread(self, fragment: FragmentDefinitionNode, given: Iterable[ArgumentNode], scope: _Scope) -> str | None:
        """Have a fragment with these arguments; its name in what is sent, or None when nothing of it is left."""
        values = {each.name.value: self._value(each.value, scope) for each in given}
        own: dict[str, ValueNode | None] = {}
        for each in _definitions_of(fragment):
            name = each.name.value
            if _in_object(each, "provider") is not None:
                own[name] = self._provide(f"{fragment.name.value}_{name}", each)
            else:
                own[name] = values.get(name) or _in_object(each, "defaultValue")
        original = fragment.name.value
        key = (original, *(f"{name}={print_ast(value) if value else ''}" for name, value in sorted(own.items())))
        if key in self._made:
            return self._made[key]
        twins = sum(made[0] == original for made in self._made)
        name = self._made[key] = (
            f"{original}__{twins + 1}" if twins else original
        )  # Known now, as it may spread itself.
        place = len(self.fragments)
        selections = self.selections(fragment.selection_set.selections, own) if not _is_local(fragment) else ()
        if not selections:
            self._made[key] = None
            return None
        sent = replace(
            fragment,
            name=replace(fragment.name, value=name),
            directives=self.directives(fragment.directives, own),
            selection_set=replace(fragment.selection_set, selections=selections),
        )
        self.fragments.insert(place, sent)
        return name

    def _selection(self, selection: SelectionNode, scope: _Scope) -> SelectionNode | None:
        if isinstance(selection, FragmentSpreadNode):
            return self._spread(selection, scope)
        assert isinstance(selection, FieldNode | InlineFragmentNode)
        changed: dict[str, Any] = {"directives": self.directives(selection.directives, scope)}
        if isinstance(selection, FieldNode):
            changed["arguments"] = self._arguments(selection.arguments, scope)
        if selection.selection_set is not None:
            below = self.selections(selection.selection_set.selections, scope)
            if not below:
                return None
            changed["selection_set"] = replace(selection.selection_set, selections=below)
        return replace(selection, **changed)

    def _spread(self, spread: FragmentSpreadNode, scope: _Scope) -> FragmentSpreadNode | None:
        fragment = self.known.get(spread.name.value)
        if fragment is None:
            self.missing.append(spread)
            return None
        given = [
            argument
            for directive in spread.directives or ()
            if directive.name.value == "arguments"
            for argument in directive.arguments or ()
        ]
        name = self.spread(fragment, given, scope)
        if name is None:
            return None
        return replace(
            spread, name=replace(spread.name, value=name), directives=self.directives(spread.directives, scope)
        )

    def _arguments(self, arguments: Iterable[ArgumentNode] | None, scope: _Scope) -> tuple[Any, ...]:
        values = ((each, self._value(each.value, scope)) for each in arguments or ())
        return tuple(replace(each, value=value) for each, value in values if value is not None)

    def _value(self, value: ValueNode, scope: _Scope) -> ValueNode | None:
        """A value with the fragment's own variables replaced; None for one that was not given."""
        if isinstance(value, VariableNode):
            return scope.get(value.name.value, value)
        if isinstance(value, ListValueNode):
            return replace(value, values=tuple(self._value(each, scope) or NullValueNode() for each in value.values))
        if isinstance(value, ObjectValueNode):
            fields = ((each, self._value(each.value, scope)) for each in value.fields)
            return replace(
                value, fields=tuple(replace(each, value=inner) for each, inner in fields if inner is not None)
            )
        return value

    def _provide(self, name: str, definition: ArgumentNode) -> VariableNode:
        variable = VariableNode(name=NameNode(value=name, loc=definition.loc), loc=definition.loc)
        try:
            kind = parse_type(_type_of(definition), no_location=True)
        except GraphQLError:
            kind = NamedTypeNode(name=NameNode(value=_type_of(definition)))  # It is for validation to refuse.
        self.provided[name] = VariableDefinitionNode(variable=variable, type=kind, directives=(), loc=definition.loc)
        return variable


def _definitions_of(fragment: FragmentDefinitionNode) -> list[ArgumentNode]:
    """The arguments that Relay's `@argumentDefinitions` gives a fragment, each with an object that says its type."""
    return [
        argument
        for directive in fragment.directives or ()
        if directive.name.value == "argumentDefinitions"
        for argument in directive.arguments or ()
        if isinstance(argument.value, ObjectValueNode)
    ]


def _in_object(definition: ArgumentNode, name: str) -> Any:
    assert isinstance(definition.value, ObjectValueNode)
    return next((each.value for each in definition.value.fields if each.name.value == name), None)


def _type_of(definition: ArgumentNode) -> str:
    return getattr(_in_object(definition, "type"), "value", "")


def _is_local(node: SelectionNode | OperationDefinitionNode | FragmentDefinitionNode) -> bool:
    if isinstance(node, FieldNode) and node.name.value == "__id":  # Relay's own id of a record in its store.
        return True
    return any(each.name.value in _LOCAL for each in node.directives or ())


def variables_in(nodes: Iterable[Node]) -> set[str]:
    """The variables that are used in these; a definition is no use."""
    found: set[str] = set()

    class Uses(Visitor):
        def enter_variable_definition(self, *_: Any) -> VisitorAction:
            return SKIP

        def enter_variable(self, node: VariableNode, *_: Any) -> None:
            found.add(node.name.value)

    for node in nodes:
        visit(node, Uses())
    return found

"""What a client sends for an operation: fragments joined, and the client's own directives applied and removed.

Apollo, urql and gql.tada remove their own directives, and fields that they resolve themselves. Relay's compiler also gives
fragments arguments, by writing one fragment for each set of them. The server executes the result, so checks and costs are
of that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from graphql import (
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
    NullValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionNode,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    parse_type,
    print_ast,
)

from gateway.contract.operations.references import fragments_in, variables_in
from gateway.contract.operations.relay import FragmentArgument, fragment_arguments

__all__ = ["CompiledDefinition", "compile_definition"]

_LOCAL = frozenset({"client", "rest", "updatable"})
"""Directives of what the client resolves itself, or only writes to: https://www.apollographql.com/docs/react/local-state,
https://relay.dev/docs/api-reference/graphql-and-directives."""

_FOR_CLIENTS = re.compile(
    "connection|export|live|mask|nonreactive|type|unmask"  # Apollo Client and its links
    "|_optional|_relayPagination|_required|_simplePagination|_unmask|optional|populate"  # urql, gql.tada
    "|alias|appendEdge|appendNode|argumentDefinitions|arguments|assignable|catch|deleteEdge|deleteRecord|fetchable|inline"
    "|match|module|no_inline|preloadable|prependEdge|prependNode|raw_response_type|refetchable|relay|relay_test_operation"
    "|required|semanticNonNull|stream_connection|throwOnFieldError|waterfall"  # Relay
)
"""Directives that clients remove before they send an operation."""

_Scope = Mapping[str, ValueNode | None]
"""The values of a fragment's own arguments, by name; None where no value was passed."""


@dataclass(frozen=True, slots=True)
class CompiledDefinition:
    """What a client sends for an operation, or for a fragment alone."""

    document: DocumentNode | None
    """None when the client resolves everything itself."""
    missing: tuple[FragmentSpreadNode, ...]
    """Spreads of fragments that are not defined; the document does not have them."""


def compile_definition(
    definition: OperationDefinitionNode | FragmentDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> CompiledDefinition:
    """Compile an operation with those of the client's `fragments` that it needs, or a fragment with its default arguments.

    Raises GraphQLError for fragments with arguments that spread themselves without end.
    """
    compiler = _Compiler(fragments)
    try:
        if isinstance(definition, FragmentDefinitionNode):
            compiler.fragment(definition, (), {})
            parts: tuple[ExecutableDefinitionNode, ...] = tuple(compiler.fragments)
        else:
            operation = _compiled_operation(definition, compiler)
            parts = (operation, *compiler.fragments) if operation is not None else ()
    except RecursionError:
        raise GraphQLError("The fragments it spreads are nested too deeply.", definition) from None
    return CompiledDefinition(DocumentNode(definitions=parts) if parts else None, tuple(compiler.missing))


def _compiled_operation(operation: OperationDefinitionNode, compiler: _Compiler) -> OperationDefinitionNode | None:
    selections = compiler.selections(operation.selection_set.selections, {}) if not _is_local(operation) else ()
    if not selections:
        return None
    compiled = replace(
        operation,
        directives=compiler.directives(operation.directives, {}),
        selection_set=replace(operation.selection_set, selections=selections),
    )
    needed = [compiler.defined[name] for name in fragments_in(operation, compiler.defined)]
    used_before, used = variables_in([operation, *needed]), variables_in([compiled, *compiler.fragments])
    # A variable that only removed parts use is removed too; one that nothing used remains, for validation to report.
    kept = [
        each
        for each in operation.variable_definitions or ()
        if each.variable.name.value in used or each.variable.name.value not in used_before
    ]
    kept += [definition for name, definition in compiler.provided.items() if name in used]
    return replace(compiled, variable_definitions=tuple(kept))


@dataclass(slots=True)
class _Compiler:
    """Compiles the parts of one document, and collects the fragments that it needs."""

    defined: Mapping[str, FragmentDefinitionNode]
    """The client's fragments, by name."""
    fragments: list[FragmentDefinitionNode] = field(default_factory=list)
    """Those of the compiled document."""
    missing: list[FragmentSpreadNode] = field(default_factory=list)
    provided: dict[str, VariableDefinitionNode] = field(default_factory=dict)
    """Definitions of the variables whose values Relay provides."""

    _names: dict[tuple[str, ...], str | None] = field(default_factory=dict)
    """A fragment's compiled name, by its own name and arguments; None if it becomes empty."""

    def selections(self, selections: Iterable[SelectionNode], scope: _Scope) -> tuple[SelectionNode, ...]:
        """Return the selections that the client sends."""
        compiled = (self._selection(each, scope) for each in selections if not _is_local(each))
        return tuple(each for each in compiled if each is not None)

    def directives(self, directives: Iterable[DirectiveNode] | None, scope: _Scope) -> tuple[DirectiveNode, ...]:
        """Return the directives that are for the server."""
        return tuple(
            replace(each, arguments=self._arguments(each.arguments, scope))
            for each in directives or ()
            if not _FOR_CLIENTS.fullmatch(each.name.value)
        )

    def fragment(self, fragment: FragmentDefinitionNode, given: Iterable[ArgumentNode], scope: _Scope) -> str | None:
        """Compile a fragment with these arguments, once; return its compiled name, or None if it becomes empty."""
        passed = {each.name.value: self._value(each.value, scope) for each in given}
        values: dict[str, ValueNode | None] = {}
        for each in fragment_arguments(fragment):
            if each.is_provided:
                values[each.name] = self._provided_variable(f"{fragment.name.value}_{each.name}", each)
            else:
                values[each.name] = passed.get(each.name) or each.default
        original = fragment.name.value
        key = (original, *(f"{name}={print_ast(value) if value else ''}" for name, value in sorted(values.items())))
        if key in self._names:
            return self._names[key]
        count = sum(known[0] == original for known in self._names)
        # Named before its selections are compiled, since it may spread itself.
        name = self._names[key] = f"{original}__{count + 1}" if count else original
        position = len(self.fragments)
        selections = self.selections(fragment.selection_set.selections, values) if not _is_local(fragment) else ()
        if not selections:
            self._names[key] = None
            return None
        compiled = replace(
            fragment,
            name=replace(fragment.name, value=name),
            directives=self.directives(fragment.directives, values),
            selection_set=replace(fragment.selection_set, selections=selections),
        )
        self.fragments.insert(position, compiled)
        return name

    def _selection(self, selection: SelectionNode, scope: _Scope) -> SelectionNode | None:
        if isinstance(selection, FragmentSpreadNode):
            return self._spread(selection, scope)
        assert isinstance(selection, FieldNode | InlineFragmentNode)
        changed: dict[str, Any] = {"directives": self.directives(selection.directives, scope)}
        if isinstance(selection, FieldNode):
            changed["arguments"] = self._arguments(selection.arguments, scope)
        if selection.selection_set is not None:
            children = self.selections(selection.selection_set.selections, scope)
            if not children:
                return None
            changed["selection_set"] = replace(selection.selection_set, selections=children)
        return replace(selection, **changed)

    def _spread(self, spread: FragmentSpreadNode, scope: _Scope) -> FragmentSpreadNode | None:
        fragment = self.defined.get(spread.name.value)
        if fragment is None:
            self.missing.append(spread)
            return None
        given = [
            argument
            for directive in spread.directives or ()
            if directive.name.value == "arguments"
            for argument in directive.arguments or ()
        ]
        name = self.fragment(fragment, given, scope)
        if name is None:
            return None
        return replace(
            spread, name=replace(spread.name, value=name), directives=self.directives(spread.directives, scope)
        )

    def _arguments(self, arguments: Iterable[ArgumentNode] | None, scope: _Scope) -> tuple[Any, ...]:
        values = ((each, self._value(each.value, scope)) for each in arguments or ())
        return tuple(replace(each, value=value) for each, value in values if value is not None)

    def _value(self, value: ValueNode, scope: _Scope) -> ValueNode | None:
        """Replace a fragment's own arguments in a value; None for an argument without a value."""
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

    def _provided_variable(self, name: str, argument: FragmentArgument) -> VariableNode:
        variable = VariableNode(name=NameNode(value=name, loc=argument.loc), loc=argument.loc)
        try:
            type_ = parse_type(argument.type, no_location=True)
        except GraphQLError:
            type_ = NamedTypeNode(name=NameNode(value=argument.type))  # Validation refuses it.
        self.provided[name] = VariableDefinitionNode(variable=variable, type=type_, directives=(), loc=argument.loc)
        return variable


def _is_local(node: SelectionNode | OperationDefinitionNode | FragmentDefinitionNode) -> bool:
    if isinstance(node, FieldNode) and node.name.value == "__id":  # Relay's id of a record in its store.
        return True
    return any(each.name.value in _LOCAL for each in node.directives or ())

"""What a client sends for an operation: fragments joined, and the client's own directives applied and removed.

Apollo, urql and gql.tada remove their own directives, and fields that they resolve themselves. Relay's compiler also gives
fragments arguments, by writing one fragment for each set of them, evaluates the conditions that these decide, and makes the
labels of `@defer` unique. A field whose selections are all removed is still sent, with the `__typename` that Apollo adds or the
`id` that Relay's compiler adds. The server executes the result, so the result is checked and costed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from graphql import (
    ArgumentNode,
    BooleanValueNode,
    DirectiveNode,
    DocumentNode,
    ExecutableDefinitionNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    ListValueNode,
    NamedTypeNode,
    NameNode,
    NullValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionNode,
    StringValueNode,
    TypeNode,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    get_named_type,
    is_abstract_type,
    is_composite_type,
    parse_type,
    print_ast,
)

from gateway.contract.operations.references import fragments_in, variable_types, variables_in
from gateway.contract.operations.relay import FragmentArgument, fragment_arguments, is_unmasked, labelled_defer

__all__ = ["CompiledDefinition", "compile_definition", "define_variables"]

_LOCAL = frozenset({"client", "rest", "updatable"})
"""Directives of what the client resolves itself, or only writes to: https://www.apollographql.com/docs/react/local-state,
https://relay.dev/docs/api-reference/graphql-and-directives."""

_FOR_CLIENTS = re.compile(
    "connection|export|live|mask|nonreactive|type|unmask"  # Apollo Client and its links
    "|_optional|_relayPagination|_required|_simplePagination|_unmask|optional|populate"  # urql, gql.tada
    "|DEPRECATED__relay_ignore_unused_variables_error|__clientField|__debug|alias|appendEdge|appendNode|argumentDefinitions"
    "|arguments|assignable|catch|dangerously_unaliased_fixme|deleteEdge|deleteRecord|exec_time_resolvers|fetchable|inline"
    "|live_query|match|module|no_inline|preloadable|prependEdge|prependNode|raw_response_type|refetchable|relay"
    "|relay_test_operation|required|semanticNonNull|throwOnFieldError|waterfall"  # Relay
)
"""Directives that clients remove before they send an operation."""

_CONDITIONS = {"include": False, "skip": True}
"""The directives that leave a selection out, and the value of their argument with which they do."""


@dataclass(frozen=True, slots=True)
class _Scope:
    """The definition whose selections are compiled."""

    owner: str
    """Its name in the client's source; empty for an anonymous operation."""
    values: Mapping[str, ValueNode | None]
    """The values of a fragment's own arguments, by name; None where no value was passed."""


@dataclass(frozen=True, slots=True)
class CompiledDefinition:
    """What a client sends for an operation, or for a fragment alone."""

    document: DocumentNode | None
    """None when the client resolves everything itself."""
    missing: tuple[FragmentSpreadNode, ...]
    """Spreads of fragments that are not defined; the document does not have them."""
    errors: tuple[GraphQLError, ...]
    """Arguments that a fragment does not define, or requires and does not get."""


def compile_definition(
    definition: OperationDefinitionNode | FragmentDefinitionNode,
    fragments: Mapping[str, FragmentDefinitionNode],
    schema: GraphQLSchema,
    *,
    is_relay: bool = False,
) -> CompiledDefinition:
    """Compile an operation with those of the client's `fragments` that it needs, or a fragment alone.

    With `is_relay`, labels of `@defer`, constant conditions, the text of strings and fields without remaining selections are as
    Relay's compiler prints them for the `schema`. In a fragment alone, a required argument is a variable. Raises GraphQLError
    for fragments with arguments that spread themselves without end.
    """
    compiler = _Compiler(fragments, schema, is_relay)
    try:
        if isinstance(definition, FragmentDefinitionNode):
            required = [each.name for each in fragment_arguments(definition) if each.is_required]
            itself = [
                ArgumentNode(name=NameNode(value=name), value=VariableNode(name=NameNode(value=name)))
                for name in required
            ]
            compiler.fragment(definition, itself, _Scope("", {}))
            parts: tuple[ExecutableDefinitionNode, ...] = tuple(compiler.fragments)
        else:
            operation = _compiled_operation(definition, compiler)
            parts = (operation, *compiler.fragments) if operation is not None else ()
    except RecursionError:
        raise GraphQLError("The fragments it spreads are nested too deeply.", definition) from None
    document = DocumentNode(definitions=parts) if parts else None
    return CompiledDefinition(document, tuple(compiler.missing), tuple(compiler.errors))


def define_variables(
    query: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode], schema: GraphQLSchema
) -> OperationDefinitionNode:
    """Define the variables that a query's fragments use and it does not define, as Relay's compiler does for refetch queries.

    Their types are those of the uses, the strictest of several. Raises GraphQLError as `compile_definition` does.
    """
    compiler = _Compiler(fragments, schema, is_relay=True)
    try:
        compiled = _compiled_operation(query, compiler)
    except RecursionError:
        raise GraphQLError("The fragments it spreads are nested too deeply.", query) from None
    if compiled is None:
        return query
    defined = {each.variable.name.value for each in compiled.variable_definitions or ()}
    types = variable_types(DocumentNode(definitions=(compiled, *compiler.fragments)), schema)
    added = []
    for name in sorted(types.keys() - defined):
        uses = [*compiler.passed.get(name, ()), *types[name]]
        type_ = max(uses, key=lambda each: each.endswith("!"), default="String")  # Validation refuses an unknown use.
        variable = VariableNode(name=NameNode(value=name, loc=query.loc), loc=query.loc)
        added.append(VariableDefinitionNode(variable=variable, type=_type(type_), directives=(), loc=query.loc))
    return replace(query, variable_definitions=(*(query.variable_definitions or ()), *added))


def _compiled_operation(operation: OperationDefinitionNode, compiler: _Compiler) -> OperationDefinitionNode | None:
    scope = _Scope(operation.name.value if operation.name is not None else "", {})
    root = compiler.schema.get_root_type(operation.operation)
    nodes = operation.selection_set.selections if not _is_local(operation) else ()
    selections = compiler.selections(nodes, scope, root)
    if not selections:
        return None
    compiled = replace(
        operation,
        directives=compiler.directives(operation.directives, scope),
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
    schema: GraphQLSchema
    is_relay: bool
    fragments: list[FragmentDefinitionNode] = field(default_factory=list)
    """Those of the compiled document."""
    missing: list[FragmentSpreadNode] = field(default_factory=list)
    errors: list[GraphQLError] = field(default_factory=list)
    provided: dict[str, VariableDefinitionNode] = field(default_factory=dict)
    """Definitions of the variables whose values Relay provides."""
    passed: dict[str, list[str]] = field(default_factory=dict)
    """The types of the fragment arguments for which an operation's variable is passed, by its name."""

    _names: dict[tuple[str, ...], str | None] = field(default_factory=dict)
    """A fragment's compiled name, by its own name and arguments; None when no selection remains."""

    def selections(
        self, selections: Iterable[SelectionNode], scope: _Scope, parent: GraphQLNamedType | None
    ) -> tuple[SelectionNode, ...]:
        """Return the selections that the client sends; `parent` is their type, None for one that validation refuses."""
        compiled = (self._selection(each, scope, parent) for each in selections if not _is_local(each))
        return tuple(each for each in compiled if each is not None)

    def directives(
        self, directives: Iterable[DirectiveNode] | None, scope: _Scope, spread: str = ""
    ) -> tuple[DirectiveNode, ...]:
        """Return the directives that are for the server; `spread` is the name of the fragment that they are on a spread of."""
        compiled = (
            replace(each, arguments=self._arguments(each.arguments, scope))
            for each in directives or ()
            if not _FOR_CLIENTS.fullmatch(each.name.value) and not self._is_settled(each, scope)
        )
        return tuple(
            labelled_defer(each, scope.owner, spread)
            if self.is_relay and spread and each.name.value == "defer"
            else each
            for each in compiled
        )

    def fragment(self, fragment: FragmentDefinitionNode, given: Iterable[ArgumentNode], scope: _Scope) -> str | None:
        """Compile a fragment with these arguments, once; return its compiled name, or None when no selection remains."""
        passed = {each.name.value: self._value(each.value, scope) for each in given}
        values: dict[str, ValueNode | None] = {}
        for each in fragment_arguments(fragment):
            if each.provided_variable is not None:
                values[each.name] = self._provided_variable(each.provided_variable, each)
                continue
            value = _unless_null(passed.get(each.name))
            values[each.name] = value or _unless_null(each.default)
            if isinstance(value, VariableNode):
                self.passed.setdefault(value.name.value, []).append(each.type)
        original = fragment.name.value
        key = (original, *(f"{name}={print_ast(value) if value else ''}" for name, value in sorted(values.items())))
        if key in self._names:
            return self._names[key]
        count = sum(known[0] == original for known in self._names)
        # Named before its selections are compiled, since it may spread itself.
        name = self._names[key] = f"{original}__{count + 1}" if count else original
        position = len(self.fragments)
        inner = _Scope(original, values)
        type_ = self.schema.get_type(fragment.type_condition.name.value)
        selections = self.selections(fragment.selection_set.selections, inner, type_) if not _is_local(fragment) else ()
        if not selections:
            self._names[key] = None
            return None
        compiled = replace(
            fragment,
            name=replace(fragment.name, value=name),
            directives=self.directives(fragment.directives, inner),
            selection_set=replace(fragment.selection_set, selections=selections),
        )
        self.fragments.insert(position, compiled)
        return name

    def _selection(
        self, selection: SelectionNode, scope: _Scope, parent: GraphQLNamedType | None
    ) -> SelectionNode | None:
        if self._is_left_out(selection, scope):
            return None
        if isinstance(selection, FragmentSpreadNode):
            return self._spread(selection, scope, parent)
        assert isinstance(selection, FieldNode | InlineFragmentNode)
        changed: dict[str, Any] = {"directives": self.directives(selection.directives, scope)}
        if isinstance(selection, FieldNode):
            changed["arguments"] = self._arguments(selection.arguments, scope)
        if selection.selection_set is not None:
            type_ = self._type_of(selection, parent)
            children = self.selections(selection.selection_set.selections, scope, type_)
            if not children and isinstance(selection, FieldNode):
                children = self._added(selection, type_)
            if not children:
                return None
            changed["selection_set"] = replace(selection.selection_set, selections=children)
        return replace(selection, **changed)

    def _type_of(
        self, selection: FieldNode | InlineFragmentNode, parent: GraphQLNamedType | None
    ) -> GraphQLNamedType | None:
        """Return the type of the selections in a selection."""
        if isinstance(selection, InlineFragmentNode):
            condition = selection.type_condition
            return self.schema.get_type(condition.name.value) if condition is not None else parent
        field = self.schema.get_field(parent, selection.name.value) if is_composite_type(parent) else None
        return get_named_type(field.type) if field is not None else None

    def _added(self, field: FieldNode, type_: GraphQLNamedType | None) -> tuple[SelectionNode, ...]:
        """Return what clients add to a field of this type, whose own selections are all removed."""
        name: str | None = "__typename"
        if self.is_relay and isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            name = "id" if "id" in type_.fields else "__typename" if is_abstract_type(type_) else None
        return (FieldNode(name=NameNode(value=name), loc=field.loc),) if name is not None else ()

    def _spread(
        self, spread: FragmentSpreadNode, scope: _Scope, parent: GraphQLNamedType | None
    ) -> SelectionNode | None:
        fragment = self.defined.get(spread.name.value)
        if fragment is None:
            self.missing.append(spread)
            return None
        if self.is_relay and is_unmasked(spread):
            inlined = InlineFragmentNode(
                type_condition=fragment.type_condition,
                directives=spread.directives,
                selection_set=fragment.selection_set,
                loc=spread.loc,
            )
            return self._selection(inlined, scope, parent)
        given = [
            argument
            for directive in spread.directives or ()
            if directive.name.value == "arguments"
            for argument in directive.arguments or ()
        ]
        self._check_arguments(spread, fragment, given)
        name = self.fragment(fragment, given, scope)
        if name is None:
            return None
        directives = self.directives(spread.directives, scope, spread.name.value)
        return replace(spread, name=replace(spread.name, value=name), directives=directives)

    def _check_arguments(
        self, spread: FragmentSpreadNode, fragment: FragmentDefinitionNode, given: list[ArgumentNode]
    ) -> None:
        name, declared = fragment.name.value, {each.name: each for each in fragment_arguments(fragment)}
        self.errors += [
            GraphQLError(f"Unknown argument '{each.name.value}' on fragment '{name}'.", each)
            for each in given
            if each.name.value not in declared
        ]
        values = {each.name.value: each.value for each in given}
        self.errors += [
            GraphQLError(
                f"Argument '{each.name}' of type '{each.type}' on fragment '{name}' is required, but not provided.",
                spread,
            )
            for each in declared.values()
            if each.is_required and isinstance(values.get(each.name), NullValueNode | None)
        ]

    def _condition(self, directive: DirectiveNode, scope: _Scope) -> ValueNode | None:
        """Return the value of a directive's `if` that a fragment's own argument decides; None if none does."""
        condition = next((each.value for each in directive.arguments or () if each.name.value == "if"), None)
        is_own = isinstance(condition, VariableNode) and condition.name.value in scope.values
        return self._value(condition, scope) if condition is not None and (is_own or self.is_relay) else None

    def _is_left_out(self, selection: SelectionNode, scope: _Scope) -> bool:
        conditions = (
            (self._condition(each, scope), _CONDITIONS[each.name.value])
            for each in selection.directives or ()
            if each.name.value in _CONDITIONS
        )
        return any(isinstance(value, BooleanValueNode) and value.value is left_out for value, left_out in conditions)

    def _is_settled(self, directive: DirectiveNode, scope: _Scope) -> bool:
        """Whether a condition is constant, and so makes the directive superfluous."""
        name = directive.name.value
        value = self._condition(directive, scope) if name in {*_CONDITIONS, "defer"} else None
        return isinstance(value, BooleanValueNode) and (name != "defer" or not value.value)

    def _arguments(self, arguments: Iterable[ArgumentNode] | None, scope: _Scope) -> tuple[Any, ...]:
        values = ((each, self._value(each.value, scope)) for each in arguments or ())
        sent = ((each, _unless_null(value) if self.is_relay else value) for each, value in values)
        return tuple(replace(each, value=value) for each, value in sent if value is not None)

    def _value(self, value: ValueNode, scope: _Scope) -> ValueNode | None:
        """Replace a fragment's own arguments in a value; None, and no item or field, for an argument without a value."""
        if isinstance(value, VariableNode):
            return scope.values.get(value.name.value, value)
        if isinstance(value, ListValueNode):
            inner_values = (self._value(each, scope) for each in value.values)
            return replace(value, values=tuple(each for each in inner_values if each is not None))
        if isinstance(value, ObjectValueNode):
            fields = ((each, self._value(each.value, scope)) for each in value.fields)
            return replace(
                value, fields=tuple(replace(each, value=inner) for each, inner in fields if inner is not None)
            )
        if isinstance(value, StringValueNode) and self.is_relay:
            return replace(value, block=False)
        return value

    def _provided_variable(self, name: str, argument: FragmentArgument) -> VariableNode:
        variable = VariableNode(name=NameNode(value=name, loc=argument.loc), loc=argument.loc)
        self.provided[name] = VariableDefinitionNode(
            variable=variable, type=_type(argument.type), directives=(), loc=argument.loc
        )
        return variable


def _unless_null(value: ValueNode | None) -> ValueNode | None:
    """Return the value of an argument; Relay's compiler takes a literal null for no value, and omits the argument."""
    return None if isinstance(value, NullValueNode) else value


def _type(text: str) -> TypeNode:
    try:
        return parse_type(text, no_location=True)
    except GraphQLError:
        return NamedTypeNode(name=NameNode(value=text))  # Validation refuses it.


def _is_local(node: SelectionNode | OperationDefinitionNode | FragmentDefinitionNode) -> bool:
    if isinstance(node, FieldNode) and node.name.value == "__id":  # Relay's id of a record in its store.
        return True
    return any(each.name.value in _LOCAL for each in node.directives or ())

"""Relay's own directives: arguments of fragments, refetch queries, and labels of `@defer`.

https://relay.dev/docs/api-reference/graphql-and-directives
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from graphql import (
    ArgumentNode,
    BooleanValueNode,
    DirectiveNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    ListValueNode,
    Location,
    NameNode,
    ObjectValueNode,
    OperationDefinitionNode,
    StringValueNode,
    ValueNode,
    parse,
    print_ast,
)

__all__ = ["FragmentArgument", "fragment_arguments", "is_unmasked", "labelled_defer", "refetch_query"]


@dataclass(frozen=True, slots=True)
class FragmentArgument:
    """An argument of a fragment, as `@argumentDefinitions` declares it."""

    name: str
    type: str
    """In GraphQL, such as `Int!`; empty where the declaration has none, for validation to refuse."""
    default: ValueNode | None
    provider: str | None
    """The module that provides the value, as https://relay.dev/docs/api-reference/graphql-and-directives/#provided-variables."""
    loc: Location | None

    @property
    def is_required(self) -> bool:
        """Whether a spread must pass a value."""
        return self.type.endswith("!") and self.default is None and self.provider is None

    @property
    def provided_variable(self) -> str | None:
        """The name of the operation's variable whose value the provider returns; None without a provider."""
        return None if self.provider is None else "__relay_internal__pv__" + re.sub(r"\W", "", self.provider)


def fragment_arguments(fragment: FragmentDefinitionNode) -> list[FragmentArgument]:
    """Return the arguments that `@argumentDefinitions` declares for a fragment."""
    return [
        _argument(argument, argument.value)
        for directive in fragment.directives or ()
        if directive.name.value == "argumentDefinitions"
        for argument in directive.arguments or ()
        if isinstance(argument.value, ObjectValueNode)
    ]


def _argument(node: ArgumentNode, declaration: ObjectValueNode) -> FragmentArgument:
    values = {each.name.value: each.value for each in reversed(declaration.fields)}
    provider = values.get("provider")
    return FragmentArgument(
        node.name.value,
        getattr(values.get("type"), "value", ""),
        values.get("defaultValue"),
        getattr(provider, "value", "") if provider is not None else None,
        node.loc,
    )


def refetch_query(fragment: FragmentDefinitionNode, query_type: str = "Query") -> OperationDefinitionNode | None:
    """Return the query that Relay generates for a fragment with `@refetchable`, or None for a fragment without.

    The query declares the fragment's own arguments as variables; the variables that the fragment uses without a definition
    are left to `gateway.contract.operations.compiled`. `query_type` is the name of the root type. The query's location is
    that of the directive. Raises GraphQLError when the arguments of the directives make no query.
    """
    directive = next((each for each in fragment.directives or () if each.name.value == "refetchable"), None)
    if directive is None:
        return None
    values = {each.name.value: each.value for each in directive.arguments or ()}
    name = print_ast(values["queryName"]).strip('"') if "queryName" in values else ""
    arguments = [each for each in fragment_arguments(fragment) if each.provider is None]
    declared = [
        f"${each.name}: {each.type}{f' = {print_ast(each.default)}' if each.default is not None else ''}"
        for each in arguments
    ]
    passed = f" @arguments({' '.join(f'{each.name}: ${each.name}' for each in arguments)})" if arguments else ""
    selection = f"...{fragment.name.value}{passed}"
    match fragment.type_condition.name.value:
        case type_name if type_name == query_type:
            pass
        case "Viewer":
            selection = f"viewer {{ {selection} }}"
        case _:
            declared.append("$id: ID!")
            selection = f"node(id: $id) {{ {selection} }}"
    variables = f"({', '.join(declared)})" if declared else ""
    directives = " ".join(_texts(values.get("directives")))
    text = f"query {name}{variables} {directives} {{ {selection} }}"
    query = parse(text, no_location=True).definitions[0]
    assert isinstance(query, OperationDefinitionNode)
    return replace(query, loc=directive.loc)


def labelled_defer(defer: DirectiveNode, owner: str, spread: str) -> DirectiveNode:
    """Return a `@defer` with the label that Relay's compiler gives it."""
    label = next((each.value for each in defer.arguments or () if each.name.value == "label"), None)
    if label is not None and not isinstance(label, StringValueNode):
        return defer  # Validation refuses it.
    text = f"{owner}$defer${label.value if label is not None else spread}"
    others = [each for each in defer.arguments or () if each.name.value != "label"]
    given = ArgumentNode(name=NameNode(value="label"), value=StringValueNode(value=text, block=False), loc=defer.loc)
    return replace(defer, arguments=(given, *others))


def is_unmasked(spread: FragmentSpreadNode) -> bool:
    """Whether Relay's compiler inlines a spread, for `@relay(mask: false)`."""
    return any(
        argument.name.value == "mask" and isinstance(argument.value, BooleanValueNode) and not argument.value.value
        for directive in spread.directives or ()
        if directive.name.value == "relay"
        for argument in directive.arguments or ()
    )


def _texts(value: ValueNode | None) -> list[str]:
    """Return the strings of a list."""
    values = value.values if isinstance(value, ListValueNode) else ()
    return [each.value for each in values if isinstance(each, StringValueNode)]

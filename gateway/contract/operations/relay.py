"""Relay's own directives on fragments: arguments (`@argumentDefinitions`) and refetch queries (`@refetchable`).

https://relay.dev/docs/api-reference/graphql-and-directives
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from graphql import (
    ArgumentNode,
    FragmentDefinitionNode,
    Location,
    ObjectValueNode,
    OperationDefinitionNode,
    ValueNode,
    VariableDefinitionNode,
    parse,
    print_ast,
)

from gateway.contract.operations.references import variables_in

__all__ = ["FragmentArgument", "fragment_arguments", "refetch_query"]


@dataclass(frozen=True, slots=True)
class FragmentArgument:
    """An argument of a fragment, as `@argumentDefinitions` declares it."""

    name: str
    type: str
    """In GraphQL, such as `Int!`; empty where the declaration has none, for validation to refuse."""
    default: ValueNode | None
    is_provided: bool
    """Whether Relay provides its value: https://relay.dev/docs/api-reference/graphql-and-directives/#provided-variables."""
    loc: Location | None


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
    return FragmentArgument(
        node.name.value,
        getattr(values.get("type"), "value", ""),
        values.get("defaultValue"),
        "provider" in values,
        node.loc,
    )


def refetch_query(
    fragment: FragmentDefinitionNode, global_variables: Mapping[str, VariableDefinitionNode]
) -> OperationDefinitionNode | None:
    """Return the query that Relay generates for a fragment with `@refetchable`, or None for a fragment without.

    `global_variables` are the variables of the operations that spread the fragment, by name; the query declares those that
    the fragment uses and does not define. Its location is that of the directive. Raises GraphQLError when the arguments of
    the directives make no query.
    """
    directive = next((each for each in fragment.directives or () if each.name.value == "refetchable"), None)
    if directive is None:
        return None
    query_name = next(
        (print_ast(each.value) for each in directive.arguments or () if each.name.value == "queryName"), ""
    )
    arguments = fragment_arguments(fragment)
    passed = [each for each in arguments if not each.is_provided]
    declared = [
        f"${each.name}: {each.type}{f' = {print_ast(each.default)}' if each.default is not None else ''}"
        for each in passed
    ]
    used = variables_in([fragment]) - {each.name for each in arguments}
    declared += [print_ast(definition) for name, definition in global_variables.items() if name in used]
    given = f" @arguments({' '.join(f'{each.name}: ${each.name}' for each in passed)})" if passed else ""
    selection = f"...{fragment.name.value}{given}"
    if fragment.type_condition.name.value != "Query":
        declared.append("$id: ID!")
        selection = f"node(id: $id) {{ {selection} }}"
    variables = f"({', '.join(declared)})" if declared else ""
    query = parse(f"query {query_name.strip(chr(34))}{variables} {{ {selection} }}", no_location=True).definitions[0]
    assert isinstance(query, OperationDefinitionNode)
    return replace(query, loc=directive.loc)

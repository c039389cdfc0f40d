"""Which fields a selection has, for fields that graphql-core executes."""

from collections.abc import Callable, Iterable
from typing import Any

from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLIncludeDirective,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    GraphQLSkipDirective,
    InlineFragmentNode,
    SelectionNode,
    get_directive_values,
    is_abstract_type,
)

__all__ = ["applies", "selects"]


def selects(info: GraphQLResolveInfo[Any], type_name: str, wanted: Callable[[GraphQLField], bool]) -> bool:
    """Return whether the selection below the field of `info` has a field of the object type `type_name` that is `wanted`.

    Fragments that apply to the type are followed; `@skip` and `@include` are observed.
    """
    of_type = info.schema.type_map[type_name]
    assert isinstance(of_type, GraphQLObjectType)

    def search(selections: Iterable[SelectionNode]) -> bool:
        for selection in selections:
            if not _is_included(info, selection):
                continue
            if isinstance(selection, FieldNode):
                field = of_type.fields.get(selection.name.value)  # None for __typename.
                if field is not None and wanted(field):
                    return True
            elif isinstance(selection, InlineFragmentNode):
                condition = selection.type_condition
                if (condition is None or applies(info.schema, condition.name.value, of_type)) and search(
                    selection.selection_set.selections
                ):
                    return True
            elif isinstance(selection, FragmentSpreadNode):
                fragment = info.fragments[selection.name.value]
                if applies(info.schema, fragment.type_condition.name.value, of_type) and search(
                    fragment.selection_set.selections
                ):
                    return True
        return False

    return any(node.selection_set is not None and search(node.selection_set.selections) for node in info.field_nodes)


def applies(schema: GraphQLSchema, condition: str, of_type: GraphQLObjectType) -> bool:
    """Return whether a fragment on the type named `condition` applies to an object type."""
    named: GraphQLNamedType = schema.type_map[condition]
    return named is of_type or (is_abstract_type(named) and schema.is_sub_type(named, of_type))


def _is_included(info: GraphQLResolveInfo[Any], selection: SelectionNode) -> bool:
    if not selection.directives:
        return True
    skip = get_directive_values(GraphQLSkipDirective, selection, info.variable_values)
    if skip is not None and skip["if"]:
        return False
    include = get_directive_values(GraphQLIncludeDirective, selection, info.variable_values)
    return include is None or bool(include["if"])

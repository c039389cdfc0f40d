"""Sample values for variables without a value: the costliest ones that are valid where each variable is used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    ListTypeNode,
    NonNullTypeNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
    is_composite_type,
    type_from_ast,
)

from gateway.contract.operations.references import variables_in
from gateway.graph.ids import encode_id
from gateway.graph.limits import FIRST_MAX, SCAN_MAX
from gateway.graph.types import RESOURCES
from gateway.twilio.paths import child
from gateway.twilio.resources import Resource

__all__ = ["Sample", "samples_for", "without_samples"]

_SAMPLE_SID = re.compile(r"(?<![0-9A-Za-z])[A-Z]{2}0{28}[0-9a-f]{4}(?![0-9A-Za-z])")

_OWNER_SIDS = re.compile(r"(?<![a-z])([a-z]+)Sids?")
"""Arguments with sids of one kind of record, such as `conversationSids`."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A value for a variable, with a description for people if another value could cost something else."""

    value: Any
    description: str = ""


def samples_for(schema: GraphQLSchema, document: DocumentNode) -> dict[str, list[Sample]]:
    """Return samples for each required variable of a document's operation, by name, that suit the argument it is used for."""
    uses: dict[str, tuple[str, str]] = {}
    for definition in document.definitions:
        assert isinstance(definition, OperationDefinitionNode | FragmentDefinitionNode)
        if isinstance(definition, OperationDefinitionNode):
            root: GraphQLNamedType | None = schema.get_root_type(definition.operation)
        else:
            root = schema.get_type(definition.type_condition.name.value)
        for argument, returned in _arguments(schema, definition.selection_set, root):
            for name in variables_in([argument]):
                uses.setdefault(name, (argument.name.value, returned.name))
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    samples: dict[str, list[Sample]] = {}
    for number, variable in enumerate(operation.variable_definitions or (), 1):
        name, kind = variable.variable.name.value, variable.type
        if name in uses and isinstance(kind, NonNullTypeNode) and variable.default_value is None:
            is_list = isinstance(kind.type, ListTypeNode)
            of_type = type_from_ast(schema, kind)
            samples[name] = [*_candidates(number, get_named_type(of_type), is_list, *uses[name])]
    return samples


def _arguments(
    schema: GraphQLSchema, selection_set: SelectionSetNode, of_type: GraphQLNamedType | None
) -> Iterator[tuple[ArgumentNode, GraphQLNamedType]]:
    """Yield the arguments of fields in a valid selection set, with the type that each field returns, in document order."""
    for selection in selection_set.selections:
        if isinstance(selection, FieldNode):
            field = schema.get_field(of_type, selection.name.value) if is_composite_type(of_type) else None
            returned = get_named_type(field.type) if field is not None else None
            if returned is not None:
                yield from ((argument, returned) for argument in selection.arguments or ())
            if selection.selection_set is not None:
                yield from _arguments(schema, selection.selection_set, returned)
        elif isinstance(selection, InlineFragmentNode):
            condition = selection.type_condition
            inner = schema.get_type(condition.name.value) if condition is not None else of_type
            yield from _arguments(schema, selection.selection_set, inner)


def _candidates(
    number: int, kind: GraphQLNamedType | None, is_list: bool, argument: str, returned: str
) -> Iterator[Sample]:
    """Yield the samples for a variable; its number in the operation makes them differ from those of others."""
    if isinstance(kind, GraphQLEnumType):
        yield Sample(list(kind.values) if is_list else next(iter(kind.values)))
    elif isinstance(kind, GraphQLInputObjectType):
        yield Sample({next(iter(kind.fields)): f"name-{number}"})
    elif kind is not None and kind.name == "URL":
        for resource in RESOURCES.values():
            address = f"https://conversations.twilio.com/v1/{_path(resource, number)}"
            yield Sample(address, f"the address of a {resource.type_name}")
    elif argument in {"id", "ids"}:
        for resource in RESOURCES.values():
            id_ = _id(resource, number)
            yield Sample([id_] if is_list else id_, f"the id of {'one' if is_list else 'a'} {resource.type_name}")
    elif argument == "sid":
        prefix = next((each.prefix for each in RESOURCES.values() if each.type_name == returned), "IS")
        yield Sample(_sid(prefix, number))
    elif match := _OWNER_SIDS.fullmatch(argument):
        prefix = next((each.prefix for each in RESOURCES.values() if each.type_name == match[1].capitalize()), "IS")
        yield Sample([_sid(prefix, number)] if is_list else _sid(prefix, number))
    elif argument == "after":
        yield Sample(None, "null, from now on" if returned.endswith("Event") else "null, the first page")
    elif argument in {"first", "scan"}:
        largest = FIRST_MAX if argument == "first" else SCAN_MAX
        yield Sample(largest, str(largest))
    elif kind is not None and kind.name == "Int":
        yield Sample([number] if is_list else number)
    else:
        yield Sample("2026-01-01T00:00:00Z" if kind is not None and kind.name == "DateTime" else f"name-{number}")


def _id(resource: Resource, number: int) -> str:
    return encode_id(resource, _path(resource, number))


def _path(resource: Resource, number: int) -> str:
    path = ""
    for owner in (*resource.ancestors, resource):
        path = child(path, owner.collection, _sid(owner.prefix, number))
    return path


def _sid(prefix: str, number: int) -> str:
    return f"{prefix}{number:032x}"


def without_samples(path: str) -> str:
    """Replace sample sids in an upstream path with `{sid}`."""
    return _SAMPLE_SID.sub("{sid}", path)

"""What variables are taken to be when nothing says it: the worst that fits where each is used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from graphql import (
    ArgumentNode,
    DocumentNode,
    GraphQLEnumType,
    GraphQLNamedType,
    GraphQLSchema,
    ListTypeNode,
    NonNullTypeNode,
    OperationDefinitionNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    get_named_type,
    type_from_ast,
    visit,
)

from gateway.contract.operations.compiled import variables_in
from gateway.graph.ids import encode_id
from gateway.graph.limits import FIRST_MAX, SCAN_MAX
from gateway.graph.types import RESOURCES
from gateway.twilio.paths import child
from gateway.twilio.resources import Resource

__all__ = ["Sample", "samples_of", "without_samples"]

_MADE_UP_SID = re.compile(r"(?<![0-9A-Za-z])[A-Z]{2}0{28}[0-9a-f]{4}(?![0-9A-Za-z])")


@dataclass(frozen=True, slots=True)
class Sample:
    """A value made up for a variable, and in words, where another would make a difference."""

    value: Any
    words: str = ""


def samples_of(schema: GraphQLSchema, document: DocumentNode) -> dict[str, list[Sample]]:
    """For each variable that must be given what it may be, such as fits the argument it is used for."""
    info = TypeInfo(schema)
    uses: dict[str, tuple[str, str]] = {}

    class Uses(Visitor):
        def enter_argument(self, node: ArgumentNode, *_: Any) -> None:
            returned = info.get_type()
            if info.get_directive() is None and returned is not None:
                for name in variables_in([node]):
                    uses.setdefault(name, (node.name.value, get_named_type(returned).name))

    visit(document, TypeInfoVisitor(info, Uses()))
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    samples: dict[str, list[Sample]] = {}
    for number, definition in enumerate(operation.variable_definitions or (), 1):
        name, kind = definition.variable.name.value, definition.type
        if name in uses and isinstance(kind, NonNullTypeNode) and definition.default_value is None:
            is_list = isinstance(kind.type, ListTypeNode)
            of_type = type_from_ast(schema, kind)
            samples[name] = [*_candidates(number, get_named_type(of_type), is_list, *uses[name])]
    return samples


def _candidates(
    number: int, kind: GraphQLNamedType | None, is_list: bool, argument: str, returned: str
) -> Iterator[Sample]:
    """What a variable may be; its number in the operation keeps it apart from others."""
    if isinstance(kind, GraphQLEnumType):
        yield Sample(list(kind.values) if is_list else next(iter(kind.values)))
    elif argument in {"id", "ids"}:
        for resource in RESOURCES.values():
            made = _id(resource, number)
            yield Sample([made] if is_list else made, f"the id of {'one' if is_list else 'a'} {resource.type_name}")
    elif argument == "sid":
        prefix = next((each.prefix for each in RESOURCES.values() if each.type_name == returned), "IS")
        yield Sample(_sid(prefix, number))
    elif argument == "after":
        yield Sample(None, "null, the first page")
    elif argument in {"first", "scan"}:
        most = FIRST_MAX if argument == "first" else SCAN_MAX
        yield Sample(most, str(most))
    else:
        yield Sample("2026-01-01T00:00:00Z" if kind is not None and kind.name == "DateTime" else f"name-{number}")


def _id(resource: Resource, number: int) -> str:
    path = ""
    for owner in (*resource.ancestors, resource):
        path = child(path, owner.collection, _sid(owner.prefix, number))
    return encode_id(resource, path)


def _sid(prefix: str, number: int) -> str:
    return f"{prefix}{number:032x}"


def without_samples(path: str) -> str:
    """An upstream path, with `{sid}` in place of the sids that were made up."""
    return _MADE_UP_SID.sub("{sid}", path)

"""How types of the graph are declared: a property is one line, from which also the decoder of Twilio's rows is made.

A record is an instance of its type: a path, and its row once that has been read.
"""

import types
from collections.abc import Callable, Iterable, Mapping
from inspect import get_annotations
from itertools import repeat
from operator import attrgetter
from typing import Any, ClassVar, TypeVar, Union, get_args, get_origin

import strawberry
from graphql import GraphQLAbstractType, GraphQLResolveInfo
from typing_extensions import dataclass_transform

from gateway.execution.fields import Mapped, PropertyField
from gateway.graph.ids import encode_id, encode_ids
from gateway.graph.scalars import DateTime, Url, are_utc, in_utc
from gateway.twilio.paths import sids_of
from gateway.twilio.resources import Int32, Resource, Row, row_type

__all__ = ["Entry", "Node", "embedded", "entry", "enum_value", "from_path", "node", "prop", "resource_of", "sid_of"]

C = TypeVar("C", bound=type)

_RESOURCES: dict[str, Resource] = {}
"""The resources of the types that were declared, by their collections."""

_WIRE_TYPES: dict[Any, Any] = {
    strawberry.ID: str,
    str: str,
    int: Int32,
    float: float,
    bool: bool,
    DateTime: str,
    Url: str,
}


def resource_of(collection: str) -> Resource:
    """Return the resource of the type that was declared with that collection; for modules that types are made from."""
    return _RESOURCES[collection]


def prop(
    description: str,
    *,
    derive: Callable[[Any], object] | None = None,
    of: Mapping[str, Any] | None = None,
    mapped: Mapped | None = None,
    non_zero: str | None = None,
    column: Callable[[Any], Iterable[object]] | None = None,
    from_outside: bool = False,
) -> Any:
    """Declare a property that is read from the record's row (see `PropertyField`)."""
    return PropertyField(
        description, derive=derive, of=of, mapped=mapped, non_zero=non_zero, column=column, from_outside=from_outside
    )


def from_path(
    description: str,
    derive: Callable[[Any], object],
    column: Callable[[str, list[Row]], Iterable[object]] | None = None,
) -> Any:
    """Declare a property that is derived from the record itself, so that its row is not read for it.

    `column` returns it for all rows of the list at a path (see `PropertyField`).
    """
    return PropertyField(description, derive=derive, needs_row=False, column=column)


def sid_of(level: int, description: str) -> Any:
    """Declare the sid at a level of the record's path: 0 the service's, 1 the conversation's, …, -1 the record's own."""
    if level == -1:
        return PropertyField(
            description, derive=lambda record: record.path.rpartition("/")[2], needs_row=False, attribute="sid"
        )
    return from_path(
        description, lambda record: sids_of(record.path)[level], lambda list_path, _: repeat(sids_of(list_path)[level])
    )


def enum_value(value: str, description: str) -> Any:
    """Declare a value of an enum: Twilio's value for it, and its description."""
    return strawberry.enum_value(value, description=description)


@strawberry.interface(description="A record with a globally unique id, by which it can be fetched again.")
class Node:
    """A record: its path, and its row once that has been read."""

    resource: ClassVar[Resource]
    path: strawberry.Private[str]
    """Its path below `/v1/`."""
    row: strawberry.Private[Row] = None
    """The record as Twilio returned it; None while only its path is known."""
    listed: strawberry.Private[bool] = False
    """Whether it was reached through a list: its participant is then read with the conversation's participants."""

    id: strawberry.ID = from_path(
        "The globally unique id of this record: pass it to `node`. Opaque and permanent. Selecting it costs no upstream call.",
        lambda record: encode_id(record.resource, record.path),
        lambda list_path, rows: encode_ids(
            _RESOURCES[list_path.rpartition("/")[2]], list_path, [row.sid for row in rows]
        ),
    )

    @staticmethod
    def resolve_type(record: "Node", info: GraphQLResolveInfo[Any], abstract: GraphQLAbstractType) -> str:
        """Return the name of the record's type."""
        return record.resource.type_name


@dataclass_transform(kw_only_default=True)
def node(
    description: str,
    *,
    collection: str,
    prefix: str,
    letter: str,
    rows_key: str,
    page_max: int,
    lifetime: str,
    parent: Any,
    rows_max: int | None = None,
    list_lifetime: str | None = None,
    final_lifetime: str | None = None,
    is_final: Callable[[Row], bool] | None = None,
    sid_property: str = "",
    name_property: str | None = None,
) -> Callable[[C], C]:
    """Make a class of properties and edges a type of node, with all facts about its resource (see `Resource`)."""

    def decorate(cls: C) -> C:
        properties = _bind(cls, on_row=True)
        made: Any = strawberry.type(cls, description=description)
        made.resource = Resource(
            type_name=cls.__name__,
            collection=collection,
            prefix=prefix,
            letter=letter,
            rows_key=rows_key,
            page_max=page_max,
            rows_max=rows_max,
            lifetime=lifetime,
            list_lifetime=list_lifetime or lifetime,
            final_lifetime=final_lifetime,
            is_final=is_final,
            sid_property=sid_property,
            name_property=name_property,
            parent=parent.resource if parent is not None else None,
            properties=_wire_types(properties),
            node=made,
        )
        _RESOURCES[collection] = made.resource
        return made  # type: ignore[no-any-return]

    return decorate


@strawberry.type
class Entry:
    """The source of an object in a list that is no record by itself: it has a row, and no id."""

    path: strawberry.Private[str]
    """The path of the list that it is made from, with what identifies it there."""
    row: strawberry.Private[Any] = None
    """None in an estimate alone."""
    listed: strawberry.Private[bool] = True


@dataclass_transform(kw_only_default=True)
def entry(description: str) -> Callable[[C], C]:
    """Make a class of properties and edges, derived from `Entry`, an object type; its `properties` are those of its rows."""

    def decorate(cls: C) -> C:
        properties = _bind(cls, on_row=True)
        made: Any = strawberry.type(cls, description=description)
        made.properties = _wire_types(properties)
        return made  # type: ignore[no-any-return]

    return decorate


def embedded(description: str) -> Callable[[C], C]:
    """Make a class of properties an object type inside records: its source is the value itself."""

    def decorate(cls: C) -> C:
        properties = _bind(cls, on_row=False)
        made: Any = strawberry.type(cls, description=description)
        made.properties = properties
        return made  # type: ignore[no-any-return]

    return decorate


def _bind(cls: type, *, on_row: bool) -> dict[str, Any]:
    """Bind each property of a class to its value; return the upstream properties that they use, with their types."""
    wanted: dict[str, Any] = {}
    for name, annotation in get_annotations(cls).items():
        field = cls.__dict__.get(name)
        if not isinstance(field, PropertyField) or not field.needs_row:
            continue
        if field.of is not None:
            wanted |= field.of
        elif field.derive is None:
            wanted[name] = annotation
        value: Callable[[Any], object]
        if field.derive is not None:
            value = field.derive
        else:
            field.attribute, field.uses = name, frozenset([name])
            value = attrgetter(name)
            if DateTime in (annotation, *get_args(annotation)):
                value, field.are_plain = _time_of(name), are_utc
        if on_row:
            field.read_row = value
        field.read = _from_row(value) if on_row else value
    return wanted


def _time_of(name: str) -> Callable[[Any], object]:
    given = attrgetter(name)
    return lambda row: in_utc(given(row))


def _from_row(value: Callable[[Any], object]) -> Callable[[Any], object]:
    return lambda record: value(record.row)


def _wire_types(properties: dict[str, Any]) -> dict[str, Any]:
    return {name: _wire_type(annotation) for name, annotation in properties.items()}


def _wire_type(annotation: Any) -> Any:
    """Return the Python type that decodes an upstream property of this GraphQL type."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return Union[tuple(_wire_type(part) for part in arguments)]  # noqa: UP007 - made of values
    if origin is list:
        return list[_wire_type(arguments[0])]  # type: ignore[misc]
    if annotation is type(None):
        return None
    if hasattr(annotation, "properties"):
        return row_type(annotation.__name__, _wire_types(annotation.properties))
    return _WIRE_TYPES.get(annotation, annotation)

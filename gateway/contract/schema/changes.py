"""What differs between two schemas, change by change: how bad it is for clients, and where it is.

Kinds and judgement are those of graphql-core's `find_schema_changes`, and a test holds this file to them. It is not called
here, because it tells a change as a sentence, without the coordinate, and of two changes of one argument shows the first.
What it does not see has kinds of its own: deprecations, root types, `@specifiedBy`, `@oneOf`, `@upstream`, and inputs that
became required by losing their default.
"""

from __future__ import annotations

from collections.abc import Iterator

from graphql import (
    GraphQLDirective,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    get_nullable_type,
    is_introspection_type,
    is_specified_directive,
    is_specified_scalar_type,
)

from gateway.contract.schema.change import (
    Change,
    Criticality,
    breaking,
    compare,
    dangerous,
    deprecation,
    description,
    gives_the_same,
    removal,
    returned,
    safe,
    within,
)
from gateway.contract.schema.field_price import difference, field_price
from gateway.contract.schema.inputs import arguments, input_fields

__all__ = ["find_changes"]

_Composite = GraphQLObjectType | GraphQLInterfaceType


def find_changes(old: GraphQLSchema, new: GraphQLSchema) -> list[Change]:
    """All changes, the worst first, then by coordinate. Of what is removed or new, its parts are not told."""
    ranks = list(Criticality)
    return sorted(
        [*_roots(old, new), *_types(old, new), *_directives(old, new)],
        key=lambda change: (ranks.index(change.criticality), change.coordinate, change.kind, change.message),
    )


def _roots(old: GraphQLSchema, new: GraphQLSchema) -> Iterator[Change]:
    """Changes of the root operation types, but for those that came or went with their type."""
    for name, plural in (("query", "queries"), ("mutation", "mutations"), ("subscription", "subscriptions")):
        before: GraphQLObjectType | None = getattr(old, f"{name}_type")
        after: GraphQLObjectType | None = getattr(new, f"{name}_type")
        if before and after and before.name != after.name:
            says = f"is no longer the root type of {plural}: {after.name} is."
            yield breaking("ROOT_TYPE_CHANGED", before.name, says)
        elif before and not after and before.name in new.type_map:
            yield breaking("ROOT_TYPE_REMOVED", before.name, f"is no longer the root type of {plural}: none is.")
        elif after and not before and after.name in old.type_map:
            yield safe("ROOT_TYPE_ADDED", after.name, f"became the root type of {plural}.")
    if (old.description or "") != (new.description or ""):
        yield safe("SCHEMA_DESCRIPTION_CHANGED", "schema", "has another description.")


def _types(old: GraphQLSchema, new: GraphQLSchema) -> Iterator[Change]:
    before, after = _own_types(old), _own_types(new)
    returned_names = _returned_names(old)
    for name in before.keys() - after.keys():
        yield breaking("TYPE_REMOVED", name, "was removed.")
    for name in after.keys() - before.keys():
        yield safe("TYPE_ADDED", name, "was added.")
    for name in before.keys() & after.keys():
        was, now = before[name], after[name]
        yield from description(name, was, now)
        if _kind(was) != _kind(now):
            yield breaking("TYPE_CHANGED_KIND", name, f"was {_kind(was)} and is {_kind(now)} now.")
            continue
        match was, now:
            case ((GraphQLObjectType() | GraphQLInterfaceType()), (GraphQLObjectType() | GraphQLInterfaceType())):
                yield from _fields(was, now)
                yield from _interfaces(was, now)
            case GraphQLInputObjectType(), GraphQLInputObjectType():
                yield from input_fields(was, now)
            case GraphQLEnumType(), GraphQLEnumType():
                yield from _values(was, now, is_returned=name in returned_names)
            case GraphQLUnionType(), GraphQLUnionType():
                yield from _members(was, now)
            case GraphQLScalarType(), GraphQLScalarType():
                yield from _specified_by(was, now)


def _own_types(schema: GraphQLSchema) -> dict[str, GraphQLNamedType]:
    """The types without those that every schema has, or has where something is of them."""
    return {
        name: type_
        for name, type_ in schema.type_map.items()
        if not is_introspection_type(type_) and not is_specified_scalar_type(type_)
    }


def _returned_names(schema: GraphQLSchema) -> set[str]:
    """The names of the types that some field is of."""
    return {
        get_named_type(field.type).name
        for type_ in schema.type_map.values()
        if isinstance(type_, _Composite) and not is_introspection_type(type_)
        for field in type_.fields.values()
    }


def _kind(type_: GraphQLNamedType) -> str:
    match type_:
        case GraphQLScalarType():
            return "a scalar"
        case GraphQLObjectType():
            return "an object type"
        case GraphQLInterfaceType():
            return "an interface"
        case GraphQLUnionType():
            return "a union"
        case GraphQLEnumType():
            return "an enum"
        case _:
            return "an input object type"


def _fields(old: _Composite, new: _Composite) -> Iterator[Change]:
    removed, added, kept = compare(old.fields, new.fields)
    for name, field in removed.items():
        yield breaking("FIELD_REMOVED", f"{old.name}.{name}", removal(field))
    for name in added:
        yield safe("FIELD_ADDED", f"{old.name}.{name}", "was added.")
    for name, (was, now) in kept.items():
        coordinate = f"{old.name}.{name}"
        yield from arguments(coordinate, was, now)
        if not gives_the_same(was.type, now.type):
            yield breaking("FIELD_CHANGED_KIND", coordinate, f"was {was.type} and is {now.type} now.")
        elif str(was.type) != str(now.type):
            yield safe("FIELD_CHANGED_KIND_SAFE", coordinate, f"was {was.type} and is {now.type} now.")
        yield from _price(coordinate, was, now)
        yield from deprecation(coordinate, was, now)
        yield from description(coordinate, was, now)


def _interfaces(old: _Composite, new: _Composite) -> Iterator[Change]:
    was, now = ({interface.name for interface in type_.interfaces} for type_ in (old, new))
    for name in was - now:
        spreads = within(old.name, name), within(name, old.name)
        yield breaking("IMPLEMENTED_INTERFACE_REMOVED", old.name, f"no longer implements {name}.", *spreads)
    for name in now - was:
        yield dangerous("IMPLEMENTED_INTERFACE_ADDED", old.name, f"implements {name} now.", returned(name))


def _members(old: GraphQLUnionType, new: GraphQLUnionType) -> Iterator[Change]:
    was, now = ({member.name for member in union.types} for union in (old, new))
    for name in was - now:
        says = f"no longer has the member {name}."
        yield breaking("TYPE_REMOVED_FROM_UNION", old.name, says, within(name, old.name))
    for name in now - was:
        yield dangerous("TYPE_ADDED_TO_UNION", old.name, f"has a new member, {name}.", returned(old.name))


def _values(old: GraphQLEnumType, new: GraphQLEnumType, *, is_returned: bool) -> Iterator[Change]:
    removed, added, kept = compare(old.values, new.values)
    for name, value in removed.items():
        coordinate = f"{old.name}.{name}"
        yield breaking("VALUE_REMOVED_FROM_ENUM", coordinate, removal(value), coordinate, returned(old.name))
    for name in added:
        if is_returned:
            says = "was added: clients may not know what to do with it."
            yield dangerous("VALUE_ADDED_TO_ENUM", f"{old.name}.{name}", says, returned(old.name))
        else:
            yield safe("VALUE_ADDED_TO_ENUM", f"{old.name}.{name}", "was added; no field returns it.")
    for name, (was, now) in kept.items():
        yield from deprecation(f"{old.name}.{name}", was, now)
        yield from description(f"{old.name}.{name}", was, now)


def _specified_by(old: GraphQLScalarType, new: GraphQLScalarType) -> Iterator[Change]:
    """The URL is not to change once it is there: https://spec.graphql.org/draft/#sec-Scalars.Custom-Scalars."""
    was, now = old.specified_by_url, new.specified_by_url
    if was is None and now is not None:
        yield safe("SPECIFIED_BY_ADDED", old.name, f"is specified by {now} now.")
    elif was is not None and now is None:
        yield dangerous("SPECIFIED_BY_REMOVED", old.name, f"is no longer specified by {was}.")
    elif was != now:
        yield dangerous("SPECIFIED_BY_CHANGED", old.name, f"is specified by {now} now; it was by {was}.")


def _directives(old: GraphQLSchema, new: GraphQLSchema) -> Iterator[Change]:
    removed, added, kept = compare(_own_directives(old), _own_directives(new))
    for name in removed:
        yield breaking("DIRECTIVE_REMOVED", f"@{name}", "was removed.")
    for name in added:
        yield safe("DIRECTIVE_ADDED", f"@{name}", "was added.")
    for name, (was, now) in kept.items():
        coordinate = f"@{name}"
        yield from arguments(coordinate, was, now)
        if was.is_repeatable and not now.is_repeatable:
            yield breaking("DIRECTIVE_REPEATABLE_REMOVED", coordinate, "may no longer be repeated.")
        elif now.is_repeatable and not was.is_repeatable:
            yield safe("DIRECTIVE_REPEATABLE_ADDED", coordinate, "may be repeated now.")
        places, places_now = ({place.name for place in directive.locations} for directive in (was, now))
        for place in places - places_now:
            yield breaking("DIRECTIVE_LOCATION_REMOVED", coordinate, f"may no longer stand on {place}.")
        for place in places_now - places:
            yield safe("DIRECTIVE_LOCATION_ADDED", coordinate, f"may stand on {place} now.")
        yield from deprecation(coordinate, was, now)
        yield from description(coordinate, was, now)


def _own_directives(schema: GraphQLSchema) -> dict[str, GraphQLDirective]:
    """The directives without those of the specification, which a schema's text need not have."""
    return {each.name: each for each in schema.directives if not is_specified_directive(each)}


def _price(coordinate: str, old: GraphQLField, new: GraphQLField) -> Iterator[Change]:
    is_list = isinstance(get_nullable_type(old.type), GraphQLList)
    was, now = field_price(old.ast_node), field_price(new.ast_node)
    says = f"{now or 'it is free'}; it was {was or 'free'}."
    match difference(was, now, is_list=is_list):
        case "dearer":
            yield dangerous("UPSTREAM_DEARER", coordinate, f"got dearer: {says}")
        case "cheaper":
            yield safe("UPSTREAM_CHEAPER", coordinate, f"got cheaper: {says}")
        case "reworded":
            yield safe("UPSTREAM_REWORDED", coordinate, f"costs the same, said otherwise: {says}")

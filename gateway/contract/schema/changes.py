"""The changes between two schemas, each with its coordinate and its criticality.

Kinds and criticalities are those of graphql-core's `find_schema_changes`, and a test compares the two. That function is not
used here, since it returns sentences without coordinates, and only the first of several changes to one argument. Changes that
it ignores have other kinds: deprecations, root types, `@specifiedBy`, `@oneOf`, `@upstream`, new implementations of interfaces,
and inputs that become required by losing their default.
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
    deprecation_changes,
    description_changes,
    is_output_compatible,
    removal_text,
    returned,
    safe,
    within,
)
from gateway.contract.schema.field_price import compare_prices, field_price
from gateway.contract.schema.inputs import argument_changes, input_field_changes

__all__ = ["find_changes"]

_Composite = GraphQLObjectType | GraphQLInterfaceType


def find_changes(old: GraphQLSchema, new: GraphQLSchema) -> list[Change]:
    """Return all changes, the most critical first, then by coordinate; the members of a new or removed type are not listed."""
    ranks = list(Criticality)
    return sorted(
        [*_roots(old, new), *_types(old, new), *_directives(old, new)],
        key=lambda change: (ranks.index(change.criticality), change.coordinate, change.kind, change.message),
    )


def _roots(old: GraphQLSchema, new: GraphQLSchema) -> Iterator[Change]:
    """Compare root operation types, except those whose type itself was added or removed."""
    for name, plural in (("query", "queries"), ("mutation", "mutations"), ("subscription", "subscriptions")):
        before: GraphQLObjectType | None = getattr(old, f"{name}_type")
        after: GraphQLObjectType | None = getattr(new, f"{name}_type")
        if before and after and before.name != after.name:
            text = f"is no longer the root type of {plural}: {after.name} is."
            yield breaking("ROOT_TYPE_CHANGED", before.name, text)
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
        yield from _implementations(after[name], returned_names)
    for name in before.keys() & after.keys():
        was, now = before[name], after[name]
        yield from description_changes(name, was, now)
        if _kind(was) != _kind(now):
            yield breaking("TYPE_CHANGED_KIND", name, f"was {_kind(was)} and is {_kind(now)} now.")
            continue
        match was, now:
            case ((GraphQLObjectType() | GraphQLInterfaceType()), (GraphQLObjectType() | GraphQLInterfaceType())):
                yield from _fields(was, now)
                yield from _interfaces(was, now)
            case GraphQLInputObjectType(), GraphQLInputObjectType():
                yield from input_field_changes(was, now)
            case GraphQLEnumType(), GraphQLEnumType():
                yield from _values(was, now, is_returned=name in returned_names)
            case GraphQLUnionType(), GraphQLUnionType():
                yield from _members(was, now)
            case GraphQLScalarType(), GraphQLScalarType():
                yield from _specified_by(was, now)


def _own_types(schema: GraphQLSchema) -> dict[str, GraphQLNamedType]:
    """Return the types that the schema itself defines: no introspection types, no built-in scalars."""
    return {
        name: type_
        for name, type_ in schema.type_map.items()
        if not is_introspection_type(type_) and not is_specified_scalar_type(type_)
    }


def _returned_names(schema: GraphQLSchema) -> set[str]:
    """Return the names of the types that fields return."""
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


def _implementations(added: GraphQLNamedType, returned_names: set[str]) -> Iterator[Change]:
    """Report an added object type to clients of the interfaces that fields return, where it is a new possible type."""
    for interface in added.interfaces if isinstance(added, GraphQLObjectType) else ():
        if interface.name in returned_names:
            text = f"has a new implementation, {added.name}."
            yield dangerous("IMPLEMENTATION_ADDED", interface.name, text, returned(interface.name))


def _fields(old: _Composite, new: _Composite) -> Iterator[Change]:
    removed, added, kept = compare(old.fields, new.fields)
    for name, field in removed.items():
        yield breaking("FIELD_REMOVED", f"{old.name}.{name}", removal_text(field))
    for name in added:
        yield safe("FIELD_ADDED", f"{old.name}.{name}", "was added.")
    for name, (was, now) in kept.items():
        coordinate = f"{old.name}.{name}"
        yield from argument_changes(coordinate, was, now)
        if not is_output_compatible(was.type, now.type):
            yield breaking("FIELD_CHANGED_KIND", coordinate, f"was {was.type} and is {now.type} now.")
        elif str(was.type) != str(now.type):
            yield safe("FIELD_CHANGED_KIND_SAFE", coordinate, f"was {was.type} and is {now.type} now.")
        yield from _price(coordinate, was, now)
        yield from deprecation_changes(coordinate, was, now)
        yield from description_changes(coordinate, was, now)


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
        text = f"no longer has the member {name}."
        yield breaking("TYPE_REMOVED_FROM_UNION", old.name, text, within(name, old.name))
    for name in now - was:
        yield dangerous("TYPE_ADDED_TO_UNION", old.name, f"has a new member, {name}.", returned(old.name))


def _values(old: GraphQLEnumType, new: GraphQLEnumType, *, is_returned: bool) -> Iterator[Change]:
    removed, added, kept = compare(old.values, new.values)
    for name, value in removed.items():
        coordinate = f"{old.name}.{name}"
        yield breaking("VALUE_REMOVED_FROM_ENUM", coordinate, removal_text(value), coordinate, returned(old.name))
    for name in added:
        if is_returned:
            text = "was added: clients may not know what to do with it."
            yield dangerous("VALUE_ADDED_TO_ENUM", f"{old.name}.{name}", text, returned(old.name))
        else:
            yield safe("VALUE_ADDED_TO_ENUM", f"{old.name}.{name}", "was added; no field returns it.")
    for name, (was, now) in kept.items():
        yield from deprecation_changes(f"{old.name}.{name}", was, now)
        yield from description_changes(f"{old.name}.{name}", was, now)


def _specified_by(old: GraphQLScalarType, new: GraphQLScalarType) -> Iterator[Change]:
    """Compare the URLs of `@specifiedBy`, which must not change once set: https://spec.graphql.org/draft/#sec-Scalars.Custom-Scalars."""
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
        yield from argument_changes(coordinate, was, now)
        if was.is_repeatable and not now.is_repeatable:
            yield breaking("DIRECTIVE_REPEATABLE_REMOVED", coordinate, "may no longer be repeated.")
        elif now.is_repeatable and not was.is_repeatable:
            yield safe("DIRECTIVE_REPEATABLE_ADDED", coordinate, "may be repeated now.")
        locations, locations_now = ({location.name for location in directive.locations} for directive in (was, now))
        for location in locations - locations_now:
            yield breaking("DIRECTIVE_LOCATION_REMOVED", coordinate, f"is no longer allowed on {location}.")
        for location in locations_now - locations:
            yield safe("DIRECTIVE_LOCATION_ADDED", coordinate, f"is allowed on {location} now.")
        yield from deprecation_changes(coordinate, was, now)
        yield from description_changes(coordinate, was, now)


def _own_directives(schema: GraphQLSchema) -> dict[str, GraphQLDirective]:
    """Return the directives except those of the specification, which SDL may omit."""
    return {each.name: each for each in schema.directives if not is_specified_directive(each)}


def _price(coordinate: str, old: GraphQLField, new: GraphQLField) -> Iterator[Change]:
    is_list = isinstance(get_nullable_type(old.type), GraphQLList)
    was, now = field_price(old.ast_node), field_price(new.ast_node)
    text = f"{now or 'it is free'}; it was {was or 'free'}."
    match compare_prices(was, now, is_list=is_list):
        case "dearer":
            yield dangerous("UPSTREAM_DEARER", coordinate, f"costs more: {text}")
        case "cheaper":
            yield safe("UPSTREAM_CHEAPER", coordinate, f"costs less: {text}")
        case "reworded":
            yield safe("UPSTREAM_REWORDED", coordinate, f"costs the same, in other words: {text}")

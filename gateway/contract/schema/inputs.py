"""What changed in what clients pass: arguments of fields and directives, and the fields of input objects."""

from __future__ import annotations

from collections.abc import Iterator

from graphql import (
    GraphQLArgument,
    GraphQLDirective,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    get_named_type,
    get_nullable_type,
    is_required_argument,
    is_required_input_field,
    print_ast,
    value_from_ast_untyped,
)
from graphql.utilities import get_default_value_ast

from gateway.contract.schema.change import (
    Change,
    breaking,
    compare,
    dangerous,
    deprecation,
    description,
    left_out,
    maybe_null,
    removal,
    safe,
    takes_the_same,
)

__all__ = ["arguments", "input_fields"]

_Input = GraphQLArgument | GraphQLInputField
_HasArguments = GraphQLField | GraphQLDirective


def arguments(owner: str, old: _HasArguments, new: _HasArguments) -> Iterator[Change]:
    """What changed in the arguments of the field or directive at a coordinate."""
    kind = "DIRECTIVE_ARG" if isinstance(old, GraphQLDirective) else "ARG"
    removed, added, kept = compare(old.args, new.args)
    for name, argument in removed.items():
        yield breaking(f"{kind}_REMOVED", f"{owner}({name}:)", removal(argument))
    for name, argument in added.items():
        yield _added(kind, f"{owner}({name}:)", argument, owner)
    for name, (was, now) in kept.items():
        yield from _input(f"{owner}({name}:)", was, now, type_kind="ARG", default_kind="ARG")


def input_fields(old: GraphQLInputObjectType, new: GraphQLInputObjectType) -> Iterator[Change]:
    """What changed in the fields of an input object type."""
    removed, added, kept = compare(old.fields, new.fields)
    for name, field in removed.items():
        yield breaking("FIELD_REMOVED", f"{old.name}.{name}", removal(field))
    for name, field in added.items():
        yield _added("INPUT_FIELD", f"{old.name}.{name}", field, old.name)
    for name, (was, now) in kept.items():
        yield from _input(f"{old.name}.{name}", was, now, type_kind="FIELD", default_kind="INPUT_FIELD")
    if new.is_one_of and not old.is_one_of:
        yield breaking("ONE_OF_ADDED", old.name, "became @oneOf: it takes exactly one of its fields.")
    elif old.is_one_of and not new.is_one_of:
        yield safe("ONE_OF_REMOVED", old.name, "is no longer @oneOf: it takes any of its fields.")


def _added(kind: str, coordinate: str, thing: _Input, owner: str) -> Change:
    if _is_required(thing):
        return breaking(f"REQUIRED_{kind}_ADDED", coordinate, "was added, and is required.", owner)
    says = "was added, and may be left out."
    if kind == "DIRECTIVE_ARG":
        return safe(f"OPTIONAL_{kind}_ADDED", coordinate, says)
    return dangerous(f"OPTIONAL_{kind}_ADDED", coordinate, says, owner)


def _input(coordinate: str, old: _Input, new: _Input, *, type_kind: str, default_kind: str) -> Iterator[Change]:
    """Changes of an argument, or of an input object's field."""
    was_required, is_required = _is_required(old), _is_required(new)
    types = f"was {old.type} and is {new.type} now"
    if not takes_the_same(old.type, new.type):
        is_stricter = takes_the_same(get_nullable_type(old.type), get_nullable_type(new.type))
        touches = [maybe_null(coordinate) if is_stricter else coordinate]
        if is_required and not was_required:
            types += "; it is required"
            touches.append(left_out(coordinate))
        yield breaking(f"{type_kind}_CHANGED_KIND", coordinate, f"{types}.", *touches)
    elif str(old.type) != str(new.type):
        yield safe(f"{type_kind}_CHANGED_KIND_SAFE", coordinate, f"{types}.")
    yield from _default(coordinate, old, new, default_kind)
    yield from deprecation(coordinate, old, new)
    yield from description(coordinate, old, new)


def _default(coordinate: str, old: _Input, new: _Input, kind: str) -> Iterator[Change]:
    was, now = get_default_value_ast(old), get_default_value_ast(new)
    is_other_type = get_named_type(old.type).name != get_named_type(new.type).name
    if is_other_type or (was is None and now is None):
        return  # A default of another type is another one; the change of the type tells as much.
    if was is None and now is not None:
        says = f"has the default {print_ast(now)} now; it had none."
        if _is_required(old):
            yield safe(f"{kind}_DEFAULT_VALUE_ADDED", coordinate, f"{says[:-1]}, and was required.")
        else:
            yield dangerous(f"{kind}_DEFAULT_VALUE_ADDED", coordinate, says, left_out(coordinate))
    elif was is not None and now is None:
        says = f"lost its default, {print_ast(was)}"
        if not _is_required(new):
            yield dangerous(f"{kind}_DEFAULT_VALUE_CHANGE", coordinate, f"{says}.", left_out(coordinate))
        elif takes_the_same(old.type, new.type):  # Otherwise the change of the type has told it.
            yield breaking(f"{kind}_BECAME_REQUIRED", coordinate, f"{says}, and is required now.", left_out(coordinate))
    elif was is not None and now is not None and value_from_ast_untyped(was) != value_from_ast_untyped(now):
        says = f"has the default {print_ast(now)} now; it was {print_ast(was)}."
        yield dangerous(f"{kind}_DEFAULT_VALUE_CHANGE", coordinate, says, left_out(coordinate))


def _is_required(thing: _Input) -> bool:
    return is_required_argument(thing) if isinstance(thing, GraphQLArgument) else is_required_input_field(thing)

"""Changes of inputs: arguments of fields and directives, and fields of input object types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLDirective,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    Undefined,
    ValueNode,
    get_named_type,
    get_nullable_type,
    is_required_argument,
    is_required_input_field,
    print_ast,
    value_from_ast_untyped,
)
from graphql.utilities import coerce_input_literal, get_default_value_ast

from gateway.contract.schema.change import (
    Change,
    breaking,
    compare,
    dangerous,
    deprecation_changes,
    description_changes,
    is_input_compatible,
    nullable,
    omitted,
    removal_text,
    safe,
)

__all__ = ["argument_changes", "input_field_changes"]

_Input = GraphQLArgument | GraphQLInputField
_HasArguments = GraphQLField | GraphQLDirective


def argument_changes(owner: str, old: _HasArguments, new: _HasArguments) -> Iterator[Change]:
    """Compare the arguments of the field or directive at the coordinate `owner`."""
    kind = "DIRECTIVE_ARG" if isinstance(old, GraphQLDirective) else "ARG"
    removed, added, kept = compare(old.args, new.args)
    for name, argument in removed.items():
        yield breaking(f"{kind}_REMOVED", f"{owner}({name}:)", removal_text(argument))
    for name, argument in added.items():
        yield _added(kind, f"{owner}({name}:)", argument, owner)
    for name, (was, now) in kept.items():
        yield from _input(f"{owner}({name}:)", was, now, type_kind="ARG", default_kind="ARG")


def input_field_changes(old: GraphQLInputObjectType, new: GraphQLInputObjectType) -> Iterator[Change]:
    """Compare the fields of an input object type."""
    removed, added, kept = compare(old.fields, new.fields)
    for name, field in removed.items():
        yield breaking("FIELD_REMOVED", f"{old.name}.{name}", removal_text(field))
    for name, field in added.items():
        yield _added("INPUT_FIELD", f"{old.name}.{name}", field, old.name)
    for name, (was, now) in kept.items():
        yield from _input(f"{old.name}.{name}", was, now, type_kind="FIELD", default_kind="INPUT_FIELD")
    if new.is_one_of and not old.is_one_of:
        yield breaking("ONE_OF_ADDED", old.name, "became @oneOf: it takes exactly one of its fields.")
    elif old.is_one_of and not new.is_one_of:
        yield safe("ONE_OF_REMOVED", old.name, "is no longer @oneOf: it takes any of its fields.")


def _added(kind: str, coordinate: str, element: _Input, owner: str) -> Change:
    if _is_required(element):
        return breaking(f"REQUIRED_{kind}_ADDED", coordinate, "was added, and is required.", owner)
    text = "was added, and may be left out."
    if kind == "DIRECTIVE_ARG":
        return safe(f"OPTIONAL_{kind}_ADDED", coordinate, text)
    return dangerous(f"OPTIONAL_{kind}_ADDED", coordinate, text, owner)


def _input(coordinate: str, old: _Input, new: _Input, *, type_kind: str, default_kind: str) -> Iterator[Change]:
    """Compare an argument, or a field of an input object type."""
    was_required, is_required = _is_required(old), _is_required(new)
    types = f"was {old.type} and is {new.type} now"
    if not is_input_compatible(old.type, new.type):
        is_stricter = is_input_compatible(get_nullable_type(old.type), get_nullable_type(new.type))
        affects = [nullable(coordinate) if is_stricter else coordinate]
        if is_required and not was_required:
            types += "; it is required"
            affects.append(omitted(coordinate))
        yield breaking(f"{type_kind}_CHANGED_KIND", coordinate, f"{types}.", *affects)
    elif str(old.type) != str(new.type):
        yield safe(f"{type_kind}_CHANGED_KIND_SAFE", coordinate, f"{types}.")
    yield from _default(coordinate, old, new, default_kind)
    yield from deprecation_changes(coordinate, old, new)
    yield from description_changes(coordinate, old, new)


def _default(coordinate: str, old: _Input, new: _Input, kind: str) -> Iterator[Change]:
    was, now = get_default_value_ast(old), get_default_value_ast(new)
    is_other_type = get_named_type(old.type).name != get_named_type(new.type).name
    if is_other_type or (was is None and now is None):
        return  # With another type the default changes too; the type's change is reported.
    if was is None and now is not None:
        text = f"has the default {print_ast(now)} now; it had none."
        if _is_required(old):
            yield safe(f"{kind}_DEFAULT_VALUE_ADDED", coordinate, f"{text[:-1]}, and was required.")
        else:
            yield dangerous(f"{kind}_DEFAULT_VALUE_ADDED", coordinate, text, omitted(coordinate))
    elif was is not None and now is None:
        text = f"lost its default, {print_ast(was)}"
        if not _is_required(new):
            yield dangerous(f"{kind}_DEFAULT_VALUE_CHANGE", coordinate, f"{text}.", omitted(coordinate))
        elif is_input_compatible(old.type, new.type):  # Otherwise the type's change is reported.
            yield breaking(f"{kind}_BECAME_REQUIRED", coordinate, f"{text}, and is required now.", omitted(coordinate))
    elif was is not None and now is not None and not _is_same_value(was, old, now, new):
        text = f"has the default {print_ast(now)} now; it was {print_ast(was)}."
        yield dangerous(f"{kind}_DEFAULT_VALUE_CHANGE", coordinate, text, omitted(coordinate))


def _is_same_value(was: ValueNode, old: _Input, now: ValueNode, new: _Input) -> bool:
    """Whether two literals are the same value: as they are, or as the types of their inputs coerce them.

    https://spec.graphql.org/draft/#sec-Input-Coercion: `1` is `"1"` for an ID and `[1]` for a list, and an input object without
    a field has the field's default.
    """
    if _equal(value_from_ast_untyped(was), value_from_ast_untyped(now)):
        return True
    try:
        before, after = coerce_input_literal(was, old.type), coerce_input_literal(now, new.type)
    except RecursionError:  # A default that refers to itself, in a schema that was not validated.
        return False
    return before is not Undefined and _equal(before, after)


def _equal(old: Any, new: Any) -> bool:
    """Compare values as JSON does, where `true` is not 1."""
    match old, new:
        case dict(), dict():
            return old.keys() == new.keys() and all(_equal(old[key], new[key]) for key in old)
        case list(), list():
            return len(old) == len(new) and all(map(_equal, old, new))
        case _:
            return isinstance(old, bool) is isinstance(new, bool) and bool(old == new)


def _is_required(element: _Input) -> bool:
    return is_required_argument(element) if isinstance(element, GraphQLArgument) else is_required_input_field(element)

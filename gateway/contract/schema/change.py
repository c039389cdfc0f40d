"""One change between two schemas, the marks of the operations that it touches, and what makes a change of two parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from graphql import (
    GraphQLArgument,
    GraphQLDirective,
    GraphQLEnumValue,
    GraphQLField,
    GraphQLInputField,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
)

__all__ = [
    "Change",
    "Criticality",
    "Part",
    "breaking",
    "compare",
    "dangerous",
    "deprecation",
    "description",
    "gives_the_same",
    "left_out",
    "maybe_null",
    "removal",
    "returned",
    "safe",
    "takes_the_same",
    "within",
]

Part = GraphQLField | GraphQLArgument | GraphQLInputField | GraphQLEnumValue | GraphQLDirective
"""What can be deprecated."""
_T = TypeVar("_T")


class Criticality(StrEnum):
    """What a change means for a client that was written for the old schema."""

    BREAKING = "breaking"
    """An operation may be refused, or its answer may not be what its types say."""
    DANGEROUS = "dangerous"
    """Every operation is still valid, and may be answered with something new, or otherwise than before."""
    SAFE = "safe"
    """No client can tell."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two schemas."""

    criticality: Criticality
    kind: str
    """What happened, such as `FIELD_REMOVED`."""
    coordinate: str
    """Where: https://spec.graphql.org/draft/#sec-Schema-Coordinates; of a root operation type, that type."""
    message: str
    """A sentence for people, which begins with the coordinate."""
    touches: tuple[str, ...] = ()
    """What an operation relies on that the change touches: one of these coordinates, or marks of the kinds below."""


def left_out(coordinate: str) -> str:
    """The mark of an operation that can leave out this argument or input field."""
    return f"{coordinate} left out"


def maybe_null(coordinate: str) -> str:
    """The mark of an operation that can pass null for this argument or input field."""
    return f"{coordinate} null"


def returned(type_name: str) -> str:
    """The mark of an operation that selects a field of this type."""
    return f"{type_name} returned"


def within(inner: str, outer: str) -> str:
    """The mark of an operation with a fragment on the inner type where the outer one is selected from."""
    return f"{inner} within {outer}"


def breaking(kind: str, coordinate: str, says: str, *touches: str) -> Change:
    """A breaking change; `says` follows the coordinate in its sentence. By default it touches what names the coordinate."""
    return Change(Criticality.BREAKING, kind, coordinate, _sentence(coordinate, says), touches or (coordinate,))


def dangerous(kind: str, coordinate: str, says: str, *touches: str) -> Change:
    """A dangerous change, made in the same way."""
    return Change(Criticality.DANGEROUS, kind, coordinate, _sentence(coordinate, says), touches or (coordinate,))


def safe(kind: str, coordinate: str, says: str) -> Change:
    """A safe change, which touches nothing."""
    return Change(Criticality.SAFE, kind, coordinate, _sentence(coordinate, says))


def _sentence(coordinate: str, says: str) -> str:
    """One line, whatever a schema's texts have in them."""
    return f"{coordinate} {' '.join(''.join(each if each.isprintable() else ' ' for each in says).split())}"


def deprecation(coordinate: str, old: Part, new: Part) -> Iterator[Change]:
    """What changed in whether, and why, it is deprecated."""
    was, now = old.deprecation_reason, new.deprecation_reason
    if was is None and now is not None:
        yield safe("DEPRECATION_ADDED", coordinate, f"is deprecated now: “{now}”")
    elif was is not None and now is None:
        yield safe("DEPRECATION_REMOVED", coordinate, "is no longer deprecated.")
    elif was != now:
        yield safe("DEPRECATION_REASON_CHANGED", coordinate, f"is deprecated for another reason: “{now}”")


def description(coordinate: str, old: Part | GraphQLNamedType, new: Part | GraphQLNamedType) -> Iterator[Change]:
    """What changed in how it is described."""
    if (old.description or "") != (new.description or ""):
        yield safe("DESCRIPTION_CHANGED", coordinate, "has another description.")


def removal(thing: Part) -> str:
    """That it was removed, and whether clients had been told."""
    if thing.deprecation_reason is None:
        return "was removed, and had not been deprecated."
    return f"was removed; it had been deprecated: “{thing.deprecation_reason}”"


def compare(
    old: Mapping[str, _T], new: Mapping[str, _T]
) -> tuple[dict[str, _T], dict[str, _T], dict[str, tuple[_T, _T]]]:
    """What is in the old one alone, in the new one alone, and in both."""
    return (
        {name: thing for name, thing in old.items() if name not in new},
        {name: thing for name, thing in new.items() if name not in old},
        {name: (thing, new[name]) for name, thing in old.items() if name in new},
    )


def gives_the_same(old: Any, new: Any) -> bool:
    """Whether whatever a field of the new type returns could have been returned with the old one."""
    match old, new:
        case GraphQLNonNull(), GraphQLNonNull():
            return gives_the_same(old.of_type, new.of_type)
        case GraphQLNonNull(), _:
            return False
        case _, GraphQLNonNull():
            return gives_the_same(old, new.of_type)
        case GraphQLList(), GraphQLList():
            return gives_the_same(old.of_type, new.of_type)
        case _:
            return str(old) == str(new)


def takes_the_same(old: Any, new: Any) -> bool:
    """Whether whatever could be passed as the old type can be passed as the new one."""
    return gives_the_same(new, old)

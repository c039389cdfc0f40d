"""A change between two schemas, the usages it affects, and comparisons that all kinds of schema elements share."""

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
    "SchemaElement",
    "breaking",
    "compare",
    "dangerous",
    "deprecation_changes",
    "description_changes",
    "is_input_compatible",
    "is_output_compatible",
    "nullable",
    "omitted",
    "removal_text",
    "returned",
    "safe",
    "within",
]

SchemaElement = GraphQLField | GraphQLArgument | GraphQLInputField | GraphQLEnumValue | GraphQLDirective
"""An element that can be deprecated."""
_T = TypeVar("_T")


class Criticality(StrEnum):
    """How a change affects a client of the old schema."""

    BREAKING = "breaking"
    """An operation may become invalid, or its response may not match the types that the client expects."""
    DANGEROUS = "dangerous"
    """Operations stay valid, but may return new values, or behave differently."""
    SAFE = "safe"
    """Clients are not affected."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two schemas."""

    criticality: Criticality
    kind: str
    """The kind of change, such as `FIELD_REMOVED`."""
    coordinate: str
    """The changed element: https://spec.graphql.org/draft/#sec-Schema-Coordinates; for a root operation type, its name."""
    message: str
    """A sentence for people, which begins with the coordinate."""
    affects: tuple[str, ...] = ()
    """The usages it affects: coordinates, and the others that are defined below. An operation with any of them is affected."""


def omitted(coordinate: str) -> str:
    """Return the usage of an operation that may omit this argument or input field."""
    return f"{coordinate} omitted"


def nullable(coordinate: str) -> str:
    """Return the usage of an operation that may pass null for this argument or input field."""
    return f"{coordinate} null"


def returned(type_name: str) -> str:
    """Return the usage of an operation that selects a field of this type."""
    return f"{type_name} returned"


def within(inner: str, outer: str) -> str:
    """Return the usage of an operation that spreads a fragment on the inner type in a selection of the outer one."""
    return f"{inner} within {outer}"


def breaking(kind: str, coordinate: str, text: str, *affects: str) -> Change:
    """Create a breaking change; its message is the coordinate and `text`; without `affects` it affects the coordinate."""
    return Change(Criticality.BREAKING, kind, coordinate, _sentence(coordinate, text), affects or (coordinate,))


def dangerous(kind: str, coordinate: str, text: str, *affects: str) -> Change:
    """Create a dangerous change, from the same arguments."""
    return Change(Criticality.DANGEROUS, kind, coordinate, _sentence(coordinate, text), affects or (coordinate,))


def safe(kind: str, coordinate: str, text: str) -> Change:
    """Create a safe change, which affects no usage."""
    return Change(Criticality.SAFE, kind, coordinate, _sentence(coordinate, text))


def _sentence(coordinate: str, text: str) -> str:
    """Join both in one printable line, whatever a schema's texts contain."""
    return f"{coordinate} {' '.join(''.join(each if each.isprintable() else ' ' for each in text).split())}"


def deprecation_changes(coordinate: str, old: SchemaElement, new: SchemaElement) -> Iterator[Change]:
    """Compare whether, and why, an element is deprecated."""
    was, now = old.deprecation_reason, new.deprecation_reason
    if was is None and now is not None:
        yield safe("DEPRECATION_ADDED", coordinate, f"is deprecated now: “{now}”")
    elif was is not None and now is None:
        yield safe("DEPRECATION_REMOVED", coordinate, "is no longer deprecated.")
    elif was != now:
        yield safe("DEPRECATION_REASON_CHANGED", coordinate, f"is deprecated for another reason: “{now}”")


def description_changes(
    coordinate: str, old: SchemaElement | GraphQLNamedType, new: SchemaElement | GraphQLNamedType
) -> Iterator[Change]:
    """Compare descriptions; an absent one equals an empty one."""
    if (old.description or "") != (new.description or ""):
        yield safe("DESCRIPTION_CHANGED", coordinate, "has another description.")


def removal_text(element: SchemaElement) -> str:
    """Return the text of an element's removal, which says whether it had been deprecated."""
    if element.deprecation_reason is None:
        return "was removed, and had not been deprecated."
    return f"was removed; it had been deprecated: “{element.deprecation_reason}”"


def compare(
    old: Mapping[str, _T], new: Mapping[str, _T]
) -> tuple[dict[str, _T], dict[str, _T], dict[str, tuple[_T, _T]]]:
    """Return the elements that were removed, those that were added, and those in both as (old, new)."""
    return (
        {name: element for name, element in old.items() if name not in new},
        {name: element for name, element in new.items() if name not in old},
        {name: (element, new[name]) for name, element in old.items() if name in new},
    )


def is_output_compatible(old: Any, new: Any) -> bool:
    """Whether every value of the new output type is a value of the old one."""
    match old, new:
        case GraphQLNonNull(), GraphQLNonNull():
            return is_output_compatible(old.of_type, new.of_type)
        case GraphQLNonNull(), _:
            return False
        case _, GraphQLNonNull():
            return is_output_compatible(old, new.of_type)
        case GraphQLList(), GraphQLList():
            return is_output_compatible(old.of_type, new.of_type)
        case _:
            return str(old) == str(new)


def is_input_compatible(old: Any, new: Any) -> bool:
    """Whether every value of the old input type is accepted by the new one."""
    return is_output_compatible(new, old)

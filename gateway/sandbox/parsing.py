"""Faults and switches from plain values, as the control routes and pytest's markers give them."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

import msgspec

from .faults import KINDS, Fault
from .switches import Switches, choices


def fault_of(given: Mapping[str, Any]) -> Fault:
    """The fault that the values describe; ValueError says what is wrong with them."""
    check_names(given, [each.name for each in fields(Fault)])
    kind, body = given.get("kind"), given.get("body", b"")
    if kind not in list(KINDS):  # It may be anything, even what has no hash.
        raise ValueError(f"kind is {'missing' if kind is None else repr(kind)}; it is one of {', '.join(KINDS)}")
    if not isinstance(body, str | bytes):
        raise ValueError("body must be text")
    try:
        return msgspec.convert({**given, "body": body.encode() if isinstance(body, str) else body}, Fault)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None


def switched(switches: Switches, given: Mapping[str, Any]) -> Switches:
    """The switches with those that are given set anew; ValueError says what is wrong."""
    allowed = choices()
    check_names(given, allowed)
    for name, chosen in given.items():
        if chosen not in allowed[name]:
            raise ValueError(f"{name} must be one of {', '.join(allowed[name])}")
    return replace(switches, **given)


def check_names(given: Iterable[str], names: Iterable[str]) -> None:
    """Raise ValueError for a name that is not known."""
    unknown = [name for name in given if name not in names]
    if unknown:
        raise ValueError(f"unknown: {', '.join(unknown)}; known are {', '.join(names)}")

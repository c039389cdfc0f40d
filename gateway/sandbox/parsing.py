"""Faults and switches from plain values, as the control routes and pytest's markers pass them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

import msgspec

from .faults import KINDS, Fault
from .switches import Switches, choices


def parse_fault(options: Mapping[str, Any]) -> Fault:
    """Create a fault from its options by name; a text `body` is encoded. Raises ValueError for an invalid option."""
    check_names(options, [each.name for each in fields(Fault)])
    kind, body = options.get("kind"), options.get("body", b"")
    if kind not in list(KINDS):  # In a list, since it may be unhashable.
        raise ValueError(f"kind is {'missing' if kind is None else repr(kind)}; it is one of {', '.join(KINDS)}")
    if not isinstance(body, str | bytes):
        raise ValueError("body must be text")
    try:
        return msgspec.convert({**options, "body": body.encode() if isinstance(body, str) else body}, Fault)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None


def change_switches(switches: Switches, values: Mapping[str, Any]) -> Switches:
    """Return switches with some values replaced, by name. Raises ValueError for an unknown name or value."""
    allowed = choices()
    check_names(values, allowed)
    for name, value in values.items():
        if value not in allowed[name]:
            raise ValueError(f"{name} must be one of {', '.join(allowed[name])}")
    return replace(switches, **values)


def check_names(names: Iterable[str], known: Collection[str]) -> None:
    """Raise ValueError unless all names are known."""
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"unknown: {', '.join(unknown)}; known are {', '.join(known)}")

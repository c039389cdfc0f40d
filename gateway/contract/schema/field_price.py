"""What a field costs upstream, read from its `@upstream` in a schema's text, and which of two prices is the dearer one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from graphql import FieldDefinitionNode, value_from_ast_untyped

__all__ = ["FieldPrice", "difference", "field_price"]

_UNITS = ("OPERATION", "CONVERSATION", "ITEM", "PARENT", "PAGE")
"""What a price can be for, the cheapest first: conversations have many records, and what has pages has one at least."""

_ONE_PAGE = 10**9
"""The size of a page that holds everything."""


@dataclass(frozen=True, slots=True)
class FieldPrice:
    """So many upstream calls per unit; none when it is `skipped`."""

    calls: int
    per: str
    page_size: int | None
    skipped: str | None

    def __str__(self) -> str:
        calls = "1 call" if self.calls == 1 else f"{self.calls} calls"
        page = "" if self.page_size is None else f" of {self.page_size}"
        per = f"page{page}" if self.per == "PAGE" else self.per.lower() + (page and f" and page{page}")
        return f"{calls} per {per}" + (f", none when {self.skipped}" if self.skipped else "")


def field_price(field: FieldDefinitionNode | None) -> FieldPrice | None:
    """What the field's `@upstream` says, or None where it costs nothing."""
    for directive in (field.directives or ()) if field is not None else ():
        if directive.name.value == "upstream":
            given = {each.name.value: value_from_ast_untyped(each.value) for each in directive.arguments or ()}
            match given.get("calls", 1), given.get("per"), given.get("pageSize"), given.get("skipped"):
                case int(calls), str(per), int() | None as page_size, str() | None as skipped if calls > 0:
                    return FieldPrice(calls, per, page_size, skipped)
    return None


def difference(
    old: FieldPrice | None, new: FieldPrice | None, *, is_list: bool
) -> Literal["same", "dearer", "cheaper", "reworded"]:
    """How a field's new price stands to its old one: dearer where it can be so in any way, cheaper where it is in one.

    `is_list` tells that the field leads to many records, so that a call per item is the dearest of all. What one condition
    for being skipped is to another cannot be told, and counts as other words for the same.
    """
    if old is None or new is None:
        return "same" if old is new else "dearer" if old is None else "cheaper"
    steps = [
        _rank(new.per, is_list) - _rank(old.per, is_list),
        new.calls - old.calls,
        (old.page_size or _ONE_PAGE) - (new.page_size or _ONE_PAGE) if old.per == new.per else 0,
        bool(old.skipped) - bool(new.skipped),
    ]
    if any(step > 0 for step in steps):
        return "dearer"
    if any(step < 0 for step in steps):
        return "cheaper"
    return "same" if old == new else "reworded"


def _rank(unit: str, is_list: bool) -> int:
    if unit not in _UNITS or (unit == "ITEM" and is_list):
        return len(_UNITS)
    return _UNITS.index(unit)

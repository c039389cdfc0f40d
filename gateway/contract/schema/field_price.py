"""The upstream cost that a field declares with `@upstream` in SDL, and the comparison of two of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from graphql import FieldDefinitionNode, value_from_ast_untyped

__all__ = ["FieldPrice", "compare_prices", "field_price"]

_UNITS = ("OPERATION", "CONVERSATION", "ITEM", "PARENT", "PAGE")
"""Units of a price, the cheapest first: a conversation has many records, and a list at least one page."""

_ONE_PAGE = 10**9
"""The page size of a list that is not paginated."""


@dataclass(frozen=True, slots=True)
class FieldPrice:
    """The arguments of `@upstream`: upstream calls per unit, none when the condition `skipped` holds."""

    calls: int
    per: str
    """One of the schema's units, such as `PAGE`."""
    page_size: int | None
    """Records a page."""
    skipped: str | None
    """The condition, as a phrase for people."""

    def __str__(self) -> str:
        calls = "1 call" if self.calls == 1 else f"{self.calls} calls"
        page = "" if self.page_size is None else f" of {self.page_size}"
        per = f"page{page}" if self.per == "PAGE" else self.per.lower() + (page and f" and page{page}")
        return f"{calls} per {per}" + (f", none when {self.skipped}" if self.skipped else "")


def field_price(field: FieldDefinitionNode | None) -> FieldPrice | None:
    """Return the price in a field's `@upstream`; None if it has none, and so costs nothing."""
    for directive in (field.directives or ()) if field is not None else ():
        if directive.name.value == "upstream":
            given = {each.name.value: value_from_ast_untyped(each.value) for each in directive.arguments or ()}
            match given.get("calls", 1), given.get("per"), given.get("pageSize"), given.get("skipped"):
                case int(calls), str(per), int() | None as page_size, str() | None as skipped if calls > 0:
                    return FieldPrice(calls, per, page_size, skipped)
    return None


def compare_prices(
    old: FieldPrice | None, new: FieldPrice | None, *, is_list: bool
) -> Literal["same", "dearer", "cheaper", "reworded"]:
    """Compare a field's new price with its old one: higher if any argument is, else lower if any argument is.

    `is_list` is true for a field that returns many records, where a call per item costs most. Two conditions for
    skipping cannot be compared: a change of one alone is `reworded`.
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

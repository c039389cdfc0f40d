"""Twilio's resources: their paths, and how their rows are decoded and checked."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from typing import Annotated, Any, get_args

import msgspec

from gateway.twilio.paths import child

__all__ = ["Int32", "Meta", "PageBody", "Resource", "Row", "row_type"]

Row = Any
"""One record of a response: an instance of its resource's `row`, a struct of the properties that the graph shows."""

Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
"""An integer within the range of GraphQL's Int; Twilio sends some as text."""


def row_type(name: str, properties: dict[str, Any], renamed: dict[str, str] | None = None) -> type[msgspec.Struct]:
    """Return a struct type that decodes `properties` (Twilio's name to type) from JSON.

    Unknown properties are ignored. A missing one is None, and an error where its type does not allow None. `renamed` has
    Twilio's name of a property that has another one in rows.
    """
    required = [(prop, kind) for prop, kind in properties.items() if not _takes_none(kind)]
    optional = [(prop, kind, None) for prop, kind in properties.items() if _takes_none(kind)]
    return msgspec.defstruct(name, [*required, *optional], gc=False, rename=renamed)


class Meta(msgspec.Struct):
    """The used part of a page's `meta` (https://www.twilio.com/docs/usage/twilios-response#pagination)."""

    next_page_url: str | None = None
    url: str | None = None
    key: str | None = None


class PageBody(msgspec.Struct):
    """A page as it is sent; each resource has a subtype with its rows under its own key."""

    meta: Meta


@dataclass(frozen=True, eq=False)
class Resource:
    """One kind of record. Every node type of the graph declares one."""

    type_name: str
    """The name in the graph and in Twilio's documentation, such as `Receipt`."""
    collection: str
    """The path segment of its list, such as `Receipts`."""
    prefix: str
    """The two letters its sids begin with."""
    letter: str
    """The letter that stands for it in node ids; permanent, and unique among all resources."""
    rows_key: str
    """The key of its rows in a page, such as `delivery_receipts`."""
    page_max: int
    """The most rows in one page (`PageSize`)."""
    rows_max: int | None
    """The most rows that its list can have; None without a bound."""
    lifetime: str
    """The setting of `Lifetimes` that says how long a record is fresh."""
    list_lifetime: str
    """The same for its lists."""
    final_lifetime: str | None
    """The same for records that no longer change, if there are any."""
    is_final: Callable[[Row], bool] | None
    """Whether a record no longer changes."""
    sid_property: str
    """The property of rows below it that holds its sid, such as `message_sid`."""
    name_property: str | None
    """The property that Twilio accepts instead of the sid at the end of a path, if any."""
    parent: Resource | None
    """The resource that owns it."""
    properties: dict[str, Any]
    """The properties that are decoded from a row, with their types."""
    node: type[Any] = field(repr=False)
    """Its type in the graph, created as `node(path=…, row=…, listed=…)`."""
    sid_key: str = "sid"
    """The property of a row that identifies it in its list."""

    @property
    def pages_max(self) -> int:
        """The number of pages of the largest size that a whole list can take; raises ValueError without a bound."""
        if self.rows_max is None:
            raise ValueError(f"The number of {self.collection} in a list has no bound.")
        return -(-self.rows_max // self.page_max)

    @cached_property
    def ancestors(self) -> tuple[Resource, ...]:
        """The resources that own it, outermost first."""
        return (*self.parent.ancestors, self.parent) if self.parent is not None else ()

    @cached_property
    def sids(self) -> re.Pattern[str]:
        """Matches any number of its sids, each with a comma after it, so that those of a page are checked at once."""
        return re.compile(rf"(?:{self.prefix}[0-9a-fA-F]{{32}},)*")

    @cached_property
    def named_owners(self) -> Callable[[Row], Any]:
        """Returns the owners' sids of a row, as one string or a tuple; for a resource without owners, its own sid."""
        return attrgetter(*(owner.sid_property for owner in self.ancestors)) if self.ancestors else attrgetter("sid")

    @cached_property
    def path_of(self) -> Callable[[Row], str]:
        """Returns the path of a row, from its sid and those of its owners."""
        path = "".join(f"{each.collection}/%s/" for each in (*self.ancestors, self))[:-1]
        sids = attrgetter(*(owner.sid_property for owner in self.ancestors), "sid")
        return lambda row: path % sids(row)

    @cached_property
    def row(self) -> type[msgspec.Struct]:
        """The struct type of one row. It requires a sid, and includes the owners' sids so that they can be checked."""
        above = {owner.sid_property: str | None for owner in self.ancestors}
        return row_type(self.type_name + "Row", {**above, **self.properties, "sid": str}, {"sid": self.sid_key})

    @cached_property
    def item_decoder(self) -> msgspec.json.Decoder[Row]:
        """Decodes the body of one record; not strict, so that a number sent as text is a number."""
        return msgspec.json.Decoder(self.row, strict=False)

    @cached_property
    def page_decoder(self) -> msgspec.json.Decoder[Any]:
        """Decodes the body of one page: `meta` and `rows`."""
        rows = ("rows", list[self.row], msgspec.field(name=self.rows_key))  # type: ignore[name-defined]
        return msgspec.json.Decoder(msgspec.defstruct(self.type_name + "Page", [rows], bases=(PageBody,)), strict=False)

    def list_path(self, parent_path: str) -> str:
        """Return the path of its list below the record at `parent_path`."""
        return child(parent_path, self.collection)

    def largest_page(self, list_path: str) -> str:
        """Return the key of the first page of the list at `list_path`, in the largest page size."""
        return f"{list_path}?PageSize={self.page_max}"


def _takes_none(kind: Any) -> bool:
    return kind is Any or type(None) in get_args(kind)

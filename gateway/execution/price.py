"""What an edge costs upstream, stated once: the directive `@upstream` and the sentence in the description come from it."""

from dataclasses import dataclass
from enum import Enum

import strawberry
from strawberry.schema_directive import Location

__all__ = ["Price", "Unit", "Upstream"]


@strawberry.enum(name="UpstreamUnit", description="What a price in upstream calls is for.")
class Unit(Enum):
    OPERATION = strawberry.enum_value("operation", description="For each time the field stands in an operation.")
    PARENT = strawberry.enum_value("parent", description="For each record that the field is asked of.")
    PAGE = strawberry.enum_value(
        "page", description="For each page that is read, of each record the field is asked of."
    )
    ITEM = strawberry.enum_value("item", description="For each different record that the field leads to.")
    CONVERSATION = strawberry.enum_value("conversation", description="For each conversation, however many records ask.")


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION], name="upstream", description="What a field costs in upstream calls."
)
class Upstream:
    calls: int = strawberry.directive_field(name="calls", default=1)
    per: Unit = strawberry.directive_field(name="per")
    page_size: int | None = strawberry.directive_field(name="pageSize", default=strawberry.UNSET)
    skipped: str | None = strawberry.directive_field(name="skipped", default=strawberry.UNSET)


@dataclass(frozen=True, slots=True)
class Price:
    """One upstream call per unit; with pages, per page of so many; none when it is `skipped`."""

    per: Unit
    page_size: int | None = None
    skipped: str | None = None

    def directive(self) -> Upstream:
        """The price for programs that read the SDL."""
        return Upstream(
            per=self.per,
            page_size=self.page_size if self.page_size is not None else strawberry.UNSET,
            skipped=self.skipped if self.skipped is not None else strawberry.UNSET,
        )

    def sentence(self) -> str:
        """The price for people."""
        what = {
            Unit.OPERATION: "one upstream call",
            Unit.PARENT: "one upstream call",
            Unit.PAGE: f"one upstream call per {self.page_size}",
            Unit.ITEM: "one upstream call for each",
            Unit.CONVERSATION: f"one upstream call per {self.page_size} in a conversation, for all that ask",
        }[self.per]
        return f"Costs {what}{f'; none when {self.skipped}' if self.skipped else ''}."

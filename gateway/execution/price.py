"""The price of an edge in upstream calls, stated once: for the directive `@upstream` and for the description."""

from dataclasses import dataclass
from enum import Enum

import strawberry
from strawberry.schema_directive import Location

__all__ = ["Price", "Unit", "Upstream"]


@strawberry.enum(name="UpstreamUnit", description="What one price in upstream calls applies to.")
class Unit(Enum):
    OPERATION = strawberry.enum_value("operation", description="Each occurrence of the field in an operation.")
    PARENT = strawberry.enum_value("parent", description="Each record on which the field is selected.")
    PAGE = strawberry.enum_value(
        "page", description="Each page that is read, for each record on which the field is selected."
    )
    ITEM = strawberry.enum_value("item", description="Each distinct record that the field leads to.")
    CONVERSATION = strawberry.enum_value(
        "conversation", description="Each conversation, however many of its records have the field selected."
    )


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION], name="upstream", description="The price of a field in upstream calls."
)
class Upstream:
    calls: int = strawberry.directive_field(name="calls", default=1)
    per: Unit = strawberry.directive_field(name="per")
    page_size: int | None = strawberry.directive_field(name="pageSize", default=strawberry.UNSET)
    skipped: str | None = strawberry.directive_field(name="skipped", default=strawberry.UNSET)


@dataclass(frozen=True, slots=True)
class Price:
    """Upstream calls per unit, or per page of `page_size` records: one, or none for what another field has read.

    None either when `skipped` applies.
    """

    per: Unit
    page_size: int | None = None
    skipped: str | None = None
    calls: int = 1
    """The most calls per parent; 0 for what another field has read."""

    def directive(self) -> Upstream:
        """Return the price as the directive `@upstream`."""
        return Upstream(
            calls=self.calls,
            per=self.per,
            page_size=self.page_size if self.page_size is not None else strawberry.UNSET,
            skipped=self.skipped if self.skipped is not None else strawberry.UNSET,
        )

    def sentence(self) -> str:
        """Return the price as a sentence for descriptions."""
        if not self.calls:
            return "Costs no further upstream call."
        what = {
            Unit.OPERATION: "one upstream call",
            Unit.PARENT: "one upstream call" if self.calls == 1 else f"at most {self.calls} upstream calls",
            Unit.PAGE: f"one upstream call per {self.page_size} records",
            Unit.ITEM: "one upstream call per distinct record",
            Unit.CONVERSATION: f"one upstream call per {self.page_size} participants of a conversation, for all its records",
        }[self.per]
        return f"Costs {what}{f'; none when {self.skipped}' if self.skipped else ''}."

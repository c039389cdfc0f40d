"""Arguments that several fields take."""

from typing import Annotated

import strawberry

from gateway.execution.fields import NamedBy
from gateway.graph.limits import FIRST_MAX
from gateway.graph.node import resource_of
from gateway.graph.reads import Item
from gateway.twilio.paths import sid_pattern

__all__ = ["After", "First", "Sid", "by_sid"]

First = Annotated[
    int | None,
    strawberry.argument(description=f"The number of records to return, from 0 to {FIRST_MAX}. Null means the default."),
]
After = Annotated[
    str | None,
    strawberry.argument(
        description="Return records after this cursor: a `cursor` or `endCursor` of the same list, with the same order and "
        "filters. Null starts at the beginning. If its record was removed meanwhile, together with others before it, as many "
        "records are skipped, except among messages."
    ),
]
Sid = Annotated[strawberry.ID, strawberry.argument(description="The record's sid.")]


def by_sid(collection: str, prefix: str) -> NamedBy:
    """Return that the argument `sid` names the child of an edge: a record of that collection, with this prefix."""
    return NamedBy("sid", sid_pattern(prefix).pattern, lambda path: Item(resource_of(collection), path))

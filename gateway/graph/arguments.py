"""Arguments that several fields take."""

from typing import Annotated

import strawberry

from gateway.graph.limits import FIRST_MAX

__all__ = ["After", "First", "Sid"]

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

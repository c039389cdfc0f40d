"""The codes of `gateway.errors` as an enum of the graph, so that code generated from the schema has them."""

from enum import Enum
from inspect import getdoc
from typing import cast

import strawberry

from gateway.errors import CODES, GatewayError
from gateway.graph.node import word

__all__ = ["ErrorCode"]


def _sentence(kind: type[GatewayError]) -> str:
    """What is said of a failure: the first paragraph of its docstring."""
    return " ".join((getdoc(kind) or "").partition("\n\n")[0].split())


_words = {code: word(code, _sentence(kind)) for code, kind in CODES.items()}

ErrorCode = strawberry.enum(
    cast(type[Enum], Enum("ErrorCode", _words)),
    description="What went wrong, as `errors[].extensions.code` of an answer says it. No field has this type: it is here for "
    "code that is generated from the schema. Codes may be added; none is given another meaning.",
)

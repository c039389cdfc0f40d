"""The error codes of `gateway.errors` as an enum of the schema, for code generators."""

from enum import Enum
from inspect import getdoc
from typing import cast

import strawberry

from gateway.errors import CODES, GatewayError
from gateway.graph.node import enum_value

__all__ = ["ErrorCode"]


def _sentence(kind: type[GatewayError]) -> str:
    """Return the first paragraph of an error's docstring."""
    return " ".join((getdoc(kind) or "").partition("\n\n")[0].split())


_VALUES = {code: enum_value(code, _sentence(kind)) for code, kind in CODES.items()}

ErrorCode = strawberry.enum(
    cast(type[Enum], Enum("ErrorCode", _VALUES)),
    description="The values of `errors[].extensions.code` in responses, for code generators, and of `incomplete` in events. "
    "Codes may be added; the meaning of a code does not change.",
)

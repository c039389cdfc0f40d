"""What of an error is shown, decided in one place: errors of ours as they are, everything else masked and logged."""

import traceback
from dataclasses import dataclass
from typing import Any

import structlog
from graphql import FieldNode, GraphQLError, located_error

from gateway.errors import BadUserInput, GatewayError, InternalError

__all__ = ["Failure", "failure_from", "failure_of", "mask"]

_logger = structlog.get_logger("gateway")


@dataclass(frozen=True, slots=True)
class Failure:
    """One entry of an answer's `errors`."""

    error: GatewayError
    path: tuple[str | int, ...] | None = None
    locations: tuple[tuple[int, int], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The entry as JSON values (https://spec.graphql.org/October2021/#sec-Errors)."""
        entry: dict[str, Any] = {"message": self.error.message}
        if self.locations:
            entry["locations"] = [{"line": line, "column": column} for line, column in self.locations]
        if self.path is not None:
            entry["path"] = list(self.path)
        return entry | {"extensions": self.error.extensions()}


def failure_of(error: GraphQLError) -> Failure:
    """The failure that an error from graphql-core's execution is shown as."""
    return Failure(
        _shown(error),
        path=tuple(error.path) if error.path is not None else None,
        locations=tuple((at.line, at.column) for at in error.locations or ()),
    )


def failure_from(error: Exception, path: tuple[str | int, ...], nodes: list[FieldNode]) -> Failure:
    """The failure that an exception at a field is shown as: as graphql-core would locate it."""
    located = located_error(error, nodes, list(path))
    return Failure(_shown(located), path=path, locations=tuple((at.line, at.column) for at in located.locations or ()))


def _shown(error: GraphQLError) -> GatewayError:
    original: BaseException | None = error
    while isinstance(original, GraphQLError) and original.original_error is not None:
        original = original.original_error
    if isinstance(original, GatewayError):
        return original
    # graphql-core's own errors while executing are about arguments, or about values that do not fit the schema; the
    # latter are faults of ours, and their messages hold the value.
    if isinstance(original, GraphQLError) and original.message.startswith(("Argument ", "Variable ")):
        return BadUserInput(original.message)
    return mask(original or error)


def mask(error: BaseException) -> InternalError:
    """The error shown in place of a bug. The log tells where it happened; its message may hold data and is left out."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    where = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(frames))
    _logger.error("internal error", kind=type(error).__name__, where=where or "unknown")
    return InternalError("The gateway failed while answering this. Its log says more, under this request's id.")

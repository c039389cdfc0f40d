"""The entries of `errors`: errors of the gateway are shown as they are, all others are masked and logged."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import structlog
from graphql import FieldNode, GraphQLError, located_error

from gateway.errors import BadUserInput, CostLimitExceeded, GatewayError, InternalError, raised_at

__all__ = ["Failure", "FieldErrors", "ResponsePath", "as_graphql", "failure_from", "failure_of", "mask", "walk"]

_logger = structlog.get_logger("gateway")

_QUOTED_OR_PYTHON = re.compile(r"""'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+"|\b(?:None|True|False)\b""")
_LITERALS = {"None": "null", "True": "true", "False": "false"}

ResponsePath = tuple[str | int, ...]
"""A response path: field names and list indices."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One entry of `errors`."""

    error: GatewayError
    path: ResponsePath | None = None
    locations: tuple[tuple[int, int], ...] = ()
    """Lines and columns in the document, from 1."""

    def as_json(self) -> dict[str, Any]:
        """Return the entry as JSON values (https://spec.graphql.org/October2021/#sec-Errors)."""
        entry: dict[str, Any] = {"message": self.error.message}
        if self.locations:
            entry["locations"] = [{"line": line, "column": column} for line, column in self.locations]
        if self.path is not None:
            entry["path"] = list(self.path)
        return entry | {"extensions": self.error.extensions()}


def failure_of(error: GraphQLError) -> Failure:
    """Return the failure for an error from graphql-core's execution."""
    return Failure(
        _shown(error),
        path=tuple(error.path) if error.path is not None else None,
        locations=tuple((at.line, at.column) for at in error.locations or ()),
    )


def failure_from(error: Exception, path: ResponsePath, nodes: list[FieldNode]) -> Failure:
    """Return the failure for an exception raised at a field, located as graphql-core does."""
    located = located_error(error, nodes, list(path))
    return Failure(_shown(located), path=path, locations=tuple((at.line, at.column) for at in located.locations or ()))


def _shown(error: GraphQLError) -> GatewayError:
    original: BaseException | None = error
    while isinstance(original, GraphQLError) and original.original_error is not None:
        original = original.original_error
    if isinstance(original, GatewayError):
        return original
    # graphql-core's own errors while executing are about arguments, or about values that do not fit the schema; the
    # latter are bugs of the gateway, and their messages hold the value.
    if isinstance(original, GraphQLError) and original.message.startswith(("Argument ", "Variable ")):
        return BadUserInput(as_graphql(original.message))
    return mask(original or error)


def as_graphql(message: str) -> str:
    """Return a message of graphql-core with its Python values as GraphQL writes them; strings in it stay as they are."""
    return _QUOTED_OR_PYTHON.sub(lambda match: _LITERALS.get(match[0], match[0]), message)


def mask(error: BaseException) -> InternalError:
    """Log an unexpected exception by its type and place, and return the error to show instead.

    Neither holds the exception's message, which may contain data.
    """
    _logger.error("internal error", **raised_at(error))
    return InternalError("The gateway failed while answering this. Its log says more, under this request's id.")


class FieldErrors:
    """The errors of fields while an answer is written. Paths are computed at the end, and only if there are errors."""

    def __init__(self) -> None:
        self._errors: list[tuple[Any, str | int, Exception, list[FieldNode]]] = []

    def __len__(self) -> int:
        return len(self._errors)

    def add(self, target: Any, key: str | int, error: Exception, nodes: list[FieldNode]) -> None:
        """Add the error of the field at `key` of an object of the answer, or at an index of a list."""
        self._errors.append((target, key, error, nodes))

    def failures(
        self, root: Any, path: ResponsePath = (), place: tuple[Any, int] | None = None, *, at_most: int
    ) -> tuple[Failure, ...]:
        """Return the failures in the answer, or the part of one, at that path.

        `place` is the list and index where the part itself was written. After `at_most` failures a last one says that
        there are more.
        """
        if not self._errors:
            return ()
        found: list[Failure] = []
        if place is not None:
            parts, number = place
            errors = self._by_target.get(id(parts), {}).get(number, ())
            found += [failure_from(error, path, nodes) for error, nodes in errors]
        for value, its_path in walk(root, path):
            for key, errors in self._by_target.get(id(value), {}).items():
                for error, nodes in errors:
                    if len(found) == at_most:
                        found.append(Failure(CostLimitExceeded(f"There are more errors than these {at_most}.")))
                        return tuple(found)
                    found.append(failure_from(error, (*its_path, key), nodes))
        return tuple(found)

    @cached_property
    def _by_target(self) -> dict[int, dict[str | int, list[tuple[Exception, list[FieldNode]]]]]:
        """The errors by the id of the object or list, and the key in it; computed after the last one was added."""
        places: dict[int, dict[str | int, list[tuple[Exception, list[FieldNode]]]]] = {}
        for target, key, error, nodes in self._errors:
            places.setdefault(id(target), {}).setdefault(key, []).append((error, nodes))
        return places


def walk(root: Any, path: ResponsePath) -> Iterator[tuple[Any, ResponsePath]]:
    """Yield the objects and lists of an answer with their paths, in the order of the answer."""
    stack: list[tuple[Any, ResponsePath]] = [(root, path)] if root is not None else []
    while stack:
        value, at = stack.pop()
        yield value, at
        below = list(value.items() if isinstance(value, dict) else enumerate(value))
        stack += [(inner, (*at, key)) for key, inner in reversed(below) if isinstance(inner, dict | list)]

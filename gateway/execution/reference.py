"""graphql-core's executor with what the engine can do and it cannot: the request member `onError`, and marked text."""

from __future__ import annotations

from typing import Any

from graphql import GraphQLResolveInfo, is_leaf_type
from graphql.execution import Executor

from gateway.execution.error_behavior import ErrorBehavior
from gateway.execution.fields import PropertyField
from gateway.execution.outside_text import FROM_OUTSIDE

__all__ = ["reference_executor"]


class _NullExecutor(Executor[Any]):
    """Lets no error propagate."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.error_propagation = False


class _MarkingExecutor(Executor[Any]):
    """Marks text that people outside wrote."""

    def complete_value(self, return_type: Any, details: Any, info: GraphQLResolveInfo[Any], *more: Any) -> Any:
        """Complete a value (https://spec.graphql.org/October2021/#CompleteValue())."""
        completed = super().complete_value(return_type, details, info, *more)
        if completed is None or not is_leaf_type(return_type):
            return completed
        field = self.schema.get_field(info.parent_type, info.field_name)
        definition = field.extensions.get("strawberry-definition") if field is not None else None
        is_marked = isinstance(definition, PropertyField) and definition.from_outside
        return {FROM_OUTSIDE: completed} if is_marked else completed


class _NullMarkingExecutor(_MarkingExecutor, _NullExecutor):
    """Does both."""


def reference_executor(behavior: ErrorBehavior, *, mark_outside_text: bool) -> type[Executor[Any]] | None:
    """Return graphql-core's executor for a behavior; None for its default. For `HALT`, keep only its first error."""
    if behavior != "PROPAGATE":
        return _NullMarkingExecutor if mark_outside_text else _NullExecutor
    return _MarkingExecutor if mark_outside_text else None

"""What an error in a field does to the rest of the answer: the request member `onError`.

Follows https://github.com/graphql/graphql-spec/pull/1163, a draft. graphql-core has no such option yet.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from graphql.execution import Executor

__all__ = ["ERROR_BEHAVIORS", "ErrorBehavior", "reference_executor"]

ErrorBehavior = Literal["NULL", "PROPAGATE", "HALT"]
"""`NULL`: the field is null, even where its type does not allow it. `PROPAGATE`: where its type does not allow null, the
nearest field above that does is null. `HALT`: execution ends with the first error, and `data` is null."""
ERROR_BEHAVIORS: tuple[ErrorBehavior, ...] = get_args(ErrorBehavior)


class _NullExecutor(Executor[Any]):
    """graphql-core's executor, where no error propagates."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.error_propagation = False


def reference_executor(behavior: ErrorBehavior) -> type[Executor[Any]] | None:
    """Return graphql-core's executor for a behavior; None for its default. For `HALT`, keep only its first error."""
    return _NullExecutor if behavior != "PROPAGATE" else None

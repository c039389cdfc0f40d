"""What an error in a field does to the rest of the answer: the request member `onError`.

Follows https://github.com/graphql/graphql-spec/pull/1163, a draft. graphql-core has no such option yet.
"""

from __future__ import annotations

from typing import Literal, get_args

__all__ = ["ERROR_BEHAVIORS", "ErrorBehavior"]

ErrorBehavior = Literal["NULL", "PROPAGATE", "HALT"]
"""`NULL`: the field is null, even where its type does not allow it. `PROPAGATE`: where its type does not allow null, the
nearest field above that does is null. `HALT`: execution ends with the first error, and `data` is null."""
ERROR_BEHAVIORS: tuple[ErrorBehavior, ...] = get_args(ErrorBehavior)

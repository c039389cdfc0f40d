"""Who may send a request: the checks of `Host` and of the token, before anything else of it is read."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping

from gateway.callers.callers import Caller, Callers
from gateway.web.browsers import check_host

__all__ = ["Admission"]


class Admission:
    """Finds the caller of a request, for every route that needs one."""

    def __init__(self, callers: Callers, *, any_host: bool) -> None:
        """Admit `callers`. Where no token is required, `Host` must name this machine, unless `any_host` is set."""
        self._callers = callers
        self._any_host = any_host

    def check_host(self, headers: Mapping[str, str]) -> None:
        """Raise `Forbidden` for a foreign `Host`, where that is checked."""
        if not self._callers.require_token and not self._any_host:
            check_host(headers.get("host"))

    def find_caller(self, headers: Mapping[str, str]) -> Caller | Awaitable[Caller]:
        """Return the caller, or an awaitable of it while keys are fetched.

        `headers` have names in lower case, or are found in any case. Raises `Forbidden` for a foreign `Host`, and
        `Unauthenticated`, perhaps when awaited, without a valid token.
        """
        self.check_host(headers)
        return self._callers.identify(headers.get("authorization"))

    async def caller(self, headers: Mapping[str, str]) -> Caller:
        """Return the caller; raises what `find_caller` does."""
        found = self.find_caller(headers)
        return found if isinstance(found, Caller) else await found

"""What one operation carries with it from field to field: its memory, and its caller's rights."""

import time
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from gateway.callers.budgets import Budgets
from gateway.errors import CostLimitExceeded, Forbidden
from gateway.execution.fields import Read
from gateway.source.loaders import Loaders, Missing
from gateway.source.trace import Trace
from gateway.twilio.paths import redacted, sids_of

__all__ = ["Context"]


_RECORDS_MAX = 20_000


@dataclass(slots=True)
class Context:
    """One operation's context: its memory, which is where its reads go."""

    loaders: Loaders
    services: frozenset[str] | None = None
    """The sids of the services that the caller may read; None for all."""
    cost_max: int = 5000
    """Upstream calls that one operation may ask for, in the worst case."""
    cost_limit: int = 500
    """Upstream calls that one operation may make."""
    trace: Trace | None = None
    asked: frozenset[str] = frozenset()
    """The keys of the reads so far."""
    skips: Counter[str] = field(default_factory=Counter)
    """How often something was not read, by the reason."""
    runs: Counter[str] = field(default_factory=Counter)
    """Operations executed by the engine, and by graphql-core, by reason."""
    budgets: Budgets | None = None
    """What each caller may cause."""
    reserved: int = 0
    """Calls that were taken from the caller's budget beforehand."""
    records: int = 0
    """Records in the answer so far. What was read once can be shown many times, at no call."""

    def reserve(self, calls: int) -> None:
        """Let an operation begin that could take so many calls; raises `CostLimitExceeded` when its caller has too few left."""
        if self.budgets is not None:
            self.reserved = self.budgets.reserve(self.loaders.options.caller, calls, time.monotonic())

    def admit(self, read: Read) -> None:
        """Let a read pass, or raise `Forbidden`: the same for a service that exists and for one that does not."""
        if self.services is not None:
            sids = sids_of(read.path)
            if sids and sids[0] not in self.services:
                raise Forbidden("This caller may not read that service.")

    def skip(self, path: str, reason: str) -> None:
        """Note that something was not read."""
        self.skips[reason] += 1
        if self.trace is not None:
            self.trace.skipped[path] = reason

    def redacted(self, key: str) -> str:
        """A key as people are shown it."""
        return redacted(key)

    def affords(self, keys: Iterable[str]) -> bool:
        """Whether reading these too is within the limit; if so, they are counted."""
        asked = self.asked.union(key for key in keys if not self.loaders.is_cached(key))
        if len(asked) > self.cost_limit:
            return False
        self.asked = asked
        return True

    def afford(self, keys: Collection[str]) -> None:
        """Let these be read together; raises `CostLimitExceeded` when they are beyond the limit."""
        if not self.affords(keys):
            raise CostLimitExceeded(
                f"The operation has made {len(self.asked)} upstream calls and needs {len(keys)} more at once; "
                f"{self.cost_limit} are allowed. Ask for less at a time."
            )

    def start_again(self) -> None:
        """Forget what was counted: the answer is made anew, from what is known by now."""
        self.records = 0

    def look(self, read: Read, wants_row: bool) -> tuple[object | None] | str:
        """What the read leads to, in a tuple, or the key that is missing for it; raises what is to be shown as its error.

        Where no more than ids and sids are wanted, a reference will do.
        """
        self.admit(read)
        if not wants_row and not self.no_cache:
            reference = read.reference()
            if reference is not None:
                self.skip(read.path, "nothing beyond ids, sids and what is known is selected")
                return (reference,)
        key = read.first_key(self)
        if self.trace is not None:
            self.trace.looked[key or read.path] = None
        if key is not None and self.loaders.is_missing(key):
            return key
        try:
            return (read.resolve(self),)
        except Missing as missing:
            return missing.key

    async def fetch(self, keys: Iterable[str]) -> None:
        """Fetch what is missing, together."""
        await self.loaders.fetch(keys)

    def settle(self, read: Read, wants_row: bool) -> Any:
        """What the read leads to: at once when all is known, else an awaitable of it. Raises as `look` does."""
        found = self.look(read, wants_row)
        return self._fetch(read, found) if isinstance(found, str) else self._counted(read, found[0])

    async def _fetch(self, read: Read, key: str) -> Any:
        while True:
            self.afford([key])
            await self.loaders.fetch([key])
            try:
                return self._counted(read, read.resolve(self))
            except Missing as missing:
                key = missing.key

    def _counted(self, read: Read, child: Any) -> Any:
        if child is not None:
            self.count(read.size_of(child))
        return child

    def count(self, records: int) -> None:
        """Count more records of the answer; raises `CostLimitExceeded` when the answer would grow too large."""
        if self.records + records > _RECORDS_MAX:
            raise CostLimitExceeded(
                f"The answer would hold more than {_RECORDS_MAX} records: ask for smaller pages or fewer levels."
            )
        self.records += records

    @property
    def no_cache(self) -> bool:
        """Whether nothing may be answered from what is merely known (`Cache-Control: no-cache`)."""
        return self.loaders.no_cache

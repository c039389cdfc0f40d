"""What one operation carries with it from field to field: its memory, and its caller's rights."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gateway.errors import CostLimitExceeded, Forbidden
from gateway.execution.fields import Read
from gateway.loaders import Loaders, Missing
from gateway.twilio.paths import sids_of

__all__ = ["Context"]


_RECORDS_MAX = 20_000


@dataclass(slots=True)
class Context:
    """One operation's context: its memory, which is where its reads go."""

    loaders: Loaders
    services: frozenset[str] | None = None
    """The sids of the services that the caller may read; None for all."""
    call_limit: int = 500
    """Upstream calls that one operation may make."""
    records: int = 0
    """Records in the answer's lists so far. What was read once can be shown many times, at no call."""

    def admit(self, read: Read) -> None:
        """Let a read pass, or raise `Forbidden`: the same for a service that exists and for one that does not."""
        if self.services is not None:
            sids = sids_of(read.path)
            if sids and sids[0] not in self.services:
                raise Forbidden("This caller may not read that service.")

    def affords(self, calls: int) -> bool:
        """Whether so many more calls are within the limit."""
        return self.loaders.calls + calls <= self.call_limit

    def afford(self, calls: int) -> None:
        """Let so many calls be made together; raises `CostLimitExceeded` when they are beyond the limit."""
        if not self.affords(calls):
            raise CostLimitExceeded(
                f"The operation has made {self.loaders.calls} upstream calls and needs {calls} more at once; "
                f"{self.call_limit} are allowed. Ask for less at a time."
            )

    def start_again(self) -> None:
        """Forget what was counted: the answer is made anew, from what is known by now."""
        self.records = 0

    def look(self, read: Read, wants_row: bool) -> tuple[object | None] | str:
        """What the read leads to, in a tuple, or the key that is missing for it; raises what is to be shown as its error.

        Where no more than ids and sids are wanted, a reference will do.
        """
        self.admit(read)
        if not wants_row and not self.fresh:
            reference = read.reference()
            if reference is not None:
                return (reference,)
        try:
            return (read.resolve(self),)
        except Missing as missing:
            return missing.key

    async def fetch(self, keys: Iterable[str]) -> None:
        """Fetch what is missing, together."""
        await self.loaders.fetch(keys)

    def settle(self, read: Read) -> Any:
        """What the read leads to: at once when all is known, else an awaitable of it."""
        try:
            return self._counted(read, read.resolve(self))
        except Missing as missing:
            return self._fetch(read, missing.key)

    async def _fetch(self, read: Read, key: str) -> Any:
        while True:
            self.afford(1)
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
        """Count the records of one more list; raises `CostLimitExceeded` when the answer would grow too large."""
        if self.records + records > _RECORDS_MAX:
            raise CostLimitExceeded(
                f"The answer would hold more than {_RECORDS_MAX} records in its lists: ask for smaller pages or fewer levels."
            )
        self.records += records

    @property
    def fresh(self) -> bool:
        """Whether nothing may be answered from what is merely known (`Cache-Control: no-cache`)."""
        return self.loaders.fresh

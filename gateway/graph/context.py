"""What one operation carries with it from field to field: its memory, and its caller's rights."""

from dataclasses import dataclass

from gateway.errors import Forbidden
from gateway.execution.fields import Read
from gateway.loaders import Loaders
from gateway.twilio.paths import sids_of

__all__ = ["Context"]


@dataclass(frozen=True, slots=True)
class Context:
    """One operation's context: its memory, which is where its reads go."""

    loaders: Loaders
    services: frozenset[str] | None = None
    """The sids of the services that the caller may read; None for all."""

    def admit(self, read: Read) -> None:
        """Let a read pass, or raise `Forbidden`: the same for a service that exists and for one that does not."""
        sids = sids_of(read.path)
        if self.services is not None and sids and sids[0] not in self.services:
            raise Forbidden("This caller may not read that service.")

    @property
    def fresh(self) -> bool:
        """Whether nothing may be answered from what is merely known (`Cache-Control: no-cache`)."""
        return self.loaders.fresh

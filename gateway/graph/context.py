"""What one operation carries with it from field to field."""

from dataclasses import dataclass

from gateway.loaders import Loaders

__all__ = ["Context"]


@dataclass(frozen=True, slots=True)
class Context:
    """One operation's context: its memory, which is where its reads go."""

    loaders: Loaders

    @property
    def fresh(self) -> bool:
        """Whether nothing may be answered from what is merely known (`Cache-Control: no-cache`)."""
        return self.loaders.fresh

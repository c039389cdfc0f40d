"""The graph of one Twilio account, ready to be asked: the schema, and the memory each operation gets."""

import asyncio
from dataclasses import dataclass
from typing import Any

from gateway.execution.operation import Executor, Outcome
from gateway.graph.context import Context
from gateway.graph.schema import make_schema
from gateway.graph.types import RESOURCES
from gateway.loaders import Loaders
from gateway.trace import Trace
from gateway.twilio.client import Client

__all__ = ["Limits", "Operations", "cost_of"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one operation may take."""

    deadline: float = 10.0
    """Seconds."""
    cost_max: int = 5000
    """Upstream calls in the worst case; an operation that could take more is refused before it runs."""
    call_limit: int = 500
    """Upstream calls in fact; what would take more is not read."""


class Operations:
    """Carries out operations, each with its own loaders and its own deadline."""

    def __init__(self, client: Client, limits: Limits | None = None, *, introspection: bool = True) -> None:
        """Take the client to read with, what an operation may take, and whether the schema may be asked for."""
        self._client = client
        self._limits = limits or Limits()
        self._executor = Executor(make_schema(), introspection=introspection)

    async def run(
        self,
        document: str,
        *,
        variables: dict[str, Any] | None = None,
        operation_name: str | None = None,
        fresh: bool = False,
        services: frozenset[str] | None = None,
        engine: bool = True,
        trace: bool = False,
        dry_run: bool = False,
    ) -> Outcome:
        """Carry out one operation. When this is cancelled, so are the reads that only it waits for.

        With `fresh`, nothing is answered from what is merely known (`Cache-Control: no-cache`). With `services`, only
        those may be read. Without `engine`, graphql-core does it, more slowly. With `trace`, `extensions` tell its cost
        and its calls; a `dry_run` makes none, and tells what it would do.
        """
        now = asyncio.get_running_loop().time()
        notes = Trace(now) if trace else None
        deadline = now + self._limits.deadline
        async with Loaders(self._client, RESOURCES, fresh=fresh, deadline=deadline, trace=notes) as loaders:
            context = Context(loaders, services, self._limits.cost_max, self._limits.call_limit, notes)
            outcome = await self._executor.run(
                document,
                context,
                variables=variables,
                operation_name=operation_name,
                engine=engine,
                dry_run=dry_run,
            )
        outcome.calls = loaders.calls
        if notes is not None and outcome.executed:
            outcome.extensions |= {"cost": cost_of(outcome), "upstream": notes.as_json()}
        return outcome


def cost_of(outcome: Outcome) -> dict[str, int]:
    """The three numbers: calls in the worst case, calls decided on, calls made; retries aside."""
    return {"requested": outcome.requested, "planned": outcome.calls, "actual": outcome.calls}

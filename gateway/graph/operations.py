"""The graph of one Twilio account, ready to be asked: the schema, and the memory each operation gets."""

import asyncio
from dataclasses import replace
from typing import Any

from gateway.execution.operation import Executor, Outcome
from gateway.graph.context import Context
from gateway.graph.schema import make_schema
from gateway.graph.types import RESOURCES
from gateway.loaders import Loaders
from gateway.twilio.client import Client

__all__ = ["Operations"]


class Operations:
    """Carries out operations, each with its own loaders and its own deadline."""

    def __init__(self, client: Client, *, deadline: float = 10.0, introspection: bool = True) -> None:
        """Take the client to read with, the seconds an operation may take, and whether the schema may be asked for."""
        self._client = client
        self._deadline = deadline
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
    ) -> Outcome:
        """Carry out one operation. When this is cancelled, so are the reads that only it waits for.

        With `fresh`, nothing is answered from what is merely known (`Cache-Control: no-cache`). With `services`, only
        those may be read. Without `engine`, graphql-core does it, more slowly.
        """
        deadline = asyncio.get_running_loop().time() + self._deadline
        async with Loaders(self._client, RESOURCES, fresh=fresh, deadline=deadline) as loaders:
            context = Context(loaders, services)
            outcome = await self._executor.run(
                document, context, variables=variables, operation_name=operation_name, engine=engine
            )
            return replace(outcome, calls=loaders.calls)

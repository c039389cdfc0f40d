"""An upstream with one service of known truth, whose calls are recorded by round trip."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from gateway.accounts.operation import Operation
from gateway.execution.outcome import Outcome
from gateway.sandbox.api import Api
from gateway.sandbox.world import World
from gateway.twilio.responses import Response

from ..execution.conftest import Rounds, context_over, sandbox_answer
from ..execution.random_operations import INTERPRETER, REFERENCE
from ..failing_service import fill_service

__all__ = ["CONVERSATIONS", "MESSAGES", "RECEIPTS", "Service"]


class Service(Rounds):
    """An upstream with one service: conversations with messages to one recipient each, of which so many in all failed."""

    def __init__(self, conversations: int, messages: int, failing: int) -> None:
        super().__init__()
        self.world = World(7, "small")
        self.service = self.world.services[3]  # It is empty.
        self.failing_targets = ""
        """The pattern of targets that are answered with 503."""
        self._api = Api(self.world)
        fill_service(self.world, self.service, conversations, messages, failing)

    def respond(self, target: str) -> Response:
        if self.failing_targets and re.search(self.failing_targets, target):
            return Response(503, {}, b"")
        return sandbox_answer(target, self._api)

    def run(self, document: str, *, reference: bool = False, **variables: Any) -> Outcome:
        """Execute an operation by the engine, or by graphql-core."""

        async def once() -> Outcome:
            async with context_over(self) as context:
                values = {"serviceSid": self.service.sid, **variables}
                operation = Operation(document, variables=values, reference=reference)
                return await (REFERENCE if reference else INTERPRETER).run(operation, context)

        return asyncio.run(once())

    @property
    def calls(self) -> list[str]:
        """The calls of all round trips, without sids."""
        return [re.sub(r"([A-Z]{2})[0-9a-f]{32}", r"\1", target) for each in self.rounds for target in each]


CONVERSATIONS = "Services/IS/Conversations?StartDate=2000-01-01T00%3A00%3A00Z&PageSize=100"
MESSAGES = "Services/IS/Conversations/CH/Messages?Order=desc&PageSize=100"
RECEIPTS = "Services/IS/Conversations/CH/Messages/IM/Receipts?PageSize=50"

"""Activity of a sandbox on its own: messages are sent, and their receipts advance one after the other."""

import asyncio
from collections.abc import Iterator
from itertools import cycle

from .conversation import ERROR_CODES, MessageRecord, ReceiptRecord
from .occurrences import Occurrence
from .sample_text import BODIES
from .state import SandboxState

__all__ = ["Activity"]

STEP_SECONDS = 1.0
# One receipt in as many fails, on each channel.
FAILS_EVERY = 5


class Activity:
    """Sends messages in the first conversation, and advances their receipts: to sent, delivered and read, or to a failure.

    Each change fires webhooks. The same seed gives the same changes in the same order.
    """

    def __init__(self, state: SandboxState) -> None:
        """Initialize without a change."""
        self._world = state.world
        self._conversation = self._world.find_conversation(state.landmarks["conversation_sid"])
        self._bodies = cycle(BODIES)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Make a change every second, from now on."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Make no more changes."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def steps(self) -> Iterator[None]:
        """Send one message and advance each of its receipts until it is final, one change for each step."""
        world, conversation = self._world, self._conversation
        message = self._send()
        yield
        is_advancing = True
        while is_advancing:
            is_advancing = False
            for receipt in conversation.receipts(message):
                to, error_code = self._next(message, receipt)
                sid = conversation.receipt_sid(message, receipt)
                if world.progress(message.sid, receipt_sid=sid, to=to, error_code=error_code):
                    is_advancing = True
                    yield

    async def _run(self) -> None:
        while True:
            for _ in self.steps():
                await asyncio.sleep(STEP_SECONDS)

    def _send(self) -> MessageRecord:
        now = self._world.tick()
        author = next(one for one in self._conversation.present_participants() if not one.is_reachable)
        message = self._conversation.add_message(
            author=author.name,
            body=next(self._bodies),
            media=None,
            attributes="{}",
            date_created=now,
            date_updated=now,
        )
        self._world.fire(Occurrence("onMessageAdded", self._conversation, now, message))
        return message

    def _next(self, message: MessageRecord, receipt: ReceiptRecord) -> tuple[str | None, int]:
        """Return the failure of a receipt that is sent, if it is its turn to fail; None for the next status."""
        number = message.index + receipt.participant.number
        if receipt.status != "sent" or number % FAILS_EVERY:
            return None, 0
        status = ("failed", "undelivered")[number // FAILS_EVERY % 2]
        codes = ERROR_CODES[receipt.participant.channel, status]
        return status, codes[number // FAILS_EVERY % len(codes)]

"""The state of a sandbox: its world, credentials, faults and switches, and the log of calls. No sockets here."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future

from .calls import Call
from .faults import Faults
from .occurrences import Occurrence
from .resources import Renderer
from .switches import Switches
from .webhook_events import WebhookEvent, webhook_event
from .webhook_settings import POST_EVENTS, WebhookConfiguration
from .webhooks import Webhook, Webhooks
from .world import Size, World

# When the log gets longer, its oldest half is dropped, so that a sandbox can run for weeks.
LOG_LENGTH = 200_000


class SandboxState:
    """What the control routes read and change, and the server serves from."""

    def __init__(
        self, seed: int, size: Size, switches: Switches | None, account_sid: str | None, auth_token: str | None
    ) -> None:
        self.world = World(seed, size, account_sid)
        drawn = self.world.seed
        self.account_sid = self.world.account_sid
        self.auth_token = auth_token or drawn.draw("auth token").hex()[:32]
        self.api_key = drawn.sid("SK", "", 0)
        self.api_secret = drawn.draw("api secret").hex()[:32]
        self.landmarks = self.world.landmarks()
        self.switches = switches or Switches()
        self.faults = Faults(seed)
        self.calls: list[Call] = []
        self._webhooks = Webhooks(self.world.webhooks, self.world.seed, self.auth_token, self.faults, self._notify)
        self.world.on_occurrence = self._fire
        self.in_flight = 0
        self.max_in_flight = 0
        self.max_concurrency: int | None = None
        self._arrived = 0
        self._waiters: deque[Future[None]] = deque()

    @property
    def paths(self) -> list[str]:
        """The targets of all calls, in order of arrival."""
        return [call.target for call in self.calls]

    @property
    def webhooks(self) -> list[Webhook]:
        """The log of webhooks, in the order in which they were fired."""
        return self._webhooks.log

    def reset(self) -> None:
        """Clear the logs of calls and webhooks, and set `max_in_flight` to the calls that are in flight now."""
        self.calls.clear()
        self._webhooks.log.clear()
        self.max_in_flight = self.in_flight

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds, in any event loop and thread: a signal in place of a sleep.

        Args:
            condition: Evaluated at once, and whenever a call or a webhook arrives or ends.
        """
        while True:
            waiter: Future[None] = Future()
            self._waiters.append(waiter)  # Before the condition is evaluated, so that no call is missed in between.
            if condition():
                return
            await asyncio.wrap_future(waiter)

    def begin_call(self, method: str, path: str, query: str, headers: Mapping[str, str]) -> Call:
        """Log a call that arrived, and count it as in flight."""
        self._arrived += 1
        call = Call(method, path, query, headers, self.world.seed.sid("RQ", "", self._arrived))
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        self.calls.append(call)
        if len(self.calls) > LOG_LENGTH:
            del self.calls[: LOG_LENGTH // 2]
        self._notify()
        return call

    def end_call(self, call: Call) -> None:
        """Mark a call as ended, and count it as in flight no longer."""
        call.open = False
        self.in_flight -= 1
        self._notify()

    def configure_webhooks(self, url: str) -> None:
        """Send every event to a URL, as the account's `Configuration/Webhooks` has it. A service's own silences it."""
        self.world.webhooks.account = WebhookConfiguration(post_url=url, filters=POST_EVENTS)

    def progress(
        self, message_sid: str, *, receipt_sid: str | None = None, to: str | None = None, error_code: int = 30008
    ) -> list[str]:
        """Advance the receipts of a message, in any thread, and fire `onDeliveryUpdated` for each that changes.

        Args:
            message_sid: The message.
            receipt_sid: The only receipt to advance; None for all.
            to: The new status; by default the next one: null → sent → delivered, and → read on WhatsApp alone.
            error_code: The code of receipts that become failed or undelivered.

        Returns:
            The sids of the receipts that changed.

        Raises:
            LookupError: The message or the receipt does not exist.
            ValueError: `to` is not a status.
        """
        return self.world.progress(message_sid, receipt_sid=receipt_sid, to=to, error_code=error_code)

    def trigger(self, event: str, parameters: Mapping[str, str], url: str | None = None) -> list[Webhook]:
        """Fire one event by hand, even if no data has changed.

        Args:
            event: The `EventType`, such as `onDeliveryUpdated`.
            parameters: Parameters in place of those of the record that they name: `DeliveryReceiptSid`, `MessageSid`,
                `ParticipantSid` or `ConversationSid`; by default, a record of the landmarks.
            url: Where to send it by POST; by default, wherever it is configured.

        Returns:
            The webhooks that are sent.

        Raises:
            LookupError: A record does not exist, or no webhook is configured for the event.
            ValueError: The event is not one that the sandbox sends.
        """
        occurrence = self.world.occurrence(event, {**parameters})
        found = webhook_event(occurrence, self._renderer)
        replaced = WebhookEvent(event, found.service_sid, found.conversation_sid, {**found.parameters, **parameters})
        sent = self._webhooks.fire(replaced) if url is None else [self._webhooks.fire_at("POST", url, replaced)]
        if not sent:
            raise LookupError(f"no webhook is configured for {event} in {found.conversation_sid}")
        return sent

    @property
    def _renderer(self) -> Renderer:
        return Renderer(self.account_sid, "", self.switches)

    def _fire(self, occurrence: Occurrence) -> None:
        self._webhooks.fire(webhook_event(occurrence, self._renderer))

    def _notify(self) -> None:
        for _ in range(len(self._waiters)):
            waiter = self._waiters.popleft()
            if waiter.set_running_or_notify_cancel():
                waiter.set_result(None)

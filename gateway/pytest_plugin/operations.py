"""The gateway of a test: its operations, and their answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from .events import Events

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

    from gateway.accounts.account import Account
    from gateway.sandbox import Sandbox
    from gateway.twilio.client import Attempt
    from gateway.web.streams import Streams

__all__ = ["Answer", "Gateway"]


@dataclass(frozen=True)
class Answer:
    """The answer to one operation, as JSON values, and the upstream calls made for it."""

    data: Any
    """The data; None also when the operation was rejected before it ran."""
    errors: list[dict[str, Any]]
    extensions: dict[str, Any]
    """The extensions of a request with `X-Gateway-Trace: 1`: `cost`, and `upstream` with every call."""
    upstream_calls: list[str]
    """The upstream paths, without `/v1/`, in the order of the calls; a retried call is there again."""

    @property
    def codes(self) -> list[str]:
        """The errors' codes."""
        return [error["extensions"]["code"] for error in self.errors]


class Gateway:
    """A gateway in process over the sandbox of a test. It caches nothing between queries."""

    def __init__(self, sandbox: Sandbox, account: Account, streams: Streams, portal: BlockingPortal) -> None:
        """Initialize with an account that is open on the sandbox, its streams, and the portal to their event loop."""
        self._sandbox = sandbox
        self._account = account
        self._streams = streams
        self._portal = portal

    @property
    def upstream_calls(self) -> list[str]:
        """The paths of all calls to the test's sandbox, without `/v1/`, in order of arrival."""
        return self._sandbox.paths

    async def query(self, document: str, variables: dict[str, Any] | None = None, **more: Any) -> Answer:
        """Run one operation and return its answer; awaitable on asyncio and trio.

        Args:
            document: The GraphQL document.
            variables: Its variables. Those with the names of the sandbox's landmarks, such as `$serviceSid` and
                `$conversationSid`, need no value.
            **more: More variables, such as `first=10`; or options: `no_cache=True` for `Cache-Control: no-cache` (alias:
                `fresh`), `seconds` for `X-Gateway-Timeout`, `operation_name` to choose one of several operations.

        Raises:
            TypeError: A name in `more` is neither an option nor a variable of the document.
        """
        return await self._portal.call_async(partial(self._answer, document, variables, **more))

    def query_sync(self, document: str, variables: dict[str, Any] | None = None, **more: Any) -> Answer:
        """Run one operation and return its answer, as `query` does, in a test that is not async."""
        return self._portal.call(partial(self._answer, document, variables, **more))

    def subscribe(
        self,
        document: str,
        variables: dict[str, Any] | None = None,
        *,
        operation_name: str | None = None,
        **more: Any,
    ) -> Events:
        """Return the events of a subscription, which begins with `async with`, or `with` in a test that is not async.

        The sandbox's webhooks reach the gateway: a change, such as by `receipts_sandbox.progress(message_sid)`, is an event.

        Args:
            document: The GraphQL document.
            variables: Its variables, as for `query`.
            operation_name: The operation to choose, of several.
            **more: More variables.

        Raises:
            TypeError: A name in `more` is not a variable of the document.

        Example:
            async with receipts_gateway.subscribe(DELIVERIES) as events:
                ready = await events.next()
                receipts_sandbox.progress(receipts_sandbox.landmarks["message_sid"])
                change = await events.next(timeout=2)
        """
        from gateway.accounts.operation import Operation

        variables = self._variables(document, variables, more)
        self._check_names("subscribe", document, more)
        operation = Operation(document, variables=variables, name=operation_name)
        return Events(self._sandbox, self._account, self._streams, self._portal, operation)

    async def _answer(
        self,
        document: str,
        variables: dict[str, Any] | None,
        *,
        no_cache: bool = False,
        fresh: bool = False,
        seconds: float | None = None,
        operation_name: str | None = None,
        **more: Any,
    ) -> Answer:
        from gateway.accounts.operation import Operation

        attempts: list[tuple[float, str]] = []

        def note(target: str, attempt: Attempt) -> None:
            attempts.append((attempt.began, target))

        outcome = await self._account.run(
            Operation(
                document,
                variables=self._variables(document, variables, more),
                name=operation_name,
                no_cache=no_cache or fresh,
                timeout=seconds,
                trace=True,
                on_attempt=note,
            )
        )
        self._check_names("query", document, more)
        return Answer(
            outcome.data,
            [failure.as_json() for failure in outcome.failures],
            outcome.extensions,
            [target for _, target in sorted(attempts, key=lambda each: each[0])],
        )

    def _variables(self, document: str, variables: dict[str, Any] | None, more: dict[str, Any]) -> dict[str, Any]:
        from gateway.demo import landmark_variables

        return landmark_variables(document, self._sandbox.landmarks) | (variables or {}) | more

    @staticmethod
    def _check_names(method: str, document: str, more: dict[str, Any]) -> None:
        """Raise TypeError for a name that the document does not declare."""
        from gateway.execution.inputs import undeclared

        unknown = undeclared(document, more)
        if unknown:
            names = ", ".join(unknown)
            raise TypeError(f"{method}() got {names}: neither options nor variables that the document declares.")

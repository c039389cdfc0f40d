"""The outcome of an operation: its data and errors, and the payloads of deferred fragments."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any

import msgspec

from gateway.execution.deferred import IncrementalPayload, Pending
from gateway.execution.failures import Failure

__all__ = ["Outcome", "Subsequent"]


class Subsequent:
    """The payloads after the initial one, in order (https://github.com/graphql/graphql-spec/pull/1110).

    Iterate over it, or close it: it holds the operation's reads until then.
    """

    def __init__(
        self, payloads: AsyncGenerator[IncrementalPayload, None], on_close: Callable[[], None] | None = None
    ) -> None:
        """Deliver `payloads`; `on_close` is called once, after the last of them or on `aclose`."""
        self._payloads = payloads
        self._on_close = on_close

    def __aiter__(self) -> Subsequent:
        return self

    async def __anext__(self) -> IncrementalPayload:
        try:
            return await anext(self._payloads)
        except BaseException:
            self._closed()
            raise

    async def aclose(self) -> None:
        """Cancel the reads in progress."""
        try:
            await self._payloads.aclose()
        finally:
            self._closed()

    def _closed(self) -> None:
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()


class Outcome(msgspec.Struct, eq=False):
    """The result of a request: data and errors, or errors alone when it failed before execution."""

    _data: dict[str, Any] | None
    failures: tuple[Failure, ...] = ()
    executed: bool = True
    """Whether execution began. If it did not, the response has no `data` entry, not even null."""
    operation: str | None = None
    """The operation's name, if it has one."""
    document: str = ""
    """The first 16 hexadecimal digits of the document's SHA-256, which name it in the log."""
    calls: int = 0
    """Upstream calls made for it (`actual`)."""
    planned: int = 0
    """Upstream calls that it needed, those shared with other requests included."""
    requested: int = 0
    """Upstream calls in the worst case."""
    extensions: dict[str, Any] = {}
    max_age: Callable[[], float] = float
    """Returns the seconds until the answer is stale (RFC 9111, 4.2); 0 unless the account sets it."""
    shared_with: str | None = None
    """The id of the request that the operation was executed for, when that is another, equal request."""
    budget: dict[str, int] | None = None
    """The caller's budget after the operation, where there is one."""
    encoded: bytes | None = None
    """The response body, once it has been encoded."""
    pending: list[Pending] = []
    """The deferred fragments: one for each result that `subsequent` delivers."""
    subsequent: Subsequent | None = None
    """The subsequent payloads, where something is deferred."""
    data_json: bytes | None = None
    """The data as JSON, where the executor has encoded it."""
    incomplete: str | None = None
    """Of an event: the code of its failures. An event has no errors; what failed is null in its data."""

    def __repr__(self) -> str:
        return f"Outcome(operation={self.operation!r}, code={self.code!r}, calls={self.calls})"  # Data may be personal.

    @property
    def data(self) -> dict[str, Any] | None:
        """The data, or the initial data where something is deferred; None as in the specification."""
        if self._data is None and self.data_json is not None:
            self._data = msgspec.json.decode(self.data_json)
        return self._data

    @property
    def code(self) -> str:
        """`ok`, or the code of the first error."""
        return self.failures[0].error.code if self.failures else "ok"

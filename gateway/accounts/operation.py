"""An operation as a value: a GraphQL request with its options and its caller."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
import orjson

from gateway.execution.error_behavior import ErrorBehavior
from gateway.twilio.client import AttemptListener

__all__ = ["Operation", "OperationKey"]

_SHORT = 512  # Bytes of variables. Beyond that, an answer's key should not take more memory than the answer.


class OperationKey(NamedTuple):
    """The values that are equal in two operations that have the same outcome."""

    document: str
    variables: bytes
    """The variables as JSON with sorted keys, or its SHA-256 if it is long; empty without variables."""
    name: str | None
    no_cache: bool
    services: frozenset[str] | None
    reference: bool
    dry_run: bool
    on_error: ErrorBehavior
    mark_outside_text: bool
    timeout: float | None
    caller: str | None
    """Only where callers have budgets."""


class Operation(msgspec.Struct, frozen=True):
    """One GraphQL operation to execute (https://spec.graphql.org/October2021/#sec-Executing-Requests).

    Example:
        operation = gateway.Operation(
            "query Services($first: Int) { services(first: $first) { edges { node { sid } } } }",
            variables={"first": 10},
            timeout=2.0,
        )
        async with gateway.open_account(settings) as account:
            outcome = await account.run(operation)
        assert len(outcome.data["services"]["edges"]) <= 10
    """

    document: str
    """The GraphQL document's text."""
    variables: dict[str, Any] | None = None
    """The variables, as JSON values."""
    name: str | None = None
    """The name of the operation to execute, needed when the document has several."""
    caller: str = ""
    """The caller's name. Upstream calls are scheduled fairly among callers, and charged to the caller's budget."""
    services: frozenset[str] | None = None
    """The sids of the services that the caller may read; None means all."""
    no_cache: bool = False
    """Read everything from Twilio, as `Cache-Control: no-cache` asks (RFC 9111, 5.2.1.4)."""
    timeout: float | None = None
    """Seconds for this operation; it can only shorten the account's deadline."""
    trace: bool = False
    """Whether `extensions` hold the cost and every upstream call."""
    dry_run: bool = False
    """Read nothing; `extensions.plan` holds what would be read."""
    defer: bool = False
    """Whether `Outcome.subsequent` may deliver the fragments with `@defer`."""
    on_error: ErrorBehavior = "PROPAGATE"
    """What an error in a field does to the rest of the answer: `NULL`, `PROPAGATE` or `HALT`
    (https://github.com/graphql/graphql-spec/pull/1163)."""
    mark_outside_text: bool = False
    """Write each text that people outside wrote, such as a message's body, as an object with the one key `fromOutside`."""
    reference: bool = False
    """Execute with graphql-core, the reference for the engine."""
    request_id: str = ""
    """The id of the request in the log."""
    in_url: bool = False
    """Whether it came in a URL, as with GET: it must not search for a person then, since servers on the way log URLs."""
    on_attempt: AttemptListener | None = None
    """Called after each upstream request made for this operation."""
    on_close: Callable[[int], None] | None = None
    """Called with the number of upstream calls made, when the operation has been executed or cancelled; not for an operation
    whose outcome was cached, or shared with another."""

    def __repr__(self) -> str:
        return (
            f"Operation(name={self.name!r}, caller={self.caller!r})"  # A document or a variable may hold personal data.
        )

    def key(self, *, per_caller: bool) -> OperationKey | None:
        """Return a key that equal operations have in common; None for an operation that shares its outcome with no other.

        Those are operations with a trace, with deferred fragments, or with variables that cannot be encoded. With `per_caller`,
        operations of two callers are never equal.
        """
        if self.trace or self.defer:
            return None
        try:
            variables = orjson.dumps(self.variables, option=orjson.OPT_SORT_KEYS) if self.variables else b""
        except TypeError:  # orjson rejects some values that JSON can hold, such as integers above 64 bits.
            return None
        values = (
            self.document,
            variables if len(variables) <= _SHORT else sha256(variables).digest(),
            self.name,
            self.no_cache,
            self.services,
            self.reference,
            self.dry_run,
            self.on_error,
            self.mark_outside_text,
            self.timeout,
            self.caller if per_caller else None,
        )
        return tuple.__new__(OperationKey, values)  # What `OperationKey` does, without a call in between.

"""The context of one operation: its records, its caller's rights, and its limits."""

from __future__ import annotations

import time
from asyncio import gather
from collections import Counter
from collections.abc import Collection, Coroutine, Iterable
from dataclasses import replace
from typing import Any, cast

import msgspec

from gateway.callers.budgets import Budgets
from gateway.errors import CostLimitExceeded, Forbidden
from gateway.execution.context import MissingKey, OperationLimits, Read, ReadBatch
from gateway.execution.failures import Failure
from gateway.graph.lists import OwnServices, PagedList, WholeList, WholeLists
from gateway.graph.reads import Item, Member
from gateway.graph.walk import Walk
from gateway.source.loaders import Loaders, Missing
from gateway.source.trace import Trace
from gateway.twilio.paths import redacted, sids_of

__all__ = ["REFERENCE", "OperationContext"]


REFERENCE = "only ids, sids and known values are selected"
"""Why a record that the query names is not read."""
_GraphRead = Item | Member | PagedList | WholeList | OwnServices


class OperationContext(msgspec.Struct, eq=False):
    """The context of one operation (see `gateway.execution.context.Context`)."""

    loaders: Loaders
    services: frozenset[str] | None = None
    """The sids of the services that the caller may read; None means all."""
    limits: OperationLimits = OperationLimits()
    trace: Trace | None = None
    skipped: dict[str, str] = {}
    """The paths of reads that were not needed, with the reasons."""
    runs: Counter[str] = msgspec.field(default_factory=Counter)
    """Operations executed by the engine, and by graphql-core, by reason."""
    budgets: Budgets | None = None
    """The callers' budgets."""
    charged: frozenset[str] = frozenset()
    """The keys that count towards `cost_limit`, and perhaps some that are cached."""
    left_out: dict[str, None] = {}
    """The keys that were not fetched because of `cost_limit`, in the order of the answer."""
    reserved: int = 0
    """Upstream calls reserved in the caller's budget."""
    records: int = 0
    """Records in the answer so far; one at several places counts once for each."""
    amendments: int = 0
    """How often events have changed records that were read, as far as they are merged."""
    walks: dict[PagedList, Walk] = {}
    """Walks over lists that wait for a page."""
    searches: dict[Any, Any] = {}
    """Searches through several lists, by their reads; those that are complete too, so that none is made twice."""
    failures: list[Failure] = []
    """Errors of edges that are combined, for graphql-core."""
    no_cache: bool = False
    """Whether every record is read from Twilio (`Cache-Control: no-cache`, RFC 9111, 5.2.1.4)."""

    _limit_error: CostLimitExceeded | None = None

    __repr__ = object.__repr__  # Paths may hold names.

    def __post_init__(self) -> None:
        self.no_cache = self.loaders.no_cache

    @property
    def is_restricted(self) -> bool:
        """Whether the caller may read some services only."""
        return self.services is not None

    def reserve(self, calls: int) -> None:
        """Reserve upstream calls in the caller's budget; raises `CostLimitExceeded` when it has too few left."""
        if self.budgets is not None:
            self.reserved = self.budgets.reserve(self.loaders.options.caller, calls, time.monotonic())

    def authorize(self, read: Read) -> Read:
        """Return the read that the caller may make in place of `read`.

        That is `read` itself, except for the list of all services. Raises `Forbidden` for another service, whether it exists
        or not.
        """
        if self.services is None:
            return read
        sids = sids_of(read.path)
        if not sids:
            return OwnServices(cast(PagedList, read), self.services)
        if sids[0] not in self.services:
            raise Forbidden("This caller may not read that service.")
        return read

    def look_up(self, read: Read, needs_row: bool) -> object | MissingKey | None:
        """Return the child of a read, None when it does not exist, or the key to fetch first; raises the field's error."""
        authorized = cast(
            _GraphRead, read if self.services is None else self.authorize(read)
        )  # The graph has no others.
        if not needs_row and not self.no_cache:
            reference = authorized.reference()
            if reference is not None:
                self.skipped[read.path] = REFERENCE
                return reference
        key = authorized.first_key(no_cache=self.no_cache)
        if self.trace is not None:
            self.trace.looked[key or read.path] = None
        if key is not None:
            if authorized.expected_summary is not None:
                self.loaders.expect(key, authorized.expected_summary)
            if self.loaders.is_missing(key):
                return MissingKey(key)
        try:
            return authorized.resolve(self)
        except Missing as missing:
            return MissingKey(*missing.keys)

    def missing(self, batch: ReadBatch) -> list[str]:
        """Return the keys to fetch before a batch can be resolved; raises the error of the field."""
        if self.services is not None and sids_of(batch.list_path)[0] not in self.services:
            raise Forbidden("This caller may not read that service.")
        return cast(WholeLists, batch).missing(self)

    def resolve(self, batch: ReadBatch) -> bool:
        """Resolve the lists of a batch; raises the error of any of them. Return False when they must be read one by one."""
        return cast(WholeLists, batch).resolve(self)

    def fetch(self, keys: Iterable[str]) -> Coroutine[Any, Any, None]:
        """Fetch keys concurrently, and wait for all of them."""
        return self.loaders.fetch(keys)

    def load(self, read: Read, needs_row: bool) -> Any:
        """Return the child of a read, or an awaitable of it; raises as `look_up` does."""
        found = self.look_up(read, needs_row)
        return self._fetch_and_resolve(read, found) if isinstance(found, MissingKey) else self._counted(read, found)

    async def _fetch_and_resolve(self, read: Read, missing: MissingKey) -> Any:
        found: object | None = missing
        while isinstance(found, MissingKey):
            if self.charge_in_order(found.keys):
                raise self.limit_error
            await gather(*map(self.loaders.load, found.keys))
            found = self.look_up(read, True)
        return self._counted(read, found)

    def _counted(self, read: Read, child: Any) -> Any:
        if child is not None:
            self.count(read.size_of(child))
        return child

    def skip(self, paths: Iterable[str], reason: str = REFERENCE) -> None:
        """Record that the records or lists at these paths need not be read."""
        self.skipped.update(dict.fromkeys(paths, reason))

    def try_charge(self, keys: Iterable[str]) -> bool:
        """Charge the operation for fetching keys if that stays within `cost_limit`; return whether it does.

        A key that is cached costs nothing, and a key is charged once.
        """
        charged = self.charged.union(keys)
        if len(charged) > self.limits.cost_limit:  # Only then does it matter which of them are cached.
            charged = frozenset(key for key in charged if not self.loaders.is_free(key))
            if len(charged) > self.limits.cost_limit:
                return False
        self.charged = charged
        return True

    def charge(self, keys: Collection[str]) -> None:
        """Charge the operation for fetching all of the keys; raises `limit_error` beyond `cost_limit`."""
        if not self.try_charge(keys):
            raise self.limit_error

    def charge_in_order(self, keys: Collection[str]) -> Collection[str]:
        """Charge the operation for fetching keys, as many as `cost_limit` allows; return the others, which are left out."""
        if self.try_charge(keys):
            return ()
        charged = {key for key in self.charged if not self.loaders.is_free(key)}
        left_out: dict[str, None] = {}
        for key in keys:
            if key in charged or self.loaders.is_free(key):
                continue
            if len(charged) < self.limits.cost_limit:
                charged.add(key)
            else:
                left_out[key] = None
        self.charged = frozenset(charged)
        self.left_out |= left_out
        return left_out

    def refuse_charges(self, error: CostLimitExceeded) -> None:
        """Charge the operation for nothing more: what is not cached is left out, and its fields have this error."""
        self.limits, self._limit_error = replace(self.limits, cost_limit=0), error

    @property
    def limit_error(self) -> CostLimitExceeded:
        """The error of every field whose key was left out; one for the whole operation."""
        if self._limit_error is None:
            self._limit_error = CostLimitExceeded(f"The limit of {self.limits.cost_limit} upstream calls is reached.")
        return self._limit_error

    def count(self, records: int) -> None:
        """Count records of the answer; raises `CostLimitExceeded` beyond `records_max`."""
        if self.records + records > self.limits.records_max:
            raise CostLimitExceeded(
                f"The answer would hold more than {self.limits.records_max} records: ask for smaller pages or fewer levels."
            )
        self.records += records

    def reset_counts(self) -> None:
        """Reset the counts, before the operation is executed from the start."""
        self.records = 0
        self.skipped.clear()
        self.left_out.clear()
        self.failures.clear()

    def amend(self) -> int:
        """Merge what events have proved since into the records that were read; return how often that has changed any."""
        if self.loaders.amend():
            self.walks.clear()
            self.amendments += 1
        return self.amendments

    def redacted(self, key: str) -> str:
        """Return a key without names and tokens."""
        return redacted(key)

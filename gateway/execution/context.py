"""What the engine asks: `Context`, of the operation that it executes, and `Read`, of the values that edges return."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.errors import CostLimitExceeded, GatewayError
from gateway.execution.failures import Failure

__all__ = ["Context", "Event", "MissingKey", "OperationLimits", "Read", "ReadBatch"]


@dataclass(frozen=True, slots=True)
class OperationLimits:
    """The limits on one operation, each under its one name."""

    cost_max: int = 5000
    """Upstream calls in the worst case (`requested`); an operation that could take more is rejected before it runs."""
    cost_limit: int = 500
    """Upstream calls made for one operation; reads beyond it are not made, and their fields are null with an error."""
    records_max: int = 20_000
    """Records in one answer; a record counts at each place where it appears."""
    errors_max: int = 1000
    """Entries in `errors`; one more says that others were left out."""


class MissingKey(str):
    """The key of an upstream read that must be fetched before a child can be resolved; there can be several of them."""

    __slots__ = ("keys",)
    keys: tuple[str, ...]
    """All keys, this one first."""

    def __new__(cls, key: str, *others: str) -> MissingKey:
        """Return a key, with others that must be fetched too."""
        made = super().__new__(cls, key)
        made.keys = (key, *others)
        return made


class Read(Protocol):
    """What an edge returns: a plain value that names its child, or its list of children. Creating one does no I/O."""

    @property
    def type_name(self) -> str:
        """The GraphQL type of the child."""

    @property
    def path(self) -> str:
        """The upstream path of the child, or of the list of children."""

    @property
    def is_single(self) -> bool:
        """Whether the child is one record, equal for every read of this path."""

    @property
    def is_shared(self) -> bool:
        """Whether many records need its keys, so that they are prefetched."""

    @property
    def is_sparse(self) -> bool:
        """Whether it often finds nothing, as a filtered list does."""

    @property
    def may_be_skipped(self) -> bool:
        """Whether the parent's row can show that there is nothing to read."""

    @property
    def also(self) -> Sequence[Read]:
        """The other reads whose keys it needs; most need none."""

    @property
    def calls_max(self) -> int:
        """Upstream calls that it takes in the worst case, without those of `also`."""

    def first_key(self, *, no_cache: bool) -> str | None:
        """Return the key that is fetched first; None when nothing is fetched."""

    def reference(self) -> object | None:
        """Return the child as far as its path shows it; None when it must be fetched in any case."""

    def placeholder(self, token: str) -> tuple[object | None, int | None]:
        """Return the child as an estimate sees it, and how many records a list of them holds at most.

        The child of a single read comes with None. A list comes with one member, whose sid is `token`.
        """

    def size_of(self, child: Any) -> int:
        """Return how many records the child adds to the answer."""


class NamedRead(Read, Protocol):
    """The read of a single record that a query names."""

    def child(self, row: Any) -> object:
        """Return the record with the row that was read."""


class ReadBatch(Protocol):
    """The reads of the lists below all rows of one list: an alternative to a `Read` for each."""

    @property
    def list_path(self) -> str:
        """The upstream path of the list that holds their parents."""

    @property
    def paths(self) -> list[str]:
        """The upstream path of each list."""

    @property
    def rows(self) -> list[list[Any]]:
        """The rows of each list, once they are resolved."""

    @property
    def slices(self) -> list[Any]:
        """The lists as `Read`s give them, once they are resolved."""


class Event(Protocol):
    """What a subscription is executed for: an instance of a type of the union of its field."""

    def select(self, selected: Mapping[str, frozenset[str] | None]) -> tuple[Event, Read | None]:
        """Return the event for a selection, and the read of a record that it needs before it can be executed, if any.

        `selected` are the upstream properties of its records that are selected, by their types; None for any of them.
        """

    def with_record(self, record: Any) -> Event:
        """Return the event with the record that was read."""


class Context(Protocol):
    """The operation that the engine executes: its limits, its caller's rights, and its records."""

    @property
    def limits(self) -> OperationLimits:
        """The operation's limits."""

    @property
    def no_cache(self) -> bool:
        """Whether every record is read from upstream (`Cache-Control: no-cache`)."""

    @property
    def is_restricted(self) -> bool:
        """Whether the caller may read some records only, so that `authorize` refuses or replaces reads."""

    @property
    def runs(self) -> Counter[str]:
        """Operations by what executed them: `engine`, or graphql-core by the reason. The executor counts here.

        Of those executed by the engine also `generated`, for generated code, or the reason why it gave up.
        """

    def reserve(self, calls: int) -> None:
        """Reserve upstream calls in the caller's budget; raises `CostLimitExceeded` when it has too few left."""

    def authorize(self, read: Read) -> Read:
        """Return the read that the caller may make in place of `read`, mostly the same; raises `Forbidden`."""

    def look_up(self, read: Read, needs_row: bool) -> object | MissingKey | None:
        """Return the child of a read, None when it does not exist, or the key to fetch before it can be resolved.

        Without `needs_row` the child may be a reference. Raises the error of the edge's field.
        """

    def skip(self, paths: Iterable[str]) -> None:
        """Record that nothing is read of the records at these paths, since the query names them and selects nothing else."""

    def missing(self, batch: ReadBatch) -> list[str]:
        """Return the keys to fetch before a batch can be resolved; raises the error of the edge's field."""

    def resolve(self, batch: ReadBatch) -> bool:
        """Resolve a batch; raises the error of any of its reads. Return False when they must be resolved one by one."""

    def fetch(self, keys: Iterable[str]) -> Coroutine[Any, Any, None]:
        """Fetch keys concurrently, and wait for all of them."""

    def load(self, read: Read, needs_row: bool) -> Any:
        """Return the child of a read, or an awaitable of it; raises as `look_up` does."""

    def try_charge(self, keys: Iterable[str]) -> bool:
        """Charge the operation for fetching keys if that stays within `cost_limit`; return whether it does."""

    def charge(self, keys: Collection[str]) -> None:
        """Charge the operation for fetching all of the keys; raises `limit_error` beyond `cost_limit`."""

    def charge_in_order(self, keys: Collection[str]) -> Collection[str]:
        """Charge the operation for fetching keys, as many as `cost_limit` allows; return the others, which are left out."""

    def refuse_charges(self, error: CostLimitExceeded) -> None:
        """Charge the operation for nothing more: what is not cached is left out, and its fields have this error."""

    @property
    def left_out(self) -> Collection[str]:
        """The keys that were not fetched because of `cost_limit`."""

    @property
    def failures(self) -> list[Failure]:
        """The errors that graphql-core's results lack: those of edges that are combined, beside their values."""

    @failures.setter
    def failures(self, failures: list[Failure]) -> None: ...

    @property
    def limit_error(self) -> GatewayError:
        """The error of every field whose key was left out; one for the whole operation."""

    def count(self, records: int) -> None:
        """Count records of the answer; raises `CostLimitExceeded` beyond `records_max`."""

    def reset_counts(self) -> None:
        """Reset the counts, before the operation is executed from the start."""

    @property
    def amendments(self) -> int:
        """How often events have changed records that were read, as far as they are merged."""

    def amend(self) -> int:
        """Merge what events have proved since into the records that were read; return `amendments`."""

    def redacted(self, key: str) -> str:
        """Return a key without names and tokens, to be shown."""

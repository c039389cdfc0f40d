"""The kinds of field: a property is read from a record, an edge returns what to read next, a lookup needs its arguments only.

All are Strawberry fields. Each states what the engine must know before it executes anything: whether it needs the record's
row, and, of an edge, where it leads.
"""

from __future__ import annotations

import sys
from asyncio import gather
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import isawaitable
from typing import Any, NamedTuple

from graphql import GraphQLResolveInfo
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.field import StrawberryField
from strawberry.types.fields.resolver import StrawberryResolver
from strawberry.types.info import Info

from gateway.errors import GatewayError
from gateway.execution.context import Context, Event, NamedRead, Read, ReadBatch
from gateway.execution.failures import failure_from
from gateway.execution.price import Price
from gateway.execution.selection import selects

__all__ = [
    "Distinct",
    "EdgeField",
    "EventField",
    "EventSource",
    "IncompleteField",
    "LookupField",
    "Mapped",
    "NamedBy",
    "PropertyField",
    "edge",
    "event_field",
    "lookup",
]

_Reads = Read | Sequence[Read | GatewayError] | None
"""What the function of an edge returns; an error in a list is the error of that child."""


class Mapped(NamedTuple):
    """A property's value as a function of one attribute: that of a table, or else the default."""

    attribute: str
    values: Mapping[Any, Any]
    default: Any


class PropertyField(StrawberryField):
    """A field whose value is read from the record."""

    def __init__(
        self,
        description: str,
        *,
        derive: Callable[[Any], object] | None = None,
        of: Mapping[str, Any] | None = None,
        needs_row: bool = True,
        attribute: str | None = None,
        mapped: Mapped | None = None,
        non_zero: str | None = None,
        column: Callable[..., Iterable[object]] | None = None,
        from_outside: bool = False,
    ) -> None:
        """Create a property with its description.

        `derive` computes the value from the record's row, or from the record itself when `needs_row` is false, and `of`
        names the upstream properties that it uses, with their types. Without `derive` the value is the upstream property
        with the field's own name and type. `attribute` names the property of the row that has the same value, where a record
        has its row; `mapped` and `non_zero` state `derive` in another way, and `column` for all records of a list together.
        """
        super().__init__(description=description)
        self.init = self.repr = self.compare = False
        self.derive = derive
        self.of = of
        self.needs_row = needs_row
        self.read: Callable[[Any], object] = derive if derive is not None and not needs_row else _unbound
        """Reads the value from the record."""
        self.read_row: Callable[[Any], object] | None = None
        """Reads the value from the record's row; None when the row does not have it."""
        self.attribute = attribute
        """The attribute of the row, or of an embedded object, that is the value: decoded as the field's type, so that it is
        written as it is."""
        self.are_plain: Callable[[list[Any]], bool] | None = None
        """Returns whether all values of `attribute` can be written as they are; None when they always can."""
        self.mapped = mapped
        """The value as a function of an attribute of the row or the embedded object, where that can be read."""
        self.non_zero = non_zero
        """The attribute of the row that is the value, except that 0 is null."""
        self.column = column
        """Returns the values of all records of a list, as they are written: from the list's path and its rows. For a property
        of edges (https://relay.dev/graphql/connections.htm), from the source of their connection."""
        self.from_outside = from_outside
        """Whether the value is text that people outside write, such as the senders of messages (see `outside_text`)."""
        self.uses: frozenset[str] | None = frozenset(of) if of else None
        """The upstream properties that it uses; None if that is not stated."""

    def get_result(self, source: Any, info: Info | None, args: list[Any], kwargs: Any) -> object:
        """Return the value on `source`."""
        return self.read(source)

    def __copy__(self) -> PropertyField:
        twin = PropertyField(self.description or "", derive=self.derive, of=self.of, needs_row=self.needs_row)
        twin.attribute, twin.are_plain = self.attribute, self.are_plain
        twin.mapped, twin.non_zero, twin.column = self.mapped, self.non_zero, self.column
        twin.from_outside = self.from_outside
        twin.python_name, twin.graphql_name = self.python_name, self.graphql_name
        twin.type_annotation, twin.origin = self.type_annotation, self.origin
        twin.read, twin.read_row, twin.uses = self.read, self.read_row, self.uses
        return twin


class IncompleteField(PropertyField):
    """The property of an event with the code of its failures, since an event has no `errors`.

    Its value is null; the executor writes the code, once the event has been executed.
    """

    def __init__(self, description: str) -> None:
        """Create the property with its description."""
        super().__init__(description, derive=_none, of={})


class EventSource(NamedTuple):
    """What a field of the subscription type selects with its arguments."""

    arguments: Mapping[str, Any]
    """The arguments by their GraphQL names, checked and hashable; None for those that were left out."""
    owner: Read
    """A read of the record that owns all records in the events: who may not make it may not subscribe."""


class EventField(StrawberryField):
    """A field of the subscription type, with a union of events: its value is the event that the operation is executed for.

    Its function takes the arguments, does no I/O, and returns an `EventSource`.
    """

    sample: Callable[[str, Mapping[str, Any]], Event]
    """Returns an event of a type, of which nothing is known, for an estimate; from the arguments of the `EventSource`."""

    @property
    def function(self) -> Callable[..., EventSource]:
        """The function, from None and the field's arguments to what they select; raises the field's error."""
        assert self.base_resolver is not None
        return self.base_resolver.wrapped_func  # type: ignore[return-value]


class LookupField(StrawberryField):
    """A field of the query type with a list of objects that follow from its arguments alone: nothing is read for it."""

    @property
    def function(self) -> Callable[..., list[Any]]:
        """The function, from None and the field's arguments to the objects."""
        assert self.base_resolver is not None
        return self.base_resolver.wrapped_func  # type: ignore[return-value]


class Distinct(NamedTuple):
    """Which records of lists lead to the same child: those with the same owner, and an equal attribute of their rows."""

    owner: Callable[[str], str]
    """Returns the path of that owner, which is the beginning of a list's path; for another path, that path."""
    read: Callable[[str, Any], Read | None]
    """Returns the read of the child, from the owner's path and the value of the attribute."""
    attribute: str | None = None
    """The attribute; None when the owner alone decides."""


class NamedBy(NamedTuple):
    """The argument that names the child of an edge: a valid value is a segment of the child's path, without another effect."""

    argument: str
    pattern: str
    """The regular expression of valid values, which have no space. No value is valid for two different patterns."""
    read: Callable[[str], NamedRead]
    """Returns the read of the child, from its path: it has a `reference`."""


class EdgeField(StrawberryField):
    """A field that leads to another record, or to a list of records. Its function does no I/O: it returns a `Read`."""

    needs_row: bool
    may_be_skipped: bool
    """Whether the record's row can show that there is nothing to read."""
    estimate: Callable[..., Read | None]
    """Of an edge that needs the row: its read as far as the record's path shows it, with a token in place of a sid. It takes
    the record, the token and the field's arguments."""
    distinct: Distinct | None
    """Which records of lists lead to the same child; None when each has its own."""
    batch: Callable[..., ReadBatch | None] | None
    """Returns the reads from all rows of the list at a path together, for the arguments; None when they cannot be."""
    named_by: NamedBy | None
    """The argument that names the child, if there is one."""
    is_private: bool
    """Whether its arguments identify a person: they are not accepted in a URL, nor shown in errors."""
    is_combined: bool
    """Whether the child is made from several lists. Those that could not be read are its `errors`, beside its value."""

    @property
    def is_pure(self) -> bool:
        """Whether the function takes the record and the arguments, and nothing else."""
        resolver = self.base_resolver
        return resolver is not None and not (
            resolver.info_parameter or resolver.root_parameter or resolver.parent_parameter or self.extensions
        )

    @property
    def function(self) -> Callable[..., Any]:
        """The function, from a record and the field's arguments to a read, a list of reads, or None."""
        assert self.base_resolver is not None
        return self.base_resolver.wrapped_func  # type: ignore[return-value]

    def get_result(self, source: Any, info: Info | None, args: list[Any], kwargs: Any) -> Any:
        """Return the child of the edge's read, or of each of its reads; an exception in place of a read stays one."""
        reads: Any = super().get_result(source, info, args, kwargs)
        assert info is not None
        if isinstance(reads, list):
            return _load_all(reads, info._raw_info)
        found = _load(reads, info._raw_info)
        return _with_errors(found, info._raw_info) if self.is_combined else found


def _load(read: Read | Exception | None, info: GraphQLResolveInfo[Any]) -> Any:
    if read is None or isinstance(read, Exception):
        return read
    context: Context = info.context
    return context.load(read, _needs_row(info, read.type_name))


async def _with_errors(found: Any, info: GraphQLResolveInfo[Any]) -> Any:
    """Return the child of an edge that is combined, and pass its errors to the context."""
    child = await found if isawaitable(found) else found
    context: Context = info.context
    context.failures += [failure_from(error, tuple(info.path.as_list()), info.field_nodes) for error in child.errors]
    return child


async def _load_all(reads: list[Read | Exception | None], info: GraphQLResolveInfo[Any]) -> list[Any]:
    children: list[Any] = []
    for read in reads:
        try:
            children.append(_load(read, info))
        except GatewayError as error:
            children.append(error)
    waiting = [position for position, child in enumerate(children) if isawaitable(child)]
    loaded = await gather(*(children[position] for position in waiting), return_exceptions=True)
    for position, child in zip(waiting, loaded, strict=True):
        children[position] = child
    return children


def _needs_row(info: GraphQLResolveInfo[Any], type_name: str) -> bool:
    """Return whether the selection below this field needs the row of a `type_name`. A value without a selection does."""
    return info.field_nodes[0].selection_set is None or selects(
        info, type_name, lambda field: getattr(field.extensions.get("strawberry-definition"), "needs_row", True)
    )


def edge(
    returns: str,
    description: str,
    price: Price,
    *,
    needs_row: bool = False,
    may_be_skipped: bool = False,
    estimate: Callable[..., Read | None] | None = None,
    distinct: Distinct | None = None,
    batch: Callable[..., ReadBatch | None] | None = None,
    named_by: NamedBy | None = None,
    is_private: bool = False,
    is_combined: bool = False,
) -> Callable[[Callable[..., _Reads]], Any]:
    """Make an edge of a function from a record and the field's arguments to a `Read`, a list of them, or None.

    `returns` is the field's type, resolved in the function's module: records, or a scalar that is read upstream by itself.
    `price` is its cost in upstream calls. With `needs_row` the function uses the record's row, and `estimate` returns the read
    as far as the record's path shows it. With `may_be_skipped` it uses the row where there is one. `distinct` and `batch`
    state how the records of a list are read together, `named_by` which argument names the child, `is_private` that arguments
    identify a person, and `is_combined` that the child is made from several lists (see `EdgeField`).
    """

    def decorate(function: Callable[..., _Reads]) -> EdgeField:
        field = EdgeField(
            python_name=None,
            type_annotation=StrawberryAnnotation(returns, namespace=sys.modules[function.__module__].__dict__),
            description=f"{description} {price.sentence()}",
            base_resolver=StrawberryResolver(function),
            directives=[price.directive()],
        )
        field.needs_row, field.may_be_skipped = needs_row, may_be_skipped
        field.estimate = estimate or _unknown
        field.distinct, field.batch, field.named_by = distinct, batch, named_by
        field.is_private = is_private
        field.is_combined = is_combined
        return field

    return decorate


def lookup(returns: str, description: str) -> Callable[[Callable[..., list[Any]]], Any]:
    """Make a lookup of a function from the field's arguments to a list of objects.

    `returns` is the field's type, resolved in the function's module.
    """

    def decorate(function: Callable[..., list[Any]]) -> LookupField:
        return LookupField(
            python_name=None,
            type_annotation=StrawberryAnnotation(returns, namespace=sys.modules[function.__module__].__dict__),
            description=f"{description} Costs no upstream call.",
            base_resolver=StrawberryResolver(function),
        )

    return decorate


def event_field(
    returns: str, description: str, *, sample: Callable[[str, Mapping[str, Any]], Event]
) -> Callable[[Callable[..., EventSource]], Any]:
    """Make a field of the subscription type of a function from its arguments to an `EventSource` (see `EventField`).

    `returns` is the field's type, resolved in the function's module.
    """

    def decorate(function: Callable[..., EventSource]) -> EventField:
        field = EventField(
            python_name=None,
            type_annotation=StrawberryAnnotation(returns, namespace=sys.modules[function.__module__].__dict__),
            description=description,
            base_resolver=StrawberryResolver(function),
            is_subscription=True,
        )
        field.sample = sample
        return field

    return decorate


def _none(source: object) -> None:
    """Return the value of a field that the executor writes."""


def _unknown(record: object, token: str, **arguments: object) -> None:
    """The estimate of an edge about which the record's path says nothing."""


def _unbound(source: object) -> object:
    raise RuntimeError("A property belongs to a type made by gateway.graph.node.")

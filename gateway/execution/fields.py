"""The two kinds of field in the graph: a property is read from what is there, an edge says what to read next.

Both are ordinary Strawberry fields. What they add is a statement that can be used before anything runs: whether a field
needs its record to have been looked up, and where an edge leads.
"""

from __future__ import annotations

import sys
from asyncio import gather
from collections.abc import Callable, Mapping
from inspect import isawaitable
from typing import Any, Protocol

from graphql import GraphQLResolveInfo
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.field import StrawberryField
from strawberry.types.fields.resolver import StrawberryResolver
from strawberry.types.info import Info

from gateway.errors import GatewayError
from gateway.execution.price import Price
from gateway.execution.selection import selects

__all__ = ["Edge", "Property", "Read", "edge"]


class Read(Protocol):
    """What an edge answers with: where its child, or its list of children, is to be had."""

    @property
    def type_name(self) -> str:
        """The type of the child."""

    @property
    def path(self) -> str:
        """Where the child is, or the list of children."""

    @property
    def is_single(self) -> bool:
        """Whether the child is one record, the same for every read of this path."""

    @property
    def may_be_idle(self) -> bool:
        """Whether the parent's own row may tell that there is nothing to read."""

    def reference(self) -> object | None:
        """The child as far as it is known without reading; None when it must be read in any case."""

    def size_of(self, child: Any) -> int:
        """How many records the child brings into the answer."""

    @property
    def is_shared(self) -> bool:
        """Whether what is read for it serves many records, so that it is worth fetching before it is known to be needed."""

    @property
    def is_sparse(self) -> bool:
        """Whether there is often nothing to be found, as with a filter."""

    def calls_at_most(self, context: Any) -> int:
        """Upstream calls that it takes at most, when nothing is known yet."""

    def first_key(self, context: Any) -> str | None:
        """The key that is fetched first; None when there is nothing to fetch."""

    def outlook(self, star: str) -> tuple[object | None, int | None]:
        """The child as far as its path tells, and None; or a list with one member, named `star`, and how many it can have."""

    def resolve(self, context: Any) -> object | None:
        """The child; None when it does not exist. Raises what is to be shown as the field's error.

        When something must be fetched first, it raises what `context.settle` knows how to wait for.
        """


class Property(StrawberryField):
    """A field whose value is on the record: one line in its type."""

    def __init__(
        self,
        description: str,
        *,
        derive: Callable[[Any], object] | None = None,
        of: Mapping[str, Any] | None = None,
        wire: Any = None,
        needs_row: bool = True,
    ) -> None:
        """Take the sentence for the API's reader.

        `derive` makes the value from the record's row (or from the node itself when the field does not need a row), and
        `of` names the upstream properties it uses, with their types. Without it the value is the upstream property of the
        field's own name; `wire` is that property's type where the field's own does not say it.
        """
        super().__init__(description=description)
        self.init = self.repr = self.compare = False
        self.derive = derive
        self.of = of
        self.wire = wire
        self.needs_row = needs_row
        self.read: Callable[[Any], object] = derive if derive is not None and not needs_row else _unbound
        self.read_row: Callable[[Any], object] | None = None
        """The same from the record's row, where the value stands there."""

    def get_result(self, source: Any, info: Info | None, args: list[Any], kwargs: Any) -> object:
        """The value on `source`."""
        return self.read(source)

    def __copy__(self) -> Property:
        twin = Property(
            self.description or "", derive=self.derive, of=self.of, wire=self.wire, needs_row=self.needs_row
        )
        twin.python_name, twin.graphql_name = self.python_name, self.graphql_name
        twin.type_annotation, twin.origin = self.type_annotation, self.origin
        twin.read, twin.read_row = self.read, self.read_row
        return twin


class Edge(StrawberryField):
    """A field that leads to another record or to a list of them. Its function does no I/O: it answers with a `Read`."""

    needs_row: bool
    unread: Callable[[Any, str], Read | None]
    """Of an edge that needs its record's row: what it will read as far as the path tells, a star in place of a sid."""

    @property
    def is_pure(self) -> bool:
        """Whether its function takes its record and its arguments, and nothing else."""
        resolver = self.base_resolver
        return resolver is not None and not (
            resolver.info_parameter or resolver.root_parameter or resolver.parent_parameter or self.extensions
        )

    @property
    def function(self) -> Callable[..., Any]:
        """Its function, from a record and the field's arguments to a read, a list of them, or None."""
        assert self.base_resolver is not None
        return self.base_resolver.wrapped_func  # type: ignore[return-value]

    def get_result(self, source: Any, info: Info | None, args: list[Any], kwargs: Any) -> Any:
        """What the edge's read, or each of its reads, leads to; an exception in place of a read stays one."""
        reads: Any = super().get_result(source, info, args, kwargs)
        assert info is not None
        if isinstance(reads, list):
            return _follow_all(reads, info._raw_info)
        return _follow(reads, info._raw_info)


def _follow(read: Read | Exception | None, info: GraphQLResolveInfo[Any]) -> Any:
    """The child as a reference where the selection wants no more than ids and sids, else what its read gives."""
    if read is None or isinstance(read, Exception):
        return read
    return info.context.settle(read, needs_row(info, read.type_name))


async def _follow_all(reads: list[Read | Exception | None], info: GraphQLResolveInfo[Any]) -> list[Any]:
    children: list[Any] = []
    for read in reads:
        try:
            children.append(_follow(read, info))
        except GatewayError as error:
            children.append(error)
    waiting = [position for position, child in enumerate(children) if isawaitable(child)]
    landed = await gather(*(children[position] for position in waiting), return_exceptions=True)
    for position, child in zip(waiting, landed, strict=True):
        children[position] = child
    return children


def edge(
    returns: str,
    description: str,
    price: Price,
    *,
    needs_row: bool = False,
    unread: Callable[[Any, str], Read | None] | None = None,
) -> Callable[[Callable[..., Any]], Any]:
    """Make an edge of a function from a record and the field's arguments to a `Read`, a list of them, or None.

    `returns` is the field's type, to be found in the function's module, and `price` what it costs upstream. With
    `needs_row` the record's own properties are used, so that it is looked up first, and `unread` tells what will be read
    as far as the record's path does.
    """

    def decorate(function: Callable[..., Any]) -> Edge:
        field = Edge(
            python_name=None,
            type_annotation=StrawberryAnnotation(returns, namespace=sys.modules[function.__module__].__dict__),
            description=f"{description} {price.sentence()}",
            base_resolver=StrawberryResolver(function),
            directives=[price.directive()],
        )
        field.needs_row = needs_row
        field.unread = unread or _nothing
        return field

    return decorate


def _nothing(record: object, star: str) -> None:
    """An edge of which nothing can be told beforehand."""


def needs_row(info: GraphQLResolveInfo[Any], type_name: str) -> bool:
    """Whether the selection below this field wants more of a `type_name` than its ids, sids and what they lead to."""
    return selects(
        info, type_name, lambda field: getattr(field.extensions.get("strawberry-definition"), "needs_row", True)
    )


def _unbound(source: object) -> object:
    raise RuntimeError("A property belongs to a type made by gateway.graph.node.")

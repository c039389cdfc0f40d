"""Where queries begin: by id, by sid, or with the list of services."""

from typing import Annotated

import strawberry

from gateway.errors import BadUserInput, GatewayError
from gateway.execution.fields import edge
from gateway.execution.price import Price, Unit
from gateway.graph.ids import decode_id
from gateway.graph.node import Node
from gateway.graph.reads import Item, Listing
from gateway.graph.types import RESOURCES, After, First, Service, ServiceConnection, Sid
from gateway.twilio.paths import checked_sid, child

__all__ = ["Query"]

_IDS_MAX = 100

_NAMES_OF_MODULE = (Node, Service, ServiceConnection)  # Edges name their types as text.


@strawberry.type(description="Where queries begin.")
class Query:
    @edge(
        "Node | None",
        "The record with an id that this graph gave. Null when it is gone.",
        Price(Unit.OPERATION, skipped="only ids and sids are selected"),
    )
    def node(self, id: Annotated[strawberry.ID, strawberry.argument(description="What an `id` field gave.")]) -> Item:
        return _by_id(id)

    @edge(
        "list[Node | None]",
        "The records with these ids, in their order, null in place of each that is gone.",
        Price(Unit.ITEM, skipped="only ids and sids are selected"),
    )
    def nodes(
        self,
        ids: Annotated[
            list[strawberry.ID], strawberry.argument(description="What `id` fields gave: at most 100 of them.")
        ],
    ) -> list[Item | GatewayError]:
        if len(ids) > _IDS_MAX:
            raise BadUserInput(f"`ids` must be at most {_IDS_MAX}.")
        return [_by_id_or_error(id) for id in ids]

    @edge("ServiceConnection | None", "The account's services.", Price(Unit.PAGE, page_size=100))
    def services(self, first: First = 50, after: After = strawberry.UNSET) -> Listing:
        return Listing(Service.resource, "", first, after)

    @edge(
        "Service | None",
        "A service by its sid. Null when there is none.",
        Price(Unit.OPERATION, skipped="only ids, sids and what is below it are selected: then it is not looked up"),
    )
    def service(self, sid: Sid) -> Item:
        resource = Service.resource
        return Item(resource, child("", resource.collection, checked_sid(sid, resource.prefix)))


def _by_id(id: str) -> Item:
    resource, path = decode_id(RESOURCES.values(), id)
    return Item(resource, path)


def _by_id_or_error(id: str) -> Item | GatewayError:
    try:
        return _by_id(id)
    except BadUserInput as error:
        return error

"""The query type: records by id, services by sid, the list of services, and the meaning of error codes."""

from typing import Annotated

import strawberry

from gateway.errors import BadUserInput, GatewayError
from gateway.execution.fields import edge, lookup
from gateway.execution.price import Price, Unit
from gateway.graph.arguments import After, First, Sid, by_sid
from gateway.graph.delivery_errors import DeliveryError, codes_or_all
from gateway.graph.ids import decode_id
from gateway.graph.limits import CODES_MAX, FIRST_DEFAULT, IDS_MAX
from gateway.graph.lists import PagedList
from gateway.graph.node import Node
from gateway.graph.reads import Item
from gateway.graph.scalars import Url
from gateway.graph.types import RESOURCES, Service, ServiceConnection
from gateway.graph.urls import read_of_url
from gateway.twilio.paths import checked_sid, child

__all__ = ["Query"]

_NAMES_OF_MODULE = (DeliveryError, Node, Service, ServiceConnection)  # Edges name their types as text.


@strawberry.type(description="The entry points of the API.")
class Query:
    @edge(
        "Node | None",
        "The record with this id. Null when it no longer exists.",
        Price(Unit.OPERATION, skipped="only ids and sids are selected"),
    )
    def node(self, id: Annotated[strawberry.ID, strawberry.argument(description="The `id` of the record.")]) -> Item:
        return _by_id(id)

    @edge(
        "Node | None",
        "The record that an address of Twilio's API is of, as it stands in a log: the `url` of a record, with or without a "
        "query. The address of a list, such as the receipts of a message, leads to the record above it. Nothing is sent to the "
        "address itself. Null when there is no such record.",
        Price(
            Unit.OPERATION, skipped="only ids and sids are selected, unless the address has a name in place of a sid"
        ),
    )
    def node_by_url(
        self,
        url: Annotated[
            Url,
            strawberry.argument(
                description="Such as `https://conversations.twilio.com/v1/Services/IS…/Conversations/CH…`."
            ),
        ],
    ) -> Item:
        return read_of_url(RESOURCES, url)

    @edge(
        "list[Node | None]",
        "The records with these ids, in the same order. Null in place of each that no longer exists.",
        Price(Unit.ITEM, skipped="only ids and sids are selected"),
    )
    def nodes(
        self,
        ids: Annotated[
            list[strawberry.ID], strawberry.argument(description=f"The `id` of each record, at most {IDS_MAX}.")
        ],
    ) -> list[Item | GatewayError]:
        if len(ids) > IDS_MAX:
            raise BadUserInput(f"`ids` must be at most {IDS_MAX}.")
        return [_by_id_or_error(id) for id in ids]

    @edge("ServiceConnection | None", "The services of the account.", Price(Unit.PAGE, page_size=100))
    def services(self, first: First = FIRST_DEFAULT, after: After = strawberry.UNSET) -> PagedList:
        return PagedList(Service.resource, "", first, after)

    @edge(
        "Service | None",
        "The service with this sid. Null when there is none.",
        Price(Unit.OPERATION, skipped="only ids, sids and edges are selected"),
        named_by=by_sid("Services", "IS"),
    )
    def service(self, sid: Sid) -> Item:
        resource = Service.resource
        return Item(resource, child("", resource.collection, checked_sid(sid, resource.prefix)))

    @lookup(
        "list[DeliveryError]",
        "The meaning of delivery error codes, in the order of `codes`: for a legend, or for codes from elsewhere, in a log. "
        "A code that this schema version does not know has its number and its page.",
    )
    def delivery_errors(
        self,
        codes: Annotated[
            list[int] | None,
            strawberry.argument(
                description=f"Twilio's error codes, at most {CODES_MAX}. Null means all codes that this schema version "
                "knows, in ascending order."
            ),
        ] = strawberry.UNSET,
    ) -> list[int]:
        return codes_or_all(codes)


def _by_id(id: str) -> Item:
    resource, path = decode_id(RESOURCES.values(), id)
    return Item(resource, path)


def _by_id_or_error(id: str) -> Item | GatewayError:
    try:
        return _by_id(id)
    except BadUserInput as error:
        return error

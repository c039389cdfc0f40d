"""GET routes: single resources and lists."""

from datetime import time

from .pages import ListResource
from .parameters import STATES, choice, timestamp
from .request import ResourceRequest
from .responses import SandboxResponse


def services(request: ResourceRequest) -> SandboxResponse:
    rows = request.world.services
    return request.page(
        ListResource("services", "services", 100, range(len(rows)), lambda n: request.renderer.service(rows[n]))
    )


def service(request: ResourceRequest) -> SandboxResponse:
    return SandboxResponse.json(200, request.renderer.service(request.service))


def conversations(request: ResourceRequest) -> SandboxResponse:
    """With a date filter the newest come first, as documented; without one, they are in order of creation."""
    filters = {name: request.query[name] for name in ("StartDate", "EndDate", "State") if name in request.query}
    state = filters.get("State")
    if state is not None:
        choice(state, "State", STATES)
    earliest = timestamp(filters["StartDate"], "StartDate") if "StartDate" in filters else None
    latest = timestamp(filters["EndDate"], "EndDate", time.max) if "EndDate" in filters else None
    records = request.service.conversations
    numbers = [
        number
        for number, record in records.items()
        if (state is None or record.settings.state == state)
        and (earliest is None or record.settings.date_created >= earliest)
        and (latest is None or record.settings.date_created <= latest)
    ]

    def newest_first(number: int) -> int:
        return -(records[number].settings.date_created << 32 | number)

    is_dated = earliest is not None or latest is not None
    if is_dated:
        numbers.sort(key=newest_first)
    return request.page(
        ListResource(
            "conversations",
            f"conversations {request.service.sid} {filters}",
            100,
            numbers,
            lambda number: request.renderer.conversation(records[number]),
            newest_first if is_dated else int,
            filters,
        )
    )


def conversation(request: ResourceRequest) -> SandboxResponse:
    return SandboxResponse.json(200, request.renderer.conversation(request.conversation))


def messages(request: ResourceRequest) -> SandboxResponse:
    order = choice(request.query.get("Order", "asc"), "Order", ("asc", "desc"))
    conversation = request.conversation
    indexes = conversation.message_indexes()
    return request.page(
        ListResource(
            "messages",
            f"messages {conversation.sid} {order}",
            100,
            indexes if order == "asc" else indexes[::-1],
            lambda index: request.renderer.message(conversation, conversation.message(index)),
            int if order == "asc" else int.__neg__,
            {"Order": order} if "Order" in request.query else None,
        )
    )


def message(request: ResourceRequest) -> SandboxResponse:
    return SandboxResponse.json(200, request.renderer.message(request.conversation, request.message))


def receipts(request: ResourceRequest) -> SandboxResponse:
    conversation, message = request.conversation, request.message
    rows = {row.participant.number: row for row in request.renderer.receipts(conversation, message)}
    return request.page(
        ListResource(
            "delivery_receipts",
            f"receipts {message.sid}",
            50,
            list(rows),
            lambda number: request.renderer.receipt(conversation, message, rows[number]),
        )
    )


def receipt(request: ResourceRequest) -> SandboxResponse:
    return SandboxResponse.json(200, request.renderer.receipt(request.conversation, request.message, request.receipt))


def participants(request: ResourceRequest) -> SandboxResponse:
    conversation = request.conversation
    return request.page(
        ListResource(
            "participants",
            f"participants {conversation.sid}",
            100,
            conversation.participant_numbers(),
            lambda number: request.renderer.participant(conversation, conversation.participants[number]),
        )
    )


def participant(request: ResourceRequest) -> SandboxResponse:
    return SandboxResponse.json(200, request.renderer.participant(request.conversation, request.participant))

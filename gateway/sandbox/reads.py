"""What can be read: single resources and lists."""

from datetime import time

from .answers import Answer
from .pages import Listing
from .parameters import STATES, choice, moment
from .request import Visit


def services(visit: Visit) -> Answer:
    rows = visit.world.services
    return visit.page(
        Listing("services", "services", 100, range(len(rows)), lambda n: visit.rendering.service(rows[n]))
    )


def service(visit: Visit) -> Answer:
    return Answer.of(200, visit.rendering.service(visit.service))


def conversations(visit: Visit) -> Answer:
    """With a date filter the newest come first, as documented; without one, in the order they were made."""
    filters = {name: visit.query[name] for name in ("StartDate", "EndDate", "State") if name in visit.query}
    state = filters.get("State")
    if state is not None:
        choice(state, "State", STATES)
    earliest = moment(filters["StartDate"], "StartDate") if "StartDate" in filters else None
    latest = moment(filters["EndDate"], "EndDate", time.max) if "EndDate" in filters else None
    all_there = visit.service.conversations
    numbers = [
        number
        for number, one in all_there.items()
        if (state is None or one.settings.state == state)
        and (earliest is None or one.settings.date_created >= earliest)
        and (latest is None or one.settings.date_created <= latest)
    ]

    def newest_first(number: int) -> int:
        return -(all_there[number].settings.date_created << 32 | number)

    is_dated = earliest is not None or latest is not None
    if is_dated:
        numbers.sort(key=newest_first)
    return visit.page(
        Listing(
            "conversations",
            f"conversations {visit.service.sid} {filters}",
            100,
            numbers,
            lambda number: visit.rendering.conversation(all_there[number]),
            newest_first if is_dated else int,
            filters,
        )
    )


def conversation(visit: Visit) -> Answer:
    return Answer.of(200, visit.rendering.conversation(visit.conversation))


def messages(visit: Visit) -> Answer:
    order = choice(visit.query.get("Order", "asc"), "Order", ("asc", "desc"))
    there = visit.conversation
    indexes = there.message_indexes()
    return visit.page(
        Listing(
            "messages",
            f"messages {there.sid} {order}",
            100,
            indexes if order == "asc" else indexes[::-1],
            lambda index: visit.rendering.message(there, there.message(index)),
            int if order == "asc" else int.__neg__,
            {"Order": order} if "Order" in visit.query else None,
        )
    )


def message(visit: Visit) -> Answer:
    return Answer.of(200, visit.rendering.message(visit.conversation, visit.message))


def receipts(visit: Visit) -> Answer:
    there, message = visit.conversation, visit.message
    rows = {row.participant.number: row for row in visit.rendering.receipts(there, message)}
    return visit.page(
        Listing(
            "delivery_receipts",
            f"receipts {message.sid}",
            50,
            list(rows),
            lambda number: visit.rendering.receipt(there, message, rows[number]),
        )
    )


def receipt(visit: Visit) -> Answer:
    return Answer.of(200, visit.rendering.receipt(visit.conversation, visit.message, visit.receipt))


def participants(visit: Visit) -> Answer:
    there = visit.conversation
    return visit.page(
        Listing(
            "participants",
            f"participants {there.sid}",
            100,
            there.participant_numbers(),
            lambda number: visit.rendering.participant(there, there.cast[number]),
        )
    )


def participant(visit: Visit) -> Answer:
    return Answer.of(200, visit.rendering.participant(visit.conversation, visit.participant))

"""Delivery statistics: how many messages and receipts have which status, from the messages' summaries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, cast

import msgspec
import strawberry

from gateway.errors import BadUserInput, GatewayError, NotFound, UpstreamInvalidResponse
from gateway.execution.context import MissingKey
from gateway.execution.fields import edge
from gateway.execution.price import Price, Unit
from gateway.graph.connection import Slice
from gateway.graph.delivery import (
    DeliveryStatus,
    MessageDeliveryStatus,
    message_delivery_status,
    receipt_summary,
    summary_status,
)
from gateway.graph.delivery_counts import NO_RECEIPTS, Counts, Range, counts_of, counts_of_rows, counts_of_summary
from gateway.graph.failures import Scan, checked_scan
from gateway.graph.limits import FIRST_MAX, LAST_DEFAULT, SCAN_DEFAULT, SEARCH_CALLS_MAX
from gateway.graph.lists import PagedList, WholeList
from gateway.graph.node import Node, embedded, prop, resource_of
from gateway.graph.scalars import DateTime, in_utc, moment
from gateway.graph.search import MessageSearch, Period, unread
from gateway.source.loaders import Missing
from gateway.twilio.partial_rows import readable
from gateway.twilio.paths import child
from gateway.twilio.resources import Row
from gateway.twilio.statuses import ReceiptSummary

if TYPE_CHECKING:
    from gateway.execution.context import Read
    from gateway.graph.context import OperationContext

__all__ = ["DeliveryStatistics", "conversation_statistics", "service_statistics"]


@embedded("A number as far as it is known. Embedded: it has no id.")
class CountRange:
    least: int = prop("At least this number.")
    most: int = prop("At most this number; the same as `least` when it is exact.")


@embedded("How many messages have a delivery status. Embedded: it has no id.")
class MessageCount:
    delivery_status: MessageDeliveryStatus = prop("The delivery status of the messages.")
    count: int = prop("The number of messages.")


@embedded("How many receipts have a status. Embedded: it has no id.")
class ReceiptCount:
    status: DeliveryStatus = prop("The latest status of the receipts: one that is read does not count as delivered.")
    count: CountRange = prop(
        "The number of receipts. A message's summary says of each status `none`, `some` or `all`, so it is exact only where "
        "these words leave no room."
    )


@embedded("Delivery statistics of messages, made from their summaries. Embedded: they have no id.")
class DeliveryStatistics:
    messages: int = prop("The number of messages that were counted.")
    receipts: int = prop("The number of receipts of these messages.")
    by_message: list[MessageCount] = prop("The messages by `deliveryStatus`: every status, those without messages too.")
    by_receipt: list[ReceiptCount] = prop("The receipts by `status`: every status, those without receipts too.")
    complete: bool = prop(
        "Whether everything asked for was looked at. False when a limit was reached, or a list could not be read: that has an "
        "error with the path of this field."
    )
    since: DateTime | None = prop("When the oldest message counted was sent; null when there is none.")


@dataclass(slots=True)
class _MessageCount:
    delivery_status: MessageDeliveryStatus
    count: int


@dataclass(slots=True)
class _ReceiptCount:
    status: DeliveryStatus
    count: Range


@dataclass(slots=True)
class _Statistics:
    """The source of `DeliveryStatistics`."""

    messages: int
    receipts: int
    by_message: list[_MessageCount]
    by_receipt: list[_ReceiptCount]
    complete: bool
    since: str | None
    errors: list[GatewayError]
    """The errors of lists that could not be read."""

    @classmethod
    def of(
        cls,
        rows: list[Row],
        *,
        complete: bool,
        errors: list[GatewayError] | None = None,
        exact: dict[str, Counts] | None = None,
    ) -> _Statistics:
        """Return the statistics of messages; `exact` has the counts of those whose receipts were read, by sid."""
        exact = exact or {}
        by_message: Counter[MessageDeliveryStatus] = Counter()
        least: Counter[DeliveryStatus] = Counter()
        most: Counter[DeliveryStatus] = Counter()
        receipts = 0
        for status, counts, times in _counted(rows, exact):
            by_message[status] += times
            if counts is None:  # The number of receipts could not be read.
                complete = False
                continue
            receipts += times * counts.receipts
            for each, (fewest, highest) in counts.by_status.items():
                least[each] += times * fewest
                most[each] += times * highest
        return cls(
            len(rows),
            receipts,
            [_MessageCount(message, by_message[message]) for message in MessageDeliveryStatus],
            [_ReceiptCount(status, Range(least[status], most[status])) for status in DeliveryStatus],
            complete and not errors,
            _oldest(rows),
            errors or [],
        )


class _StatisticsRead:
    """What both reads of statistics have in common. Creating one does no I/O."""

    is_single = False
    is_shared = False
    is_sparse = False
    may_be_skipped = False
    expected_summary = None
    also: tuple[Read, ...] = ()
    type_name = "DeliveryStatistics"

    def reference(self) -> None:
        """Return None: the messages have to be looked at."""

    def placeholder(self, token: str) -> tuple[_Statistics, None]:
        """Return the statistics of no messages."""
        return _Statistics.of([], complete=True), None

    def size_of(self, child: object) -> int:
        """Return 0: statistics have no records."""
        return 0


class ConversationStatistics(_StatisticsRead):
    """The read of the statistics of a conversation's last messages."""

    def __init__(self, conversation_path: str, last: int | None, exact: bool | None) -> None:
        """Count the last messages; raises `BadUserInput` for a wrong `last`."""
        self._last = LAST_DEFAULT if last is None else last
        if not 0 <= self._last <= FIRST_MAX:
            raise BadUserInput(f"`last` must be from 0 to {FIRST_MAX}.")
        newest = (("Order", "desc"),)
        self._messages = PagedList(resource_of("Messages"), conversation_path, self._last, None, parameters=newest)
        self._exact = bool(exact)
        self.path = self._messages.path

    @property
    def calls_max(self) -> int:
        """The pages of messages, and with `exact` the receipts of each."""
        return self._messages.calls_max + (self._last if self._exact else 0)

    def first_key(self, *, no_cache: bool) -> str | None:
        """Return the first page of messages."""
        return self._messages.first_key(no_cache=no_cache) if self._last else None

    def resolve(self, context: OperationContext) -> _Statistics:
        """Return the statistics, once all that they need has been read; raises `Missing` for that."""
        if not self._last:
            return _Statistics.of([], complete=True)
        found = context.look_up(self._messages, True)
        if isinstance(found, MissingKey):
            raise Missing(*found.keys)
        rows: list[Row] = cast(Slice, found).rows
        if not self._exact:
            return _Statistics.of(rows, complete=True)
        exact, errors, missing = dict[str, Counts](), list[GatewayError](), list[str]()
        for row in rows:
            counts = counts_of(row)
            if counts is not None and counts.is_exact:
                continue
            path = child(self.path, row.sid)
            try:
                receipts = context.look_up(
                    WholeList(resource_of("Receipts"), path, FIRST_MAX, None, summary=receipt_summary(row)), True
                )
            except NotFound:  # The message was removed meanwhile: its summary is all that is known of it.
                continue
            except GatewayError as error:
                errors.append(unread(f"{path}/Receipts", error))
                continue
            if isinstance(receipts, MissingKey):
                missing += receipts.keys
            else:
                exact[row.sid] = counts_of_rows(cast(Slice, receipts).rows)
        if missing:
            raise Missing(*missing)
        return _Statistics.of(rows, complete=True, errors=errors, exact=exact)


class ServiceStatistics(_StatisticsRead):
    """The read of the statistics of a service's messages in a period."""

    calls_max = SEARCH_CALLS_MAX

    def __init__(self, service_path: str, period: Period, scan: int | None) -> None:
        """Count the messages of a period; raises `BadUserInput` for a wrong `scan`."""
        self._service_path, self._period, self._scan = service_path, period, checked_scan(scan)
        self.path = resource_of("Conversations").list_path(service_path)

    def first_key(self, *, no_cache: bool) -> str | None:
        """Return the first page of conversations."""
        return self._search().list_key if self._scan else None

    def resolve(self, context: OperationContext) -> _Statistics:
        """Return the statistics, once all that they need has been read; raises `Missing` for that."""
        found = context.searches.get(self)
        if isinstance(found, _Statistics):
            return found
        if found is None:
            search = self._search()
            found = context.searches[self] = [search, search.wanted(SEARCH_CALLS_MAX)]
        search, pages = found
        while pages:
            missing = context.loaders.missing(pages)
            if missing:
                raise Missing(*missing)
            search.absorb(context.loaders)
            pages = found[1] = search.wanted(SEARCH_CALLS_MAX - search.calls)
        rows = [message.row for message in search.messages if message.is_in_period]
        errors = search.errors(search.done, with_list=True)
        found = context.searches[self] = _Statistics.of(rows, complete=search.is_complete, errors=errors)
        return found

    def _search(self) -> MessageSearch:
        return MessageSearch(self._service_path, self._period, self._scan)


_SECONDS_LENGTH = len("2026-01-31T12:00:00Z")
_packed = msgspec.msgpack.Encoder().encode


def _counted(rows: list[Row], exact: dict[str, Counts]) -> Iterator[tuple[MessageDeliveryStatus, Counts | None, int]]:
    """Yield the status and the counts of messages, and how many have both: most share their summary with others."""
    if not exact:
        try:
            summaries = Counter(map(_packed, [row.delivery for row in rows]))  # Faster than to hash their words.
        except (TypeError, UpstreamInvalidResponse):  # One could not be read.
            pass
        else:
            for packed, times in summaries.items():
                words = msgspec.msgpack.decode(packed)
                summary = ReceiptSummary(**words) if words is not None else NO_RECEIPTS
                yield summary_status(summary), counts_of_summary(summary), times
            return
    for row in rows:
        yield message_delivery_status(row), exact.get(row.sid) or counts_of(row), 1


def _oldest(rows: list[Row]) -> str | None:
    """Return when the oldest message was sent, of those whose time can be read."""
    try:
        texts = [row.date_created for row in rows]
        if set(map(len, texts)) == {_SECONDS_LENGTH}:  # All are in UTC, in whole seconds, and sort as texts do.
            return in_utc(min(texts))
    except (TypeError, UpstreamInvalidResponse):
        texts = [readable(row, "date_created") for row in rows]
    texts = [text for text in texts if text is not None and _is_time(text)]
    return in_utc(min(texts, key=moment)) if texts else None


def _is_time(text: str) -> bool:
    try:
        return in_utc(text) is not None
    except UpstreamInvalidResponse:
        return False


@edge(
    "DeliveryStatistics | None",
    "How many of the last messages, and of their receipts, have which delivery status: from the messages' summaries, without "
    "reading receipts. With `exact`, the receipts of each message whose summary leaves room are read, at one call per message. "
    "Null, with the error `NOT_FOUND`, when the conversation does not exist and none of its own fields is selected.",
    Price(Unit.PAGE, page_size=100),
    is_combined=True,
)
def conversation_statistics(
    self: Node,
    last: Annotated[
        int | None,
        strawberry.argument(
            description=f"The number of messages to count, from 0 to {FIRST_MAX}: the newest. Null means the default."
        ),
    ] = LAST_DEFAULT,
    exact: Annotated[
        bool | None,
        strawberry.argument(
            description="Read receipts where summaries leave room, so that all numbers are exact. Null means the default."
        ),
    ] = False,
) -> ConversationStatistics:
    return ConversationStatistics(self.path, last, exact)


@edge(
    "DeliveryStatistics | None",
    "How many messages of the service, and of their receipts, have which delivery status: from the messages' summaries, "
    "without reading receipts. At most `scan` messages are examined, in the conversations created last first; `complete` says "
    "whether these are all. One page is read per 100 conversations and per 100 messages of each. Conversations created before "
    "`from` cost a call each too, since they may have new messages; those created after `to` are not examined.",
    Price(Unit.PARENT, calls=SEARCH_CALLS_MAX),
    is_combined=True,
)
def service_statistics(
    self: Node,
    sent_from: Annotated[
        DateTime | None,
        strawberry.argument(name="from", description="Count only messages sent at this time or later. Null means all."),
    ] = strawberry.UNSET,
    sent_to: Annotated[
        DateTime | None,
        strawberry.argument(name="to", description="Count only messages sent at this time or earlier. Null means all."),
    ] = strawberry.UNSET,
    scan: Scan = SCAN_DEFAULT,
) -> ServiceStatistics:
    return ServiceStatistics(self.path, Period(sent_from or None, sent_to or None), scan)

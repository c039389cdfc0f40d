"""The failures of a service: receipts of messages in all its conversations, found by the messages' delivery summaries."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, cast

import strawberry

from gateway.errors import BadUserInput, GatewayError, NotFound, UpstreamInvalidResponse
from gateway.execution.context import MissingKey
from gateway.execution.fields import edge
from gateway.execution.price import Price, Unit
from gateway.graph.arguments import First
from gateway.graph.connection import Slice
from gateway.graph.cursors import SearchCursor, decode_search_cursor
from gateway.graph.delivery import DeliveryStatus, cannot_match, has_no_receipts, receipt_status, receipt_summary
from gateway.graph.limits import FIRST_DEFAULT, FIRST_MAX, SCAN_DEFAULT, SCAN_MAX, SEARCH_CALLS_MAX, UNREAD_MAX
from gateway.graph.lists import WholeList
from gateway.graph.node import Node, embedded, prop, resource_of
from gateway.graph.scalars import DateTime
from gateway.graph.search import FoundMessage, MessageSearch, Period, SearchedConversation, unread
from gateway.graph.values import ConversationStateFilter, channel_of
from gateway.source.loaders import Missing
from gateway.twilio.paths import child
from gateway.twilio.resources import Row

if TYPE_CHECKING:
    from gateway.execution.context import Read
    from gateway.graph.context import OperationContext

__all__ = ["FailedReceipts", "Scan", "ScanProgress", "checked_scan", "failures"]

Scan = Annotated[
    int | None,
    strawberry.argument(
        description=f"The most messages to examine, from 0 to {SCAN_MAX}. Null means the default. A conversation without "
        "messages in the period costs a call, and none of these."
    ),
]


@embedded("How far a search through conversations has come with one page. Embedded: it has no id.")
class ScanProgress:
    messages: int = prop("The number of messages that were examined for this page.")
    conversations: int = prop("The number of conversations that were examined to their end for this page.")
    through: DateTime | None = prop("Conversations created after this are done; null when none is.")
    unread: int = prop("The number of lists that could not be read. Each has an error with the path of the connection.")


@dataclass(frozen=True, slots=True)
class _Progress:
    """The source of `ScanProgress`."""

    messages: int
    conversations: int
    through: str | None
    unread: int


class _Match:
    """A message with a receipt that may be wanted."""

    __slots__ = ("error", "number", "read", "rows")

    def __init__(self, number: int, read: WholeList) -> None:
        self.number = number
        """The place of the message among those that were looked at."""
        self.read = read
        """The read of its receipts."""
        self.rows: list[Row] | None = None
        """The receipts that are wanted; None until they are known."""
        self.error: GatewayError | None = None


@dataclass(slots=True)
class FoundReceipt:
    """The source of an edge of a `FailureConnection`."""

    node: Any
    search: MessageSearch
    list_key: str
    message: FoundMessage
    receipt_sid: str
    """The sid of the receipt; "" for the last one of its message."""

    @property
    def cursor(self) -> str:
        """The cursor after this receipt; computed on use."""
        return self.search.cursor(self.list_key, self.message, self.receipt_sid).encode()


@dataclass(slots=True)
class FailurePage:
    """The source of a `FailureConnection`, and of its `PageInfo`."""

    edges: list[Any]
    has_next_page: bool
    has_previous_page: bool
    end_cursor: str | None
    scan: _Progress
    errors: list[GatewayError]
    """The errors of lists that could not be read."""

    @property
    def start_cursor(self) -> str | None:
        """The first edge's cursor."""
        return self.edges[0].cursor if self.edges else None


class FailedReceipts:
    """The read of the failures of a service. Creating one does no I/O."""

    is_single = False
    is_shared = False
    is_sparse = True
    may_be_skipped = False
    expected_summary = None
    also: tuple[Read, ...] = ()
    type_name = "FailureConnection"
    calls_max = SEARCH_CALLS_MAX

    def __init__(
        self,
        service_path: str,
        first: int | None,
        after: str | None,
        scan: int | None,
        period: Period,
        statuses: Collection[DeliveryStatus],
        codes: Collection[int] | None = None,
        channels: Collection[str] | None = None,
    ) -> None:
        """Read the receipts with these statuses, codes and channels; raises `BadUserInput` for a wrong argument."""
        self.first = FIRST_DEFAULT if first is None else first
        if not 0 <= self.first <= FIRST_MAX:
            raise BadUserInput(f"`first` must be from 0 to {FIRST_MAX}.")
        self.scan = checked_scan(scan)
        self.path = resource_of("Conversations").list_path(service_path)
        self.statuses = set(statuses)
        self.codes = set(codes) if codes is not None else None
        self.channels = set(channels) if channels is not None else None
        words = sorted(status.value for status in self.statuses)
        choices = (words, *(sorted(each) if each is not None else None for each in (self.codes, self.channels)))
        self.key = f"{self.path}?failures{(*period, *choices)}"
        """Identifies the search; its cursors hold a digest of it."""
        self.after = decode_search_cursor(after, self.key) if isinstance(after, str) else None
        self._matches_nothing = any(
            each is not None and not each for each in (self.statuses, self.codes, self.channels)
        )
        self._service_path, self._period = service_path, period

    def first_key(self, *, no_cache: bool) -> str | None:
        """Return the page of conversations to begin with, unless nothing is read."""
        return None if self._matches_nothing or not self.scan or not self.first else self.search().list_key

    def reference(self) -> None:
        """Return None: the messages have to be looked at."""

    def placeholder(self, token: str) -> tuple[FailurePage, int]:
        """Return a page with one receipt, in a conversation whose sid is `token`, and the most that it can have."""
        page = self.empty(has_next_page=False)
        path = f"{self.path}/{token}/Messages/*/Receipts/*"
        message = FoundMessage(SearchedConversation("", "", "", 0, None), None, "", True)
        page.edges.append(
            FoundReceipt(resource_of("Receipts").node(path=path, listed=True), self.search(), self.key, message, "")
        )
        return page, self.first

    def size_of(self, child: FailurePage) -> int:
        """Return the number of receipts on the page."""
        return len(child.edges)

    def search(self) -> MessageSearch:
        """Return the search through the messages, at its beginning."""
        return MessageSearch(self._service_path, self._period, self.scan, self.after)

    def resolve(self, context: OperationContext) -> FailurePage:
        """Return the page, once all that it needs has been read; raises `Missing` for what it needs next."""
        found = context.searches.get(self)
        if not isinstance(found, FailurePage):
            if self._matches_nothing:
                context.skip([self.path], "nothing matches")
                return self.empty(has_next_page=False)
            if not self.scan or not self.first:
                return self.empty(has_next_page=True)
            if found is None:
                found = context.searches[self] = _FailureSearch(self)
            found = context.searches[self] = found.page(context)
        return found

    def empty(self, *, has_next_page: bool) -> FailurePage:
        """Return a page for which nothing was read."""
        end = self.after.encode() if self.after is not None else None
        progress = _Progress(0, 0, self.after.created or None if self.after is not None else None, 0)
        return FailurePage([], has_next_page, self.after is not None, end, progress, [])

    def is_wanted(self, row: Row) -> bool:
        """Whether a receipt has one of the statuses, and one of the codes."""
        if receipt_status(row) not in self.statuses:
            return False
        if self.codes is None:
            return True
        try:
            return (row.error_code or None) in self.codes
        except UpstreamInvalidResponse:  # Shown, with an error at `errorCode`, since it may be one of them.
            return True


class _FailureSearch:
    """The search behind one page of failures, as far as it has come."""

    def __init__(self, read: FailedReceipts) -> None:
        self._read = read
        self._search = read.search()
        self._matches: list[_Match] = []
        self._looked_at = 0
        """How many of the messages were compared with the statuses."""
        self._lists: set[str] = set()
        """The lists of receipts, and pages of participants, that were asked for."""
        self._pages: list[str] | None = None
        """The pages of the search that are being read; None between two rounds."""
        self._asked: list[_Match] = []
        """The matches whose receipts are being read."""

    def page(self, context: OperationContext) -> FailurePage:
        """Return the page; raises `Missing` for what is to be read next, as much at once as is known."""
        while True:
            if self._pages is None:
                self._pages = self._ask(context)
                if not self._pages and not self._asked:
                    return self._page()
            missing = dict.fromkeys(context.loaders.missing(self._pages))
            for match in self._asked:
                missing |= dict.fromkeys(self._look_up(match, context))
            if missing:
                raise Missing(*missing)
            self._search.absorb(context.loaders)
            self._compare()
            self._pages = None

    @property
    def _calls_left(self) -> int:
        return SEARCH_CALLS_MAX - self._search.calls - len(self._lists)

    def _try_ask(self, keys: Collection[str]) -> bool:
        """Count keys as asked for, if the search may make as many calls; return whether it may."""
        if len(set(keys) - self._lists) > self._calls_left:
            return False
        self._lists.update(keys)
        return True

    def _ask(self, context: OperationContext) -> list[str]:
        """Choose the matches whose receipts are read next, and return the pages to read with them, if those are not enough."""
        room = self._read.first - sum(len(match.rows) for match in self._matches if match.rows is not None)
        waiting = [match for match in self._matches if match.rows is None]
        self._asked = []
        for match in waiting[: max(0, room)]:
            key = match.read.first_key(no_cache=context.no_cache)
            if key is None or not self._try_ask([key]):
                break
            self._asked.append(match)
        # Each match has a receipt with one of the statuses, but perhaps none with one of the codes or channels.
        surely = 0 if self._read.codes is not None or self._read.channels is not None else len(waiting)
        return self._search.wanted(self._calls_left) if room > surely else []

    def _look_up(self, match: _Match, context: OperationContext) -> Collection[str]:
        """Look up the receipts of a match; return the keys that are missing for it, as far as it may ask for them."""
        if match.rows is not None:
            return ()
        missing: tuple[str, ...] = ()
        try:
            found = context.look_up(match.read, True)
            if type(found) is MissingKey:
                missing = found.keys
            else:
                match.rows = self._wanted_rows(match, cast(Slice, found).rows, context)
        except Missing as error:
            missing = error.keys
        except NotFound:  # The message was removed meanwhile.
            match.rows = []
        except GatewayError as error:
            match.rows, match.error = [], error
        return missing if self._try_ask(missing) else ()

    def _wanted_rows(self, match: _Match, rows: list[Row], context: OperationContext) -> list[Row]:
        """Return the receipts of a match that are wanted, and come after the cursor."""
        after, channels = self._read.after, self._read.channels
        message = self._search.messages[match.number]
        if after is not None and after.receipt_sid and message.row.sid == after.message_sid:
            place = next((place for place, row in enumerate(rows, 1) if row.sid == after.receipt_sid), 0)
            rows = rows[place:]
        rows = [row for row in rows if self._read.is_wanted(row)]
        if channels is None:
            return rows
        participants = resource_of("Participants").list_path(message.conversation.path)
        return [
            row for row in rows if _channel(context.loaders.member(participants, row.participant_sid or "")) in channels
        ]

    def _compare(self) -> None:
        """Find the new messages whose summaries show that they may match."""
        messages = self._search.messages
        for number in range(self._looked_at, len(messages)):
            conversation, row, _, is_in_period = messages[number]
            if is_in_period and not has_no_receipts(row) and not cannot_match(row, self._read.statuses):
                path = child(resource_of("Messages").list_path(conversation.path), row.sid)
                read = WholeList(resource_of("Receipts"), path, FIRST_MAX, None, summary=receipt_summary(row))
                self._matches.append(_Match(number, read))
        self._looked_at = len(messages)

    def _page(self) -> FailurePage:
        """Return the page with what was found, up to the first match that has no room."""
        read, search = self._read, self._search
        edges: list[Any] = []
        errors: list[GatewayError] = []
        examined, receipt_sid, is_cut = len(search.messages), "", False
        for match in self._matches:
            room = read.first - len(edges)
            if match.rows is None or (match.rows and not room):
                examined, is_cut = match.number, True
                break
            if match.error is not None:
                errors.append(unread(match.read.path, match.error))
            edges += [self._edge(match, row) for row in match.rows[:room]]
            if len(match.rows) > room:
                examined, is_cut, receipt_sid = match.number + 1, True, match.rows[room - 1].sid
                break
        done = search.done
        if is_cut and examined < len(search.messages):
            done = search.messages[examined].conversation.number
        last = search.messages[examined - 1] if examined else None
        if receipt_sid and last is not None:
            done = min(done, last.conversation.number)
        errors += search.errors(done, with_list=not is_cut)
        end: SearchCursor | None
        if last is not None and last.conversation.number >= done:
            end = search.cursor(read.key, last, receipt_sid)
        else:
            end = search.cursor_after(read.key, done)
        again = read.after is not None and bool(read.after.receipt_sid) and bool(search.messages)
        again = again and search.messages[0].row.sid == read.after.message_sid  # type: ignore[union-attr]
        return FailurePage(
            edges,
            is_cut or not search.is_complete,
            read.after is not None,
            end.encode() if end is not None else None,
            _Progress(examined - again, search.read_of(done), search.through(done), len(errors)),
            errors,
        )

    def _edge(self, match: _Match, row: Row) -> FoundReceipt:
        assert match.rows is not None
        receipt = resource_of("Receipts").node(path=f"{match.read.path}/{row.sid}", row=row, listed=True)
        sid = "" if row is match.rows[-1] else row.sid
        return FoundReceipt(receipt, self._search, self._read.key, self._search.messages[match.number], sid)


def checked_scan(scan: int | None) -> int:
    """Return the value of an argument `scan`; raises `BadUserInput`."""
    scan = SCAN_DEFAULT if scan is None else scan
    if not 0 <= scan <= SCAN_MAX:
        raise BadUserInput(f"`scan` must be from 0 to {SCAN_MAX}.")
    return scan


def _channel(participant: Row | None) -> str:
    """Return the channel of a recipient: `unknown` for one that has left."""
    return channel_of(participant) if participant is not None else "unknown"


_FAILURES = (DeliveryStatus.FAILED, DeliveryStatus.UNDELIVERED)


@edge(
    'Annotated["FailureConnection", strawberry.lazy("gateway.graph.types")] | None',
    "The receipts of failed messages in all conversations of the service: those of conversations created last come first, and "
    "of each conversation those of its newest messages. `first` counts receipts, and at most `scan` messages are examined for "
    "a page: it may have fewer than `first` edges, even none, while `hasNextPage` is true, and its `endCursor` continues "
    "where the search has ended. Failures are found by the messages' delivery summaries, and receipts are read of matches "
    "only. A list that could not be read has an error, and is counted in `scan.unread`; the search goes on without it, and "
    f"ends after {UNREAD_MAX} of them. One page is read per 100 conversations, per 100 messages of each, and per message with "
    "a match; with `channels` also the participants of conversations with a match. Twilio cannot say which conversations have "
    "new messages: each that was created before `sentFrom` costs a call too, for its newest messages. Set `conversationsFrom` "
    "to leave out older ones.",
    Price(Unit.PARENT, calls=SEARCH_CALLS_MAX),
    is_combined=True,
)
def failures(
    self: Node,
    sent_from: Annotated[
        DateTime | None,
        strawberry.argument(description="Return only receipts of messages sent at this time or later. Null means all."),
    ] = strawberry.UNSET,
    sent_to: Annotated[
        DateTime | None,
        strawberry.argument(
            description="Return only receipts of messages sent at this time or earlier. Conversations created later are not "
            "examined. Null means all."
        ),
    ] = strawberry.UNSET,
    conversations_from: Annotated[
        DateTime | None,
        strawberry.argument(
            description="Examine only conversations created at this time or later. Null means all: a conversation of any age "
            "can have new messages, and each costs a call."
        ),
    ] = strawberry.UNSET,
    status: Annotated[
        list[DeliveryStatus] | None,
        strawberry.argument(
            description="Return only receipts with one of these statuses. Null means the default; `[]` matches none. Summaries "
            "do not show `PENDING` and `UNKNOWN`: for these the receipts of every message are read. They show `SENT` and "
            "`DELIVERED` for receipts with a later status too."
        ),
    ] = list(_FAILURES),  # noqa: B006 - Strawberry's default of an argument; it is not modified.
    codes: Annotated[
        list[int] | None,
        strawberry.argument(
            description="Return only receipts with one of these values of `errorCode`. Null means all; `[]` matches none."
        ),
    ] = strawberry.UNSET,
    channels: Annotated[
        list[str] | None,
        strawberry.argument(
            description="Return only receipts of recipients with one of these values of `channel`, such as `sms` or "
            "`whatsapp`; `unknown` is also that of recipients who have left. Null means all; `[]` matches none."
        ),
    ] = strawberry.UNSET,
    state: Annotated[
        ConversationStateFilter | None,
        strawberry.argument(description="Examine only conversations in this state. Null means all."),
    ] = strawberry.UNSET,
    first: First = FIRST_DEFAULT,
    after: Annotated[
        str | None,
        strawberry.argument(
            description="Continue after this cursor: a `cursor` or `endCursor` of the same service, with the same filters. "
            "Null starts with the newest conversation. What was created meanwhile before that place is not returned."
        ),
    ] = strawberry.UNSET,
    scan: Scan = SCAN_DEFAULT,
) -> FailedReceipts:
    period = Period(sent_from or None, sent_to or None, conversations_from or None, state.value if state else None)
    statuses = status if isinstance(status, list) else _FAILURES
    return FailedReceipts(
        self.path,
        first,
        after,
        scan,
        period,
        statuses,
        codes if isinstance(codes, list) else None,
        channels if isinstance(channels, list) else None,
    )

"""The search through the messages of a service: newest conversations first, in each its newest messages first.

Twilio lists messages by conversation only, and conversations by when they were created. So each conversation costs a call at
least. The pages of several conversations are read at once, and looked at in order: what a search finds, and where its cursor
points, depends on neither the cache nor timing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote

from gateway.errors import BadUserInput, GatewayError, NotFound, UpstreamInvalidResponse, UpstreamRejected
from gateway.graph.cursors import SearchCursor, index_of
from gateway.graph.limits import UNREAD_MAX
from gateway.graph.lists import INVALID_PAGE_TOKEN
from gateway.graph.node import resource_of
from gateway.graph.scalars import in_utc, moment
from gateway.source.loaders import Loaders
from gateway.twilio.partial_rows import readable
from gateway.twilio.paths import child
from gateway.twilio.resources import Row
from gateway.twilio.responses import Page

__all__ = ["FoundMessage", "MessageSearch", "Period", "SearchedConversation", "unread"]

_FIRST_DAY = "2000-01-01"  # Twilio orders conversations by date only with a filter by date.
_EXPECTED = 25  # Messages in a conversation, before any is known.
_LISTS_AT_ONCE = 50
_SAME_SECOND_MAX = 100


class Period(NamedTuple):
    """Which messages, and which conversations, a search looks at; None is no limit."""

    sent_from: str | None = None
    sent_to: str | None = None
    conversations_from: str | None = None
    state: str | None = None
    """The state of conversations, as Twilio writes it."""

    @property
    def parameters(self) -> str:
        """The parameters of the list of conversations. A conversation is no newer than its messages."""
        found = []
        if self.conversations_from or not self.sent_to:
            found.append(f"StartDate={quote(f'{(self.conversations_from or _FIRST_DAY)[:10]}T00:00:00Z', safe='')}&")
        if self.sent_to:
            found.append(f"EndDate={quote(f'{self.sent_to[:10]}T23:59:59Z', safe='')}&")
        return "".join(found) + (f"State={self.state}&" if self.state else "")


@dataclass(slots=True, eq=False)
class SearchedConversation:
    """A conversation, and its messages as far as they were read, newest first."""

    path: str
    created: str
    """When it was created; "" if that could not be read."""
    query: str
    """The parameters of the page that has it."""
    number: int
    """Its place in the search."""
    next: str | None
    """The key of the next page of its messages; None once no more are needed."""
    after: SearchCursor | None = None
    """Where to begin in it."""
    messages: list[FoundMessage] = field(default_factory=list)
    error: GatewayError | None = None
    """Why its messages could not be read to the end."""
    read: set[str] = field(default_factory=set)
    """The keys of the pages that were read."""
    seen: set[str] = field(default_factory=set)
    """The sids of the messages."""

    @property
    def sid(self) -> str:
        """Its sid."""
        return self.path.rpartition("/")[2]


class FoundMessage(NamedTuple):
    """A message that a search has come to."""

    conversation: SearchedConversation
    row: Row
    query: str
    """The parameters of the page that has it."""
    is_in_period: bool


class MessageSearch:
    """A search, as far as it has come: let it read what is `wanted`, and `absorb` that, until it `is_over`."""

    def __init__(self, service_path: str, period: Period, scan: int, after: SearchCursor | None = None) -> None:
        """Begin a search through at most `scan` messages, at the cursor if there is one."""
        self._list = resource_of("Conversations").list_path(service_path)
        self._period = period
        self._earliest, self._latest = _moment(period.sent_from), _moment(period.sent_to)
        self._conversations_from = _moment(period.conversations_from)
        self._scan = scan
        self._after = after
        self._anchor = moment(after.created) if after is not None and after.created else None
        self.start = f"{self._list}?{period.parameters}PageSize=100"
        """The key of the first page of conversations."""
        self._next: str | None = self.list_key
        self._lists_read: set[str] = set()
        self._in_order = after is None
        """Whether all conversations that follow in the list come after the cursor."""
        self._restarted = False
        self._known: set[str] = set()
        self.conversations: list[SearchedConversation] = []
        """The conversations, in order."""
        self.messages: list[FoundMessage] = []
        """The messages that were looked at, in order."""
        self.done = 0
        """How many of the conversations were looked at to their end."""
        self._taken = 0
        """How many messages of the next conversation were looked at."""
        self.list_error: GatewayError | None = None
        """Why the list of conversations could not be read to the end."""
        self.calls = 0
        """Lists and pages that were asked for, cached ones too."""
        self._asked: list[SearchedConversation] = []
        self._asked_list = False
        self._rows = self._opened = 0
        if after is not None and after.message_sid:
            self._add_conversation(after.conversation_sid, after.created, after.query, after)

    @property
    def is_complete(self) -> bool:
        """Whether no conversation is left."""
        return self._next is None and self.list_error is None and self.done == len(self.conversations)

    @property
    def is_over(self) -> bool:
        """Whether it ends here, perhaps to be continued at its cursor."""
        return (
            self.is_complete
            or len(self.messages) >= self._scan
            or len(self.errors(self.done)) >= UNREAD_MAX
            or (self.list_error is not None and self.done == len(self.conversations))
        )

    @property
    def list_key(self) -> str:
        """The key of the page of conversations to begin with."""
        return f"{self._list}?{self._after.query}" if self._after is not None else self.start

    def wanted(self, most: int) -> list[str]:
        """Return the keys of the pages to read next, at most so many, those of several conversations together."""
        self._asked, self._asked_list = [], False
        if self.is_over:
            return []
        wanted: list[str] = []
        left = self._scan - len(self.messages) + self._taken
        room = min(_LISTS_AT_ONCE, most)
        expected = max(1, self._rows // self._opened) if self._opened else _EXPECTED
        for conversation in self.conversations[self.done :]:
            left -= len(conversation.messages)
            if left <= 0 or len(wanted) >= room:
                break
            if conversation.next is not None:
                wanted.append(conversation.next)
                self._asked.append(conversation)
                left -= 100 if conversation.read else expected
        if self._next is not None and self.list_error is None and left > 0 and len(wanted) < room:
            wanted.append(self._next)
            self._asked_list = True
        self.calls += len(wanted)
        return wanted

    def absorb(self, loaders: Loaders) -> None:
        """Look at the pages that were wanted, once they have been read; raises that of the list if nothing else is known."""
        for conversation in self._asked:
            self._add_messages(conversation, loaders)
        if self._asked_list:
            self._add_conversations(loaders)
        self._asked, self._asked_list = [], False
        while self.done < len(self.conversations):
            conversation = self.conversations[self.done]
            fresh = conversation.messages[self._taken :][: self._scan - len(self.messages)]
            self.messages += fresh
            self._taken += len(fresh)
            if self._taken < len(conversation.messages) or conversation.next is not None:
                return
            self.done += 1
            self._taken = 0

    # Conversations

    def _add_conversations(self, loaders: Loaders) -> None:
        assert self._next is not None
        key = self._next
        try:
            page = loaders.page(key)
            if page.next in self._lists_read:
                raise _endless(self._list)
        except GatewayError as error:
            if self._after is not None and _is_invalid_token(error):
                raise BadUserInput("`after` is no longer valid: start again without it.") from None
            if not self.conversations:
                raise
            self.list_error = error
            return
        self._lists_read.add(key)
        rows = page.rows if self._in_order else self._following(page)
        self._next = page.next
        if rows is None:  # Conversations between the cursor and this page may have moved to pages before it.
            self._next, self._restarted = self._from_anchor, True
            self._lists_read.clear()
            return
        query = page.target.partition("?")[2]
        for row in rows:
            if row.sid not in self._known and self._is_wanted(row):
                self._add_conversation(row.sid, _created(row), query)

    def _following(self, page: Page) -> list[Row] | None:
        """Return the rows after the cursor's conversation; None if some may be missing before this page.

        The page may be another than when the cursor was made: conversations are removed, and their places shift.
        """
        after = self._after
        assert after is not None
        place = next((place for place, row in enumerate(page.rows) if row.sid == after.conversation_sid), None)
        if place is not None:
            self._in_order = True
            return page.rows[place + 1 :]
        if self._anchor is None:
            self._in_order = True
            return page.rows
        rows = [row for row in page.rows if not self._precedes(row, after)]
        is_first = self._restarted or page.target == self.start or len(self._lists_read) > 1
        if not is_first and len(rows) == len(page.rows):
            return None
        return rows

    def _precedes(self, row: Row, after: SearchCursor) -> bool:
        """Whether the search was done with a conversation before it came to the cursor."""
        created = _created(row)
        if not created or self._anchor is None:
            return False
        at = moment(created)
        return at > self._anchor or (at == self._anchor and row.sid in after.before)

    @property
    def _from_anchor(self) -> str:
        """The key of the first page of the conversations up to the day of the cursor's."""
        if self._after is None or not self._after.created:
            return self.start
        return f"{self._list}?{self._period._replace(sent_to=self._after.created).parameters}PageSize=100"

    def _is_wanted(self, row: Row) -> bool:
        """Whether a conversation is in the period; Twilio filters by whole days."""
        created = _created(row)
        if not created:
            return True
        at = moment(created)
        return (self._conversations_from is None or at >= self._conversations_from) and (
            self._latest is None or at <= self._latest
        )

    def _add_conversation(self, sid: str, created: str, query: str, after: SearchCursor | None = None) -> None:
        path = child(self._list, sid)
        messages = resource_of("Messages").list_path(path)
        start = f"{messages}?{after.message_query}" if after is not None else _newest(messages)
        self._known.add(sid)
        self.conversations.append(SearchedConversation(path, created, query, len(self.conversations), start, after))

    # Messages

    def _add_messages(self, conversation: SearchedConversation, loaders: Loaders) -> None:
        key = conversation.next
        assert key is not None
        conversation.next = None
        try:
            page = loaders.page(key)
            if page.next is not None and page.next in conversation.read:
                raise _endless(page.target.partition("?")[0])
        except NotFound:  # It was removed meanwhile.
            return
        except GatewayError as error:
            if conversation.after is not None and _is_invalid_token(error):
                raise BadUserInput("`after` is no longer valid: start again without it.") from None
            conversation.error = error
            return
        if not conversation.read:
            self._opened += 1
        conversation.read.add(key)
        rows = page.rows
        if conversation.after is not None:
            following = _messages_following(
                page, conversation.after, is_first=_newest(key.partition("?")[0]) in conversation.read
            )
            if following is None:
                conversation.next = _newest(key.partition("?")[0])
                conversation.read.clear()
                return
            rows = following
        conversation.next = page.next
        query = page.target.partition("?")[2]
        for row in rows:
            sent = _sent(row)
            if sent is not None and self._earliest is not None and sent < self._earliest:
                conversation.next = None  # The rest is older.
            elif row.sid not in conversation.seen:
                is_in_period = sent is None or self._latest is None or sent <= self._latest
                conversation.seen.add(row.sid)
                conversation.messages.append(FoundMessage(conversation, row, query, is_in_period))
                self._rows += 1

    # Positions

    def cursor(self, list_key: str, message: FoundMessage, receipt_sid: str = "") -> SearchCursor:
        """Return the cursor after a message, or after one of its receipts; `list_key` identifies what is searched for."""
        place = message.row.sid, index_of(message.row), message.query, receipt_sid
        return SearchCursor.make(list_key, *self._place_of(message.conversation), *place)

    def cursor_after(self, list_key: str, done: int) -> SearchCursor | None:
        """Return the cursor after the first `done` conversations; where the search has begun, if that is none."""
        return SearchCursor.make(list_key, *self._place_of(self.conversations[done - 1])) if done else self._after

    def _place_of(self, conversation: SearchedConversation) -> tuple[str, str, str, tuple[str, ...]]:
        return conversation.sid, conversation.created, conversation.query, self._before(conversation)

    def errors(self, done: int, *, with_list: bool = False) -> list[GatewayError]:
        """Return the errors of those of the first `done` conversations that could not be read, and perhaps of their list."""
        lists = [(f"{each.path}/Messages", each.error) for each in self.conversations[:done]]
        if with_list and done == len(self.conversations):
            lists.append((self._list, self.list_error))
        return [unread(path, error) for path, error in lists if error is not None]

    def read_of(self, done: int) -> int:
        """Return how many of the first `done` conversations could be read."""
        return sum(each.error is None for each in self.conversations[:done])

    def through(self, done: int) -> str | None:
        """Return a time such that all conversations created after it are done, with the first `done` of this search."""
        created = self.conversations[done - 1].created if done else self._after.created if self._after else ""
        return created or None

    def _before(self, conversation: SearchedConversation) -> tuple[str, ...]:
        """Return the sids of conversations created in the same second that come before one."""
        created, after = conversation.created, self._after
        found = [each.sid for each in self.conversations[: conversation.number] if each.created == created]
        if after is not None and after.created == created:
            own = (after.conversation_sid,) if after.conversation_sid != conversation.sid else ()
            found = [*after.before, *own, *found]
        return tuple(dict.fromkeys(found))[-_SAME_SECOND_MAX:]


def unread(path: str, error: GatewayError) -> GatewayError:
    """Return the error of a list that a search could not read, with the list's path in its message."""
    found = type(error)(f"{path} was not read: {error.message}", upstream=error.upstream, details=error.details)
    found.retry_after = error.retry_after
    return found


def _messages_following(page: Page, after: SearchCursor, *, is_first: bool) -> list[Row] | None:
    """Return the rows after the cursor's message, and the message itself for a cursor of a receipt.

    None if rows between the cursor and this page may be missing, since messages were removed.
    """
    begins = 0 if after.receipt_sid else 1
    for place, row in enumerate(page.rows):
        if row.sid == after.message_sid:
            return page.rows[place + begins :]
    if after.index is None:
        return page.rows
    rows = []
    for row in page.rows:
        index = index_of(row)
        if index is None or index < after.index:
            rows.append(row)
    return None if not is_first and len(rows) == len(page.rows) else rows


def _newest(messages: str) -> str:
    """Return the key of the newest page of a list of messages, as `Conversation.messages` reads it."""
    return f"{messages}?Order=desc&PageSize=100"


def _created(row: Row) -> str:
    """Return when a conversation was created; "" if that cannot be read."""
    created = readable(row, "date_created")
    return in_utc(created) or "" if created and _moment(created) is not None else ""


def _sent(row: Row) -> datetime | None:
    """Return when a message was sent; None if that cannot be read, since it may be in the period."""
    return _moment(readable(row, "date_created"))


def _moment(text: str | None) -> datetime | None:
    try:
        return moment(text) if text else None
    except UpstreamInvalidResponse:
        return None


def _endless(path: str) -> UpstreamInvalidResponse:
    return UpstreamInvalidResponse(f"Twilio's pages of {path} do not end.")


def _is_invalid_token(error: GatewayError) -> bool:
    return isinstance(error, UpstreamRejected) and bool(error.upstream and error.upstream.code == INVALID_PAGE_TOKEN)

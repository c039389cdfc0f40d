"""From an answer's bytes to rows, or to the right error: pure functions, no I/O.

An answer is believed only when it says what was asked for: its rows carry the sids of the path, a page's `meta` names
the list. On a connection that has gone off by one, every later answer is a good answer to another question.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from urllib.parse import unquote

import msgspec

from gateway.errors import (
    NotFound,
    UpstreamAnswer,
    UpstreamError,
    UpstreamInvalidResponse,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from gateway.twilio.paths import is_sid, redacted, sids_of
from gateway.twilio.resources import Resource, Row

__all__ = ["KEPT_HEADERS", "Answer", "Page", "failure", "read_item", "read_page", "retry_after"]

KEPT_HEADERS = frozenset({"content-encoding", "retry-after", "twilio-request-id", "twilio-concurrent-requests"})
"""The headers that are of use here."""

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_REQUEST_ID = re.compile(r"RQ[0-9a-f]{32}")
_MISSING = re.compile(r"requested resource /(\S+) was not found")
_WIRE_TEXT = re.compile(r"[\x21-\x22\x24-\x7e]{1,8192}")


def _keep() -> None:
    """Nothing to drop."""


@dataclass(slots=True)
class Answer:
    """One HTTP answer: its status, its headers (names in lower case, at least `KEPT_HEADERS`), its body, decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    drop: Callable[[], None] = field(default=_keep, repr=False)
    """Closes the connection that it came over, which may have gone off by one."""


@dataclass
class Page:
    """One page of a list."""

    target: str
    """Its page key."""
    rows: list[Row] = field(repr=False)
    next: str | None
    """The next page's key, or None on the last page."""

    @cached_property
    def by_sid(self) -> dict[str, Row]:
        """The page's rows by their sids."""
        return {row.sid: row for row in self.rows}


def read_item(resource: Resource, target: str, answer: Answer) -> Row:
    """The record at `target`; raises the error that the answer is, `UpstreamInvalidResponse` for another record."""
    if answer.status != 200:
        raise failure(target, answer)
    try:
        row = resource.item_decoder.decode(answer.body)
    except _UNREADABLE as error:
        raise _unreadable(target, answer, error) from None
    *owners, last = sids_of(target)
    if is_sid(last, resource.prefix):
        is_it = _same(row.sid, last)
    else:
        is_it = getattr(row, resource.name_property or "", None) == unquote(last)
    if not resource.sids.fullmatch(row.sid):
        raise _invalid(target, answer, "answered with an unreadable body (at $.sid)")
    if not is_it or not _belongs(resource, owners, row):
        raise _invalid(target, answer, "answered with another record")
    return row


def read_page(resource: Resource, target: str, answer: Answer) -> Page:
    """The page at `target`; raises the error that the answer is, `UpstreamInvalidResponse` for rows of another list."""
    if answer.status != 200:
        raise failure(target, answer)
    try:
        body = resource.page_decoder.decode(answer.body)
    except _UNREADABLE as error:
        raise _unreadable(target, answer, error) from None
    path = target.partition("?")[0]
    owners, meta = sids_of(path), body.meta
    if meta.key is not None and meta.key != resource.rows_key:
        raise _invalid(target, answer, "answered with another list")
    if meta.url is not None and not _names(meta.url, path):
        raise _invalid(target, answer, "answered with another list")
    if not resource.sids.fullmatch("".join([row.sid for row in body.rows])):
        raise _invalid(target, answer, f"answered with an unreadable body (at $.{resource.rows_key}[...].sid)")
    named, expected = resource.named_owners, owners[0] if len(owners) == 1 else tuple(owners)
    for row in body.rows:
        if owners and named(row) != expected and not _belongs(resource, owners, row):
            raise _invalid(target, answer, "answered with rows of another list")
    following = None
    if meta.next_page_url is not None:
        # Its path and query are followed as they are, and never its host: credentials go to the configured origin only.
        following = f"{path}?{meta.next_page_url.partition('?')[2]}"
        if not _names(meta.next_page_url, path) or not _WIRE_TEXT.fullmatch(following):
            raise _invalid(target, answer, "gave a next page that is not of this list")
        if following == target:
            raise _invalid(target, answer, "gave a page as its own next page")
    return Page(target, body.rows, following)


def failure(target: str, answer: Answer) -> UpstreamError | NotFound:
    """The error that an answer other than 200 is."""
    status, facts = answer.status, _facts(answer)
    where = redacted(target)
    if status == 404 and facts.code is not None:
        named = _MISSING.search(_error_of(answer).message or "")
        if named is not None and not _same(named.group(1), target.partition("?")[0]):
            return _invalid(target, answer, "answered for something else")
        return NotFound(f"Twilio has nothing at {where}.", upstream=facts)
    if status == 429:
        return UpstreamRateLimited("Twilio is limiting this account's requests (429). Try again later.", upstream=facts)
    if status == 408:
        return UpstreamTimeout("Twilio gave up waiting (408). Try again later.", upstream=facts)
    if status >= 500:
        return UpstreamUnavailable(f"Twilio failed to answer ({status}). Try again later.", upstream=facts)
    if status == 401:
        return UpstreamRejected("Twilio refused the gateway's credentials (401).", upstream=facts)
    if status == 403:
        return UpstreamRejected("Twilio does not let the gateway's credentials read this (403).", upstream=facts)
    if 400 <= status < 500 and status != 404:
        return UpstreamRejected(f"Twilio refused the request for {where} ({status}).", upstream=facts)
    # A 404 without Twilio's error body comes from something that is not Twilio: it must not pass for "no such record".
    return UpstreamInvalidResponse(f"The upstream answered {status} as Twilio does not.", upstream=facts)


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds that a `Retry-After` header asks to wait: a number or an HTTP date (RFC 9110, 10.2.3); None if neither."""
    if not value:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value.strip()):
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0.0, (at - (now or datetime.now(UTC))).total_seconds())


class _ErrorBody(msgspec.Struct):
    """Twilio's error body (https://www.twilio.com/docs/usage/twilios-response#errors); its message is never shown."""

    code: int | None = None
    message: str | None = None


_error_decoder = msgspec.json.Decoder(_ErrorBody, strict=False)


def _error_of(answer: Answer) -> _ErrorBody:
    try:
        return _error_decoder.decode(answer.body) if answer.status >= 400 else _ErrorBody()
    except _UNREADABLE:
        return _ErrorBody()


def _facts(answer: Answer) -> UpstreamAnswer:
    code = _error_of(answer).code
    request_id = answer.headers.get("twilio-request-id", "")
    return UpstreamAnswer(
        status=answer.status,
        code=code if code is not None and 0 < code < 2**31 else None,
        request_id=request_id if _REQUEST_ID.fullmatch(request_id) else None,
        retry_after=retry_after(answer.headers.get("retry-after")),
    )


def _invalid(target: str, answer: Answer, what: str) -> UpstreamInvalidResponse:
    return UpstreamInvalidResponse(f"Twilio {what} when asked for {redacted(target)}.", upstream=_facts(answer))


def _unreadable(target: str, answer: Answer, error: Exception) -> UpstreamInvalidResponse:
    # A validation error names where the trouble is (`$.messages[3].index`) and types, never a value.
    at = re.search(r"\$[\w.\[\]]*$", str(error).rstrip("`")) if isinstance(error, msgspec.ValidationError) else None
    return _invalid(target, answer, f"answered with an unreadable body{f' (at {at.group()})' if at else ''}")


def _belongs(resource: Resource, owners: list[str], row: Row) -> bool:
    """Whether the row names the owners in its path as its own; a property that upstream left null contradicts nothing."""
    for owner, sid in zip(resource.ancestors, owners, strict=True):
        named = getattr(row, owner.sid_property)
        if named is not None and named != sid and not _same(named, sid):
            return False
    return True


def _same(given: str | None, asked: str) -> bool:
    """Whether two sids, or paths of sids, are the same; Twilio may write their digits in either case."""
    return given is not None and (given == asked or given.casefold() == asked.casefold())


def _names(url: str, path: str) -> bool:
    """Whether that is the path behind `/v1/` in an upstream address."""
    given = url.partition("?")[0].partition("/v1/")[2]
    return given == path or _same(given, path)

"""From a response to rows, or to the right error: pure functions, no I/O.

A response is valid only if it matches its request: its rows carry the sids of the path, a page's `meta` names the list. On a
connection that once carried a response too many, every later one is a sound response to another request.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
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
from gateway.twilio.partial_rows import decode_partial_item, decode_partial_page, repaired
from gateway.twilio.paths import is_sid, redacted, sids_of
from gateway.twilio.resources import Resource, Row

__all__ = ["KEPT_HEADERS", "Page", "Response", "failure", "read_item", "read_page", "retry_after"]

KEPT_HEADERS = frozenset({"content-encoding", "retry-after", "twilio-request-id", "twilio-concurrent-requests"})
"""Names of the headers that are used, in lower case."""

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_REQUEST_ID = re.compile(r"RQ[0-9a-f]{32}")
_MISSING = re.compile(r"requested resource /(\S+) was not found")
_SID_LENGTH = len("IS,") + 32  # With its comma.
_WIRE_TEXT = re.compile(r"[\x21-\x22\x24-\x7e]{1,8192}")


def _no_connection() -> None:
    """There is none to close."""


class Response(msgspec.Struct):
    """One HTTP response from Twilio."""

    status: int
    headers: Mapping[str, str]
    """Headers by name in lower case, at least those in `KEPT_HEADERS`."""
    body: bytes
    """The body, decompressed."""
    close_connection: Callable[[], None] = _no_connection
    """Closes the connection that it came over, which must not be used again if the response is invalid."""

    def __repr__(self) -> str:
        return f"Response(status={self.status}, headers={dict(self.headers)})"


class Page(msgspec.Struct, gc=False):
    """One page of a list."""

    target: str
    """The page's key."""
    rows: list[Row]
    next: str | None
    """The key of the next page, or None on the last page."""
    has_repeats: bool = False
    """Whether several rows have the same sid."""
    _by_sid: dict[str, Row] | None = None

    @property
    def by_sid(self) -> dict[str, Row]:
        """The rows by sid, of several with the same sid the first."""
        if self._by_sid is None:
            self._by_sid = {}
            for row in self.rows:
                self._by_sid.setdefault(row.sid, row)
        return self._by_sid

    def with_rows(self, rows: list[Row]) -> "Page":
        """Return the page with other rows of the same records, or without some of them."""
        return Page(self.target, rows, self.next, self.has_repeats)

    def __repr__(self) -> str:
        return f"Page(target={self.target!r}, next={self.next!r})"


def read_item(resource: Resource, target: str, response: Response) -> Row:
    """Return the record at the path `target`.

    Raises the `GatewayError` that the response stands for, and `UpstreamInvalidResponse` if it holds another record.
    """
    if response.status != 200:
        raise failure(target, response)
    try:
        row = resource.item_decoder.decode(response.body)
    except _UNREADABLE:
        row = _decoded(decode_partial_item, resource, target, response)
    if not is_sid(row.sid, resource.prefix):
        raise _invalid(target, response, "answered with an unreadable body (at $.sid)")
    if resource.path_of(row) == target:
        return row
    *owners, last = sids_of(target)
    if is_sid(last, resource.prefix):
        is_it = _same(row.sid, last)
    else:
        is_it = getattr(row, resource.name_property or "", None) == unquote(last)
    is_named = not owners or resource.named_owners(row) == _as_named(owners)
    if not is_it or not (is_named or _belongs(resource, owners, row)):
        raise _invalid(target, response, "answered with another record")
    return row


def read_page(resource: Resource, target: str, response: Response) -> Page:
    """Return the page with the key `target` (https://www.twilio.com/docs/usage/twilios-response#pagination).

    Raises the `GatewayError` that the response stands for, and `UpstreamInvalidResponse` if it holds rows of another list.
    """
    if response.status != 200:
        raise failure(target, response)
    try:
        body = resource.page_decoder.decode(response.body)
    except _UNREADABLE:
        body = _decoded(decode_partial_page, resource, target, response)
    path = target.partition("?")[0]
    owners, meta, rows = sids_of(path), body.meta, body.rows
    if meta.key is not None and meta.key != resource.rows_key:
        raise _invalid(target, response, "answered with another list")
    if meta.url is not None and not _names(meta.url, path):
        raise _invalid(target, response, "answered with another list")
    sids = [row.sid for row in rows]
    text = ",".join([*sids, ""])
    if len(text) != _SID_LENGTH * len(rows) or not resource.sids.fullmatch(text):
        raise _invalid(target, response, f"answered with an unreadable body (at $.{resource.rows_key}[...].sid)")
    named, expected = resource.named_owners, _as_named(owners)
    for row in rows:
        if owners and named(row) != expected and not _belongs(resource, owners, row):
            raise _invalid(target, response, "answered with rows of another list")
    following = None
    if meta.next_page_url:
        # Its query is followed as it is, and its host never: credentials are sent to the configured origin only.
        following = f"{path}?{meta.next_page_url.partition('?')[2]}"
        if not _names(meta.next_page_url, path) or not _WIRE_TEXT.fullmatch(following):
            raise _invalid(target, response, "gave a next page that is not of this list")
        if following == target:
            raise _invalid(target, response, "gave a page as its own next page")
    return Page(target, rows, following, len(set(sids)) < len(sids))


def failure(target: str, response: Response) -> UpstreamError | NotFound:
    """Return the error that a response with a status other than 200 stands for."""
    status, facts = response.status, _facts(response)
    where = redacted(target)
    if status == 404 and facts.code is not None:
        named = _MISSING.search(_error_of(response).message or "")
        if named is not None and not _same(named.group(1), target.partition("?")[0]):
            return _invalid(target, response, "answered for something else")
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
    # A 404 without Twilio's error body comes from something else, and must not be taken for a record that does not exist.
    return UpstreamInvalidResponse(f"The upstream answered {status} as Twilio does not.", upstream=facts)


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds of a `Retry-After` header, a number or an HTTP date (RFC 9110, 10.2.3); None if it is neither."""
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


def _error_of(response: Response) -> _ErrorBody:
    try:
        return _error_decoder.decode(repaired(response.body)) if response.status >= 400 else _ErrorBody()
    except _UNREADABLE:
        return _ErrorBody()


def _facts(response: Response) -> UpstreamAnswer:
    code = _error_of(response).code
    request_id = response.headers.get("twilio-request-id", "")
    return UpstreamAnswer(
        status=response.status,
        code=code if code is not None and 0 < code < 2**31 else None,
        request_id=request_id if _REQUEST_ID.fullmatch(request_id) else None,
        retry_after=retry_after(response.headers.get("retry-after")),
    )


def _invalid(target: str, response: Response, what: str) -> UpstreamInvalidResponse:
    return UpstreamInvalidResponse(f"Twilio {what} when asked for {redacted(target)}.", upstream=_facts(response))


def _decoded(decode: Callable[[Resource, bytes], Any], resource: Resource, target: str, response: Response) -> Any:
    try:
        return decode(resource, response.body)
    except _UNREADABLE as error:
        raise _unreadable(target, response, error) from None


def _unreadable(target: str, response: Response, error: Exception) -> UpstreamInvalidResponse:
    # A validation error names a place (`$.messages[3].index`) and types, never a value.
    at = re.search(r"\$[\w.\[\]]*$", str(error).rstrip("`")) if isinstance(error, msgspec.ValidationError) else None
    return _invalid(target, response, f"answered with an unreadable body{f' (at {at.group()})' if at else ''}")


def _as_named(owners: list[str]) -> str | tuple[str, ...]:
    """Return the owners in a path as `Resource.named_owners` returns those of a row."""
    return owners[0] if len(owners) == 1 else tuple(owners)


def _belongs(resource: Resource, owners: list[str], row: Row) -> bool:
    """Whether the row has the owners that are in its path; one that Twilio left null is no contradiction.

    Nor is one that the path has by name, which rows do not have.
    """
    for owner, sid in zip(resource.ancestors, owners, strict=True):
        named = getattr(row, owner.sid_property)
        if named is not None and named != sid and is_sid(sid, owner.prefix) and not _same(named, sid):
            return False
    return True


def _same(given: str | None, asked: str) -> bool:
    """Whether two sids, or paths of sids, are equal in any case of their digits."""
    return given is not None and (given == asked or given.casefold() == asked.casefold())


def _names(url: str, path: str) -> bool:
    """Whether `path` is what follows `/v1/` in an upstream URL."""
    given = url.partition("?")[0]
    return given.endswith(f"/v1/{path}") or _same(given.partition("/v1/")[2], path)

"""Parsing of query and form parameters; every function raises ApiError, with the parameter's name, for an invalid value."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time
from typing import Any

import orjson

from .responses import ApiError

# From a parameter's text, its name, and the time of the request in seconds since 1970.
Convert = Callable[[str, str, int], Any]
STATES = ("initializing", "active", "inactive", "closed")
DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")


def choice(text: str, name: str, words: tuple[str, ...]) -> str:
    if text not in words:
        raise ApiError(400, 20001, f"Invalid {name}: must be one of {', '.join(words)}")
    return text


def integer(text: str, name: str, least: int) -> int:
    # What Twilio answers to an invalid number is unknown; 20001 is its code for an invalid parameter.
    if not text.isascii() or not text.isdigit() or len(text) > 18 or int(text) < least:
        raise ApiError(400, 20001, f"Invalid {name}: must be a whole number of at least {least}")
    return int(text)


def timestamp(text: str, name: str, of_day: time = time.min) -> int:
    """Parse an ISO 8601 date to seconds since 1970; `of_day` is the time of a date without one."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise ApiError(400, 20001, f"Invalid {name}: must be an ISO 8601 date") from None
    if len(text) == len("2026-03-01"):
        parsed = datetime.combine(parsed.date(), of_day)
    return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp())


def _text(text: str, name: str, now: int) -> str:
    return text


def _text_or_null(text: str, name: str, now: int) -> str | None:
    return text or None


def _json(text: str, name: str, now: int) -> str:
    try:
        orjson.loads(text)
    except ValueError:
        raise ApiError(400, 20001, f"Invalid {name}: must be JSON") from None
    return text


def _sid(text: str, name: str, now: int) -> str:
    if not re.fullmatch("[A-Z]{2}[0-9a-fA-F]{32}", text):
        raise ApiError(400, 20423, f"Invalid {name}: not a sid")
    return text


def _media(text: str, name: str, now: int) -> list[dict[str, Any]]:
    """Media are on another host of Twilio's, so that their size and name are invented."""
    sid = _sid(text, name, now)
    return [{"sid": sid, "size": 1_024, "content_type": "application/octet-stream", "filename": "file.bin"}]


def _timer(least: int) -> Convert:
    def convert(text: str, name: str, now: int) -> int:
        match = DURATION.fullmatch(text)
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0, 0)
        length = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        if length < least:
            raise ApiError(400, 20001, f"Invalid {name}: must be an ISO 8601 duration of at least {least} seconds")
        return now + length

    return convert


def _date(text: str, name: str, now: int) -> int:
    return timestamp(text, name)


# Form parameter -> the record's name for it, and how it is parsed.
CONVERSATION: Mapping[str, tuple[str, Convert]] = {
    "FriendlyName": ("friendly_name", _text_or_null),
    "UniqueName": ("unique_name", _text_or_null),
    "Attributes": ("attributes", _json),
    "MessagingServiceSid": ("messaging_service_sid", _sid),
    "State": ("state", lambda text, name, now: choice(text, name, STATES)),
    "DateCreated": ("date_created", _date),
    "DateUpdated": ("date_updated", _date),
    "Timers.Inactive": ("date_inactive", _timer(60)),
    "Timers.Closed": ("date_closed", _timer(600)),
}
MESSAGE: Mapping[str, tuple[str, Convert]] = {
    "Author": ("author", _text),
    "Body": ("body", _text),
    "Attributes": ("attributes", _json),
    "MediaSid": ("media", _media),
    "ContentSid": ("content_sid", _sid),
    "DateCreated": ("date_created", _date),
    "DateUpdated": ("date_updated", _date),
}
PARTICIPANT: Mapping[str, tuple[str, Convert]] = {
    "Identity": ("identity", _text_or_null),
    "Attributes": ("attributes", _json),
    "RoleSid": ("role_sid", _sid),
    "LastReadMessageIndex": ("last_read_message_index", lambda text, name, now: integer(text, name, 0)),
    "LastReadTimestamp": ("last_read_timestamp", _date),
    "DateCreated": ("date_created", _date),
    "DateUpdated": ("date_updated", _date),
}


def read_form(form: Mapping[str, str], table: Mapping[str, tuple[str, Convert]], now: int) -> dict[str, Any]:
    """Parse the parameters of a form that are in `table`, by the record's names; others are ignored."""
    return {field: convert(form[name], name, now) for name, (field, convert) in table.items() if name in form}

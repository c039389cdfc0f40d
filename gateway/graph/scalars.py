"""The two custom scalars of the schema: times and URLs. Both are passed through as text."""

import re
from datetime import UTC, datetime
from typing import NewType

import strawberry
from strawberry.types.scalar import ScalarDefinition

from gateway.errors import BadUserInput, UpstreamInvalidResponse

__all__ = ["SCALARS", "DateTime", "Url", "are_utc", "in_utc", "moment"]

DateTime = NewType("DateTime", str)
Url = NewType("Url", str)


_TIME = (
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
)
_TIMESTAMP = re.compile(rf"{_TIME}(?:Z|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])")
"""A date and time (RFC 3339)."""
_TIMES_IN_UTC = re.compile(rf"{_TIME}Z(?:\n{_TIME}Z)*")
"""Any number of them in UTC, one a line."""


def in_utc(text: str | None) -> str | None:
    """Return a timestamp in UTC: Twilio's own text if it ends in `Z`, otherwise the same moment.

    Raises `UpstreamInvalidResponse` for a text that is not a date and time.
    """
    if text is None:
        return None
    if not _TIMESTAMP.fullmatch(text):
        raise UpstreamInvalidResponse("Twilio returned a value that is not a date and time.")
    if text[-1] == "Z":
        return text
    try:
        return moment(text).astimezone(UTC).isoformat().replace("+00:00", "Z")
    except OverflowError:
        raise UpstreamInvalidResponse("Twilio returned a date that does not exist.") from None


def are_utc(texts: list[str | None]) -> bool:
    """Whether `in_utc` returns all these texts as they are: whether they are None, or times that end in `Z`."""
    times = [text for text in texts if text is not None]
    lines = "\n".join(times)
    return lines.count("\n") == len(times) - 1 and _TIMES_IN_UTC.fullmatch(lines) is not None if times else True


def moment(text: str) -> datetime:
    """Return a timestamp of Twilio's as a datetime, to be compared; raises `UpstreamInvalidResponse`."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise UpstreamInvalidResponse("Twilio returned a date that does not exist.") from None


def _parse_time(value: object) -> str:
    text = value.upper() if isinstance(value, str) else ""
    try:
        if _TIMESTAMP.fullmatch(text):
            datetime.fromisoformat(text).astimezone(UTC)
            return in_utc(text) or ""
    except (ValueError, OverflowError):
        pass
    raise BadUserInput("Expected a date and time with its offset, such as 2026-01-31T00:00:00Z.")


def _parse_url(value: object) -> str:
    if not isinstance(value, str):
        raise BadUserInput("Expected a URL.")
    return value


SCALARS: dict[object, ScalarDefinition] = {
    DateTime: strawberry.scalar(
        name="DateTime",
        description="A date and time in UTC, such as `2026-01-31T12:00:00Z`. In responses it always ends in `Z`.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=str,
        parse_value=_parse_time,
    ),
    Url: strawberry.scalar(
        name="URL",
        description="An absolute URL.",
        specified_by_url="https://url.spec.whatwg.org/",
        serialize=str,
        parse_value=_parse_url,
    ),
}

"""The two custom scalars of the schema: times and URLs. Both are passed through as text."""

import re
from datetime import UTC, datetime, timedelta
from typing import NewType

import msgspec
import strawberry
from strawberry.types.scalar import ScalarDefinition

from gateway.errors import BadUserInput, UpstreamInvalidResponse

__all__ = ["SCALARS", "DateTime", "Url", "are_utc", "in_utc", "moment"]

DateTime = NewType("DateTime", str)
Url = NewType("Url", str)


_TIMESTAMP = re.compile(
    r"(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
    r"(?:Z|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])"
)
"""A date and time (RFC 3339), perhaps on a day that its month does not have."""
_SECOND = slice(17, 19)


def in_utc(text: str | None) -> str | None:
    """Return a timestamp in UTC: Twilio's own text if it ends in `Z`, otherwise the same moment.

    A leap second is the second after it. Raises `UpstreamInvalidResponse` for a text that is not a date and time.
    """
    if text is None:
        return None
    if not _TIMESTAMP.fullmatch(text):
        raise UpstreamInvalidResponse("Twilio returned a value that is not a date and time.")
    if text[-1] == "Z" and text[_SECOND] != "60":
        if text[8:10] > "28":  # Only these days can be missing in a month.
            moment(text)
        return text
    return moment(text).isoformat().replace("+00:00", "Z")


class _Times(msgspec.Struct):
    """Times; msgspec remembers how to read a struct, and not how to read a list."""

    times: list[datetime]


def are_utc(texts: list[str | None]) -> bool:
    """Whether `in_utc` surely returns all these texts as they are: None, or times in UTC without leap seconds."""
    times = [text for text in texts if text is not None] if None in texts else texts
    lines = "\n".join([*times, ""])
    try:
        msgspec.convert({"times": times}, _Times)  # Of RFC 3339, so that each has one separator and one offset.
    except msgspec.ValidationError:
        return False
    return lines.count("T") == lines.count("Z\n") == len(times)


def moment(text: str) -> datetime:
    """Return a timestamp of Twilio's as a datetime in UTC, to be compared; raises `UpstreamInvalidResponse`."""
    try:
        return _moment(text)
    except (ValueError, OverflowError):
        raise UpstreamInvalidResponse("Twilio returned a date that does not exist.") from None


def _moment(text: str) -> datetime:
    """Return a timestamp as a datetime in UTC; raises ValueError or OverflowError if it does not exist.

    Leap seconds are added to the last minute of a month in UTC (RFC 3339, 5.7); a datetime cannot hold one.
    """
    if text[_SECOND] != "60":
        return datetime.fromisoformat(text).astimezone(UTC)
    following = datetime.fromisoformat(f"{text[:17]}59{text[19:]}").astimezone(UTC) + timedelta(seconds=1)
    if (following.day, following.hour, following.minute, following.second) != (1, 0, 0, 0):
        raise ValueError("not the end of a month")
    return following


def _parse_time(value: object) -> str:
    text = value.upper() if isinstance(value, str) else ""
    try:
        if _TIMESTAMP.fullmatch(text):
            _moment(text)
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
        description="A date and time in UTC, such as `2026-01-31T12:00:00Z`. In responses it always ends in `Z`. A leap "
        "second is the second after it.",
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

"""The two scalars of the graph beyond GraphQL's own: times and addresses, both passed through as text."""

import re
from datetime import UTC, datetime
from typing import NewType

import msgspec
import strawberry
from strawberry.types.scalar import ScalarDefinition

from gateway.errors import BadUserInput, UpstreamInvalidResponse
from gateway.twilio.resources import Timestamp

__all__ = ["SCALARS", "DateTime", "Url", "in_utc", "moment"]

DateTime = NewType("DateTime", str)
Url = NewType("Url", str)


def in_utc(text: str | None) -> str | None:
    """A timestamp as the graph shows it: Twilio's own text where it ends in `Z`, else the same moment in UTC."""
    if text is None or text.endswith("Z"):
        return text
    try:
        return moment(text).astimezone(UTC).isoformat().replace("+00:00", "Z")
    except OverflowError:
        raise UpstreamInvalidResponse("Twilio gave a date that is not in the calendar.") from None


def moment(text: str) -> datetime:
    """The moment that a timestamp of Twilio's names, to be compared with others; raises `UpstreamInvalidResponse`."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise UpstreamInvalidResponse("Twilio gave a date that is not in the calendar.") from None


def _parse_time(value: object) -> str:
    try:
        text = re.sub(r"[zt]", lambda match: match.group().upper(), value) if isinstance(value, str) else value
        text = msgspec.convert(text, Timestamp)
        datetime.fromisoformat(text).astimezone(UTC)
    except (msgspec.ValidationError, ValueError, OverflowError):
        raise BadUserInput("Expected a date and time with its offset, such as 2026-01-31T00:00:00Z.") from None
    return in_utc(text) or ""


def _parse_address(value: object) -> str:
    if not isinstance(value, str):
        raise BadUserInput("Expected an address.")
    return value


SCALARS: dict[object, ScalarDefinition] = {
    DateTime: strawberry.scalar(
        name="DateTime",
        description="A date and time in UTC, such as `2026-01-31T12:00:00Z`. Answers always end in `Z`.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=str,
        parse_value=_parse_time,
    ),
    Url: strawberry.scalar(
        name="URL",
        description="An absolute address.",
        specified_by_url="https://url.spec.whatwg.org/",
        serialize=str,
        parse_value=_parse_address,
    ),
}

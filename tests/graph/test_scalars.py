"""Times and URLs: text in, text out, times always in UTC."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UpstreamInvalidResponse
from gateway.graph.scalars import SCALARS, DateTime, are_utc, in_utc, moment


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (None, None),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("2026-01-01T00:00:00.123Z", "2026-01-01T00:00:00.123Z"),
        ("2026-01-01T02:00:00+02:00", "2026-01-01T00:00:00Z"),
        ("2026-01-01T00:00:00-0530", "2026-01-01T05:30:00Z"),
    ],
)
def test_times_end_in_z(text: str | None, shown: str | None) -> None:
    assert in_utc(text) == shown


def test_a_date_that_is_not_in_the_calendar_is_an_error() -> None:
    with pytest.raises(UpstreamInvalidResponse):
        in_utc("2026-02-30T00:00:00+01:00")
    with pytest.raises(UpstreamInvalidResponse):
        in_utc("0001-01-01T00:00:00+14:00")
    with pytest.raises(UpstreamInvalidResponse):
        moment("2026-02-30T00:00:00Z")


def stays(text: str | None) -> bool:
    try:
        return in_utc(text) == text
    except UpstreamInvalidResponse:
        return False


TIME = "2026-01-01T00:00:00Z"


@given(
    st.lists(
        st.sampled_from([None, TIME, TIME, TIME, f"{TIME}\n{TIME}", "", "\n", f"{TIME}\n", TIME[:-1], "Z", TIME * 2])
    )
)
def test_times_are_checked_together_as_one_by_one(texts: list[str | None]) -> None:
    assert are_utc(texts) is all(map(stays, texts))


@pytest.mark.parametrize(
    "text", ["", "today", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00:00Z\n", "２０２６-01-01T00:00:00Z"]
)
def test_what_is_no_time_is_an_error_and_not_shown(text: str) -> None:
    with pytest.raises(UpstreamInvalidResponse) as caught:
        in_utc(text)
    assert not text or text not in caught.value.message


def test_small_letters_are_taken() -> None:
    assert SCALARS[DateTime].parse_value("2026-01-01t00:00:00z") == "2026-01-01T00:00:00Z"  # type: ignore[misc]

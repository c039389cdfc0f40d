"""Times and URLs: text in, text out, times always in UTC."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import BadUserInput, UpstreamInvalidResponse
from gateway.graph.scalars import SCALARS, DateTime, are_utc, in_utc, moment


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (None, None),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("2026-01-01T00:00:00.123Z", "2026-01-01T00:00:00.123Z"),
        ("2026-01-01T02:00:00+02:00", "2026-01-01T00:00:00Z"),
        ("2026-01-01T00:00:00-0530", "2026-01-01T05:30:00Z"),
        ("2016-02-29T00:00:00Z", "2016-02-29T00:00:00Z"),
        ("2016-02-29T00:00:00+00:00", "2016-02-29T00:00:00Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("2016-12-31T23:59:60.25Z", "2017-01-01T00:00:00.250000Z"),
        ("2016-12-31T23:59:60+00:00", "2017-01-01T00:00:00Z"),
        ("2017-01-01T08:59:60+09:00", "2017-01-01T00:00:00Z"),
        ("1990-12-31T15:59:60-08:00", "1991-01-01T00:00:00Z"),
    ],
)
def test_times_end_in_z(text: str | None, shown: str | None) -> None:
    assert in_utc(text) == shown


@pytest.mark.parametrize("offset", ["Z", "+00:00", "-00:00", "+01:00"])
@pytest.mark.parametrize("day", ["2016-02-30", "2015-02-29", "1900-02-29", "2026-04-31", "0000-01-01"])
def test_a_day_that_is_not_in_the_calendar_is_an_error(day: str, offset: str) -> None:
    for read in (in_utc, moment):
        with pytest.raises(UpstreamInvalidResponse):
            read(f"{day}T00:00:00{offset}")
    with pytest.raises(BadUserInput):
        SCALARS[DateTime].parse_value(f"{day}T00:00:00{offset}")  # type: ignore[misc]


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-01:00",
        "9999-12-31T23:59:60Z",
        "2016-12-31T23:59:60+01:00",
        "2016-12-30T23:59:60Z",
        "2016-12-31T12:00:60Z",
        "2016-12-31T23:58:60Z",
        "2016-12-31T23:59:61Z",
    ],
)
def test_a_moment_that_does_not_exist_is_an_error(text: str) -> None:
    with pytest.raises(UpstreamInvalidResponse):
        in_utc(text)
    with pytest.raises(BadUserInput):
        SCALARS[DateTime].parse_value(text)  # type: ignore[misc]


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


@pytest.mark.parametrize("month", range(1, 13))
@pytest.mark.parametrize("day", range(1, 33))
def test_days_are_checked_together_as_one_by_one(month: int, day: int) -> None:
    for text in (f"2016-{month:02}-{day:02}T00:00:00Z", f"2016-{month:02}-{day:02}T23:59:60Z"):
        assert are_utc([TIME, text]) is stays(text)


ALMOST_A_TIME = st.from_regex(
    r"[0-2][09][0-9]{2}-[01][0-9]-[0-3][0-9][Tt ]?[0-2][0-9]:[0-5][0-9]:[0-6][0-9](\.[0-9]{0,10})?([Zz]|[+-]00:?00)?\n?",
    fullmatch=True,
)


@given(st.lists(ALMOST_A_TIME, min_size=1, max_size=2))
@settings(max_examples=500)
def test_what_is_checked_together_stays(texts: list[str]) -> None:
    assert not are_utc([*texts]) or all(map(stays, texts))


@pytest.mark.parametrize(
    "text", ["", "today", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00:00Z\n", "２０２６-01-01T00:00:00Z"]
)
def test_what_is_no_time_is_an_error_and_not_shown(text: str) -> None:
    with pytest.raises(UpstreamInvalidResponse) as caught:
        in_utc(text)
    assert not text or text not in caught.value.message


def test_small_letters_are_taken() -> None:
    assert SCALARS[DateTime].parse_value("2026-01-01t00:00:00z") == "2026-01-01T00:00:00Z"  # type: ignore[misc]


def test_a_leap_second_is_taken_as_the_next_second() -> None:
    assert SCALARS[DateTime].parse_value("2016-12-31T23:59:60Z") == "2017-01-01T00:00:00Z"  # type: ignore[misc]

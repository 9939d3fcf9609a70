"""Moments and durations: every spelling in, one spelling out."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.moments import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    WEEK,
    read_duration,
    read_moment,
    system_clock,
    write_duration,
    write_moment,
)
from tests.rulebooks import proof

MARCH_2 = 1_772_409_600_000


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("30 days", 30 * DAY), ("1 day", DAY), ("2 weeks", 2 * WEEK), ("12 hours", 12 * HOUR),
        ("90 minutes", 90 * MINUTE),
        ("2s", 2 * SECOND), ("2 S", 2 * SECOND), ("500ms", 500), ("1.5 hours", 90 * MINUTE), (" 7  days ", WEEK),
        ("7d", WEEK), ("1w", WEEK), ("10 min", 10 * MINUTE), ("10 mins", 10 * MINUTE), ("5 secs", 5 * SECOND),
        ("0 days", 0), ("0.001 s", 1),
    ],
)  # fmt: skip
def test_a_duration_is_a_number_and_a_unit(text: str, milliseconds: int) -> None:
    assert read_duration(text) == milliseconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "30",
        "days",
        "30 moons",
        "-1 day",
        "1 month",
        "2 years",
        "1e3 days",
        "1 2 days",
        "12345678 days",
        "ss",
        "3 dss",
    ],
)
def test_what_is_no_duration_is_not_guessed_at(text: str) -> None:
    assert read_duration(text) is None


@pytest.mark.parametrize(
    ("text", "first", "end"),
    [
        ("2026-03-02", MARCH_2, MARCH_2 + DAY),
        (" 2026-03-02 ", MARCH_2, MARCH_2 + DAY),
        (str(MARCH_2), MARCH_2, MARCH_2 + DAY),
        (str(MARCH_2 + 1), MARCH_2 + 1, MARCH_2 + 1),
        ("2026-03-02T00:00:00Z", MARCH_2, MARCH_2),
        ("2026-03-02T09:00:00Z", MARCH_2 + 9 * HOUR, MARCH_2 + 9 * HOUR),
        ("2026-03-02T09:00:00.123Z", MARCH_2 + 9 * HOUR + 123, MARCH_2 + 9 * HOUR + 123),
        ("2026-03-02T10:00:00+01:00", MARCH_2 + 9 * HOUR, MARCH_2 + 9 * HOUR),
        ("2026-03-02t09:00:00z", MARCH_2 + 9 * HOUR, MARCH_2 + 9 * HOUR),
        ("2026-03-02 09:00", MARCH_2 + 9 * HOUR, MARCH_2 + 9 * HOUR),
        ("1960-01-01", -315_619_200_000, -315_532_800_000),
        ("-315619200000", -315_619_200_000, -315_532_800_000),
        ("9999-12-31", 253_402_214_400_000, 253_402_300_800_000),
    ],
)
def test_a_moment_is_read_in_every_spelling_and_a_date_is_its_whole_day(text: str, first: int, end: int) -> None:
    assert read_moment(text) == (first, end)


@pytest.mark.parametrize(
    "text",
    ["", "soon", "2026-02-30", "2026-13-01", "2026-3-2", "20260302", "2026-03-02T", "2026-03-02T25:00:00Z", "12:00",
     "253402300800000", "-99999999999999", "1772409600.5", "2026-03-02Tmorning", "\ud800-03-02T09:00:00Z"],
)  # fmt: skip
def test_what_is_no_moment_is_not_guessed_at(text: str) -> None:
    assert read_moment(text) is None


@given(st.text(max_size=40))
@proof(300)
def test_reading_any_text_never_raises(text: str) -> None:
    read_moment(text)
    read_duration(text)


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1)))  # noqa: DTZ001 - drawn naive
@proof(300)
def test_a_moment_written_is_the_moment_read(naive: datetime) -> None:
    exact = (naive.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert read_moment(write_moment(exact)) == (exact, exact)


def test_milliseconds_are_written_only_where_there_are_any() -> None:
    assert write_moment(MARCH_2) == "2026-03-02T00:00:00Z"
    assert write_moment(MARCH_2 + 7) == "2026-03-02T00:00:00.007Z"


def test_a_moment_beyond_the_years_that_can_be_written_is_their_first_or_last() -> None:
    assert write_moment(253_402_300_800_000 + 30 * DAY) == "9999-12-31T23:59:59.999Z"
    assert write_moment(-(10**17)) == "0001-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (30 * DAY, "30 days"), (DAY, "1 day"), (7 * DAY, "7 days"), (8 * WEEK, "8 weeks"), (90 * MINUTE, "90 minutes"),
        (HOUR, "1 hour"), (1500, "1500 ms"), (0, "0 ms"), (3 * SECOND, "3 seconds"),
    ],
)  # fmt: skip
def test_a_duration_is_written_in_the_largest_unit_that_fits(milliseconds: int, text: str) -> None:
    assert write_duration(milliseconds) == text


@given(st.integers(0, 10**7 - 1).map(lambda hours: hours * HOUR))
@proof(200)
def test_a_duration_written_is_the_duration_read(duration: int) -> None:
    assert read_duration(write_duration(duration)) == duration


def test_the_system_clock_gives_epoch_milliseconds() -> None:
    before = int(datetime.now(tz=UTC).timestamp() * 1_000)
    assert before - 2 <= system_clock() <= before + 60_000

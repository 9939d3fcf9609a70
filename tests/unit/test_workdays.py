"""Business days: weekends, holidays, time zones, and the days on which clocks change."""

from datetime import UTC, date, datetime

import pytest

from connector.workdays import Workdays


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1_000)


@pytest.mark.parametrize(
    ("start", "days", "due"),
    [
        ("2026-03-02T09:00:00+00:00", 1, "2026-03-03T09:00:00+00:00"),  # Monday
        ("2026-03-06T09:00:00+00:00", 1, "2026-03-09T09:00:00+00:00"),  # Friday to Monday
        ("2026-03-06T09:00:00+00:00", 2, "2026-03-10T09:00:00+00:00"),
        ("2026-03-07T09:00:00+00:00", 1, "2026-03-09T09:00:00+00:00"),  # Saturday
        ("2026-03-07T09:00:00+00:00", 0, "2026-03-09T09:00:00+00:00"),
        ("2026-03-02T09:00:00+00:00", 10, "2026-03-16T09:00:00+00:00"),
        ("2026-12-30T23:59:59.999+00:00", 2, "2027-01-01T23:59:59.999+00:00"),
    ],
)
def test_weekends_do_not_count(start: str, days: int, due: str) -> None:
    assert Workdays().after(at(start), days) == at(due)


@pytest.mark.parametrize(
    ("start", "days", "due"),
    [
        ("2026-12-23T10:00:00+01:00", 2, "2026-12-28T10:00:00+01:00"),  # Christmas is on Friday and Saturday
        ("2026-04-02T10:00:00+02:00", 1, "2026-04-07T10:00:00+02:00"),  # over Easter
        ("2026-03-27T10:00:00+01:00", 1, "2026-03-30T10:00:00+02:00"),  # clocks go forward in between
        ("2026-10-23T10:00:00+02:00", 1, "2026-10-26T10:00:00+01:00"),  # and back
    ],
)
def test_holidays_do_not_count_and_the_time_of_day_is_kept(start: str, days: int, due: str) -> None:
    berlin = Workdays(time_zone="Europe/Berlin", holidays="DE")
    assert berlin.after(at(start), days) == at(due)


def test_a_region_has_holidays_of_its_own() -> None:
    epiphany = date(2026, 1, 6)
    assert Workdays(holidays="DE").is_working(epiphany)
    assert not Workdays(holidays="DE-BY").is_working(epiphany)


def test_the_day_is_the_portals_day() -> None:
    friday_evening_in_auckland = at("2026-03-06T20:00:00+13:00")  # still Friday morning in UTC
    auckland = Workdays(time_zone="Pacific/Auckland")
    assert auckland.after(friday_evening_in_auckland, 1) == at("2026-03-09T20:00:00+13:00")
    sunday_in_los_angeles = at("2026-03-09T02:00:00+00:00")  # Monday in UTC
    assert Workdays(time_zone="America/Los_Angeles").after(sunday_in_los_angeles, 0) == at("2026-03-10T02:00:00+00:00")


def test_working_days_may_be_others() -> None:
    sunday_to_thursday = Workdays(days=frozenset({"sun", "mon", "tue", "wed", "thu"}))
    assert sunday_to_thursday.after(at("2026-03-05T09:00:00+00:00"), 1) == at("2026-03-08T09:00:00+00:00")


def test_a_calendar_without_working_days_gives_the_plain_days() -> None:
    assert Workdays(days=frozenset()).after(at("2026-03-02T09:00:00+00:00"), 2) == at("2026-03-04T09:00:00+00:00")


def test_a_time_that_the_clock_leaps_over_still_falls_on_that_day() -> None:
    berlin = Workdays(time_zone="Europe/Berlin", days=frozenset({"sat", "sun"}))
    due = berlin.after(at("2026-03-28T02:30:00+01:00"), 1)
    assert datetime.fromtimestamp(due / 1_000, tz=UTC).date() == date(2026, 3, 29)

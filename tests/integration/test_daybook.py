"""The book of days: counted by the worker in small steps, the same as the records say, and never twice."""

from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from connector import days as counting
from connector.daybook import SETTLED_AFTER, DayCounter, book_of
from connector.days import Day, Stand, Stay, Turn, count_on, days_until, rounded
from connector.moments import DAY, HOUR, MINUTE
from connector.store.engine import reading, writing
from connector.store.tables import days, records
from connector.web.days import Days
from connector.web.layout import span
from tests.practice import INBOUND, QUALIFIED, Practice, practice

BERLIN = ZoneInfo("Europe/Berlin")
LEAD = Stand("lead", "")


@pytest.fixture
def the(tmp_path: Path) -> Iterator[Practice]:
    with practice(tmp_path, time_zone="Europe/Berlin") as made:
        yield made


def leads(the: Practice, number: int) -> list[str]:
    """People who come by themselves."""
    return [the.sandbox.create_contact(INBOUND) for _ in range(number)]


def a_week(the: Practice) -> list[str]:
    """Six leads, two a day, of whom one becomes a prospect and one is deleted."""
    made = []
    for _ in range(3):
        made += leads(the, 2)
        the.catch_up()
        the.move(days=1)
    the.sandbox.update_contact(made[0], QUALIFIED)
    the.sandbox.delete_contact(made[1])
    the.catch_up()
    the.move(hours=1)
    return made


def fill(the: Practice) -> DayCounter:
    """Let a counter count until nothing is left."""
    counter = DayCounter(the.services.engine, {the.portal: "UTC"})
    while counter.step(the.time.now):
        pass
    return counter


def book(the: Practice) -> list[Day]:
    """What is in the book, the newest first."""
    wanted = list(days_until(the.time.now, 90, BERLIN))
    with reading(the.services.engine) as connection:
        found = book_of(connection, the.portal, wanted)
    return [found[bounds] for bounds in wanted]


def test_the_book_says_what_the_records_say(the: Practice) -> None:
    a_week(the)
    fill(the)
    found = book(the)
    assert len(found) == 90
    with reading(the.services.engine) as connection:
        counted = [count_on(connection, the.portal, Day.uncounted(one.begins, one.ends), one.until) for one in found]
    assert found == counted
    prospect = Turn(LEAD, Stand("prospect", "new"), "qualified")
    assert prospect in found[0].turns
    assert found[0].gone == {LEAD: 1}
    assert found[0].stays == {Stay("lead", rounded(3 * DAY)): 1}
    assert [sum(n for turn, n in day.turns.items() if turn.before is None) for day in found[:5]] == [0, 2, 2, 2, 0]


def test_pages_read_the_book_and_only_the_rest_from_the_records(the: Practice) -> None:
    a_week(the)
    expected = Days(the.services.engine, the.time).latest(the.portal, 90, BERLIN)
    fill(the)
    assert Days(the.services.engine, the.time).latest(the.portal, 90, BERLIN) == expected
    with writing(the.services.engine) as connection:
        connection.execute(sa.delete(records))
    assert Days(the.services.engine, the.time).latest(the.portal, 90, BERLIN) == expected


def test_it_goes_on_where_it_was_and_counts_nothing_twice(the: Practice) -> None:
    leads(the, 2)
    the.catch_up()
    fill(the)
    assert [day.decisions for day in book(the)[:2]] == [0, 0]  # not settled: a transaction may still add to them
    the.move(minutes=21)
    leads(the, 1)
    the.catch_up()
    fill(the)
    assert book(the)[0].decisions == 2
    again = fill(the)
    assert book(the)[0].decisions == 2
    the.move(minutes=21)
    assert again.step(the.time.now) > 0
    assert book(the)[0].decisions == 3
    assert again.step(the.time.now + MINUTE) == 0


def test_of_two_workers_who_count_the_same_one_is_written(the: Practice) -> None:
    leads(the, 3)
    the.catch_up()
    the.move(hours=1)
    begins, ends = next(days_until(the.time.now, 1, BERLIN))
    first, second = (DayCounter(the.services.engine, {the.portal: "UTC"}) for _ in range(2))
    with reading(the.services.engine) as connection:
        day = count_on(connection, the.portal, Day.uncounted(begins, ends), the.time.now - SETTLED_AFTER)
    for counter in (first, second):
        counter._keep(the.portal, None, day)  # both have read before either wrote
    later = Day(
        begins=begins, ends=ends, until=day.until + 1, turns={**day.turns, Turn(None, LEAD, "x"): 1}, gone={}, stays={}
    )
    first._keep(the.portal, day, later)
    second._keep(the.portal, day, day)
    with reading(the.services.engine) as connection:
        assert book_of(connection, the.portal, [(begins, ends)]) == {(begins, ends): later}


def test_a_day_of_many_records_is_counted_piece_by_piece(the: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    a_week(the)
    fill(the)
    whole = book(the)
    with writing(the.services.engine) as connection:
        connection.execute(sa.delete(days))
    monkeypatch.setattr(counting, "AT_ONCE", 1)
    steps, counter = 0, DayCounter(the.services.engine, {the.portal: "UTC"}, timer=iter(range(10_000)).__next__)
    while counter.step(the.time.now):
        steps += 1
    assert steps >= 90
    assert book(the) == whole


def test_days_that_nobody_looks_at_any_more_are_removed(the: Practice) -> None:
    fill(the)
    the.move(days=200)
    fill(the)
    with reading(the.services.engine) as connection:
        oldest = connection.scalar(sa.select(sa.func.min(days.c.begins)))
        assert connection.scalar(sa.select(sa.func.count()).select_from(days)) == 90
    assert oldest is not None
    assert oldest > the.time.now - 91 * DAY


def test_the_worker_keeps_the_book_when_it_tidies_up(the: Practice) -> None:
    leads(the, 2)
    the.catch_up()
    the.move(hours=1)
    while the.worker.tidy():
        pass
    assert sum(day.decisions for day in book(the)) == 2


@pytest.mark.parametrize(
    ("length", "kept"),
    [(0, 0), (999, 0), (MINUTE + 1_999, MINUTE + 1_000), (HOUR - 1, HOUR - 1_000), (HOUR + MINUTE + 1, HOUR + MINUTE),
     (DAY - 1, DAY - MINUTE), (3 * DAY + HOUR + MINUTE, 3 * DAY + HOUR)],
)  # fmt: skip
def test_lengths_are_kept_no_finer_than_they_are_shown(length: int, kept: int) -> None:
    assert rounded(length) == kept
    assert span(rounded(length)) == span(length)

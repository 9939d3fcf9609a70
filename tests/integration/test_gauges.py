"""What /metrics tell of the database: the configured portals alone, at a cost that no history makes larger."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from connector.gauges import Gauges
from connector.portals import Portals
from connector.services import limits_of
from connector.store.engine import is_sqlite, reading, writing
from connector.store.tables import portals
from connector.telemetry import render_metrics
from tests.observed import named, samples_of
from tests.practice import Practice, leads, practice


class Stopwatch:
    """Stands still until it is told how long a count takes."""

    def __init__(self, *, seconds: float) -> None:
        self.now = 100.0
        self._seconds = seconds

    def __call__(self) -> float:
        before, self.now = self.now, self.now + self._seconds
        return before


def gauges(the: Practice, *, stopwatch: Stopwatch | None = None) -> Gauges:
    services = the.services
    return Gauges(
        engine=services.engine, inbox=services.inbox, troubles=services.troubles,
        limits={one.id: limits_of(one) for one in the.config.portals}, reconcile_every_ms=900_000, clock=the.time,
        stopwatch=stopwatch or Stopwatch(seconds=0),
    )  # fmt: skip


@contextmanager
def statements(engine: sa.Engine) -> Iterator[list[str]]:
    """Gather the statements that go to a database."""
    gathered: list[str] = []

    def hear(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        gathered.append(statement)

    sa.event.listen(engine, "before_cursor_execute", hear)
    try:
        yield gathered
    finally:
        sa.event.remove(engine, "before_cursor_execute", hear)


def test_a_scrape_reads_no_history_and_everything_along_an_index(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        leads(the, 20)
        the.catch_up()
        the.services.inbox.look_at(the.portal, ["1", "2"], due=the.time.now)
        one = gauges(the)
        one.read()  # places what came in
        with statements(the.services.engine) as gathered:
            one.read()
        asked = [statement for statement in gathered if statement.lstrip().upper().startswith("SELECT")]
        assert asked
        touched = {name for statement in asked for name in re.findall(r"(?:FROM|JOIN) (\w+)", statement)}
        assert touched <= {"deliveries", "waiting", "looks", "portals"}
        if is_sqlite(the.services.engine):
            large = ("SCAN events", "SCAN waiting", "SCAN looks")
            assert [step for step in plans(the, asked) if any(scan in step for scan in large)] == []


def plans(the: Practice, asked: list[str]) -> list[str]:
    """Give the steps that SQLite would take."""
    found = []
    with the.services.engine.connect() as connection:
        for statement in asked:
            marks = statement.count("?")
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", (1,) * marks)
            found += [str(row[3]) for row in rows]
    return found


def test_a_dear_count_is_given_again_for_twenty_times_as_long(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        stopwatch = Stopwatch(seconds=0)
        one = gauges(the, stopwatch=stopwatch)
        assert one.read().pending == 0
        the.services.inbox.look_at(the.portal, ["1", "2"], due=the.time.now)
        stopwatch._seconds = 0.5  # the next count takes half a second
        assert one.read().pending == 2
        stopwatch._seconds = 0
        the.services.inbox.look_at(the.portal, ["3"], due=the.time.now)
        stopwatch.now += 9.4
        assert one.read().pending == 2
        stopwatch.now += 0.7
        assert one.read().pending == 3


def test_only_portals_of_the_configuration_are_told_of(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        strangers = Portals(the.services.engine, the.time)
        strangers.begin_trouble(999, code="unauthorised", text="gone from the configuration")
        strangers.begin_trouble(the.portal, code="unavailable", text="HubSpot is down")
        with writing(the.services.engine) as connection:
            connection.execute(sa.update(portals).values(reconciled_at=the.time.now))
        the.services.inbox.look_at(999, ["1"], due=the.time.now)
        the.move(seconds=7)
        told = samples_of(render_metrics(the.services.metrics, gauges(the).read).decode())
        assert named(told, "portal_trouble") == {("unavailable", "4242"): 1}
        assert named(told, "reconciled_timestamp_seconds") == {("4242",): (the.time.now - 7_000) / 1_000}
        assert named(told, "inbox_pending") == {(): 0}
        assert {dict(labels).get("portal", "4242") for _, labels in told} == {"4242"}


def test_what_waits_and_for_how_long_is_told_at_the_moment_of_the_scrape(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        leads(the, 3)
        the.deliver()
        the.move(minutes=2)
        state = gauges(the).read()
        assert (state.pending, state.oldest_seconds, state.dead_letters) == (3, 120.0, 0)
        the.work()
        assert gauges(the).read().pending == 0
        with reading(the.services.engine) as connection:
            [today] = connection.scalars(sa.select(portals.c.calls_today)).all()
        left = gauges(the).read().calls_left[the.portal]
        assert left["day"] == 10_000_000 - today

"""The book of days: what was decided on each day, counted by the workers in small steps and kept.

A page that looks back three months reads ninety rows for it instead of millions of records. Deciding costs nothing
more: it is the records that are counted, once they are so old that no transaction can still add to them. The book goes
back as far as anybody looks, also where records are no longer kept.
"""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import sqlalchemy as sa

from connector.days import LONGEST, Day, Stand, Stay, Turn, count_on, days_until
from connector.moments import DAY, MINUTE
from connector.store.engine import insert_into, reading, writing
from connector.store.tables import days
from connector.zones import read_zones

SETTLED_AFTER = 15 * MINUTE
"""A decision is committed after the moment that it bears, but not by so much."""
_EVERY = 5 * MINUTE
_STEP_S = 0.2
_KEPT = (LONGEST + 10) * DAY
Bounds = tuple[int, int]


def book_of(connection: sa.Connection, portal: int, wanted: Collection[Bounds]) -> Mapping[Bounds, Day]:
    """Read what is kept of a portal's days, by their beginnings and ends."""
    if not wanted:
        return {}
    since = min(begins for begins, _ in wanted)
    query = sa.select(days).where(days.c.portal == portal, days.c.begins >= since)
    found = {(row.begins, row.ends): row for row in connection.execute(query)}
    return {bounds: _day(found[bounds]) for bounds in wanted if bounds in found}


class DayCounter:
    """Counts the days of portals, the newest first; whoever calls `step` decides how fast."""

    def __init__(
        self, engine: sa.Engine, own_zones: Mapping[int, str], *, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._own_zones = own_zones
        self._timer = timer
        self._next_round = 0

    def step(self, now: int) -> int:
        """Count for a fifth of a second, once in five minutes until all is counted; how many days got further."""
        if now < self._next_round:
            return 0
        until, counted = self._timer() + _STEP_S, 0
        settled = (now - SETTLED_AFTER) // _EVERY * _EVERY
        for portal, bounds in self._open(now, settled):
            self._go_on(portal, bounds, settled, until)
            counted += 1
            if self._timer() > until:
                return counted
        with writing(self._engine) as connection:
            connection.execute(sa.delete(days).where(days.c.ends < now - _KEPT))
        self._next_round = now + _EVERY
        return counted

    def _open(self, now: int, settled: int) -> list[tuple[int, Bounds]]:
        """List the days that are not counted as far as they could be."""
        with reading(self._engine) as connection:
            zones = read_zones(connection, self._own_zones)
            query = sa.select(days.c.portal, days.c.begins, days.c.ends, days.c.until)
            counted = {(row.portal, (row.begins, row.ends)): row.until for row in connection.execute(query)}
        wanted = [
            (begins, ends, portal) for portal, zone in zones.items() for begins, ends in days_until(now, LONGEST, zone)
        ]  # fmt: skip
        return [
            (portal, (begins, ends)) for begins, ends, portal in sorted(wanted, reverse=True)
            if counted.get((portal, (begins, ends)), begins) < min(ends, settled)
        ]  # fmt: skip

    def _go_on(self, portal: int, bounds: Bounds, settled: int, until: float) -> None:
        """Count a day as far as its records are settled and the time reaches, and keep that."""
        with reading(self._engine) as connection:
            known = book_of(connection, portal, [bounds]).get(bounds)
        day, to = known or Day.uncounted(*bounds), min(bounds[1], settled)
        while day.until < to:
            with reading(self._engine) as connection:
                day = count_on(connection, portal, day, to)
            if self._timer() > until:
                break
        self._keep(portal, known, day)

    def _keep(self, portal: int, known: Day | None, day: Day) -> None:
        """Write a day, unless another worker has meanwhile gone on from where we began."""
        with writing(self._engine) as connection:
            if known is None:
                row = {"portal": portal, "begins": day.begins, "ends": day.ends, **_written(day)}
                connection.execute(insert_into(self._engine, days).on_conflict_do_nothing(), row)
                return
            this = (days.c.portal == portal, days.c.begins == day.begins, days.c.ends == day.ends)
            connection.execute(sa.update(days).where(*this, days.c.until == known.until).values(_written(day)))


def _written(day: Day) -> dict[str, Any]:
    return {
        "until": day.until,
        "turns": [[*(turn.before or (None, "")), *turn.after, turn.rule, n] for turn, n in day.turns.items()],
        "gone": [[*stand, n] for stand, n in day.gone.items()],
        "stays": [[*stay, n] for stay, n in day.stays.items()],
    }


def _day(row: sa.Row[Any]) -> Day:
    return Day(
        begins=row.begins, ends=row.ends, until=row.until,
        turns={
            Turn(None if stage is None else Stand(stage, status), Stand(*after), rule): n
            for stage, status, *after, rule, n in row.turns
        },
        gone={Stand(stage, status): n for stage, status, n in row.gone},
        stays={Stay(stage, length): n for stage, length, n in row.stays},
    )  # fmt: skip

"""What was decided on each day, for the page Funnel: read once a day and remembered, for past days stay as they are.

A request reads days for a second at most and leaves the rest to the next one, so a large store is counted in turns and
nobody's webhook waits for it. The price: the counts are this process's own, and begin anew with it; records that were
removed since are still counted until then.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple

import sqlalchemy as sa

from connector.moments import MINUTE, Clock
from connector.store.engine import reading
from connector.store.tables import contacts, records
from connector.web.stands import Stand

LONGEST = 90
_MOST_DAYS = 2_000
_MOST_STAYS = 5_000
_AT_ONCE_S = 1.0
_TODAY_ANEW_AFTER = MINUTE
_BEFORE = records.c.read["before"]


class Turn(NamedTuple):
    """A kind of decision: where the contact stood before (None: nowhere yet), where it stands, and by which rule."""

    before: Stand | None
    after: Stand
    rule: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Day:
    """What was decided from one midnight to the next."""

    begins: int
    ends: int
    turns: Mapping[Turn, int]
    gone: Mapping[Stand, int]
    """Where those stood who were deleted or merged into another."""
    stays: Sequence[tuple[str, int]]
    """Stages that contacts left, with how long (milliseconds) each had been there."""

    @property
    def decisions(self) -> int:
        """Count the decisions."""
        return sum(self.turns.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Period:
    """The newest days, the oldest first; `is_whole`: as many as were asked for."""

    days: tuple[Day, ...]
    is_whole: bool


class Days:
    """Reads days of portals and remembers them; thread-safe."""

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._known: dict[tuple[int, int, int], tuple[int, Day]] = {}
        self._lock = threading.Lock()

    def latest(self, portal: int, number: int, zone: tzinfo) -> Period:
        """Give the newest days of a portal; what is not known yet is read as far as a second reaches."""
        now = self._clock()
        wanted = list(_bounds(now, number, zone))
        if self._lock.acquire(blocking=False):  # whoever comes meanwhile takes what is there
            try:
                self._read(portal, wanted, now)
            finally:
                self._lock.release()
        found: list[Day] = []
        for begins, ends in wanted:
            kept = self._known.get((portal, begins, ends))
            if kept is None:
                break
            found.append(kept[1])
        return Period(days=tuple(reversed(found)), is_whole=len(found) == len(wanted))

    def _read(self, portal: int, wanted: Sequence[tuple[int, int]], now: int) -> None:
        until = time.monotonic() + _AT_ONCE_S
        for begins, ends in wanted:
            kept = self._known.get((portal, begins, ends))
            if kept is not None and not _is_stale(kept[0], ends, now):
                continue
            with reading(self._engine) as connection:
                self._known[portal, begins, ends] = now, read_day(connection, portal, begins, ends)
            if time.monotonic() > until:
                break
        while len(self._known) > _MOST_DAYS:
            self._known.pop(next(iter(self._known)))


def _is_stale(read_at: int, ends: int, now: int) -> bool:
    """Ask whether a day may have gone on since it was read; a decision is committed after the moment that it bears."""
    is_over = read_at > ends + 15 * MINUTE
    return not is_over and not 0 <= now - read_at < _TODAY_ANEW_AFTER


def _bounds(now: int, number: int, zone: tzinfo) -> Iterator[tuple[int, int]]:
    """Give the beginnings and ends of the newest days where the portal is, the newest first."""
    today = datetime.fromtimestamp(now / 1_000, zone).date()
    for back in range(number):
        day = today - timedelta(days=back)
        midnights = [datetime(one.year, one.month, one.day, tzinfo=zone) for one in (day, day + timedelta(days=1))]
        begins, ends = (round(one.timestamp() * 1_000) for one in midnights)
        yield begins, ends


def read_day(connection: sa.Connection, portal: int, begins: int, ends: int) -> Day:
    """Read what was decided within a span of time."""
    then = (records.c.portal == portal, records.c.decided_at >= begins, records.c.decided_at < ends)
    turns, has_gone = _turns(connection, then)
    has_moved = any(turn.before is not None and turn.before.stage != turn.after.stage for turn in turns)
    # Each of the three reads every record of the day once; most days of most portals need the first alone.
    return Day(
        begins=begins, ends=ends, turns=turns, gone=_gone(connection, then) if has_gone else {},
        stays=_stays(connection, then) if has_moved else (),
    )  # fmt: skip


def _turns(connection: sa.Connection, then: Sequence[sa.ColumnElement[bool]]) -> tuple[Mapping[Turn, int], bool]:
    """Count the decisions by kind, and say whether anybody went."""
    status = _BEFORE["status"].as_string().label("status_before")
    is_new = sa.case((records.c.stage_before.is_not(None), 0), (_since().is_(None), 1), else_=0).label("is_new")
    is_gone = sa.case((records.c.fingerprint == "", 1), else_=0).label("is_gone")
    by = (records.c.stage_before, status, is_new, is_gone, records.c.stage, records.c.status, records.c.rule)
    names = ("stage_before", "status_before", "is_new", "is_gone", "stage", "status", "rule")
    one = sa.select(*by).where(*then).subquery()
    columns = [one.c[name] for name in names]
    query = sa.select(*columns, sa.func.count().label("number")).group_by(*columns)
    found: Counter[Turn] = Counter()
    has_gone = False
    for row in connection.execute(query):
        if row.is_gone:
            has_gone = True
            continue
        before = None if row.is_new else Stand(row.stage_before or "", row.status_before or "")
        found[Turn(before, Stand(row.stage or "", row.status or ""), row.rule)] += row.number
    return found, has_gone


def _gone(connection: sa.Connection, then: Sequence[sa.ColumnElement[bool]]) -> Mapping[Stand, int]:
    same = (contacts.c.portal == records.c.portal, contacts.c.contact == records.c.contact)
    known = (contacts.c.fingerprint != "", contacts.c.gone.is_not(None))
    by = (contacts.c.stage, contacts.c.status)
    query = (
        sa.select(*by, sa.func.count(sa.distinct(contacts.c.contact)).label("number"))
        .select_from(records.join(contacts, sa.and_(*same)))
        .where(*then, records.c.fingerprint == "", *known)
        .group_by(*by)
    )
    return {Stand(row.stage or "", row.status or ""): row.number for row in connection.execute(query)}


def _stays(connection: sa.Connection, then: Sequence[sa.ColumnElement[bool]]) -> list[tuple[str, int]]:
    moved = records.c.stage.is_distinct_from(records.c.stage_before)
    query = (
        sa.select(records.c.stage_before, records.c.decided_at, _since().label("since"))
        .where(*then, records.c.stage_before.is_not(None), moved, records.c.fingerprint != "", _since().is_not(None))
        .order_by(records.c.decided_at.desc())
        .limit(_MOST_STAYS)
    )
    return [(row.stage_before, max(row.decided_at - row.since, 0)) for row in connection.execute(query)]


def _since() -> sa.ColumnElement[int]:
    """Since when the stage before had been that; as text first, for `as_integer` has 32 bits on PostgreSQL."""
    return sa.cast(_BEFORE["since"].as_string(), sa.BigInteger)

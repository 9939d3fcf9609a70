"""What was decided on a day, counted from its records: who came, who moved from where to where, by which rule.

A day is as long as it is where the portal is. Counts add up, so a day is counted piece by piece, and what is counted
names nobody. The price: how long a stage had lasted is kept no finer than it is shown, and who goes twice counts twice.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple

import sqlalchemy as sa

from connector.moments import DAY, HOUR, MINUTE, SECOND
from connector.store.tables import contacts, records

LONGEST = 90
"""So many days back anybody looks."""
AT_ONCE = 2_000
"""So many records are read at once, which takes some ten milliseconds."""
_BEFORE = records.c.read["before"]


class Stand(NamedTuple):
    """A stage with its status; "" for none."""

    stage: str
    status: str

    def __str__(self) -> str:
        return f"{self.stage or 'none'} {self.status}".strip()


class Turn(NamedTuple):
    """A kind of decision: where the contact stood before (None: nowhere yet), where it stands, and by which rule."""

    before: Stand | None
    after: Stand
    rule: str


class Stay(NamedTuple):
    """A stage that contacts left, and how long (milliseconds) they had been there."""

    stage: str
    length: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Day:
    """What was decided from one midnight to the next, as far as it is counted."""

    begins: int
    ends: int
    until: int
    turns: Mapping[Turn, int]
    gone: Mapping[Stand, int]
    """Where those stood who were deleted or merged into another."""
    stays: Mapping[Stay, int]

    @classmethod
    def uncounted(cls, begins: int, ends: int, *, until: int | None = None) -> "Day":
        """Give a day of which nothing is counted yet, or nothing was decided up to a moment."""
        return cls(begins=begins, ends=ends, until=begins if until is None else until, turns={}, gone={}, stays={})

    @property
    def decisions(self) -> int:
        """Count the decisions."""
        return sum(self.turns.values())

    @property
    def is_over(self) -> bool:
        """Ask whether all of it is counted."""
        return self.until >= self.ends


def days_until(now: int, number: int, zone: tzinfo) -> Iterator[tuple[int, int]]:
    """Give the beginnings and ends of the newest days where a portal is, the newest first."""
    today = datetime.fromtimestamp(now / 1_000, zone).date()
    for back in range(number):
        day = today - timedelta(days=back)
        midnights = [datetime(one.year, one.month, one.day, tzinfo=zone) for one in (day, day + timedelta(days=1))]
        begins, ends = (round(one.timestamp() * 1_000) for one in midnights)
        yield begins, ends


def begin_of_records(connection: sa.Connection) -> int | None:
    """Give the moment of the oldest record; None when there is none."""
    oldest: int | None = connection.scalar(sa.select(sa.func.min(records.c.decided_at)))
    return oldest


def count_on(connection: sa.Connection, portal: int, day: Day, to: int) -> Day:
    """Count a day further towards a moment: some thousand records more at the most."""
    end = min(day.ends, to)
    if end <= day.until:
        return day
    within = (records.c.decided_at >= day.until, records.c.decided_at < end)
    ahead = sa.select(records.c.decided_at).where(*within).order_by(records.c.decided_at).offset(AT_ONCE).limit(1)
    reached = connection.scalar(ahead)
    if reached is not None and reached > day.until:
        end = reached
    found = _read(connection, portal, day.until, end)
    return Day(
        begins=day.begins, ends=day.ends, until=end, turns=Counter(day.turns) + found[0],
        gone=Counter(day.gone) + found[1], stays=Counter(day.stays) + found[2],
    )  # fmt: skip


def _read(
    connection: sa.Connection, portal: int, begins: int, ends: int
) -> tuple[Counter[Turn], Counter[Stand], Counter[Stay]]:
    """Count what was decided within a span of time."""
    # Without statistics SQLite would rather walk over all records of the portal, which is nearly all there are; a cast
    # keeps it from the index that begins with the portal.
    mine = sa.cast(records.c.portal, sa.BigInteger) == portal
    then = (mine, records.c.decided_at >= begins, records.c.decided_at < ends)
    turns, has_gone = _turns(connection, then)
    has_moved = any(turn.before is not None and turn.before.stage != turn.after.stage for turn in turns)
    # Each of the three reads every record once; most days of most portals need the first alone.
    gone = _gone(connection, then) if has_gone else Counter[Stand]()
    return turns, gone, _stays(connection, then) if has_moved else Counter[Stay]()


def _turns(connection: sa.Connection, then: Sequence[sa.ColumnElement[bool]]) -> tuple[Counter[Turn], bool]:
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


def _gone(connection: sa.Connection, then: Sequence[sa.ColumnElement[bool]]) -> Counter[Stand]:
    same = (contacts.c.portal == records.c.portal, contacts.c.contact == records.c.contact)
    known = (contacts.c.fingerprint != "", contacts.c.gone.is_not(None))
    by = (contacts.c.stage, contacts.c.status)
    query = (
        sa.select(*by, sa.func.count(sa.distinct(contacts.c.contact)).label("number"))
        .select_from(records.join(contacts, sa.and_(*same)))
        .where(*then, records.c.fingerprint == "", *known)
        .group_by(*by)
    )
    return Counter({Stand(row.stage or "", row.status or ""): row.number for row in connection.execute(query)})


def _stays(connection: sa.Connection, then: Sequence[sa.ColumnElement[bool]]) -> Counter[Stay]:
    moved = records.c.stage.is_distinct_from(records.c.stage_before)
    query = sa.select(records.c.stage_before, records.c.decided_at, _since().label("since")).where(
        *then, records.c.stage_before.is_not(None), moved, records.c.fingerprint != "", _since().is_not(None)
    )
    return Counter(
        Stay(row.stage_before, rounded(max(row.decided_at - row.since, 0))) for row in connection.execute(query)
    )


def rounded(length: int) -> int:
    """Cut a length of time to what is said of it: whole hours from a day on, minutes from an hour on, seconds."""
    unit = HOUR if length >= DAY else MINUTE if length >= HOUR else SECOND
    return length // unit * unit


def _since() -> sa.ColumnElement[int]:
    """Since when the stage before had been that; as text first, for `as_integer` has 32 bits on PostgreSQL."""
    return sa.cast(_BEFORE["since"].as_string(), sa.BigInteger)

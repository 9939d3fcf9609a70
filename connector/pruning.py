"""Records that are old are removed in small steps, but for the last of each contact; nothing stops meanwhile.

On PostgreSQL records lie in a table for each month: months to come are made here ahead of time, and one that is old as
a whole is exchanged for one that holds the last records of contacts alone. Until then it stays, so records may be kept
for up to a month longer there. What was removed is told: each portal says since when its records are whole.
"""

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
import structlog

from connector.errors import DatabaseUnavailable
from connector.moments import DAY, HOUR
from connector.store import months
from connector.store.engine import is_sqlite, reading, was_locked, writing
from connector.store.tables import contacts, portals, records

LOOKED_AT_ONCE = 1_000
REMOVED_AT_ONCE = 200
_PAUSE_S = 0.02  # webhooks go first: SQLite's waiting is sleeping
_log = structlog.get_logger()


class Pruner:
    """Removes old records, round after round; whoever calls `step` decides how fast."""

    def __init__(
        self, engine: sa.Engine, *, keep_ms: int | None, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._engine = engine
        self._keep = keep_ms
        self._pause = pause
        self._place = (0, 0)
        self._next_round = 0
        self._next_months = 0

    def step(self, now: int) -> int:
        """Do a part of the round of the day; the number of records that were looked at, 0 when the round is over."""
        if not is_sqlite(self._engine) and now >= self._next_months:
            self._make_months(now)
            self._next_months = now + HOUR
        if self._keep is None or now < self._next_round:
            return 0
        before = now - self._keep
        if not is_sqlite(self._engine):
            before = months.begin_of(*months.month_of(before))
            if self._place == (0, 0) and (done := self._thin_out_one(before)):
                return done
        looked_at = self._remove_some(before)
        if not looked_at:
            self._place, self._next_round = (0, 0), now + DAY
        return looked_at

    def _remove_some(self, before: int) -> int:
        """Remove what is old of the next records by their time, in several transactions; how many were looked at."""
        with reading(self._engine) as connection:
            found = connection.execute(_behind(self._place, before)).all()
        old = [row for row in found if row.is_superseded]
        for start in range(0, len(old), REMOVED_AT_ONCE):
            with writing(self._engine) as connection:
                _remove(connection, old[start : start + REMOVED_AT_ONCE], before)
            self._pause(_PAUSE_S)
        if found:
            self._place = (found[-1].decided_at, found[-1].id)
        if old:
            _log.info("records.pruned", records=len(old))
        return len(found)

    # On PostgreSQL

    def _make_months(self, now: int) -> None:
        with self._changing_tables() as connection:
            if connection is not None and (made := months.make_months(connection, now)):
                _log.info("records.months_made", tables=made)

    def _thin_out_one(self, before: int) -> int:
        """Exchange one month that is old as a whole, or drop an empty one; how many records it had, 0 without one."""
        with reading(self._engine) as connection:
            old = [part for part in months.parts(connection) if part.until is not None and part.until <= before]
        for part in old:
            with self._changing_tables() as connection:
                if connection is None:
                    continue
                if part.is_thinned:
                    months.drop_empty(connection, part)
                    continue
                there, kept = months.thin_out(connection, part)
                _tell_since(connection, None, before)  # last: the portals' rows are what all calls to HubSpot go by
                _log.info("records.pruned", table=part.name, records=there - kept, kept=kept)
                return max(there, 1)
        return 0

    @contextlib.contextmanager
    def _changing_tables(self) -> Iterator[sa.Connection | None]:
        """Open a transaction that may change partitions; None while another process does."""
        try:
            with writing(self._engine) as connection:
                yield connection if months.is_mine(connection) else None
        except DatabaseUnavailable as error:
            if not was_locked(error):
                raise
            _log.info("records.pruning_postponed", reason="another session holds the table")


def known_since(connection: sa.Connection, portal: int) -> int | None:
    """Say since when the records of a portal are whole; None: nothing was ever removed."""
    return connection.scalar(sa.select(portals.c.records_since).where(portals.c.portal == portal))


def _behind(place: tuple[int, int], before: int) -> sa.Select[Any]:
    """Ask for the next records by time, and of each whether its contact has a later one."""
    same = sa.and_(contacts.c.portal == records.c.portal, contacts.c.contact == records.c.contact)
    # Whoever is unknown was forgotten; of the others the last decision stays, and what came after it.
    superseded = contacts.c.decided_at.is_(None) | (contacts.c.decided_at > records.c.decided_at)
    columns = (records.c.id, records.c.portal, records.c.decided_at, superseded.label("is_superseded"))
    behind = sa.tuple_(records.c.decided_at, records.c.id) > place
    # The first part says the same once more, for PostgreSQL to leave out months.
    query = sa.select(*columns).outerjoin(contacts, same).where(
        records.c.decided_at >= place[0], behind, records.c.decided_at < before
    )  # fmt: skip
    return query.order_by(records.c.decided_at, records.c.id).limit(LOOKED_AT_ONCE)


def _remove(connection: sa.Connection, rows: Sequence[sa.Row[Any]], before: int) -> None:
    ids, moments = [row.id for row in rows], [row.decided_at for row in rows]
    within = records.c.decided_at.between(min(moments), max(moments))
    connection.execute(sa.delete(records).where(records.c.id.in_(ids), within))
    _tell_since(connection, {row.portal for row in rows}, before)


def _tell_since(connection: sa.Connection, ids: Collection[int] | None, before: int) -> None:
    """Note since when records are whole; of all portals without ids."""
    earlier = portals.c.records_since.is_(None) | (portals.c.records_since < before)
    these = sa.true() if ids is None else portals.c.portal.in_(ids)
    connection.execute(sa.update(portals).where(these, earlier).values(records_since=before))

"""Days for the pages: from the book that the workers keep, and from the records what is not in it yet.

That is the last minutes, as a rule. Where no worker has come to it yet, a request counts for a part of a second, keeps
in this process how far it came, and leaves the rest to the next one.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

import sqlalchemy as sa

from connector.daybook import SETTLED_AFTER, Bounds, book_of
from connector.days import Day, begin_of_records, count_on, days_until
from connector.moments import MINUTE, Clock
from connector.store.engine import reading

_MOST_DAYS = 2_000
_AT_ONCE_S = 0.4
_ANEW_AFTER = MINUTE


@dataclass(frozen=True, kw_only=True, slots=True)
class Period:
    """The newest days, the oldest first; `is_whole`: as many as were asked for."""

    days: tuple[Day, ...]
    is_whole: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Read:
    """A day as it was read: what of it can change no more, and all of it."""

    at: int
    settled: Day
    whole: Day

    def holds(self, now: int) -> bool:
        """Ask whether it may still be shown."""
        return self.settled.is_over or (self.is_complete and 0 <= now - self.at < _ANEW_AFTER)

    @property
    def is_complete(self) -> bool:
        """Ask whether nothing was left for another time."""
        return self.whole.until >= min(self.whole.ends, self.at)


class Days:
    """Reads days of portals and remembers them; thread-safe."""

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._known: dict[tuple[int, Bounds], _Read] = {}
        self._lock = threading.Lock()

    def latest(self, portal: int, number: int, zone: tzinfo) -> Period:
        """Give the newest days of a portal; what is in no book yet is counted as far as a moment reaches."""
        now = self._clock()
        wanted = list(days_until(now, number, zone))
        if self._lock.acquire(blocking=False):  # whoever comes meanwhile takes what is there
            try:
                self._read(portal, wanted, now)
            finally:
                self._lock.release()
        found: list[Day] = []
        for bounds in wanted:
            kept = self._known.get((portal, bounds))
            if kept is None or not kept.is_complete:
                break
            found.append(kept.whole)
        return Period(days=tuple(reversed(found)), is_whole=len(found) == len(wanted))

    def _read(self, portal: int, wanted: Sequence[Bounds], now: int) -> None:
        until = time.monotonic() + _AT_ONCE_S
        missing = [
            bounds for bounds in wanted
            if (portal, bounds) not in self._known or not self._known[portal, bounds].holds(now)
        ]  # fmt: skip
        with reading(self._engine) as connection:
            book = book_of(connection, portal, missing)
            # Before the oldest record there is nothing to count.
            counted = min(begin_of_records(connection) or now, now - SETTLED_AFTER)
        for bounds in missing:
            known = self._known.get((portal, bounds))
            begun = book.get(bounds) or Day.uncounted(*bounds, until=min(max(bounds[0], counted), bounds[1]))
            if known is not None and known.settled.until > begun.until:
                begun = known.settled
            self._known[portal, bounds] = self._count(portal, begun, now, until)
            if time.monotonic() > until:
                break
        while len(self._known) > _MOST_DAYS:
            self._known.pop(next(iter(self._known)))

    def _count(self, portal: int, day: Day, now: int, until: float) -> _Read:
        """Count what of a day is settled, and then the rest."""
        if day.is_over:
            return _Read(at=now, settled=day, whole=day)
        with reading(self._engine) as connection:

            def count(day: Day, to: int) -> Day:
                to = min(day.ends, to)
                while day.until < to:
                    day = count_on(connection, portal, day, to)
                    if time.monotonic() > until:
                        break
                return day

            settled = count(day, now - SETTLED_AFTER)
            is_done = settled.until >= min(day.ends, now - SETTLED_AFTER)
            return _Read(at=now, settled=settled, whole=count(settled, now) if is_done else settled)

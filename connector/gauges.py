"""What the metrics tell of the database: read at the scrape, and the seldomer the dearer it is.

The history (records, effects, contacts) is never touched, so a scrape costs the same however long it has grown. What
waits is counted along an index; a backlog of a million takes a moment to count, and that moment is at most a twentieth
of the time: in between the last answer is given again.
"""

import threading
import time
from collections.abc import Callable, Mapping

import sqlalchemy as sa

from connector.hubspot.allowance import BudgetState, Limits, calls_left
from connector.inbox import Inbox
from connector.moments import Clock
from connector.portals import Portals
from connector.store.engine import reading
from connector.store.tables import portals
from connector.telemetry import InboxState

_SHARE = 20
"""An answer that took a second to find is given for so many seconds."""


class Gauges:
    """Counts what stands in the database for the portals of a configuration; thread-safe."""

    def __init__(  # noqa: PLR0913 - all of them named
        self, *, engine: sa.Engine, inbox: Inbox, troubles: Portals, limits: Mapping[int, Limits],
        reconcile_every_ms: int | None, clock: Clock, stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._engine = engine
        self._inbox = inbox
        self._troubles = troubles
        self._limits = limits
        self._reconcile_every_ms = reconcile_every_ms
        self._clock = clock
        self._stopwatch = stopwatch
        self._lock = threading.Lock()
        self._last: tuple[float, InboxState] | None = None

    def read(self) -> InboxState:
        """Count, or give the last count while that is recent by what it cost; raises DatabaseUnavailable."""
        with self._lock:
            began = self._stopwatch()
            if self._last is not None and began < self._last[0]:
                return self._last[1]
            state = self._count()
            ended = self._stopwatch()
            self._last = ended + (ended - began) * _SHARE, state
            return state

    def _count(self) -> InboxState:
        counts = [count for portal, count in self._inbox.counts().items() if portal in self._limits]
        since = [count.oldest_since for count in counts if count.oldest_since is not None]
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(portals).where(portals.c.portal.in_(self._limits))).mappings().all()
        now = self._clock()
        budgets = {row["portal"]: BudgetState.of_row({**row}) for row in rows}
        troubles = self._troubles.troubles().items()
        return InboxState(
            pending=sum(count.pending for count in counts),
            oldest_seconds=max((now - min(since)) / 1_000, 0) if since else 0,
            dead_letters=sum(count.dead for count in counts),
            troubles={portal: trouble.code for portal, trouble in troubles if portal in self._limits},
            calls_left={
                portal: calls_left(budgets.get(portal, BudgetState()), limits, now=now)
                for portal, limits in self._limits.items()
            },
            calls_allowed={portal: _allowed(limits) for portal, limits in self._limits.items()},
            reconciled_at={row["portal"]: row["reconciled_at"] for row in rows if row["reconciled_at"] is not None},
            reconcile_every_ms=self._reconcile_every_ms,
        )


def _allowed(limits: Limits) -> Mapping[str, int]:
    return {"ten_seconds": limits.window, "day": limits.day}

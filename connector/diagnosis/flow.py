"""Whether work flows: what of the inbox waits, who is in trouble, whether workers and reconciliation are at it.

All of it is read from the database, and nothing is placed or claimed by looking.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from connector.config import Worker
from connector.diagnosis.check import Check, broken, ok, roughly, warning
from connector.driving.choice import is_driven_by_jobs
from connector.driving.queue import living_workers
from connector.looks import due_looks, first_look
from connector.moments import MINUTE, write_moment
from connector.portals import Portals
from connector.store.engine import reading
from connector.store.tables import deliveries, portals, records, waiting

_LONG = 5 * MINUTE
_MOST_DEAD = _MOST_LOOKS = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Flow:
    """Looks at the flow of one portal, or of all, at a moment."""

    engine: sa.Engine
    now: int
    worker: Worker

    def inbox(self, portal: int) -> Iterator[Check]:
        """Say what waits, since when, and what was given up."""
        alive = (waiting.c.portal == portal, waiting.c.dead_at.is_(None), waiting.c.since <= self.now)
        given_up = (waiting.c.portal == portal, waiting.c.dead_at.is_not(None))
        some_dead = sa.select(sa.literal(1)).where(*given_up).limit(_MOST_DEAD).subquery()
        with reading(self.engine) as connection:
            waits = connection.execute(sa.select(sa.func.count(), sa.func.min(waiting.c.since)).where(*alive)).one()
            looks = due_looks(connection, portal, self.now, most=_MOST_LOOKS)
            dead = connection.scalar(sa.select(sa.func.count()).select_from(some_dead)) or 0
        number, begun = waits[0] + looks[0], [moment for moment in (waits[1], looks[1]) if moment is not None]
        age = self.now - min(begun, default=self.now)
        oldest = f", the oldest for {roughly(age)}" if age else ""
        found = f"{number} contact{'' if number == 1 else 's'} waiting{oldest}"
        if number and age > _LONG + self.worker.settle:
            yield warning("inbox", found, f"see what hinders them: `stagekeeper events list --portal {portal}`")
        else:
            yield ok("inbox", found)
        if dead:
            found = f"{dead} contact{'' if dead == 1 else 's'} given up after their attempts"
            cure = f"`stagekeeper events list --dead --portal {portal}` says why; then retry or drop them"
            yield warning("dead-letters", found, cure)
        else:
            yield ok("dead-letters", "none")

    def trouble(self, portal: int) -> Iterator[Check]:
        """Say whether the portal waits as a whole, and why."""
        known = Portals(self.engine, lambda: self.now).troubles().get(portal)
        if known is None:
            yield ok("trouble", "none")
            return
        text, _, cure = known.text.rpartition("; ")
        found = f"{known.code} for {roughly(self.now - known.since)}: {text or cure}"
        yield warning("trouble", found, cure) if known.hinders else broken("trouble", found, cure)

    def reconciliation(self, portal: int) -> Iterator[Check]:
        """Say when missed webhooks were last looked for."""
        every = self.worker.reconcile_every
        with reading(self.engine) as connection:
            query = sa.select(portals.c.reconciled_at, portals.c.watermark).where(portals.c.portal == portal)
            row = connection.execute(query).one_or_none()
        last, mark = (row.reconciled_at, row.watermark) if row else (None, None)
        reached = f"; changes up to {write_moment(mark)} were seen" if mark is not None else ""
        if last is None:
            cure = f"`stagekeeper reconcile --all --portal {portal}` finds every contact; workers do the rest"
            yield warning("reconciliation", f"missed webhooks were never looked for{reached}", cure)
            return
        found = f"missed webhooks were last looked for {roughly(max(self.now - last, 0))} ago{reached}"
        if every is None:
            yield warning("reconciliation", f"{found}; `worker.reconcile_every` is never",
                          "set it, or run `stagekeeper reconcile` now and then")  # fmt: skip
        elif self.now - last > 3 * every + _LONG:
            cure = "start `stagekeeper serve` or `stagekeeper worker`; see `reconciliation.failed` in the log"
            yield warning("reconciliation", f"{found}; it should be every {roughly(every)}", cure)
        else:
            yield ok("reconciliation", found)

    def workers(self, ids: Collection[int]) -> Iterator[Check]:
        """Say whether anybody works off what is due."""
        with reading(self.engine) as connection:
            since = self._overdue_since(connection, ids)
            held = connection.scalar(sa.select(sa.func.count()).where(waiting.c.claimed_until > self.now)) or 0
            last = connection.scalar(sa.select(sa.func.max(records.c.decided_at))) or 0
            living = living_workers(connection) if is_driven_by_jobs(self.engine, self.worker.driver) else None
        ago = roughly(max(self.now - last, 0))
        decided = f"the last decision was {ago} ago" if last else "nothing was ever decided"
        if living is not None:
            decided += f", {living} worker{'' if living == 1 else 's'} alive"
        overdue = self.now - since if since is not None else 0
        if overdue <= _LONG + self.worker.settle:
            yield ok("workers", f"nothing is left lying; {decided}")
        elif held or self.now - last <= _LONG:
            at_it = f"contacts have been due for {roughly(overdue)} and are worked off"
            yield warning("workers", f"{at_it}; {decided}", "when that stays so, start more `stagekeeper worker`s")
        else:
            found = f"contacts have been due for {roughly(overdue)}, nobody holds any, and {decided}"
            yield broken("workers", found, "start `stagekeeper serve` or `stagekeeper worker`")

    def _overdue_since(self, connection: sa.Connection, ids: Collection[int]) -> int | None:
        """Give the moment since when something waits for a worker; portals in trouble wait for something else."""
        ill = sa.select(portals.c.portal).where(portals.c.trouble.is_not(None), portals.c.trouble_until > self.now)
        due = sa.select(sa.func.min(waiting.c.due)).where(
            waiting.c.portal.in_(ids), waiting.c.portal.not_in(ill), waiting.c.dead_at.is_(None),
        )  # fmt: skip
        first = sa.select(deliveries.c.received_at).order_by(deliveries.c.id).limit(1)
        moments = [moment for query in (due, first) if (moment := connection.scalar(query)) is not None]
        well = sa.select(portals.c.portal).where(portals.c.portal.in_(ids), portals.c.portal.not_in(ill))
        looks = (first_look(connection, portal, until=self.now) for portal in connection.scalars(well).all())
        moments += [moment for moment in looks if moment is not None]
        return min((moment for moment in moments if moment <= self.now), default=None)

"""How far reconciliation is with each portal, and whose turn it is: one at a time, on whatever machine.

A watermark is a moment of HubSpot's clock, the latest change that was seen, never a moment of ours. It moves in the
same transaction in which contacts are let wait, so it never covers what was not kept. A turn is a lease: whoever dies
with it keeps the others waiting for five minutes, and notices when it is gone before writing anything more.

Search shows a change only after some moments, so what lies just before a watermark is looked through again, until a
turn that began long enough after the watermark was reached found nothing newer. After that a quiet portal costs one
search a turn, however much had changed before it fell quiet.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from connector.errors import StagekeeperError
from connector.moments import MINUTE, Clock
from connector.store.engine import insert_into, reading, writing
from connector.store.tables import portals

Kind = Literal["contacts", "companies", "deals"]
KINDS: tuple[Kind, ...] = ("contacts", "companies", "deals")
OVERLAP = 10 * MINUTE
"""HubSpot promises "a few moments" until search shows a change; after an import people have seen minutes."""
LEASE = 5 * MINUTE
_COLUMNS: Mapping[Kind, tuple[str, str]] = {
    "contacts": ("watermark", "unsettled_since"),
    "companies": ("company_watermark", "company_unsettled_since"),
    "deals": ("deal_watermark", "deal_unsettled_since"),
}


class TurnLost(StagekeeperError):
    """Another process reconciles this portal now, for the lease of this one had run out; it changes nothing more."""

    code = "turn-lost"


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """How far reconciliation is with one kind of record."""

    moment: int | None = None
    """The latest change seen, by HubSpot's clock; None: never looked."""
    unsettled_since: int | None = None
    """Since when (our clock) that is the watermark, while search may still show more before it; None: it cannot."""

    @property
    def begins_after(self) -> int | None:
        """Give the moment after which changes may be unseen; None when nobody ever looked."""
        if self.moment is None or self.unsettled_since is None:
            return self.moment
        return self.moment - OVERLAP


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """The right to reconcile a portal, until its lease runs out, and how far the last one came."""

    portal: int
    token: str
    began_at: int
    marks: Mapping[Kind, Mark]


class Watermarks:
    """Gives out turns and moves watermarks, in the portals' rows."""

    def __init__(self, engine: sa.Engine, clock: Clock, *, lease_ms: int = LEASE) -> None:
        self._engine = engine
        self._clock = clock
        self._lease_ms = lease_ms

    def marks(self, portal: int) -> Mapping[Kind, Mark]:
        """Say how far reconciliation is."""
        with reading(self._engine) as connection:
            row = connection.execute(sa.select(portals).where(portals.c.portal == portal)).mappings().first()
        return {kind: _mark(row, kind) for kind in KINDS}

    def is_due(self, portal: int, *, every_ms: int) -> bool:
        """Ask whether a turn is due; it costs one look."""
        query = sa.select(portals.c.portal).where(portals.c.portal == portal, ~_is_due(self._clock(), every_ms))
        with reading(self._engine) as connection:
            return connection.scalar(query) is None

    def due(self, among: Iterable[int], *, every_ms: int) -> list[int]:
        """Name the portals of which a turn is due; it costs one look for all of them."""
        with reading(self._engine) as connection:
            query = sa.select(portals.c.portal).where(~_is_due(self._clock(), every_ms))
            resting = set(connection.scalars(query))
        return [portal for portal in among if portal not in resting]

    def begin(self, portal: int, *, every_ms: int | None = None) -> Turn | None:
        """Take the portal's turn unless somebody has it; with a pace, only when that has gone by since the last."""
        now, token = self._clock(), uuid.uuid4().hex
        due = _is_free(now) if every_ms is None else _is_due(now, every_ms)
        values = {"reconciling": token, "reconciling_until": now + self._lease_ms}
        with writing(self._engine) as connection:
            new = {"portal": portal, "calls": [], "searches": []}
            connection.execute(insert_into(self._engine, portals).on_conflict_do_nothing(), new)
            taken = connection.execute(sa.update(portals).where(portals.c.portal == portal, due).values(values))
            if taken.rowcount == 0:
                return None
            row = connection.execute(sa.select(portals).where(portals.c.portal == portal)).mappings().first()
        return Turn(portal=portal, token=token, began_at=now, marks={kind: _mark(row, kind) for kind in KINDS})

    def go_on(
        self, connection: sa.Connection, turn: Turn, *, kind: Kind = "contacts", reached: int | None = None
    ) -> None:
        """Hold the turn for longer and move a watermark, never back; raises TurnLost when somebody else has it."""
        now = self._clock()
        values: dict[str, object] = {"reconciling_until": now + self._lease_ms}
        if reached is not None:
            name, since = _COLUMNS[kind]
            is_new = portals.c[name].is_(None) | (portals.c[name] < reached)
            values[name] = sa.case((is_new, reached), else_=portals.c[name])
            values[since] = sa.case((is_new, now), else_=portals.c[since])
        self._change(connection, turn, values)

    def settle(self, turn: Turn, kind: Kind) -> None:
        """Hear that a whole look behind a watermark found nothing newer than it: it is settled if that was long ago."""
        name, since = _COLUMNS[kind]
        mark = turn.marks[kind]
        if mark.unsettled_since is None or turn.began_at - mark.unsettled_since < OVERLAP:
            return
        unmoved = sa.and_(portals.c[name] == mark.moment, portals.c[since] == mark.unsettled_since)
        with writing(self._engine) as connection:
            self._change(connection, turn, {since: sa.case((unmoved, sa.null()), else_=portals.c[since])})

    def end(self, turn: Turn) -> None:
        """Give the turn back: the reconciliation is whole."""
        with writing(self._engine) as connection:
            self._change(connection, turn, {**_FREE, "reconciled_at": turn.began_at})

    def give_up(self, turn: Turn, *, pause_ms: int = 0) -> None:
        """Give the turn back unfinished; nobody takes one by itself for so long."""
        values = {**_FREE, "reconciling_until": self._clock() + pause_ms if pause_ms else None}
        mine = (portals.c.portal == turn.portal, portals.c.reconciling == turn.token)
        with writing(self._engine) as connection:
            connection.execute(sa.update(portals).where(*mine).values(values))

    def _change(self, connection: sa.Connection, turn: Turn, values: Mapping[str, object]) -> None:
        mine = (portals.c.portal == turn.portal, portals.c.reconciling == turn.token)
        if connection.execute(sa.update(portals).where(*mine).values(**values)).rowcount == 0:
            raise TurnLost


_FREE: Mapping[str, None] = {"reconciling": None, "reconciling_until": None}


def _is_free(now: int) -> sa.ColumnElement[bool]:
    return portals.c.reconciling.is_(None) | (portals.c.reconciling_until <= now)


def _is_due(now: int, every_ms: int) -> sa.ColumnElement[bool]:
    """Tell a portal's row that is due: nobody is at it, no pause after a failure, and the last one is long ago.

    A clock that was set back must not keep it from being due.
    """
    last = portals.c.reconciled_at
    waited = last.is_(None) | (last <= now - every_ms) | (last > now)
    paused = sa.func.coalesce(portals.c.reconciling_until, 0) > now
    return waited & ~paused


def _mark(row: sa.RowMapping | None, kind: Kind) -> Mark:
    name, since = _COLUMNS[kind]
    return Mark(moment=row[name], unsettled_since=row[since]) if row is not None else Mark()

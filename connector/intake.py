"""Events come in, in two steps: each is stored, once; later it is placed, which is to let its contact wait.

The first step is all that HubSpot waits for: one transaction for the whole request, which writes at the ends of a few
trees; requests that come at the same moment share it. The second writes all over the place. It is made by whoever looks
into the inbox next, a claim above all, so nothing that was stored is ever overlooked.
"""

import operator
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import structlog

from connector.events import Event
from connector.identity.receipts import erased_among
from connector.looks import Looks
from connector.moments import DAY, Clock
from connector.rivals.echoes import find_echoes
from connector.store.engine import again_when_collided, be_alone, insert_into, is_alone, reading, writing
from connector.store.prepared import Insert, Prepared, Rows
from connector.store.tables import events, portals, waiting
from connector.store.together import Together

_log = structlog.get_logger()
# A webhook waits for the database while a round is placed. SQLite's waiting is sleeping, so between two rounds the way
# is left free for longer than it sleeps; what has gathered by then is stored in one go.
_PLACED_AT_ONCE = 300
_PAUSE_S = 0.02
_ROUNDS = 25  # for whoever only looks: after a burst it sees what has been placed by then, and is not kept
_MAY_COME_LATE = 3 * DAY  # HubSpot delivers again for one day
_STORED_TOGETHER = 16
_PLACING = 5_746_391_028  # beside the migrations' own
_EVENT = ("portal", "key", "type", "contact", "occurred_at", "received_at", "due", "malformed", "body")
_PORTAL_AND_KEY, _MALFORMED = operator.itemgetter(0, 1), _EVENT.index("malformed")
_WAITING = ("portal", "contact", "due", "since", "generation", "attempts")
# Written out, because a database does not see that a parameter fits the condition of an index.
_YES: sa.ColumnElement[int] = sa.literal_column("1")
_NO: sa.ColumnElement[int] = sa.literal_column("0")

Moments = tuple[int, int]
"""When to look at a contact, and since when there is reason to."""
Ring = Callable[[Iterable[int]], None]
"""Wakes whoever works off what has come for these portals; it never fails and never waits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """What became of events; `stored` counts those that say something, `malformed` are kept beside them."""

    stored: int
    duplicates: int
    malformed: int


class Intake:
    """Stores events, places them, lets contacts wait."""

    def __init__(
        self, engine: sa.Engine, clock: Clock, *, pause: Callable[[float], None] = time.sleep, ring: Ring | None = None
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._pause = pause
        self._ring = ring
        self._looks = Looks(engine, clock, pause=pause, alone=_PLACING)
        self._store_together = Together(self._store, at_most=_STORED_TOGETHER)
        self._insert_events = Prepared(engine, insert_into(engine, events).on_conflict_do_nothing(), columns=_EVENT)
        self._insert_waiting = Prepared(engine, _insert_or_wait_again(engine), columns=_WAITING)

    def accept(self, incoming: Iterable[Event], *, settle_ms: int) -> Accepted:
        """Store events, all or none, each once; they are on disk when this returns."""
        now, incoming = self._clock(), list(incoming)
        # In one order everywhere: PostgreSQL's writers with the same duplicates would otherwise wait for each other.
        rows = sorted((_event_row(event, now, settle_ms) for event in incoming), key=_PORTAL_AND_KEY)
        if not rows:
            return Accepted(stored=0, duplicates=0, malformed=0)
        malformed = [row for row in rows if row[_MALFORMED] is not None]
        sound = [row for row in rows if row[_MALFORMED] is None] if malformed else rows
        stored, kept = self._store_together.run((sound, malformed))
        if self._ring is not None:
            self._ring({event.portal for event in incoming if event.portal is not None})
        return Accepted(stored=stored, duplicates=len(rows) - stored - kept, malformed=kept)

    @again_when_collided
    def place(self, *, rounds: int = _ROUNDS) -> None:
        """Let the contacts of stored events wait, and those whose next look is due, in small transactions: so many."""
        self._looks.promote(rounds=rounds)
        for _ in range(rounds):
            if self._is_all_placed():
                return
            with writing(self._engine) as connection:
                number = self._place_some(connection)
            if number < _PLACED_AT_ONCE:
                return
            self._pause(_PAUSE_S)

    def look_at(self, connection: sa.Connection, portal: int, contacts: Iterable[str], *, due: int) -> None:
        """Let contacts wait without an event; one that waits already does not wait longer."""
        self._wait(connection, {(portal, contact): (due, due) for contact in contacts})

    @again_when_collided
    def _store(self, requests: Sequence[tuple[Rows, Rows]]) -> Sequence[tuple[int, int]]:
        """Insert the rows of whole requests, the sound and the malformed; how many of either were new, of each."""
        parts = [rows for request in requests for rows in request]
        with writing(self._engine) as connection:
            counts = self._insert_events.run_each(connection, parts)
        return list(zip(counts[::2], counts[1::2], strict=True))

    def _is_all_placed(self) -> bool:
        with reading(self._engine) as connection:
            return connection.scalar(sa.select(events.c.id).where(events.c.placed == _NO).limit(1)) is None

    def _place_some(self, connection: sa.Connection) -> int:
        query = (
            sa.select(events.c.id, events.c.portal, events.c.contact, events.c.due, events.c.received_at)
            .where(events.c.placed == _NO)
            .order_by(events.c.id)
            .limit(_PLACED_AT_ONCE)
        )
        rows = connection.execute(query).all() if is_alone(connection, _PLACING) else []
        if rows:
            waits: dict[tuple[int, str], Moments] = {}
            told = find_echoes(connection, [row.id for row in rows if row.due is not None], self._clock())
            for id_, portal, contact, due, received_at in rows:
                if contact is not None and due is not None and id_ not in told:
                    waits[portal, contact] = min(waits.get((portal, contact), (due, received_at)), (due, received_at))
            waits |= self._traces(connection, [row for row in rows if (row.portal, row.contact) not in waits])
            self._wait(connection, waits)
            ids = [row.id for row in rows]
            connection.execute(sa.update(events).where(events.c.id.in_(ids)).values(placed=_YES))
            _log.debug("inbox.placed", events=len(rows), contacts=len(waits), echoes=len(told))
        return len(rows)

    def _traces(
        self, connection: sa.Connection, rows: Sequence[sa.Row[*tuple[Any, ...]]]
    ) -> dict[tuple[int, str], Moments]:
        """Let those be looked at of whom an event says nothing new, but who were erased: so the event goes as well."""
        now = self._clock()
        quiet = {(row.portal, row.contact): row.received_at for row in rows if row.contact is not None}
        portals = {portal for portal, _ in quiet}
        erased = {
            (portal, contact)
            for portal in portals
            for contact in erased_among(
                connection, portal, [one for of, one in quiet if of == portal], since=now - _MAY_COME_LATE
            )
        }
        return {each: (now, quiet[each]) for each in erased}

    def _wait(self, connection: sa.Connection, waits: Mapping[tuple[int, str], Moments]) -> None:
        if waits:
            self._know_portals(connection, {portal for portal, _ in waits})
            rows = [(portal, contact, due, since, 1, 0) for (portal, contact), (due, since) in sorted(waits.items())]
            self._insert_waiting.run(connection, rows)

    def _know_portals(self, connection: sa.Connection, named: Iterable[int]) -> None:
        """Give every portal the row that its turns are counted in."""
        rows = [{"portal": portal, "calls": [], "searches": []} for portal in sorted(named)]
        connection.execute(insert_into(self._engine, portals).on_conflict_do_nothing(), rows)


def stop_placing(connection: sa.Connection) -> None:
    """Let nobody place events until the transaction ends; to be called before a row of the inbox is locked."""
    be_alone(connection, _PLACING)


def placed(*where: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Narrow a condition to events that are placed: those alone are in the indexes by contact and by time."""
    return sa.and_(events.c.placed == _YES, *where)


def placed_or_not(*where: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Spread a condition over all events, so that an index serves either half."""
    return placed(*where) | _unplaced(*where)


def _unplaced(*where: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Narrow a condition to the few events that are not placed; put so that no other index looks better than theirs."""
    return sa.and_(events.c.placed == _NO, sa.case((sa.and_(*where), _YES), else_=_NO) == _YES)


def _event_row(event: Event, received_at: int, settle_ms: int) -> tuple[object, ...]:
    due = None if event.echo or event.contact is None else received_at + settle_ms
    return (
        event.portal or 0, event.key, event.type, event.contact, event.occurred_at, received_at, due,
        event.malformed, event.body,
    )  # fmt: skip


def _insert_or_wait_again(engine: sa.Engine) -> Insert:
    """Let a contact wait, or say what one more reason to look does to a row that waits already.

    It never waits longer for it; a dead letter comes alive with all its attempts.
    """
    insert = insert_into(engine, waiting)
    dead = waiting.c.dead_at.is_not(None)
    sooner = {
        name: sa.case((dead | (waiting.c[name] > insert.excluded[name]), insert.excluded[name]), else_=waiting.c[name])
        for name in ("due", "since")
    }
    again = {
        **sooner,
        "generation": waiting.c.generation + sa.literal_column("1"),
        "attempts": sa.case((dead, sa.literal_column("0")), else_=waiting.c.attempts),
        "dead_at": sa.null(),
    }
    return insert.on_conflict_do_update(index_elements=["portal", "contact"], set_=again)

"""Events come in, in two steps: a request is stored as it came; later it is placed, which is to read its events.

The first step is all that HubSpot waits for: one row at the end of one tree; requests that come at the same moment
share the transaction. The second drops what was told before, keeps each event once, and lets its contact wait, which
writes all over the place. It is made by whoever looks into the inbox next, a claim above all, so nothing that was
stored is ever overlooked. The price: what came twice is known, and counted, a moment after it was acknowledged.
"""

import operator
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa
import structlog

from connector.delivery import Delivery, events_of
from connector.events import Event
from connector.identity.receipts import erased_among
from connector.looks import WAITING, Looks
from connector.moments import DAY, Clock
from connector.rivals.echoes import find_echoes
from connector.store.engine import again_when_collided, be_alone, insert_into, is_alone, overwriting, reading, writing
from connector.store.prepared import Insert, Prepared, Rows
from connector.store.tables import deliveries, events, portals, waiting
from connector.store.together import Together

_log = structlog.get_logger()
# A webhook waits for the database while a round is placed. SQLite's waiting is sleeping, so between two rounds the way
# is left free for longer than it sleeps, and most of the time: six thousand events a second are placed all the same.
_PLACED_AT_ONCE = 300
_PAUSE_S = 0.04
_ROUNDS = 25  # for whoever only looks: after a burst it sees what has been placed by then, and is not kept
_MAY_COME_LATE = 3 * DAY  # HubSpot delivers again for one day
_STORED_TOGETHER = 16
_PLACING = 5_746_391_028  # beside the migrations' own
_DELIVERY = ("received_at", "due", "number", "apps", "nameless", "body")
_EVENT = ("portal", "key", "type", "contact", "occurred_at", "received_at", "malformed", "body")

Moments = tuple[int, int]
"""When to look at a contact, and since when there is reason to."""
Ring = Callable[[Iterable[int]], None]
"""Wakes whoever works off what has come for these portals; it never fails and never waits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """What became of the events of some deliveries."""

    stored: int = 0
    """That say something and were not known."""
    duplicates: int = 0
    malformed: int = 0
    """That were not known, and are kept beside the others."""

    def __add__(self, other: "Placed") -> "Placed":
        """Sum up."""
        return Placed(
            stored=self.stored + other.stored,
            duplicates=self.duplicates + other.duplicates,
            malformed=self.malformed + other.malformed,
        )


Told = Callable[[Placed], None]
"""Hears what was placed, once it is on disk."""


@dataclass(frozen=True, slots=True)
class _Read:
    """A delivery with what was read of it."""

    id: int
    received_at: int
    due: int
    events: Sequence[Event]


def tell_nobody(_: Placed) -> None:
    """Serve where nothing is counted: in commands."""


class Intake:
    """Stores deliveries, places their events, lets contacts wait."""

    def __init__(
        self, engine: sa.Engine, clock: Clock, *, pause: Callable[[float], None] = time.sleep, ring: Ring | None = None,
        told: Told = tell_nobody,
    ) -> None:  # fmt: skip
        self._engine = engine
        self._clock = clock
        self._pause = pause
        self._ring = ring
        self._told = told
        self._looks = Looks(engine, clock, pause=pause, alone=_PLACING)
        self._store_together = Together(self._store, at_most=_STORED_TOGETHER)
        self._insert_deliveries = Prepared(engine, insert_into(engine, deliveries), columns=_DELIVERY)
        self._insert_events = Prepared(engine, insert_into(engine, events).on_conflict_do_nothing(), columns=_EVENT)
        self._insert_waiting = Prepared(engine, _insert_or_wait_again(engine), columns=WAITING)

    def accept(self, delivery: Delivery, *, settle_ms: int) -> None:
        """Store a delivery; it is on disk when this returns."""
        now = self._clock()
        apps = orjson.dumps(delivery.apps, option=orjson.OPT_NON_STR_KEYS).decode()
        row = (now, now + settle_ms, delivery.number, apps, delivery.nameless, delivery.body)
        self._store_together.run(row)
        if self._ring is not None:
            self._ring(delivery.apps)

    def place(self, *, rounds: int = _ROUNDS) -> Placed:
        """Let those wait of whom an event is stored or whose look is due; sum up what became of the events.

        At most so many small transactions are made of either.
        """
        self._looks.promote(rounds=rounds)
        total = Placed()
        for _ in range(rounds):
            read = self._read_some()
            if not read or (placed := self._place(read)) is None:
                break
            total += placed
            if sum(len(one.events) for one in read) < _PLACED_AT_ONCE:
                break
            self._pause(_PAUSE_S)
        return total

    def look_at(self, connection: sa.Connection, portal: int, contacts: Iterable[str], *, due: int) -> None:
        """Let contacts wait without an event; one that waits already does not wait longer."""
        self._wait(connection, {(portal, contact): (due, due) for contact in contacts})

    @again_when_collided
    def _store(self, rows: Rows) -> Sequence[None]:
        with writing(self._engine) as connection:
            self._insert_deliveries.run(connection, rows)
        return [None] * len(rows)

    def _read_some(self) -> Sequence[_Read]:
        """Read the oldest deliveries, so many that their events are enough for one transaction, and one at least."""
        heads = sa.select(deliveries.c.id, deliveries.c.number).order_by(deliveries.c.id).limit(_PLACED_AT_ONCE)
        with reading(self._engine) as connection:
            last, number = 0, 0
            for row in connection.execute(heads):
                if number < _PLACED_AT_ONCE:
                    last, number = row.id, number + row.number
            oldest = sa.select(deliveries).where(deliveries.c.id <= last).order_by(deliveries.c.id)
            rows = connection.execute(oldest).all() if last else []
        return [_Read(row.id, row.received_at, row.due, events_of(_delivery(row))) for row in rows]

    @again_when_collided
    def _place(self, read: Sequence[_Read]) -> Placed | None:
        """Place deliveries, those that nobody else has placed meanwhile; None while somebody else is at it."""
        with writing(self._engine) as connection:
            if not is_alone(connection, _PLACING):
                return None
            these = deliveries.c.id.in_([one.id for one in read])
            left = {*connection.scalars(sa.select(deliveries.c.id).where(these))}
            placed = self._place_events(connection, [one for one in read if one.id in left])
            with overwriting(connection):
                connection.execute(sa.delete(deliveries).where(these))
        self._told(placed)
        return placed

    def _place_events(self, connection: sa.Connection, read: Sequence[_Read]) -> Placed:
        """Keep each event once, and let the contacts wait of whom one says something new."""
        told = [(event, one) for one in read for event in one.events]
        rows = sorted((_event_row(event, one.received_at) for event, one in told), key=_PORTAL_AND_KEY)
        ids = {(portal, key): id_ for id_, portal, key in self._insert_events.run_telling(connection, rows)}
        new: dict[int, tuple[Event, _Read]] = {}
        for event, one in told:
            if (id_ := ids.pop((event.portal or 0, event.key), None)) is not None:
                new[id_] = event, one
        waits = self._reasons(connection, new)
        self._wait(connection, waits)
        malformed = sum(event.malformed is not None for event, _ in new.values())
        placed = Placed(stored=len(new) - malformed, duplicates=len(told) - len(new), malformed=malformed)
        _log.info(
            "inbox.placed", deliveries=len(read), stored=placed.stored, duplicates=placed.duplicates,
            malformed=placed.malformed, contacts=len(waits),
        )  # fmt: skip
        return placed

    def _reasons(
        self, connection: sa.Connection, new: Mapping[int, tuple[Event, _Read]]
    ) -> Mapping[tuple[int, str], Moments]:
        """Say who is to be looked at because of these events, by their numbers."""
        known = find_echoes(connection, [id_ for id_, (event, _) in new.items() if not event.echo], self._clock())
        waits: dict[tuple[int, str], Moments] = {}
        quiet: dict[tuple[int, str], int] = {}
        for id_, (event, one) in new.items():
            if event.contact is None:
                continue
            who = event.portal or 0, event.contact
            if event.echo or id_ in known:
                quiet[who] = one.received_at
            else:
                moments = one.due, one.received_at
                waits[who] = min(waits.get(who, moments), moments)
        return waits | self._traces(connection, {who: at for who, at in quiet.items() if who not in waits})

    def _traces(
        self, connection: sa.Connection, quiet: Mapping[tuple[int, str], int]
    ) -> dict[tuple[int, str], Moments]:
        """Let those be looked at of whom an event says nothing new, but who were erased: so the event goes as well."""
        now = self._clock()
        erased = {
            (portal, contact)
            for portal in {portal for portal, _ in quiet}
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


def _delivery(row: sa.Row[Any]) -> Delivery:
    apps = {int(portal): app for portal, app in row.apps.items()}
    return Delivery(body=row.body, number=row.number, apps=apps, nameless=row.nameless)


def _event_row(event: Event, received_at: int) -> tuple[object, ...]:
    return (
        event.portal or 0, event.key, event.type, event.contact, event.occurred_at, received_at, event.malformed,
        event.body,
    )  # fmt: skip


_PORTAL_AND_KEY = operator.itemgetter(0, 1)


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

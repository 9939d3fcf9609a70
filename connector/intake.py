"""Events come in: each is stored once, and its contact waits to be looked at.

What `accept` has returned is on disk. Requests that come at the same moment share one transaction.
"""

import itertools
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from connector.events import Event
from connector.moments import Clock
from connector.store.engine import Prepared, insert_into, many, one_of, writing
from connector.store.tables import events, portals, waiting
from connector.store.together import Together

_RowsToWait = Mapping[tuple[int, str], tuple[object, ...]]
_EVENT = ("portal", "key", "type", "contact", "occurred_at", "received_at", "malformed", "body")
_WAITING = ("portal", "contact", "due", "since", "generation", "attempts")


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """What became of a batch of events; `stored` counts those that say something, `malformed` are kept beside them."""

    stored: int
    duplicates: int
    malformed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Batch:
    """The events of one request."""

    events: tuple[Event, ...]
    settle_ms: int


class Intake:
    """Stores events and lets contacts wait."""

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._known_portals: frozenset[int] = frozenset()
        self._together = Together(self._accept)
        self._known_keys = sa.select(events.c.key).where(
            events.c.portal == sa.bindparam("_portal"), one_of(engine, events.c.key, "_keys")
        )
        self._insert_events = Prepared(engine, insert_into(engine, events).on_conflict_do_nothing(), columns=_EVENT)
        self._insert_waiting = Prepared(engine, _insert_or_wait_again(engine), columns=_WAITING)

    def accept(self, incoming: Iterable[Event], *, settle_ms: int) -> Accepted:
        """Store the events and let their contacts wait until the first of them is `settle_ms` old, all or nothing.

        Threads that come at the same time share a transaction; each is answered when it is on disk.
        """
        return self._together.run(_Batch(events=tuple(incoming), settle_ms=settle_ms))

    def look_at(self, connection: sa.Connection, portal: int, contacts: Iterable[str], *, due: int) -> None:
        """Let contacts wait without an event; one that waits already does not wait longer."""
        rows = {(portal, contact): _waiting_row(portal, contact, due=due, since=due) for contact in contacts}
        self._wait(connection, rows)

    def _accept(self, batches: Sequence[_Batch]) -> Sequence[Accepted]:
        """Store the events of several requests in one transaction."""
        # In one order everywhere, or two receivers with the same duplicates would wait for each other.
        places = sorted({_place(event): event for batch in batches for event in batch.events}.items())
        now = self._clock()
        with writing(self._engine) as connection:
            known = self._known(connection, [place for place, _ in places])
            new = {place: event for place, event in places if place not in known}
            self._insert_events.run(connection, [_row(event, now) for event in new.values()])
            rows = _rows_to_wait(new, batches, now)
            self._wait(connection, rows)
        self._known_portals |= {portal for portal, _ in rows}
        return [_count(batch, new) for batch in batches]

    def _known(self, connection: sa.Connection, places: Iterable[tuple[int, str]]) -> set[tuple[int, str]]:
        """Pick the events that are stored already.

        PostgreSQL may store one between this look and the insert; its contact is then looked at once more, no harm.
        """
        known: set[tuple[int, str]] = set()
        for portal, group in itertools.groupby(places, key=operator.itemgetter(0)):
            keys = many(self._engine, [key for _, key in group])
            found = connection.execute(self._known_keys, {"_portal": portal, "_keys": keys})
            known.update((portal, key) for (key,) in found)
        return known

    def _wait(self, connection: sa.Connection, rows: _RowsToWait) -> None:
        if rows:
            self._know_portals(connection, {portal for portal, _ in rows})
            self._insert_waiting.run(connection, [row for _, row in sorted(rows.items())])

    def _know_portals(self, connection: sa.Connection, named: set[int]) -> None:
        new = named - self._known_portals
        if new:
            rows = [{"portal": portal, "calls": [], "searches": []} for portal in sorted(new)]
            connection.execute(insert_into(self._engine, portals).on_conflict_do_nothing(), rows)


def _rows_to_wait(new: Mapping[tuple[int, str], Event], batches: Sequence[_Batch], now: int) -> _RowsToWait:
    """Make the waiting rows of the contacts that got a new event; the shortest settling time wins."""
    rows: dict[tuple[int, str], tuple[object, ...]] = {}
    for batch in sorted(batches, key=operator.attrgetter("settle_ms"), reverse=True):
        due = now + batch.settle_ms
        for event in batch.events:
            if event.contact is not None and not event.echo and _place(event) in new:
                portal = event.portal or 0
                rows[portal, event.contact] = _waiting_row(portal, event.contact, due=due, since=now)
    return rows


def _waiting_row(portal: int, contact: str, *, due: int, since: int) -> tuple[object, ...]:
    return portal, contact, due, since, 1, 0


def _count(batch: _Batch, new: Mapping[tuple[int, str], Event]) -> Accepted:
    """Count one request's events; one that two requests brought at the same moment counts for the last of them."""
    fresh = {_place(event) for event in batch.events if new.get(_place(event)) is event}
    malformed = sum(new[place].malformed is not None for place in fresh)
    return Accepted(
        stored=len(fresh) - malformed, duplicates=len(batch.events) - len(fresh), malformed=malformed
    )


def _row(event: Event, now: int) -> tuple[object, ...]:
    return (
        event.portal or 0, event.key, event.type, event.contact, event.occurred_at, now, event.malformed, event.body
    )  # fmt: skip


def _insert_or_wait_again(engine: sa.Engine) -> sa.Insert:
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


def _place(event: Event) -> tuple[int, str]:
    return event.portal or 0, event.key

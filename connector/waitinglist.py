"""The inbox as people see it: how much waits, what was given up, and how to try that again or let it go."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from connector.filing import events_about
from connector.intake import Intake, Placed
from connector.looks import forgo_looks, next_look, wake
from connector.moments import SECOND, Clock
from connector.store.engine import again_when_collided, reading, writing
from connector.store.tables import events, portals, waiting
from connector.telemetry import InboxState

_SHOWN_EVENTS = 200
_EXPIRED_AT_ONCE = 500
_Change = Callable[[sa.Connection, Sequence[sa.ColumnElement[bool]]], int]
"""Changes rows of whom conditions hold; their number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """How much of a portal waits because of events or because its time has come, without what is paced."""

    pending: int
    oldest_since: int | None
    dead: int
    claimed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitingRow:
    """A waiting contact with its history."""

    portal: int
    contact: str
    due: int
    since: int
    generation: int
    claimed_until: int | None
    attempts: int
    last_error: str | None
    dead_at: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredEvent:
    """An event as it is kept."""

    id: int
    key: str
    """The same for every delivery of one change."""
    type: str
    occurred_at: int | None
    received_at: int
    malformed: str | None
    body: Mapping[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """All that the inbox holds about one contact."""

    waiting: WaitingRow | None
    next_look_at: int | None
    """When it is looked at by itself."""
    events: tuple[StoredEvent, ...]
    """The newest, in the order in which they came."""


class WaitingList:
    """Counts, lists, retries, drops and expires what is in the inbox."""

    def __init__(self, engine: sa.Engine, clock: Clock, intake: Intake) -> None:
        self._engine = engine
        self._clock = clock
        self._intake = intake

    def place(self) -> Placed:
        """Let those wait of whom something has come, as every look into the inbox does first."""
        return self._intake.place()

    def counts(self) -> Mapping[int, Count]:
        """Count per portal what waits, what is claimed and what was given up."""
        self._intake.place()
        now = self._clock()
        dead = waiting.c.dead_at.is_not(None)
        pending = ~dead & (waiting.c.since <= now)  # reconciliation lets contacts wait that are to be looked at later
        query = (
            sa.select(
                portals.c.portal,
                sa.func.count().filter(pending).label("pending"),
                sa.func.min(waiting.c.since).filter(pending).label("oldest_since"),
                sa.func.count().filter(dead).label("dead"),
                sa.func.count().filter(~dead & (waiting.c.claimed_until > now)).label("claimed"),
            )
            .join(waiting, waiting.c.portal == portals.c.portal)
            .group_by(portals.c.portal)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return {
            row.portal: Count(
                pending=row.pending, oldest_since=row.oldest_since, dead=row.dead, claimed=row.claimed
            )
            for row in rows
        }

    def state(self) -> InboxState:
        """Sum up the counts of all portals for the metrics."""
        counts = self.counts().values()
        since = [count.oldest_since for count in counts if count.oldest_since is not None]
        return InboxState(
            pending=sum(count.pending for count in counts),
            oldest_seconds=max((self._clock() - min(since)) / SECOND, 0) if since else 0,
            dead_letters=sum(count.dead for count in counts),
        )

    def listing(
        self,
        *,
        portal: int | None = None,
        dead: bool | None = None,
        limit: int = 100,
        after: tuple[int, str] | None = None,
    ) -> tuple[WaitingRow, ...]:
        """List what waits by portal and contact, from behind `after` on: dead letters, the others, or all."""
        self._intake.place()
        query = _rows().order_by(waiting.c.portal, waiting.c.contact).limit(limit)
        if portal is not None:
            query = query.where(waiting.c.portal == portal)
        if dead is not None:
            query = query.where(waiting.c.dead_at.is_not(None) if dead else waiting.c.dead_at.is_(None))
        if after is not None:
            query = query.where(sa.tuple_(waiting.c.portal, waiting.c.contact) > sa.tuple_(*after))
        with reading(self._engine) as connection:
            return tuple(WaitingRow(**row) for row in connection.execute(query).mappings())

    def show(self, portal: int, contact: str) -> Shown:
        """Show all that the inbox holds about one contact."""
        self._intake.place()
        one = _rows().where(waiting.c.portal == portal, waiting.c.contact == contact)
        newest = (
            sa.select(*(events.c[name] for name in StoredEvent.__slots__))
            .where(events_about(portal, [contact]))
            .order_by(events.c.id.desc())
            .limit(_SHOWN_EVENTS)
        )
        with reading(self._engine) as connection:
            row = connection.execute(one).mappings().first()
            found = connection.execute(newest).mappings().all()
            look = next_look(connection, portal, contact)
        return Shown(
            waiting=None if row is None else WaitingRow(**row),
            next_look_at=look,
            events=tuple(StoredEvent(**event) for event in reversed(found)),
        )

    def retry(self, *, portal: int | None = None, contact: str | None = None, only_dead: bool = False) -> int:
        """Try dead letters again now, with all their attempts; a contact that is named also without being dead."""
        values = {"dead_at": None, "attempts": 0, "due": self._clock(), "generation": waiting.c.generation + 1}

        def again(connection: sa.Connection, these: Sequence[sa.ColumnElement[bool]]) -> int:
            return connection.execute(sa.update(waiting).where(*these).values(values)).rowcount

        return self._change(again, portal=portal, contact=contact, only_dead=only_dead)

    def drop(self, *, portal: int | None = None, contact: str | None = None, only_dead: bool = False) -> int:
        """Let dead letters go for good; a contact that is named also without being dead, unless it is claimed."""

        def let_go(connection: sa.Connection, these: Sequence[sa.ColumnElement[bool]]) -> int:
            query = sa.select(waiting.c.portal, waiting.c.contact).where(*these)
            locked = query.order_by(waiting.c.portal, waiting.c.contact).with_for_update()
            found = [(row.portal, row.contact) for row in connection.execute(locked)]
            forgo_looks(connection, found)
            if found:
                this = (waiting.c.portal == sa.bindparam("_portal"), waiting.c.contact == sa.bindparam("_contact"))
                rows = [{"_portal": each, "_contact": one} for each, one in found]
                connection.execute(sa.delete(waiting).where(*this), rows)
            return len(found)

        return self._change(let_go, portal=portal, contact=contact, only_dead=only_dead)

    @again_when_collided
    def expire(self, *, received_before: int) -> int:
        """Delete events that are old and judged, a few hundred at a time; their number, 0 when all are gone.

        Keep them for three days at least: HubSpot delivers again for one, and only what is kept is known again. They
        are looked for while others may write, so that a webhook waits for the deletion alone.
        """
        unjudged = sa.exists().where(
            waiting.c.portal == events.c.portal,
            waiting.c.contact == events.c.contact,
            waiting.c.since <= events.c.received_at,
        )
        old = (events.c.received_at < received_before, ~unjudged)
        with reading(self._engine) as connection:
            some = connection.scalars(sa.select(events.c.id).where(*old).limit(_EXPIRED_AT_ONCE)).all()
        if not some:
            return 0
        with writing(self._engine) as connection:
            return connection.execute(sa.delete(events).where(events.c.id.in_(some), *old)).rowcount

    @again_when_collided
    def _change(self, change: _Change, *, portal: int | None, contact: str | None, only_dead: bool) -> int:
        """Change the rows that are meant; who is named and has a look to come is meant as if he waited for it."""
        now, these = self._clock(), list[sa.ColumnElement[bool]]()
        if portal is not None:
            these.append(waiting.c.portal == portal)
        if contact is None or only_dead:
            these.append(waiting.c.dead_at.is_not(None))
        if contact is not None:
            these += [waiting.c.contact == contact, waiting.c.claim.is_(None) | (waiting.c.claimed_until <= now)]
        self._intake.place()
        with writing(self._engine) as connection:
            if portal is not None and contact is not None and not only_dead:
                wake(connection, portal, contact, now=now)
            return change(connection, these)

    @contextlib.contextmanager
    def _within(self, connection: sa.Connection | None) -> Iterator[sa.Connection]:
        if connection is not None:
            yield connection
            return
        with writing(self._engine) as own:
            yield own


def _rows() -> sa.Select[tuple[object, ...]]:
    return sa.select(*(waiting.c[name] for name in WaitingRow.__slots__))

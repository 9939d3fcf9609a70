"""The inbox: every event once, and one waiting row per contact that must be looked at.

What is accepted is on disk before HubSpot is answered. A claim holds its contacts for a time and gives them back by
itself when its worker dies; nobody else holds them meanwhile. An event that comes in while its contact is in somebody's
hands is seen by the generation, which grows with every event: the contact is then looked at once more. The price of
never losing one: a contact may be looked at again without need.
"""

import contextlib
import itertools
import operator
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import sqlalchemy as sa

from connector.errors import ClaimLost
from connector.events import Event
from connector.moments import HOUR, SECOND, Clock
from connector.store.engine import Prepared, insert_into, many, one_of, writing
from connector.store.tables import events, portals, waiting
from connector.store.together import Together
from connector.waitinglist import WaitingList

LAST_ATTEMPT = 8
"""After so many attempts a contact is a dead letter."""

_ALONE_AFTER = 3  # leases that ran out, after which a contact is claimed alone: it may be what kills the worker
_FIRST_DELAY = 5 * SECOND
_LONGEST_DELAY = 6 * HOUR
_NONE_FAILED: Mapping[str, "Failure"] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """What became of a batch of events; `stored` counts those that say something, `malformed` are kept beside them."""

    stored: int
    duplicates: int
    malformed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A contact in somebody's hands."""

    contact: str
    generation: int
    attempts: int
    """This one included."""
    since: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A batch of contacts in one worker's hands, until a time."""

    token: str
    portal: int
    contacts: tuple[Waiting, ...]
    taken_at: int
    until: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why a contact could not be settled, and when to try again; without a time it becomes a dead letter."""

    error: str
    retry_at: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Batch:
    """The events of one request."""

    events: tuple[Event, ...]
    settle_ms: int


def retry_delay_ms(attempts: int, random: Callable[[], float]) -> int:
    """Say how long to wait after so many attempts: 5 s, 15 s, 45 s … 6 h, a fifth more or less of it by chance."""
    delay: int = min(_FIRST_DELAY * 3 ** min(max(attempts - 1, 0), 20), _LONGEST_DELAY)
    return min(round(delay * (0.8 + 0.4 * random())), _LONGEST_DELAY)


def next_try_at(attempts: int, *, now: int, random: Callable[[], float], last: int = LAST_ATTEMPT) -> int | None:
    """Say when to try again, None when that was the last attempt."""
    return None if attempts >= last else now + retry_delay_ms(attempts, random)


class Inbox(WaitingList):
    """Takes events in, hands contacts out, takes them back."""

    def __init__(self, engine: sa.Engine, clock: Clock, *, last_attempt: int = LAST_ATTEMPT) -> None:
        super().__init__(engine, clock)
        self._last_attempt = last_attempt
        self._known_portals: frozenset[int] = frozenset()
        self._known_keys = sa.select(events.c.key).where(
            events.c.portal == sa.bindparam("_portal"), one_of(engine, events.c.key, "_keys")
        )
        self._together = Together(self._accept)
        self._insert_events = Prepared(engine, insert_into(engine, events).on_conflict_do_nothing(), columns=_EVENT)
        self._insert_waiting = Prepared(engine, _insert_or_wait_again(engine), columns=_WAITING)

    # Taking in

    def accept(self, incoming: Iterable[Event], *, settle_ms: int) -> Accepted:
        """Store the events and let their contacts wait until the first of them is `settle_ms` old, all or nothing.

        Threads that come at the same time share a transaction; each is answered when it is on disk.
        """
        return self._together.run(_Batch(events=tuple(incoming), settle_ms=settle_ms))

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

    def look_at(
        self, portal: int, contacts: Iterable[str], *, due: int, connection: sa.Connection | None = None
    ) -> None:
        """Let contacts wait without an event; one that waits already does not wait longer."""
        rows = {(portal, contact): _waiting_row(portal, contact, due=due, since=due) for contact in contacts}
        with self._within(connection) as inside:
            self._wait(inside, rows)

    # Handing out

    def claim(
        self, *, lease_ms: int, limit: int = 100, portals: Collection[int] | None = None
    ) -> Claim | None:
        """Hand out up to `limit` due contacts of the portal that was served least recently."""
        now = self._clock()
        with writing(self._engine) as connection:
            for portal in self._portals_in_turn(connection, now, only=portals):
                held = self._pick(connection, portal, now=now, limit=limit)
                if held:
                    claim = Claim(
                        token=uuid.uuid4().hex, portal=portal, contacts=held, taken_at=now, until=now + lease_ms
                    )
                    self._take(connection, claim)
                    return claim
        return None

    def renew(self, claim: Claim, *, lease_ms: int) -> Claim:
        """Hold the claim for longer, counted from now; raises `ClaimLost` when any of it is in other hands."""
        until = self._clock() + lease_ms
        with writing(self._engine) as connection:
            renewed = connection.execute(
                sa.update(waiting).where(*_held(claim)).values(claimed_until=until)
            ).rowcount
            if renewed != len(claim.contacts):
                raise ClaimLost
        return replace(claim, until=until)

    # Taking back

    def finish(
        self,
        claim: Claim,
        connection: sa.Connection | None = None,
        *,
        settled: Mapping[str, int | None] = MappingProxyType({}),
        failed: Mapping[str, Failure] = _NONE_FAILED,
    ) -> None:
        """Take contacts back, settled with the time of their next look or failed; `ClaimLost` when one is not held.

        A contact that got another event meanwhile waits again at once. Those named in neither stay in the claim.
        """
        with self._within(connection) as inside:
            generations = self._lock(inside, claim, [*settled, *failed])
            before = {held.contact: held.generation for held in claim.contacts}
            grown = {contact for contact, generation in generations.items() if generation != before.get(contact)}
            self._settle(inside, claim, {c: due for c, due in settled.items() if c not in grown})
            self._let_go(inside, claim, [c for c in settled if c in grown])
            self._fail(inside, claim, failed, grown=grown)

    def release(self, claim: Claim) -> None:
        """Give back what is still held, as if it had never been claimed."""
        values = {**_FREE, "attempts": waiting.c.attempts - sa.case((waiting.c.attempts > 0, 1), else_=0)}
        with writing(self._engine) as connection:
            connection.execute(sa.update(waiting).where(*_held(claim)).values(values))

    # Inside

    @contextlib.contextmanager
    def _within(self, connection: sa.Connection | None) -> Iterator[sa.Connection]:
        if connection is not None:
            yield connection
            return
        with writing(self._engine) as own:
            yield own

    def _known(self, connection: sa.Connection, places: Iterable[tuple[int, str]]) -> set[tuple[int, str]]:
        """Pick the events that are stored already.

        PostgreSQL may store one between this look and the insert; its contact is then looked at once more, no harm.
        """
        known: set[tuple[int, str]] = set()
        for portal, group in itertools.groupby(places, key=operator.itemgetter(0)):
            keys = many(self._engine, [key for _, key in group])
            known.update((portal, key) for (key,) in connection.execute(self._known_keys, {"_portal": portal, "_keys": keys}))
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

    def _portals_in_turn(
        self, connection: sa.Connection, now: int, *, only: Collection[int] | None
    ) -> Sequence[int]:
        """List the portals that have something to hand out and are not in trouble, least recently served first."""
        some = sa.select(sa.literal(1)).where(waiting.c.portal == portals.c.portal, *_claimable(now)).exists()
        well = portals.c.trouble.is_(None) | (portals.c.trouble_until <= now)
        query = sa.select(portals.c.portal).where(well, some).order_by(portals.c.served_at, portals.c.portal)
        if only is not None:
            query = query.where(portals.c.portal.in_(only))
        return connection.scalars(query).all()

    def _pick(self, connection: sa.Connection, portal: int, *, now: int, limit: int) -> tuple[Waiting, ...]:
        query = (
            sa.select(waiting.c.contact, waiting.c.generation, waiting.c.attempts, waiting.c.since, waiting.c.claim)
            .where(waiting.c.portal == portal, *_claimable(now))
            .order_by(waiting.c.due, waiting.c.contact)
            .limit(limit)
            .with_for_update(skip_locked=True)  # PostgreSQL; SQLite has one writer and needs no lock on rows
        )
        rows = connection.execute(query).all()
        exhausted = [row.contact for row in rows if row.claim and row.attempts >= self._last_attempt]
        if exhausted:
            self._bury(connection, portal, exhausted, now=now)
        rows = [row for row in rows if row.contact not in exhausted]
        suspects = [row for row in rows if row.claim and row.attempts >= _ALONE_AFTER]
        return tuple(
            Waiting(contact=row.contact, generation=row.generation, attempts=row.attempts + 1, since=row.since)
            for row in (suspects[:1] or rows)
        )

    def _bury(self, connection: sa.Connection, portal: int, contacts: Collection[str], *, now: int) -> None:
        error = f"claimed {self._last_attempt} times, its worker never came back; see the worker's log, then retry"
        connection.execute(
            sa.update(waiting)
            .where(waiting.c.portal == portal, waiting.c.contact.in_(contacts))
            .values(**_FREE, dead_at=now, last_error=error)
        )

    def _take(self, connection: sa.Connection, claim: Claim) -> None:
        contacts = [held.contact for held in claim.contacts]
        connection.execute(
            sa.update(waiting)
            .where(waiting.c.portal == claim.portal, waiting.c.contact.in_(contacts))
            .values(claim=claim.token, claimed_until=claim.until, attempts=waiting.c.attempts + 1)
        )
        # Always later than every other portal's, also when the clock stands still or is set back.
        latest = sa.select(sa.func.max(portals.c.served_at)).scalar_subquery()
        served_at = sa.case((latest >= claim.taken_at, latest + 1), else_=claim.taken_at)
        connection.execute(sa.update(portals).where(portals.c.portal == claim.portal).values(served_at=served_at))

    def _lock(self, connection: sa.Connection, claim: Claim, contacts: Collection[str]) -> Mapping[str, int]:
        """Lock the rows in one order and give their generations, so that no event slips in between look and write."""
        query = (
            sa.select(waiting.c.contact, waiting.c.generation)
            .where(
                waiting.c.portal == claim.portal, waiting.c.claim == claim.token, waiting.c.contact.in_(set(contacts))
            )
            .order_by(waiting.c.contact)
            .with_for_update()
        )
        held = {row.contact: row.generation for row in connection.execute(query)}
        if len(held) != len(set(contacts)):
            raise ClaimLost
        return held

    def _settle(self, connection: sa.Connection, claim: Claim, settled: Mapping[str, int | None]) -> None:
        done = [contact for contact, due in settled.items() if due is None]
        if done:
            connection.execute(
                sa.delete(waiting).where(waiting.c.portal == claim.portal, waiting.c.contact.in_(done))
            )
        looks = [{"_contact": contact, "_due": due} for contact, due in settled.items() if due is not None]
        if looks:
            values: dict[str, object] = {**_FRESH, "due": sa.bindparam("_due"), "since": sa.bindparam("_due")}
            connection.execute(sa.update(waiting).where(*_one_of(claim)).values(values), looks)

    def _let_go(self, connection: sa.Connection, claim: Claim, contacts: Collection[str]) -> None:
        """Release what got another event: due as before, and waiting since no earlier than the claim."""
        if contacts:
            connection.execute(
                sa.update(waiting)
                .where(waiting.c.portal == claim.portal, waiting.c.contact.in_(contacts))
                .values(**_FRESH, since=claim.taken_at)
            )

    def _fail(
        self, connection: sa.Connection, claim: Claim, failed: Mapping[str, Failure], *, grown: Collection[str]
    ) -> None:
        now = self._clock()
        rows = [
            {
                "_contact": contact,
                "_error": failure.error[:2_000],
                # The new event may have brought the cure, so it is worth another look.
                "_due": now if failure.retry_at is None else failure.retry_at,
                "_dead_at": now if failure.retry_at is None and contact not in grown else None,
            }
            for contact, failure in failed.items()
        ]
        if rows:
            values: dict[str, object] = {
                **_FREE, "last_error": sa.bindparam("_error"),
                "due": sa.bindparam("_due"), "dead_at": sa.bindparam("_dead_at"),
            }  # fmt: skip
            connection.execute(sa.update(waiting).where(*_one_of(claim)).values(values), rows)


_RowsToWait = Mapping[tuple[int, str], tuple[object, ...]]
_EVENT = ("portal", "key", "type", "contact", "occurred_at", "received_at", "malformed", "body")
_WAITING = ("portal", "contact", "due", "since", "generation", "attempts")
_FREE: Mapping[str, None] = MappingProxyType({"claim": None, "claimed_until": None})
_FRESH: Mapping[str, int | None] = MappingProxyType({**_FREE, "attempts": 0, "last_error": None})


def _place(event: Event) -> tuple[int, str]:
    return event.portal or 0, event.key


def _claimable(now: int) -> tuple[sa.ColumnElement[bool], ...]:
    free = waiting.c.claim.is_(None) | (waiting.c.claimed_until <= now)
    return waiting.c.dead_at.is_(None), waiting.c.due <= now, free


def _held(claim: Claim) -> tuple[sa.ColumnElement[bool], ...]:
    contacts = [held.contact for held in claim.contacts]
    return waiting.c.portal == claim.portal, waiting.c.contact.in_(contacts), waiting.c.claim == claim.token


def _one_of(claim: Claim) -> tuple[sa.ColumnElement[bool], ...]:
    return waiting.c.portal == claim.portal, waiting.c.contact == sa.bindparam("_contact")


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

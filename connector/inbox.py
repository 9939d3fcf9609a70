"""The inbox: every event once, and one waiting row per contact that must be looked at.

What is accepted is on disk before HubSpot is answered. A claim holds its contacts for a time and gives them back by
itself when its worker dies; nobody else holds them meanwhile. An event that comes in while its contact is in somebody's
hands makes it wait anew, or is seen by the generation, which grows whenever events come: the contact is then looked at
once more. The price of never losing one: a contact may be looked at again without need.
"""

import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from connector.claiming import first_due, is_claimable, put_back, take
from connector.delivery import Delivery
from connector.errors import ClaimLost
from connector.intake import Intake, Placed, Ring, Told, tell_nobody
from connector.looks import note_looks
from connector.moments import HOUR, SECOND, Clock
from connector.store.engine import again_when_collided, reading, writing
from connector.store.tables import portals, waiting
from connector.waitinglist import WaitingList

__all__ = ["Claim", "Failure", "Inbox", "Placed", "Waiting", "next_try_at", "retry_delay_ms"]

LAST_ATTEMPT = 8
"""After so many attempts a contact is a dead letter."""

_ALONE_AFTER, _FEWER_EACH_TIME = 6, 5
"""Who was in so many dead workers' hands is claimed alone; before, together with so many times fewer each time."""
_SHORTEST_WAIT = 10  # what is due now is in the hands of whoever is just taking it
_FIRST_DELAY = 5 * SECOND
_LONGEST_DELAY = 6 * HOUR
_NONE_FAILED: Mapping[str, "Failure"] = MappingProxyType({})


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
    leaves_more: bool
    """There is more of the portal that could be claimed at once."""
    is_apart: bool
    """One of the contacts may be what kills workers: whoever has them in hand takes nothing else beside them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why a contact could not be settled, and when to try again; without a time it becomes a dead letter."""

    error: str
    retry_at: int | None


def retry_delay_ms(attempts: int, random: Callable[[], float]) -> int:
    """Say how long to wait after so many attempts: 5 s, 15 s, 45 s … 6 h, a fifth more or less of it by chance."""
    delay: int = min(_FIRST_DELAY * 3 ** min(max(attempts - 1, 0), 20), _LONGEST_DELAY)
    return min(round(delay * (0.8 + 0.4 * random())), _LONGEST_DELAY)


def next_try_at(attempts: int, *, now: int, random: Callable[[], float], last: int = LAST_ATTEMPT) -> int | None:
    """Say when to try again, None when that was the last attempt."""
    return None if attempts >= last else now + retry_delay_ms(attempts, random)


class Inbox(WaitingList):
    """Takes events in, hands contacts out, takes them back."""

    def __init__(
        self, engine: sa.Engine, clock: Clock, *, last_attempt: int = LAST_ATTEMPT, ring: Ring | None = None,
        told: Told = tell_nobody,
    ) -> None:  # fmt: skip
        super().__init__(engine, clock, Intake(engine, clock, ring=ring, told=told))
        self._last_attempt = last_attempt
        self._note_looks = note_looks(engine)

    # Taking in

    def accept(self, delivery: Delivery, *, settle_ms: int) -> None:
        """Store what HubSpot sent, on disk; its contacts wait, once it is placed, until the first event has settled."""
        self._intake.accept(delivery, settle_ms=settle_ms)

    def look_at(
        self, portal: int, contacts: Iterable[str], *, due: int, connection: sa.Connection | None = None
    ) -> None:
        """Let contacts wait without an event; one that waits already does not wait longer."""
        with self._within(connection) as inside:
            self._intake.look_at(inside, portal, contacts, due=due)

    # Handing out

    @again_when_collided
    def claim(
        self, *, lease_ms: int, limit: int = 100, portals: Collection[int] | None = None
    ) -> Claim | None:
        """Hand out up to `limit` due contacts of the portal that was served least recently."""
        self._intake.place()
        now = self._clock()
        with writing(self._engine) as connection:
            for portal in self._portals_in_turn(connection, now, only=portals):
                claim = self._hand_out(connection, portal, now=now, lease_ms=lease_ms, limit=limit)
                if claim is not None:
                    return claim
        return None

    @again_when_collided
    def claim_these(self, portal: int, contacts: Collection[str], *, lease_ms: int) -> Claim | None:
        """Hand out just these contacts, due or not; those in other hands, and dead letters, stay where they are."""
        self._intake.place()
        now = self._clock()
        with writing(self._engine) as connection:
            self._intake.look_at(connection, portal, contacts, due=now)
            return self._hand_out(
                connection, portal, now=now, lease_ms=lease_ms, limit=len(contacts), only=contacts
            )

    def portals_with_work(self) -> Sequence[int]:
        """List the portals that have something to hand out and are not in trouble, least recently served first."""
        self._intake.place()
        with reading(self._engine) as connection:
            return self._portals_in_turn(connection, self._clock(), only=None)

    def due_in(self, portal: int, *, within: int) -> int | None:
        """Say in how long something of a portal will be due; None when that is not soon."""
        now = self._clock()
        with reading(self._engine) as connection:
            due = first_due(connection, portal, now=now, until=now + within)
        return None if due is None else max(due - now, _SHORTEST_WAIT)

    @again_when_collided
    def renew(self, claim: Claim, *, lease_ms: int) -> Claim:
        """Hold the claim for longer, counted from now; raises `ClaimLost` when any of it is in other hands."""
        until = self._clock() + lease_ms
        with writing(self._engine) as connection:
            self.ensure_held(claim, connection)
            connection.execute(sa.update(waiting).where(*_held(claim)).values(claimed_until=until))
        return replace(claim, until=until)

    def ensure_held(self, claim: Claim, connection: sa.Connection) -> None:
        """Raise `ClaimLost` unless every contact of the claim is still held; nobody takes one before the commit."""
        self._lock(connection, claim, [held.contact for held in claim.contacts])

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

        That time must stand in `contacts.next_look_at` by the end of the transaction. A contact that got another event
        meanwhile waits again at once. Those named in neither stay in the claim.
        """
        with self._within(connection) as inside:
            generations = self._lock(inside, claim, [*settled, *failed])
            before = {held.contact: held.generation for held in claim.contacts}
            grown = {contact for contact, generation in generations.items() if generation != before.get(contact)}
            self._settle(inside, claim, {c: due for c, due in settled.items() if c not in grown})
            self._let_go(inside, claim, [c for c in settled if c in grown])
            self._fail(inside, claim, failed, grown=grown)

    @again_when_collided
    def release(self, claim: Claim, *, due_in: int = 0) -> None:
        """Give back what is still held, as if it had never been claimed; it may be asked not to be claimed at once."""
        once_less = waiting.c.attempts - sa.case((waiting.c.attempts > 0, 1), else_=0)
        values: dict[str, object] = {**_FREE, "attempts": once_less}
        if due_in:
            values["due"] = self._clock() + due_in
        with writing(self._engine) as connection:
            connection.execute(_in_order(claim))
            connection.execute(sa.update(waiting).where(*_held(claim)).values(values))

    # Inside

    def _portals_in_turn(
        self, connection: sa.Connection, now: int, *, only: Collection[int] | None
    ) -> Sequence[int]:
        """List the portals that have something to hand out and are not in trouble, least recently served first."""
        some = sa.select(sa.literal(1)).where(waiting.c.portal == portals.c.portal, *is_claimable(now)).exists()
        well = portals.c.trouble.is_(None) | (portals.c.trouble_until <= now)
        query = sa.select(portals.c.portal).where(well, some).order_by(portals.c.served_at, portals.c.portal)
        if only is not None:
            query = query.where(portals.c.portal.in_(only))
        return connection.scalars(query).all()

    def _hand_out(
        self, connection: sa.Connection, portal: int, *, now: int, lease_ms: int, limit: int,
        only: Collection[str] | None = None,
    ) -> Claim | None:  # fmt: skip
        """Take a portal's due contacts into a claim, in as few steps as the database can; None when there are none."""
        token, until = uuid.uuid4().hex, now + lease_ms
        marks = {"claim": token, "claimed_until": until}
        rows = take(connection, portal, marks=marks, now=now, limit=limit, only=only)
        exhausted = [row for row in rows if row.claim and row.attempts >= self._last_attempt]
        alive = [row for row in rows if row not in exhausted]
        kept, are_suspects = self._apart(alive, now)
        if len(kept) < len(rows):
            of_claim = {row.contact for row in kept}
            put_back(connection, portal, [row for row in rows if row.contact not in of_claim])
        if exhausted:
            self._bury(connection, portal, [row.contact for row in exhausted], now=now)
        if not kept:
            return None
        held = tuple(
            Waiting(contact=row.contact, generation=row.generation, attempts=row.attempts + 1, since=row.since)
            for row in kept
        )
        self._served(connection, portal, now)
        return Claim(
            token=token, portal=portal, contacts=held, taken_at=now, until=until,
            leaves_more=len(rows) == limit or len(kept) < len(alive), is_apart=are_suspects,
        )  # fmt: skip

    def _apart(self, rows: Sequence[sa.Row[Any]], now: int) -> tuple[Sequence[sa.Row[Any]], bool]:
        """Keep those of whom one may be what kills workers apart from the others, in groups that shrink each time.

        So whoever kills them is alone before the last attempt, and the innocent are done long before. Of either kind
        one goes first in every other second, so that neither keeps the other waiting.
        """
        suspects = [row for row in rows if row.claim and self._most_together(row.attempts) < len(rows)]
        theirs = {row.contact for row in suspects}
        others = [row for row in rows if row.contact not in theirs]
        if not suspects or (others and now // SECOND % 2):
            return others, False
        deaths = suspects[0].attempts
        return [row for row in suspects if row.attempts == deaths][: self._most_together(deaths)], True

    def _most_together(self, deaths: int) -> int:
        """Say among how many a contact may be claimed whose worker died so often."""
        alone_after = min(_ALONE_AFTER, self._last_attempt - 2)
        return int(_FEWER_EACH_TIME ** max(alone_after - deaths, 0))

    def _bury(self, connection: sa.Connection, portal: int, contacts: Collection[str], *, now: int) -> None:
        error = f"claimed {self._last_attempt} times, its worker never came back; see the worker's log, then retry"
        connection.execute(
            sa.update(waiting)
            .where(waiting.c.portal == portal, waiting.c.contact.in_(contacts))
            .values(**_FREE, dead_at=now, last_error=error)
        )

    def _served(self, connection: sa.Connection, portal: int, now: int) -> None:
        # Always later than every other portal's, also when the clock stands still or is set back.
        latest = sa.select(sa.func.max(portals.c.served_at)).scalar_subquery()
        served_at = sa.case((latest >= now, latest + 1), else_=now)
        connection.execute(sa.update(portals).where(portals.c.portal == portal).values(served_at=served_at))

    def _lock(self, connection: sa.Connection, claim: Claim, contacts: Collection[str]) -> Mapping[str, int]:
        """Lock the rows in one order and give their generations, so that no event slips in between look and write."""
        query = _in_order(claim).where(waiting.c.contact.in_(set(contacts)))
        held = {row.contact: row.generation for row in connection.execute(query)}
        if len(held) != len(set(contacts)):
            raise ClaimLost
        return held

    def _settle(self, connection: sa.Connection, claim: Claim, settled: Mapping[str, int | None]) -> None:
        # Looks first, then waiting rows, as whoever promotes takes them: so nobody waits in a circle.
        looks = sorted((due, contact) for contact, due in settled.items() if due is not None)
        self._note_looks.run(connection, [(claim.portal, due, contact) for due, contact in looks])
        if settled:
            connection.execute(
                sa.delete(waiting).where(waiting.c.portal == claim.portal, waiting.c.contact.in_(settled))
            )

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


_FREE: Mapping[str, None] = MappingProxyType({"claim": None, "claimed_until": None})
_FRESH: Mapping[str, int | None] = MappingProxyType({**_FREE, "attempts": 0, "last_error": None})


def _held(claim: Claim) -> tuple[sa.ColumnElement[bool], ...]:
    contacts = [held.contact for held in claim.contacts]
    return waiting.c.portal == claim.portal, waiting.c.contact.in_(contacts), waiting.c.claim == claim.token


def _in_order(claim: Claim) -> sa.Select[tuple[str, int]]:
    """Lock what is held of a claim in the one order in which everybody locks, so that nobody waits in a circle."""
    query = sa.select(waiting.c.contact, waiting.c.generation).where(*_held(claim))
    return query.order_by(waiting.c.contact).with_for_update()


def _one_of(claim: Claim) -> tuple[sa.ColumnElement[bool], ...]:
    return waiting.c.portal == claim.portal, waiting.c.contact == sa.bindparam("_contact")

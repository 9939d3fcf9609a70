"""Another automation that fights with Stagekeeper over a value is found, named, and left in possession for a time.

We write a value, something sets it back, we write it again: neither ever stops by itself. After three writes of the
same value to the same contact within a day the property's history is read, which tells who set it back each time. Then
that value is not written to that contact for a day, and tried once more after it. One alert is given for each portal,
property and rival, however many contacts they fight over; of a rival who is known, one round is enough.

People are no rivals: a person's move of the stage wins anyway, and who fills in a form does so once. Whatever turns a
value round by way of what the rules read leaves no trace in the value's own history; there twenty writes a day are the
end of it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import sqlalchemy as sa
import structlog

from connector.hubspot.client import HubSpotPortal
from connector.hubspot.meaning import Meaning
from connector.record import Judged
from connector.rivals.bouts import (
    MOST_A_DAY,
    MOST_WRITES,
    OF_LATE,
    PAUSE,
    Bouts,
    bout_of,
    digest_of,
    repeated,
    with_hold,
)
from connector.rivals.history import Version, versions_of
from connector.store.engine import insert_into, reading, writing
from connector.store.tables import fights

_OVER_AFTER = 2 * PAUSE
"""After so long without a value left to the rival, who has then let one try stand, the fight is over."""
_MOST_NAMED = 5
"""Rivals of one property: should HubSpot name a source anew for every contact, the rest go under one name."""
_OTHERS = "several automations"
_CHAIN = "something set off by its change"
"""Who turns the value round by way of what the rules read, so that the writes back are our own."""
_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Fight:
    """A value that another automation of the portal sets back each time."""

    portal: int
    property: str
    rival: str
    began_at: int
    seen_at: int
    times: int
    """How often a contact's value was left to the rival."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What is to be left alone from now on, by contact; whose history could not be read; who fights over what."""

    bouts: Mapping[str, Bouts] = field(default_factory=dict)
    unread: Mapping[str, Meaning] = field(default_factory=dict)
    rivals: Sequence[tuple[str, str]] = ()
    """(property, rival) of each value that is left alone."""


class Rivals:
    """The other automations of one portal."""

    def __init__(self, engine: sa.Engine, hubspot: HubSpotPortal, *, portal: int, app_id: int | None) -> None:
        self._engine = engine
        self._hubspot = hubspot
        self._portal = portal
        self._app = None if app_id is None else str(app_id)

    def find(self, judged: Iterable[Judged], now: int) -> Found:
        """Find the values that are about to be written again although a rival sets them back each time.

        Asks nobody when no value is written again; the table of fights once, and HubSpot only when one is suspected.
        """
        again = {one.snapshot.contact: (one, repeated(one.plan, one.held.bouts, now)) for one in judged}
        again = {contact: pair for contact, pair in again.items() if pair[1]}
        if not again:
            return Found()
        known = self._known(now)
        suspected = {
            contact: (one, names)
            for contact, (one, counts) in again.items()
            if (names := [name for name, times in counts.items() if times >= MOST_WRITES or name in known])
        }
        return self._named(suspected, known, now) if suspected else Found()

    def note(self, connection: sa.Connection, rivals: Collection[tuple[str, str]], now: int) -> list[tuple[str, str]]:
        """Write down, inside the caller's transaction, what was left to whom; give the fights that are new."""
        new = []
        for name, rival in sorted(set(rivals)):
            row = {"portal": self._portal, "property": name, "rival": rival, "began_at": now, "seen_at": now}
            insert = insert_into(self._engine, fights).on_conflict_do_nothing().returning(fights.c.times)
            inserted = connection.execute(insert, {**row, "times": 0}).first()
            this = (fights.c.portal == self._portal, fights.c.property == name, fights.c.rival == rival)
            over = fights.c.seen_at <= now - _OVER_AFTER
            anew = sa.update(fights).where(*this, over).values(began_at=now, times=0)
            if inserted is not None or connection.execute(anew).rowcount == 1:
                new.append((name, rival))
            times = sum(pair == (name, rival) for pair in rivals)
            connection.execute(sa.update(fights).where(*this).values(seen_at=now, times=fights.c.times + times))
        return new

    def tell(self, new: Iterable[tuple[str, str]]) -> None:
        """Alert, once per fight."""
        for name, rival in new:
            cure = "let either of the two have the property to itself"
            _log.error("fight.began", portal=self._portal, property=name, rival=rival, cure=cure)

    def _known(self, now: int) -> dict[str, set[str]]:
        known: dict[str, set[str]] = {}
        for fight in open_fights(self._engine, [self._portal], now):
            known.setdefault(fight.property, set()).add(fight.rival)
        return known

    def _named(
        self, suspected: Mapping[str, tuple[Judged, list[str]]], known: dict[str, set[str]], now: int
    ) -> Found:
        """Read who set the values back, and leave them alone where it was a rival each time."""
        names = sorted({name for _, mine in suspected.values() for name in mine})
        answer = self._hubspot.contacts.read(suspected, names, history=names)
        bouts: dict[str, Bouts] = {}
        rivals: list[tuple[str, str]] = []
        for contact, record in answer.found.items():
            one, mine = suspected[contact]
            for name in mine:
                value = one.plan.writes[name]
                rival = self._rival(versions_of(record, name), name, value, one.held.bouts, known, now)
                if rival is not None:
                    known.setdefault(name, set()).add(rival)
                    held = bouts.get(contact, one.held.bouts)
                    bouts[contact] = with_hold(held, name, value, rival=rival, now=now)
                    rivals.append((name, rival))
        return Found(bouts=bouts, unread=dict(answer.failed), rivals=tuple(rivals))

    def _rival(
        self, versions: Sequence[Version], name: str, value: str, bouts: Bouts, known: Mapping[str, set[str]], now: int
    ) -> str | None:
        """Name who set the value back last, if it was an automation, and often enough."""
        if bout_of(bouts, name, value).times(now) >= MOST_A_DAY:
            return _CHAIN
        ours = frozenset(bout.value for bout in bouts if bout.property == name) if self._app is None else frozenset()
        if not versions or not self._is_rival(versions[-1], ours):
            return None
        wanted = digest_of(value)
        rounds = sum(
            digest_of(before.value) == wanted != digest_of(after.value)
            and after.moment > now - OF_LATE
            and self._is_rival(after, ours)
            for before, after in pairwise(versions)
        )
        rivals = known.get(name, set())
        author = versions[-1].author
        if author not in rivals and len(rivals) >= _MOST_NAMED:
            author = _OTHERS
        return author if rounds >= (1 if author in rivals else MOST_WRITES) else None

    def _is_rival(self, version: Version, ours: Collection[str]) -> bool:
        """Ask whether another automation set this; without our own app's id, ours is known by its value."""
        if version.source == "INTEGRATION" and self._app is not None:
            return version.source_id != self._app
        return version.by_automation and digest_of(version.value) not in ours


def open_fights(engine: sa.Engine, portals: Collection[int], now: int) -> list[Fight]:
    """List the fights of portals that are not over."""
    query = sa.select(fights).where(fights.c.portal.in_(portals), fights.c.seen_at > now - _OVER_AFTER)
    with reading(engine) as connection:
        return sorted(Fight(**row) for row in connection.execute(query).mappings())


def end_fights(engine: sa.Engine, now: int) -> None:
    """Forget the fights that are over, and say so."""
    over = fights.c.seen_at <= now - _OVER_AFTER
    with reading(engine) as connection:
        ended = [Fight(**row) for row in connection.execute(sa.select(fights).where(over)).mappings()]
    if not ended:
        return
    with writing(engine) as connection:
        connection.execute(sa.delete(fights).where(over))
    for fight in ended:
        _log.warning(
            "fight.ended", portal=fight.portal, property=fight.property, rival=fight.rival,
            lasted_ms=fight.seen_at - fight.began_at,
        )  # fmt: skip

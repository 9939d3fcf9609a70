"""The page Now: whether events flow, what waits, what is left of HubSpot's budget, who is in trouble.

It is read from one moment of the database and writes nothing, however often it refreshes itself. Whatever may be large
is counted up to a bound, along an index; /metrics has the whole numbers.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import flask
import sqlalchemy as sa

from connector.config import Portal
from connector.hubspot.allowance import BudgetState, calls_left
from connector.looks import due_looks
from connector.moments import MINUTE, SECOND
from connector.portals import Trouble
from connector.services import limits_of
from connector.store.engine import reading
from connector.store.tables import deliveries, events, portals, records, waiting
from connector.web.charts import bars
from connector.web.layout import Counted, Page, Site, render, total

_MOST_EVENTS = 50_000
_MOST_LYING = 5_000
_MOST_WAITING = 20_000
_MOST_DEAD = 10_000
_LATEST = 15
_MINUTES = 30
_IDLE_AFTER = 30 * SECOND


@dataclass(frozen=True, kw_only=True, slots=True)
class Waits:
    """What of a portal waits because of events or because its time has come."""

    number: Counted
    oldest_since: int | None
    dead: Counted


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """The calls to HubSpot that are left, and how many there are in all."""

    window: int
    window_most: int
    day: int
    day_most: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PortalNow:
    """One portal at this moment."""

    id: int
    name: str
    pack: str
    mode: str
    events: int
    waits: Waits
    budget: Budget
    trouble: Trouble | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Unplaced:
    """Events that are stored and that no worker has taken up yet."""

    number: Counted
    since: int | None

    def is_left_lying(self, now: int) -> bool:
        """Ask whether a worker would have taken them up by now."""
        return self.since is not None and now - self.since > _IDLE_AFTER


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided:
    """A decision about a contact; no name, no address."""

    portal: int
    contact: str
    stage: str
    status: str
    rule: str
    because: str
    decided_at: int
    next_look_at: int | None


def _add(blueprint: flask.Blueprint, site: Site) -> None:
    def show() -> flask.Response:
        now = site.clock()
        with reading(site.engine) as connection:
            unplaced = unplaced_events(connection)
            arrived = events_by_portal(connection, since=now - MINUTE)
            course = events_by_minute(connection, now, _MINUTES)
            rows = portal_rows(connection, site.portals)
            waits = {portal: waits_of(connection, portal, now) for portal in site.portals}
            decisions = latest_decisions(connection, site.portals)
        troubles = site.troubles.troubles()
        shown = [
            PortalNow(
                id=one.id, name=one.name, pack=site.packs[one.id].name, mode=one.mode, events=arrived.get(one.id, 0),
                waits=waits[one.id], budget=budget_of(one, rows.get(one.id), now), trouble=troubles.get(one.id),
            )
            for one in site.config.portals
        ]  # fmt: skip
        return render(
            "now.html", now=now, portals_now=shown, unplaced=unplaced, decisions=decisions,
            events=Counted(sum(arrived.values()), _MOST_EVENTS), waits=total(one.number for one in waits.values()),
            dead=total(one.dead for one in waits.values()), course=_drawn(course),
            oldest=min((one.oldest_since for one in waits.values() if one.oldest_since is not None), default=None),
        )  # fmt: skip

    blueprint.add_url_rule("/", view_func=show, endpoint="now", methods=["GET"])


PAGE = Page(name="now", path="/", title="Now", add=_add)


def unplaced_events(connection: sa.Connection) -> Unplaced:
    """Count the events that nobody has taken up."""
    lying = sa.select(deliveries.c.number, deliveries.c.received_at)
    some = lying.order_by(deliveries.c.id).limit(_MOST_EVENTS + 1).subquery()
    query = sa.select(sa.func.coalesce(sa.func.sum(some.c.number), 0), sa.func.min(some.c.received_at))
    number, since = connection.execute(query).one()
    return Unplaced(number=Counted(number, _MOST_EVENTS), since=since)


def events_by_portal(connection: sa.Connection, *, since: int) -> Mapping[int, int]:
    """Count the events that came since, by portal."""
    some = sa.select(events.c.portal).where(events.c.received_at > since).limit(_MOST_EVENTS + 1).subquery()
    query = sa.select(some.c.portal, sa.func.count()).group_by(some.c.portal)
    found = Counter({row[0]: row[1] for row in connection.execute(query)})
    for row in _lying(connection, since):
        found[min(map(int, row.apps), default=row.nameless)] += row.number  # whose each is shows when it is placed
    return found


def _lying(connection: sa.Connection, since: int) -> Sequence[sa.Row[Any]]:
    """Give the deliveries that came since and are not placed, the newest."""
    columns = (deliveries.c[name] for name in ("apps", "nameless", "number", "received_at"))
    newest = sa.select(*columns).order_by(deliveries.c.id.desc()).limit(_MOST_LYING)
    return [row for row in connection.execute(newest) if row.received_at > since]


def events_by_minute(connection: sa.Connection, now: int, minutes: int) -> list[int]:
    """Count the events of each of the last minutes, the earliest first."""
    since = now - minutes * MINUTE
    arrived = events.c.received_at
    every = sa.select(arrived).where(arrived > since, arrived <= now).limit(_MOST_EVENTS).subquery()
    age = ((sa.literal(now, sa.BigInteger) - every.c.received_at) // sa.literal_column(str(MINUTE), sa.BigInteger))
    query = sa.select(age.label("age"), sa.func.count()).group_by("age")
    found = Counter({row[0]: row[1] for row in connection.execute(query)})
    for row in _lying(connection, since):
        found[max(now - row.received_at, 0) // MINUTE] += row.number
    return [found.get(age, 0) for age in reversed(range(minutes))]


def _drawn(course: Sequence[int]) -> str:
    last = len(course) - 1
    says = [f"{number:,} {f'{last - place} min ago' if place < last else 'in the last minute'}"
            for place, number in enumerate(course)]  # fmt: skip
    title = f"Events a minute in the last {len(course)} minutes: {sum(course):,} in all, {max(course):,} at the most"
    return bars(course, title=title, says=says)


def waits_of(connection: sa.Connection, portal: int, now: int) -> Waits:
    """Count what of a portal waits, and since when, among those that are due first; and its dead letters."""
    alive = (waiting.c.portal == portal, waiting.c.dead_at.is_(None))
    first = sa.select(waiting.c.since).where(*alive).order_by(waiting.c.due).limit(_MOST_WAITING + 1).subquery()
    query = sa.select(sa.func.count(), sa.func.min(first.c.since)).where(first.c.since <= now)
    waits = connection.execute(query).one()
    looks = due_looks(connection, portal, now, most=_MOST_WAITING + 1)  # whoever shows a page lets nobody wait
    begun = [moment for moment in (waits[1], looks[1]) if moment is not None]
    return Waits(
        number=Counted(waits[0] + looks[0], _MOST_WAITING), oldest_since=min(begun, default=None),
        dead=dead_of(connection, portal),
    )  # fmt: skip


def dead_of(connection: sa.Connection, portal: int) -> Counted:
    """Count a portal's dead letters."""
    dead = (waiting.c.portal == portal, waiting.c.dead_at.is_not(None))
    some = sa.select(sa.literal(1)).where(*dead).limit(_MOST_DEAD + 1).subquery()
    return Counted(connection.scalar(sa.select(sa.func.count()).select_from(some)) or 0, _MOST_DEAD)


def portal_rows(connection: sa.Connection, ids: Sequence[int]) -> Mapping[int, Mapping[str, Any]]:
    """Read what is kept of each portal."""
    rows = connection.execute(sa.select(portals).where(portals.c.portal.in_(ids))).mappings()
    return {row["portal"]: {str(name): value for name, value in row.items()} for row in rows}


def budget_of(portal: Portal, row: Mapping[str, Any] | None, now: int) -> Budget:
    """Say how many calls are left, as the workers count them."""
    limits = limits_of(portal)
    left = calls_left(BudgetState.of_row(row) if row else BudgetState(), limits, now=now)
    return Budget(window=left["ten_seconds"], window_most=limits.window, day=left["day"], day_most=limits.day)


def latest_decisions(connection: sa.Connection, ids: Sequence[int]) -> list[Decided]:
    """List the newest decisions."""
    # Portals are picked from the newest rows, not in the query: that would rather sort all rows of a portal.
    names = ("portal", "contact", "stage", "status", "rule", "decided", "decided_at", "fingerprint")
    newest = sa.select(*(records.c[name] for name in names)).where(records.c.decided_at > 0)
    found = connection.execute(newest.order_by(records.c.decided_at.desc()).limit(4 * _LATEST))
    rows = [row for row in found if row.portal in ids and row.fingerprint]
    return [
        Decided(
            portal=row.portal, contact=row.contact, stage=row.stage or "none", status=row.status or "", rule=row.rule,
            because=row.decided.get("because") or "", decided_at=row.decided_at,
            next_look_at=row.decided.get("next_look_at"),
        )
        for row in rows[:_LATEST]
    ]  # fmt: skip

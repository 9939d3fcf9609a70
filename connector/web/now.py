"""What the page shows, read in one moment of the database: what waits, who is in trouble, the latest decisions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from connector.moments import write_moment
from connector.portals import Trouble
from connector.store.engine import reading
from connector.store.tables import contacts
from connector.waitinglist import Count

_LATEST = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class PortalNow:
    """One portal at this moment."""

    id: int
    name: str
    pack: str
    mode: str
    count: Count | None
    trouble: Trouble | None


@dataclass(frozen=True, kw_only=True, slots=True)
class StageCount:
    """How many contacts have a stage and status."""

    portal: int
    stage: str
    status: str
    number: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided:
    """The latest decision about a contact; no name, no address."""

    portal: int
    contact: str
    stage: str
    status: str
    rule: str
    because: str
    decided_at: str
    next_look_at: str


def stage_counts(engine: sa.Engine, portals: Sequence[int]) -> list[StageCount]:
    """Count contacts by stage and status."""
    query = (
        sa.select(contacts.c.portal, contacts.c.stage, contacts.c.status, sa.func.count().label("number"))
        .where(contacts.c.portal.in_(portals), contacts.c.gone.is_(None))
        .group_by(contacts.c.portal, contacts.c.stage, contacts.c.status)
        .order_by(contacts.c.portal, contacts.c.stage, contacts.c.status)
    )
    with reading(engine) as connection:
        rows = connection.execute(query).all()
    return [
        StageCount(portal=row.portal, stage=row.stage or "none", status=row.status or "", number=row.number)
        for row in rows
    ]


def latest_decisions(engine: sa.Engine, portals: Sequence[int]) -> list[Decided]:
    """List the newest decisions."""
    query = (
        sa.select(contacts)
        .where(contacts.c.portal.in_(portals), contacts.c.gone.is_(None))
        .order_by(contacts.c.decided_at.desc())
        .limit(_LATEST)
    )
    with reading(engine) as connection:
        rows = connection.execute(query).all()
    return [
        Decided(
            portal=row.portal, contact=row.contact, stage=row.stage or "none", status=row.status or "", rule=row.rule,
            because=row.because, decided_at=write_moment(row.decided_at // 1_000 * 1_000),
            next_look_at="" if row.next_look_at is None else write_moment(row.next_look_at // 1_000 * 1_000),
        )
        for row in rows
    ]  # fmt: skip


def portals_now(
    named: Sequence[tuple[int, str, str, str]], counts: Mapping[int, Count], troubles: Mapping[int, Trouble]
) -> list[PortalNow]:
    """Put together what is known of each portal; `named` gives id, name, pack and mode."""
    return [
        PortalNow(id=id_, name=name, pack=pack, mode=mode, count=counts.get(id_), trouble=troubles.get(id_))
        for id_, name, pack, mode in named
    ]

"""How contacts pass into a worker's hands, the one place where the databases differ.

PostgreSQL takes them in one statement that steps over whatever another worker is just taking; SQLite, which has one
writer, looks first and takes then. Neither ever waits for another worker's claim.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from connector.looks import first_look
from connector.store.tables import portals, waiting


def is_claimable(now: int) -> tuple[sa.ColumnElement[bool], ...]:
    """Tell the rows that may be handed out: alive, due, and in nobody's hands."""
    free = waiting.c.claim.is_(None) | (waiting.c.claimed_until <= now)
    return waiting.c.dead_at.is_(None), waiting.c.due <= now, free


def take(
    connection: sa.Connection, portal: int, *, marks: Mapping[str, object], now: int, limit: int,
    only: Collection[str] | None = None,
) -> Sequence[sa.Row[Any]]:  # fmt: skip
    """Mark up to so many contacts as taken, the first due first; give their rows as they were before."""
    these = () if only is None else (waiting.c.contact.in_(only),)
    found = (
        sa.select(*(waiting.c[name] for name in _ROW))
        .where(waiting.c.portal == portal, *is_claimable(now), *these)
        .order_by(waiting.c.due, waiting.c.contact)
        .limit(limit)
    )
    taking = sa.update(waiting).values({**marks, "attempts": waiting.c.attempts + 1})
    if connection.dialect.name == "sqlite":
        rows = connection.execute(found).all()
        taken = [row.contact for row in rows]
        if taken:
            connection.execute(taking.where(waiting.c.portal == portal, waiting.c.contact.in_(taken)))
        return rows
    before = found.with_for_update(skip_locked=True).cte("before")
    at_once = taking.where(waiting.c.portal == portal, waiting.c.contact == before.c.contact)
    rows = connection.execute(at_once.returning(*(before.c[name] for name in _ROW))).all()
    return sorted(rows, key=lambda row: (row.due, row.contact))


def first_due(connection: sa.Connection, portal: int, *, now: int, until: int) -> int | None:
    """Say when the first contact of a portal that is in nobody's hands is due, events and next looks alike.

    None when that is later than `until`, and while the portal is in trouble.
    """
    alive, _, free = is_claimable(now)
    well = portals.c.trouble.is_(None) | (portals.c.trouble_until <= now)
    if connection.scalar(sa.select(sa.literal(1)).where(portals.c.portal == portal, well)) is None:
        return None
    found = sa.select(waiting.c.due).where(waiting.c.portal == portal, alive, free, waiting.c.due <= until)
    first = connection.scalar(found.order_by(waiting.c.due).limit(1))
    return min((due for due in (first, first_look(connection, portal, until=until)) if due is not None), default=None)


def put_back(connection: sa.Connection, portal: int, rows: Sequence[sa.Row[Any]]) -> None:
    """Leave rows as they were before they were taken in this transaction."""
    this = (waiting.c.portal == portal, waiting.c.contact == sa.bindparam("_contact"))
    names = ("claim", "claimed_until", "attempts")
    values: dict[str, object] = {name: sa.bindparam(f"_{name}") for name in names}
    if rows:
        old = [{"_contact": row.contact, **{f"_{name}": getattr(row, name) for name in names}} for row in rows]
        connection.execute(sa.update(waiting).where(*this).values(values), old)


_ROW = ("contact", "generation", "attempts", "since", "due", "claim", "claimed_until")

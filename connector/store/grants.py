"""What portals have granted an OAuth app, one row each, encrypted by whoever calls; and whose turn a refresh is.

Every change names what it was made from: a turn that ran out, or a row that somebody has replaced, changes nothing.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from connector.moments import Clock
from connector.store.engine import insert_into, reading, writing
from connector.store.tables import grants


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """What a portal has granted, as it is kept."""

    portal: int
    client_id: str
    sealed: str
    scopes: tuple[str, ...]
    granted_at: int
    refreshed_at: int
    expires_at: int
    refused: str | None = None
    refused_at: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """The right to refresh one portal's grant, until a time."""

    portal: int
    token: str


class Grants:
    """The grants of all portals, in the database."""

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    def find(self, portal: int) -> Grant | None:
        """Give a portal's grant."""
        with reading(self._engine) as connection:
            row = connection.execute(sa.select(grants).where(grants.c.portal == portal)).first()
        return None if row is None else _grant_of(row)

    def all(self) -> list[Grant]:
        """Give every grant, by portal."""
        with reading(self._engine) as connection:
            return [_grant_of(row) for row in connection.execute(sa.select(grants).order_by(grants.c.portal))]

    def keep(self, *, portal: int, client_id: str, sealed: str, scopes: Sequence[str], expires_at: int) -> None:
        """Keep what somebody has just granted, in place of what was there."""
        now = self._clock()
        values = {
            "client_id": client_id, "sealed": sealed, "scopes": list(scopes), "granted_at": now, "refreshed_at": now,
            "expires_at": expires_at, "refused": None, "refused_at": None, "refreshing": None, "refreshing_until": None,
        }  # fmt: skip
        statement = insert_into(self._engine, grants).values(portal=portal, **values)
        with writing(self._engine) as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["portal"], set_=values))

    def begin_refresh(self, seen: Grant, *, lease_ms: int) -> Turn | None:
        """Take the turn to refresh a grant; None when another has it, or the grant is not as it was seen."""
        now, turn = self._clock(), Turn(portal=seen.portal, token=secrets.token_hex(16))
        is_free = grants.c.refreshing.is_(None) | (grants.c.refreshing_until <= now)
        this = (grants.c.portal == seen.portal, grants.c.sealed == seen.sealed, is_free)
        taken = {"refreshing": turn.token, "refreshing_until": now + lease_ms}
        return turn if self._change(this, taken) else None

    def end_refresh(self, turn: Turn, *, sealed: str, expires_at: int) -> bool:
        """Keep what the refresh brought; False when the turn had run out."""
        values = {"sealed": sealed, "refreshed_at": self._clock(), "expires_at": expires_at, "refused": None,
                  "refused_at": None}  # fmt: skip
        return self._end(turn, values)

    def refuse(self, turn: Turn, reason: str) -> bool:
        """Note that HubSpot refuses to refresh; False when the turn had run out."""
        return self._end(turn, {"refused": reason[:80], "refused_at": self._clock()})

    def leave(self, turn: Turn) -> None:
        """Give a turn back, in which nothing was changed."""
        self._end(turn, {})

    def reseal(self, seen: Grant, sealed: str) -> bool:
        """Put the same grant under another key, unless somebody has changed it meanwhile."""
        return self._change((grants.c.portal == seen.portal, grants.c.sealed == seen.sealed), {"sealed": sealed})

    def remove(self, portal: int) -> None:
        """Forget a portal's grant."""
        with writing(self._engine) as connection:
            connection.execute(sa.delete(grants).where(grants.c.portal == portal))

    def _end(self, turn: Turn, values: dict[str, object]) -> bool:
        mine = (grants.c.portal == turn.portal, grants.c.refreshing == turn.token)
        return self._change(mine, {**values, "refreshing": None, "refreshing_until": None})

    def _change(self, these: Sequence[sa.ColumnElement[bool]], values: dict[str, object]) -> bool:
        with writing(self._engine) as connection:
            return connection.execute(sa.update(grants).where(*these).values(values)).rowcount > 0


def _grant_of(row: sa.Row[Any]) -> Grant:
    return Grant(
        portal=row.portal, client_id=row.client_id, sealed=row.sealed, scopes=tuple(row.scopes),
        granted_at=row.granted_at, refreshed_at=row.refreshed_at, expires_at=row.expires_at, refused=row.refused,
        refused_at=row.refused_at,
    )  # fmt: skip

"""Portals in trouble: each is an island that waits with one alert, its events kept, while the others go on.

A portal is tried again by itself when its time has come, and is well again as soon as a claim of it goes through.
"""

from dataclasses import dataclass

import sqlalchemy as sa
import structlog

from connector.moments import MINUTE, SECOND, Clock
from connector.store.engine import insert_into, reading, writing
from connector.store.tables import portals

_FIRST_WAIT = 5 * SECOND
_LONGEST_WAIT = 5 * MINUTE
_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """Why a portal waits, since when, and when it is tried again."""

    portal: int
    code: str
    text: str
    since: int
    until: int


class Portals:
    """The troubles of all portals, in the database."""

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    def troubles(self) -> dict[int, Trouble]:
        """Give every portal that is in trouble."""
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(portals).where(portals.c.trouble.is_not(None))).all()
        return {
            row.portal: Trouble(
                portal=row.portal, code=row.trouble, text=row.trouble_text or "", since=row.trouble_since or 0,
                until=row.trouble_until,
            )
            for row in rows
        }  # fmt: skip

    def begin_trouble(self, portal: int, *, code: str, text: str, until: int | None = None) -> None:
        """Let a portal wait; without a time the wait grows with the age of the trouble, from 5 s to 5 min."""
        now = self._clock()
        known = self.troubles().get(portal)
        since = known.since if known else now
        again = until if until is not None else now + max(_FIRST_WAIT, min(now - since, _LONGEST_WAIT))
        values = {"trouble": code, "trouble_text": text, "trouble_since": since, "trouble_until": again}
        with writing(self._engine) as connection:
            insert = insert_into(self._engine, portals).values(portal=portal, calls=[], searches=[], **values)
            connection.execute(insert.on_conflict_do_update(index_elements=["portal"], set_=values))
        if known is None or known.code != code:
            _log.error("portal.trouble_began", portal=portal, code=code, text=text, tried_again_in_ms=again - now)

    def end_trouble(self, portal: int) -> None:
        """Say that a portal is well again; costs a look only, when it was."""
        known = self.troubles().get(portal)
        if known is None:
            return
        cleared = {"trouble": None, "trouble_text": None, "trouble_since": None}
        with writing(self._engine) as connection:
            connection.execute(sa.update(portals).where(portals.c.portal == portal).values(cleared))
        _log.warning("portal.trouble_ended", portal=portal, code=known.code, lasted_ms=self._clock() - known.since)

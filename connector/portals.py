"""Portals in trouble: each is an island that waits with one alert, its events kept, while the others go on.

A portal is tried again by itself when its time has come, and is well again as soon as a claim of it goes through.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import structlog

from connector.moments import HOUR, MINUTE, SECOND, Clock
from connector.store.engine import insert_into, reading, writing
from connector.store.tables import portals

_FIRST_WAIT = 5 * SECOND
_LONGEST_WAIT = 5 * MINUTE
_HINDERED = "hindered:"
_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """Why a portal waits, since when, and when it is tried again."""

    portal: int
    code: str
    text: str
    since: int
    until: int

    @property
    def hinders(self) -> frozenset[str]:
        """Name the kinds of effects that wait for a scope while all else goes on; none: the whole portal waits."""
        kinds = self.code.removeprefix(_HINDERED) if self.code.startswith(_HINDERED) else ""
        return frozenset(kinds.split(",")) if kinds else frozenset()


class Portals:
    """The troubles of all portals, in the database."""

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    def troubles(self) -> dict[int, Trouble]:
        """Give every portal that is in trouble."""
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(portals).where(portals.c.trouble.is_not(None))).all()
        return {row.portal: _trouble_of(row) for row in rows}

    def begin_trouble(self, portal: int, *, code: str, text: str, until: int | None = None) -> None:
        """Let a portal wait; without a time the wait grows with the age of the trouble, from 5 s to 5 min.

        However many claims tell of the same trouble, the alert is one.
        """
        now = self._clock()
        with writing(self._engine) as connection:
            self._know(connection, portal)
            known = self._trouble(connection, portal)
            since = known.since if known else now
            again = until if until is not None else now + max(_FIRST_WAIT, min(now - since, _LONGEST_WAIT))
            values = {"trouble": code, "trouble_text": text, "trouble_since": since, "trouble_until": again}
            connection.execute(sa.update(portals).where(portals.c.portal == portal).values(values))
        if known is None or known.code != code:
            _log.error("portal.trouble_began", portal=portal, code=code, text=text, tried_again_in_ms=again - now)

    def hinder(self, portal: int, kinds: Mapping[str, str]) -> None:
        """Tell of kinds of effects that wait for a scope, and why, while all else of the portal goes on.

        A portal that is in worse trouble has its alert already.
        """
        now = self._clock()
        with writing(self._engine) as connection:
            self._know(connection, portal)
            known = self._trouble(connection, portal)
            if known is not None and not known.hinders:
                return
            before = known.hinders if known else frozenset()
            code = _HINDERED + ",".join(sorted({*before, *kinds}))
            text = f"{', '.join(sorted({*before, *kinds}))} wait, all else goes on; {'; '.join(kinds.values())}"
            values = {
                "trouble": code, "trouble_text": text, "trouble_since": known.since if known else now,
                "trouble_until": now,
            }  # fmt: skip
            connection.execute(sa.update(portals).where(portals.c.portal == portal).values(values))
        if not before >= kinds.keys():
            _log.error("portal.trouble_began", portal=portal, code=code, text=text, tried_again_in_ms=0)

    def end_trouble(self, portal: int, *, tried_at: int, done: Collection[str] = ()) -> None:
        """Say that a claim taken at a moment went well; costs a look only, when the portal was well before.

        One that was taken before the portal was to be tried again proves nothing: it has its answers from before.
        Kinds of effects that wait for a scope wait until one of them is done, or there are none any more.
        """
        known = self.troubles().get(portal)
        if known is None or tried_at < known.until:
            return
        if known.hinders and not known.hinders <= set(done) and tried_at < known.until + HOUR:
            return
        cleared = {"trouble": None, "trouble_text": None, "trouble_since": None}
        this = (portals.c.portal == portal, portals.c.trouble.is_not(None), portals.c.trouble_until <= tried_at)
        with writing(self._engine) as connection:
            ended = connection.execute(sa.update(portals).where(*this).values(cleared)).rowcount
        if ended:
            _log.warning("portal.trouble_ended", portal=portal, code=known.code, lasted_ms=self._clock() - known.since)

    def _know(self, connection: sa.Connection, portal: int) -> None:
        row = {"portal": portal, "calls": [], "searches": []}
        connection.execute(insert_into(self._engine, portals).on_conflict_do_nothing(), row)

    def _trouble(self, connection: sa.Connection, portal: int) -> Trouble | None:
        """Read a portal's trouble and let nobody change it until the transaction ends."""
        query = sa.select(portals).where(portals.c.portal == portal).with_for_update()
        row = connection.execute(query).one()
        return None if row.trouble is None else _trouble_of(row)


def _trouble_of(row: sa.Row[Any]) -> Trouble:
    return Trouble(
        portal=row.portal, code=row.trouble, text=row.trouble_text or "", since=row.trouble_since or 0,
        until=row.trouble_until,
    )  # fmt: skip

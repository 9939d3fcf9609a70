"""Stagekeeper's own books, read from outside: the database, without any of the product's code but one.

The one is `retry`, which people have as `stagekeeper events retry`: contacts whose next try lies minutes ahead, as the
growing wait has it, are tried now, so that a run ends within minutes. It gives back no contact that was lost: it can
only name those that still wait.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from connector.inbox import Inbox
from connector.moments import HOUR, SECOND, system_clock
from connector.store.engine import open_database
from tests.torture.postman import digest


@dataclass(frozen=True, kw_only=True, slots=True)
class Open:
    """What is not done yet."""

    unplaced: int
    claimed: int
    due: int
    """Contacts whose time has come, or comes within the hour: events, retries, looks; not the looks of next week."""
    dead: int

    def __bool__(self) -> bool:
        return bool(self.unplaced or self.claimed or self.due)


class Books:
    """The database of a Stagekeeper that others run."""

    def __init__(self, database: str, portal: int) -> None:
        self._database = database
        self._portal = portal
        driver = {"drivername": "postgresql+psycopg"} if database.startswith("postgresql") else {}
        self._engine = sa.create_engine(sa.make_url(database).set(**driver), poolclass=sa.NullPool)  # type: ignore[arg-type]

    def open_work(self) -> Open:
        """Count what is not done yet."""
        soon = system_clock() + HOUR
        one = self._row(
            "SELECT (SELECT count(*) FROM deliveries), "
            "(SELECT count(*) FROM waiting WHERE claim IS NOT NULL), "
            "(SELECT count(*) FROM waiting WHERE dead_at IS NULL AND due <= :soon) + "
            "(SELECT count(*) FROM looks JOIN contacts ON contacts.portal = looks.portal "
            "AND contacts.contact = looks.contact AND contacts.next_look_at = looks.due WHERE due <= :soon), "
            "(SELECT count(*) FROM waiting WHERE dead_at IS NOT NULL)",
            soon=soon,
        )
        return Open(unplaced=one[0], claimed=one[1], due=one[2], dead=one[3])

    def in_hand(self) -> tuple[int, int]:
        """Count the contacts that are in somebody's hands, and the effects that are intended and not known as done."""
        one = self._row(
            "SELECT (SELECT count(*) FROM waiting WHERE claimed_until > :now), "
            "(SELECT count(*) FROM effects WHERE state = 'intended')",
            now=system_clock(),
        )
        return int(one[0]), int(one[1])

    def hurry(self, *, beyond_s: float) -> int:
        """Try those now whose next try is further off than this; their number."""
        now = system_clock()
        rows = self._rows(
            "SELECT contact FROM waiting WHERE dead_at IS NULL AND claim IS NULL AND attempts > 0 "
            "AND due > :after AND due <= :until",
            after=now + round(beyond_s * SECOND), until=now + 24 * HOUR,
        )  # fmt: skip
        if not rows:
            return 0
        engine = open_database(self._database, migrate=False)
        try:
            inbox = Inbox(engine, system_clock)
            return sum(inbox.retry(portal=self._portal, contact=row["contact"]) for row in rows)
        finally:
            engine.dispose()

    def stored_events(self) -> set[str]:
        """Give the digests of all events that are stored."""
        bodies = (row["body"] for row in self._rows("SELECT CAST(body AS TEXT) AS body FROM events"))
        return {digest(orjson.loads(orjson.loads(body)) if body[:1] == '"' else orjson.loads(body)) for body in bodies}

    def counts(self) -> dict[str, int]:
        """Count what was stored, decided and intended."""
        queries = {
            "events stored": "SELECT count(*) FROM events",
            "decisions": "SELECT count(*) FROM records",
            "effects": "SELECT count(*) FROM effects",
            "effects confirmed": "SELECT count(*) FROM effects WHERE state = 'confirmed'",
            "effects dropped": "SELECT count(*) FROM effects WHERE state = 'failed'",
            "effects left open": "SELECT count(*) FROM effects WHERE state = 'intended'",
        }
        return {name: int(self._row(query)[0]) for name, query in queries.items()}

    def dead_letters(self) -> list[dict[str, Any]]:
        """Give the contacts that were given up."""
        return self._rows("SELECT contact, attempts, last_error FROM waiting WHERE dead_at IS NOT NULL")

    def open_effects(self) -> set[str]:
        """Give the contacts for whom something is intended and not done."""
        return {row["contact"] for row in self._rows("SELECT contact FROM effects WHERE state = 'intended'")}

    def about(self, contact: str) -> dict[str, Any]:
        """Give all that is known of a contact, for whoever has to find out why it is not where it should be."""
        names = {
            "contact": "SELECT stage, status, rule, marks, unwritten, stage_seen, theirs_until, gone, next_look_at "
            "FROM contacts",
            "waiting": "SELECT due, attempts, claim, dead_at, last_error FROM waiting",
            "looks": "SELECT due FROM looks",
            "effects": "SELECT id, key, state, hubspot_id, intended_at, settled_at, error FROM effects",
            "records": "SELECT id, claim, decided_at, stage_before, stage, status, rule, planned, done FROM records",
            "events": "SELECT type, received_at FROM events",
        }
        return {
            name: self._rows(f"{query} WHERE portal = :of AND contact = :contact", of=self._portal, contact=contact)
            for name, query in names.items()
        }

    def _row(self, query: str, **values: object) -> tuple[Any, ...]:
        with self._reading() as connection:
            return tuple(connection.execute(sa.text(query), values).one())

    def _rows(self, query: str, **values: object) -> list[dict[str, Any]]:
        with self._reading() as connection:
            return [dict(row) for row in connection.execute(sa.text(query), values).mappings()]

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with self._engine.connect() as connection:
            yield connection

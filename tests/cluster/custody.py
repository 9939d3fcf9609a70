"""Who held which contact when: written down by the database itself, so that nobody has to be believed.

Every host has a user of its own; a trigger notes whenever a contact passes into hands, with whose they are.
"""

import bisect
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from tests.torture.witness import Seen

_SETUP = """
CREATE TABLE custody (id bigserial PRIMARY KEY, contact text, holder text, claim text, attempts integer,
  at double precision, within xid8 DEFAULT pg_current_xact_id());
CREATE FUNCTION note_custody() RETURNS trigger LANGUAGE plpgsql SECURITY INVOKER AS $$
BEGIN
  INSERT INTO custody (contact, holder, claim, attempts, at) VALUES (
    OLD.contact,
    CASE WHEN TG_OP = 'UPDATE' AND NEW.claim IS NOT NULL THEN session_user END,
    CASE WHEN TG_OP = 'UPDATE' THEN NEW.claim END,
    OLD.attempts,
    extract(epoch FROM clock_timestamp()));
  RETURN NULL;
END $$;
CREATE TRIGGER note_taking AFTER UPDATE OF claim ON waiting FOR EACH ROW
  WHEN (NEW.claim IS DISTINCT FROM OLD.claim) EXECUTE FUNCTION note_custody();
CREATE TRIGGER note_settling AFTER DELETE ON waiting FOR EACH ROW EXECUTE FUNCTION note_custody();
"""

# What a transaction took and put back, it never held: it stays in the claim in which it was.
_PASSINGS = """
SELECT contact, holder, at, attempts FROM (
  SELECT *, lag(claim) OVER (PARTITION BY contact ORDER BY id) AS before FROM (
    SELECT DISTINCT ON (contact, within) * FROM custody ORDER BY contact, within, id DESC) AS last) AS passed
WHERE claim IS DISTINCT FROM before OR claim IS NULL
ORDER BY id
"""

_HOLDER_NOW = """
SELECT holder FROM (SELECT DISTINCT ON (claim) * FROM custody WHERE claim IS NOT NULL ORDER BY claim, id) AS first
WHERE EXISTS (
  SELECT FROM waiting WHERE waiting.claim = first.claim AND claimed_until > extract(epoch FROM now()) * 1000)
ORDER BY id DESC LIMIT 1
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Passing:
    """A contact passed to a holder, or out of anybody's hands (None)."""

    at: float
    holder: str | None
    attempts: int
    """How often it had been taken before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Takeover:
    """A contact that was held by one who died, passed on."""

    wait_s: float
    attempts: int
    """How often it had been taken since it was last settled, by the dead one included."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Death:
    """A holder was killed, or cut off from the database, at a moment."""

    holder: str
    at: float


def keep_custody(url: str, holders: Iterable[str]) -> None:
    """Make the users, and have the database note from now on."""
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        for holder in holders:
            connection.exec_driver_sql(f'CREATE ROLE "{holder}" SUPERUSER LOGIN')
        connection.exec_driver_sql(_SETUP)


def holder_now(url: str) -> str | None:
    """Name one who has contacts in hand now."""
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)
    with engine.connect() as connection:
        found: str | None = connection.scalar(sa.text(_HOLDER_NOW))
    return found


class Custody:
    """What the database has noted."""

    def __init__(self, url: str) -> None:
        engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)
        self._passings: Mapping[str, list[Passing]] = defaultdict(list)
        with engine.connect() as connection:
            for contact, holder, at, attempts in connection.execute(sa.text(_PASSINGS)):
                self._passings[contact].append(Passing(at=at, holder=holder, attempts=attempts))

    def holders(self) -> Mapping[str, int]:
        """Count how many contacts passed into whose hands."""
        counts: dict[str, int] = defaultdict(int)
        for passings in self._passings.values():
            for one in passings:
                if one.holder is not None:
                    counts[one.holder] += 1
        return dict(sorted(counts.items()))

    def overlaps(self, seen: Iterable[Seen], names: Mapping[str, str]) -> list[str]:
        """Find who wrote to a contact that was in other hands, or in nobody's."""
        writes = [(names.get(call.host, call.host), contact, call.at) for call in seen for contact in call.contacts]
        return [
            f"{who} wrote to {contact} at {at:.3f}, while it was held by {holder}"
            for who, contact, at in writes if contact in self._passings
            if (holder := self._held_at(contact, at)) != who
        ]  # fmt: skip

    def takeovers(self, deaths: Sequence[Death]) -> Mapping[Death, Sequence[Takeover]]:
        """Give how what each dead one held passed on, the soonest first; what it held in an earlier life is not its."""
        found = {}
        for death in deaths:
            born = max((one.at for one in deaths if one.holder == death.holder and one.at < death.at), default=0.0)
            found[death] = sorted(self._takeovers(death, born), key=lambda one: one.wait_s)
        return {death: passed for death, passed in found.items() if passed}

    def _takeovers(self, death: Death, born: float) -> Iterable[Takeover]:
        for passings in self._passings.values():
            place = bisect.bisect_right(passings, death.at, key=lambda one: one.at)
            if 0 < place < len(passings):
                held, passed = passings[place - 1], passings[place]
                if held.holder == death.holder and held.at > born:
                    yield Takeover(wait_s=passed.at - death.at, attempts=passed.attempts)

    def _held_at(self, contact: str, moment: float) -> str | None:
        passings = self._passings[contact]
        place = bisect.bisect_right(passings, moment, key=lambda one: one.at)
        return passings[place - 1].holder if place else None

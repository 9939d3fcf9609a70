"""Past decisions made anew under any pack: what was read then, what was known then, at that moment; nothing is written.

Under the very pack that decided, the answer is the same to the letter; that is the proof that decisions can be
reproduced. Records are read in parts, contact by contact, so that memory stays flat however many there are. The price:
what another pack would have asked for and nobody read then counts as unknown, and is told.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from connector.decision import Memory, decide
from connector.record import decided_data
from connector.rollout.entry import Position
from connector.rulebook.judging import Rulebook
from connector.rulebook.pack import Pack
from connector.snapshot import Snapshot, Wanted
from connector.store.engine import reading
from connector.store.tables import packs, records

_AT_ONCE = 1_000
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Which records: those of a portal, not older than a moment, the newest so many."""

    portal: int
    since: int | None = None
    limit: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """A decision as it was made and as it would be made now."""

    id: int
    contact: str
    decided_at: int
    pack: str
    pack_hash: str
    before: Position
    rule_before: str | None
    after: Position
    rule_after: str | None
    is_same_work: bool
    """The same values would be set and the same tasks and actions be due."""
    is_identical: bool
    """Nothing at all would be otherwise: facts, reason, next look and rule included."""
    unread: frozenset[str]
    """What the pack tests and was not read then."""
    is_open: bool
    """A company or deals that were not read then could change the answer."""

    @property
    def is_flipped(self) -> bool:
        """Ask whether the contact would have stood elsewhere."""
        return self.before != self.after


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """A record that cannot be judged anew: `older` than this form of records, or `cleared` with its contact."""

    why: str
    pack: str
    pack_hash: str


def replay(engine: sa.Engine, pack: Pack, range_: Range, *, progress: Progress) -> Iterator[Verdict | LeftOut]:
    """Judge past records anew, contact by contact, each contact's oldest first."""
    judge = _Judge(pack)
    with reading(engine) as connection:
        first = _first_id(connection, range_)
        total = connection.scalar(sa.select(sa.func.count()).where(*_these(range_, first))) or 0
    done, place = 0, ("", 0)
    while True:
        with reading(engine) as connection:
            rows = connection.execute(_part(range_, first, place)).all()
            judge.learn(connection, {row.pack_hash for row in rows})
        if not rows:
            return
        yield from map(judge.verdict, rows)
        done, place = done + len(rows), (rows[-1].contact, rows[-1].id)
        progress("decisions", done, max(done, total))


def _first_id(connection: sa.Connection, range_: Range) -> int:
    """Give the id of the oldest record that counts; ids grow with time, but for a claim's length."""
    of_portal = _these(range_, 0)
    if range_.limit is None:
        return connection.scalar(sa.select(sa.func.min(records.c.id)).where(*of_portal)) or 0
    newest = sa.select(records.c.id).where(*of_portal).order_by(records.c.id.desc())
    found = connection.scalar(newest.offset(range_.limit - 1).limit(1))
    return found or 0


def _these(range_: Range, first: int) -> tuple[sa.ColumnElement[bool], ...]:
    # A record without a fingerprint says that the contact is gone; it holds no decision.
    found = (records.c.portal == range_.portal, records.c.id >= first, records.c.fingerprint != "")
    return found if range_.since is None else (*found, records.c.decided_at >= range_.since)


def _part(range_: Range, first: int, place: tuple[str, int]) -> sa.Select[Any]:
    """Ask for the records behind a place, in the order of the index."""
    behind = sa.tuple_(records.c.contact, records.c.id) > place
    query = sa.select(records).where(*_these(range_, first), behind)
    return query.order_by(records.c.contact, records.c.id).limit(_AT_ONCE)


class _Judge:
    """Judges records under a pack."""

    def __init__(self, pack: Pack) -> None:
        self._pack = pack
        self._wanted = Wanted.by(pack)
        self._rulebook = Rulebook(pack)
        self._gaps: dict[str, _Gap] = {}

    def learn(self, connection: sa.Connection, hashes: set[str]) -> None:
        """Find out what the packs that decided had read."""
        fresh = hashes - self._gaps.keys()
        if not fresh:
            return
        for row in connection.execute(sa.select(packs).where(packs.c.hash.in_(fresh))):
            self._gaps[row.hash] = _gap(self._pack, self._wanted, row.reads)

    def verdict(self, row: sa.Row[Any]) -> Verdict | LeftOut:
        """Judge one record."""
        before = row.read.get("before")
        if before is None:
            why = "older" if row.read else "cleared"
            return LeftOut(why=why, pack=row.pack, pack_hash=row.pack_hash)
        gap = _NO_GAP if row.pack_hash == self._pack.hash else self._gaps.get(row.pack_hash, _NO_GAP)
        decision = decide(self._rulebook, gap.seen(row), Memory.from_data(before), row.decided_at)
        decided = decided_data(decision)
        return Verdict(
            id=row.id, contact=row.contact, decided_at=row.decided_at, pack=row.pack, pack_hash=row.pack_hash,
            before=Position(row.stage, row.status), rule_before=row.rule or None,
            after=Position(decision.stage, decision.status), rule_after=decision.rule,
            is_same_work=all(row.decided[name] == decided[name] for name in _WORK),
            is_identical=(row.stage, row.status, row.rule, row.decided)
            == (decision.stage, decision.status, decision.rule or "", decided),
            unread=gap.names, is_open=decision.undetermined,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class _Gap:
    """What one pack needs of what another one has not read."""

    names: frozenset[str] = frozenset()
    is_without_company: bool = False
    is_without_deals: bool = False

    def seen(self, row: sa.Row[Any]) -> Snapshot:
        """Give a record's snapshot; what the pack that decided never reads counts as unread, not as none."""
        read = row.read
        company, deals = read["company"], read["deals"]
        return Snapshot(
            contact=row.contact, properties=read["properties"],
            company=None if self.is_without_company else company,
            deals=None if self.is_without_deals or deals is None else tuple(deals),
        )  # fmt: skip


_NO_GAP = _Gap()
_WORK = ("set", "tasks", "actions")


def _gap(pack: Pack, wanted: Wanted, reads: Mapping[str, Any]) -> _Gap:
    tested = {object_: pack.properties(object_) for object_ in ("contact", "company", "deal")}
    names = tested["contact"] - set(reads["contact"])
    names |= {f"company.{name}" for name in tested["company"] - set(reads["company"])}
    names |= {f"deal.{name}" for name in tested["deal"] - set(reads["deals"])}
    without_deals = wanted.reads_deals and not reads["reads_deals"]
    return _Gap(
        names=frozenset(names | ({"deals"} if without_deals else set())),
        is_without_company=bool(tested["company"]) and not reads["company"],
        is_without_deals=without_deals,
    )


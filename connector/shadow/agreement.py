"""How a candidate pack agrees with the live one: of each contact the last decision, of each record what differed.

Read from Stagekeeper's own tables, a row at a time, and counted as it goes; of those that differ the newest are kept.
Only the candidate that is configured now counts, and only where it was there at the last live decision.
"""

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from connector.moments import write_moment
from connector.shadow.verdicts import shadow_of
from connector.store.engine import reading
from connector.store.tables import contacts, records

MOST_LISTED = 1_000
_ROWS_AT_ONCE = 1_000
_WORK = ("tasks", "actions")
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a contact stands by one of the two packs, and by which of its rules."""

    stage: str | None
    status: str | None
    rule: str | None

    def __str__(self) -> str:
        return " ".join(filter(None, (self.stage or "none", self.status)))

    def as_data(self) -> dict[str, str | None]:
        """Give it as plain data."""
        return {"stage": self.stage, "status": self.status, "rule": self.rule}


@dataclass(frozen=True, slots=True)
class Pair:
    """What the live pack and the candidate say of the same contact."""

    live: Stand
    candidate: Stand
    agrees: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A contact of whom the two say different things now."""

    contact: str
    since: int
    pair: Pair
    differs: tuple[str, ...]

    def as_data(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {
            "contact": self.contact, "since": write_moment(self.since), "differs": list(self.differs),
            "live": self.pair.live.as_data(), "candidate": self.pair.candidate.as_data(),
        }  # fmt: skip


@dataclass(kw_only=True, slots=True)
class Agreement:
    """What the candidate's shadow comes to."""

    contacts: int = 0
    """Those that both have decided about."""
    agree: int = 0
    unjudged: int = 0
    """Those that the candidate has not been asked about yet, or could say nothing about at the last decision."""
    pairs: Counter[Pair] = field(default_factory=Counter)
    differs: Counter[str] = field(default_factory=Counter)
    decisions: int = 0
    """Decisions at which the two differed, as far back as the records go."""
    work: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """By kind, rule and who alone had it due: `live` or `candidate`."""
    _newest: list[tuple[int, str, Listed]] = field(default_factory=list)

    @property
    def share(self) -> float | None:
        """Give the share of contacts about whom the two agree; None: there are none."""
        return self.agree / self.contacts if self.contacts else None

    def listed(self) -> list[Listed]:
        """Give contacts about whom the two differ now, the newest first."""
        return [one for *_, one in sorted(self._newest, reverse=True)]

    def rule_pairs(self) -> Counter[tuple[str, str]]:
        """Count by rules of the two what they differ about."""
        found = Counter[tuple[str, str]]()
        for pair, number in self.pairs.items():
            if not pair.agrees:
                found[pair.live.rule or "none", pair.candidate.rule or "none"] += number
        return found

    def moves(self) -> Counter[tuple[str, str]]:
        """Count by where a contact stands by the one and by the other."""
        found = Counter[tuple[str, str]]()
        for pair, number in self.pairs.items():
            found[str(pair.live), str(pair.candidate)] += number
        return found

    def add(self, row: sa.Row[Any], pack_hash: str) -> None:
        """Count a contact."""
        shadow = shadow_of(row.shadow, pack_hash)
        if shadow is None or shadow.judged_at != row.decided_at:
            self.unjudged += 1
            return
        memory = shadow.memory
        live = Stand(row.stage, row.status, row.rule or None)
        candidate = Stand(memory.stage, memory.status, shadow.rule)
        pair = Pair(live, candidate, agrees=shadow.since is None)
        self.contacts += 1
        self.agree += pair.agrees
        self.pairs[pair] += 1
        self.differs.update(shadow.lasting)
        if shadow.since is not None:
            listed = Listed(contact=row.contact, since=shadow.since, pair=pair, differs=shadow.lasting)
            keep = heapq.heappush if len(self._newest) < MOST_LISTED else heapq.heappushpop
            keep(self._newest, (shadow.since, row.contact, listed))

    def add_record(self, decided: dict[str, Any], other: dict[str, Any]) -> None:
        """Count a decision at which the two differed."""
        self.decisions += 1
        for kind in _WORK:
            live, candidate = set(decided.get(kind, ())), set(other[kind])
            self.work.update((kind, rule, "live") for rule in live - candidate)
            self.work.update((kind, rule, "candidate") for rule in candidate - live)

    def as_data(self, *, listed: bool) -> dict[str, Any]:
        """Give the numbers as plain data."""
        pairs = [
            {"live": pair.live.as_data(), "candidate": pair.candidate.as_data(), "agrees": pair.agrees, "contacts": n}
            for pair, n in self.pairs.most_common()
        ]
        work = [
            {"kind": kind, "rule": rule, "only": who, "decisions": n}
            for (kind, rule, who), n in sorted(self.work.items())
        ]
        return {
            "contacts": self.contacts, "agree": self.agree, "share": self.share, "unjudged": self.unjudged,
            "differs": dict(sorted(self.differs.items())), "pairs": pairs, "decisions": self.decisions, "work": work,
            **({"listed": [one.as_data() for one in self.listed()]} if listed else {}),
        }  # fmt: skip


def agreement_of(engine: sa.Engine, portal: int, pack_hash: str, progress: Progress) -> Agreement:
    """Count how the candidate of this hash agrees with the live pack of a portal."""
    found = Agreement()
    living = (contacts.c.portal == portal, contacts.c.gone.is_(None), contacts.c.fingerprint != "")
    names = ("contact", "stage", "status", "rule", "decided_at", "shadow")
    every: sa.Select[Any] = sa.select(*(contacts.c[name] for name in names)).where(*living)
    differing = (records.c.portal == portal, records.c.shadow.is_not(None))
    with reading(engine) as connection:
        total = connection.scalar(sa.select(sa.func.count()).select_from(contacts).where(*living)) or 0
        rows = connection.execute(every, execution_options={"yield_per": _ROWS_AT_ONCE})
        for done, row in enumerate(rows, start=1):
            found.add(row, pack_hash)
            if done % _ROWS_AT_ONCE == 0:
                progress("contacts", done, max(done, total))
        query = sa.select(records.c.decided, records.c.shadow).where(*differing)
        for decided, other in connection.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE}):
            if other["hash"] == pack_hash:
                found.add_record(decided, other)
    return found

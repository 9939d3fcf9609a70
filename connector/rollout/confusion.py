"""Past decisions beside what they would be now, in numbers: which flipped from where to where, and by which rules.

It counts as it goes; of those that flipped it keeps the newest only.
"""

import heapq
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from connector.moments import write_moment
from connector.rollout.entry import Position
from connector.rollout.replay import LeftOut, Verdict

MOST_FLIPPED = 1_000
"""So many flipped decisions are named at most, the newest."""


@dataclass(kw_only=True, slots=True)
class Confusion:
    """What a replay comes to."""

    decisions: int = 0
    contacts: int = 0
    flipped: int = 0
    flipped_contacts: int = 0
    otherwise: int = 0
    """Decisions of the same stage and status that would set or make something else."""
    open: int = 0
    """Decisions that depend on a company or deals that nobody read then."""
    versions: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By name and hash of the pack that decided."""
    moves: Counter[tuple[Position, Position]] = field(default_factory=Counter)
    rules: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By the rule that won then and the one that would win now; "" for none."""
    left_out: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)
    _newest: list[tuple[int, Verdict]] = field(default_factory=list)
    _contact: str | None = None
    _flipped_contact: str | None = None

    def add(self, one: Verdict | LeftOut) -> None:
        """Count one record; those of a contact come together."""
        if isinstance(one, LeftOut):
            self.left_out[one.why] += 1
            return
        self.decisions += 1
        self.contacts += one.contact != self._contact
        self._contact = one.contact
        self.versions[one.pack, one.pack_hash] += 1
        self.moves[one.before, one.after] += 1
        self.rules[one.rule_before or "", one.rule_after or ""] += 1
        self.open += one.is_open
        self.unread.update(one.unread)
        if one.is_flipped:
            self._flip(one)
        else:
            self.otherwise += not one.is_same_work

    def newest(self) -> list[Verdict]:
        """Give the decisions that flipped, the newest first."""
        return [one for _, one in sorted(self._newest, reverse=True)]

    def _flip(self, one: Verdict) -> None:
        self.flipped += 1
        self.flipped_contacts += one.contact != self._flipped_contact
        self._flipped_contact = one.contact
        keep = heapq.heappush if len(self._newest) < MOST_FLIPPED else heapq.heappushpop
        keep(self._newest, (one.id, one))

    def as_data(self) -> dict[str, Any]:
        """Give the numbers as plain data."""
        return {
            "decisions": self.decisions, "contacts": self.contacts, "flipped": self.flipped,
            "flipped_contacts": self.flipped_contacts, "otherwise": self.otherwise, "open": self.open,
            "decided_by": [
                {"pack": name, "pack_hash": hash_, "decisions": number}
                for (name, hash_), number in self.versions.most_common()
            ],
            "moves": [
                {"from": position_data(before), "to": position_data(after), "decisions": number}
                for (before, after), number in sorted(self.moves.items(), key=_by_number)
            ],
            "rules": [
                {"then": then or None, "now": now or None, "decisions": number}
                for (then, now), number in sorted(self.rules.items(), key=_by_number)
            ],
            "left_out": {why: self.left_out[why] for why in ("older", "cleared")},
            "not_read_then": dict(sorted(self.unread.items())),
        }  # fmt: skip


def flipped_data(one: Verdict) -> dict[str, Any]:
    """Give a decision that flipped as plain data."""
    return {
        "contact": one.contact, "decided_at": write_moment(one.decided_at), "pack_hash": one.pack_hash,
        "from": position_data(one.before), "to": position_data(one.after),
        "rule_then": one.rule_before, "rule_now": one.rule_after,
    }  # fmt: skip


def position_data(position: Position) -> dict[str, str | None]:
    """Give a stage and a status as plain data."""
    return {"stage": position.stage, "status": position.status}


def _by_number(item: tuple[tuple[object, object], int]) -> tuple[int, str, str]:
    (left, right), number = item
    return -number, str(left), str(right)

"""A plan in numbers: the moves from and to, backward ones apart, what would be made, what it would cost.

It counts as it goes and holds nothing of any contact, however many there are. It knows its own danger: what it says
against being applied is said in the preview and when it is applied alike.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from connector.rollout.entry import Entry, Position

MOST_CHANGED = 0.1
"""A plan that changes more than this share of the contacts that were read needs consent."""
MOST_BACKWARD = 5
"""Likewise one that moves more contacts than this back."""
_BATCH = 100
_WINDOW_S = 10


@dataclass(frozen=True, slots=True)
class Move:
    """A cell of the matrix."""

    before: Position
    after: Position
    is_backward: bool


@dataclass(kw_only=True, slots=True)
class Summary:
    """What a plan comes to."""

    contacts: int = 0
    changed: int = 0
    held: int = 0
    failed: int = 0
    moves: Counter[Move] = field(default_factory=Counter)
    effects: Counter[tuple[str, str]] = field(default_factory=Counter)
    properties: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    read_calls: int = 0

    def add(self, entry: Entry) -> None:
        """Count one contact."""
        self.contacts += 1
        self.rules[entry.rule or ""] += 1
        self.held += entry.held is not None
        self.moves[Move(entry.before, entry.after, entry.is_backward)] += 1
        if entry.is_empty:
            return
        self.changed += 1
        self.properties.update(entry.set.keys())
        self.effects.update(entry.effects)

    @property
    def backward(self) -> int:
        """Count the contacts that would move back."""
        return sum(number for move, number in self.moves.items() if move.is_backward)

    @property
    def moved(self) -> int:
        """Count the contacts whose stage or status would change."""
        return sum(number for move, number in self.moves.items() if move.before != move.after)

    def made(self, kind: str) -> Mapping[str, int]:
        """Count by rule what would be made of a kind: `task`, `deal`, `unsubscribe`, `erase`."""
        return {rule: number for (of, rule), number in sorted(self.effects.items()) if of == kind}

    def write_calls(self) -> int:
        """Estimate the calls that applying takes: contacts are read again, written and looked up by the hundred."""
        written = sum(1 for _ in self.properties) and self.changed
        batches = [self.changed, written, self.backward, sum(self.made("task").values())]
        batches.append(sum(self.made("deal").values()))
        alone = sum(self.made("unsubscribe").values()) + sum(self.made("erase").values())
        return sum(ceil(number / _BATCH) for number in batches) + alone

    def seconds(self, calls_per_10s: float) -> int:
        """Estimate how long applying takes at a portal's call limit."""
        return ceil(self.write_calls() / calls_per_10s) * _WINDOW_S if calls_per_10s else 0

    def objections(self) -> list[str]:
        """Say what speaks against applying the plan without consent."""
        found = []
        if self.changed > max(1, self.contacts * MOST_CHANGED):
            share = 100 * self.changed / self.contacts
            found.append(f"it changes {self.changed} of {self.contacts} contacts ({share:.0f} %, more than 10 %)")
        if self.backward > MOST_BACKWARD:
            found.append(f"it moves {self.backward} contacts back (more than {MOST_BACKWARD})")
        if erased := sum(self.made("erase").values()):
            found.append(f"it erases {erased} contact{'' if erased == 1 else 's'} for good")
        return found

    def as_data(self, calls_per_10s: float) -> dict[str, Any]:
        """Give the numbers as plain data."""
        return {
            "contacts": self.contacts,
            "changed": self.changed,
            "moved": self.moved,
            "backward": self.backward,
            "held": self.held,
            "failed": self.failed,
            "moves": [
                {
                    "from": {"stage": move.before.stage, "status": move.before.status},
                    "to": {"stage": move.after.stage, "status": move.after.status},
                    "backward": move.is_backward,
                    "contacts": number,
                }
                for move, number in sorted(self.moves.items(), key=_by_number)
            ],
            "tasks": self.made("task"),
            "deals": self.made("deal"),
            "unsubscribes": self.made("unsubscribe"),
            "erasures": self.made("erase"),
            "properties": dict(sorted(self.properties.items())),
            "rules": dict(sorted(self.rules.items())),
            "cost": {
                "calls_read": self.read_calls,
                "calls_to_apply": self.write_calls(),
                "seconds_to_apply": self.seconds(calls_per_10s),
            },
            "objections": self.objections(),
        }


def _by_number(item: tuple[Move, int]) -> tuple[int, str, str]:
    move, number = item
    return -number, str(move.before), str(move.after)

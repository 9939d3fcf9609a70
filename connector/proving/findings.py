"""What proving finds: a problem of the pack with the contact that shows it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from connector.problems import Place, Problem
from connector.rulebook.conditions import (
    Condition,
    FactTest,
    Leaf,
    leaves,
)
from connector.rulebook.pack import ActionRule, CadenceRule, Pack, Rule, StageRule, StatusRule, TaskRule

_MOST_NAMED = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """A problem with its witness, as an entry of a case file; "" where none can exist."""

    problem: Problem
    witness: str = ""

    def as_json(self) -> dict[str, Any]:
        """Give the same as data."""
        return {**self.problem.as_json(), "witness": self.witness}


def warn(place: Place, code: str, found: str, cure: str) -> Problem:
    """Make a warning: what is proven wastes rules or surprises people, and yet can be run."""
    return Problem(place=place, code=code, found=found, cure=cure, severity="warning")


def section_of(rule: Rule) -> str:
    """Name what a rule is, for a sentence."""
    kinds: tuple[tuple[type, str], ...] = (
        (StageRule, "stage rule"), (StatusRule, "status rule"), (TaskRule, "task"), (CadenceRule, "cadence"),
        (ActionRule, "action"),
    )  # fmt: skip
    return next((word for kind, word in kinds if isinstance(rule, kind)), "value")


def named(rules: Iterable[Rule]) -> str:
    """Name rules in a sentence."""
    ids = [repr(rule.id) for rule in rules]
    shown = ids[:_MOST_NAMED] + ([f"{len(ids) - _MOST_NAMED} more"] if len(ids) > _MOST_NAMED else [])
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def tests_below(pack: Pack, condition: Condition) -> dict[Leaf, Place]:
    """Give the tests that a condition rests on, through all facts, each with the place nearest to the condition."""
    found: dict[Leaf, Place] = {}
    waiting, seen = [condition], set[str]()
    while waiting:
        for leaf in leaves(waiting.pop(0)):
            if isinstance(leaf, FactTest) and leaf.fact not in seen:
                seen.add(leaf.fact)
                waiting.append(pack.facts[leaf.fact])
            found.setdefault(leaf, leaf.place)
    return found


def spelled(pack: Pack, condition: Condition, conflict: list[Leaf]) -> str:
    """Write conflicting conditions with their places, those of the condition itself first."""
    own = tests_below(pack, condition)
    ordered = sorted(conflict, key=lambda leaf: (leaf not in own, own.get(leaf, leaf.place)))
    words = [f"{_words(leaf)} ({_where(own.get(leaf, leaf.place))})" for leaf in ordered]
    shown = words[:_MOST_NAMED] + ([f"{len(words) - _MOST_NAMED} more"] if len(words) > _MOST_NAMED else [])
    return ", ".join(shown)


def _words(leaf: Leaf) -> str:
    return f"`{leaf.text}`"


def _where(place: Place) -> str:
    return f"{place.line}:{place.column}"

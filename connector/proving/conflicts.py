"""Rules that fit one and the same contact and want different things.

Of two `values` that set one property differently, the first in the file wins, whatever the second was written for:
that is told unless one of them is a special case of the other. Stages and statuses are lists of which the first yes
wins by design, so that overlaps there are listed on request only.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

from connector.decision import LEAD_STATUS, PROSPECT_STATUS
from connector.problems import Problem
from connector.proving.findings import Finding, section_of, warn
from connector.proving.formulas import both, negated
from connector.proving.space import Space
from connector.proving.witness import outcome
from connector.rulebook.pack import StageRule, StatusRule, ValueRule

_OWN = frozenset({PROSPECT_STATUS, LEAD_STATUS})


def differing_values(space: Space) -> Iterator[Finding]:
    """Find two `values` that set one property differently for one contact."""
    for first, second in combinations(space.pack.values, 2):
        shared = [name for name in first.set if name in second.set and first.set[name] != second.set[name]]
        for name in shared:
            finding = _differing(space, name, first, second) if name not in _OWN else None
            if finding is not None:
                yield finding
                break


def _differing(space: Space, name: str, first: ValueRule, second: ValueRule) -> Finding | None:
    reading = space.reading
    open_ = negated(reading.closed)
    one, other = reading.applies[first], reading.applies[second]
    earlier = space.pack.values[: space.pack.values.index(first)]
    counts = [negated(reading.applies[rule]) for rule in earlier if name in rule.set]
    if not space.can(one, negated(other), open_) or not space.can(other, negated(one), open_):
        return None  # one is a special case of the other, and stands where it was put on purpose
    witness = space.find(one, other, open_, *counts)
    if witness is None:
        return None
    judged, decision = witness.judged(space.rulebook), witness.decided(space.rulebook)
    if first not in judged.values or second not in judged.values or decision.set.get(name) != first.set[name]:
        return None
    found = (
        f"{second.id!r} sets {name!r} to {second.set[name]!r} and {first.id!r} above it to {first.set[name]!r}, "
        f"and both fit one contact; the first wins"
    )
    cure = "let their conditions exclude each other"
    text = witness.case(f"fits {first.id} and {second.id}", {**outcome(judged), "set": {name: first.set[name]}})
    return Finding(problem=warn(second.place, "values-differ", found, cure), witness=text)


def overlaps(space: Space) -> Iterator[Finding]:
    """List pairs of stage rules, and of status rules, that fit one contact without one being a case of the other."""
    yield from _overlaps(space, space.pack.stages, [rule.stage for rule in space.pack.stages])
    yield from _overlaps(space, space.pack.statuses, [rule.status for rule in space.pack.statuses])


def _overlaps(
    space: Space, rules: Sequence[StageRule] | Sequence[StatusRule], outcomes: Sequence[str | None]
) -> Iterator[Finding]:
    for one, other in combinations(range(len(rules)), 2):
        if outcomes[one] == outcomes[other]:
            continue
        first, second = rules[one], rules[other]
        fits, also = space.reading.is_yes(first), space.reading.is_yes(second)
        if not space.can(fits, negated(also)) or not space.can(also, negated(fits)):
            continue
        witness = space.find(both(fits, also))
        if witness is None or not all(witness.fits_alone(space.pack, rule) for rule in (first, second)):
            continue
        judged = witness.judged(space.rulebook)
        found = (
            f"the {section_of(second)} {second.id!r} ({outcomes[other] or 'no stage'}) and {first.id!r} above it "
            f"({outcomes[one] or 'no stage'}) both fit one contact; the first wins"
        )
        text = witness.case(f"fits {first.id} and {second.id}", outcome(judged))
        yield Finding(problem=_note(second, found), witness=text)


def _note(rule: StageRule | StatusRule, found: str) -> Problem:
    cure = "nothing is wrong when that order is meant"
    return Problem(place=rule.place, code="rules-overlap", found=found, cure=cure, severity="note")

"""Decisions that never come to rest, and cadences whose second task can never come.

A pack that reads what it writes may decide A, then by that B, then A again. The solver looks for a contact whom several
decisions in a row change each time; it counts only when deciding for real, over and over, comes back to where it was.
Stages of HubSpot only go forward, so a circle through `lifecyclestage` alone is none.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from connector.decision import LEAD_STATUS, PROSPECT_STATUS, Decision, Memory, decide
from connector.proving.classes import Key
from connector.proving.encoding import Selection
from connector.proving.findings import Finding, section_of, tests_below, warn
from connector.proving.formulas import FALSE, Formula, all_of, any_of, both, either, negated
from connector.proving.reading import Before, Reading
from connector.proving.space import Space
from connector.proving.witness import Witness
from connector.rulebook.cases import CaseSubject
from connector.rulebook.conditions import StageFor, StateTest
from connector.rulebook.pack import CadenceRule, Rule

_STEPS = 6
"""More decisions in a row than the worker follows its own writes."""
_LONGEST_CIRCLE = 40
_RULE = "sk_rule"


def restless(space: Space) -> Iterator[Finding]:
    """Find a contact about whom decisions never come to rest."""
    written = _written(space)
    if not written and not _reads_what_was(space):
        return
    changes, reading = list[Formula](), space.reading
    for _ in range(_STEPS):
        following = _after(space, reading, written)
        changes.append(_differs(reading.before, following, written))
        reading = Reading(space.world, following)
    witness = space.find(*changes)
    circle = _circle(space, witness, written) if witness is not None else None
    if witness is None or circle is None:
        return
    states, rules = circle
    rule = _first_named(space, rules)
    found = f"decisions about some contacts never come to rest: {' → '.join(states)}"
    cure = "let the conditions not depend on what these rules themselves write or decide"
    first = witness.decided(space.rulebook)
    text = witness.case("never comes to rest", {"stage": first.stage, "rule": first.rule})
    yield Finding(problem=warn(rule.place, "never-rests", found, cure), witness=text)


def _written(space: Space) -> tuple[str, ...]:
    """Name the contact properties that the pack's rules both test and set."""
    names = {name for rule in space.pack.values for name in rule.set}
    names |= {PROSPECT_STATUS, LEAD_STATUS, _RULE}
    return tuple(sorted(name for name in names if ("contact", name) in space.world.cells))


def _reads_what_was(space: Space) -> bool:
    """Ask whether stages or statuses depend on the stage or status that was known before."""
    rules: tuple[Rule, ...] = (*space.pack.stages, *space.pack.statuses)
    return any(isinstance(leaf, StateTest | StageFor) for rule in rules for leaf in tests_below(space.pack, rule.when))


# --- one decision after the other, as formulas ------------------------------------------------------------------------


def _after(space: Space, reading: Reading, written: tuple[str, ...]) -> Before:
    """Give what a contact brings along to the next decision."""
    before = reading.before
    selections = dict(before.selections)
    for name in written:
        selections["contact", name] = _set(space, reading, name)
    fresh = space.world.known.stays.index(0)
    unknown = both(negated(reading.entered), before.stays[0])
    stays = [both(negated(reading.entered), at) for at in before.stays]
    stays[0] = FALSE
    stays[fresh] = either(stays[fresh], reading.entered, unknown)
    return Before(selections=selections, stage=reading.stage, status=reading.status, stays=tuple(stays))


def _set(space: Space, reading: Reading, name: str) -> Selection:
    """Say which class the value of a property is of once the decision is written."""
    key: Key = ("contact", name)
    old = reading.before.selections[key]
    chosen = [FALSE] * len(old)
    left = negated(FALSE)
    for value, holds in _settings(reading, name):
        place = space.world.cells[key].column.place(value or None, space.world.known.presents[0])
        now = both(left, holds)
        if place is not None:
            chosen[place] = either(chosen[place], now)
        left = both(left, negated(holds))
    return tuple(either(new, both(left, kept)) for new, kept in zip(chosen, old, strict=True))


def _settings(reading: Reading, name: str) -> Iterator[tuple[str, Formula]]:
    """Give the values that a property is set to, each with when; the first that holds counts."""
    pack, closed = reading.world.pack, reading.closed
    if name == PROSPECT_STATUS:
        yield "closed", closed
    if name in (PROSPECT_STATUS, LEAD_STATUS):
        yield from _statuses(reading, name)
    elif name == _RULE:
        yield from zip((rule.id for rule in pack.stages), reading.wins, strict=True)
        yield "", all_of(map(negated, reading.wins))
    for rule in pack.values:
        if name in rule.set:
            yield rule.set[name], both(reading.applies[rule], negated(closed))


def _statuses(reading: Reading, name: str) -> Iterator[tuple[str, Formula]]:
    open_, lead = negated(reading.closed), reading.stage.get("lead", FALSE)
    for status, holds in reading.status.items():
        of_lead = {"unverified": holds, "cold": both(holds, lead)}.get(status or "", FALSE)
        mine = of_lead if name == LEAD_STATUS else both(holds, negated(of_lead))
        yield status or "", both(open_, mine)
    yield "", open_


def _differs(before: Before, after: Before, written: tuple[str, ...]) -> Formula:
    """Say when a decision changes something that the next one looks at."""
    pairs = [*zip(before.stage.values(), after.stage.values(), strict=True)]
    pairs += [*zip(before.status.values(), after.status.values(), strict=True)]
    for name in written:
        pairs += [*zip(before.selections["contact", name], after.selections["contact", name], strict=True)]
    return any_of(both(was, negated(is_)) for was, is_ in pairs)


# --- one decision after the other, for real ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _State:
    """What may change from one decision to the next."""

    values: tuple[tuple[str, str], ...]
    stage: str | None
    status: str | None

    def __str__(self) -> str:
        parts = [f"{name} {value or '(empty)'}" for name, value in self.values]
        return ", ".join([f"stage {self.stage or 'none'}", *([f"status {self.status}"] if self.status else []), *parts])


def _circle(space: Space, witness: Witness, written: tuple[str, ...]) -> tuple[list[str], list[Rule]] | None:
    """Decide over and over; give the states of the circle, and the rules that decided in it, or None when it rests."""
    subject = witness.subject
    stage, status, since = witness.known
    memory = Memory(stage=stage, status=status, since=since)
    states: list[_State] = []
    decisions: list[Decision] = []
    for _ in range(_LONGEST_CIRCLE):
        decision = decide(space.rulebook, subject, memory, witness.now)
        subject = _with_writes(subject, decision)
        memory = decision.memory
        values = tuple((name, subject.properties.get(name) or "") for name in written)
        state = _State(values, decision.stage, decision.status)
        if state in states:
            start = states.index(state)
            if start == len(states) - 1:
                return None
            return [str(each) for each in [*states[start:], state]], _deciding(space, decisions[start:], written)
        states.append(state)
        decisions.append(decision)
    return None


def _with_writes(subject: CaseSubject, decision: Decision) -> CaseSubject:
    """Give the contact as it is once what was decided is written."""
    writes: Mapping[str, str] = {**decision.set, _RULE: decision.rule or ""}
    values = {name: value or None for name, value in writes.items()}
    return replace(subject, properties={**subject.properties, **values})


def _deciding(space: Space, decisions: list[Decision], written: tuple[str, ...]) -> list[Rule]:
    """Give the values that set what goes round, then the stage rules that decide in turn."""
    values: list[Rule] = [
        rule for rule in space.pack.values if any(name in written for name in rule.set)
        and any(all(each.set.get(name) == value for name, value in rule.set.items()) for each in decisions)
    ]  # fmt: skip
    ids = {decision.rule for decision in decisions}
    stages: list[Rule] = [rule for rule in space.pack.stages if rule.id in ids]
    return stages if len(ids) > 1 else values or stages


def _first_named(space: Space, rules: list[Rule]) -> Rule:
    return rules[0] if rules else space.pack.stages[0]


# --- cadences ---------------------------------------------------------------------------------------------------------


def unrepeated(space: Space) -> Iterator[Finding]:
    """Find cadences of which no second task can come in one stay."""
    for rule in space.pack.cadences:
        if rule.at_most != 1:
            finding = _unrepeated(space, rule)
            if finding is not None:
                yield finding


def _unrepeated(space: Space, rule: CadenceRule) -> Finding | None:
    reading, stays = space.reading, space.world.known.stays
    applies = both(reading.applies[rule], negated(reading.closed))
    later = [reading.before.stays[place] for place, stay in enumerate(stays)
             if stay is None or _reaches(stays, place, rule.every)]  # fmt: skip
    again = both(applies, negated(reading.entered), any_of(later))
    what = f"whether the cadence {rule.id!r} can come twice"
    if space.is_impossible(applies, what) or not space.is_impossible(again, what):
        return None
    witness = space.find(applies)
    if witness is None:
        return None
    first = witness.decided(space.rulebook)
    second = decide(space.rulebook, witness.subject, first.memory, witness.now + rule.every)
    if rule not in first.tasks or rule in second.tasks:
        return None
    found = (
        f"the {section_of(rule)} {rule.id!r} never comes a second time: its condition is over before the time "
        f"between two of its tasks has passed"
    )
    text = witness.case(f"has the first {rule.id} and no other", {"stage": first.stage, "rule": first.rule})
    cure = "widen the condition, shorten `every`, or make it a task"
    return Finding(problem=warn(rule.place, "never-repeats", found, cure), witness=text)


def _reaches(stays: tuple[int | None, ...], place: int, every: int) -> bool:
    """Ask whether a class of stays holds one that is as long as this; each reaches up to where the next begins."""
    following = stays[place + 1] if place + 1 < len(stays) else None
    return following is None or following > every

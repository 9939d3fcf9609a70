"""A pack judged over all contacts at once: when each fact is yes, each rule applies, each stage and status is decided.

The same order as in `judging`: stage rules see what was known before; statuses see the decided stage and the status
known before; everything else sees what has been decided.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from connector.decision import CLOSED
from connector.proving.classes import Key
from connector.proving.encoding import Selection, World, stay_answer
from connector.proving.formulas import (
    FALSE,
    TRUE,
    Formula,
    Three,
    all_of,
    any_of,
    both,
    either,
    negated,
    three_all,
    three_any,
    three_not,
    two,
    variable,
)
from connector.rulebook.conditions import (
    All,
    AnyOf,
    Condition,
    DealsTest,
    FactTest,
    Leaf,
    Not,
    PropertyTest,
    StageFor,
    StateTest,
)
from connector.rulebook.courses import NO, YES
from connector.rulebook.pack import Rule, StageRule, StatusRule

Standing = Mapping[str | None, Formula]
"""For each stage (or status), when it is this one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Before:
    """What a contact brings along: the values of its properties, and what was known of it."""

    selections: Mapping[Key, Selection]
    stage: Standing
    status: Standing
    stays: tuple[Formula, ...]


@dataclass(kw_only=True, slots=True)
class Freedom:
    """What a reading leaves open, to find out what a contradiction rests on.

    A guarded condition answers what it likes unless its guard holds; free facts are, and free rules win, as they like.
    """

    guards: dict[Leaf, Formula] = field(default_factory=dict)
    is_guarded: bool = False
    facts: frozenset[str] = frozenset()
    rules: frozenset[Rule] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Phase:
    """The state that conditions are asked about, and the facts in it."""

    name: str
    stage: Standing
    status: Standing
    entered: Formula
    facts: dict[str, Three] = field(default_factory=dict)


def at_first(world: World) -> Before:
    """Give what a contact brings along that nothing is known of yet."""
    return Before(
        selections=world.selections,
        stage={name: world.before_stage(name) for name in world.stages},
        status={name: world.before_status(name) for name in world.statuses},
        stays=tuple(world.stay.selects(place) for place in range(world.stay.size)),
    )


class Reading:
    """One judgement of the pack, as formulas over the contact's variables."""

    def __init__(self, world: World, before: Before | None = None, freedom: Freedom | None = None) -> None:
        self.world = world
        self.before = before or at_first(world)
        self.freedom = freedom or Freedom()
        self.laws: list[Formula] = []
        pack = world.pack
        first = self._phase("stages", self.before.stage, self.before.status, FALSE)
        self.fits = [self._rule(rule, first) for rule in pack.stages]
        self.wins = self._freed(pack.stages, _first_of(self.fits))
        self.stage = self._decided_stage()
        self.entered = any_of(both(at, negated(self.before.stage.get(s, FALSE))) for s, at in self.stage.items())
        second = self._phase("statuses", self.stage, self.before.status, self.entered)
        self.status_fits = [both(self._rule(rule, second), self._is_of(rule)) for rule in pack.statuses]
        self.status_wins = self._freed(pack.statuses, _first_of(self.status_fits))
        self.status = self._decided_status()
        self.closed = self.status.get(CLOSED, FALSE)
        last = self._phase("outputs", self.stage, self.status, self.entered)
        outputs: tuple[Rule, ...] = (*pack.values, *pack.tasks, *pack.cadences, *pack.actions)
        self.applies: dict[Rule, Formula] = {rule: self._rule(rule, last) for rule in outputs}
        self._phases = (first, second, last)

    def fact_is_yes(self, name: str) -> Formula:
        """Say when a fact is yes, at whatever point of a judgement."""
        return any_of(phase.facts[name].yes for phase in self._phases)

    def is_yes(self, rule: Rule) -> Formula:
        """Say when a rule's own condition is yes (and its stage is the decided one, for a status)."""
        if isinstance(rule, StageRule):
            return self.fits[self.world.pack.stages.index(rule)]
        if isinstance(rule, StatusRule):
            return self.status_fits[self.world.pack.statuses.index(rule)]
        return self.applies[rule]

    # --- the steps of a judgement -------------------------------------------------------------------------------------

    def _decided_stage(self) -> dict[str | None, Formula]:
        world, before = self.world, self.before
        pack = world.pack
        raw: dict[str | None, Formula] = {}
        for name in world.stages:
            rules = zip(pack.stages, self.wins, strict=True)
            raw[name] = any_of(won for rule, won in rules if rule.stage == name)
        raw[None] = either(raw[None], all_of(map(negated, self.fits)))
        lower = [
            both(raw[name], before.stage.get(was, FALSE))
            for place, name in enumerate(pack.ladder) if name in raw
            for was in pack.ladder[place + 1 :]
        ]  # fmt: skip
        stays = zip(before.stays, world.known.stays, strict=True)
        staying = any_of(at for at, stay in stays if stay is not None and stay < pack.min_stay)
        kept = both(staying, any_of(lower))
        return {
            name: either(both(kept, before.stage.get(name, FALSE)), both(negated(kept), raw[name]))
            for name in world.stages
        }

    def _decided_status(self) -> dict[str | None, Formula]:
        rules = list(zip(self.world.pack.statuses, self.status_wins, strict=True))
        found: dict[str | None, Formula] = {None: all_of(map(negated, self.status_fits))}
        for name in self.world.statuses[1:]:
            found[name] = any_of(won for rule, won in rules if rule.status == name)
        return found

    def _is_of(self, rule: StatusRule) -> Formula:
        if rule.of is None:
            return TRUE
        return any_of(self.stage.get(name, FALSE) for name in sorted(rule.of))

    def _rule(self, rule: Rule, phase: _Phase) -> Formula:
        return FALSE if rule in self.freedom.rules else self._three(rule.when, phase).yes

    def _freed(self, rules: Sequence[Rule], wins: list[Formula]) -> list[Formula]:
        """Let the free ones win whenever they like."""
        free = self.freedom.rules
        return [variable(f"wins/{rule.id}") if rule in free else won for rule, won in zip(rules, wins, strict=True)]

    def _phase(self, name: str, stage: Standing, status: Standing, entered: Formula) -> _Phase:
        phase = _Phase(name=name, stage=stage, status=status, entered=entered)
        for fact, condition in self.world.pack.facts.items():
            free = fact in self.freedom.facts
            phase.facts[fact] = self._free(f"fact/{fact}/{name}") if free else self._three(condition, phase)
        return phase

    def _free(self, name: str) -> Three:
        answer = Three(variable(f"{name}+"), variable(f"{name}-"))
        self.laws.append(negated(both(*answer)))
        return answer

    # --- conditions ---------------------------------------------------------------------------------------------------

    def _three(self, condition: Condition, phase: _Phase) -> Three:
        match condition:
            case All():
                return three_all(self._three(part, phase) for part in condition.parts)
            case AnyOf():
                return three_any(self._three(part, phase) for part in condition.parts)
            case Not():
                return three_not(self._three(condition.part, phase))
            case FactTest():
                return _of_fact(condition, phase.facts[condition.fact])
        return self._guarded(condition, phase)

    def _guarded(self, leaf: PropertyTest | DealsTest | StateTest | StageFor, phase: _Phase) -> Three:
        """Give a test's answer; where it is guarded, only while its guard holds."""
        real = self._answer(leaf, phase)
        if not self.freedom.is_guarded:
            return real
        key = f"{leaf.place.line}:{leaf.place.column}/{leaf.text}"
        guard = self.freedom.guards.setdefault(leaf, variable(f"guard/{key}"))
        free = self._free(f"free/{phase.name}/{key}/{len(self.laws)}")
        holds, open_ = guard, negated(guard)
        return Three(
            either(both(holds, real.yes), both(open_, free.yes)), either(both(holds, real.no), both(open_, free.no))
        )

    def _answer(self, leaf: PropertyTest | DealsTest | StateTest | StageFor, phase: _Phase) -> Three:
        match leaf:
            case PropertyTest():
                key = (leaf.object, leaf.property)
                return self.world.cells[key].answer(leaf, self.before.selections[key])
            case DealsTest():
                return self.world.deals(leaf)
            case StageFor():
                return stay_answer(self.world, leaf, phase.entered, self.before.stays)
        return two(_standing(leaf, phase))


def _standing(leaf: StateTest, phase: _Phase) -> Formula:
    found = phase.status if leaf.kind == "status" else phase.stage
    named = any_of(found.get(name, FALSE) for name in dict.fromkeys(leaf.names))
    return both(named, phase.entered) if leaf.kind == "entered" else named


def _of_fact(condition: FactTest, fact: Three) -> Three:
    unknown = both(negated(fact.yes), negated(fact.no))
    cases = list(zip((fact.no, unknown, fact.yes), condition.answers, strict=True))
    return Three(
        any_of(at for at, answer in cases if answer == YES), any_of(at for at, answer in cases if answer == NO)
    )


def _first_of(fits: Sequence[Formula]) -> list[Formula]:
    """Say of each when it holds and none before it does."""
    found = []
    for place, each in enumerate(fits):
        found.append(all_of([each, *map(negated, fits[:place])]))
    return found

"""What the cases of a pack reach: which rules have applied, and which answers each condition has given.

Pure: judges every case once more. A rule that no case reaches, and an answer that no case has shown, are problems of
severity *warning*, with their place; the price is that a case file for a pack with many conditions grows long.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from connector.problems import Place, Problem
from connector.rulebook.cases import Case, Seen
from connector.rulebook.conditions import Condition, DealsTest, PropertyTest, StageFor, StateTest, leaves
from connector.rulebook.courses import WORDS
from connector.rulebook.judging import Judgement, Known, Rulebook
from connector.rulebook.pack import Pack

CLOSED = "closed"
_TWO = frozenset({"yes", "no"})
_THREE = _TWO | {"unknown"}
_SECTIONS = ("stages", "statuses", "values", "tasks", "cadences", "actions")

Key = tuple[str, str]
"""What tells a condition (what it is asked of, and its text) or a rule (its section and its id) from the others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleReach:
    """In how many cases a rule has won (stages, statuses) or applied with its consequence due (all others)."""

    section: str
    id: str
    place: Place
    cases: int


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerReach:
    """Which answers a condition or a fact has given, and which it ought to have given."""

    of: str
    """What it is asked of: `contact` (with company and deals), `deal` (a single one), `before`, `decision`, `fact`."""
    text: str
    place: Place
    wanted: frozenset[str]
    seen: frozenset[str]

    @property
    def missing(self) -> tuple[str, ...]:
        """Name the answers that no case has shown."""
        return tuple(word for word in ("yes", "no", "unknown") if word in self.wanted - self.seen)


@dataclass(frozen=True, kw_only=True, slots=True)
class Coverage:
    """What the cases of one pack reach."""

    pack: str
    rules: tuple[RuleReach, ...]
    conditions: tuple[AnswerReach, ...]
    facts: tuple[AnswerReach, ...]

    def gaps(self) -> list[Problem]:
        """Give what no case reaches, sorted by place."""
        return sorted([*map(_untested_rule, self._unreached()), *map(_untested_answer, self._unanswered())])

    @property
    def wanted(self) -> int:
        """Count what cases ought to reach: every rule, and every answer of every condition and fact."""
        return len(self.rules) + sum(len(each.wanted) for each in (*self.conditions, *self.facts))

    @property
    def reached(self) -> int:
        """Count what they do reach."""
        answers = sum(len(each.wanted & each.seen) for each in (*self.conditions, *self.facts))
        return sum(rule.cases > 0 for rule in self.rules) + answers

    def _unreached(self) -> Iterator[RuleReach]:
        return (rule for rule in self.rules if not rule.cases)

    def _unanswered(self) -> Iterator[AnswerReach]:
        return (each for each in (*self.conditions, *self.facts) if each.missing)


def applied_rules(rulebook: Rulebook, case: Case, seen: Seen) -> frozenset[str]:
    """Name the rules of all sections that have won or whose consequence is due in a case."""
    judgement, _ = rulebook.judge(case.subject, Known(case.stage, case.status, case.since), case.now or 0)
    there = {(section, rule.id) for section in _SECTIONS for rule in getattr(rulebook.pack, section)}
    return frozenset(id_ for section, id_ in _applied(judgement, seen) if (section, id_) in there)


def _applied(judgement: Judgement, seen: Seen) -> Iterator[Key]:
    """Give the rules that have applied; a closed contact's values are not set, so they do not count."""
    values = () if judgement.status == CLOSED else judgement.values
    applied: dict[str, Iterable[str | None]] = {
        "stages": [seen.rule],
        "statuses": [judgement.status_rule.id] if judgement.status_rule else [],
        "values": [rule.id for rule in values],
        "tasks": seen.tasks,
        "cadences": seen.tasks,
        "actions": seen.actions,
    }
    for section, ids in applied.items():
        yield from ((section, str(id_)) for id_ in ids)


def cover(rulebook: Rulebook, judged: Iterable[tuple[Case, Seen]]) -> Coverage:
    """Say what these cases, with what was decided about them, reach of a pack."""
    tally = _Tally()
    for case, seen in judged:
        known, now = Known(case.stage, case.status, case.since), case.now or 0
        judgement, _ = rulebook.judge(case.subject, known, now)
        tally.add_rules(judgement, seen)
        for finding in rulebook.findings(case.subject, now):
            tally.add("contact", finding.text, finding.result)
        for test in _deal_tests(rulebook.pack):
            for deal in case.subject.deals:
                tally.add("deal", test.text, WORDS[test.course(deal.get(test.property)).at(now)])
        for section, state in _state_tests(rulebook.pack):
            tally.add(_asked_of(section), state.text, _state_answer(state, section, known, judgement, now))
        for name, answer in judgement.facts.items():
            tally.add("fact", name, answer)
    return tally.coverage(rulebook.pack)


@dataclass(frozen=True, slots=True)
class _Tally:
    """Counts while cases are gone through; one use per pack."""

    rules: dict[Key, int] = field(default_factory=dict)
    answers: dict[Key, set[str]] = field(default_factory=dict)

    def add(self, of: str, text: str, answer: str) -> None:
        self.answers.setdefault((of, text), set()).add(answer)

    def add_rules(self, judgement: Judgement, seen: Seen) -> None:
        """Count what has won, and what was due."""
        for key in _applied(judgement, seen):
            self.rules[key] = self.rules.get(key, 0) + 1

    def coverage(self, pack: Pack) -> Coverage:
        rules = [
            RuleReach(section=section, id=rule.id, place=rule.place, cases=self.rules.get((section, rule.id), 0))
            for section in _SECTIONS
            for rule in getattr(pack, section)
        ]
        conditions = [self._reach(key, place, wanted) for key, (place, wanted) in _conditions(pack).items()]
        facts = [self._reach(("fact", name), _place(fact, pack), _TWO) for name, fact in pack.facts.items()]
        return Coverage(pack=pack.name, rules=tuple(rules), conditions=tuple(conditions), facts=tuple(facts))

    def _reach(self, key: Key, place: Place, wanted: frozenset[str]) -> AnswerReach:
        of, text = key
        return AnswerReach(of=of, text=text, place=place, wanted=wanted, seen=frozenset(self.answers.get(key, ())))


def _conditions(pack: Pack) -> Mapping[Key, tuple[Place, frozenset[str]]]:
    """Give every atomic condition once, with its first place and the answers that it can give."""
    found: dict[Key, tuple[Place, frozenset[str]]] = {}
    for condition in pack.conditions():
        for leaf in leaves(condition):
            if isinstance(leaf, PropertyTest | DealsTest):
                found.setdefault(("contact", leaf.text), (leaf.place, _answers_of(leaf)))
    for test in _deal_tests(pack):
        found.setdefault(("deal", test.text), (test.place, _answers_of(test)))
    for section, state in _state_tests(pack):
        found.setdefault((_asked_of(section), state.text), (state.place, _answers_of(state)))
    return found


def _answers_of(test: PropertyTest | DealsTest | StateTest | StageFor) -> frozenset[str]:
    """Say which answers a test can give: `known`, and what is asked of the decision itself, are never unknown."""
    match test:
        case PropertyTest():
            return _TWO if test.test.operator == "known" else _THREE
        case DealsTest():
            inner = [_answers_of(part) for part in leaves(test.condition) if isinstance(part, PropertyTest)]
            return frozenset().union(_TWO, *inner)
        case StageFor():
            return _THREE
    return _TWO


def _deal_tests(pack: Pack) -> Iterator[PropertyTest]:
    for condition in pack.conditions():
        for leaf in leaves(condition):
            if isinstance(leaf, DealsTest):
                yield from (part for part in leaves(leaf.condition) if isinstance(part, PropertyTest))


def _state_tests(pack: Pack) -> Iterator[tuple[str, StateTest | StageFor]]:
    for section in ("facts", *_SECTIONS):
        rules = pack.facts.values() if section == "facts" else [rule.when for rule in getattr(pack, section)]
        for condition in rules:
            yield from ((section, leaf) for leaf in leaves(condition) if isinstance(leaf, StateTest | StageFor))


def _asked_of(section: str) -> str:
    return "before" if section == "stages" else "decision"


def _state_answer(test: StateTest | StageFor, section: str, known: Known, judgement: Judgement, now: int) -> str:
    """Answer what is asked of the stage or status: in `stages` of those before, everywhere else of those decided."""
    in_stages = section == "stages"
    entered = not in_stages and judgement.stage != known.stage
    if isinstance(test, StageFor):
        if entered:
            return "no"
        return "unknown" if known.since is None else "yes" if now >= known.since + test.duration else "no"
    stage = known.stage if in_stages else judgement.stage
    status = known.status if section in ("stages", "statuses") else judgement.status
    holds = (status if test.kind == "status" else stage) in test.names
    return "yes" if holds and (entered or test.kind != "entered") else "no"


def _place(condition: Condition, pack: Pack) -> Place:
    first = next(leaves(condition), None)
    return first.place if first else Place(file=pack.file)


def _untested_rule(rule: RuleReach) -> Problem:
    found = f"no case reaches {rule.id!r} of `{rule.section}`"
    cure = "add a case that expects it"
    return Problem(place=rule.place, code="untested-rule", found=found, cure=cure, severity="warning")


def _untested_answer(reach: AnswerReach) -> Problem:
    found = f"in no case has {reach.text!r} been {' or '.join(reach.missing)}"
    cure = "add a contact for whom it is"
    return Problem(place=reach.place, code="untested-answer", found=found, cure=cure, severity="warning")

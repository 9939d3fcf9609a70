"""The smallest changes that would bring a contact into a stage: which properties would have to hold what.

Worked out backwards through facts and rules: for each condition the few smallest ways to make it what is wanted, each
way a set of properties with the values that would do. What comes out is judged once more, as it would be in HubSpot:
what does not lead into the stage is not said. Pure; some milliseconds per contact, as only a bounded number of the
smallest ways is kept at each step.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product

from connector.properties import CONTACT_PROPERTIES
from connector.proving.landmarks import landmarks
from connector.proving.probes import probes
from connector.rulebook.blame import state_answer
from connector.rulebook.columns import Properties, Subject
from connector.rulebook.conditions import (
    All,
    AnyOf,
    Condition,
    DealsTest,
    FactTest,
    Not,
    PropertyTest,
    StageFor,
    StateTest,
    leaves,
    tested_properties,
)
from connector.rulebook.contradictions import KNOWN_FORMS
from connector.rulebook.courses import NO, UNKNOWN, UNREAD, YES
from connector.rulebook.judging import Known, Rulebook
from connector.rulebook.pack import Pack, StageRule

Key = tuple[str, str]
"""Object and property; ("deals", "") stands for the deals together."""
Wanted = frozenset[int]
Way = Mapping[Key, frozenset[int]]
"""For each property that matters, the numbers of its alternatives that would do; 0 is what it holds now."""

_DEALS: Key = ("deals", "")
_KEPT = 24
"""So many of the smallest ways are kept at each step."""
_MOST_ALTERNATIVES = 24
_MOST_DEALS = 48
_BY_PEOPLE = frozenset(("contact", one.name) for one in CONTACT_PROPERTIES if one.filled_in)
_NEGATED = {YES: NO, NO: YES, UNKNOWN: UNKNOWN}


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One thing that would have to change: a property (of the contact or company), or a deal; None: not known now."""

    object: str
    property: str
    now: str | None
    then: str
    meets: tuple[str, ...] = ()
    """The tests of the property that would become yes: `within next 30 days`; none for an option, which says itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """A smallest set of changes that leads into a stage, with the rule that would then decide."""

    steps: tuple[Step, ...]
    rule: str


@dataclass(frozen=True, slots=True)
class _Changed:
    """A subject as it would be."""

    properties: Properties
    company: Properties | None
    deals: tuple[Properties, ...] | None


@dataclass(frozen=True, slots=True)
class _Alternative:
    """What a property could hold (or, for deals, what they could be), with what every test of it then answers."""

    value: str | tuple[Properties, ...] | None
    answers: tuple[int, ...]


class Reach:
    """Finds ways for one pack; what does not depend on the moment is worked out once."""

    def __init__(self, rulebook: Rulebook) -> None:
        self.rulebook = rulebook
        self._tests: dict[Key, list[PropertyTest]] = {}
        self._deals: list[DealsTest] = []
        for leaf in _all_leaves(rulebook.pack):
            if isinstance(leaf, PropertyTest) and leaf not in self._tests.setdefault((leaf.object, leaf.property), []):
                self._tests[leaf.object, leaf.property].append(leaf)
            elif isinstance(leaf, DealsTest) and leaf not in self._deals:
                self._deals.append(leaf)
        settings = rulebook.pack.settings
        self._marks = {key: landmarks((each.test for each in tests), settings) for key, tests in self._tests.items()}
        self._lasting: dict[Key, list[_Alternative]] = {}

    def routes(self, subject: Subject, known: Known, now: int, *, stage: str, most: int = 5) -> list[Route]:
        """Give the smallest sets of changes that would bring a contact into a stage, what is unknown first."""
        search = _Search(self, subject, known, now)
        ways = sorted(_smallest(search.into(stage)), key=search.cost)
        found: list[Route] = []
        sizes: list[frozenset[tuple[str, str]]] = []
        for way in ways:
            route = search.verified(way, stage)
            changed = frozenset((step.object, step.property) for step in route.steps) if route else frozenset()
            if route is not None and route.steps and not any(other <= changed for other in sizes):
                found.append(route)
                sizes.append(changed)
            if len(found) == most:
                break
        return found

    def columns(self, subject: Subject, now: int) -> dict[Key, list[_Alternative]]:
        """Give for each property what it holds, and then what it could hold instead, one value per set of answers."""
        found = {}
        for key, tests in self._tests.items():
            current = _held(subject, key)
            here = _Alternative(current, tuple(test.course(current).at(now) for test in tests))
            others = [one for one in self._alternatives(key, now) if one.answers != here.answers]
            found[key] = [here, *others]
        if self._deals:
            found[_DEALS] = list(self._ways_of_deals(subject, now))
        return found

    def _alternatives(self, key: Key, now: int) -> list[_Alternative]:
        marks = self._marks[key]
        if key in self._lasting:
            return self._lasting[key]
        form, options = KNOWN_FORMS.get(key, (None, ()))
        tests = self._tests[key]
        by_answers: dict[tuple[int, ...], _Alternative] = {}
        for value in probes(marks, now, form=form, options=options, strict=bool(options)).likely:
            if value is not None:
                answers = tuple(test.course(value).at(now) for test in tests)
                by_answers.setdefault(answers, _Alternative(value, answers))
        found = list(islice(by_answers.values(), _MOST_ALTERNATIVES))
        if not marks.is_timed:
            self._lasting[key] = found
        return found

    def _ways_of_deals(self, subject: Subject, now: int) -> Iterator[_Alternative]:
        """Give the deals as they are, with one more, and with each of them changed."""
        deals = subject.deals or ()
        seen = set()
        tried: list[tuple[Properties, ...]] = [deals]
        for shape in islice(self._shapes(now), _MOST_DEALS):
            tried.append((*deals, shape))
            if deals:
                tried.append(tuple({**deal, **shape} for deal in deals))
        for place, each in enumerate(tried):
            answers = tuple(test.course(each).at(now) for test in self._deals)
            if place == 0 and subject.deals is None:
                answers = (UNKNOWN,) * len(answers)
            if answers not in seen:
                seen.add(answers)
                yield _Alternative(each, answers)

    def _shapes(self, now: int) -> Iterator[Properties]:
        """Give deals as the tests on deals could want them."""
        for test in self._deals:
            by_name: dict[str, list[PropertyTest]] = {}
            for part in tested_properties(test.condition):
                by_name.setdefault(part.property, []).append(part)
            choices = []
            for name, parts in by_name.items():
                marks = landmarks((part.test for part in parts), self.rulebook.pack.settings)
                form, options = KNOWN_FORMS.get(("deal", name), (None, ()))
                likely = probes(marks, now, form=form, options=options, strict=False).likely
                choices.append([(name, value) for value in likely if value is not None][:6])
            for chosen in product(*choices):
                yield dict(chosen)

    def tests_of(self, key: Key) -> list[PropertyTest]:
        """Give the tests of a property, in the order of its answers."""
        return self._tests[key]

    def place_of(self, test: PropertyTest | DealsTest) -> tuple[Key, int]:
        """Say in which column a test stands, and where."""
        if isinstance(test, DealsTest):
            return _DEALS, self._deals.index(test)
        key = test.object, test.property
        return key, self._tests[key].index(test)


class _Search:
    """One contact's way into a stage; one use."""

    def __init__(self, reach: Reach, subject: Subject, known: Known, now: int) -> None:
        self._reach = reach
        self._subject = subject
        self._known = known
        self._now = now
        self._pack = reach.rulebook.pack
        self._columns = reach.columns(subject, now)
        self._ways: dict[tuple[int, Wanted], list[Way]] = {}

    def into(self, stage: str) -> Iterator[Way]:
        """Give ways to make a rule for this stage the first that applies."""
        before: list[StageRule] = []
        for rule in self._pack.stages:
            if rule.stage == stage:
                parts = [self.ways(rule.when, frozenset({YES}))]
                parts += [self.ways(other.when, frozenset({NO, UNKNOWN})) for other in before if other.stage != stage]
                yield from self._all(parts)
            before.append(rule)

    def ways(self, condition: Condition, wanted: Wanted) -> list[Way]:
        """Give the smallest ways to give a condition one of these answers."""
        if wanted >= {NO, UNKNOWN, YES}:
            return [{}]
        key = id(condition), wanted
        if key not in self._ways:
            self._ways[key] = list(islice(sorted(_smallest(self._worked_out(condition, wanted)), key=self.cost), _KEPT))
        return self._ways[key]

    def _worked_out(self, condition: Condition, wanted: Wanted) -> Iterable[Way]:
        match condition:
            case All():
                return self._joined(condition.parts, wanted, strong=NO)
            case AnyOf():
                return self._joined(condition.parts, wanted, strong=YES)
            case Not():
                return self.ways(condition.part, frozenset(_NEGATED[answer] for answer in wanted))
            case FactTest():
                table = dict(zip((NO, UNKNOWN, YES), condition.answers, strict=True))
                fitting = frozenset(answer for answer, given in table.items() if given in wanted)
                return self.ways(self._pack.facts[condition.fact], fitting) if fitting else []
            case StateTest() | StageFor():
                return [{}] if state_answer(condition, self._known, self._now) in wanted else []
        column, place = self._reach.place_of(condition)
        numbers = frozenset(
            number for number, one in enumerate(self._columns[column]) if _read(one.answers[place]) in wanted
        )
        return [{column: numbers}] if numbers else []

    def _joined(self, parts: Sequence[Condition], wanted: Wanted, *, strong: int) -> Iterable[Way]:
        """Work out `all` (where no is the strong answer) or `any` (where yes is): one part's suffices for the whole."""
        weak = YES if strong == NO else NO
        if strong in wanted:
            enough = wanted if UNKNOWN not in wanted else frozenset({strong, UNKNOWN})
            for part in parts:
                yield from self.ways(part, enough)
            if weak in wanted:
                yield from self._all([self.ways(part, frozenset({weak})) for part in parts])
            return
        allowed = frozenset({weak, UNKNOWN}) if UNKNOWN in wanted else frozenset({weak})
        together = self._all([self.ways(part, allowed) for part in parts])
        if wanted == {UNKNOWN}:
            for way in together:
                for part in parts:
                    yield from self._all([[way], self.ways(part, frozenset({UNKNOWN}))])
            return
        yield from together

    def _all(self, parts: Sequence[Sequence[Way]]) -> list[Way]:
        """Join ways that must all be gone, keeping the smallest."""
        found: list[Way] = [{}]
        for ways in parts:
            joined = (way for one in found for other in ways if (way := _both(one, other)) is not None)
            found = list(islice(sorted(_smallest(joined), key=self.cost), _KEPT))
        return found

    def cost(self, way: Way) -> tuple[int, int, int, int, str]:
        """Rank ways: few changes first, then those of what is not known yet, then what people fill in."""
        changed = [key for key, numbers in way.items() if 0 not in numbers]
        known = sum(bool(self._columns[key][0].value) for key in changed)
        others = sum(key not in _BY_PEOPLE for key in changed)
        return len(changed), known, others, sum(min(way[key]) for key in changed), str(sorted(changed))

    def verified(self, way: Way, stage: str) -> Route | None:
        """Judge the contact as it would be, and leave out what is not needed; None when it does not lead there."""
        changes = {key: min(numbers) for key, numbers in way.items() if 0 not in numbers}
        rule = self._rule_of(changes, stage)
        if rule is None:
            return None
        for key in sorted(changes, key=str):
            less = {other: number for other, number in changes.items() if other != key}
            if (other_rule := self._rule_of(less, stage)) is not None:
                changes, rule = less, other_rule
        steps = [step for key, number in changes.items() for step in self._steps(key, number)]
        steps.sort(key=lambda step: (step.now is not None, step.object != "contact", step.property))
        return Route(steps=tuple(steps), rule=rule)

    def _rule_of(self, changes: Mapping[Key, int], stage: str) -> str | None:
        """Give the rule that would bring the changed contact into the stage; None when none would."""
        subject = self._subject
        properties, company, deals = dict(subject.properties), subject.company, subject.deals
        for key, number in changes.items():
            value = self._columns[key][number].value
            if isinstance(value, tuple):
                deals = value
            elif key[0] == "contact":
                properties[key[1]] = value
            else:
                company = {**(company or {}), key[1]: value}
        judgement, _ = self._reach.rulebook.judge(_Changed(properties, company, deals), self._known, self._now)
        return judgement.stage_rule.id if judgement.stage == stage and judgement.stage_rule else None

    def _steps(self, key: Key, number: int) -> Iterator[Step]:
        value = self._columns[key][number].value
        if isinstance(value, tuple):
            yield from _steps_of_deals(self._subject.deals or (), value)
            return
        of, name = key
        yield Step(
            object=of, property=name, now=_held(self._subject, key), then=str(value), meets=self._met(key, number)
        )

    def _met(self, key: Key, number: int) -> tuple[str, ...]:
        """Name the tests that become yes with an alternative."""
        here, there = self._columns[key][0], self._columns[key][number]
        answers = zip(self._reach.tests_of(key), here.answers, there.answers, strict=True)
        met = [test.test for test, before, after in answers if after == YES != before]
        telling = [test for test in met if test.operator != "known"] or met  # whatever holds is known, too
        return tuple(test.wanted for test in telling)


def _both(one: Way, other: Way) -> Way | None:
    """Join two ways; None when a property would have to hold two things."""
    joined = dict(one)
    for key, numbers in other.items():
        joined[key] = joined[key] & numbers if key in joined else numbers
        if not joined[key]:
            return None
    return joined


def _smallest(ways: Iterable[Way]) -> list[Way]:
    """Leave out what stands twice."""
    return list({frozenset(way.items()): way for way in ways}.values())


def _read(answer: int) -> int:
    return UNKNOWN if answer == UNREAD else answer


def _held(subject: Subject, key: Key) -> str | None:
    of, name = key
    properties = subject.properties if of == "contact" else subject.company or {}
    return properties.get(name) or None


def _steps_of_deals(before: tuple[Properties, ...], after: tuple[Properties, ...]) -> Iterator[Step]:
    """Say what would have to change about deals: a new one, or properties of those there are."""
    for place, deal in enumerate(after):
        old = before[place] if place < len(before) else {}
        of = f"deal {place + 1}" if place < len(before) else "a new deal"
        for name, value in deal.items():
            if value != old.get(name):
                yield Step(object=of, property=name, now=old.get(name) or None, then=str(value))


def _all_leaves(pack: Pack) -> Iterator[object]:
    for condition in pack.conditions():
        yield from leaves(condition)

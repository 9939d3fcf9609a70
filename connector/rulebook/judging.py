"""A pack ready to judge contacts: from properties to answers, facts and the rules that apply, with the reasons.

Pure: no clock, no I/O. What repeats is remembered, bounded: the answers per property value, and the judgement per set
of answers, as a million contacts have a few thousand distinct ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from connector.rulebook.conditions import DealsTest, PropertyTest, StageFor, leaves, tested_properties
from connector.rulebook.courses import ALWAYS, NO, UNKNOWN, UNREAD, WORDS, YES, Course
from connector.rulebook.facts import Answers, FactBook, Literal, View
from connector.rulebook.inference import Engine
from connector.rulebook.pack import (
    ActionRule,
    CadenceRule,
    Pack,
    Rule,
    StageRule,
    StatusRule,
    TaskRule,
    ValueRule,
)

Properties = Mapping[str, str | None]
_REMEMBERED = 50_000
_UNREAD = ALWAYS[UNREAD]


class Subject(Protocol):
    """What is judged: a contact's properties, its primary company's ({}: none), its deals'; None: not read."""

    @property
    def properties(self) -> Properties: ...
    @property
    def company(self) -> Properties | None: ...
    @property
    def deals(self) -> tuple[Properties, ...] | None: ...


@dataclass(frozen=True, slots=True)
class Known:
    """What Stagekeeper knew of a contact before: its stage and status, and since when it has the stage."""

    stage: str | None = None
    status: str | None = None
    since: int | None = None


NOTHING_KNOWN = Known()


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """The answer to one condition: what was wanted, what was there, where it came from, when the answer will change."""

    text: str
    wanted: str
    actual: str | None
    result: str
    source: str
    changes_at: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """Which rules apply. `kept`: the stage stays as it was (min_stay) against what the stage rule says.

    `undetermined`: something unread could still change it.
    """

    stage: str | None
    kept: bool
    stage_rule: StageRule | None
    status_rule: StatusRule | None
    facts: Mapping[str, str]
    values: tuple[ValueRule, ...]
    tasks: tuple[TaskRule, ...]
    cadences: tuple[CadenceRule, ...]
    actions: tuple[ActionRule, ...]
    undetermined: bool

    @property
    def status(self) -> str | None:
        """Give the decided status."""
        return self.status_rule.status if self.status_rule else None


_R = TypeVar("_R", bound=Rule)


class _Section(Generic[_R]):
    """One section's rules in their order, with the engine that says which of them apply."""

    def __init__(self, rules: Sequence[_R], book: FactBook) -> None:
        self._rules = tuple((f"{number}", rule) for number, rule in enumerate(rules))
        self._literals: dict[str, tuple[Literal, ...]] = {key: book.literals(rule.when) for key, rule in self._rules}
        self._engine = Engine(self._literals)

    def applying(self, facts: Answers) -> tuple[_R, ...]:
        """Give the rules that apply, in the pack's order."""
        keys = self._engine.applicable(facts)
        return tuple(rule for key, rule in self._rules if key in keys)

    def is_open(self, facts: Answers, before: _R | None = None) -> bool:
        """Ask whether something unread could still make a rule apply that stands before the given one."""
        for key, rule in self._rules:
            if rule is before:
                return False
            answers = [(facts[name], wanted) for name, wanted in self._literals[key]]
            if any(found == UNREAD for found, _ in answers) and all(
                found in (UNREAD, wanted) for found, wanted in answers
            ):
                return True
        return False


class _Column:
    """One property with all tests on it, remembering per value what they answer."""

    def __init__(self, tests: Sequence[PropertyTest]) -> None:
        self._tests = tuple(tests)
        self.source = f"{self._tests[0].object}.{self._tests[0].property}"
        self._findings: dict[tuple[str | None, str, bool], tuple[Finding, ...]] = {}
        self._remembered: dict[str | None, tuple[bytes | None, tuple[Course, ...]]] = {}
        self.unread: tuple[bytes | None, tuple[Course, ...]] = (
            bytes([UNREAD] * len(self._tests)), (_UNREAD,) * len(self._tests),
        )  # fmt: skip

    def judge(self, value: str | None) -> tuple[bytes | None, tuple[Course, ...]]:
        """Give the answers (None when they depend on the moment) and their courses."""
        found = self._remembered.get(value)
        if found is None:
            courses = tuple(test.course(value) for test in self._tests)
            timed = any(course.changes for course in courses)
            found = (None if timed else bytes(course.answers[0] for course in courses), courses)
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[value] = found
        return found

    def findings(self, value: str | None, source: str, now: int, *, is_read: bool) -> tuple[Finding, ...]:
        """Give the answers with wanted and actual."""
        key = (value, source, is_read)
        found = self._findings.get(key)
        if found is not None:
            return found
        constant, courses = self.judge(value) if is_read else self.unread
        found = tuple(
            Finding(
                text=test.text, wanted=test.test.wanted, actual=value, result=WORDS[course.at(now)], source=source,
                changes_at=course.next_change(now),
            )
            for test, course in zip(self._tests, courses, strict=True)
        )  # fmt: skip
        if constant is not None:  # what depends on the moment is not remembered
            if len(self._findings) >= _REMEMBERED:
                self._findings.clear()
            self._findings[key] = found
        return found


class Rulebook:
    """A pack with everything compiled that can be; one per process and pack, shared by threads."""

    def __init__(self, pack: Pack) -> None:
        self.pack = pack
        all_leaves = [leaf for condition in pack.conditions() for leaf in leaves(condition)]
        tests = dict.fromkeys(leaf for leaf in all_leaves if isinstance(leaf, PropertyTest))
        columns = _columns(tests)
        self._deals = tuple(dict.fromkeys(leaf for leaf in all_leaves if isinstance(leaf, DealsTest)))
        self._stage_for = tuple(dict.fromkeys(leaf for leaf in all_leaves if isinstance(leaf, StageFor)))
        in_order = [test for (_, _, column) in columns for test in column] + list(self._deals)
        self._columns = tuple((of, name, _Column(column)) for of, name, column in columns)
        book = FactBook(
            pack.facts,
            tests={test: place for place, test in enumerate(in_order)},
            stage_for={leaf: place for place, leaf in enumerate(self._stage_for)},
        )
        self._stages = _Section(pack.stages, book)
        self._statuses = _Section(pack.statuses, book)
        self._values = _Section(pack.values, book)
        self._tasks = _Section(pack.tasks, book)
        self._cadences = _Section(pack.cadences, book)
        self._actions = _Section(pack.actions, book)
        self._book = book
        self._judgements: dict[tuple[bytes, str | None, str | None, bytes, bool], Judgement] = {}

    def judge(self, subject: Subject, known: Known, now: int) -> tuple[Judgement, int | None]:
        """Say which rules apply to a subject at a moment, and when an answer will next change by itself."""
        answers, change = self._answers(subject, now)
        since = known.since
        stage_for = bytes(
            UNKNOWN if since is None else YES if now >= since + leaf.duration else NO for leaf in self._stage_for
        )
        stays = since is not None and now < since + self.pack.min_stay
        key = (answers, known.stage, known.status, stage_for, stays)
        judgement = self._judgements.get(key)
        if judgement is None:
            judgement = self._judge(*key)
            if len(self._judgements) >= _REMEMBERED:
                self._judgements.clear()
            self._judgements[key] = judgement
        return judgement, self._earliest(change, judgement, known, now)

    def findings(self, subject: Subject, now: int) -> list[Finding]:
        """Give the answer to every condition on a property or a deal, with wanted and actual."""
        contact, unread = self._contact(subject)
        company, derived = subject.company, self.pack.derived
        found: list[Finding] = []
        for of, name, column in self._columns:
            properties = contact if of == "contact" else company
            if properties is None or (unread and of == "contact" and name in unread):
                found += column.findings(None, f"{of} (not read)", now, is_read=False)
                continue
            value, source = properties.get(name), column.source
            if name in derived and value != subject.properties.get(name):
                source = f"deals, {derived[name].deal_property}"
            found += column.findings(value, source, now, is_read=True)
        found += [self._deals_finding(test, subject.deals, now) for test in self._deals]
        return found

    def _deals_finding(self, test: DealsTest, deals: tuple[Properties, ...] | None, now: int) -> Finding:
        course = _UNREAD if deals is None else test.course(deals)
        rows = []
        if deals:
            names = sorted({tested.property for tested in tested_properties(test.condition)})
            rows = [", ".join(f"{name} {deal.get(name) or '(empty)'}" for name in names) for deal in deals]
        return Finding(
            text=test.text, wanted=test.text, actual="; ".join(rows) or None, result=WORDS[course.at(now)],
            source="deals" if deals is not None else "deals (not read)", changes_at=course.next_change(now),
        )  # fmt: skip

    def _contact(self, subject: Subject) -> tuple[Properties, frozenset[str]]:
        """Give the contact's properties with those that come from its deals, and those of them that are unread."""
        derived = self.pack.derived
        if not derived:
            return subject.properties, frozenset()
        own = subject.properties
        if subject.deals is None:
            return own, frozenset(name for name in derived if not (own.get(name) or "").strip())
        deals = subject.deals
        return {**own, **{name: each.value(own.get(name), deals) for name, each in derived.items()}}, frozenset()

    def _answers(self, subject: Subject, now: int) -> tuple[bytes, int | None]:
        parts: list[bytes] = []
        changes: list[int] = []
        contact, unread = self._contact(subject)
        company, deals = subject.company, subject.deals
        for of, name, column in self._columns:
            properties = contact if of == "contact" else company
            if properties is None or (unread and of == "contact" and name in unread):
                constant, courses = column.unread
            else:
                constant, courses = column.judge(properties.get(name))
            if constant is None:
                constant = bytes([course.at(now) for course in courses])
                changes += [change for course in courses if (change := course.next_change(now)) is not None]
            parts.append(constant)
        for test in self._deals:
            course = _UNREAD if deals is None else test.course(deals)
            parts.append(bytes((course.at(now),)))
            changes += [change for change in (course.next_change(now),) if change is not None]
        return b"".join(parts), min(changes) if changes else None

    def _judge(
        self, answers: bytes, stage: str | None, status: str | None, stage_for: bytes, stays: bool
    ) -> Judgement:
        before = View(answers=answers, stage_for=stage_for, stage=stage, status=status, entered=False)
        facts = self._book.answers(before)
        stage_rule = next(iter(self._stages.applying(facts)), None)
        is_open = self._stages.is_open(facts, stage_rule)
        decided = stage_rule.stage if stage_rule else None
        kept = stays and self._is_lower(decided, stage)
        decided = stage if kept else decided

        entered = decided != stage
        stage_for = bytes([NO] * len(stage_for)) if entered else stage_for
        view = View(answers=answers, stage_for=stage_for, stage=decided, status=status, entered=entered)
        facts = self._book.answers(view)
        fitting = [rule for rule in self._statuses.applying(facts) if _is_of(rule, decided)]
        status_rule = next(iter(fitting), None)
        is_open = is_open or self._statuses.is_open(facts, status_rule)

        final = status_rule.status if status_rule else None
        view = View(answers=answers, stage_for=stage_for, stage=decided, status=final, entered=entered)
        facts = self._book.answers(view)
        outputs = (self._values, self._tasks, self._cadences, self._actions)
        return Judgement(
            stage=decided,
            kept=kept,
            stage_rule=stage_rule,
            status_rule=status_rule,
            facts={name: WORDS[facts[name]] for name in self.pack.facts},
            values=self._values.applying(facts),
            tasks=self._tasks.applying(facts),
            cadences=self._cadences.applying(facts),
            actions=self._actions.applying(facts),
            undetermined=is_open or any(section.is_open(facts) for section in outputs),
        )

    def _is_lower(self, decided: str | None, before: str | None) -> bool:
        """Ask whether a move leads down the ladder; leaving the ladder is no move on it."""
        ladder = self.pack.ladder
        return decided in ladder and before in ladder and ladder.index(decided) < ladder.index(before)

    def _earliest(self, change: int | None, judgement: Judgement, known: Known, now: int) -> int | None:
        """Give the earliest moment after now at which a test's or a stay's answer changes."""
        if not self._stage_for and not self.pack.min_stay:
            return change
        stayed = known.stage == judgement.stage and known.since is not None
        since = known.since if stayed and known.since is not None else now
        stays = [leaf.duration for leaf in self._stage_for] + [self.pack.min_stay]
        moments = [since + stay for stay in stays if since + stay > now]
        return min([*moments, *([] if change is None else [change])], default=None)


def _columns(tests: Mapping[PropertyTest, None]) -> list[tuple[str, str, list[PropertyTest]]]:
    columns: dict[tuple[str, str], list[PropertyTest]] = {}
    for test in tests:
        columns.setdefault((test.object, test.property), []).append(test)
    return [(of, name, column) for (of, name), column in columns.items()]


def _is_of(rule: StatusRule, stage: str | None) -> bool:
    return rule.of is None or stage in rule.of

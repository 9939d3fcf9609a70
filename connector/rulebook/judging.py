"""A pack ready to judge contacts: from properties to answers, facts and the rules that apply, with the reasons.

Pure: no clock, no I/O. What repeats is remembered, bounded: the answers per property value, and the judgement per set
of answers, as a million contacts have a few thousand distinct ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from connector.rulebook.columns import REMEMBERED, Columns, Finding, Row, Subject
from connector.rulebook.conditions import DealsTest, PropertyTest, StageFor, leaves
from connector.rulebook.courses import NO, UNKNOWN, UNREAD, WORDS, YES
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


class Known(NamedTuple):
    """What Stagekeeper knew of a contact before: its stage and status, and since when it has the stage."""

    stage: str | None = None
    status: str | None = None
    since: int | None = None


NOTHING_KNOWN = Known()


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


class Rulebook:
    """A pack with everything compiled that can be; one per process and pack, shared by threads."""

    def __init__(self, pack: Pack) -> None:
        self.pack = pack
        all_leaves = [leaf for condition in pack.conditions() for leaf in leaves(condition)]
        tests = dict.fromkeys(leaf for leaf in all_leaves if isinstance(leaf, PropertyTest))
        deals = dict.fromkeys(leaf for leaf in all_leaves if isinstance(leaf, DealsTest))
        self._columns = Columns(tests, deals, pack.derived)
        self._stage_for = tuple(dict.fromkeys(leaf for leaf in all_leaves if isinstance(leaf, StageFor)))
        book = FactBook(
            pack.facts,
            tests={test: place for place, test in enumerate(self._columns.order)},
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

    def read(self, subject: Subject) -> Row:
        """Ask every condition about a subject, once for all moments and states at which it is judged."""
        return self._columns.row(subject)

    def judge(self, subject: Subject, known: Known, now: int) -> tuple[Judgement, int | None]:
        """Say which rules apply to a subject at a moment, and when an answer will next change by itself."""
        return self.judge_row(self.read(subject), known, now)

    def judge_row(self, row: Row, known: Known, now: int) -> tuple[Judgement, int | None]:
        """Judge what has been read already."""
        answers, change = row.at(now)
        judgement = self.judge_answers(answers, known, now)
        return judgement, self._earliest(change, judgement, known, now)

    def judge_answers(self, answers: bytes, known: Known, now: int) -> Judgement:
        """Judge by the answers alone, in the order of the rulebook's tests."""
        since = known.since
        stage_for, stays = b"", False
        if self._stage_for:
            stage_for = bytes(
                UNKNOWN if since is None else YES if now >= since + leaf.duration else NO for leaf in self._stage_for
            )
        if since is not None:
            stays = now < since + self.pack.min_stay
        key = (answers, known.stage, known.status, stage_for, stays)
        judgement = self._judgements.get(key)
        if judgement is None:
            judgement = self._judge(*key)
            if len(self._judgements) >= REMEMBERED:
                self._judgements.clear()
            self._judgements[key] = judgement
        return judgement

    def answered(self, row: Row, now: int) -> dict[PropertyTest | DealsTest, int]:
        """Give every test's answer by the test itself."""
        return dict(zip(self._columns.order, row.at(now)[0], strict=True))

    def findings(self, subject: Subject, now: int) -> list[Finding]:
        """Give the answer to every condition on a property or a deal, with wanted and actual."""
        return self.read(subject).findings(now)

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


def _is_of(rule: StatusRule, stage: str | None) -> bool:
    return rule.of is None or stage in rule.of

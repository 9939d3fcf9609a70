"""The decision about one contact: stage, status, reason, what is due now, and when to look again.

Pure: the snapshot, what was known before and the present moment go in, a value comes out; the same input gives the
same decision, on any machine, in any order of events.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from connector.moments import write_duration
from connector.rulebook.cases import Case, Seen
from connector.rulebook.columns import Row, Subject
from connector.rulebook.judging import Judgement, Known, Rulebook
from connector.rulebook.pack import ActionRule, CadenceRule, Pack, TaskRule

PROSPECT_STATUS = "sk_prospect_status"
LEAD_STATUS = "sk_lead_status"
CLOSED = "closed"
NO_RULE = "No rule of the pack applies to this contact."
_MOST_STEPS = 64
"""How many moments ahead are tried for the next look; the last one tried is taken when none changes the decision."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How often something has been done for the present occasion, and when last (None: not known, as in a case).

    `seen` is a digest of the values that start a cadence anew when they change.
    """

    count: int
    last: int | None = None
    seen: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """What Stagekeeper knew of a contact before a decision, and what it knows after."""

    stage: str | None = None
    status: str | None = None
    since: int | None = None
    marks: Mapping[str, Mark] = field(default_factory=dict)

    @property
    def known(self) -> Known:
        """Give the part that conditions can ask for."""
        return Known(self.stage, self.status, self.since)

    def as_data(self) -> dict[str, Any]:
        """Give the memory as plain data."""
        marks = {name: [mark.count, mark.last, mark.seen] for name, mark in self.marks.items()}
        return {"stage": self.stage, "status": self.status, "since": self.since, "marks": marks}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Memory":
        """Read what `as_data` has given."""
        marks = {name: Mark(*mark) for name, mark in data["marks"].items()}
        return cls(stage=data["stage"], status=data["status"], since=data["since"], marks=marks)


NO_MEMORY = Memory()


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What should be, and why; `set` holds every property that should have a value ("" for none)."""

    stage: str | None
    status: str | None
    rule: str | None
    because: str
    facts: Mapping[str, str]
    set: Mapping[str, str]
    tasks: tuple[TaskRule | CadenceRule, ...]
    actions: tuple[ActionRule, ...]
    next_look_at: int | None
    memory: Memory
    stage_before: str | None
    backward: bool = False
    """Whether the rule may move HubSpot's stage back."""
    undetermined: bool = False
    """Something that was not read could still change this decision."""

    @property
    def entered(self) -> bool:
        """Ask whether the stage has just become this one."""
        return self.stage != self.stage_before


def decide(rulebook: Rulebook, subject: Subject, memory: Memory, now: int) -> Decision:
    """Decide about a contact as it was read, given what was known of it and the present moment."""
    return decide_row(rulebook, rulebook.read(subject), memory, now)


def decide_row(rulebook: Rulebook, row: Row, memory: Memory, now: int) -> Decision:
    """Decide about a contact of whom every condition has been asked already."""
    subject = row.subject
    judgement, change = rulebook.judge_row(row, memory.known, now)
    since = memory.since if judgement.stage == memory.stage and memory.since is not None else now
    closed = judgement.status == CLOSED
    rounds = () if closed or not judgement.cadences else tuple(_rounds(judgement, subject, memory, now))
    tasks = () if closed else tuple([rule for rule in judgement.tasks if not _is_done(rule, memory)])
    actions = tuple(
        [rule for rule in judgement.actions if not _is_done(rule, memory) and not (closed and rule.create_deal)]
    )
    known = Known(judgement.stage, judgement.status, since)
    steady, _ = rulebook.judge_row(row, known, now)
    marked = memory.marks or tasks or actions or rounds
    marks = dict(_marks(rulebook.pack, (*tasks, *actions), steady, memory, rounds, now)) if marked else {}
    coming = min([turn.next_at for turn in rounds if turn.next_at is not None], default=None)
    ahead = coming if change is None else _ahead(rulebook, row, known, steady, change, coming)
    stage_rule = judgement.stage_rule
    return Decision(
        stage=judgement.stage,
        status=judgement.status,
        rule=stage_rule.id if stage_rule else None,
        because=_because(rulebook, judgement),
        facts=judgement.facts,
        set=_values(judgement, rounds),
        tasks=(*tasks, *[turn.rule for turn in rounds if turn.is_due]) if rounds else tasks,
        actions=actions,
        next_look_at=ahead,
        memory=Memory(stage=known.stage, status=known.status, since=since, marks=marks),
        stage_before=memory.stage,
        backward=stage_rule is not None and stage_rule.backward,
        undetermined=judgement.undetermined,
    )


def _because(rulebook: Rulebook, judgement: Judgement) -> str:
    """Give the reason; where the stage is kept against the rule that won, say both."""
    if judgement.stage_rule is None:
        return NO_RULE
    because = judgement.stage_rule.because
    if not judgement.kept:
        return because
    stay = write_duration(rulebook.pack.min_stay)
    return f"Who enters {judgement.stage} stays for {stay} at least; after that: {because}"


@dataclass(frozen=True, slots=True)
class _Round:
    """One cadence's turn: its mark, whether its task is due or its cap is passed, when it is next of interest."""

    rule: CadenceRule
    mark: Mark
    is_due: bool
    is_over: bool
    next_at: int | None


def _rounds(judgement: Judgement, subject: Subject, memory: Memory, now: int) -> Iterator[_Round]:
    for rule in judgement.cadences:
        mark = _begun(rule, memory.marks.get(rule.id, Mark(0)), subject)
        due_at = _due_at(rule, mark, memory.since, now)
        capped = rule.at_most is not None and mark.count >= rule.at_most
        is_due = now >= due_at and not capped
        is_over = now >= due_at and capped
        last_one = rule.at_most is not None and mark.count + is_due >= rule.at_most
        ended = is_over or (last_one and not rule.afterwards)
        yield _Round(rule, mark, is_due, is_over, None if ended else now + rule.every if is_due else due_at)


def _begun(rule: CadenceRule, mark: Mark, subject: Subject) -> Mark:
    """Let the count begin anew when one of the values that the pack names has changed; *every* is kept."""
    if not rule.starts_anew_on:
        return mark
    values = "\x1f".join(subject.properties.get(name) or "" for name in rule.starts_anew_on)
    seen = blake2b(values.encode(errors="replace"), digest_size=8).hexdigest()
    has_changed = mark.seen is not None and mark.seen != seen
    return Mark(0 if has_changed else mark.count, mark.last, seen)


def _due_at(rule: CadenceRule, mark: Mark, since: int | None, now: int) -> int:
    """Give the moment of the next task: *every* after the last; where that is not known, counted from the stay."""
    if mark.last is not None:
        return mark.last + rule.every
    return now if not mark.count else (now if since is None else since) + mark.count * rule.every


def _is_done(rule: TaskRule | ActionRule, memory: Memory) -> bool:
    return rule.id in memory.marks and memory.marks[rule.id].count > 0


def _marks(
    pack: Pack, due: tuple[TaskRule | ActionRule, ...], steady: Judgement, memory: Memory,
    rounds: tuple[_Round, ...], now: int,
) -> Iterator[tuple[str, Mark]]:  # fmt: skip
    """Give the marks after the decision, by what holds once it is made.

    A mark stays while its condition does: that of "entered" is over at once. A cadence keeps its last moment.
    """
    lasting = {rule.id for rule in steady.tasks} | {rule.id for rule in steady.actions}
    once = {rule.id for rule in pack.tasks} | {rule.id for rule in pack.actions}
    turning = {turn.rule.id for turn in rounds}
    for name, mark in memory.marks.items():
        if name in lasting:
            yield name, mark
        elif name not in once | turning and mark.last is not None:
            yield name, Mark(0, mark.last, mark.seen)
    for rule in due:
        if rule.id in lasting:
            yield rule.id, Mark(1, now)
    for turn in rounds:
        mark = turn.mark
        yield turn.rule.id, Mark(mark.count + 1, now, mark.seen) if turn.is_due else mark


def _values(judgement: Judgement, rounds: tuple[_Round, ...]) -> dict[str, str]:
    """Give what should be set: the status, then values, then what follows a cadence; the first to name one wins."""
    status = judgement.status
    if status == CLOSED:
        return {PROSPECT_STATUS: CLOSED}
    of_lead = status == "unverified" or (status == "cold" and judgement.stage == "lead")
    found = {
        PROSPECT_STATUS: "" if of_lead else status or "",
        LEAD_STATUS: (status or "") if of_lead else "",
    }
    for rule in judgement.values:
        found = {**rule.set, **found}
    for turn in rounds:
        if turn.is_over:
            found = {**turn.rule.afterwards, **found}
    return found


def _ahead(
    rulebook: Rulebook, row: Row, known: Known, steady: Judgement, change: int, cadence: int | None
) -> int | None:
    """Find the first moment at which the decision becomes another without any event."""
    moment: int | None = change
    for _ in range(_MOST_STEPS):
        if moment is None or (cadence is not None and moment >= cadence):
            return cadence
        judgement, following = rulebook.judge_row(row, known, moment)
        if judgement is not steady and _outcome(judgement) != _outcome(steady):
            return moment
        moment = following
    return moment


def _outcome(judgement: Judgement) -> tuple[object, ...]:
    if judgement.status == CLOSED:  # nothing else is done then, whatever else applies
        return judgement.stage, judgement.stage_rule, judgement.status_rule, judgement.actions
    return (
        judgement.stage, judgement.stage_rule, judgement.status_rule,
        judgement.values, judgement.tasks, judgement.cadences, judgement.actions,
    )  # fmt: skip


def see_case(rulebook: Rulebook, case: Case, now: int) -> Seen:
    """Decide about a contact of a case file, as the worker would."""
    decision = decide_case(rulebook, case, now)
    return Seen(
        stage=decision.stage,
        status=decision.status,
        rule=decision.rule,
        tasks=tuple(rule.id for rule in decision.tasks),
        actions=tuple(rule.id for rule in decision.actions),
        set=decision.set,
        facts=decision.facts,
    )


def decide_case(rulebook: Rulebook, case: Case, now: int) -> Decision:
    """Decide about a contact of a case file and give the whole decision."""
    marks = {name: Mark(count) for name, count in case.done.items()}
    memory = Memory(stage=case.stage, status=case.status, since=case.since, marks=marks)
    return decide(rulebook, case.subject, memory, now)

"""A rule pack as a document that can be read: conditions as lists within lists, times and effects in words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from connector.moments import write_duration
from connector.rulebook.conditions import All, AnyOf, Condition, DealsTest, FactTest, Not
from connector.rulebook.pack import ActionRule, CadenceRule, Due, Pack, Rule, StageRule, StatusRule, TaskRule, ValueRule


@dataclass(frozen=True, kw_only=True, slots=True)
class Clause:
    """A condition or a part of one: a test, or `all`, `any` or `not` of parts; `fact` is the fact that a test asks."""

    kind: str
    text: str = ""
    fact: str = ""
    parts: tuple["Clause", ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Paragraph:
    """A rule: what it does, in words, and when."""

    id: str
    does: str
    because: str
    when: Clause
    stage: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Chapter:
    """The rules of one section."""

    name: str
    title: str
    says: str
    paragraphs: tuple[Paragraph, ...]


_CHAPTERS: Mapping[str, tuple[str, str]] = {
    "stages": ("Stages", "The first rule whose condition is yes decides the stage."),
    "statuses": ("Statuses", "How a contact stands within its stage; again the first that is yes."),
    "values": ("Values", "Properties that are set while the condition is yes."),
    "tasks": ("Tasks", "Made once while the condition is yes."),
    "cadences": ("Cadences", "Tasks that come again and again while the condition is yes."),
    "actions": ("Actions", "Done once while the condition is yes."),
}


def clause_of(condition: Condition) -> Clause:
    """Give a condition as clauses."""
    match condition:
        case All(parts=()):
            return Clause(kind="always", text="always")
        case All() | AnyOf():
            kind = "all" if isinstance(condition, All) else "any"
            parts = tuple(clause_of(part) for part in condition.parts)
            return parts[0] if len(parts) == 1 else Clause(kind=kind, parts=parts)
        case Not():
            return Clause(kind="not", parts=(clause_of(condition.part),))
        case FactTest():
            return Clause(kind="fact", text=condition.text, fact=condition.fact)
        case DealsTest():
            return Clause(kind="deal", parts=(clause_of(condition.condition),))
    return Clause(kind="test", text=condition.text)


def facts_of(pack: Pack) -> list[tuple[str, Clause]]:
    """Give the facts of a pack with their conditions."""
    return [(name, clause_of(condition)) for name, condition in pack.facts.items()]


def chapters_of(pack: Pack) -> Iterator[Chapter]:
    """Give the sections of a pack that hold rules."""
    for name, (title, says) in _CHAPTERS.items():
        section: Sequence[Rule] = getattr(pack, name)
        if section:
            yield Chapter(name=name, title=title, says=says, paragraphs=tuple(map(_paragraph, section)))


def _paragraph(rule: Rule) -> Paragraph:
    because = rule.because if isinstance(rule, StageRule | StatusRule) else ""
    stage = rule.stage if isinstance(rule, StageRule) else None
    return Paragraph(id=rule.id, does=_does(rule), because=because, when=clause_of(rule.when), stage=stage)


def _does(rule: Rule) -> str:
    match rule:
        case StageRule():
            back = ", also backwards" if rule.backward else ""
            return f"stage {rule.stage or 'none'}{back}"
        case StatusRule():
            of = f" of {' or '.join(sorted(rule.of))}" if rule.of else ""
            return f"{rule.status}{of}"
        case ValueRule():
            return _sets(rule.set)
        case TaskRule():
            return f"{rule.body.type} “{rule.body.title}”, due {_due(rule.due)}"
        case CadenceRule():
            most = f", {rule.at_most} times at most" if rule.at_most is not None else ""
            after = f"; afterwards {_sets(rule.afterwards)}" if rule.afterwards else ""
            return f"{rule.body.type} “{rule.body.title}” every {write_duration(rule.every)}{most}{after}"
        case ActionRule():
            return _deed(rule)


def _deed(rule: ActionRule) -> str:
    deal = [f"open a deal at {rule.create_deal.stage}"] if rule.create_deal else []
    return " and ".join([*deal, *rule.do])


def _sets(values: Mapping[str, str]) -> str:
    return "set " + ", ".join(f"{name} to “{value}”" if value else f"clear {name}" for name, value in values.items())


def _due(due: Due) -> str:
    if due.business_days:
        return f"in {due.business_days} business day{'' if due.business_days == 1 else 's'}"
    return f"in {write_duration(due.duration)}" if due.duration else "at once"

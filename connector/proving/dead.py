"""Rules that can never win or apply, and facts that can never be yes.

A rule whose condition is possible but always taken by earlier ones is shown with a contact that fits it and is taken.
Where the condition itself is impossible no contact can show it; there the conditions that exclude each other are named.
What is dead only because something else is gets no finding of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from connector.proving.findings import Finding, named, section_of, spelled, warn
from connector.proving.formulas import Formula, both, negated
from connector.proving.reading import Freedom, Reading
from connector.proving.space import Space
from connector.proving.witness import outcome
from connector.rulebook.conditions import ALWAYS_YES, Condition, StateTest
from connector.rulebook.judging import Judgement
from connector.rulebook.pack import ActionRule, Rule, StageRule, StatusRule
from connector.rulebook.reading import Document


@dataclass(slots=True)
class _Dead:
    """A rule or fact that is never yes, with what is dead because of it."""

    what: Rule | str
    consequences: list[Rule | str] = field(default_factory=list)


def dead_parts(space: Space, document: Document) -> Iterator[Finding]:
    """Find what can never be."""
    facts = [name for name in space.pack.facts if space.is_impossible(space.reading.fact_is_yes(name), name)]
    roots = _roots_of_facts(space, facts)
    rules = [rule for rule in space.pack.rules() if not _is_below_all(space, rule) and _is_dead(space, rule)]
    for rule in rules:
        cause = _cause(space, roots, rules, rule)
        if cause is None:
            roots.append(_Dead(rule))
        else:
            cause.consequences.append(rule)
    for root in roots:
        finding = _of_fact(space, document, root) if isinstance(root.what, str) else _of_rule(space, root.what, root)
        if finding is not None:
            yield finding


def happens(reading: Reading, rule: Rule) -> Formula:
    """Say when a rule has its effect: wins, or applies to somebody who has not asked to be forgotten."""
    pack = reading.world.pack
    if isinstance(rule, StageRule):
        return reading.wins[pack.stages.index(rule)]
    if isinstance(rule, StatusRule):
        return reading.status_wins[pack.statuses.index(rule)]
    is_forgetting = isinstance(rule, ActionRule) and rule.do
    return reading.applies[rule] if is_forgetting else both(reading.applies[rule], negated(reading.closed))


def _is_dead(space: Space, rule: Rule) -> bool:
    return space.is_impossible(happens(space.reading, rule), f"whether {section_of(rule)} {rule.id!r} can ever apply")


def _is_below_all(space: Space, rule: Rule) -> bool:
    """Ask whether a stage rule stands below one without a condition, of which the shape alone already warns."""
    if not isinstance(rule, StageRule):
        return False
    above = space.pack.stages[: space.pack.stages.index(rule)]
    return any(each.when == ALWAYS_YES for each in above)


# --- causes and consequences ------------------------------------------------------------------------------------------


def _roots_of_facts(space: Space, facts: Sequence[str]) -> list[_Dead]:
    """Keep the facts that are dead by themselves; facts stand in an order in which each builds on earlier ones."""
    roots: list[_Dead] = []
    for name in facts:
        free = frozenset(root.what for root in roots if isinstance(root.what, str))
        loosened = space.loosened(Freedom(facts=free)) if free else None
        if loosened is None or not loosened.can(loosened.reading.fact_is_yes(name)):
            roots.append(_Dead(name))
        else:
            roots[-1].consequences.append(name)
    return roots


def _cause(space: Space, roots: list[_Dead], rules: Sequence[Rule], rule: Rule) -> _Dead | None:
    """Give what a rule is dead because of: the first without which it could apply."""
    deciding = isinstance(rule, StageRule | StatusRule)
    for root in roots:
        what = root.what
        if isinstance(what, str):
            freedom = Freedom(facts=frozenset({what}))
        elif isinstance(what, StageRule | StatusRule) and (not deciding or isinstance(what, StageRule)):
            freedom = Freedom(rules=frozenset({what}))
        else:
            continue
        if isinstance(rule, StageRule) and not isinstance(what, str):
            continue
        loosened = space.loosened(freedom)
        if loosened.can(happens(loosened.reading, rule)):
            return root
    if deciding:
        return None
    everything = frozenset(each for each in rules if isinstance(each, StageRule | StatusRule))
    loosened = space.loosened(Freedom(rules=everything))
    return roots[0] if roots and everything and loosened.can(happens(loosened.reading, rule)) else None


# --- findings ---------------------------------------------------------------------------------------------------------


def _of_fact(space: Space, document: Document, dead: _Dead) -> Finding | None:
    name = str(dead.what)
    because = _excluded(space, name, space.pack.facts[name])
    if because is None:
        return None
    found = f"the fact {name!r} can never be yes: {because}{_so(dead)}"
    cure = "correct one of these conditions, or remove the fact"
    return Finding(problem=warn(document.place(("facts", name)), "never-yes", found, cure))


def _of_rule(space: Space, rule: Rule, dead: _Dead) -> Finding | None:
    word = "win" if isinstance(rule, StageRule | StatusRule) else "apply"
    own = space.reading.is_yes(rule)
    head = f"the {section_of(rule)} {rule.id!r} can never {word}"
    if space.is_impossible(own, rule.id):
        because = _excluded(space, rule, rule.when)
        if because is None:
            return None
        found = f"{head}: {because}{_so(dead)}"
        cure = "correct one of these conditions, or remove the rule"
        code = "never-wins" if word == "win" else "never-applies"
        return Finding(problem=warn(rule.place, code, found, cure))
    return _taken(space, rule, head, dead)


def _excluded(space: Space, what: Rule | str, condition: Condition) -> str | None:
    """Say which conditions exclude each other; None when that could not be settled in time."""
    if isinstance(what, StatusRule) and what.of and not any(rule.stage in what.of for rule in space.pack.stages):
        return f"no stage rule decides {' or '.join(sorted(what.of))}"
    conflict = space.conflict(what)
    if not conflict:
        return None
    words = spelled(space.pack, condition, conflict)
    if len(conflict) > 1:
        return f"{words} are never met together"
    only = conflict[0]
    is_state = isinstance(only, StateTest) and None not in only.names
    return f"{words} is never met{', as no rule decides that' if is_state else ''}"


def _taken(space: Space, rule: Rule, head: str, dead: _Dead) -> Finding | None:
    """Show a contact that fits a rule and is taken by another."""
    own = space.reading.is_yes(rule)
    witness = space.find(own) or space.find(own, likely=False)
    if witness is None:
        return None
    judged = witness.judged(space.rulebook)
    if isinstance(rule, StageRule | StatusRule):
        above = _above(space, rule)
        takers = [above[place] for place in space.cover(own, [space.reading.is_yes(each) for each in above])]
        taker = judged.stage_rule if isinstance(rule, StageRule) else judged.status_rule
        if taker not in takers or not witness.fits_alone(space.pack, rule):
            return None
        found = f"{head}: whoever fits is taken by {named(takers)} above it{_so(dead)}"
        cure = "move it up, narrow those above it, or remove it"
        text = witness.case(f"fits {rule.id}, is taken by {taker.id if taker else 'none'}", outcome(judged))
        return Finding(problem=warn(rule.place, "never-wins", found, cure), witness=text)
    if judged.status != "closed" or rule not in _applying(judged):
        return None
    found = f"{head}: its condition is met only by contacts whose status is closed, for whom nothing else is done"
    text = witness.case(f"fits {rule.id}, but is closed", {**outcome(judged), "tasks": []})
    return Finding(problem=warn(rule.place, "never-applies", found, "correct the condition"), witness=text)


def _above(space: Space, rule: StageRule | StatusRule) -> list[Rule]:
    rules: tuple[Rule, ...] = space.pack.stages if isinstance(rule, StageRule) else space.pack.statuses
    return list(rules[: rules.index(rule)])


def _applying(judged: Judgement) -> tuple[Rule, ...]:
    return (*judged.values, *judged.tasks, *judged.cadences, *judged.actions)


def _so(dead: _Dead) -> str:
    """Name what is dead because of this."""
    if not dead.consequences:
        return ""
    words = [f"the fact {each!r}" if isinstance(each, str) else f"the {section_of(each)} {each.id!r}"
             for each in dead.consequences[:4]]  # fmt: skip
    more = len(dead.consequences) - len(words)
    listed = ", ".join(words) + (f" and {more} more" if more else "")
    return f" (and with it {listed})"

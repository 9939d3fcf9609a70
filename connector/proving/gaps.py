"""Contacts that fall through: whom no stage rule catches, and narrow holes between two thresholds.

A hole is a stretch of numbers or days that falls past two rules of which one catches what lies right below it and the
other what lies right above. Only narrow ones are told: a wide stretch in the middle is mostly meant to be there.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import product

from connector.moments import DAY, MINUTE
from connector.proving.classes import Column
from connector.proving.encoding import Cell
from connector.proving.findings import Finding, named, section_of, tests_below, warn
from connector.proving.formulas import FALSE, TRUE, Formula, any_of, both, negated
from connector.proving.landmarks import as_day, as_moment, day_line, moment_line, moments_of, number_line, unit_of
from connector.proving.reading import Reading, at_first
from connector.proving.space import Space, nothing_known
from connector.proving.witness import Witness, outcome
from connector.rulebook.conditions import PropertyTest
from connector.rulebook.judging import Judgement
from connector.rulebook.pack import Rule, StageRule, StatusRule, ValueRule
from connector.rulebook.reading import Document

_WIDEST_DAYS = 2
_NARROW_SHARE = Decimal("0.05")
"""A hole of up to this share of its upper threshold is narrow, whatever the step."""
_AMOUNTS = frozenset({"amount", "annualrevenue", "total_revenue", "recent_deal_amount"})
"""Numbers with cents: between two whole numbers there are others."""


def uncaught(space: Space, document: Document) -> Iterator[Finding]:
    """Find a contact whom no stage rule catches."""
    nobody = both(*(negated(fit) for fit in space.reading.fits))
    if space.is_impossible(nobody, "whether the stage rules catch everybody"):
        return
    witness = space.find(nobody, nothing_known(space.world)) or space.find(nobody)
    if witness is None or (judged := witness.judged(space.rulebook)).stage_rule is not None:
        return
    found = "some contacts are caught by no stage rule, such as the one below: they have no stage, and no reason for it"
    cure = "add a last rule without `when`, with `stage: null` when they shall have none"
    text = witness.case("is caught by no stage rule", outcome(judged))
    yield Finding(problem=warn(document.place(("stages",)), "no-rule-catches", found, cure), witness=text)


# --- holes ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Hole:
    """A narrow stretch, with a value in it, one right below and one right above."""

    below: str
    inside: str
    above: str


def holes(space: Space) -> Iterator[Finding]:
    """Find narrow stretches that fall through between two rules."""
    for cell in space.world.cells.values():
        column = cell.column
        if column.derived is None and (column.landmarks.is_numeric or column.landmarks.is_timed):
            found = (_in_sections(space, cell, hole) for hole in _candidates(column, space.world.known.presents[0]))
            finding = next((each for each in found if each is not None), None)
            if finding is not None:
                yield finding


def _candidates(column: Column, now: int) -> Iterator[_Hole]:
    form, marks = column.form, column.landmarks
    if marks.is_numeric and form in (None, "number"):
        yield from _number_holes(column, now)
    if marks.is_timed and form in (None, "date"):
        days = day_line(moments_of(marks, now))
        yield from _time_holes(column, now, days, as_day, (DAY, _WIDEST_DAYS * DAY))
    if marks.is_timed and form in (None, "moment"):
        moments = moment_line(moments_of(marks, now))
        yield from _time_holes(column, now, moments, as_moment, (MINUTE, _WIDEST_DAYS * DAY))


def _number_holes(column: Column, now: int) -> Iterator[_Hole]:
    line = number_line(column.landmarks.numbers)
    step = unit_of(column.landmarks.numbers)
    for first, last in _runs([column.place(each.value, now) for each in line]):
        low, high = line[first], line[last]
        if low.low is None or high.high is None:
            continue
        is_narrow = high.high - low.low <= max(2 * step, abs(high.high) * _NARROW_SHARE)
        start = low.low if low.is_landmark else (low.low // step + 1) * step
        end = high.high if high.is_landmark else high.high - step
        has_step = start <= end
        if is_narrow and (has_step or column.key[1] in _AMOUNTS):
            inside = format(start.normalize(), "f") if has_step and start else low.value
            yield _Hole(below=line[first - 1].value, inside=inside, above=line[last + 1].value)


def _time_holes(
    column: Column, now: int, line: Sequence[int], spell: Callable[[int], str], widths: tuple[int, int]
) -> Iterator[_Hole]:
    for first, last in _runs([column.place(spell(each), now) for each in line]):
        width = line[last + 1] - line[first - 1] - (DAY if spell is as_day else 1)
        if widths[0] <= width <= widths[1]:
            middle = line[(first + last) // 2]
            yield _Hole(below=spell(line[first - 1]), inside=spell(middle), above=spell(line[last + 1]))


def _runs(places: Sequence[int | None]) -> Iterator[tuple[int, int]]:
    """Give the first and last member of each inner run of equal classes."""
    start = 0
    for number in range(1, len(places) + 1):
        if number == len(places) or places[number] != places[start]:
            if start > 0 and number < len(places):
                yield start, number - 1
            start = number


def _in_sections(space: Space, cell: Cell, hole: _Hole) -> Finding | None:
    """Look for two rules of one section between which the hole lies."""
    pack = space.pack
    sections: tuple[Sequence[Rule], ...] = (pack.stages, pack.statuses, pack.values, pack.tasks)
    now = space.world.known.presents[0]
    places = [cell.column.place(value, now) for value in (hole.below, hole.inside, hole.above)]
    if None in places:
        return None
    below, inside, above = (_reading_at(space, cell, place or 0) for place in places)
    for rules in sections:
        asking = [rule for rule in rules if _asks(space, cell, rule)]
        lowers = [rule for rule in asking if space.can(_takes(below, rule), negated(inside.is_yes(rule)))]
        uppers = [rule for rule in asking if space.can(_takes(above, rule), negated(inside.is_yes(rule)))]
        for lower, upper in product(lowers, uppers):
            formula = _falls_between((below, inside, above), rules, lower, upper) if lower is not upper else FALSE
            finding = _shown(space, cell, hole, lower, upper, formula) if space.can(formula) else None
            if finding is not None:
                return finding
    return None


def _asks(space: Space, cell: Cell, rule: Rule) -> bool:
    tests = tests_below(space.pack, rule.when)
    return any(isinstance(test, PropertyTest) and (test.object, test.property) == cell.column.key for test in tests)


def _reading_at(space: Space, cell: Cell, place: int) -> Reading:
    """Read the pack with one property held in one class of values, all else open."""
    first = at_first(space.world)
    held = tuple(TRUE if number == place else FALSE for number in range(len(cell.selection)))
    return Reading(space.world, replace(first, selections={**first.selections, cell.column.key: held}))


def _falls_between(
    readings: tuple[Reading, Reading, Reading], rules: Sequence[Rule], lower: Rule, upper: Rule
) -> Formula:
    """Say when one rule takes what is below, another what is above, and what is between falls past both.

    Whoever takes what is between then must do so without regard to the property, as a last resort does.
    """
    below, inside, above = readings
    if isinstance(lower, StageRule | StatusRule):
        last = max(rules.index(lower), rules.index(upper))
        past = [negated(inside.is_yes(rule)) for rule in rules[: last + 1]]
        after = rules[last + 1 :]
        caught = any_of(
            both(inside.is_yes(rule), below.is_yes(rule), above.is_yes(rule), *(negated(inside.is_yes(each)) for each in
                 after[:place])) for place, rule in enumerate(after)
        )  # fmt: skip
        nobody = both(*(negated(inside.is_yes(rule)) for rule in after))
        return both(_takes(below, lower), _takes(above, upper), *past, any_of((caught, nobody)))
    if isinstance(lower, ValueRule) and isinstance(upper, ValueRule) and lower.set.keys().isdisjoint(upper.set):
        return FALSE
    only = [negated(reading.is_yes(rule)) for reading, rule in
            ((above, lower), (below, upper), (inside, lower), (inside, upper))]  # fmt: skip
    others = [
        any_of((negated(inside.is_yes(rule)), both(below.is_yes(rule), above.is_yes(rule))))
        for rule in rules if rule is not lower and rule is not upper
    ]  # fmt: skip
    open_ = [negated(reading.closed) for reading in readings]
    return both(below.is_yes(lower), above.is_yes(upper), *only, *others, *open_)


def _takes(reading: Reading, rule: Rule) -> Formula:
    pack = reading.world.pack
    if isinstance(rule, StageRule):
        return reading.wins[pack.stages.index(rule)]
    return reading.status_wins[pack.statuses.index(rule)] if isinstance(rule, StatusRule) else reading.is_yes(rule)


def _shown(
    space: Space, cell: Cell, hole: _Hole, lower: Rule, upper: Rule, formula: Formula
) -> Finding | None:  # fmt: skip
    """Show the hole by a contact, after judging it with all three values."""
    first = space.world.present.selects(0)
    witness = space.find(formula, first, nothing_known(space.world)) or space.find(formula, first)
    if witness is None:
        return None
    judged = [_with(cell, witness, value).judged(space.rulebook) for value in (hole.below, hole.inside, hole.above)]
    effects = [_effects(each, lower) for each in judged]
    if lower not in effects[0] or upper not in effects[2] or {lower, upper} & {*effects[1]}:
        return None
    of, name = cell.column.key
    shown = name if of == "contact" else f"{of}.{name}"
    found = (
        f"{shown!r} at {hole.inside} falls through between the {section_of(lower)}s {named((lower,))}, which takes "
        f"{hole.below}, and {named((upper,))}, which takes {hole.above}"
    )
    cure = "let the two thresholds meet, as `less_than: 60` and `at_least: 60` do"
    test = next(test for test in tests_below(space.pack, upper.when).items() if _is_of(cell, test[0]))
    expect = {**outcome(judged[1]), **({"status": judged[1].status} if isinstance(lower, StatusRule) else {})}
    text = _with(cell, witness, hole.inside).case(f"falls through at {shown} {hole.inside}", expect)
    return Finding(problem=warn(test[1], "threshold-hole", found, cure), witness=text)


def _is_of(cell: Cell, test: object) -> bool:
    return isinstance(test, PropertyTest) and (test.object, test.property) == cell.column.key


def _with(cell: Cell, witness: Witness, value: str) -> Witness:
    """Give a contact with another value of the property."""
    of, name = cell.column.key
    subject = witness.subject
    if of == "contact":
        return replace(witness, subject=replace(subject, properties={**subject.properties, name: value}))
    return replace(witness, subject=replace(subject, company={**subject.company, name: value}))


def _effects(judged: Judgement, like: Rule) -> tuple[Rule, ...]:
    """Give the rules of a section that have their effect."""
    match like:
        case StageRule():
            return (judged.stage_rule,) if judged.stage_rule else ()
        case StatusRule():
            return (judged.status_rule,) if judged.status_rule else ()
        case ValueRule():
            return judged.values
    return judged.tasks

"""What the tests of one property compare with, and the lines of numbers and moments that these divide.

A test of a number or a moment gives one and the same answer between two neighbouring landmarks, so a value from each
stretch and each landmark itself stand for all values there are.
"""

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Any

from connector.moments import DAY, read_moment, write_moment
from connector.rulebook.operands import (
    Moving,
    OperandError,
    Settings,
    as_duration,
    as_number,
    as_reference,
    as_span,
    as_text,
    is_canonical_number,
)
from connector.rulebook.operators import Test

_EQUAL = frozenset({"is", "is_not", "in", "not_in"})
_COMPARED = frozenset({"at_least", "at_most", "more_than", "less_than", "between", "before", "after"})
_FIRST = (read_moment("1900-01-01") or (0, 0))[0]
_LAST = (read_moment("2200-01-01") or (0, 0))[0]
"""Dates beyond these are not tried."""


@dataclass(slots=True)
class Landmarks:
    """The texts, numbers and moments that some tests name; each once, in the order in which they stand."""

    literals: dict[str, None] = field(default_factory=dict)
    prefixes: dict[str, None] = field(default_factory=dict)
    suffixes: dict[str, None] = field(default_factory=dict)
    fragments: dict[str, None] = field(default_factory=dict)
    patterns: dict[str, None] = field(default_factory=dict)
    numbers: dict[Decimal, None] = field(default_factory=dict)
    fixed: dict[int, None] = field(default_factory=dict)
    """Moments that stand still."""
    offsets: dict[int, None] = field(default_factory=dict)
    """Moments relative to the present one, in milliseconds."""

    @property
    def is_numeric(self) -> bool:
        """Ask whether numbers are compared."""
        return bool(self.numbers)

    @property
    def is_timed(self) -> bool:
        """Ask whether dates or moments are compared."""
        return bool(self.fixed or self.offsets)

    @property
    def has_parts(self) -> bool:
        """Ask whether parts of texts are looked for."""
        return bool(self.prefixes or self.suffixes or self.fragments or self.patterns)


def landmarks(tests: Iterable[Test], settings: Settings) -> Landmarks:
    """Collect what tests compare with."""
    found = Landmarks()
    for test in tests:
        operand = ast.literal_eval(test.operand)
        for item in operand if isinstance(operand, list) else [operand]:
            _collect(found, test.operator, item, settings)
    return found


def _collect(found: Landmarks, operator: str, item: Any, settings: Settings) -> None:
    if operator in _EQUAL:
        _collect_literal(found, item)
    elif operator in _COMPARED:
        _collect_reference(found, operator, item, settings)
    elif operator in ("within_last", "not_within_last"):
        found.offsets |= dict.fromkeys((0, -as_duration(item, settings)))
    elif operator == "within_next":
        found.offsets |= dict.fromkeys((0, as_duration(item, settings)))
    elif operator != "known":
        texts = {"starts_with": found.prefixes, "ends_with": found.suffixes, "matches": found.patterns}
        texts.get(operator, found.fragments)[as_text(item)] = None


def _collect_literal(found: Landmarks, item: Any) -> None:
    text = as_text(item)
    number = as_number(text) if not isinstance(item, str | bool) or is_canonical_number(text) else None
    span = as_span(text)
    if number is not None:
        found.numbers[number] = None
    elif span is not None:
        found.fixed |= dict.fromkeys((span.first, span.end))
    else:
        found.literals[text] = None


def _collect_reference(found: Landmarks, operator: str, item: Any, settings: Settings) -> None:
    reference = as_reference(item, settings)
    if isinstance(reference, Decimal) and operator in ("before", "after"):
        span = as_span(as_text(item))
        if span is None:
            raise OperandError("wrong-operand", f"found {item!r}")
        reference = span
    if isinstance(reference, Decimal):
        found.numbers[reference] = None
    elif isinstance(reference, Moving):
        found.offsets[reference.offset] = None
    else:
        found.fixed |= dict.fromkeys((reference.first, reference.end))


# --- lines ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """A piece of a line on which no landmark lies, or a landmark; `value` stands for it."""

    value: str
    low: Decimal | None
    """The landmark below; for a landmark itself, the landmark."""
    high: Decimal | None

    @property
    def is_landmark(self) -> bool:
        """Ask whether this is a landmark itself."""
        return self.low is not None and self.low == self.high


def unit_of(numbers: Iterable[Decimal]) -> Decimal:
    """Give the step in which somebody counts who writes these numbers: 1, or 0.1 where one has a decimal."""
    exponents = [exponent for each in numbers if isinstance(exponent := each.normalize().as_tuple().exponent, int)]
    return Decimal(1).scaleb(min([0, *exponents]))


def number_line(numbers: Iterable[Decimal]) -> list[Stretch]:
    """Divide all numbers by landmarks, from low to high."""
    marks = sorted(set(numbers))
    if not marks:
        return []
    step = unit_of(marks)
    below = Decimal(0) if marks[0] > 0 else marks[0] - step
    line = [Stretch(value=_written(below), low=None, high=marks[0])]
    for mark, following in pairwise([*marks, None]):
        if mark is None:
            continue
        line.append(Stretch(value=_written(mark), low=mark, high=mark))
        inside = mark + step if following is None or mark + step < following else (mark + following) / 2
        line.append(Stretch(value=_written(inside), low=mark, high=following))
    return line


def _written(number: Decimal) -> str:
    return format(number.normalize(), "f") if number else "0"


def moments_of(found: Landmarks, now: int) -> list[int]:
    """Give the moments that matter at a present moment, from early to late."""
    marks = {*found.fixed, *(now + offset for offset in found.offsets)}
    return sorted(mark for mark in marks if _FIRST <= mark <= _LAST)


def moment_line(marks: Sequence[int]) -> list[int]:
    """Give a moment of every stretch between landmarks, each landmark, and what lies right beside it."""
    return _line(marks, 1, DAY)


def day_line(marks: Sequence[int]) -> list[int]:
    """Give the first instant of days of every stretch, of each landmark's day and of the days right beside it."""
    return _line(sorted({mark // DAY * DAY for mark in marks}), DAY, 3 * DAY)


def _line(marks: Sequence[int], step: int, far: int) -> list[int]:
    if not marks:
        return []
    beside = {mark + side for mark in marks for side in (-step, 0, step)}
    between = {(low + (high - low) // 2) // step * step for low, high in pairwise(marks)}
    return sorted(beside | between | {marks[0] - far, marks[-1] + far})


def as_moment(moment: int) -> str:
    """Write a moment as HubSpot does."""
    return write_moment(moment)


def as_day(moment: int) -> str:
    """Write the day of a moment."""
    return write_moment(moment)[:10]


def presents(all_landmarks: Iterable[Landmarks], now: int, most: int) -> tuple[list[int], bool]:
    """Give the present moments that differ in how moving landmarks lie to those that stand still, `now` first.

    Between two neighbouring ones of these, nothing changes in what values can answer. The second part of the answer is
    whether all of them are given.
    """
    fixed, offsets = set[int](), set[int]()
    for found in all_landmarks:
        fixed |= found.fixed.keys()
        offsets |= found.offsets.keys()
    marks = sorted({mark - offset for mark in fixed for offset in offsets if _FIRST <= mark - offset <= _LAST})
    others = [moment for moment in _line(marks, 1, 30 * DAY) if moment != now]
    return [now, *others[:most]], len(others) <= most

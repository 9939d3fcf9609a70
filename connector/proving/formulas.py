"""Formulas of Boolean logic as values, and three-valued answers as pairs of them.

They say nothing about how they are solved; constants are simplified away as formulas are put together, and equal
parts are shared by handing the same value around, so formulas are compared by identity.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from connector.rulebook.courses import NO, YES


@dataclass(frozen=True, slots=True, eq=False)
class Formula:
    """A variable (`kind` var), a constant, or and/or/not of other formulas."""

    kind: str
    parts: tuple["Formula", ...] = ()
    name: str = ""


TRUE = Formula("true")
FALSE = Formula("false")


class Three(NamedTuple):
    """A three-valued answer: when it is yes and when it is no; otherwise it is unknown."""

    yes: Formula
    no: Formula


THREE_YES = Three(TRUE, FALSE)
THREE_NO = Three(FALSE, TRUE)
THREE_UNKNOWN = Three(FALSE, FALSE)


def variable(name: str) -> Formula:
    """Make a variable; whoever makes two of one name means the same one."""
    return Formula("var", (), name)


def all_of(parts: Iterable[Formula]) -> Formula:
    """Join by and."""
    return _joined("and", parts, neutral=TRUE, absorbing=FALSE)


def any_of(parts: Iterable[Formula]) -> Formula:
    """Join by or."""
    return _joined("or", parts, neutral=FALSE, absorbing=TRUE)


def _joined(kind: str, parts: Iterable[Formula], *, neutral: Formula, absorbing: Formula) -> Formula:
    found: dict[int, Formula] = {}
    for part in parts:
        if part is absorbing:
            return absorbing
        if part is not neutral:
            found.setdefault(id(part), part)
    if not found:
        return neutral
    return next(iter(found.values())) if len(found) == 1 else Formula(kind, tuple(found.values()))


def negated(part: Formula) -> Formula:
    """Turn a formula round."""
    if part is TRUE or part is FALSE:
        return FALSE if part is TRUE else TRUE
    return part.parts[0] if part.kind == "not" else Formula("not", (part,))


def both(*parts: Formula) -> Formula:
    """Join by and."""
    return all_of(parts)


def either(*parts: Formula) -> Formula:
    """Join by or."""
    return any_of(parts)


def is_true(formula: Formula, values: Mapping[str, bool]) -> bool:
    """Work out a formula by hand; a variable without a value counts as false."""
    match formula.kind:
        case "var":
            return values.get(formula.name, False)
        case "and":
            return all(is_true(part, values) for part in formula.parts)
        case "or":
            return any(is_true(part, values) for part in formula.parts)
        case "not":
            return not is_true(formula.parts[0], values)
    return formula is TRUE


# --- three-valued answers ---------------------------------------------------------------------------------------------


def three(answer: int) -> Three:
    """Make the constant of an answer."""
    return THREE_YES if answer == YES else THREE_NO if answer == NO else THREE_UNKNOWN


def three_all(parts: Iterable[Three]) -> Three:
    """Join by Kleene's and."""
    found = list(parts)
    return Three(all_of(part.yes for part in found), any_of(part.no for part in found))


def three_any(parts: Iterable[Three]) -> Three:
    """Join by Kleene's or."""
    found = list(parts)
    return Three(any_of(part.yes for part in found), all_of(part.no for part in found))


def three_not(part: Three) -> Three:
    """Turn an answer round; unknown stays so."""
    return Three(part.no, part.yes)


def two(holds: Formula) -> Three:
    """Make an answer that is never unknown."""
    return Three(holds, negated(holds))


class Choice:
    """One of several things, numbered from 0, in as many variables as the number has bits."""

    def __init__(self, name: str, size: int) -> None:
        self.size = size
        self._bits = [variable(f"{name}/{bit}") for bit in range(max(0, (size - 1).bit_length()))]
        self._selected = [self._is(number) for number in range(size)]
        beyond = [self._is(number) for number in range(size, 2 ** len(self._bits))]
        self.law = all_of(negated(each) for each in beyond)
        """What must hold for the number to be one of them."""

    def _is(self, number: int) -> Formula:
        return all_of(bit if number >> place & 1 else negated(bit) for place, bit in enumerate(self._bits))

    def selects(self, number: int) -> Formula:
        """Say that it is this one."""
        return self._selected[number]

    def number(self, values: Mapping[str, bool]) -> int:
        """Read which one it is."""
        return sum(values.get(bit.name, False) << place for place, bit in enumerate(self._bits))

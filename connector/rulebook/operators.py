"""The operators: each reads its operand once and then judges values; an absent value is unknown to all but `known`.

A value that cannot be read as what the operator compares ("abc" at least 5) tells nothing: unknown.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import re2

from connector.rulebook.courses import ALWAYS, NO, UNKNOWN, YES, Course, all_of, inverted, joined, stepping
from connector.rulebook.operands import (
    Moving,
    OperandError,
    Settings,
    Span,
    as_duration,
    as_number,
    as_reference,
    as_span,
    as_text,
    folded,
    is_canonical_number,
    resolved,
    shown,
)

Judge = Callable[[str | None], Course]
"""From a property's value, None when HubSpot does not hold it, to the answer over time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Test:
    """An operator with its operand, ready to judge values."""

    operator: str
    operand: str
    """The operand, settings put in: tests with the same operator and operand are the same test."""
    wanted: str = field(compare=False)
    """The operator and operand as a person reads them: `at least 5`."""
    judge: Judge = field(compare=False)
    timed: bool = field(default=False, compare=False)
    """Whether the answer depends on the present moment."""


_Maker = Callable[[Any, Settings], tuple[Callable[[str], Course], str, bool]]


def make_test(operator: str, operand: Any, settings: Settings) -> Test:
    """Build a test; raises OperandError when the operator does not exist or cannot take the operand."""
    if operator == "known":
        return _known(operand)
    judge, wanted, timed = _MAKERS[operator](operand, settings)

    def of_any(value: str | None) -> Course:
        return ALWAYS[UNKNOWN] if value is None or not value.strip() else judge(value)

    return Test(
        operator=operator, operand=repr(resolved(operand, settings)), wanted=f"{operator.replace('_', ' ')} {wanted}",
        judge=of_any, timed=timed,
    )  # fmt: skip


def _known(operand: Any) -> Test:
    if not isinstance(operand, bool):
        raise OperandError("wrong-operand", f"found {shown(operand)}", "true or false")
    present, absent = (ALWAYS[YES], ALWAYS[NO]) if operand else (ALWAYS[NO], ALWAYS[YES])

    def judge(value: str | None) -> Course:
        return absent if value is None or not value.strip() else present

    return Test(operator="known", operand=repr(operand), wanted="known" if operand else "not known", judge=judge)


# --- texts ------------------------------------------------------------------------------------------------------------


def _same(operand: Any) -> Callable[[str], bool]:
    """Compare with one operand: as text, and by value where it is a number, a date or a set."""
    text = as_text(operand)
    plain = folded(text)
    is_number = not isinstance(operand, str | bool) or is_canonical_number(text)
    number = as_number(text) if is_number else None
    span = None if is_number else as_span(text)
    options = _options(text)

    def same(value: str) -> bool:
        if folded(value) == plain:
            return True
        if number is not None:
            return as_number(value) == number
        if span is not None:
            return _is_during(as_span(value), span)
        return ";" in value and _options(value) == options

    return same


def _is_during(value: Span | None, wanted: Span) -> bool:
    """Ask whether a value is this moment, or falls on this day."""
    if value is None or not wanted.is_day:
        return value == wanted
    return wanted.first <= value.first < wanted.end and value.end <= wanted.end


def _options(value: str) -> frozenset[str]:
    """Read a multi-checkbox value (`A;B`) as the set of its options."""
    return frozenset(folded(part) for part in value.split(";") if part.strip())


def _listed(operand: Any, settings: Settings) -> list[Any]:
    operand = resolved(operand, settings)
    if not isinstance(operand, list) or not operand:
        raise OperandError("wrong-operand", f"found {shown(operand)}", "a list", "write the values as `[a, b]`")
    return operand


def _single(operand: Any, settings: Settings) -> str:
    operand = resolved(operand, settings)
    if isinstance(operand, list):
        cure = "use `in`, `not_in` or `contains_any` for several values"
        raise OperandError("wrong-operand", f"found the list {shown(operand)}", "one value", cure)
    return as_text(operand)


def _yes_no(ask: Callable[[str], bool]) -> Callable[[str], Course]:
    return lambda value: ALWAYS[YES] if ask(value) else ALWAYS[NO]


def _is(operand: Any, settings: Settings) -> tuple[Callable[[str], Course], str, bool]:
    text = _single(operand, settings)
    return _yes_no(_same(resolved(operand, settings))), text, False


def _in(operand: Any, settings: Settings) -> tuple[Callable[[str], Course], str, bool]:
    items = _listed(operand, settings)
    asks = [_same(item) for item in items]
    return _yes_no(lambda value: any(ask(value) for ask in asks)), ", ".join(map(as_text, items)), False


def _contains_one(value: str, options: frozenset[str]) -> bool:
    """Look for one of the texts: among the options of a set, or inside a text."""
    if ";" in value:
        return not options.isdisjoint(_options(value))
    plain = folded(value)
    return any(option in plain for option in options)


def _contains(operand: Any, settings: Settings) -> tuple[Callable[[str], Course], str, bool]:
    text = _single(operand, settings)
    options = frozenset({folded(text)})
    return _yes_no(lambda value: _contains_one(value, options)), text, False


def _contains_any(operand: Any, settings: Settings) -> tuple[Callable[[str], Course], str, bool]:
    items = [as_text(item) for item in _listed(operand, settings)]
    options = frozenset(map(folded, items))
    return _yes_no(lambda value: _contains_one(value, options)), ", ".join(items), False


def _starts_with(operand: Any, settings: Settings) -> tuple[Callable[[str], Course], str, bool]:
    text = _single(operand, settings)
    plain = folded(text)
    return _yes_no(lambda value: folded(value).startswith(plain)), text, False


def _ends_with(operand: Any, settings: Settings) -> tuple[Callable[[str], Course], str, bool]:
    text = _single(operand, settings)
    plain = folded(text)
    return _yes_no(lambda value: folded(value).endswith(plain)), text, False


def _matches(operand: Any, settings: Settings) -> tuple[Callable[[str], Course], str, bool]:
    """RE2 runs in linear time, so no pattern of an admin can hang a worker. https://github.com/google/re2"""
    text = _single(operand, settings)
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    try:
        pattern = re2.compile(text, options)
    except re2.error as error:
        said = error.args[0] if error.args else error
        reason = said.decode() if isinstance(said, bytes) else str(said)
        cure = "RE2 syntax; no look-around or back references"
        raise OperandError("bad-pattern", f"{text!r} is no regular expression ({reason})", cure=cure) from None

    def found(value: str) -> bool:
        whole = value.strip().encode(errors="replace").decode()  # RE2 takes no halves of characters
        return pattern.search(whole) is not None

    return _yes_no(found), text, False


# --- numbers and moments ----------------------------------------------------------------------------------------------


def _compared(kind: str) -> _Maker:
    """Make at_least, at_most, more_than and less_than over numbers, dates and moments."""

    def make(operand: Any, settings: Settings) -> tuple[Callable[[str], Course], str, bool]:
        return _against(kind, operand, as_reference(operand, settings), settings)

    return make


def _timely(kind: str) -> _Maker:
    """Make before and after: as less_than and more_than, for moments only; so a number is epoch milliseconds."""

    def make(operand: Any, settings: Settings) -> tuple[Callable[[str], Course], str, bool]:
        reference: Decimal | Span | Moving | None = as_reference(operand, settings)
        if isinstance(reference, Decimal):
            reference = as_span(as_text(resolved(operand, settings)))
        if reference is None:
            raise OperandError("wrong-operand", f"found {shown(operand)}", "a date, a moment or `now + 30 days`")
        return _against(kind, operand, reference, settings)

    return make


def _against(
    kind: str, operand: Any, reference: Decimal | Span | Moving, settings: Settings
) -> tuple[Callable[[str], Course], str, bool]:
    return _comparison(kind, reference), _named(operand, reference, settings), isinstance(reference, Moving)


def _named(operand: Any, reference: object, settings: Settings) -> str:
    return shown(reference) if isinstance(reference, Moving) else as_text(resolved(operand, settings))


def _comparison(kind: str, reference: Decimal | Span | Moving) -> Callable[[str], Course]:
    match reference:
        case Decimal():
            return lambda value: _numbers(kind, as_number(value), reference)
        case Span():
            return lambda value: _spans(kind, as_span(value), reference)
    return lambda value: _moving(kind, as_span(value), reference.offset)


_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "at_least": lambda value, wanted: value >= wanted,
    "at_most": lambda value, wanted: value <= wanted,
    "more_than": lambda value, wanted: value > wanted,
    "less_than": lambda value, wanted: value < wanted,
}


def _numbers(kind: str, value: Decimal | None, wanted: Decimal) -> Course:
    if value is None:
        return ALWAYS[UNKNOWN]
    return ALWAYS[YES if _ORDER[kind](value, wanted) else NO]


def _spans(kind: str, value: Span | None, wanted: Span) -> Course:
    """Compare with a fixed date or moment, by the rules of `_turning`."""
    if value is None:
        return ALWAYS[UNKNOWN]
    if wanted.is_day:
        answer = {
            "at_least": _last(value) >= wanted.first, "at_most": value.first < wanted.end,
            "more_than": value.first >= wanted.end, "less_than": _last(value) < wanted.first,
        }[kind]  # fmt: skip
        return ALWAYS[YES if answer else NO]
    later = kind in ("at_least", "more_than")
    return ALWAYS[YES if (wanted.first < _turning(kind, value)) is later else NO]


def _moving(kind: str, value: Span | None, offset: int) -> Course:
    """Compare with now + offset: later until the present overtakes the value, earlier from then on."""
    if value is None:
        return ALWAYS[UNKNOWN]
    later = kind in ("at_least", "more_than")
    return stepping(YES if later else NO, (_turning(kind, value) - offset, NO if later else YES))


def _turning(kind: str, value: Span) -> int:
    """Give the first moment that the value is no longer later than (for at_most, less_than: that it is earlier than).

    A date is a whole day: it is after a moment until it is over, before one once it is over, and at most a moment as
    soon as it has begun. So a date of today is not before now, and is both at least and at most now.
    """
    match kind:
        case "at_most":
            return value.first
        case "more_than":
            return value.end
    return _last(value) + 1


def _last(value: Span) -> int:
    return value.end - 1 if value.is_day else value.first


def _between(operand: Any, settings: Settings) -> tuple[Callable[[str], Course], str, bool]:
    items = _listed(operand, settings)
    if len(items) != 2:
        raise OperandError("wrong-operand", f"found {len(items)} values", "two: the lowest and the highest")
    lowest, highest = (as_reference(item, settings) for item in items)
    if isinstance(lowest, Decimal) != isinstance(highest, Decimal):
        raise OperandError("wrong-operand", f"found {shown(items)}", "two numbers, or two moments")
    above, below = _comparison("at_least", lowest), _comparison("at_most", highest)
    wanted = " and ".join(_named(item, read, settings) for item, read in zip(items, (lowest, highest), strict=True))
    timed = isinstance(lowest, Moving) or isinstance(highest, Moving)
    return lambda value: joined(all_of, [above(value), below(value)]), wanted, timed


def _within_last(operand: Any, settings: Settings) -> tuple[Callable[[str], Course], str, bool]:
    duration = as_duration(operand, settings)

    def judge(value: str) -> Course:
        span = as_span(value)
        return ALWAYS[UNKNOWN] if span is None else stepping(NO, (span.first, YES), (span.end + duration, NO))

    return judge, as_text(resolved(operand, settings)), True


def _not_within_last(operand: Any, settings: Settings) -> tuple[Callable[[str], Course], str, bool]:
    judge, wanted, timed = _within_last(operand, settings)
    return lambda value: inverted(judge(value)), wanted, timed


def _within_next(operand: Any, settings: Settings) -> tuple[Callable[[str], Course], str, bool]:
    duration = as_duration(operand, settings)

    def judge(value: str) -> Course:
        span = as_span(value)
        return ALWAYS[UNKNOWN] if span is None else stepping(NO, (span.first - duration, YES), (span.end, NO))

    return judge, as_text(resolved(operand, settings)), True


def _negation(maker: _Maker) -> _Maker:
    def make(operand: Any, settings: Settings) -> tuple[Callable[[str], Course], str, bool]:
        judge, wanted, timed = maker(operand, settings)
        return lambda value: inverted(judge(value)), wanted, timed

    return make


_MAKERS: Mapping[str, _Maker] = {
    "is": _is,
    "is_not": _negation(_is),
    "in": _in,
    "not_in": _negation(_in),
    "contains": _contains,
    "contains_any": _contains_any,
    "starts_with": _starts_with,
    "ends_with": _ends_with,
    "matches": _matches,
    "at_least": _compared("at_least"),
    "at_most": _compared("at_most"),
    "more_than": _compared("more_than"),
    "less_than": _compared("less_than"),
    "between": _between,
    "before": _timely("less_than"),
    "after": _timely("more_than"),
    "within_last": _within_last,
    "not_within_last": _not_within_last,
    "within_next": _within_next,
}

OPERATORS = frozenset(_MAKERS) | {"known"}

"""What stands to the right of an operator: texts, numbers, moments, durations, and the settings they name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from connector.moments import read_duration, read_moment, write_duration
from connector.problems import nearest

_NUMBER = re.compile(r"[+-]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,3})?")
_CANONICAL = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?")
_MOVING = re.compile(r"now(?:\s*([+-])\s*(.+))?", re.IGNORECASE)
_SETTING = re.compile(r"\$([A-Za-z_][A-Za-z0-9_.-]*)")

Settings = Mapping[str, Any]


class OperandError(ValueError):
    """An operand that its operator cannot take."""

    def __init__(self, code: str, found: str, expected: str = "", cure: str = "") -> None:
        super().__init__(found)
        self.code, self.found, self.expected, self.cure = code, found, expected, cure


@dataclass(frozen=True, slots=True)
class Span:
    """A moment, or a whole day: `first` to `end`, in epoch milliseconds; `end == first` for a moment."""

    first: int
    end: int

    @property
    def is_day(self) -> bool:
        """Ask whether this is a date without a time."""
        return self.end > self.first


@dataclass(frozen=True, slots=True)
class Moving:
    """A moment relative to now: `now + 30 days` has an offset of 30 days in milliseconds."""

    offset: int


def resolved(operand: Any, settings: Settings) -> Any:
    """Put the settings that an operand names as `$name` in their places."""
    if isinstance(operand, list):
        return [resolved(item, settings) for item in operand]
    if isinstance(operand, str) and (match := _SETTING.fullmatch(operand.strip())):
        return setting(match[1], settings)
    return operand


def setting(name: str, settings: Settings) -> Any:
    """Give a setting's value; raises OperandError when no setting has the name."""
    if name not in settings:
        raise OperandError("unknown-setting", f"no setting is called {name!r}", cure=nearest(name, settings))
    return settings[name]


def names_setting(operand: Any) -> bool:
    """Ask whether an operand names a setting, or holds a part that does."""
    if isinstance(operand, list):
        return any(names_setting(item) for item in operand)
    return isinstance(operand, str) and _SETTING.fullmatch(operand.strip()) is not None


def folded(text: str) -> str:
    """Bring a text into the form in which texts are compared: no surrounding spaces, no case."""
    return text.strip().casefold()


def as_text(operand: Any) -> str:
    """Write a scalar as HubSpot spells it; raises OperandError for lists and mappings."""
    match operand:
        case bool():
            return "true" if operand else "false"
        case str():
            return operand
        case int():
            return str(operand)
        case float():
            return str(int(operand)) if operand.is_integer() else repr(operand)
    raise OperandError("wrong-operand", f"found {shown(operand)}", "a text, a number or true/false")


def as_number(text: str) -> Decimal | None:
    """Read a number as HubSpot or an admin spells it; None when it is none."""
    text = text.strip()
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def is_canonical_number(text: str) -> bool:
    """Ask whether a text is surely meant as a number (`007` is not)."""
    return _CANONICAL.fullmatch(text.strip()) is not None


def as_span(text: str) -> Span | None:
    """Read a date or a moment; None when it is neither."""
    found = read_moment(text)
    return Span(*found) if found else None


def as_duration(operand: Any, settings: Settings) -> int:
    """Read a duration in milliseconds; raises OperandError when nobody can read it."""
    operand = resolved(operand, settings)
    found = read_duration(operand) if isinstance(operand, str) else None
    if found is None:
        cure = "write a number and a unit, as in `30 days`, `2 weeks` or `12 hours`"
        raise OperandError("unreadable-duration", f"found {shown(operand)}", "a duration", cure)
    return found


def as_reference(operand: Any, settings: Settings) -> Decimal | Span | Moving:
    """Read what a value is compared with: a number, a date, a moment, or a moment relative to now."""
    operand = resolved(operand, settings)
    if isinstance(operand, str):
        if match := _MOVING.fullmatch(operand.strip()):
            if match[1] is None:
                return Moving(0)
            offset = as_duration(match[2].strip(), settings)
            return Moving(offset if match[1] == "+" else -offset)
        if (span := as_span(operand)) and as_number(operand) is None:
            return span
    if not isinstance(operand, bool | list | dict | type(None)):
        number = as_number(as_text(operand))
        if number is not None:
            return number
    cure = "write a number, a date such as 2026-03-31, or `now + 30 days`"
    raise OperandError("wrong-operand", f"found {shown(operand)}", "a number or a moment", cure)


def shown(operand: Any) -> str:
    """Quote an operand in a message, shortened."""
    if isinstance(operand, Moving):
        sign = "-" if operand.offset < 0 else "+"
        return "now" if not operand.offset else f"now {sign} {write_duration(abs(operand.offset))}"
    if operand == []:
        return "an empty list"
    if isinstance(operand, list):
        return ", ".join(shown(item) for item in operand[:6]) + (", …" if len(operand) > 6 else "")
    text = repr(operand)
    return text if len(text) <= 60 else text[:57] + "…"

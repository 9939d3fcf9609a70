"""Texts of a certain form, as patterns that Python and JavaScript read alike.

They let through all that the product reads, and a little more: what an editor underlines, `check` refuses too.
"""

from collections.abc import Iterable

_SYNTAX = frozenset("^$\\.*+?()[]{}|/")

_UNITS = (
    ("ms", ("ms", "millisecond")), ("s", ("s", "sec", "second")), ("m", ("m", "min", "minute")),
    ("h", ("h", "hour")), ("d", ("d", "day")), ("w", ("w", "week")),
)  # fmt: skip


def quoted(text: str) -> str:
    """Write a text as a pattern that matches it."""
    return "".join(f"\\{letter}" if letter in _SYNTAX else letter for letter in text)


def any_case(text: str) -> str:
    """Write a text as a pattern that matches it in capitals and small letters, for patterns here have no flags."""
    return "".join(_either(letter) for letter in text)


def _either(letter: str) -> str:
    small, large = letter.lower(), letter.upper()
    if small != large and len(small) == len(large) == 1:
        return f"[{large}{small}]"
    return quoted(letter)


def whole(*alternatives: str) -> str:
    """Make a pattern for texts that are one of these, spaces around them aside."""
    return rf"^\s*(?:{'|'.join(alternatives)})\s*$"


def listed(options: Iterable[str]) -> str:
    """Make a pattern for one of these options, in capitals or small letters, or several joined by semicolons."""
    one = "|".join(any_case(option.strip()) for option in options)
    return rf"(?:{one})(?:\s*;\s*(?:{one}))*\s*;?"


def _units() -> str:
    words = [word for _, names in _UNITS for word in names]
    plain = [any_case(word) for word in words]
    plural = [f"{any_case(word)}[Ss]" for word in words if len(word) > 1]
    return "|".join([*plural, *plain])


NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"
PROPERTY = r"[A-Za-z0-9_-]+"
SETTING = r"\$[A-Za-z_][A-Za-z0-9_.-]*"
DURATION = rf"\d{{1,7}}(?:\.\d{{1,3}})?\s*(?:{_units()})"
BUSINESS_DAYS = r"\d{1,4} \s*business days?"
NUMBER = r"[+-]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,3})?"
_DAY = r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
MOMENT = rf"{_DAY}|(?:{_DAY}|\d{{4}}-W\d{{2}}-\d)[Tt ].+|-?\d{{9,15}}"
NOW = rf"[Nn][Oo][Ww](?:\s*[+-]\s*(?:{DURATION}|{SETTING}))?"
YES_OR_NO = "|".join(map(any_case, ("yes", "no", "true", "false", "on", "off", "y", "n", "t", "f", "1", "0")))
REFERENCE = r"\$\{"
"""Where a configuration takes a value from elsewhere: `${NAME}`."""

"""Property values as HubSpot takes and gives them: text, checked by the type of the property.

One spelling is stored (REST: numbers as text, dates ISO 8601); webhooks spell dates as epoch milliseconds instead.
"""

import math
import re
from collections.abc import Callable

from connector.moments import DAY, read_moment, write_moment
from connector.sandbox.properties import Property
from connector.sandbox.refusals import Flaw

LONGEST_TEXT = 65_536
_EMAIL = re.compile(r"[^@\s;,]+@[^@\s;,]+\.[^@\s;,.]+")
_WHOLE = re.compile(r"[+-]?\d{1,30}")


class Unfit(Exception):
    """This value does not fit its property."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def clean(definition: Property, given: object, *, current: str = "") -> str | Flaw:
    """Give the stored spelling of a written value, or say what is wrong with it; "" clears.

    A leading `;` appends to what a multi-checkbox holds now.
    """
    text = _as_text(given)
    if not text:
        return ""
    try:
        return _CHECKS[definition.type](definition, text, current)
    except Unfit as unfit:
        return Flaw(definition.name, unfit.code, str(unfit))


def webhook_spelling(definition: Property | None, value: str) -> str:
    """Spell a stored value as webhooks do: dates as epoch milliseconds, everything else as it is."""
    if definition is None or definition.type not in ("date", "datetime") or not value:
        return value
    moment = read_moment(value)
    return value if moment is None else str(moment[0])


def _as_text(given: object) -> str:
    if isinstance(given, str):
        return given
    if given is None:
        return ""
    if isinstance(given, bool):
        return "true" if given else "false"
    return str(given)


def _text(definition: Property, text: str, _current: str) -> str:
    if len(text) > LONGEST_TEXT:
        raise Unfit("PROPERTY_VALUE_TOO_LONG", f"{definition.name} is longer than {LONGEST_TEXT} characters.")
    if definition.name != "email":
        return text
    if not _EMAIL.fullmatch(text.strip()):
        raise Unfit("INVALID_EMAIL", f"Email address {text} is invalid.")
    return text.strip().lower()


def _number(definition: Property, text: str, _current: str) -> str:
    text = text.strip()
    if _WHOLE.fullmatch(text):
        return text
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise Unfit("INVALID_INTEGER", f"{text} was not a valid number for {definition.name}.")
    return repr(int(number)) if number.is_integer() else repr(number)


def _bool(definition: Property, text: str, _current: str) -> str:
    if text.lower() not in ("true", "false"):
        raise Unfit("INVALID_OPTION", f"{text} was not one of the allowed options for {definition.name}: true, false.")
    return text.lower()


def _moment(definition: Property, text: str, _current: str) -> str:
    return write_moment(_read(definition, text))


def _date(definition: Property, text: str, _current: str) -> str:
    moment = _read(definition, text)
    if moment % DAY:
        raise Unfit("INVALID_DATE", f"{text} is not midnight UTC, which the date {definition.name} must be.")
    return write_moment(moment)[:10]


def _read(definition: Property, text: str) -> int:
    moment = read_moment(text) or (read_moment("0" * (9 - len(text)) + text) if text.isdigit() else None)
    if moment is None:
        raise Unfit("INVALID_DATE", f"{text} was not a valid date for {definition.name}.")
    return moment[0]


def _option(definition: Property, text: str, current: str) -> str:
    options = definition.option_values
    if definition.field_type != "checkbox":
        if options is not None and text not in options:
            raise _no_option(definition, text)
        return text
    chosen = [part.strip() for part in text.split(";") if part.strip()]
    for part in chosen:
        if options is not None and part not in options:
            raise _no_option(definition, part)
    if text.startswith(";") and current:
        chosen = [*current.split(";"), *chosen]
    return ";".join(dict.fromkeys(chosen))


def _no_option(definition: Property, text: str) -> Unfit:
    allowed = ", ".join(option.value for option in definition.options)
    return Unfit("INVALID_OPTION", f"{text} was not one of the allowed options for {definition.name}: [{allowed}]")


_CHECKS: dict[str, Callable[[Property, str, str], str]] = {
    "string": _text,
    "phone_number": _text,
    "number": _number,
    "bool": _bool,
    "date": _date,
    "datetime": _moment,
    "enumeration": _option,
}

"""Moments and durations: one spelling inside, every spelling of HubSpot and of admins outside.

Inside the product a moment is an `int`: milliseconds since 1970-01-01T00:00:00Z, as in HubSpot's webhooks. Text
is read and written at the edges only, here.
"""

import re
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

Clock = Callable[[], int]
"""Gives the present moment in epoch milliseconds; passed in wherever the present matters, so that tests can move it."""

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY

_UNITS = {
    "ms": 1, "millisecond": 1,
    "s": SECOND, "sec": SECOND, "second": SECOND,
    "m": MINUTE, "min": MINUTE, "minute": MINUTE,
    "h": HOUR, "hour": HOUR,
    "d": DAY, "day": DAY,
    "w": WEEK, "week": WEEK,
}  # fmt: skip
_DURATION = re.compile(r"\s*(\d{1,7}(?:\.\d{1,3})?)\s*([a-z]+)\s*", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_EPOCH_MS = re.compile(r"-?\d{9,15}")
_EARLIEST_MS = -62_135_596_800_000  # 0001-01-01T00:00:00Z, the first moment that `datetime` can hold
_LATEST_MS = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z, the last moment that `datetime` can hold
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def system_clock() -> int:
    """Give the present moment by this machine's clock."""
    return time.time_ns() // 1_000_000


def read_duration(text: str) -> int | None:
    """Read `30 days`, `2 weeks`, `12 hours` or `2s` as milliseconds; None when nobody can read it.

    Months and years are refused on purpose: they have no fixed length.
    """
    match = _DURATION.fullmatch(text)
    if not match:
        return None
    number, unit = match[1], match[2].lower()
    factor = _UNITS.get(unit) or _UNITS.get(unit.removesuffix("s") if len(unit) > 2 else unit)
    return None if factor is None else round(float(number) * factor)


def read_moment(text: str) -> tuple[int, int] | None:
    """Read a date or a moment as `(first, end)` in epoch milliseconds, end exclusive; None when it is neither.

    A date without a time stands for that whole day (UTC), so `end - first` is a day; a moment has `first == end`.
    Epoch milliseconds that fall on midnight UTC are HubSpot's spelling of a date in webhooks, and are read as one.
    """
    text = text.strip()
    if _DATE.fullmatch(text):
        return _read_day(text)
    if _EPOCH_MS.fullmatch(text):
        moment = int(text)
        if not _EARLIEST_MS <= moment <= _LATEST_MS:
            return None
        return (moment, moment + DAY) if moment % DAY == 0 else (moment, moment)
    if len(text) < 11 or text[10] not in "Tt ":
        return None
    try:
        parsed = datetime.fromisoformat(text.replace("t", "T").replace("z", "Z"))
    except ValueError:
        return None
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    try:
        moment = (parsed - _EPOCH) // timedelta(milliseconds=1)
    except (OverflowError, ValueError):
        return None
    return moment, moment


def _read_day(text: str) -> tuple[int, int] | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    first = (day.toordinal() - date(1970, 1, 1).toordinal()) * DAY
    return first, first + DAY


def write_moment(moment: int) -> str:
    """Write a moment as HubSpot's API does: ISO 8601, UTC; milliseconds only where there are any.

    What lies beyond the years 1 to 9999 (30 days after a date of 9999-12-31, say) is written as their first or last.
    """
    within = min(max(moment, _EARLIEST_MS), _LATEST_MS)
    text = (_EPOCH + timedelta(milliseconds=within)).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00").removesuffix(".000") + "Z"


def write_duration(duration: int) -> str:
    """Write milliseconds in the largest unit that fits without a remainder: `30 days`, `90 minutes`."""
    for name, size in (("week", WEEK), ("day", DAY), ("hour", HOUR), ("minute", MINUTE), ("second", SECOND)):
        if duration >= size and duration % size == 0 and not (name == "week" and duration < 8 * WEEK):
            number = duration // size
            return f"{number} {name}" if number == 1 else f"{number} {name}s"
    return f"{duration} ms"

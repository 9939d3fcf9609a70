"""Business days: a portal's working days and holidays in its time zone."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MOST_DAYS_OFF = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Workdays:
    """When people work: `holidays` is an ISO country code, with a region as in DE-BY, or None."""

    time_zone: str = "UTC"
    days: frozenset[str] = frozenset(_NAMES[:5])
    holidays: str | None = None
    quiet: tuple[str, str] | None = None
    """No task falls due between these times of day, as in ("18:00", "08:30")."""

    def is_working(self, day: date) -> bool:
        """Ask whether people work on this day."""
        return _NAMES[day.weekday()] in self.days and not (self.holidays and day in _table(self.holidays))

    def after(self, moment: int, business_days: int) -> int:
        """Give the moment so many working days later, at the same time of day there."""
        local = datetime.fromtimestamp(moment / 1_000, tz=UTC).astimezone(ZoneInfo(self.time_zone))
        day = local.date()
        for _ in range(business_days):
            day = self._next(day + timedelta(days=1))
        day = self._next(day)
        later = datetime.combine(day, local.time(), tzinfo=local.tzinfo)
        return self.awake(round(later.timestamp() * 1_000))

    def awake(self, moment: int) -> int:
        """Give the moment itself, or the end of the quiet hours that it falls into, on a working day."""
        if self.quiet is None:
            return moment
        local = datetime.fromtimestamp(moment / 1_000, tz=UTC).astimezone(ZoneInfo(self.time_zone))
        begin, end = (clock_time.fromisoformat(text.rjust(5, "0")) for text in self.quiet)
        now = local.time()
        over_night = begin > end
        if not (begin <= now or now < end if over_night else begin <= now < end):
            return moment
        day = local.date() + timedelta(days=1 if over_night and now >= begin else 0)
        return round(datetime.combine(self._next(day), end, tzinfo=local.tzinfo).timestamp() * 1_000)

    def _next(self, day: date) -> date:
        """Give this day or the first working day after it; a calendar without any gives the day itself."""
        for ahead in range(_MOST_DAYS_OFF):
            if self.is_working(day + timedelta(days=ahead)):
                return day + timedelta(days=ahead)
        return day


@cache
def _table(code: str) -> Any:
    import holidays  # noqa: PLC0415 - takes longer to import than the rest of the command

    country, _, region = code.partition("-")
    return holidays.country_holidays(country, subdiv=region or None)

"""The arithmetic of the call budget: how many calls to HubSpot may go out now, kept ahead of the calls.

Pure arithmetic on a frozen `BudgetState`; `budget.py` combines it with a store that many processes share. In no ten
seconds and on no day does it let out more than the limit less the reserve; a twentieth is kept back for the jitter of
the network, because HubSpot counts arrivals and we count departures.
https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson

from connector.hubspot.paths import CallKind

WINDOW_MS = 10_000
SEARCH_WINDOW_MS = 1_000
_BUCKET_MS = 50
_KEPT_BACK = 0.95

Buckets = tuple[tuple[int, int], ...]
"""Calls as (moment by which they had gone out, number), oldest first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What HubSpot allows the portal, and the share of it that is left to the portal's other apps."""

    calls_per_10s: int
    calls_per_day: int
    reserve: float = 0.1
    searches_per_second: int = 5
    time_zone: str = "UTC"

    @property
    def window(self) -> int:
        """Give the most calls that may go out in any ten seconds."""
        return _share(self.calls_per_10s, self.reserve, _KEPT_BACK)

    @property
    def searches(self) -> int:
        """Give the most searches that may go out in any second."""
        return _share(self.searches_per_second, self.reserve, _KEPT_BACK)

    @property
    def day(self) -> int:
        """Give the most calls that may go out on a day."""
        return _share(self.calls_per_day, self.reserve, 1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetState:
    """What has gone out lately; small, so that it fits in one row."""

    calls: Buckets = ()
    searches: Buckets = ()
    day: str = ""
    calls_today: int = 0
    blocked_until: int = 0

    def to_json(self) -> str:
        """Write it for a store."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def of_json(cls, text: str | None) -> "BudgetState":
        """Read what `to_json` wrote; anything else is a fresh state, for a budget mends itself within ten seconds."""
        try:
            fields = orjson.loads(text or "")
            return cls(
                calls=_buckets(fields["calls"]),
                searches=_buckets(fields["searches"]),
                day=str(fields["day"]),
                calls_today=int(fields["calls_today"]),
                blocked_until=int(fields["blocked_until"]),
            )
        except (ValueError, TypeError, KeyError):
            return cls()


def take(state: BudgetState, limits: Limits, *, now: int, kind: CallKind) -> tuple[BudgetState, int]:
    """Take one call: the state with it and 0, or the state without it and the milliseconds to wait."""
    state = _forget(state, limits, now)
    wait = _wait(state, limits, now, kind)
    if wait > 0:
        return state, wait
    searches = _counted(state.searches, now, 1) if kind == "search" else state.searches
    calls = _counted(state.calls, now, 1)
    return replace(state, calls=calls, searches=searches, calls_today=state.calls_today + 1), 0


def learn(state: BudgetState, limits: Limits, headers: Mapping[str, str], *, now: int, sent: int) -> BudgetState:
    """Correct the state by what HubSpot says is left, for others may be using the same allowance.

    HubSpot knows the day's count better than we do, either way. An answer that was asked for on another day says
    nothing about this one.
    """
    state = _forget(state, limits, now)
    low = {name.lower(): value for name, value in headers.items()}
    left = _number(low.get("x-hubspot-ratelimit-remaining"))
    if left is not None:
        unseen = limits.calls_per_10s - left - _sum(state.calls)
        state = replace(state, calls=_counted(state.calls, now, unseen)) if unseen > 0 else state
    left_today = _number(low.get("x-hubspot-ratelimit-daily-remaining"))
    if left_today is not None and _day(sent, limits.time_zone) == state.day:
        state = replace(state, calls_today=max(0, limits.calls_per_day - left_today))
    return state


def block(state: BudgetState, until: int) -> BudgetState:
    """Let nothing out before a moment."""
    return replace(state, blocked_until=max(state.blocked_until, until))


def calls_left(state: BudgetState, limits: Limits, *, now: int) -> Mapping[str, int]:
    """Count what may still go out in this window and on this day."""
    state = _forget(state, limits, now)
    return {
        "ten_seconds": max(0, limits.window - _sum(state.calls)),
        "day": max(0, limits.day - state.calls_today),
    }


def day_ends(now: int, time_zone: str) -> int:
    """Give the next midnight in the account's time zone, when HubSpot begins to count anew."""
    zone = _zone(time_zone)
    tomorrow = datetime.fromtimestamp(now / 1_000, tz=zone).date() + timedelta(days=1)
    return max(now + 1, round(datetime.combine(tomorrow, time(), tzinfo=zone).timestamp() * 1_000))


def _wait(state: BudgetState, limits: Limits, now: int, kind: CallKind) -> int:
    waits = [state.blocked_until - now, _full_for(state.calls, limits.window, WINDOW_MS, now)]
    if kind == "search":
        waits.append(_full_for(state.searches, limits.searches, SEARCH_WINDOW_MS, now))
    if state.calls_today >= limits.day:
        waits.append(day_ends(now, limits.time_zone) - now)
    return max(0, *waits)


def _full_for(buckets: Buckets, most: int, window: int, now: int) -> int:
    """Tell for how long a window stays too full for one more."""
    over = _sum(buckets) + 1 - most
    for moment, number in buckets:
        if over <= 0:
            return 0
        over -= number
        wait = moment + window - now
        if over <= 0:
            return wait
    return 0 if over <= 0 else window


def _forget(state: BudgetState, limits: Limits, now: int) -> BudgetState:
    """Drop what no longer counts, and what a clock that ran ahead left behind."""
    today = _day(now, limits.time_zone)
    return replace(
        state,
        calls=_within(state.calls, WINDOW_MS, now),
        searches=_within(state.searches, SEARCH_WINDOW_MS, now),
        day=today,
        calls_today=state.calls_today if state.day == today else 0,
    )


def _within(buckets: Buckets, window: int, now: int) -> Buckets:
    return tuple(bucket for bucket in buckets if now - window < bucket[0] <= now + window)


def _counted(buckets: Buckets, now: int, number: int) -> Buckets:
    """Add calls to the bucket that ends next: rounded up, a call is forgotten late, never early."""
    moment = now - now % -_BUCKET_MS
    counts = dict(buckets)
    counts[moment] = counts.get(moment, 0) + number
    return tuple(sorted(counts.items()))


def _sum(buckets: Buckets) -> int:
    return sum(number for _, number in buckets)


def _share(number: int, reserve: float, kept: float) -> int:
    return max(1, int(number * (1 - reserve) * kept + 1e-9))


def _buckets(value: Any) -> Buckets:
    return tuple((int(moment), int(number)) for moment, number in value)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 12 else None


def _day(now: int, time_zone: str) -> str:
    return datetime.fromtimestamp(now / 1_000, tz=_zone(time_zone)).date().isoformat()


@lru_cache(maxsize=256)
def _zone(name: str) -> tzinfo:
    """Find a time zone; HubSpot names some that this machine may not know, and UTC is then near enough."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC

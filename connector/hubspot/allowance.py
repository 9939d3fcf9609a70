"""The arithmetic of the call budget: how many calls to HubSpot may go out now, kept ahead of the calls.

Pure arithmetic on a frozen `BudgetState`; `budget.py` combines it with a store that many processes share. In no ten
seconds and on no day does it let out more than the limit less the reserve, as HubSpot counts them: it counts a call
when it arrives, which is after it left and before it was answered, so a call takes up room from its departure until
ten seconds after its answer. The price is the time that one call takes, in ten seconds.
https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connector.hubspot.paths import CallKind

WINDOW_MS = 10_000
SEARCH_WINDOW_MS = 1_000
_BUCKET_MS = 50
_REMEMBERED_MS = 5_000
"""For so long calls that take up no room any more are kept: an answer under way may still speak of them."""
_LEFT_FREE = 0.02
"""Of the limit, when others use it too: so much they may add before HubSpot tells us."""
_SKEW_MS = 2_000
_EARLY_MS = 3_600_000
_DAY_MS = 24 * 3_600_000

Buckets = tuple[tuple[int, int], ...]
"""Calls as (moment by which they had gone out, or had been answered, number), oldest first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What HubSpot allows the portal, and the share of it that is left to the portal's other apps."""

    calls_per_10s: int
    calls_per_day: int
    reserve: float = 0.1
    searches_per_second: int = 5
    time_zone: str = "UTC"
    """In which days are counted until HubSpot has named the account's own."""
    told_per_10s: int | None = None
    """The limit that HubSpot's own headers name; the lower one counts."""

    @property
    def ceiling(self) -> int:
        """Give the calls that HubSpot takes in any ten seconds, ours and those of others together."""
        return self.told_per_10s or self.calls_per_10s

    @property
    def window(self) -> int:
        """Give the most calls that may go out in any ten seconds."""
        return _share(min(self.calls_per_10s, self.ceiling), self.reserve)

    @property
    def searches(self) -> int:
        """Give the most searches that may go out in any second."""
        return _share(self.searches_per_second, self.reserve)

    @property
    def day(self) -> int:
        """Give the most calls that may go out on a day."""
        return _share(self.calls_per_day, self.reserve)


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetState:
    """What has gone out lately; small, so that it fits in one row."""

    calls: Buckets = ()
    others: Buckets = ()
    """As (moment, number): how many calls in the ten seconds before were not ours, as far as HubSpot's answers tell."""
    searches: Buckets = ()
    day: str = ""
    calls_today: int = 0
    blocked_until: int = 0
    time_zone: str = ""
    """That of the account, as HubSpot named it to one of the workers; a new one need not ask before it knows."""

    def as_row(self) -> dict[str, object]:
        """Write it as the columns of a store."""
        return {
            "calls": {"own": [list(call) for call in self.calls], "others": [list(level) for level in self.others]},
            "searches": [list(search) for search in self.searches],
            "day": self.day,
            "calls_today": self.calls_today,
            "blocked_until": self.blocked_until,
            "time_zone": self.time_zone,
        }

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> "BudgetState":
        """Read what `as_row` wrote; anything else is a fresh state, for a budget mends itself within ten seconds."""
        try:
            told = row["calls"]
            calls = told if isinstance(told, Mapping) else {"own": told}  # the first release knew no others
            return cls(
                calls=_buckets(calls["own"]),
                others=_buckets(calls.get("others", ())),
                searches=_buckets(row["searches"]),
                day=str(row["day"]),
                calls_today=int(row["calls_today"]),
                blocked_until=int(row["blocked_until"]),
                time_zone=str(row.get("time_zone", "")),
            )
        except (ValueError, TypeError, KeyError):
            return cls()


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """That a call was answered, or will not be any more, and what the headers said."""

    kind: CallKind
    sent: int
    at: int
    headers: Mapping[str, str]
    refused: bool = False
    """It was one too many in the ten seconds."""


def take(state: BudgetState, limits: Limits, *, now: int, kind: CallKind) -> tuple[BudgetState, int]:
    """Take one call: the state with it and 0, or the state without it and the milliseconds to wait."""
    state = _forget(state, limits, now)
    wait = _wait(state, limits, now, kind)
    if wait > 0:
        return state, wait
    searches = _counted(state.searches, now, 1) if kind == "search" else state.searches
    calls = state.calls if kind == "exempt" else _counted(state.calls, now, 1)
    return replace(state, calls=calls, searches=searches, calls_today=state.calls_today + 1), 0


def learn(state: BudgetState, limits: Limits, heard: Heard) -> BudgetState:
    """Count a call from its answer on, and correct the state by what HubSpot says is left.

    HubSpot knows the day's count better than we do, either way. An answer that was asked for on another day says
    nothing about this one.
    """
    state = _forget(state, limits, heard.at)
    low = {name.lower(): value for name, value in heard.headers.items()}
    left = 0 if heard.refused else _number(low.get("x-hubspot-ratelimit-remaining"))
    if left is not None:
        most = _number(low.get("x-hubspot-ratelimit-max")) or limits.ceiling
        # Whatever of ours may have been counted when HubSpot wrote this, so that our own are never taken for others'.
        ours = sum(number for moment, number in state.calls if moment > heard.sent - WINDOW_MS)
        state = replace(state, others=_raised(state.others, heard.at, most - left - ours))
    left_today = _number(low.get("x-hubspot-ratelimit-daily-remaining"))
    time_zone = zone_of(state, limits)
    is_late = left_today == 0 and _is_early(heard.sent, time_zone)  # by HubSpot's clock it is still yesterday
    if left_today is not None and not is_late and _day(heard.sent, time_zone) == state.day:
        a_day = _number(low.get("x-hubspot-ratelimit-daily")) or limits.calls_per_day
        state = replace(state, calls_today=max(0, a_day - left_today))
    if heard.kind == "exempt":
        return state
    searches = _moved(state.searches, heard) if heard.kind == "search" else state.searches
    return replace(state, calls=_moved(state.calls, heard), searches=searches)


def corrected(limits: Limits, headers: Mapping[str, str]) -> Limits:
    """Give the limits as HubSpot's headers name them, where they do; the configured ones are never exceeded."""
    low = {name.lower(): value for name, value in headers.items()}
    told, a_day = _number(low.get("x-hubspot-ratelimit-max")), _number(low.get("x-hubspot-ratelimit-daily"))
    if told and told != limits.told_per_10s:
        limits = replace(limits, told_per_10s=told)
    return replace(limits, calls_per_day=a_day) if a_day and a_day < limits.calls_per_day else limits


def block(state: BudgetState, until: int) -> BudgetState:
    """Let nothing out before a moment."""
    return replace(state, blocked_until=max(state.blocked_until, until))


def calls_left(state: BudgetState, limits: Limits, *, now: int) -> Mapping[str, int]:
    """Count what may still go out in this window and on this day."""
    state = _forget(state, limits, now)
    return {
        "ten_seconds": max(0, _room(state, limits) - _sum(_within(state.calls, WINDOW_MS, now))),
        "day": max(0, limits.day - state.calls_today),
    }


def count_days_in(state: BudgetState, time_zone: str) -> BudgetState:
    """Count days as HubSpot does: in the account's time zone, if this machine knows it."""
    is_known = time_zone == "UTC" or _zone(time_zone) is not UTC
    return replace(state, time_zone=time_zone) if is_known else state


def zone_of(state: BudgetState, limits: Limits) -> str:
    """Name the time zone in which days are counted: the account's, or the configured one until HubSpot has told."""
    return state.time_zone or limits.time_zone


def end_day(state: BudgetState, limits: Limits, now: int) -> tuple[BudgetState, int]:
    """Let nothing out before HubSpot counts anew, and give that moment: the portal's midnight.

    An hour at most while HubSpot has not told the account's time zone, for that of the configuration may be another;
    and only minutes right after midnight, when nothing but the clocks can differ.
    """
    time_zone = zone_of(state, limits)
    if _is_early(now, time_zone):
        until = now + _EARLY_MS // 12
    else:
        midnight = day_ends(now, time_zone) + _SKEW_MS
        until = midnight if state.time_zone else min(midnight, now + _EARLY_MS)
    return block(state, until), until


def day_ends(now: int, time_zone: str) -> int:
    """Give the next midnight in a time zone, when HubSpot begins to count anew."""
    zone = _zone(time_zone)
    tomorrow = datetime.fromtimestamp(now / 1_000, tz=zone).date() + timedelta(days=1)
    return max(now + 1, round(datetime.combine(tomorrow, time(), tzinfo=zone).timestamp() * 1_000))


def _is_early(now: int, time_zone: str) -> bool:
    """Ask whether the day is so young that a used-up one can only be the last."""
    return _day(now - _EARLY_MS, time_zone) != _day(now, time_zone)


def _wait(state: BudgetState, limits: Limits, now: int, kind: CallKind) -> int:
    waits = [state.blocked_until - now]
    if kind != "exempt":
        waits.append(_full_for(_within(state.calls, WINDOW_MS, now), _room(state, limits), WINDOW_MS, now))
    if kind == "search":
        waits.append(_full_for(state.searches, limits.searches, SEARCH_WINDOW_MS, now))
    if state.calls_today >= limits.day:
        waits.append(day_ends(now, zone_of(state, limits)) - now)
    return max(0, *waits)


def _room(state: BudgetState, limits: Limits) -> int:
    """Give the most of our calls that may be in the window: our share, and no more than what others leave."""
    others = max((number for _, number in state.others), default=0)
    if not others:
        return limits.window
    free = max(1, int(limits.ceiling * _LEFT_FREE))
    return max(1, min(limits.window, limits.ceiling - others - free))


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
    time_zone = zone_of(state, limits)
    today = _day(now, time_zone)
    # Days were counted in another time zone before HubSpot named the account's.
    day = state.day if today < state.day <= _day(now + _DAY_MS, time_zone) else today
    return replace(
        state,
        calls=_within(state.calls, WINDOW_MS + _REMEMBERED_MS, now),
        others=_within(state.others, WINDOW_MS, now),
        searches=_within(state.searches, SEARCH_WINDOW_MS, now),
        day=day,
        calls_today=state.calls_today if state.day == day else 0,
    )


def _within(buckets: Buckets, window: int, now: int) -> Buckets:
    return tuple(bucket for bucket in buckets if now - window < bucket[0] <= now + window)


def _counted(buckets: Buckets, now: int, number: int) -> Buckets:
    """Add calls to the bucket that ends next: rounded up, a call is forgotten late, never early."""
    moment = now - now % -_BUCKET_MS
    counts = dict(buckets)
    counts[moment] = counts.get(moment, 0) + number
    return tuple(sorted(counts.items()))


def _moved(buckets: Buckets, heard: Heard) -> Buckets:
    """Count a call at its answer in place of its departure."""
    left = heard.sent - heard.sent % -_BUCKET_MS
    was = next((moment for moment, number in reversed(buckets) if moment <= left and number > 0), None)
    rest = ((moment, number - 1 if moment == was else number) for moment, number in buckets)
    return _counted(tuple(bucket for bucket in rest if bucket[1] > 0), heard.at, 1)


def _raised(levels: Buckets, now: int, level: int) -> Buckets:
    """Remember a level until it is ten seconds old; one that a later and higher one makes useless is dropped."""
    if level <= 0:
        return levels
    return (*(each for each in levels if each[1] > level), (now, level))


def _sum(buckets: Buckets) -> int:
    return sum(number for _, number in buckets)


def _share(number: int, reserve: float) -> int:
    return max(1, int(number * (1 - reserve) + 1e-9))


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

"""The arithmetic of the call budget."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.hubspot.allowance import (
    BudgetState,
    Heard,
    Limits,
    block,
    calls_left,
    corrected,
    count_days_in,
    day_ends,
    end_day,
    learn,
    take,
)
from connector.hubspot.paths import CallKind
from connector.moments import DAY, HOUR

NOW = 1_790_000_000_000
SMALL = Limits(calls_per_10s=10, calls_per_day=1_000, reserve=0.0)
LARGE = Limits(calls_per_10s=100, calls_per_day=100_000, reserve=0.0)

limits = st.builds(
    Limits,
    calls_per_10s=st.integers(1, 30),
    calls_per_day=st.integers(1, 60),
    reserve=st.floats(0, 0.9),
    searches_per_second=st.integers(1, 6),
    time_zone=st.sampled_from(["UTC", "US/Eastern", "Asia/Kolkata", "Nowhere/Atall"]),
)
steps = st.lists(st.tuples(st.integers(0, 4_000), st.sampled_from(["call", "search"])), max_size=120)


def heard(
    headers: Mapping[str, str] | None = None, *, sent: int = NOW, at: int = NOW, kind: CallKind = "call",
    refused: bool = False,
) -> Heard:  # fmt: skip
    return Heard(kind=kind, sent=sent, at=at, headers=headers or {}, refused=refused)


def parked_until(now: int, time_zone: str) -> int:
    state, until = end_day(BudgetState(time_zone=time_zone), SMALL, now)
    assert state.blocked_until == until
    return until


def as_read(row: Mapping[str, Any] | None) -> BudgetState:
    return BudgetState.of_row(row)  # type: ignore[arg-type]


def most_in_any_window(moments: list[int], window: int) -> int:
    return max((sum(1 for other in moments if start <= other < start + window) for start in moments), default=0)


def left_of(limit: int, allowed: Limits) -> float:
    """A limit less the reserve, one call at least; a fifth of ten is two, which floats miss by a little."""
    return max(1, limit * (1 - allowed.reserve) + 1e-6)


@settings(max_examples=300)
@given(limits, steps, st.integers(0, DAY))
def test_never_more_than_allowed_goes_out_in_any_window_or_on_any_day(
    allowed: Limits, gaps: list[tuple[int, str]], offset: int
) -> None:
    state, now = BudgetState(), NOW + offset
    calls: list[int] = []
    searches: list[int] = []
    for gap, kind in gaps:
        now += gap
        state, wait = take(state, allowed, now=now, kind=kind)  # type: ignore[arg-type]
        if wait == 0:
            calls.append(now)
            searches += [now] if kind == "search" else []
    assert most_in_any_window(calls, 10_000) <= left_of(allowed.calls_per_10s, allowed)
    assert most_in_any_window(searches, 1_000) <= max(1, allowed.searches_per_second)
    zone = ZoneInfo(allowed.time_zone) if allowed.time_zone != "Nowhere/Atall" else ZoneInfo("UTC")
    days = [datetime.fromtimestamp(moment / 1_000, tz=zone).date() for moment in calls]
    assert max((days.count(day) for day in days), default=0) <= left_of(allowed.calls_per_day, allowed)


@given(limits, steps)
def test_whoever_waits_as_told_gets_a_turn_or_a_shorter_wait(allowed: Limits, gaps: list[tuple[int, str]]) -> None:
    state, now = BudgetState(), NOW
    for gap, kind in gaps:
        now += gap
        waits = 0
        while True:
            state, wait = take(state, allowed, now=now, kind=kind)  # type: ignore[arg-type]
            if wait == 0:
                break
            now += wait
            waits += 1
            assert waits < 5


@settings(max_examples=300)
@given(limits, st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 900), st.integers(0, 900)), max_size=120))
def test_hubspot_never_counts_more_than_allowed_however_long_calls_are_on_their_way(
    allowed: Limits, gaps: list[tuple[int, int, int]]
) -> None:
    """It counts a call when it arrives, between departure and answer; we know those two alone."""
    state, now = BudgetState(), NOW
    arrivals: list[int] = []
    under_way: list[Heard] = []
    for gap, there, back in gaps:
        now += gap
        for one in [one for one in under_way if one.at <= now]:
            under_way.remove(one)
            state = learn(state, allowed, one)
        state, wait = take(state, allowed, now=now, kind="call")
        if wait == 0:
            arrivals.append(now + there)
            under_way.append(heard(sent=now, at=now + there + back))
    assert most_in_any_window(arrivals, 10_000) <= left_of(allowed.calls_per_10s, allowed)


def test_a_call_takes_up_room_until_ten_seconds_after_its_answer() -> None:
    state, _ = take(BudgetState(), Limits(calls_per_10s=1, calls_per_day=100, reserve=0.0), now=NOW, kind="call")
    state = learn(state, SMALL, heard(sent=NOW, at=NOW + 800))
    assert state.calls == ((NOW + 800, 1),)
    assert take(state, Limits(calls_per_10s=1, calls_per_day=100), now=NOW + 10_000, kind="call")[1] == 800


def test_batches_of_associations_count_for_the_day_alone() -> None:
    state = BudgetState()
    for _ in range(30):
        state, wait = take(state, SMALL, now=NOW, kind="exempt")
        assert wait == 0
        state = learn(state, SMALL, heard(kind="exempt"))
    assert (state.calls, state.calls_today) == ((), 30)


def test_the_window_is_full_below_the_limit_and_empties_after_ten_seconds() -> None:
    state, waits = BudgetState(), []
    for _ in range(11):
        state, wait = take(state, SMALL, now=NOW, kind="call")
        waits.append(wait)
    assert waits == [0] * 10 + [10_000]
    assert take(state, SMALL, now=NOW + 10_000, kind="call")[1] == 0


def test_the_reserve_is_left_to_the_other_apps() -> None:
    shared = Limits(calls_per_10s=100, calls_per_day=250_000, reserve=0.1)
    assert (shared.window, shared.day, shared.searches) == (90, 225_000, 4)


def test_searches_have_a_window_of_their_own() -> None:
    state = BudgetState()
    for _ in range(4):
        state, _ = take(state, Limits(calls_per_10s=100, calls_per_day=1_000), now=NOW, kind="search")
    assert take(state, Limits(calls_per_10s=100, calls_per_day=1_000), now=NOW, kind="search")[1] == 1_000
    assert take(state, Limits(calls_per_10s=100, calls_per_day=1_000), now=NOW, kind="call")[1] == 0


def test_a_used_up_day_ends_at_the_accounts_midnight() -> None:
    tight = Limits(calls_per_10s=100, calls_per_day=1, reserve=0.0, time_zone="US/Eastern")
    state, _ = take(BudgetState(), tight, now=NOW, kind="call")
    wait = take(state, tight, now=NOW, kind="call")[1]
    midnight = datetime.fromtimestamp((NOW + wait) / 1_000, tz=ZoneInfo("US/Eastern"))
    assert (midnight.hour, midnight.minute, midnight.second) == (0, 0, 0)
    assert take(state, tight, now=NOW + wait, kind="call")[1] == 0


def test_a_day_of_twenty_five_hours_ends_at_its_midnight() -> None:
    start = round(datetime(2026, 11, 1, tzinfo=ZoneInfo("US/Eastern")).timestamp() * 1_000)
    assert day_ends(start, "US/Eastern") - start == 25 * HOUR


def test_calls_of_others_are_learnt_from_the_headers() -> None:
    state, _ = take(BudgetState(), SMALL, now=NOW, kind="call")
    state = learn(state, SMALL, heard({"X-HubSpot-RateLimit-Remaining": "1"}))
    assert state.others == ((NOW, 8),)
    assert take(state, SMALL, now=NOW, kind="call")[1] == 10_000


def test_others_are_left_their_reserve_and_whatever_more_they_use() -> None:
    shared = Limits(calls_per_10s=100, calls_per_day=250_000, reserve=0.2)
    rooms = {}
    for others in (0, 10, 30, 60, 100):
        state = learn(BudgetState(), shared, heard({"X-HubSpot-RateLimit-Remaining": str(100 - others)}))
        rooms[others] = calls_left(replace(state, calls=()), shared, now=NOW)["ten_seconds"]
    assert rooms == {0: 80, 10: 80, 30: 68, 60: 38, 100: 1}


def test_what_others_used_is_forgotten_after_ten_seconds_and_the_highest_counts_until_then() -> None:
    state = BudgetState()
    for at, left in ((NOW, 60), (NOW + 1_000, 40), (NOW + 2_000, 70)):
        state = learn(state, LARGE, heard({"X-HubSpot-RateLimit-Remaining": str(left)}, sent=at, at=at))
    assert [level for _, level in state.others] == [59, 29]
    later = [take(state, LARGE, now=NOW + wait, kind="call")[0].others for wait in (9_000, 11_000, 12_000)]
    assert [[level for _, level in levels] for levels in later] == [[59, 29], [29], []]


def test_our_own_calls_under_way_are_never_taken_for_those_of_others() -> None:
    """Ten leave at once; HubSpot answers the first when all have arrived, and the last when four have dropped out."""
    state = BudgetState()
    for _ in range(10):
        state, _ = take(state, LARGE, now=NOW, kind="call")
    state = learn(state, LARGE, heard({"X-HubSpot-RateLimit-Remaining": "90"}, at=NOW + 100))
    state = learn(state, LARGE, heard({"X-HubSpot-RateLimit-Remaining": "94"}, at=NOW + 10_050))
    assert state.others == ()


def test_a_refused_call_tells_that_the_window_is_full() -> None:
    state, _ = take(BudgetState(), LARGE, now=NOW, kind="call")
    state = learn(state, LARGE, heard(refused=True))
    assert state.others == ((NOW, 99),)


def test_the_limit_that_the_headers_name_counts_when_it_is_lower() -> None:
    low = corrected(LARGE, {"X-HubSpot-RateLimit-Max": "20", "X-HubSpot-RateLimit-Daily": "500"})
    high = corrected(LARGE, {"X-HubSpot-RateLimit-Max": "190", "X-HubSpot-RateLimit-Daily": "900000"})
    assert (low.window, low.day) == (20, 500)
    assert (high.window, high.day, high.ceiling) == (100, 100_000, 190)
    assert corrected(LARGE, {"x-other": "1"}) == LARGE


def test_headers_that_leave_more_than_we_counted_change_nothing() -> None:
    state, _ = take(BudgetState(), SMALL, now=NOW, kind="call")
    assert learn(state, SMALL, heard({"X-HubSpot-RateLimit-Remaining": "99"})) == state


def test_hubspots_count_of_the_day_is_believed_either_way() -> None:
    state = BudgetState(calls_today=900, day="2026-09-21")
    low = learn(state, SMALL, heard({"x-hubspot-ratelimit-daily-remaining": "990"}))
    high = learn(state, SMALL, heard({"x-hubspot-ratelimit-daily-remaining": "0"}))
    assert (low.calls_today, high.calls_today) == (10, 1_000)


def test_yesterdays_count_says_nothing_about_today() -> None:
    midnight = day_ends(NOW, "UTC")
    state, _ = take(BudgetState(), SMALL, now=midnight + 5, kind="call")
    headers = {"X-HubSpot-RateLimit-Daily-Remaining": "0"}
    assert learn(state, SMALL, heard(headers, sent=midnight - 10, at=midnight + 10)).calls_today == 1


def test_workers_that_count_the_day_in_two_time_zones_do_not_begin_it_anew() -> None:
    east = Limits(calls_per_10s=10, calls_per_day=1_000, time_zone="Pacific/Auckland")
    state = BudgetState()
    for allowed in (SMALL, east, SMALL, east):
        state, _ = take(state, allowed, now=NOW, kind="exempt")
    assert (state.day, state.calls_today) == ("2026-09-22", 3)


def test_a_day_far_ahead_was_counted_by_a_wrong_clock() -> None:
    state, _ = take(BudgetState(day="2031-01-01", calls_today=1_000), SMALL, now=NOW, kind="call")
    assert (state.day, state.calls_today) == ("2026-09-21", 1)


def test_a_parked_portal_rests_until_its_midnight_and_an_hour_at_most_while_that_is_not_known() -> None:
    midnight = day_ends(NOW, "UTC")
    assert parked_until(NOW, "UTC") == midnight + 2_000
    assert parked_until(NOW, "") == NOW + HOUR
    assert parked_until(midnight - 5_000, "") == midnight + 2_000


def test_right_after_midnight_a_used_up_day_can_only_be_the_last_one() -> None:
    midnight = day_ends(NOW, "UTC")
    assert parked_until(midnight + 5_000, "UTC") == midnight + 305_000


def test_a_time_zone_that_this_machine_does_not_know_is_passed_over() -> None:
    known = count_days_in(BudgetState(), "Asia/Kolkata")
    assert [count_days_in(known, name).time_zone for name in ("Nowhere/Atall", "UTC")] == ["Asia/Kolkata", "UTC"]


@pytest.mark.parametrize("text", ["", "-1", "many", "1e9", "٣", "9" * 40])
def test_headers_that_are_no_numbers_are_passed_over(text: str) -> None:
    state, _ = take(BudgetState(), SMALL, now=NOW, kind="call")
    assert learn(state, SMALL, heard({"X-HubSpot-RateLimit-Remaining": text})) == state


def test_a_block_holds_until_its_end_and_is_never_shortened() -> None:
    state = block(block(BudgetState(), NOW + 500), NOW + 100)
    assert (take(state, SMALL, now=NOW, kind="call")[1], take(state, SMALL, now=NOW + 500, kind="call")[1]) == (500, 0)


def test_a_clock_that_was_set_back_does_not_stop_the_portal() -> None:
    state = BudgetState()
    for _ in range(10):
        state, _ = take(state, SMALL, now=NOW, kind="call")
    assert take(state, SMALL, now=NOW - HOUR, kind="call")[1] == 0


def test_the_calls_left_are_counted() -> None:
    state, _ = take(BudgetState(), SMALL, now=NOW, kind="call")
    assert calls_left(state, SMALL, now=NOW) == {"ten_seconds": 9, "day": 999}


def test_a_state_survives_being_written_down() -> None:
    state, _ = take(block(BudgetState(), NOW), SMALL, now=NOW, kind="search")
    state = learn(state, SMALL, heard({"X-HubSpot-RateLimit-Remaining": "3"}, kind="search", at=NOW + 5))
    assert as_read(orjson.loads(orjson.dumps(state.as_row()))) == state


def test_a_state_of_the_first_release_is_read() -> None:
    row = {"calls": [[NOW, 3]], "searches": [[NOW, 1]], "day": "2026-09-21", "calls_today": 7, "blocked_until": 5}
    assert as_read(row) == BudgetState(
        calls=((NOW, 3),), searches=((NOW, 1),), day="2026-09-21", calls_today=7, blocked_until=5
    )


@pytest.mark.parametrize(
    "row", [None, {}, {"calls": 1}, {"calls": [[1]], "searches": []}, {"calls": {"own": "x"}, "searches": None}]
)
def test_a_state_that_cannot_be_read_is_a_fresh_one(row: Mapping[str, Any] | None) -> None:
    assert as_read(row) == BudgetState()


def test_the_state_stays_small_under_load() -> None:
    state = BudgetState()
    for step in range(5_000):
        state, _ = take(state, Limits(calls_per_10s=250, calls_per_day=10**9), now=NOW + step * 7, kind="call")
    assert len(orjson.dumps(state.as_row())) < 8_000

"""The arithmetic of the call budget."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.hubspot.allowance import BudgetState, Limits, block, calls_left, day_ends, learn, take
from connector.moments import DAY, HOUR

NOW = 1_790_000_000_000
SMALL = Limits(calls_per_10s=10, calls_per_day=1_000, reserve=0.0)

limits = st.builds(
    Limits,
    calls_per_10s=st.integers(1, 30),
    calls_per_day=st.integers(1, 60),
    reserve=st.floats(0, 0.9),
    searches_per_second=st.integers(1, 6),
    time_zone=st.sampled_from(["UTC", "US/Eastern", "Asia/Kolkata", "Nowhere/Atall"]),
)
steps = st.lists(st.tuples(st.integers(0, 4_000), st.sampled_from(["call", "search"])), max_size=120)


def most_in_any_window(moments: list[int], window: int) -> int:
    return max((sum(1 for other in moments if start <= other < start + window) for start in moments), default=0)


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
    assert most_in_any_window(calls, 10_000) <= max(1, allowed.calls_per_10s * (1 - allowed.reserve) * 0.95 + 1e-6)
    assert most_in_any_window(searches, 1_000) <= max(1, allowed.searches_per_second)
    zone = ZoneInfo(allowed.time_zone) if allowed.time_zone != "Nowhere/Atall" else ZoneInfo("UTC")
    days = [datetime.fromtimestamp(moment / 1_000, tz=zone).date() for moment in calls]
    assert max((days.count(day) for day in days), default=0) <= max(1, allowed.calls_per_day * (1 - allowed.reserve))


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


def test_the_window_is_full_below_the_limit_and_empties_after_ten_seconds() -> None:
    state, waits = BudgetState(), []
    for _ in range(10):
        state, wait = take(state, SMALL, now=NOW, kind="call")
        waits.append(wait)
    assert waits == [0] * 9 + [10_000]
    assert take(state, SMALL, now=NOW + 10_000, kind="call")[1] == 0


def test_the_reserve_is_left_to_the_other_apps() -> None:
    shared = Limits(calls_per_10s=100, calls_per_day=250_000, reserve=0.1)
    assert (shared.window, shared.day, shared.searches) == (85, 225_000, 4)


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
    state = learn(state, SMALL, {"X-HubSpot-RateLimit-Remaining": "1"}, now=NOW, sent=NOW)
    assert take(state, SMALL, now=NOW, kind="call")[1] == 10_000


def test_headers_that_leave_more_than_we_counted_change_nothing() -> None:
    state, _ = take(BudgetState(), SMALL, now=NOW, kind="call")
    assert learn(state, SMALL, {"X-HubSpot-RateLimit-Remaining": "99"}, now=NOW, sent=NOW) == state


def test_hubspots_count_of_the_day_is_believed_either_way() -> None:
    state = BudgetState(calls_today=900, day="2026-09-21")
    low = learn(state, SMALL, {"x-hubspot-ratelimit-daily-remaining": "990"}, now=NOW, sent=NOW)
    high = learn(state, SMALL, {"x-hubspot-ratelimit-daily-remaining": "0"}, now=NOW, sent=NOW)
    assert (low.calls_today, high.calls_today) == (10, 1_000)


def test_yesterdays_count_says_nothing_about_today() -> None:
    midnight = day_ends(NOW, "UTC")
    state, _ = take(BudgetState(), SMALL, now=midnight + 5, kind="call")
    headers = {"X-HubSpot-RateLimit-Daily-Remaining": "0"}
    assert learn(state, SMALL, headers, now=midnight + 10, sent=midnight - 10).calls_today == 1


@pytest.mark.parametrize("text", ["", "-1", "many", "1e9", "٣", "9" * 40])
def test_headers_that_are_no_numbers_are_passed_over(text: str) -> None:
    state, _ = take(BudgetState(), SMALL, now=NOW, kind="call")
    assert learn(state, SMALL, {"X-HubSpot-RateLimit-Remaining": text}, now=NOW, sent=NOW) == state


def test_a_block_holds_until_its_end_and_is_never_shortened() -> None:
    state = block(block(BudgetState(), NOW + 500), NOW + 100)
    assert (take(state, SMALL, now=NOW, kind="call")[1], take(state, SMALL, now=NOW + 500, kind="call")[1]) == (500, 0)


def test_a_clock_that_was_set_back_does_not_stop_the_portal() -> None:
    state = BudgetState()
    for _ in range(9):
        state, _ = take(state, SMALL, now=NOW, kind="call")
    assert take(state, SMALL, now=NOW - HOUR, kind="call")[1] == 0


def test_the_calls_left_are_counted() -> None:
    state, _ = take(BudgetState(), SMALL, now=NOW, kind="call")
    assert calls_left(state, SMALL, now=NOW) == {"ten_seconds": 8, "day": 999}


def test_a_state_survives_being_written_down() -> None:
    state, _ = take(block(BudgetState(), NOW), SMALL, now=NOW, kind="search")
    assert BudgetState.of_json(state.to_json()) == state


@pytest.mark.parametrize("text", [None, "", "{}", "[]", "nonsense", '{"calls": 1}', '{"calls":[[1]],"searches":[]}'])
def test_a_state_that_cannot_be_read_is_a_fresh_one(text: str | None) -> None:
    assert BudgetState.of_json(text) == BudgetState()


def test_the_state_stays_small_under_load() -> None:
    state = BudgetState()
    for step in range(5_000):
        state, _ = take(state, Limits(calls_per_10s=250, calls_per_day=10**9), now=NOW + step * 7, kind="call")
    assert len(state.to_json()) < 6_000

"""Taking turns at one call budget."""

import threading
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from connector.errors import Stopped
from connector.hubspot.budget import BudgetState, CallBudget, Limits, MemoryBudgetStore
from connector.hubspot.failure import PortalTrouble
from connector.moments import HOUR, system_clock
from tests.hubspot_portals import START, Time, a_budget

FEW = Limits(calls_per_10s=10, calls_per_day=1_000, reserve=0.0)


def test_a_turn_is_waited_for_and_the_wait_is_told() -> None:
    time = Time()
    budget = a_budget(time, FEW)
    assert [budget.wait_for_turn() for _ in range(11)] == [0.0] * 10 + [10.0]
    assert time.slept == [1.0] * 10


def test_a_used_up_day_is_trouble_of_the_whole_portal_until_midnight() -> None:
    time = Time()
    budget = a_budget(time, Limits(calls_per_10s=100, calls_per_day=1, reserve=0.0))
    budget.wait_for_turn()
    with pytest.raises(PortalTrouble) as caught:
        budget.wait_for_turn()
    assert caught.value.until is not None
    assert (caught.value.until % (24 * HOUR), time.slept, caught.value.meaning.policy) == (0, [], "daily")


def test_what_headers_said_counts_at_the_next_turn() -> None:
    time = Time()
    budget = a_budget(time, FEW)
    budget.wait_for_turn()
    budget.hear({"X-HubSpot-RateLimit-Remaining": "0", "Other": "x"}, sent=START)
    assert budget.wait_for_turn() == 10.0


def test_a_call_counts_until_ten_seconds_after_its_answer() -> None:
    time = Time()
    budget = a_budget(time, Limits(calls_per_10s=1, calls_per_day=1_000, reserve=0.0))
    budget.wait_for_turn()
    time.now += 700
    budget.hear({}, sent=START)
    assert budget.wait_for_turn() == 10.0


def test_a_budget_that_is_closed_lets_nobody_out_and_wakes_whoever_waits() -> None:
    budget = CallBudget(portal=1, limits=FEW, store=MemoryBudgetStore(), clock=system_clock)
    for _ in range(10):
        budget.wait_for_turn()
    told: list[str] = []

    def wait() -> None:
        try:
            budget.wait_for_turn()
        except Stopped as error:
            told.append(str(error))

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    budget.close()
    for thread in threads:
        thread.join(5)
    assert len(told) == 3
    with pytest.raises(Stopped):
        budget.pause(60)


def test_a_day_is_counted_in_the_time_zone_of_the_account() -> None:
    time = Time()
    budget = a_budget(time, FEW)
    budget.count_days_in("Nowhere/Atall")
    assert (budget.state().time_zone, budget.end_day()) == ("", START + HOUR)
    budget.count_days_in("Pacific/Auckland")
    midnight = datetime.fromtimestamp(budget.end_day() / 1_000, tz=ZoneInfo("Pacific/Auckland"))
    assert (budget.state().time_zone, midnight.hour, midnight.minute) == ("Pacific/Auckland", 0, 0)


def test_a_worker_born_on_a_used_up_day_knows_its_midnight_from_the_others() -> None:
    time, store = Time(), MemoryBudgetStore()
    old, new = (CallBudget(portal=1, limits=FEW, store=store, clock=time, sleep=time.sleep) for _ in range(2))
    old.count_days_in("Pacific/Auckland")
    assert new.end_day() == old.end_day() > START + HOUR


def test_workers_that_share_a_store_share_the_budget() -> None:
    time, store = Time(), MemoryBudgetStore()
    budgets = [CallBudget(portal=1, limits=FEW, store=store, clock=time, sleep=time.sleep) for _ in range(3)]
    for budget in budgets * 3:
        budget.wait_for_turn()
    assert [budget.left()["ten_seconds"] for budget in budgets] == [1, 1, 1]
    other = CallBudget(portal=2, limits=FEW, store=store, clock=time, sleep=time.sleep)
    assert other.left() == {"ten_seconds": 10, "day": 1_000}


def test_a_block_makes_everybody_wait() -> None:
    time = Time()
    budget = a_budget(time, FEW)
    budget.block(2_500)
    assert budget.wait_for_turn() == 2.5


def test_the_end_of_the_day_is_looked_for_again_after_an_hour_at_most() -> None:
    time = Time()
    budget = a_budget(time, FEW)
    assert budget.end_day() == START + HOUR
    with pytest.raises(PortalTrouble) as caught:
        budget.wait_for_turn()
    assert caught.value.until == START + HOUR


def test_threads_never_take_the_same_turn_twice() -> None:
    time, store = Time(), MemoryBudgetStore()
    limits = Limits(calls_per_10s=10_000, calls_per_day=100_000, reserve=0.0)
    budget = CallBudget(portal=1, limits=limits, store=store, clock=time, sleep=time.sleep)
    threads = [threading.Thread(target=lambda: [budget.wait_for_turn() for _ in range(200)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    states: list[BudgetState] = []
    store.change(1, lambda state: (state, states.append(state)))
    assert states[0].calls_today == 1_600

"""The budget of a portal is one row: no change of it is lost, whoever else changes it."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
import sqlalchemy as sa

from connector.store.budgets import DatabaseBudgets
from connector.store.engine import reading, writing
from connector.store.tables import portals


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """As much of a budget as a test needs."""

    calls: tuple[tuple[int, int], ...] = ()
    calls_today: int = 0


def to_row(budget: Budget) -> Mapping[str, object]:
    return {"calls": budget.calls, "calls_today": budget.calls_today}


def from_row(row: Mapping[str, object]) -> Budget:
    calls, today = row["calls"], row["calls_today"]
    assert isinstance(calls, list)
    assert isinstance(today, int)
    return Budget(calls=tuple((moment, number) for moment, number in calls), calls_today=today)


def count(budget: Budget) -> tuple[Budget, int]:
    return replace(budget, calls=((5, 1),), calls_today=budget.calls_today + 1), budget.calls_today


def budgets(engine: sa.Engine) -> DatabaseBudgets[Budget]:
    return DatabaseBudgets(engine, to_row=to_row, from_row=from_row)


def today(engine: sa.Engine) -> dict[int, int]:
    with reading(engine) as connection:
        return {row.portal: row.calls_today for row in connection.execute(sa.select(portals))}


def test_a_change_is_seen_by_the_next_and_makes_the_row_when_there_is_none(engine: sa.Engine) -> None:
    store = budgets(engine)
    assert [store.change(1, count) for _ in range(3)] == [0, 1, 2]
    assert store.change(1, lambda budget: (budget, budget)) == Budget(calls=((5, 1),), calls_today=3)
    assert today(engine) == {1: 3}
    store._engine.dispose()


def test_what_else_is_known_of_the_portal_stays(engine: sa.Engine) -> None:
    with writing(engine) as connection:
        connection.execute(sa.insert(portals), {"portal": 1, "calls": [], "searches": [], "trouble": "x"})
    store = budgets(engine)
    store.change(1, count)
    with reading(engine) as connection:
        assert connection.scalar(sa.select(portals.c.trouble)) == "x"
    store._engine.dispose()


def test_a_change_that_fails_changes_nothing(engine: sa.Engine) -> None:
    store = budgets(engine)
    store.change(1, count)
    with pytest.raises(ZeroDivisionError):
        store.change(1, lambda budget: (budget, 1 // 0))
    assert today(engine) == {1: 1}
    store._engine.dispose()


def test_processes_that_count_together_lose_no_call(url: str, engine: sa.Engine) -> None:
    code = (
        "from connector.store.engine import open_database\n"
        "from tests.integration.test_budget_rows import budgets, count\n"
        f"store = budgets(open_database({url!r}, migrate=False))\n"
        "for _ in range(50): store.change(1, count)"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert today(engine) == {1: 150}

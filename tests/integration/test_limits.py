"""HubSpot's limits, by its own count: kept ahead of the calls; a used-up day parks the portal until its midnight."""

import threading
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from connector.hubspot.budget import BudgetState, CallBudget, Limits
from connector.hubspot.client import HubSpotPortal
from connector.hubspot.failure import HubSpotError
from connector.moments import DAY, HOUR, MINUTE, SECOND, system_clock
from connector.sandbox import Sandbox, SandboxOptions
from connector.store.budgets import DatabaseBudgets
from connector.store.engine import open_database
from connector.store.tables import waiting
from tests.databases import database_url
from tests.practice import INBOUND, NOW, Practice, leads, practice, stages

ZONE = "Pacific/Auckland"


def midnight(now: int) -> int:
    """Give the moment at which the account's day ends."""
    tomorrow = datetime.fromtimestamp((now + DAY) / 1_000, tz=UTC).astimezone(ZoneInfo(ZONE))
    start = tomorrow.replace(hour=0, minute=0, second=0, microsecond=0)
    return round(start.timestamp() * 1_000)


def parked(the: Practice) -> tuple[int, set[int]]:
    """Give the calls so far, and the attempts that were used up."""
    return the.sandbox.calls.total, {row.attempts for row in the.rows(sa.select(waiting))}


# --- the day ----------------------------------------------------------------------------------------------------------


def test_a_used_up_day_parks_the_portal_until_its_own_midnight_while_others_go_on(tmp_path: Path) -> None:
    with practice(tmp_path, portals=(4242, 4343), time_zone=ZONE) as the, capture_logs() as logs:
        known = leads(the, 1)
        the.catch_up()
        ill, well = the.sandboxes
        ill.limits.per_day = 0
        new = [ill.create_contact({"email": f"n{n}@example.com", **INBOUND}) for n in range(3)]
        the.catch_up()
        calls, attempts = parked(the)
        assert attempts == {0}
        trouble = the.services.troubles.troubles()[4242]
        assert (trouble.code, trouble.until) == ("limited", midnight(NOW) + 2 * SECOND)

        other = well.create_contact({"email": "other@example.com", **INBOUND})
        the.catch_up()
        assert well.contact(other)["lifecyclestage"] == "lead"
        while the.time.now < midnight(NOW) - HOUR:
            the.move(hours=1)
            the.work()
        assert parked(the) == (calls, {0}), "no call before midnight"
        assert [line["code"] for line in logs if line["event"] == "portal.trouble_began"] == ["limited"]

        ill.limits.per_day = 100_000
        the.move(hours=1, seconds=3)
        the.work()
        assert stages(the) == dict.fromkeys([*known, *new], "lead")
        assert the.services.troubles.troubles() == {}


def test_the_calls_of_the_day_are_counted_ahead_so_that_none_is_refused(tmp_path: Path) -> None:
    with practice(tmp_path, time_zone=ZONE) as the:
        the.sandbox.limits.per_day = 12
        ids = leads(the, 3)
        for _ in range(30):
            the.catch_up()
            the.look(*ids)
            the.move(minutes=6)
        assert the.sandbox.calls.count(status=429) <= 1
        assert list(the.services.troubles.troubles()) == [the.portal]


def test_a_limit_that_others_used_up_right_after_midnight_is_tried_again_within_minutes(tmp_path: Path) -> None:
    with practice(tmp_path, time_zone=ZONE) as the:
        [ana] = leads(the, 1)
        the.deliver()
        the.services.portals[the.portal].budget.count_days_in(ZONE)
        the.time.now = midnight(NOW) + 10 * SECOND
        the.sandbox.faults.add("429_daily", times=1)
        the.work()
        trouble = the.services.troubles.troubles()[the.portal]
        assert trouble.until == trouble.since + 5 * MINUTE
        the.move(minutes=5)
        the.work()
        assert stages(the) == {ana: "lead"}


# --- ten seconds and a second, on a real clock ------------------------------------------------------------------------


def portal_of(sandbox: Sandbox, folder: Path, **limits: float) -> HubSpotPortal:
    """Build a client whose budget lies in the database, as another worker's does."""
    engine = open_database(database_url(folder / "limits.db"))
    store = DatabaseBudgets(engine, to_row=BudgetState.as_row, from_row=BudgetState.of_row)
    budget = CallBudget(
        portal=4242, limits=Limits(calls_per_day=10**9, **limits), store=store, clock=system_clock  # type: ignore[arg-type]
    )  # fmt: skip
    return HubSpotPortal(
        portal=4242, access_token="pat-sandbox", api_url=sandbox.address, budget=budget, clock=system_clock
    )


def in_parallel(portals: list[HubSpotPortal], calls: int) -> None:
    def call(portal: HubSpotPortal) -> None:
        for _ in range(calls):
            portal.contacts.read(["1"], ["email"])

    threads = [threading.Thread(target=call, args=(portal,)) for portal in portals for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_two_workers_with_several_threads_use_a_whole_window_and_are_never_refused(tmp_path: Path) -> None:
    with Sandbox(SandboxOptions(port=0, calls_per_10s=40, latency_ms=20)) as sandbox:
        workers = [portal_of(sandbox, tmp_path, calls_per_10s=40, reserve=0.1) for _ in range(2)]
        in_parallel(workers, 9)  # 54 calls: one window and a half
        log = list(sandbox.calls.log)
    first = [call for call in log if call.moment < log[0].moment + 10 * SECOND]
    assert {call.status for call in log} == {207}
    assert (len(first), len(log)) == (36, 54)


def test_a_limit_that_is_lower_than_configured_is_learnt_from_the_headers(tmp_path: Path) -> None:
    with Sandbox(SandboxOptions(port=0, calls_per_10s=20)) as sandbox:
        [worker] = [portal_of(sandbox, tmp_path, calls_per_10s=190, reserve=0.0)]
        for _ in range(25):
            worker.contacts.read(["1"], ["email"])
        assert sandbox.calls.count(status=429) == 0


@pytest.mark.parametrize("fault", ["429_ten_secondly", "429_secondly_search"])
def test_one_refusal_makes_every_worker_of_the_portal_wait_a_moment(tmp_path: Path, fault: str) -> None:
    with Sandbox(SandboxOptions(port=0)) as sandbox:
        one, other = (portal_of(sandbox, tmp_path, calls_per_10s=1_000, reserve=0.0) for _ in range(2))
        sandbox.faults.add(fault, times=1)
        thread = threading.Thread(target=lambda: one.contacts.read(["1"], ["email"]))
        thread.start()
        while not sandbox.faults.struck:
            threading.Event().wait(0.01)
        threading.Event().wait(0.2)
        other.contacts.read(["1"], ["email"])
        refused, second = list(sandbox.calls.log)[:2]
        thread.join(30)
    assert second.moment - refused.moment >= 900


def test_a_daily_refusal_is_never_repeated(tmp_path: Path) -> None:
    with Sandbox(SandboxOptions(port=0, calls_per_day=0)) as sandbox:
        portal = portal_of(sandbox, tmp_path, calls_per_10s=100, reserve=0.0)
        for _ in range(3):
            with pytest.raises(HubSpotError):
                portal.contacts.read(["1"], ["email"])
        assert sandbox.calls.total == 1

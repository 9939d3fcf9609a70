"""How far reconciliation has come, whose turn it is, and what becomes of it in trouble."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from connector.hubspot.failure import HubSpotError, PortalTrouble
from connector.moments import MINUTE, SECOND
from connector.reconciliation.reconciliation import Report, Scope
from connector.reconciliation.watermarks import LEASE, OVERLAP, Mark, Turn, TurnLost
from connector.sandbox.kinds import CONTACT
from connector.store.engine import reading, writing
from connector.store.tables import portals, waiting
from tests.practice import Practice, practice, stages
from tests.reconciling import (
    AN_IMPORT,
    PLAIN,
    SEARCHES,
    by_itself,
    found,
    leads,
    looks,
    marks,
    miss,
    reconcile,
    settled,
)


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Practice]:
    with practice(tmp_path, rules=PLAIN) as one:
        yield one


# --- the watermark ----------------------------------------------------------------------------------------------------


def test_the_first_time_begins_with_what_changed_of_late(plain: Practice) -> None:
    old = leads(plain, 2)
    miss(plain)
    plain.move(hours=5)
    newest = plain.time.now
    fresh = leads(plain, 1)
    miss(plain)
    assert found(by_itself(plain)) == (0, 1, 0, 1)
    assert marks(plain)["contacts"].moment == newest
    plain.catch_up()
    assert ([stages(plain)[one] for one in old], stages(plain)[fresh[0]]) == ([None, None], "lead")
    assert found(reconcile(plain, Scope(since=newest - 6 * 60 * MINUTE))) == (0, 2, 0, 2)


def test_the_watermark_is_hubspots_clock_and_never_ours(plain: Practice) -> None:
    leads(plain, 1)
    changed_at = plain.time.now
    plain.move(hours=3)
    for _ in range(3):
        by_itself(plain)
    assert marks(plain)["contacts"] == Mark(moment=changed_at, unsettled_since=None)


def test_what_search_shows_late_is_found_in_the_overlap(tmp_path: Path) -> None:
    with practice(tmp_path, rules=PLAIN, search_lag_ms=0) as the:
        late, prompt = leads(the, 2)
        settled(the)
        index = the.sandbox.portal.records[CONTACT].index
        index.lag = 8 * MINUTE
        the.sandbox.update_contact(late, {"sk_source": "event"})
        index.lag = 0
        the.move(seconds=30)
        with the.sandbox.portal.lock:  # the index takes in one change before an earlier one
            coming = list(index.coming)
            index.coming.clear()
            the.sandbox.update_contact(prompt, {"sk_source": "event"})
            index.coming.extend(coming)
        miss(the)
        assert found(reconcile(the)) == (1, 0, 0, 1)
        the.catch_up()
        the.move(minutes=8)
        assert found(reconcile(the)) == (1, 0, 0, 1)


def test_a_moment_since_which_to_look_leaves_no_gap_behind(plain: Practice) -> None:
    leads(plain, 1)
    settled(plain)
    before = marks(plain)["contacts"]
    lost = leads(plain, 1)
    plain.move(minutes=30)
    leads(plain, 1)
    since = plain.time.now
    miss(plain)
    assert found(reconcile(plain, Scope(since=since))) == (0, 1, 0, 1)
    assert marks(plain)["contacts"] == before
    plain.catch_up()
    assert found(by_itself(plain)) == (0, 1, 0, 1)
    plain.catch_up()
    assert stages(plain)[lost[0]] == "lead"


def test_a_trial_says_what_it_would_find_and_changes_nothing(plain: Practice) -> None:
    leads(plain, 2)
    settled(plain)
    leads(plain, 3)
    miss(plain)
    plain.move(minutes=15)
    before = plain.rows(sa.select(portals.c.watermark, portals.c.reconciled_at, portals.c.reconciling))
    for scope in (Scope(trial=True), Scope(trial=True, everything=True)):
        report = plain.services.portals[plain.portal].reconciliation.run(scope, None)
        assert found(report) == (0, 3, 0, 3)
    assert plain.rows(sa.select(portals.c.watermark, portals.c.reconciled_at, portals.c.reconciling)) == before
    assert plain.work() == 0


def test_reading_all_judges_a_portal_that_was_just_connected_at_a_gentle_pace(plain: Practice) -> None:
    people = leads(plain, 1_050)
    miss(plain)
    plain.move(hours=5)
    report = reconcile(plain, Scope(everything=True))
    assert (report.modified, found(report), report.searches) == ({"contacts": 1_050}, (0, 1_050, 0, 1_050), 0)
    assert report.calls == -(-1_050 // 100)
    due = [row[0] for row in plain.rows(sa.select(waiting.c.due).order_by(waiting.c.due))]
    assert due[-1] - due[0] >= 10 * SECOND
    urgent = plain.sandbox.create_contact({"email": "now@example.com", "sk_source": "inbound"})
    plain.deliver()
    plain.move(seconds=3)
    plain.work()
    assert (stages(plain)[urgent], stages(plain)[people[-1]]) == ("lead", None)
    plain.move(seconds=15)
    plain.work()
    assert set(stages(plain).values()) == {"lead"}


# --- trouble on the way -----------------------------------------------------------------------------------------------


def test_a_crash_in_the_middle_keeps_what_was_found_and_goes_on_from_there(
    plain: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven thousand changed over a while: the watermark moves part by part, never beyond what waits."""
    leads(plain, 1)
    settled(plain)
    at = marks(plain)["contacts"].moment
    assert at is not None
    with plain.sandbox.portal.lock:
        store = plain.sandbox.portal.records[CONTACT]
        for _ in range(7_000):
            plain.time.now += 20
            store.add({"sk_source": "inbound"}, plain.time.now, AN_IMPORT)
    plain.move(seconds=2)
    reconciliation = plain.services.portals[plain.portal].reconciliation
    turn = reconciliation.watermarks.begin(plain.portal)
    assert turn is not None
    kept = reconciliation._keep
    pages = iter(range(30))

    def crash(*arguments: Any, **options: Any) -> None:
        if next(pages) == 25:
            raise KeyboardInterrupt
        kept(*arguments, **options)

    monkeypatch.setattr(reconciliation, "_keep", crash)
    with pytest.raises(KeyboardInterrupt):
        reconciliation.run(Scope(), turn)
    monkeypatch.undo()
    mark = marks(plain)["contacts"].moment
    assert mark is not None
    assert at < mark < plain.time.now
    waits = {row[0] for row in plain.rows(sa.select(waiting.c.contact))}
    behind = [one.id for one in store.live.values() if at < one.updated <= mark and one.values.get("sk_source")]
    assert behind
    assert set(behind) <= waits

    assert reconciliation.watermarks.begin(plain.portal) is None  # the lease of the dead
    report = by_itself(plain)
    assert (report.is_whole, report.placed) == (True, 7_000 - len(waits))
    assert len(plain.rows(sa.select(waiting.c.contact))) == 7_000


def test_two_at_once_do_it_once(plain: Practice) -> None:
    leads(plain, 600)
    miss(plain)
    plain.move(seconds=3)
    other = plain.again()
    both = [the.worker.reconciler for the in (plain, other)]
    start, reports = threading.Barrier(2), list[Report | None]()

    def go(place: int) -> None:
        start.wait(10)
        reports.append(both[place].run_due(plain.portal))

    threads = [threading.Thread(target=go, args=(place,)) for place in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    done = [report for report in reports if report is not None]
    assert [found(report) for report in done] == [(0, 600, 0, 600)]
    assert plain.calls(SEARCHES["contacts"]) == 2 + 3


def test_who_has_lost_the_turn_lets_nobody_wait(plain: Practice) -> None:
    leads(plain, 3)
    miss(plain)
    plain.move(seconds=3)
    reconciliation = plain.services.portals[plain.portal].reconciliation
    turn = reconciliation.watermarks.begin(plain.portal)
    assert turn is not None
    plain.time.now += LEASE + 1
    assert reconciliation.watermarks.begin(plain.portal) is not None
    with pytest.raises(TurnLost):
        reconciliation.run(Scope(), turn)
    assert (plain.rows(sa.select(waiting.c.contact)), marks(plain)["contacts"].moment) == ([], None)


def test_a_portal_whose_token_is_revoked_waits_with_one_alert_and_recovers_by_itself(plain: Practice) -> None:
    """Also when it has no events that would show it."""
    leads(plain, 1)
    settled(plain)
    leads(plain, 2)
    miss(plain)
    plain.sandbox.revoke_token()
    plain.move(minutes=15)
    assert plain.worker.reconciler.run_due(plain.portal) is None
    (trouble,) = plain.services.troubles.troubles().values()
    assert trouble.code == "unauthorised"
    plain.sandbox.calls.reset()
    assert plain.worker.reconciler.run_due(plain.portal) is None  # not before it is to be tried again
    assert plain.sandbox.calls.total == 0
    plain.sandbox.restore_token()
    assert found(by_itself(plain)) == (0, 2, 0, 2)
    assert plain.services.troubles.troubles() == {}


def test_a_search_that_is_down_does_not_hold_up_the_portal(plain: Practice) -> None:
    leads(plain, 1)
    settled(plain)
    plain.sandbox.faults.add("503", route="/contacts/search")
    plain.move(minutes=15)
    assert plain.worker.reconciler.run_due(plain.portal) is None
    assert plain.services.troubles.troubles() == {}
    late = leads(plain, 1)[0]
    plain.catch_up()
    assert stages(plain)[late] == "lead"
    plain.sandbox.faults.clear()
    assert plain.worker.reconciler.run_due(plain.portal) is None  # a pause, so that it is not asked all the time
    assert by_itself(plain).is_whole


def test_a_portal_in_trouble_does_not_keep_another_from_being_reconciled(tmp_path: Path) -> None:
    with practice(tmp_path, rules=PLAIN, portals=(4242, 4343)) as the:
        for sandbox in the.sandboxes:
            sandbox.create_contact({"email": "a@example.com", "sk_source": "inbound"})
        the.sandboxes[0].revoke_token()
        the.move(seconds=3)
        reports = [the.worker.reconciler.run_due(portal) for portal in (4242, 4343)]
        assert [report and found(report) for report in reports] == [None, (0, 1, 0, 1)]
        assert list(the.services.troubles.troubles()) == [4242]


def _end_the_day(the: Practice) -> None:
    the.sandbox.faults.add("429_daily")


def test_the_day_that_is_used_up_stops_it_and_it_goes_on_later(tmp_path: Path) -> None:
    with practice(tmp_path, rules=PLAIN) as the:
        leads(the, 450)
        miss(the)
        the.move(seconds=3)
        reconciliation = the.services.portals[the.portal].reconciliation
        turn = reconciliation.watermarks.begin(the.portal)
        assert turn is not None
        with pytest.raises(PortalTrouble):
            reconciliation.run(Scope(), turn, progress=lambda *_: _end_the_day(the))
        reconciliation.watermarks.give_up(turn)
        assert len(the.rows(sa.select(waiting.c.contact))) == 200
        the.sandbox.faults.clear()
        the.move(hours=24)
        assert found(reconcile(the)) == (0, 450, 0, 250)


def test_search_is_asked_no_faster_than_hubspot_allows(tmp_path: Path) -> None:
    with practice(tmp_path, rules=PLAIN, searches_per_second=5) as the:
        leads(the, 3_000)
        miss(the)
        reconcile(the)
        statuses = {status for _, route, status in the.sandbox.calls.counts if route.endswith("/search")}
        assert (statuses, the.calls(SEARCHES["contacts"])) == ({200}, 2 + 15)


def test_in_shadow_mode_contacts_are_found_and_judged_and_nothing_is_written(tmp_path: Path) -> None:
    with practice(tmp_path, rules=PLAIN, more="    mode: shadow\n") as the:
        contact = leads(the, 1)[0]
        miss(the)
        the.move(seconds=2)
        assert found(reconcile(the)) == (0, 1, 0, 1)
        the.catch_up()
        assert (looks(the), "lifecyclestage" in the.sandbox.contact(contact)) == (1, False)
        assert found(reconcile(the)) == (0, 0, 0, 0)


def test_dead_letters_are_woken_by_what_is_new_alone(plain: Practice) -> None:
    contact = leads(plain, 1)[0]
    settled(plain)
    plain.sandbox.update_contact(contact, {"sk_source": "event"})
    miss(plain)
    assert found(by_itself(plain)) == (1, 0, 0, 1)
    with writing(plain.services.engine) as connection:
        connection.execute(sa.update(waiting).values(dead_at=plain.time.now, attempts=8))
    assert found(reconcile(plain)) == (1, 0, 0, 0)
    plain.sandbox.update_contact(contact, {"sk_source": "referral"})
    miss(plain)
    assert found(reconcile(plain)) == (1, 0, 0, 1)
    assert plain.dead() == {}


def test_who_waits_already_is_not_let_wait_twice(plain: Practice) -> None:
    leads(plain, 2)
    plain.deliver()
    plain.services.inbox.counts()
    assert found(reconcile(plain)) == (0, 2, 0, 0)


def test_never_is_never(tmp_path: Path) -> None:
    with practice(tmp_path, rules=PLAIN, worker="worker: {reconcile_every: never}") as the:
        leads(the, 1)
        the.move(hours=5)
        assert the.worker.reconciler.run_due(the.portal) is None
        assert the.sandbox.calls.total == 0


def test_it_stops_between_two_pages_and_gives_the_turn_back(plain: Practice) -> None:
    leads(plain, 450)
    miss(plain)
    plain.move(seconds=3)
    reconciliation = plain.services.portals[plain.portal].reconciliation
    turn = reconciliation.watermarks.begin(plain.portal)
    assert turn is not None
    report = reconciliation.run(Scope(), turn, stopping=lambda: True)
    reconciliation.watermarks.give_up(turn)
    assert (report.is_whole, report.placed) == (False, 200)
    assert isinstance(reconciliation.watermarks.begin(plain.portal), Turn)


def test_it_raises_what_hubspot_refuses(plain: Practice) -> None:
    plain.sandbox.faults.add("400", route="/contacts/search", times=1)
    with pytest.raises(HubSpotError):
        reconcile(plain)
    assert OVERLAP < LEASE * 3
    with reading(plain.services.engine) as connection:
        assert connection.scalar(sa.select(portals.c.reconciled_at)) is None

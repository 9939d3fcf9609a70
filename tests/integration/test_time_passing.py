"""Time alone: decisions change without any event, at their moment, and once however long nobody looked."""

from pathlib import Path

import sqlalchemy as sa

from connector.moments import DAY, HOUR, read_moment
from connector.store.tables import events
from tests.practice import NOW, Practice, practice

COLD = """
version: 1
pack: cold
ladder: [contact, lead]
settings: {silent_for: 14 days}
facts:
  silent: {hs_sales_email_last_replied: {not_within_last: $silent_for}}
stages:
  - {id: asked, when: {sk_source: {is: inbound}}, stage: lead, because: They asked.}
  - {id: others, stage: contact, because: Nothing yet.}
statuses:
  - {id: silent, of: lead, status: cold, when: silent, because: They have been silent for two weeks.}
"""
WEEKLY = """
version: 1
pack: weekly
ladder: [contact]
stages:
  - {id: all, stage: contact, because: Everybody is.}
cadences:
  - {id: update, while: {stage: contact}, every: 7 days, task: {title: Write, type: email}}
"""
FOLLOW = """
version: 1
pack: follow
ladder: [contact]
stages:
  - {id: all, stage: contact, because: Everybody is.}
cadences:
  - id: follow-up
    while: {stage: contact}
    every: 3 days
    at_most: 2
    starts_anew_on: [hs_sales_email_last_replied]
    task: {title: Follow up}
    afterwards: {set: {sk_drip: "true"}}
"""


def tasks(the: Practice, contact: str) -> int:
    return len(the.sandbox.tasks_of(contact))


def test_a_lead_goes_cold_with_no_event_at_all_at_its_moment(tmp_path: Path) -> None:
    replied = "2026-09-20T10:00:00Z"
    at = (read_moment(replied) or (0, 0))[0] + 14 * DAY
    with practice(tmp_path, rules=COLD) as the:
        ana = the.sandbox.create_contact({"sk_source": "inbound", "hs_sales_email_last_replied": replied})
        the.catch_up()
        assert the.next_look(ana) == at
        the.time.now = at - 2
        assert the.work() == 0
        assert not the.sandbox.contact(ana).get("sk_lead_status")
        the.time.now = at
        the.work()
        assert the.sandbox.contact(ana)["sk_lead_status"] == "cold"
        assert the.next_look(ana) is None


def test_after_a_week_off_the_contact_is_woken_once_and_gets_one_task(tmp_path: Path) -> None:
    with practice(tmp_path, rules=WEEKLY) as the:
        ana = the.sandbox.create_contact({"firstname": "Ana"})
        the.catch_up()
        assert tasks(the, ana) == 1
        the.move(days=50)
        assert the.work() == 1
        assert tasks(the, ana) == 2
        the.move(days=6, hours=23)
        assert the.work() == 0
        the.move(hours=1)
        the.work()
        assert tasks(the, ana) == 3


def test_a_cadence_ends_at_its_cap_and_a_reply_begins_it_anew(tmp_path: Path) -> None:
    with practice(tmp_path, rules=FOLLOW, counters_fire=True) as the:
        ana = the.sandbox.create_contact({"firstname": "Ana"})
        the.catch_up()
        for _ in range(6):
            the.move(days=3)
            the.work()
        assert tasks(the, ana) == 2
        assert the.sandbox.contact(ana)["sk_drip"] == "true"
        the.sandbox.update_contact(ana, {"hs_sales_email_last_replied": "2026-10-08T10:00:00Z"})
        the.catch_up()
        assert tasks(the, ana) == 3
        the.move(days=3)
        the.work()
        assert tasks(the, ana) == 4
        the.move(days=30)
        the.work()
        assert tasks(the, ana) == 4


def test_counters_survive_a_restart_and_a_changed_pack(tmp_path: Path) -> None:
    with practice(tmp_path, rules=FOLLOW) as the:
        ana = the.sandbox.create_contact({"firstname": "Ana"})
        the.catch_up()
        (tmp_path / "pack.yaml").write_text(FOLLOW.replace("title: Follow up", "title: Call again"), encoding="utf-8")
        again = the.again()
        again.look(ana)
        assert tasks(again, ana) == 1
        again.move(days=3)
        again.work()
        again.move(days=3)
        again.work()
        assert tasks(again, ana) == 2
        assert sorted(again.titles(ana)) == ["Call again", "Follow up"]


def test_no_task_falls_due_in_quiet_hours_or_on_a_holiday(tmp_path: Path) -> None:
    quiet = """    calendar: {time_zone: Europe/Berlin, holidays: DE, quiet_hours: {from: "17:00", to: "09:00"}}"""
    pack = WEEKLY.replace("type: email", "type: email, due: 3 hours")
    with practice(tmp_path, rules=pack, more=quiet) as the:
        the.time.now = (read_moment("2026-10-02T14:30:00Z") or (NOW, NOW))[0]  # a Friday, then a German holiday
        ana = the.sandbox.create_contact({"firstname": "Ana"})
        the.catch_up()
        due = the.sandbox.tasks_of(ana)[0]["properties"]["hs_timestamp"]
        assert read_moment(due) == read_moment("2026-10-05T07:00:00Z")  # Monday, nine o'clock in Berlin


def test_a_stay_is_counted_to_the_millisecond(tmp_path: Path) -> None:
    pack = COLD.replace("when: silent,", "when: {stage_for_at_least: 30 hours},")
    with practice(tmp_path, rules=pack) as the:
        ana = the.sandbox.create_contact({"sk_source": "inbound"})
        the.catch_up()
        due = the.next_look(ana)
        assert due is not None
        the.time.now = due - 2
        assert the.work() == 0
        the.time.now = due
        the.work()
        assert the.sandbox.contact(ana)["sk_lead_status"] == "cold"
        assert due - NOW >= 30 * HOUR


def test_events_are_deleted_a_week_after_they_were_judged_and_not_before(tmp_path: Path) -> None:
    with practice(tmp_path, rules=COLD) as the:
        the.sandbox.create_contact({"sk_source": "inbound", "firstname": "Ana"})
        the.catch_up()
        kept = the.rows(sa.select(events.c.id))
        for days, left in ((6, kept), (2, [])):
            the.move(days=days)
            while the.worker.tidy():
                pass
            assert the.rows(sa.select(events.c.id)) == left

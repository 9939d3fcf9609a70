"""HubSpot's bad moments and a portal's troubles: work waits with one alert and goes on by itself, costing nothing."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from connector.hubspot import records as hubspot_records
from connector.hubspot.batch import Job, Settled
from connector.hubspot.setup import set_up as set_up_portal
from tests.practice import (
    CREATE_TASKS,
    INBOUND,
    LEAD_TASKS,
    NOTED,
    QUALIFIED,
    READ_CONTACTS,
    Practice,
    leads,
    practice,
    prepare,
    stages,
    wait_out,
)


@pytest.fixture
def the(tmp_path: Path) -> Iterator[Practice]:
    with practice(tmp_path) as stage:
        yield stage


# --- HubSpot's bad moments --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    ["429_ten_secondly", "423", "500", "503", "502_html", "504", "reset", "reset_after", "timeout_before", "garbage"],
)
@pytest.mark.parametrize("route", [r"contacts/batch/read", r"contacts/batch/update", r"tasks/batch/create"])
def test_a_bad_moment_is_ridden_out(the: Practice, fault: str, route: str) -> None:
    ids = leads(the, 4)
    the.sandbox.faults.add(fault, route=route, times=2, seconds=0.05)
    the.catch_up()
    wait_out(the, 4)

    assert stages(the) == dict.fromkeys(ids, "lead")
    assert [the.keys(one) for one in ids] == [LEAD_TASKS] * 4
    assert the.dead() == {}


def test_an_outage_of_many_hours_uses_up_no_attempts(the: Practice) -> None:
    ids = leads(the, 3)
    the.sandbox.faults.add("503")
    with capture_logs() as logs:
        the.catch_up()
        wait_out(the, 80)
    assert [the.waiting(one).attempts for one in ids] == [0, 0, 0]
    assert [line["code"] for line in logs if line["event"] == "portal.trouble_began"] == ["unavailable"]

    the.sandbox.faults.clear()
    wait_out(the, 2)
    assert stages(the) == dict.fromkeys(ids, "lead")
    assert the.dead() == {}


def test_contacts_that_alone_cannot_be_read_become_dead_letters_and_do_not_stop_the_portal(the: Practice) -> None:
    [ana] = leads(the, 1)
    the.sandbox.faults.add("500", route=r"contacts/batch/read")
    the.catch_up()
    wait_out(the, 12, minutes=7 * 60)

    assert list(the.dead()) == [ana]
    assert the.services.troubles.troubles() == {}


# --- the portal's trouble ---------------------------------------------------------------------------------------------


def test_a_revoked_token_stops_the_portal_with_one_alert_and_costs_no_attempts(the: Practice) -> None:
    ids = leads(the, 3)
    the.sandbox.revoke_token()
    with capture_logs() as logs:
        the.catch_up()
        wait_out(the, 10)
        alerts = [line for line in logs if line["event"] == "portal.trouble_began"]

    assert [alert["code"] for alert in alerts] == ["unauthorised"]
    assert "access_token" in alerts[0]["text"]
    assert "pat-sandbox" not in str(logs)
    assert [the.waiting(one).attempts for one in ids] == [0, 0, 0]
    assert the.dead() == {}

    calls = the.sandbox.calls.total
    the.work()
    assert the.sandbox.calls.total == calls, "a portal that waits is left alone"

    the.sandbox.restore_token()
    wait_out(the, 1)
    assert stages(the) == dict.fromkeys(ids, "lead")
    assert the.services.troubles.troubles() == {}


@pytest.mark.parametrize("route", [r"contacts/batch/update", r"tasks/batch/create"])
def test_a_token_revoked_between_reading_and_writing_costs_no_attempts(the: Practice, route: str) -> None:
    ids = leads(the, 3)
    fault = the.sandbox.faults.add("401", route=route)
    the.catch_up()
    assert [(the.waiting(one).attempts, the.waiting(one).dead_at) for one in ids] == [(0, None)] * 3
    assert list(the.services.troubles.troubles()) == [the.portal]
    wait_out(the, 10)

    the.sandbox.faults.remove(fault.id)
    wait_out(the, 2)
    assert stages(the) == dict.fromkeys(ids, "lead")
    assert [the.keys(one) for one in ids] == [LEAD_TASKS] * 3
    assert the.dead() == {}


def test_a_token_revoked_within_the_writes_costs_no_attempts(the: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a hundred tasks are made in several calls, so that one goes well before the token is taken."""
    ids = leads(the, 80)
    the.deliver()
    the.move(seconds=3)
    original = hubspot_records.run_batch

    def run_until_revoked(keys: Iterable[str], job: Job, **more: int) -> Settled:
        sent: list[int] = []

        def send(chunk: Sequence[str]) -> Any:
            sent.append(len(chunk))
            if len(sent) == 2:
                the.sandbox.revoke_token()
            return job.send(chunk)

        return original(keys, replace(job, send=send), **more)

    monkeypatch.setattr(hubspot_records, "run_batch", run_until_revoked)
    the.work()
    assert the.dead() == {}
    assert list(the.services.troubles.troubles()) == [the.portal]
    monkeypatch.undo()
    the.sandbox.restore_token()
    wait_out(the, 2)

    assert [the.keys(one) for one in ids] == [LEAD_TASKS] * 80
    assert the.dead() == {}


def test_a_daily_limit_waits_for_its_end_and_costs_no_attempts(the: Practice) -> None:
    [ana] = leads(the, 1)
    the.sandbox.faults.add("429_daily", times=1)
    the.catch_up()
    assert the.waiting(ana).attempts == 0
    calls = the.sandbox.calls.total
    the.move(minutes=30)
    the.work()
    assert the.sandbox.calls.total == calls
    the.move(hours=11)
    the.work()

    assert stages(the) == {ana: "lead"}


def test_a_portal_that_was_not_set_up_names_the_command_and_goes_on_by_itself_after_it(tmp_path: Path) -> None:
    with practice(tmp_path, rules=NOTED, set_up=None) as the, capture_logs() as logs:
        ana = the.sandbox.create_contact({"email": "ana@example.com"})
        the.catch_up()
        trouble = the.services.troubles.troubles()[the.portal]
        assert "stagekeeper setup" in trouble.text
        assert "sk_reason" in trouble.text
        assert the.waiting(ana).attempts == 0
        assert the.keys(ana) == []
        assert logs

        list(set_up_portal(the.services.portals[the.portal].hubspot))
        wait_out(the, 2)
        assert stages(the) == {ana: "lead"}
        assert the.keys(ana) == ["greet"]
        assert the.services.troubles.troubles() == {}


def test_a_missing_marker_on_tasks_names_the_command(the: Practice) -> None:
    [ana] = leads(the, 1)
    del the.sandbox.portal.properties["0-27"].definitions["sk_key"]
    the.catch_up()

    trouble = the.services.troubles.troubles()[the.portal]
    assert "sk_key" in trouble.text
    assert "stagekeeper setup" in trouble.text
    assert the.dead() == {}
    prepare(the.sandbox)
    wait_out(the, 2)
    assert the.keys(ana) == LEAD_TASKS


def test_a_stage_that_the_portal_lacks_stops_the_portal_and_is_named(tmp_path: Path) -> None:
    more = "    stages: {contact: subscriber, lead: lead, prospect: '104999999', opportunity: opportunity}\n"
    with practice(tmp_path, more=more) as the:
        [ana] = leads(the, 1)
        the.catch_up()
        trouble = the.services.troubles.troubles()[the.portal]
        assert "'104999999'" in trouble.text
        assert "salesqualifiedlead" in trouble.text
        assert stages(the) == {ana: None}
        assert the.waiting(ana).attempts == 0


def test_custom_stages_are_ordered_as_the_portal_orders_them(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        value = the.sandbox.add_stage("Prospect", before="opportunity")
        portal = the.config.portals[0]
        names = {**portal.stages, "prospect": value}
        the.config = the.config.model_copy(update={"portals": [portal.model_copy(update={"stages": names})]})
        anew = the.again()
        ana = anew.sandbox.create_contact({"email": "ana@example.com", **QUALIFIED, "lifecyclestage": "lead"})
        bob = anew.sandbox.create_contact(
            {"email": "bob@example.com", **QUALIFIED, "lifecyclestage": "marketingqualifiedlead"}
        )
        eve = anew.sandbox.create_contact({"email": "eve@example.com", **QUALIFIED, "lifecyclestage": "customer"})
        anew.catch_up()

        assert stages(anew) == {ana: value, bob: value, eve: "customer"}


def test_a_portal_in_trouble_does_not_keep_another_from_its_work(tmp_path: Path) -> None:
    with practice(tmp_path, portals=(4242, 4343)) as the:
        ill, well = the.sandboxes
        one = ill.create_contact({"email": "a@example.com", **INBOUND})
        other = well.create_contact({"email": "b@example.com", **INBOUND})
        ill.revoke_token()
        the.catch_up()
        assert well.contact(other)["lifecyclestage"] == "lead"
        assert "lifecyclestage" not in ill.contact(one)
        assert list(the.services.troubles.troubles()) == [4242]

        well.update_contact(other, QUALIFIED)
        the.catch_up()
        assert well.contact(other)["lifecyclestage"] == "salesqualifiedlead"

        ill.restore_token()
        wait_out(the, 1)
        assert ill.contact(one)["lifecyclestage"] == "lead"


def test_the_reading_call_is_not_repeated_for_a_portal_in_trouble(the: Practice) -> None:
    leads(the, 1)
    the.sandbox.revoke_token()
    the.catch_up()
    the.sandbox.calls.reset()
    for _ in range(5):
        the.move(seconds=1)
        the.work()
    assert the.calls(READ_CONTACTS) == 0


def test_nothing_personal_is_logged(the: Practice) -> None:
    the.sandbox.create_contact({"email": "ana@example.com", "firstname": "Analog", **INBOUND})
    the.sandbox.faults.add("500", route=r"tasks/batch/create", times=1)
    with capture_logs() as logs:
        the.catch_up()
        wait_out(the, 2)
    assert "Analog" not in str(logs)
    assert "ana@example.com" not in str(logs)
    assert the.calls(CREATE_TASKS) == 3, "refused; an empty one, which asks whose fault it was; the one that went well"

"""A portal in trouble is an island: one alert, its events kept, no attempt used up; the others go on at full speed."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from connector.config import load_config
from connector.moments import MINUTE, system_clock
from connector.portals import Portals
from connector.sandbox import Sandbox, SandboxOptions
from connector.services import Services, open_services
from connector.store.tables import effects, waiting
from connector.telemetry import build_metrics
from connector.worker import Worker
from tests.practice import (
    CREATE_TASKS,
    INBOUND,
    LEAD_TASKS,
    QUALIFIED,
    Practice,
    leads,
    practice,
    prepare,
    stages,
    wait_out,
    write_config,
)
from tests.running import wait_until

FORGETTING = """
version: 1
pack: forgetting
ladder: [contact, lead]
facts: {asked: {sk_erasure_requested: {is: "yes"}}}
stages: [{id: all, stage: lead, because: Everybody.}]
statuses: [{id: closed, status: closed, when: asked, because: They asked to be forgotten.}]
tasks:
  - {id: greet, when: {entered: lead}, title: "Greet {{ contact.firstname }}"}
actions:
  - {id: open-deal, when: {entered: lead}, create_deal: {pipeline: default, stage: appointmentscheduled}}
  - {id: forget, when: {status: closed}, do: [unsubscribe]}
"""


@pytest.fixture
def the(tmp_path: Path) -> Iterator[Practice]:
    with practice(tmp_path) as stage:
        yield stage


def attempts(the: Practice) -> set[int]:
    return {row.attempts for row in the.rows(sa.select(waiting))}


def unsubscribing(the: Practice) -> list[str]:
    return [row.state for row in the.rows(sa.select(effects).where(effects.c.kind == "unsubscribe"))]


def alerts(logs: list[Any]) -> list[str]:
    return [line["code"] for line in logs if line["event"] == "portal.trouble_began"]


# --- whatever stops a portal ------------------------------------------------------------------------------------------


def _uninstall(sandbox: Sandbox, away: bool) -> None:
    sandbox.portal.tokens.is_uninstalled = sandbox.portal.tokens.is_revoked = away


def _take_scope(sandbox: Sandbox, away: bool) -> None:
    sandbox.portal.missing_scopes = {"crm.objects.contacts.read"} if away else set()


def _fail(kind: str, **more: Any) -> Any:
    def change(sandbox: Sandbox, away: bool) -> None:
        sandbox.faults.clear()
        if away:
            sandbox.faults.add(kind, **more)

    return change


def _revoke(sandbox: Sandbox, away: bool) -> None:
    sandbox.portal.tokens.is_revoked = away


TROUBLES = {
    "a revoked token": (_revoke, "unauthorised"),
    "an uninstalled app": (_uninstall, "unauthorised"),
    "a missing scope": (_take_scope, "forbidden"),
    "an account that moves": (_fail("477", retry_after="600"), "migrating"),
    "an outage": (_fail("503"), "unavailable"),
    "an outage with pages": (_fail("502_html"), "unavailable"),
    "time-outs": (_fail("timeout_before", seconds=0.01), "unclear"),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_a_portal_in_trouble_waits_with_one_alert_while_another_works(tmp_path: Path, name: str) -> None:
    change, code = TROUBLES[name]
    with practice(tmp_path, portals=(4242, 4343)) as the, capture_logs() as logs:
        ill, well = the.sandboxes
        ids = [ill.create_contact({"email": f"i{n}@example.com", **INBOUND}) for n in range(3)]
        change(ill, True)
        others = []
        for number in range(6):
            others.append(well.create_contact({"email": f"w{number}@example.com", **INBOUND}))
            the.catch_up()
            wait_out(the, 2, minutes=4)

        assert [well.contact(one).get("lifecyclestage") for one in others] == ["lead"] * 6
        assert alerts(logs) == [code]
        trouble = the.services.troubles.troubles()
        assert [(one.portal, one.code) for one in trouble.values()] == [(4242, code)]
        assert {the.waiting(one, 4242).attempts for one in ids} == {0}

        change(ill, False)
        wait_out(the, 3)
        assert [ill.contact(one).get("lifecyclestage") for one in ids] == ["lead"] * 3
        assert the.services.troubles.troubles() == {}
        assert [line["code"] for line in logs if line["event"] == "portal.trouble_ended"] == [code]
        assert the.dead() == {}


def test_a_hubspot_that_refuses_connections_is_an_island_too(tmp_path: Path) -> None:
    with practice(tmp_path, portals=(4242, 4343)) as the, capture_logs() as logs:
        ill, well = the.sandboxes
        one = ill.create_contact({"email": "i@example.com", **INBOUND})
        other = well.create_contact({"email": "w@example.com", **INBOUND})
        the.deliver()
        ill.stop()
        the.move(seconds=3)
        the.work()
        wait_out(the, 20)
        assert well.contact(other)["lifecyclestage"] == "lead"
        assert alerts(logs) == ["unreachable"]
        assert the.waiting(one, 4242).attempts == 0


def test_claims_that_fail_together_make_one_alert_and_an_older_success_does_not_end_it(the: Practice) -> None:
    troubles: Portals = the.services.troubles
    taken_at = the.time.now
    with capture_logs() as logs:
        for _ in range(5):
            troubles.begin_trouble(the.portal, code="unauthorised", text="no", until=the.time.now + MINUTE)
        troubles.end_trouble(the.portal, tried_at=taken_at)
        assert alerts(logs) == ["unauthorised"]
        assert list(troubles.troubles()) == [the.portal]
        troubles.end_trouble(the.portal, tried_at=taken_at + MINUTE)
        assert troubles.troubles() == {}


# --- outages of writes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["500", "503", "502_html", "reset", "timeout_before"])
@pytest.mark.parametrize("route", [r"contacts/batch/update", r"tasks/batch/create"])
def test_an_outage_of_writes_for_hours_uses_up_no_attempts(the: Practice, fault: str, route: str) -> None:
    ids = leads(the, 30)
    the.sandbox.faults.add(fault, route=route, seconds=0.01)
    with capture_logs() as logs:
        the.catch_up()
        wait_out(the, 60)
    assert attempts(the) == {0}
    assert len(alerts(logs)) == 1

    the.sandbox.faults.clear()
    wait_out(the, 2)
    assert stages(the) == dict.fromkeys(ids, "lead")
    assert [the.keys(one) for one in ids] == [LEAD_TASKS] * 30
    assert the.services.troubles.troubles() == {}
    assert the.dead() == {}


def test_writes_that_fail_for_a_contact_alone_use_up_its_attempts(the: Practice) -> None:
    """HubSpot takes an empty batch in the same place, so it is this contact."""
    [ana] = leads(the, 1)
    hubspot = the.services.portals[the.portal].hubspot
    hubspot.do_nothing = lambda _place: None  # type: ignore[method-assign]
    the.sandbox.faults.add("500", route=r"contacts/batch/update")
    the.catch_up()
    assert the.waiting(ana).attempts == 1
    wait_out(the, 12, minutes=7 * 60)
    assert list(the.dead()) == [ana]
    assert the.services.troubles.troubles() == {}


def test_nothing_is_done_where_hubspot_is_asked_to_do_nothing(the: Practice) -> None:
    hubspot = the.services.portals[the.portal].hubspot
    before = len(the.sandbox.webhooks.events)
    for place in ("contacts/batch/update", "tasks/batch/create", "deals/batch/create", "tasks/batch/read"):
        hubspot.do_nothing(place)
    assert len(the.sandbox.webhooks.events) == before


# --- a scope that one kind of effect lacks ----------------------------------------------------------------------------


def test_a_scope_for_consent_that_is_missing_hinders_nothing_else(tmp_path: Path) -> None:
    more = "    allow: {erase_contacts: true}\n"
    with practice(tmp_path, rules=FORGETTING, more=more, automations=()) as the, capture_logs() as logs:
        the.sandbox.faults.add("403_missing_scope", route=r"unsubscribe-all")
        ana = the.sandbox.create_contact({"email": "ana@example.com", "sk_erasure_requested": "yes"})
        bob = the.sandbox.create_contact({"email": "bob@example.com", "firstname": "Bob"})
        the.catch_up()
        assert stages(the) == {ana: "lead", bob: "lead"}
        assert the.keys(bob) == ["greet"]
        assert alerts(logs) == ["hindered:unsubscribe"]
        trouble = the.services.troubles.troubles()[the.portal]
        assert trouble.hinders == {"unsubscribe"}
        assert "all else goes on" in trouble.text

        eve = the.sandbox.create_contact({"email": "eve@example.com", "firstname": "Eve"})
        the.catch_up()
        assert the.keys(eve) == ["greet"]
        wait_out(the, 40)
        assert alerts(logs) == ["hindered:unsubscribe"]
        assert the.dead() == {}
        assert unsubscribing(the) == ["intended"]

        the.sandbox.faults.clear()
        wait_out(the, 4)
        assert unsubscribing(the) == ["confirmed"]
        assert the.services.troubles.troubles() == {}


def test_a_scope_for_deals_that_is_missing_hinders_deals_alone(tmp_path: Path) -> None:
    with practice(tmp_path, rules=FORGETTING, automations=()) as the, capture_logs() as logs:
        the.sandbox.faults.add("403_missing_scope", route=r"deals/batch/create")
        bob = the.sandbox.create_contact({"email": "bob@example.com", "firstname": "Bob"})
        the.catch_up()
        assert (the.keys(bob), the.sandbox.deals_of(bob)) == (["greet"], [])
        wait_out(the, 10)
        assert alerts(logs) == ["hindered:deal"]

        the.sandbox.faults.clear()
        wait_out(the, 4)
        assert len(the.sandbox.deals_of(bob)) == 1
        assert the.services.troubles.troubles() == {}


def test_a_scope_that_everything_needs_stops_the_portal(the: Practice) -> None:
    ids = leads(the, 2)
    the.sandbox.faults.add("403_missing_scope", route=r"tasks/batch/create")
    with capture_logs() as logs:
        the.catch_up()
        wait_out(the, 10)
    assert alerts(logs) == ["forbidden"]
    assert [the.waiting(one).attempts for one in ids] == [0, 0]
    assert the.calls(CREATE_TASKS, 403) > 0


# --- a portal whose calls hang ----------------------------------------------------------------------------------------


@contextmanager
def at_work(services: Services) -> Iterator[None]:
    worker = Worker(services)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(15)
        assert not thread.is_alive()


def test_a_portal_whose_calls_hang_holds_up_no_other(tmp_path: Path) -> None:
    """With eight portals that hang and one that is well, the latter is as quick as if it were alone."""
    options = [SandboxOptions(port=0, portal=4242 + number) for number in range(9)]
    sandboxes = [Sandbox(one) for one in options]
    for sandbox in sandboxes:
        sandbox.start()
        prepare(sandbox)
    try:
        config, problems = load_config(write_config(tmp_path, sandboxes, worker="worker: {settle: 0s, threads: 2}"))
        assert config is not None, problems
        services = open_services(config, metrics=build_metrics())
        ids = {one: one.create_contact({"email": "a@example.com", **QUALIFIED}) for one in sandboxes}
        for sandbox in sandboxes[:-1]:
            sandbox.faults.add("slow", seconds=30)
            services.inbox.look_at(sandbox.options.portal, [ids[sandbox]], due=system_clock() - MINUTE)
        well = sandboxes[-1]
        with at_work(services):
            wait_until(lambda: all(one.faults.struck.get("slow") for one in sandboxes[:-1]), what="hanging")
            began = time.monotonic()
            services.inbox.look_at(well.options.portal, [ids[well]], due=system_clock())
            wait_until(lambda: well.contact(ids[well]).get("lifecyclestage") == "salesqualifiedlead", what="the move")
            assert time.monotonic() - began < 5
        services.engine.dispose()
    finally:
        for sandbox in sandboxes:
            sandbox.stop()

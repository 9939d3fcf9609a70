"""The doctor on practice portals: what is well, what is broken, and that one never hides the other."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from connector.diagnosis.check import Check, broken, examined, ok
from connector.diagnosis.examination import examine
from connector.errors import DatabaseUnavailable, UsageError
from connector.hubspot.setup import set_up
from connector.inbox import Failure
from connector.moments import DAY, HOUR, MINUTE, SECOND
from connector.sandbox import Sandbox
from connector.store.engine import open_database
from connector.store.tables import contacts, events, looks, waiting
from tests.hubspot_portals import a_portal
from tests.inboxes import settle
from tests.practice import NOW, Practice, practice, write_config

OWNER = "\n    owners: {default: sales@acme.example}"
TINY = """
version: 1
pack: tiny
ladder: [contact, lead]
facts: {ours: {company.type: {is: VENDOR}}}
stages:
  - {id: asked, when: {all: [{sk_source: {is: inbound}}, {not: ours}]}, stage: lead, because: They asked.}
  - {id: rest, stage: contact, because: Nothing.}
"""
DEALS = """
actions:
  - {id: open-deal, when: {entered: lead}, create_deal: {pipeline: default, stage: appointmentscheduled}}
"""
READING = {"/account-info/details", "/oauth/private-apps/get/access-token-info", "/crm/owners"}


def examine_all(the: Practice, only: int | None = None) -> list[Check]:
    return list(examine(the.folder / "config.yaml", clock=the.time, sleep=the.time.sleep, only=only))


def of(checks: list[Check], id_: str) -> list[Check]:
    return [check for check in checks if check.id == id_]


def the_one(checks: list[Check], id_: str) -> Check:
    found = of(checks, id_)
    assert len(found) == 1, found
    return found[0]


def broken_in(checks: list[Check]) -> set[str]:
    return {check.id for check in checks if check.state == "broken"}


def edit(the: Practice, old: str, new: str) -> None:
    path = the.folder / "config.yaml"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def the(tmp_path: Path) -> Iterator[Practice]:
    with practice(tmp_path, rules=TINY, more=OWNER[1:]) as running:
        running.sandbox.add_owner("sales@acme.example")
        running.sandbox.calls.reset()
        yield running


# --- well -------------------------------------------------------------------------------------------------------------


def test_on_a_fresh_portal_nothing_is_broken_and_what_never_came_is_told(the: Practice) -> None:
    checks = examine_all(the)
    assert broken_in(checks) == set()
    assert {check.id for check in checks if check.state == "warning" and check.portal == 4242} == {
        "events", "subscriptions", "reconciliation",
    }  # fmt: skip
    unseen = the_one(checks, "subscriptions").found
    assert unseen.startswith("0 of 8 that the rules need were seen")
    assert unseen.endswith("contact.restore, contact.propertyChange of lifecyclestage, sk_source")
    assert "--all" in the_one(checks, "reconciliation").cure


def test_every_check_that_is_not_ok_names_its_cure(the: Practice) -> None:
    the.sandbox.portal.missing_scopes.add("crm.objects.companies.read")
    assert [check for check in examine_all(the) if check.state != "ok" and not check.cure] == []


def test_hubspot_is_only_read(the: Practice) -> None:
    examine_all(the)
    log = list(the.sandbox.calls.log)
    assert {call.status for call in log} == {200}
    assert [call for call in log if call.method != "GET" and call.route not in READING] == []


def test_the_database_is_left_as_it_is(the: Practice) -> None:
    the.sandbox.create_contact({"email": "a@example.com"})
    the.deliver()

    def rows() -> list[Any]:
        return [the.rows(sa.select(table)) for table in (events, waiting, looks, contacts)]

    before = rows()
    examine_all(the)
    assert rows() == before


def test_what_arrived_is_compared_with_what_the_rules_need(the: Practice) -> None:
    contact = the.sandbox.create_contact({"email": "a@example.com", "sk_source": "inbound", "phone": "1"})
    the.sandbox.delete_contact(contact)
    the.catch_up()
    the.move(hours=2)
    checks = examine_all(the)
    assert the_one(checks, "events") == replace(ok("events", "the last event came 2 hours ago"), portal=4242)
    found = the_one(checks, "subscriptions")
    assert found.found == (
        "3 of 8 that the rules need were seen; never: contact.associationChange, contact.merge, "
        "contact.privacyDeletion, contact.restore, contact.propertyChange of lifecyclestage; "
        "email, phone arrive though no rule reads them"
    )


def test_a_portal_that_fell_silent_is_told(the: Practice) -> None:
    the.sandbox.create_contact({"sk_source": "inbound"})
    the.catch_up()
    the.move(days=4)
    assert the_one(examine_all(the), "events").state == "warning"


def test_changes_that_fire_nothing_are_named_with_who_finds_them(tmp_path: Path) -> None:
    pack = TINY.replace("{sk_source: {is: inbound}}", "{num_conversion_events: {at_least: 1}}")
    with practice(tmp_path, rules=pack) as the:
        found = the_one(examine_all(the), "silent-properties")
        assert found.state == "ok"
        assert found.found == (
            "no event tells of changes of num_conversion_events, company.type; "
            "reconciliation finds them, every 15 minutes"
        )
        edit(the, "version: 1\n", "version: 1\nworker: {reconcile_every: never}\n")
        assert the_one(examine_all(the), "silent-properties").state == "warning"


# --- who is let in ----------------------------------------------------------------------------------------------------


def test_a_revoked_token_is_told_once_and_nothing_more_is_asked(the: Practice) -> None:
    the.sandbox.revoke_token()
    checks = examine_all(the)
    assert broken_in(checks) == {"token"}
    token = the_one(checks, "token")
    assert "401" in token.found
    assert "access_token" in token.cure
    assert token.exit_code == 5
    assert the.sandbox.calls.total == 1
    assert the_one(checks, "clock").state == "ok"
    assert {"database", "inbox", "subscriptions", "workers"} <= {check.id for check in checks}


def test_a_token_of_another_portal_is_broken(the: Practice) -> None:
    edit(the, "id: 4242", "id: 4343")
    token = the_one(examine_all(the), "token")
    assert (token.state, token.portal, token.exit_code) == ("broken", 4343, 3)
    assert "opens portal 4242, not 4343" in token.found


def test_a_hubspot_that_cannot_be_reached_hides_nothing_else(the: Practice) -> None:
    the.sandbox.stop()
    checks = examine_all(the)
    assert broken_in(checks) == {"token"}
    assert {"rules", "webhook_url", "database", "inbox", "workers"} <= {check.id for check in checks}


def test_each_missing_scope_is_named_with_who_needs_it(tmp_path: Path) -> None:
    gone = ("crm.objects.companies.read", "crm.schemas.contacts.write", "crm.objects.deals.write")
    with practice(tmp_path, rules=TINY + DEALS) as the:
        the.sandbox.portal.missing_scopes.update(gone)
        checks = of(examine_all(the), "scopes")
    assert [(check.state, check.found) for check in checks] == [
        ("broken", "crm.objects.companies.read is missing: companies are read for fact ours"),
        ("broken", "crm.objects.deals.write is missing: deals are opened by open-deal"),
        ("warning", "crm.schemas.contacts.write is missing: `stagekeeper setup` makes properties"),
    ]


def test_a_missing_scope_does_not_hide_what_can_be_read(tmp_path: Path) -> None:
    with practice(tmp_path, rules=TINY, set_up=None) as the:
        the.sandbox.portal.missing_scopes.add("crm.objects.companies.read")
        found = of(examine_all(the), "properties")
    assert [check.state for check in found] == ["broken", "broken"]
    assert "Stagekeeper's own properties are missing" in found[0].found
    assert "companies" in found[1].found


def test_where_hubspot_lists_no_scopes_they_are_tried_by_reading(tmp_path: Path) -> None:
    with practice(tmp_path, rules=TINY, tells_scopes=False) as the:
        (only,) = of(examine_all(the), "scopes")
        assert only.state == "warning"
        assert only.found.endswith("reading does not show crm.objects.contacts.write, crm.schemas.contacts.write")
        the.sandbox.portal.missing_scopes.add("crm.objects.companies.read")
        missing, _ = of(examine_all(the), "scopes")
        assert missing.found == "crm.objects.companies.read is missing: companies are read for fact ours"
        assert the.sandbox.calls.count(method="PATCH") == 0


def test_the_id_of_the_app_is_compared_with_the_tokens(the: Practice) -> None:
    assert the_one(examine_all(the), "app_id").state == "ok"
    edit(the, "app_id: 7001", "app_id: 7002")
    assert the_one(examine_all(the), "app_id").cure == "write app_id: 7001"
    edit(the, "    app_id: 7002\n", "")
    assert the_one(examine_all(the), "app_id").cure == "write app_id: 7001"


@pytest.mark.parametrize(
    ("ahead", "state", "found"),
    [
        (0, "ok", "agrees"),
        (29 * SECOND, "ok", "agrees"),
        (40 * SECOND, "warning", "40 seconds behind"),
        (-2 * HOUR, "broken", "2 hours ahead of"),
        (5 * MINUTE, "broken", "5 minutes behind"),
    ],
)
def test_the_clocks_are_compared(tmp_path: Path, ahead: int, state: str, found: str) -> None:
    with practice(tmp_path, rules=TINY, clock_ahead_ms=ahead) as the:
        clock = the_one(examine_all(the), "clock")
    assert clock.state == state
    assert found in clock.found


@pytest.mark.parametrize("version", ["2026-03", "2026-09"])
def test_dated_paths_are_examined_alike(tmp_path: Path, version: str) -> None:
    with practice(tmp_path, rules=TINY, more=f'    api_version: "{version}"', tells_scopes=False) as the:
        assert broken_in(examine_all(the)) == set()


def test_the_clock_is_compared_although_the_token_is_refused(tmp_path: Path) -> None:
    with practice(tmp_path, rules=TINY, clock_ahead_ms=HOUR) as the:
        the.sandbox.revoke_token()
        assert broken_in(examine_all(the)) == {"token", "clock"}


def test_the_calls_left_are_told(tmp_path: Path) -> None:
    with practice(tmp_path, rules=TINY, calls_per_day=300) as the:
        edit(the, "calls_per_day: 10000000", "calls_per_day: 300")
        assert the_one(examine_all(the), "budget").state == "ok"
        for _ in range(230):
            the.services.portals[4242].hubspot.account()
        assert the_one(examine_all(the), "budget").state == "warning"


# --- what the portal holds --------------------------------------------------------------------------------------------


def test_stages_are_listed_by_label_with_their_ids(the: Practice) -> None:
    value = the.sandbox.add_stage("Prospect", before="opportunity")
    edit(the, "rules:", "stages: {contact: subscriber, lead: Prospect}\n    rules:")
    listed, wrong = of(examine_all(the), "stages")
    assert listed.state == "ok"
    assert f"Sales Qualified Lead = salesqualifiedlead; Prospect = {value}; Opportunity = opportunity" in listed.found
    assert "Subscriber = subscriber ← contact" in listed.found
    assert wrong.state == "broken"
    assert wrong.cure.startswith(f'write `lead: "{value}"`')


def test_a_ladder_against_hubspots_order_is_told(the: Practice) -> None:
    edit(the, "rules:", "stages: {contact: opportunity, lead: lead}\n    rules:")
    _, order = of(examine_all(the), "stages")
    assert (order.state, "contact < lead" in order.found) == ("warning", True)


def test_a_portal_that_was_not_set_up_is_told_in_one_line_with_the_cure(tmp_path: Path) -> None:
    with practice(tmp_path, rules=TINY, set_up=None) as the:
        found = the_one(examine_all(the), "properties")
    assert (found.state, found.cure, found.exit_code) == ("broken", "run `stagekeeper setup`", 3)
    assert found.found == (
        "6 of Stagekeeper's own properties are missing: sk_decided_at, sk_lead_status, sk_prospect_status, sk_reason, "
        "sk_rule, sk_source"
    )


def test_the_marker_of_tasks_is_looked_for_where_tasks_are_made(tmp_path: Path) -> None:
    task = "tasks: [{id: greet, when: {entered: lead}, title: Greet}]\n"

    def without_markers(sandbox: Sandbox) -> None:
        portal = a_portal(api_url=sandbox.address, access_token="pat-sandbox")
        steps = set_up(portal)
        while next(steps).object_type == "contacts":
            pass
        portal.close()

    with practice(tmp_path, rules=TINY + task, set_up=without_markers) as the:
        assert "sk_key of tasks" in the_one(examine_all(the), "properties").found


def test_a_property_that_the_portal_lacks_is_named_with_the_nearest(tmp_path: Path) -> None:
    with practice(tmp_path, rules=TINY.replace("{sk_source: {is: inbound}}", "{jobtitel: {is: CEO}}")) as the:
        found = the_one(examine_all(the), "properties")
    assert found.state == "broken"
    assert "'jobtitel'" in found.found
    assert found.cure == "did you mean 'jobtitle'?"


def test_a_property_of_ours_that_holds_something_else_is_told(tmp_path: Path) -> None:
    def with_a_text(sandbox: Sandbox) -> None:
        portal = a_portal(api_url=sandbox.address, access_token="pat-sandbox")
        text = {"type": "string", "fieldType": "text", "groupName": "contactinformation"}
        portal.properties.make("contacts", {"name": "sk_decided_at", "label": "x", **text})
        list(set_up(portal))
        portal.close()

    with practice(tmp_path, rules=TINY, set_up=with_a_text) as the:
        found = the_one(examine_all(the), "properties")
    assert (found.state, "should be 'datetime'" in found.found) == ("broken", True)


def test_deals_are_opened_where_a_pipeline_and_a_stage_are(tmp_path: Path) -> None:
    with practice(tmp_path, rules=TINY + DEALS) as the:
        found = the_one(examine_all(the), "deals")
        assert found.found == "they are opened in default/appointmentscheduled, which is there"
        pack = the.folder / "pack.yaml"
        pack.write_text((TINY + DEALS).replace("stage: appointmentscheduled", "stage: Contract Sent"), encoding="utf-8")
        found = the_one(examine_all(the), "deals")
        assert (found.state, found.cure) == ("broken", "the stage that is called so has the id 'contractsent'")


def test_a_default_owner_who_has_left_is_told(the: Practice) -> None:
    assert the_one(examine_all(the), "owners").state == "ok"
    edit(the, "sales@acme.example", "gone@acme.example")
    found = the_one(examine_all(the), "owners")
    assert (found.state, "the default owner" in found.found, "acme" in str(found)) == ("broken", True, False)


# --- whether work flows -----------------------------------------------------------------------------------------------


def bury(the: Practice, contact: str) -> None:
    the.services.inbox.look_at(the.portal, [contact], due=the.time.now)
    claim = the.services.inbox.claim(lease_ms=MINUTE)
    assert claim is not None
    the.services.inbox.finish(claim, failed={contact: Failure(error="refused", retry_at=None)})


def test_dead_letters_are_told_with_the_command_that_shows_them(the: Practice) -> None:
    bury(the, "97000000001")
    found = the_one(examine_all(the), "dead-letters")
    assert (found.state, found.found) == ("warning", "1 contact given up after their attempts")
    assert "stagekeeper events list --dead --portal 4242" in found.cure


def test_contacts_that_nobody_works_off_mean_that_no_worker_runs(the: Practice) -> None:
    the.sandbox.create_contact({"sk_source": "inbound"})
    the.catch_up()
    assert the_one(examine_all(the), "workers").state == "ok"
    the.sandbox.create_contact({"sk_source": "inbound"})
    the.deliver()
    the.move(minutes=20)
    found = the_one(examine_all(the), "workers")
    assert found.state == "broken"
    assert "due for 20 minutes, nobody holds any, and the last decision was 20 minutes ago" in found.found
    the.work()
    assert the_one(examine_all(the), "workers").state == "ok"


def test_next_looks_that_nobody_takes_up_mean_that_no_worker_runs(the: Practice) -> None:
    contact, look = the.sandbox.create_contact({"sk_source": "inbound"}), the.time.now + DAY
    the.catch_up()
    the.services.inbox.look_at(the.portal, [contact], due=the.time.now)
    claim = the.services.inbox.claim(lease_ms=MINUTE)
    assert claim is not None
    settle(the.services.inbox, the.services.engine, claim, {contact: look})
    the.time.now = look - MINUTE
    assert the_one(examine_all(the), "inbox").found == "0 contacts waiting"
    the.time.now = look + HOUR
    checks = examine_all(the)
    assert the_one(checks, "inbox").found == "1 contact waiting, the oldest for 1 hour"
    assert "due for 1 hour, nobody holds any" in the_one(checks, "workers").found
    assert the.rows(sa.select(waiting)) == [], "nobody begins to wait because somebody asks"
    the.work()
    assert the_one(examine_all(the), "workers").state == "ok"


def test_a_backlog_that_is_worked_off_is_no_dead_worker(the: Practice) -> None:
    the.services.inbox.look_at(the.portal, ["97000000001", "97000000002"], due=the.time.now)
    the.move(minutes=10)
    assert the.services.inbox.claim(lease_ms=MINUTE, limit=1) is not None
    checks = examine_all(the)
    assert the_one(checks, "workers").state == "warning"
    assert the_one(checks, "inbox").found == "2 contacts waiting, the oldest for 10 minutes"


def test_a_portal_in_trouble_is_told_with_the_cure_and_blames_no_worker(the: Practice) -> None:
    the.services.inbox.look_at(the.portal, ["97000000001"], due=the.time.now)
    the.move(minutes=10)
    the.services.troubles.begin_trouble(
        the.portal, code="unauthorised", text="401; set a valid token", until=the.time.now + HOUR
    )
    checks = examine_all(the)
    trouble = the_one(checks, "trouble")
    assert (trouble.state, trouble.cure) == ("broken", "set a valid token")
    assert the_one(checks, "workers").state == "ok"


def test_reconciliation_that_stopped_is_told(the: Practice) -> None:
    watermarks = the.services.portals[the.portal].reconciliation.watermarks
    turn = watermarks.begin(the.portal)
    assert turn is not None
    watermarks.end(turn)
    assert the_one(examine_all(the), "reconciliation").state == "ok"
    the.move(hours=2)
    found = the_one(examine_all(the), "reconciliation")
    assert (found.state, "it should be every 15 minutes" in found.found) == ("warning", True)


# --- the database -----------------------------------------------------------------------------------------------------


def on_a_file(the: Practice) -> Path:
    """Put the portal on a SQLite file of its own, whatever the other tests run on."""
    file, config = the.folder / "own.db", the.folder / "config.yaml"
    open_database(f"sqlite:///{file}").dispose()
    text = re.sub(r"^database: .*$", f"database: sqlite:///{file}", config.read_text("utf-8"), flags=re.MULTILINE)
    config.write_text(text, encoding="utf-8")
    return file


def spoil(path: Path) -> None:
    path.unlink()
    path.with_name(f"{path.name}-wal").unlink(missing_ok=True)
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    path.write_bytes(b"this is no database" * 100)


def age(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")


def overtake(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")


def take_away(path: Path) -> None:
    for file in path.parent.glob("own.db*"):
        file.unlink()


@pytest.mark.parametrize(
    ("spoiling", "state", "words"),
    [(spoil, "broken", "not a database"), (age, "warning", "revision 0001"), (overtake, "broken", "newer release"),
     (take_away, "warning", "there is no")],
)  # fmt: skip
def test_a_database_that_is_not_as_it_should_be_hides_nothing_else(
    the: Practice, spoiling: Callable[[Path], None], state: str, words: str
) -> None:
    file = on_a_file(the)
    spoiling(file)
    checks = examine_all(the)
    found = the_one(checks, "database")
    assert (found.state, words in found.found) == (state, True)
    assert {"token", "scopes", "stages", "properties", "budget"} <= {check.id for check in checks}
    assert "inbox" not in {check.id for check in checks}
    assert spoiling is not take_away or not file.exists()


def test_a_locked_database_is_broken_but_is_read(the: Practice) -> None:
    holder = sqlite3.connect(on_a_file(the), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        checks = examine_all(the)
    finally:
        holder.close()
    assert broken_in(checks) == {"database"}
    assert the_one(checks, "inbox").state == "ok"


def test_a_server_that_does_not_answer_is_broken_and_its_password_is_not_shown(the: Practice) -> None:
    file = on_a_file(the)
    edit(the, f"sqlite:///{file}", "postgresql://stagekeeper:pass-5e4f@127.0.0.1:1/db")
    checks = examine_all(the)
    assert broken_in(checks) == {"database"}
    assert the_one(checks, "database").cure.startswith("check that the server runs and ")
    assert not [check for check in checks if "pass-5e4f" in str(check)]
    assert {"token", "budget"} <= {check.id for check in checks}


def test_a_folder_that_is_not_there_is_broken(the: Practice) -> None:
    on_a_file(the)
    edit(the, "own.db", "nowhere/own.db")
    found = the_one(examine_all(the), "database")
    assert (found.state, found.exit_code, found.cure) == ("broken", 5, "make it")


# --- files, and the whole ---------------------------------------------------------------------------------------------


def test_a_pack_that_does_not_load_leaves_all_that_does_not_need_it(the: Practice) -> None:
    (the.folder / "pack.yaml").write_text(TINY.replace("{not: ours}", "{not: theirs}"), encoding="utf-8")
    checks = examine_all(the)
    assert broken_in(checks) == {"rules"}
    assert "unknown-fact" in the_one(checks, "rules").found
    assert {"token", "stages", "budget", "events", "inbox"} <= {check.id for check in checks}
    assert not {"scopes", "properties", "subscriptions"} & {check.id for check in checks}


def test_a_configuration_that_does_not_load_is_the_first_line(the: Practice) -> None:
    edit(the, "access_token: pat-sandbox", "access_token: ${NOT_SET_AT_ALL}")
    edit(the, "app_id: 7001", "app_idd: 7001")
    checks = examine_all(the)
    assert [(check.id, check.state, check.exit_code) for check in checks] == [("configuration", "broken", 3)] * 2
    assert "NOT_SET_AT_ALL" in checks[0].found
    assert "app_idd" in checks[1].found


def test_one_portal_of_two_can_be_examined(tmp_path: Path) -> None:
    with practice(tmp_path, rules=TINY, portals=(4242, 4343)) as the:
        the.sandboxes[1].revoke_token()
        every, one = examine_all(the), examine_all(the, only=4242)
        with pytest.raises(UsageError, match=r"4242 \| 4343"):
            examine_all(the, only=1)
    assert {check.portal for check in every if check.state == "broken"} == {4343}
    assert {check.portal for check in one} == {None, 4242}
    assert broken_in(one) == set()


def test_a_check_that_fails_itself_hides_no_other() -> None:
    def fail() -> list[Check]:
        raise ZeroDivisionError("with the secret hunter-two in it")

    def lose() -> list[Check]:
        raise DatabaseUnavailable("database: gone; expected it; bring it back")

    first = [*examined("a", fail, secrets=("hunter-two",))]
    second, third = [*examined("b", lose, portal=1)], [*examined("c", lambda: [ok("c", "well")])]
    told = "it could not be examined: ZeroDivisionError: with the secret … in it"
    assert first == [broken("a", told, "tell the makers of Stagekeeper, with this line")]
    assert second == [replace(broken("b", "database: gone; expected it", "bring it back"), portal=1)]
    assert third == [ok("c", "well")]


def test_a_webhook_address_that_hubspot_would_refuse_is_broken(the: Practice) -> None:
    assert the_one(examine_all(the), "webhook_url").found.endswith("https://hooks.example.com/webhooks/hubspot")
    edit(the, "https://hooks.example.com", "http://hooks.example.com")
    assert the_one(examine_all(the), "webhook_url").state == "broken"
    edit(the, "http://hooks.example.com", "http://127.0.0.1:8080")
    assert the_one(examine_all(the), "webhook_url").state == "warning"
    edit(the, "http://127.0.0.1:8080/webhooks/hubspot", "https://hooks.example.com/crm")
    found = the_one(examine_all(the), "webhook_url")
    assert (found.state, "pass it on to /webhooks/hubspot" in found.cure) == ("warning", True)


def test_a_token_in_the_place_of_the_client_secret_is_broken(the: Practice) -> None:
    edit(the, "client_secret: sandbox-secret", "client_secret: pat-eu1-0a1b2c3d")
    found = the_one(examine_all(the), "client_secret")
    assert (found.state, "pat-eu1" in str(found)) == ("broken", False)


def test_files_that_others_may_write_or_read_secrets_in_are_told(the: Practice) -> None:
    config, pack = the.folder / "config.yaml", the.folder / "pack.yaml"
    config.chmod(0o600)
    pack.chmod(0o644)
    assert the_one(examine_all(the), "permissions").state == "ok"
    config.chmod(0o644)
    assert "access_token, client_secret" in the_one(examine_all(the), "permissions").found
    config.chmod(0o600)
    pack.chmod(0o666)
    assert the_one(examine_all(the), "permissions").cure == f"chmod o-w {pack}"


def test_no_portal_that_was_never_heard_of_is_needed_to_examine_a_fresh_folder(tmp_path: Path) -> None:
    path = write_config(tmp_path, [])
    assert [check.id for check in examine(path, clock=lambda: NOW)] == ["configuration"]
    assert [check.id for check in examine(tmp_path / "none.yaml", clock=lambda: NOW + DAY)] == ["configuration"]

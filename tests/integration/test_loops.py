"""Loops come to rest: our own echoes, whoever reports them, and automations that fight with us over a value."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog

from connector.config import load_config
from connector.moments import DAY, write_moment
from connector.rivals.rivals import Fight, open_fights
from connector.sandbox import Sandbox
from connector.sandbox.records import Author
from connector.store.tables import contacts
from connector.web.fights import fight_alerts
from tests.practice import READ_CONTACTS, WRITE_CONTACTS, Practice, practice, write_config

PACK = """
version: 1
pack: loops
ladder: [contact, lead, prospect]
facts:
  wants: {sk_intent: {is: wants_to_buy}}
  asked: {sk_source: {is: inbound}}
stages:
  - {id: wants, when: wants, stage: prospect, because: They want to buy.}
  - {id: asked, when: asked, stage: lead, because: They asked.}
  - {id: others, stage: contact, because: Nothing yet.}
statuses:
  - {id: new, of: prospect, status: new, because: They are new.}
values:
  - {id: drip, when: asked, set: {sk_drip: "true", sk_next_step: Call them}}
tasks:
  - {id: greet, when: {entered: lead}, title: Greet them}
"""
INBOUND = {"sk_source": "inbound"}
WORKFLOW = {"source": "AUTOMATION_PLATFORM", "source_id": "workflowId:123;enrollmentId:5"}
NAMED = "workflow 123 (AUTOMATION_PLATFORM)"


def stage(the: Practice, contact: str) -> str:
    return str(the.sandbox.contact(contact).get("lifecyclestage"))


def written(the: Practice, contact: str, name: str, value: str, app: str = "7001") -> int:
    """How often Stagekeeper gave a property this value, by HubSpot's own history."""
    entries = the.sandbox.everything_about(contact)["history"][name]
    ours = [entry for entry in entries if (entry["sourceType"], entry["sourceId"]) == ("INTEGRATION", app)]
    return sum(entry["value"] == value for entry in ours)


def set_back(
    the: Practice, ids: Sequence[str], values: Mapping[str, str], *, rounds: int = 10, minutes: int = 5,
    by: Mapping[str, str] = WORKFLOW,
) -> None:  # fmt: skip
    """Let a rival answer each of our writes with its own, as a workflow that is enrolled by the change does."""
    for _ in range(rounds):
        the.move(minutes=minutes)
        for contact in ids:
            the.sandbox.update_contact(contact, values, **by)
        the.catch_up()


def began(log: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    return [(line["property"], line["rival"]) for line in log if line["event"] == "fight.began"]


def fights(the: Practice) -> list[Fight]:
    return open_fights(the.services.engine, [the.portal], the.time.now)


# --- echoes -----------------------------------------------------------------------------------------------------------


def foreign(bodies: Sequence[Mapping[str, Any]], **changes: object) -> list[dict[str, Any]]:
    """Our own echoes, as HubSpot would tell them of a cascade: of another source, each a change of its own."""
    return [
        {**body, "changeSource": "CALCULATED", "sourceId": "RollupProperties", **changes, "eventId": 5_000_000 + number}
        for number, body in enumerate(bodies)
        if body["changeSource"] == "INTEGRATION"
    ]


def storm(the: Practice, contact: str, rounds: int = 20) -> list[dict[str, Any]]:
    echoes = foreign(list(the.sandbox.webhooks.events))
    assert {body["propertyName"] for body in echoes} >= {"lifecyclestage", "sk_drip", "sk_reason", "sk_rule"}
    assert {body["objectId"] for body in echoes} == {int(contact)}
    return [{**body, "eventId": body["eventId"] + 1_000 * number} for body in echoes for number in range(rounds)]


def test_a_storm_of_echoes_under_a_foreign_source_is_no_reason_to_look(tmp_path: Path) -> None:
    with practice(tmp_path, rules=PACK) as the:
        ana = the.sandbox.create_contact(INBOUND)
        the.catch_up()
        echoes = [body for body in storm(the, ana) if body["propertyName"] != "sk_decided_at"]
        the.sandbox.calls.reset()
        the.accept(echoes)
        the.move(seconds=3)
        assert the.work() == 0
        assert (the.calls(READ_CONTACTS), the.calls(WRITE_CONTACTS)) == (0, 0)
        assert the.waiting(ana) is None


def test_echoes_that_are_not_known_by_their_value_cost_one_look_and_no_write(tmp_path: Path) -> None:
    with practice(tmp_path, rules=PACK) as the:
        ana = the.sandbox.create_contact(INBOUND)
        the.catch_up()
        the.sandbox.calls.reset()
        for _ in range(10):
            the.accept([{**body, "propertyValue": "REDACTED"} for body in storm(the, ana)])
        the.move(seconds=3)
        assert the.work() == 1
        assert (the.calls(READ_CONTACTS), the.calls(WRITE_CONTACTS)) == (1, 0)
        assert the.waiting(ana) is None


def test_without_the_apps_id_our_own_echoes_come_to_rest_too(tmp_path: Path) -> None:
    with practice(tmp_path, rules=PACK) as the:
        path = tmp_path / "config.yaml"
        path.write_text(path.read_text("utf-8").replace("    app_id: 7001\n", ""), "utf-8")
        blind = started_on(the, path)
        ana = the.sandbox.create_contact(INBOUND)
        blind.catch_up()
        reads = the.calls(READ_CONTACTS)
        for _ in range(20):
            blind.catch_up()
        assert the.calls(READ_CONTACTS) - reads <= 1
        assert the.calls(WRITE_CONTACTS) == 1
        assert stage(the, ana) == "lead"


def test_a_person_who_sets_our_value_again_after_a_third_one_is_heard(tmp_path: Path) -> None:
    with practice(tmp_path, rules=PACK) as the:
        ana = the.sandbox.create_contact(INBOUND)
        the.catch_up()
        the.move(seconds=30)
        the.sandbox.update_contact(ana, {"lifecyclestage": "subscriber"})
        the.catch_up()
        assert held(the, ana) == f"a person set HubSpot's stage 'subscriber'; it stays until {moved_on(the, ana)}"
        the.sandbox.update_contact(ana, {"lifecyclestage": "lead"})
        the.deliver()
        the.move(seconds=3)
        assert the.work() == 1
        assert held(the, ana) is None


def moved_on(the: Practice, contact: str) -> str:
    (row,) = the.rows(sa.select(contacts.c.theirs_until).where(contacts.c.contact == contact))
    return write_moment(row.theirs_until)


def held(the: Practice, contact: str) -> str | None:
    record = the.services.portals[the.portal].recorder.latest(contact)
    assert record is not None
    text: str | None = record["planned"]["held"]
    return text


def test_an_echo_by_value_is_heard_while_a_worker_holds_the_contact(tmp_path: Path) -> None:
    with practice(tmp_path, rules=PACK) as the:
        ana = the.sandbox.create_contact(INBOUND)
        the.catch_up()
        echo = foreign(list(the.sandbox.webhooks.events))[:1]
        the.services.inbox.look_at(the.portal, [ana], due=the.time.now)
        claim = the.services.inbox.claim(lease_ms=300_000)
        assert claim is not None
        the.accept(echo)
        assert the.waiting(ana).generation == claim.contacts[0].generation + 1


# --- fights -----------------------------------------------------------------------------------------------------------


def test_a_workflow_that_sets_the_stage_back_is_named_and_left_alone_after_three_writes(tmp_path: Path) -> None:
    with practice(tmp_path, rules=PACK) as the, structlog.testing.capture_logs() as log:
        ana = the.sandbox.create_contact(INBOUND)
        the.catch_up()
        set_back(the, [ana], {"lifecyclestage": "subscriber"})
        assert written(the, ana, "lifecyclestage", "lead") == 3
        assert stage(the, ana) == "subscriber"
        assert began(log) == [("lifecyclestage", NAMED)]
        (fight,) = fights(the)
        assert (fight.property, fight.rival, fight.times) == ("lifecyclestage", NAMED, 1)
        until = write_moment(fight.seen_at + DAY)
        assert held(the, ana) == (
            f"{NAMED} sets lifecyclestage back each time it is written; it is left alone until {until}"
        )
        metric = the.services.metrics.fights.labels(str(the.portal), "lifecyclestage")
        assert metric._value.get() == 1


def test_explain_says_who_holds_a_value_and_until_when(tmp_path: Path) -> None:
    with practice(tmp_path, rules=PACK) as the:
        ana = the.sandbox.create_contact(INBOUND)
        the.catch_up()
        set_back(the, [ana], {"sk_drip": ""})
        parts = the.services.portals[the.portal]
        judged = parts.pipeline.examiner.read_and_judge(
            ana, parts.recorder.held([ana])[ana], parts.pipeline.terms(), the.time.now
        )
        assert judged is not None
        (fight,) = fights(the)
        until = write_moment(fight.seen_at + DAY)
        assert judged.plan.as_data() == {
            "properties": {}, "effects": [], "held": None,
            "withheld": {
                "sk_drip": f"{NAMED} sets sk_drip back each time it is written; it is left alone until {until}"
            },
        }  # fmt: skip


def test_other_properties_and_other_contacts_go_on(tmp_path: Path) -> None:
    with practice(tmp_path, rules=PACK) as the:
        ana, bo = (the.sandbox.create_contact(INBOUND) for _ in range(2))
        the.catch_up()
        set_back(the, [ana], {"sk_drip": ""})
        the.sandbox.update_contact(bo, {"sk_drip": ""}, source="AUTOMATION_PLATFORM", source_id="once")
        the.sandbox.update_contact(ana, {"sk_intent": "wants_to_buy", "sk_next_step": ""})
        the.catch_up()
        assert "sk_drip" not in the.sandbox.contact(ana)
        assert the.sandbox.contact(bo)["sk_drip"] == "true"
        shown = the.sandbox.contact(ana)
        assert (stage(the, ana), shown["sk_prospect_status"], shown["sk_next_step"], shown["sk_rule"]) == (
            "salesqualifiedlead", "new", "Call them", "wants",
        )  # fmt: skip


def test_another_value_of_the_same_property_is_written_and_fought_over_by_itself(tmp_path: Path) -> None:
    with practice(tmp_path, rules=PACK) as the:
        ana = the.sandbox.create_contact(INBOUND)
        the.catch_up()
        set_back(the, [ana], {"lifecyclestage": "subscriber"})
        the.sandbox.update_contact(ana, {"sk_intent": "wants_to_buy"})
        the.catch_up()
        assert stage(the, ana) == "salesqualifiedlead"
        set_back(the, [ana], {"lifecyclestage": "subscriber"})
        assert written(the, ana, "lifecyclestage", "salesqualifiedlead") == 1


def test_a_workflow_that_fights_over_many_contacts_gives_one_alert(tmp_path: Path) -> None:
    with practice(tmp_path, rules=PACK) as the, structlog.testing.capture_logs() as log:
        many = [the.sandbox.create_contact(INBOUND) for _ in range(120)]
        the.catch_up()
        set_back(the, many[:60], {"sk_drip": ""}, rounds=5)
        assert [written(the, one, "sk_drip", "true") for one in many[:60]] == [3] * 60
        set_back(the, many[60:], {"sk_drip": ""}, rounds=5)
        assert [written(the, one, "sk_drip", "true") for one in many[60:]] == [1] * 60
        assert began(log) == [("sk_drip", NAMED)]
        assert [(fight.rival, fight.times) for fight in fights(the)] == [(NAMED, 120)]


def test_sources_that_differ_from_contact_to_contact_do_not_give_an_alert_each(tmp_path: Path) -> None:
    with practice(tmp_path, rules=PACK) as the, structlog.testing.capture_logs() as log:
        many = [the.sandbox.create_contact(INBOUND) for _ in range(12)]
        the.catch_up()
        for _ in range(5):
            the.move(minutes=1)
            for number, one in enumerate(many):
                the.sandbox.update_contact(one, {"sk_drip": ""}, source="SYNC", source_id=f"job-{number}")
            the.catch_up()
        assert len(began(log)) == 6
        assert ("sk_drip", "several automations") in began(log)


def test_what_is_left_alone_survives_a_new_start(tmp_path: Path) -> None:
    with practice(tmp_path, rules=PACK) as the, structlog.testing.capture_logs() as log:
        ana = the.sandbox.create_contact(INBOUND)
        the.catch_up()
        latest = the
        for _ in range(10):
            set_back(latest, [ana], {"lifecyclestage": "subscriber"}, rounds=1)
            latest = latest.again()
        assert written(the, ana, "lifecyclestage", "lead") == 3
        assert began(log) == [("lifecyclestage", NAMED)]


def test_after_a_day_it_is_tried_once_and_goes_well_when_the_rival_has_stopped(tmp_path: Path) -> None:
    with practice(tmp_path, rules=PACK) as the, structlog.testing.capture_logs() as log:
        ana = the.sandbox.create_contact(INBOUND)
        the.catch_up()
        set_back(the, [ana], {"lifecyclestage": "subscriber"})
        the.move(days=1)
        the.work()
        assert stage(the, ana) == "lead"
        assert held(the, ana) is None
        the.move(days=2)
        the.worker.tidy()
        assert fights(the) == []
        assert [line["event"] for line in log if line["event"] == "fight.ended"] == ["fight.ended"]


def test_a_rival_that_does_not_stop_gets_one_write_a_day_and_no_further_alert(tmp_path: Path) -> None:
    with practice(tmp_path, rules=PACK) as the, structlog.testing.capture_logs() as log:
        ana = the.sandbox.create_contact(INBOUND)
        the.catch_up()
        for day in range(5):
            set_back(the, [ana], {"lifecyclestage": "subscriber"}, rounds=8, minutes=181)
            the.worker.tidy()
            assert written(the, ana, "lifecyclestage", "lead") <= 3 + day
        assert written(the, ana, "lifecyclestage", "lead") >= 5
        assert began(log) == [("lifecyclestage", NAMED)]


def test_other_rules_may_write_it_again(tmp_path: Path) -> None:
    with practice(tmp_path, rules=PACK) as the:
        ana = the.sandbox.create_contact(INBOUND)
        the.catch_up()
        set_back(the, [ana], {"sk_drip": ""})
        (tmp_path / "pack.yaml").write_text(PACK.replace("They asked.", "They asked us."), "utf-8")
        the.again().look(ana)
        assert the.sandbox.contact(ana)["sk_drip"] == "true"


def test_a_person_is_no_rival(tmp_path: Path) -> None:
    with practice(tmp_path, rules=PACK) as the, structlog.testing.capture_logs() as log:
        ana = the.sandbox.create_contact(INBOUND)
        the.catch_up()
        set_back(the, [ana], {"sk_drip": ""}, by={})
        assert written(the, ana, "sk_drip", "true") == 11
        set_back(the, [ana], {"lifecyclestage": "subscriber"}, by={})
        assert stage(the, ana) == "subscriber"
        assert began(log) == []


def test_what_turns_a_value_round_by_way_of_the_rules_inputs_comes_to_an_end_too(tmp_path: Path) -> None:
    with practice(tmp_path, rules=PACK) as the, structlog.testing.capture_logs() as log:
        ana = the.sandbox.create_contact({**INBOUND, "sk_intent": "wants_to_buy"})
        the.catch_up()
        for number in range(60):
            the.move(minutes=10)
            intent = ("unclear", "wants_to_buy")[number % 2]
            the.sandbox.update_contact(ana, {"sk_intent": intent}, **WORKFLOW)
            the.catch_up()
        assert [written(the, ana, "sk_rule", rule) for rule in ("asked", "wants")] == [20, 20]
        assert ("sk_rule", "something set off by its change") in began(log)


def test_a_person_who_steps_into_a_fight_over_the_stage_wins(tmp_path: Path) -> None:
    with practice(tmp_path, rules=PACK) as the:
        ana = the.sandbox.create_contact(INBOUND)
        the.catch_up()
        set_back(the, [ana], {"lifecyclestage": "subscriber"})
        the.sandbox.update_contact(ana, {"lifecyclestage": "other"})
        the.catch_up()
        the.sandbox.update_contact(ana, {"lifecyclestage": "subscriber"})
        the.catch_up()
        the.move(days=2)
        the.work()
        assert stage(the, ana) == "subscriber"
        assert str(held(the, ana)).startswith("a person set HubSpot's stage 'subscriber'")


def test_hubspots_own_automation_counts_as_a_rival(tmp_path: Path) -> None:
    more = "    allow: {backward_moves: true}"
    pack = PACK.replace("because: They asked.}", "because: They asked., backward: true}")
    with practice(tmp_path, rules=pack, more=more, automations=("company_stage",)) as the:
        firm = the.sandbox.create_company({"name": "Firm"})
        ana = the.sandbox.create_contact({**INBOUND, "sk_intent": "wants_to_buy"}, company=firm)
        the.catch_up()
        the.sandbox.update_contact(ana, {"sk_intent": "unclear"})
        the.catch_up()
        for _ in range(6):
            the.move(minutes=10)
            the.sandbox.update_company(firm, {"lifecyclestage": ""})
            the.sandbox.update_company(firm, {"lifecyclestage": "salesqualifiedlead"})
            the.catch_up()
        assert written(the, ana, "lifecyclestage", "lead") == 3
        assert [fight.rival for fight in fights(the)] == ["workflow lifecycle-automation (AUTOMATION_PLATFORM)"]
        assert stage(the, ana) == "salesqualifiedlead"


@contextmanager
def as_app(sandbox: Sandbox, app: str) -> Iterator[None]:
    """What is called through the API meanwhile is called by this app."""
    before = sandbox.portal.app
    sandbox.portal.app = Author("INTEGRATION", app)
    try:
        yield
    finally:
        sandbox.portal.app = before


def second(the: Practice, folder: Path, pack: str) -> Practice:
    """Another Stagekeeper on the same portal: its own app, rules and database."""
    home = folder / "second"
    home.mkdir()
    (home / "pack.yaml").write_text(pack, "utf-8")
    path = write_config(home, the.sandboxes, rules=home / "pack.yaml")
    path.write_text(path.read_text("utf-8").replace("app_id: 7001", "app_id: 7002"), "utf-8")
    return started_on(replace(the, folder=home, heard={}), path)


def started_on(the: Practice, path: Path) -> Practice:
    """Start anew with another configuration."""
    config, problems = load_config(path)
    assert config is not None, problems
    return replace(the, config=config).again()


def test_two_stagekeepers_of_two_apps_with_two_packs_come_to_rest(tmp_path: Path) -> None:
    theirs = PACK.replace("They asked.", "They came to us.").replace('sk_drip: "true"', 'sk_accepted_step: close')
    theirs = theirs.replace("id: asked, when", "id: came, when")
    with practice(tmp_path, rules=PACK) as the, structlog.testing.capture_logs() as log:
        other = second(the, tmp_path, theirs)
        ana = the.sandbox.create_contact(INBOUND)
        for _ in range(40):
            the.move(minutes=5)
            the.catch_up()
            with as_app(the.sandbox, "7002"):
                other.catch_up()
        ours, theirs_written = (
            [written(the, ana, name, value, app) for name, value in said]
            for app, said in (
                ("7001", (("sk_rule", "asked"), ("sk_reason", "They asked."))),
                ("7002", (("sk_rule", "came"), ("sk_reason", "They came to us."))),
            )
        )
        assert (ours, theirs_written) == ([3, 3], [3, 3])
        # Whoever notices first gives in, and the other has nothing to fight against any more.
        assert began(log) == [("sk_reason", "app 7002 (INTEGRATION)"), ("sk_rule", "app 7002 (INTEGRATION)")]
        assert the.sandbox.contact(ana)["sk_rule"] == "came"
        assert (the.sandbox.contact(ana)["sk_drip"], the.sandbox.contact(ana)["sk_accepted_step"]) == ("true", "close")


# --- what it costs, and what people see -------------------------------------------------------------------------------


def statements(the: Practice) -> list[str]:
    """Collect the statements that the database is asked from now on."""
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    sa.event.listen(the.services.engine, "before_cursor_execute", note)
    return asked


def test_the_ordinary_path_never_asks_for_fights_nor_for_histories(tmp_path: Path) -> None:
    with practice(tmp_path, rules=PACK) as the:
        asked = statements(the)
        many = [the.sandbox.create_contact(INBOUND) for _ in range(50)]
        the.catch_up()
        for one in many:
            the.sandbox.update_contact(one, {"sk_intent": "wants_to_buy"})
        the.catch_up()
        assert asked
        assert [statement for statement in asked if "fights" in statement] == []
        assert the.calls(READ_CONTACTS) == 2


def test_fights_are_asked_for_once_a_claim_however_many_contacts(tmp_path: Path) -> None:
    with practice(tmp_path, rules=PACK) as the:
        many = [the.sandbox.create_contact(INBOUND) for _ in range(50)]
        the.catch_up()
        asked = statements(the)
        set_back(the, many, {"sk_drip": ""}, rounds=1)
        assert len([statement for statement in asked if "FROM fights" in statement]) == 1


def test_the_page_shows_a_fight_as_one_alert(tmp_path: Path) -> None:
    with practice(tmp_path, rules=PACK) as the:
        many = [the.sandbox.create_contact(INBOUND) for _ in range(3)]
        the.catch_up()
        set_back(the, many, {"sk_drip": ""})
        (fight,) = fights(the)
        (alert,) = fight_alerts(the.services.engine, [the.portal], the.time.now)
        assert (alert.portal, alert.subject, alert.since) == (the.portal, "fight over sk_drip", fight.began_at)
        assert alert.text.startswith(f"{NAMED} sets sk_drip back each time Stagekeeper has written it.")

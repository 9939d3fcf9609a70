"""Moves of the stage: back where it is allowed, a person's move first, no flapping."""

from pathlib import Path

from connector.moments import DAY, write_moment
from tests.practice import Practice, practice

LADDER = """
version: 1
pack: moves
ladder: [contact, lead, prospect]
facts:
  wants: {sk_intent: {is: wants_to_buy}}
  asked: {sk_source: {is: inbound}}
stages:
  - {id: wants, when: wants, stage: prospect, because: They want to buy.}
  - {id: asked, when: asked, stage: lead, because: They asked., backward: true}
  - {id: others, stage: contact, because: Nothing yet.}
"""
BACKWARD = "    allow: {backward_moves: true}"
PROSPECT = {"sk_source": "inbound", "sk_intent": "wants_to_buy"}


def stage(the: Practice, contact: str) -> str:
    return str(the.sandbox.contact(contact).get("lifecyclestage"))


def change(the: Practice, contact: str, **properties: str) -> None:
    the.sandbox.update_contact(contact, properties)
    the.catch_up()


def test_a_marked_rule_moves_back_by_clearing_first_where_the_portal_allows_it(tmp_path: Path) -> None:
    with practice(tmp_path, rules=LADDER, more=BACKWARD) as the:
        ana = the.sandbox.create_contact(PROSPECT)
        the.catch_up()
        assert stage(the, ana) == "salesqualifiedlead"
        change(the, ana, sk_intent="unclear")
        assert stage(the, ana) == "lead"
        values = [entry["value"] for entry in the.sandbox.everything_about(ana)["history"]["lifecyclestage"]]
        assert values[:3] == ["lead", "", "salesqualifiedlead"]


def test_an_unmarked_rule_never_moves_back(tmp_path: Path) -> None:
    with practice(tmp_path, rules=LADDER, more=BACKWARD) as the:
        ana = the.sandbox.create_contact(PROSPECT)
        the.catch_up()
        change(the, ana, sk_intent="unclear", sk_source="")
        assert stage(the, ana) == "salesqualifiedlead"


def test_nothing_moves_back_where_the_portal_does_not_allow_it(tmp_path: Path) -> None:
    with practice(tmp_path, rules=LADDER) as the:
        ana = the.sandbox.create_contact(PROSPECT)
        the.catch_up()
        change(the, ana, sk_intent="unclear")
        assert stage(the, ana) == "salesqualifiedlead"


def test_a_move_back_that_a_crash_cut_in_two_is_completed(tmp_path: Path) -> None:
    with practice(tmp_path, rules=LADDER, more=BACKWARD) as the:
        ana = the.sandbox.create_contact(PROSPECT)
        the.catch_up()
        # The clearing has gone through, and nothing after it does, as if the process had died between the two.
        the.sandbox.faults.add("500", route="contacts/batch/update", times=None)
        the.sandbox.update_contact(ana, {"lifecyclestage": ""}, source="INTEGRATION", source_id="7001")
        change(the, ana, sk_intent="unclear")
        assert not the.sandbox.contact(ana).get("lifecyclestage")
        the.sandbox.faults.clear()
        again = the.again()
        again.move(minutes=30)
        again.work()
        assert stage(again, ana) == "lead"


def test_a_persons_move_wins_for_a_week_and_then_the_rules_do(tmp_path: Path) -> None:
    with practice(tmp_path, rules=LADDER) as the:
        ana = the.sandbox.create_contact({"sk_source": "inbound"})
        the.catch_up()
        assert stage(the, ana) == "lead"
        change(the, ana, lifecyclestage="subscriber")
        assert stage(the, ana) == "subscriber"
        change(the, ana, sk_intent="wants_to_buy")
        assert stage(the, ana) == "subscriber"
        moved_at = the.time.now
        assert (the.next_look(ana) or moved_at + 8 * DAY) <= moved_at + 7 * DAY
        the.move(days=7)
        the.work()
        assert stage(the, ana) == "salesqualifiedlead"


def test_the_record_says_that_a_person_moved_the_stage_and_until_when_it_stays(tmp_path: Path) -> None:
    with practice(tmp_path, rules=LADDER, more="    human_wins_for: 3 days") as the:
        ana = the.sandbox.create_contact({"sk_source": "inbound"})
        the.catch_up()
        at = the.time.now
        change(the, ana, lifecyclestage="subscriber")
        record = the.services.portals[the.portal].recorder.latest(ana)
        assert record is not None
        assert record["planned"]["held"] == (
            f"a person set HubSpot's stage 'subscriber'; it stays until {write_moment(at + 3 * DAY)}"
        )


def test_a_stage_that_a_person_set_before_the_first_look_does_not_win_because_a_write_failed(tmp_path: Path) -> None:
    """What failed may as well have been the process, after it had decided and before it wrote."""
    with practice(tmp_path, rules=LADDER) as the:
        fault = the.sandbox.faults.add("500", route="contacts/batch/update")
        ana = the.sandbox.create_contact({**PROSPECT, "lifecyclestage": "lead"})
        the.catch_up()
        assert stage(the, ana) == "lead"
        the.sandbox.faults.remove(fault.id)
        the.move(minutes=30)
        the.work()
        assert stage(the, ana) == "salesqualifiedlead"


def test_a_workflows_move_does_not_win(tmp_path: Path) -> None:
    with practice(tmp_path, rules=LADDER) as the:
        ana = the.sandbox.create_contact({"sk_source": "inbound"})
        the.catch_up()
        the.sandbox.update_contact(
            ana, {"lifecyclestage": "subscriber"}, source="AUTOMATION_PLATFORM", source_id="enrollmentId:5"
        )
        the.catch_up()
        assert stage(the, ana) == "lead"


def test_who_entered_a_stage_is_not_moved_back_before_the_minimum_stay(tmp_path: Path) -> None:
    pack = LADDER.replace("facts:", "min_stay: 2 days\nfacts:", 1)
    with practice(tmp_path, rules=pack, more=BACKWARD) as the:
        ana = the.sandbox.create_contact(PROSPECT)
        the.catch_up()
        change(the, ana, sk_intent="unclear")
        assert stage(the, ana) == "salesqualifiedlead"
        assert the.sandbox.contact(ana)["sk_reason"].startswith("Who enters prospect stays for 2 days at least")
        the.move(days=2)
        the.work()
        assert stage(the, ana) == "lead"


def test_hubspot_ahead_of_the_rules_is_held_with_a_reason(tmp_path: Path) -> None:
    with practice(tmp_path, rules=LADDER) as the:
        ana = the.sandbox.create_contact({"sk_source": "inbound", "lifecyclestage": "opportunity"})
        the.catch_up()
        record = the.services.portals[the.portal].recorder.latest(ana)
        assert record is not None
        assert record["planned"]["held"] == (
            "HubSpot's stage 'opportunity' is ahead of 'lead', which the rules decided; it stays"
        )
        assert stage(the, ana) == "opportunity"

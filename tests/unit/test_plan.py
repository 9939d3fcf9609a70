"""The plan: only what differs is written, stages go forward only, effects are named before they happen."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from connector.decision import NO_MEMORY, Decision, Memory, decide
from connector.moments import DAY, HOUR, write_moment
from connector.plan import Change, Effect, Plan, Terms, make_plan
from connector.rulebook.judging import Rulebook
from connector.snapshot import Snapshot
from connector.workdays import Workdays
from tests.rulebooks import NOW, pack_of

LADDER = ("contact", "lead", "prospect", "opportunity")
STAGES = {
    "contact": "subscriber", "lead": "lead", "prospect": "salesqualifiedlead", "opportunity": "opportunity",
}  # fmt: skip
TERMS = Terms(portal=4242, ladder=LADDER, stages=STAGES)
REASON = {"sk_reason": "Because.", "sk_rule": "rule"}


def decision(stage: str | None, *, before: str | None = None, **more: Any) -> Decision:
    values: dict[str, Any] = {
        "stage": stage, "status": None, "rule": "rule", "because": "Because.", "facts": {}, "set": {}, "tasks": (),
        "actions": (), "next_look_at": None, "memory": Memory(stage=stage), "stage_before": before,
    }  # fmt: skip
    return Decision(**{**values, **more})


def snapshot(**properties: str | None) -> Snapshot:
    return Snapshot(contact="77", properties={**REASON, **properties}, company={}, deals=())


def plan(stage: str | None, terms: Terms = TERMS, *, decided: Mapping[str, Any] | None = None, **here: Any) -> Plan:
    return make_plan(decision(stage, **(decided or {})), snapshot(**here), terms, NOW)


# --- only differences ---------------------------------------------------------------------------------------------


def test_everything_differs_from_an_empty_contact() -> None:
    found = make_plan(decision("lead", set={"sk_drip": "true"}), Snapshot(contact="77", properties={}), TERMS, NOW)
    assert found == Plan(
        contact="77",
        properties={
            "sk_drip": Change("", "true"), "sk_reason": Change("", "Because."), "sk_rule": Change("", "rule"),
            "lifecyclestage": Change("", "lead"), "sk_decided_at": Change("", write_moment(NOW)),
        },
        effects=(), held=None,
    )  # fmt: skip


def test_nothing_differs_when_everything_is_there() -> None:
    assert plan("lead", lifecyclestage="lead", sk_drip="true", decided={"set": {"sk_drip": "true"}}).properties == {}


def test_clearing_what_is_empty_is_no_difference() -> None:
    for empty in ({}, {"sk_drip": None}, {"sk_drip": ""}, {"sk_drip": "  "}):
        found = plan("lead", lifecyclestage="lead", decided={"set": {"sk_drip": ""}}, **empty)
        assert found.properties == {}


def test_the_moment_of_the_decision_is_written_with_a_decisive_change_only() -> None:
    other = plan("lead", lifecyclestage="lead", decided={"set": {"sk_drip": "true"}}, sk_decided_at="2026-01-01")
    assert other.writes == {"sk_drip": "true"}
    for name in ("sk_prospect_status", "sk_lead_status"):
        found = plan("lead", lifecyclestage="lead", decided={"set": {name: "hot"}}, sk_decided_at="2026-01-01")
        assert found.properties["sk_decided_at"] == Change("2026-01-01", write_moment(NOW))
    assert "sk_decided_at" in plan("lead", lifecyclestage="lead", decided={"because": "Otherwise."}).writes


def test_a_long_reason_is_cut() -> None:
    assert len(plan("lead", decided={"because": "x" * 5_000}).writes["sk_reason"]) == 1_000


def test_no_stage_touches_no_stage() -> None:
    found = plan(None, lifecyclestage="customer", decided={"rule": "erasure"})
    assert "lifecyclestage" not in found.writes
    assert found.held is None


# --- unwritten values of an earlier decision --------------------------------------------------------------------------


def unwritten(values: Mapping[str, str], stage: str | None = "lead", **here: str) -> Plan:
    return make_plan(decision(stage), snapshot(**{"lifecyclestage": "lead", **here}), TERMS, NOW, values)


def test_what_an_earlier_decision_could_not_write_is_written_now() -> None:
    assert unwritten({"sk_drip": "true"}).writes == {"sk_drip": "true"}


def test_what_hubspot_did_get_after_all_is_no_difference() -> None:
    assert unwritten({"sk_drip": "true"}, sk_drip="true").writes == {}


def test_what_is_decided_now_beats_what_was_decided_then() -> None:
    earlier = {"sk_reason": "Old.", "sk_rule": "old", "sk_decided_at": "2020-01-01T00:00:00Z"}
    assert unwritten(earlier).writes == {}


def test_an_unwritten_stage_is_never_written_over_a_later_one() -> None:
    found = unwritten({"lifecyclestage": "lead"}, lifecyclestage="customer")
    assert "lifecyclestage" not in found.writes
    assert found.held is not None


# --- the stage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("current", "stage"),
    [
        (None, "contact"), ("", "lead"), ("subscriber", "lead"), ("lead", "prospect"), ("subscriber", "opportunity"),
        ("marketingqualifiedlead", "prospect"), ("marketingqualifiedlead", "opportunity"),
    ],
)  # fmt: skip
def test_a_forward_move_is_written(current: str | None, stage: str) -> None:
    found = plan(stage, lifecyclestage=current)
    assert (found.writes["lifecyclestage"], found.held, found.is_backward) == (STAGES[stage], None, False)


@pytest.mark.parametrize(
    ("current", "stage"),
    [
        ("lead", "contact"), ("opportunity", "lead"), ("customer", "opportunity"), ("customer", "contact"),
        ("marketingqualifiedlead", "lead"), ("evangelist", "prospect"), ("other", "prospect"),
    ],
)  # fmt: skip
def test_a_stage_ahead_of_the_rules_is_held_with_the_reason(current: str, stage: str) -> None:
    found = plan(stage, lifecyclestage=current)
    assert "lifecyclestage" not in found.writes
    said = f"HubSpot's stage {current!r} is ahead of {STAGES[stage]!r}, which the rules decided; it stays"
    assert found.held == said


def test_a_stage_that_nobody_knows_is_held_with_the_reason() -> None:
    found = plan("lead", lifecyclestage="104836278")
    assert "lifecyclestage" not in found.writes
    assert found.held == "HubSpot's stage '104836278' is not known to the rules; 'lead' is not written over it"


def test_the_portals_own_order_decides_about_stages_that_the_pack_does_not_use() -> None:
    order = ("subscriber", "lead", "900", "salesqualifiedlead", "901", "opportunity", "customer")
    terms = replace(TERMS, order=order)
    assert plan("prospect", terms, lifecyclestage="900").writes["lifecyclestage"] == "salesqualifiedlead"
    assert plan("prospect", terms, lifecyclestage="901").held is not None
    assert plan("opportunity", terms, lifecyclestage="901").writes["lifecyclestage"] == "opportunity"


def test_a_custom_stage_on_the_ladder_moves_by_the_ladder() -> None:
    terms = replace(TERMS, stages={**STAGES, "prospect": "900"})  # HubSpot's order is not known to contain it
    assert plan("prospect", terms, lifecyclestage="lead").writes["lifecyclestage"] == "900"
    assert plan("opportunity", terms, lifecyclestage="900").writes["lifecyclestage"] == "opportunity"
    assert plan("lead", terms, lifecyclestage="900").held is not None


def test_a_move_that_is_forward_on_the_ladder_and_backward_in_hubspot_is_held() -> None:
    terms = replace(TERMS, order=("subscriber", "salesqualifiedlead", "lead", "opportunity"))
    found = plan("prospect", terms, lifecyclestage="lead")
    assert "lifecyclestage" not in found.writes
    assert found.held == "the portal's own order has 'lead' after 'salesqualifiedlead', so HubSpot would not take it"


@pytest.mark.parametrize(("pack", "portal"), [(True, False), (False, True), (False, False)])
def test_a_backward_move_needs_pack_and_portal(pack: bool, portal: bool) -> None:
    terms = replace(TERMS, backward_moves=portal)
    found = plan("lead", terms, lifecyclestage="opportunity", decided={"backward": pack})
    assert (found.held is not None, found.is_backward) == (True, False)


def test_a_backward_move_that_both_allow_is_written() -> None:
    terms = replace(TERMS, backward_moves=True)
    found = plan("lead", terms, lifecyclestage="opportunity", decided={"backward": True})
    assert (found.writes["lifecyclestage"], found.held, found.is_backward) == ("lead", None, True)


def test_even_then_nobody_is_moved_back_from_a_stage_off_the_ladder() -> None:
    terms = replace(TERMS, backward_moves=True)
    for current in ("customer", "evangelist", "104836278"):
        assert plan("lead", terms, lifecyclestage=current, decided={"backward": True}).held is not None


# --- effects ----------------------------------------------------------------------------------------------------------

PACK = """
version: 1
pack: effects
ladder: [contact, lead, prospect, opportunity]
facts: {{forget: {{sk_erasure_requested: {{is: "yes"}}}}}}
stages:
  - {{id: forget, stage: null, when: forget, because: They asked to be forgotten.}}
  - {{id: all, stage: opportunity, because: Everybody.}}
statuses: [{{id: closed, status: closed, when: forget, because: They asked.}}]
{more}
"""
TASK = """tasks:
  - {{id: greet, when: {{entered: opportunity}}, title: {title}, notes: {notes}, type: call, priority: high, {more}}}
"""
ACTIONS = """actions:
  - {id: open-deal, when: {entered: opportunity}, create_deal: {pipeline: default, stage: appointmentscheduled}}
  - {id: forget, when: {status: closed}, do: [unsubscribe, erase]}
"""


def effects(pack: str, terms: Terms = TERMS, *, company: Mapping[str, str] | None = None, **here: str) -> list[Effect]:
    rulebook = Rulebook(pack_of(PACK.format(more=pack)))
    one = Snapshot(contact="77", properties=here, company=company or {}, deals=())
    return list(make_plan(decide(rulebook, one, NO_MEMORY, NOW), one, terms, NOW).effects)


def task(
    title: str = '"Call {{ contact.firstname }}"', notes: str = '""', more: str = "", **here: str
) -> dict[str, Any]:
    [found] = effects(TASK.format(title=title, notes=notes, more=more), **here)
    return dict(found.body)


def test_an_effect_is_named_by_portal_contact_rule_and_occurrence() -> None:
    [found] = effects(TASK.format(title="Call", notes='""', more=""))
    assert (found.key, found.kind, found.rule) == (f"4242:77:greet:{NOW}", "task", "greet")


def test_a_task_says_what_the_rule_says() -> None:
    assert task(firstname="Ana", hubspot_owner_id="5", more="due: 3 hours") == {
        "title": "Call Ana", "notes": "", "type": "call", "priority": "high", "due": NOW + 3 * HOUR,
        "owner": "contact_owner", "contact_owner": "5", "queue": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("title", "here", "expected"),
    [
        ('"Call {{ contact.firstname }} {{ contact.lastname }}"', {}, "Call"),
        ('"Call {{ contact.firstname or contact.email }}"', {"email": "a@example.com"}, "Call a@example.com"),
        ('"{{ contact.firstname }}"', {}, "greet"),
        ('"Call {{ contact.firstname }}"', {"firstname": "{{ 7*7 }}"}, "Call {{ 7*7 }}"),
        ('"Call {{ contact.firstname }}"', {"firstname": "{% for x in y %}"}, "Call {% for x in y %}"),
        ('"Call {{ contact.firstname }}"', {"firstname": "<b>Ana</b>"}, "Call <b>Ana</b>"),
        ('"Call {{ contact.firstname }}"', {"firstname": "An\na \t  B"}, "Call An a B"),
        ('"Call {{ contact.firstname }}"', {"firstname": "Zoë \u202e"}, "Call Zoë"),
        ('"Call {{ company.name }}"', {}, "Call"),
    ],
)
def test_titles_take_people_as_they_are(title: str, here: dict[str, str], expected: str) -> None:
    assert task(title=title, **here)["title"] == expected


def test_a_title_is_never_too_long() -> None:
    assert len(task(firstname="x" * 10_000)["title"]) == 255


def test_values_in_notes_are_escaped_and_the_packs_own_html_is_not() -> None:
    hostile = "<script>alert(1)</script>{{ 7*7 }}"
    notes = '"<b>{{ contact.firstname }}</b>"'
    assert task(notes=notes, firstname=hostile)["notes"] == (
        "<b>&lt;script&gt;alert(1)&lt;/script&gt;{{ 7*7 }}</b>"
    )


def test_business_days_are_the_portals() -> None:
    friday = 1_790_352_000_000  # 2026-09-25T16:00:00Z
    rulebook = Rulebook(pack_of(PACK.format(more=TASK.format(title="Call", notes='""', more=""))))
    one = Snapshot(contact="77", properties={}, company={}, deals=())
    terms = replace(TERMS, workdays=Workdays(time_zone="Europe/Berlin", holidays="DE"))
    [found] = make_plan(decide(rulebook, one, NO_MEMORY, friday), one, terms, friday).effects
    assert found.body["due"] == friday + 4 * DAY


def test_a_deal_is_named_and_belongs_to_the_company() -> None:
    [found] = effects(ACTIONS, email="a@example.com", lastname="Weiss", associatedcompanyid="9", hubspot_owner_id="5")
    assert found == Effect(
        key=f"4242:77:open-deal:{NOW}", kind="deal", rule="open-deal",
        body={
            "dealname": "Weiss", "pipeline": "default", "dealstage": "appointmentscheduled", "company": "9",
            "hubspot_owner_id": "5",
        },
    )  # fmt: skip


def test_a_deal_of_a_nameless_contact_has_a_name() -> None:
    [found] = effects(ACTIONS)
    assert found.body["dealname"] == "Deal of contact 77"


def test_no_deal_is_opened_where_the_portal_does_not_allow_it() -> None:
    assert effects(ACTIONS, replace(TERMS, create_deals=False)) == []


def test_who_is_to_be_forgotten_is_unsubscribed_and_erased_where_the_portal_allows_it() -> None:
    asked = {"sk_erasure_requested": "yes", "email": "a@example.com"}
    found = effects(ACTIONS, replace(TERMS, erase_contacts=True), **asked)
    assert [(one.kind, one.key, dict(one.body)) for one in found] == [
        ("unsubscribe", f"4242:77:forget:{NOW}:unsubscribe", {"email": "a@example.com"}),
        ("erase", f"4242:77:forget:{NOW}:erase", {}),
    ]


def test_who_has_no_address_is_erased_without_being_unsubscribed() -> None:
    found = effects(ACTIONS, replace(TERMS, erase_contacts=True), sk_erasure_requested="yes", email=" ")
    assert [one.kind for one in found] == ["erase"]


def test_elsewhere_a_person_is_asked_to_erase_by_hand_and_soon() -> None:
    [found] = effects(ACTIONS, sk_erasure_requested="yes", email="a@example.com", hubspot_owner_id="5")
    assert (found.kind, found.rule) == ("task", "forget")
    assert found.body["priority"] == "high"
    assert found.body["due"] == NOW + DAY
    assert found.body["title"] == "Asked to be forgotten: unsubscribe and erase this contact"
    assert "allow.erase_contacts" in found.body["notes"]
    assert "a@example.com" not in str(found.body)


def test_a_plan_as_data_names_effects_without_their_texts() -> None:
    rulebook = Rulebook(pack_of(PACK.format(more=TASK.format(title="Call Ana", notes='""', more=""))))
    one = Snapshot(contact="77", properties={}, company={}, deals=())
    data = make_plan(decide(rulebook, one, NO_MEMORY, NOW), one, TERMS, NOW).as_data()
    assert data["effects"] == [{"key": f"4242:77:greet:{NOW}", "kind": "task", "rule": "greet"}]
    assert data["properties"]["lifecyclestage"] == ["", "opportunity"]
    assert "Ana" not in str(data)

"""The explanation: the decision with every condition, wanted and actual, in the contract's words."""

from connector.decision import NO_MEMORY, decide
from connector.explanation import as_in_portal, explain, unanswered
from connector.moments import DAY, write_moment
from connector.plan import Terms, make_plan
from connector.rivals.history import Version
from connector.rulebook.judging import Rulebook
from connector.snapshot import Snapshot
from tests.rulebooks import NOW, pack_of

PACK = """
version: 1
pack: explained
ladder: [contact, lead]
facts:
  asked: {sk_source: {is: inbound}}
  replied: {hs_sales_email_last_replied: {within_last: 30 days}}
  vendor: {company.type: {is: VENDOR}}
stages:
  - {id: asked, stage: lead, when: {any: [asked, replied]}, because: They asked.}
  - {id: others, stage: contact, because: They did not.}
tasks:
  - {id: greet, when: {entered: lead}, title: "Greet {{ contact.firstname }}"}
"""
RULEBOOK = Rulebook(pack_of(PACK))
TERMS = Terms(portal=1, ladder=("contact", "lead"), stages={"contact": "subscriber", "lead": "lead"})
REPLIED = write_moment(NOW - 10 * DAY)
ANA = Snapshot(
    contact="7", properties={"firstname": "Ana", "hs_sales_email_last_replied": REPLIED}, company=None, deals=()
)

ORIGINS = {
    "hs_sales_email_last_replied": Version(value=REPLIED, moment=NOW - 10 * DAY, source="EMAIL"),
    "sk_source": Version(value="inbound", moment=NOW - DAY, source="CRM_UI", source_id="userId:5"),
}


def explained(subject: Snapshot = ANA, *, planned: bool = True, missing: tuple[str, ...] = ()) -> dict[str, object]:
    decision = decide(RULEBOOK, subject, NO_MEMORY, NOW)
    explanation = explain(RULEBOOK, subject, decision, NOW)
    if not planned:
        return explanation.as_data()
    plan = make_plan(decision, subject, TERMS, NOW)
    return as_in_portal(explanation, plan=plan, missing=missing, origins=ORIGINS).as_data()


def test_it_has_every_key_of_the_contract() -> None:
    data = explained()
    assert (data["stage"], data["status"], data["rule"], data["because"]) == ("lead", None, "asked", "They asked.")
    assert data["facts"] == {"asked": "unknown", "replied": "yes", "vendor": "unknown"}
    assert data["next_look_at"] == write_moment(NOW + 20 * DAY)
    assert data["held"] is None


def test_every_condition_has_what_was_wanted_and_what_was_there() -> None:
    conditions = explained()["conditions"]
    assert isinstance(conditions, list)
    by_source = {one["source"]: one for one in conditions}
    replied = by_source["contact.hs_sales_email_last_replied"]
    assert (replied["wanted"], replied["actual"], replied["result"]) == ("within last 30 days", REPLIED, "yes")
    assert replied["changes_at"] == write_moment(NOW + 20 * DAY)
    asked = by_source["contact.sk_source"]
    assert (asked["wanted"], asked["actual"], asked["result"]) == ("is inbound", None, "unknown")
    assert "changes_at" not in asked
    assert by_source["company (not read)"]["result"] == "unknown"


def test_a_condition_says_who_set_the_value_and_when() -> None:
    conditions = explained()["conditions"]
    assert isinstance(conditions, list)
    told = {one["source"]: (one.get("set_by"), one.get("set_at")) for one in conditions}
    assert told["contact.sk_source"] == ("user 5 (CRM_UI)", write_moment(NOW - DAY))
    assert told["contact.hs_sales_email_last_replied"] == ("automation (EMAIL)", write_moment(NOW - 10 * DAY))
    assert told["company (not read)"] == (None, None)


def test_every_rule_above_says_what_kept_it_from_applying() -> None:
    silent = Snapshot(contact="7", properties={"sk_source": "event"}, company={}, deals=())
    above = explained(silent)["rules_above"]
    assert isinstance(above, list)
    assert [(loser["rule"], loser["stage"]) for loser in above] == [("asked", "lead")]
    assert [(row["text"], row["result"], row["actual"]) for row in above[0]["failed"]] == [
        ("sk_source is inbound", "no", "event"),
        ("hs_sales_email_last_replied within last 30 days", "unknown", None),
    ]


def test_effects_are_what_would_be_done_now() -> None:
    effects = explained()["effects"]
    assert isinstance(effects, list)
    assert {"kind": "property", "name": "lifecyclestage", "from": "", "to": "lead"} in effects
    assert {"kind": "task", "rule": "greet", "title": "Greet Ana"} in effects


def test_without_a_plan_effects_name_the_rules() -> None:
    assert explained(planned=False)["effects"] == [{"kind": "task", "rule": "greet"}]


def test_a_held_stage_says_why() -> None:
    ahead = Snapshot(contact="7", properties={**ANA.properties, "lifecyclestage": "customer"}, company={}, deals=())
    assert "ahead" in str(explained(ahead)["held"])


def test_properties_that_the_portal_lacks_are_named_beside_their_conditions() -> None:
    data = explained(missing=("sk_source",))
    conditions = data["conditions"]
    assert isinstance(conditions, list)
    assert data["missing_properties"] == ["sk_source"]
    assert "contact.sk_source (the portal has no such property)" in {one["source"] for one in conditions}


def test_what_hubspot_said_nothing_about_is_unanswered() -> None:
    assert unanswered(ANA, ["firstname", "sk_source", "hs_sales_email_last_replied"]) == ["sk_source"]
    empty = Snapshot(contact="7", properties={"sk_source": None})
    assert unanswered(empty, ["sk_source"]) == []

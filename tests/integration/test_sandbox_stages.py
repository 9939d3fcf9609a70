"""Lifecycle stages of the practice HubSpot: who may move them where, and what moves them by itself."""

import pytest

from connector.moments import write_moment
from tests.integration.sandbox_calls import NOW, Ticking, calling

PATH = "/crm/v3/objects/contacts"


def test_integrations_move_stages_forward_and_every_arrival_is_dated() -> None:
    clock = Ticking()
    with calling(clock=clock) as (sandbox, api):
        contact = sandbox.create_contact({"lifecyclestage": "subscriber"})
        clock.now += 1000
        heard = api("PATCH", f"{PATH}/{contact}", {"properties": {"lifecyclestage": "opportunity"}})
        assert heard.body["properties"]["lifecyclestage"] == "opportunity"
        dates = {name: value for name, value in sandbox.contact(contact).items() if name.endswith("_date")}
        assert dates == {
            "hs_lifecyclestage_subscriber_date": write_moment(NOW),
            "hs_lifecyclestage_opportunity_date": write_moment(NOW + 1000),
        }


@pytest.mark.parametrize(("backward", "status", "stage"), [
    ("ignore", 200, "opportunity"), ("accept", 200, "lead"), ("refuse", 400, "opportunity"),
])  # fmt: skip
def test_a_backward_write_does_what_the_options_say(backward: str, status: int, stage: str) -> None:
    with calling(backward_writes=backward) as (sandbox, api):
        contact = sandbox.create_contact({"lifecyclestage": "opportunity"})
        properties = {"lifecyclestage": "lead", "phone": "1"}
        heard = api("PATCH", f"{PATH}/{contact}", {"properties": properties})
        batch = api("POST", f"{PATH}/batch/update", {"inputs": [{"id": contact, "properties": properties}]})
        assert (heard.status, batch.status) == (status, status)
        now = sandbox.contact(contact)
        assert (now["lifecyclestage"], now.get("phone")) == (stage, "1" if status == 200 else None)


def test_who_clears_the_stage_first_may_go_back() -> None:
    with calling() as (sandbox, api):
        contact = sandbox.create_contact({"lifecyclestage": "customer"})
        for stage, shown in (("", None), ("lead", "lead")):
            heard = api("PATCH", f"{PATH}/{contact}", {"properties": {"lifecyclestage": stage}})
            assert heard.body["properties"]["lifecyclestage"] == shown
        assert "hs_lifecyclestage_customer_date" in sandbox.contact(contact)


def test_people_may_move_a_stage_back_and_imports_may_not() -> None:
    with calling() as (sandbox, _):
        contact = sandbox.create_contact({"lifecyclestage": "customer"})
        sandbox.update_contact(contact, {"lifecyclestage": "opportunity"}, source="IMPORT", source_id="1")
        assert sandbox.contact(contact)["lifecyclestage"] == "customer"
        sandbox.update_contact(contact, {"lifecyclestage": "opportunity"})
        assert sandbox.contact(contact)["lifecyclestage"] == "opportunity"


def deal(contact: str, stage: str) -> dict[str, object]:
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 3}]
    return {"properties": {"dealname": "D", "dealstage": stage, "pipeline": "default"},
            "associations": [{"to": {"id": contact}, "types": types}]}  # fmt: skip


def test_a_deal_makes_an_opportunity_and_a_won_one_a_customer() -> None:
    with calling() as (sandbox, api):
        contact = sandbox.create_contact({"lifecyclestage": "lead"})
        made = api("POST", "/crm/v3/objects/deals", deal(contact, "contractsent")).body["id"]
        after = sandbox.everything_about(contact)
        assert after["properties"]["lifecyclestage"] == "opportunity"
        assert after["properties"]["num_associated_deals"] == "1"
        assert after["history"]["lifecyclestage"][0]["sourceType"] == "AUTOMATION_PLATFORM"
        api("PATCH", f"/crm/v3/objects/deals/{made}", {"properties": {"dealstage": "closedwon"}})
        assert sandbox.contact(contact)["lifecyclestage"] == "customer"
        assert sandbox.deals_of(contact)[0]["properties"]["hs_is_closed_won"] == "true"


def test_a_deal_moves_nobody_back_and_nobody_at_all_when_switched_off() -> None:
    with calling() as (sandbox, _):
        contact = sandbox.create_contact({"lifecyclestage": "customer"})
        sandbox.create_deal({"dealname": "D"}, contacts=[contact])
        assert sandbox.contact(contact)["lifecyclestage"] == "customer"
    with calling(automations=()) as (sandbox, _):
        contact = sandbox.create_contact({"lifecyclestage": "lead"})
        sandbox.create_deal({"dealname": "D", "dealstage": "closedwon"}, contacts=[contact])
        assert sandbox.contact(contact)["lifecyclestage"] == "lead"


def test_the_stage_of_a_company_goes_to_its_contacts_where_that_is_switched_on() -> None:
    with calling(automations=("company_stage",)) as (sandbox, _):
        company = sandbox.create_company({"name": "A"})
        contact = sandbox.create_contact({"lifecyclestage": "lead"}, company=company)
        sandbox.update_company(company, {"lifecyclestage": "opportunity"})
        assert sandbox.contact(contact)["lifecyclestage"] == "opportunity"


def test_new_contacts_get_the_default_stage_where_there_is_one() -> None:
    with calling(default_stage="lead") as (sandbox, api):
        made = api("POST", PATH, {"properties": {"email": "ana@example.com"}}).body["id"]
        assert sandbox.contact(made)["lifecyclestage"] == "lead"


def test_a_custom_stage_has_a_number_for_a_value_and_its_place_in_the_order() -> None:
    with calling() as (sandbox, api):
        value = sandbox.add_stage("Hot prospect", before="opportunity")
        options = api("GET", "/crm/v3/properties/0-1/lifecyclestage").body["options"]
        order = [one["value"] for one in sorted(options, key=lambda one: one["displayOrder"])]
        assert value.isdigit()
        assert order.index(value) == order.index("opportunity") - 1
        contact = sandbox.create_contact({"lifecyclestage": "lead"})
        api("PATCH", f"{PATH}/{contact}", {"properties": {"lifecyclestage": value}})
        api("PATCH", f"{PATH}/{contact}", {"properties": {"lifecyclestage": "lead"}})
        now = sandbox.contact(contact)
        assert now["lifecyclestage"] == value
        assert f"hs_lifecyclestage_{value}_date" in now
        stages = api("GET", "/crm/v3/pipelines/contacts/contacts-lifecycle-pipeline").body["stages"]
        assert [one["id"] for one in stages] == order

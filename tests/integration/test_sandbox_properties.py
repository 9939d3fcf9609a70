"""Property definitions of the practice HubSpot: what is there at first, and how a set-up makes its own."""

from collections.abc import Iterator

import pytest

from connector.sandbox import Sandbox
from tests.integration.sandbox_calls import Api, calling

PATH = "/crm/v3/properties/contacts"
GROUP = {"name": "stagekeeper", "label": "Stagekeeper"}
NEED = {
    "groupName": "stagekeeper", "name": "sk_need", "label": "Need", "type": "enumeration", "fieldType": "select",
    "options": [{"label": "None", "value": "none", "displayOrder": 0}, {"label": "Definite", "value": "definite"}],
}  # fmt: skip
READ_BY_PACKS = (
    "lifecyclestage", "hs_lead_status", "hs_buying_role", "hubspot_owner_id", "num_contacted_notes",
    "num_conversion_events", "hs_sales_email_last_replied", "hs_email_last_click_date",
    "hs_email_sends_since_last_engagement", "notes_last_contacted", "engagements_last_meeting_booked",
    "associatedcompanyid", "num_associated_deals", "email", "firstname", "lastname", "jobtitle", "phone", "company",
    "createdate", "lastmodifieddate", "num_notes", "notes_next_activity_date", "hs_email_optout", "hs_object_id",
)  # fmt: skip


@pytest.fixture
def pair() -> Iterator[tuple[Sandbox, Api]]:
    with calling() as both:
        yield both


def test_a_fresh_portal_has_what_the_packs_read_and_nothing_of_stagekeepers_own(pair: tuple[Sandbox, Api]) -> None:
    _, api = pair
    listed = {one["name"]: one for one in api("GET", PATH).body["results"]}
    assert [name for name in READ_BY_PACKS if name not in listed] == []
    assert [name for name in listed if name.startswith("sk_")] == []
    assert [one["value"] for one in listed["lifecyclestage"]["options"]] == [
        "subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer", "evangelist",
        "other",
    ]  # fmt: skip
    assert all(f"hs_lifecyclestage_{one['value']}_date" in listed for one in listed["lifecyclestage"]["options"])
    facts = {
        name: (one["type"], one["fieldType"], one["calculated"], one["modificationMetadata"]["readOnlyValue"])
        for name, one in listed.items()
    }
    assert facts["hs_buying_role"] == ("enumeration", "checkbox", False, False)
    assert facts["num_notes"] == ("number", "number", False, True)
    assert facts["num_conversion_events"] == ("number", "number", True, True)
    assert facts["hs_sales_email_last_replied"] == ("datetime", "date", False, True)
    assert listed["hubspot_owner_id"]["referencedObjectType"] == "OWNER"
    assert listed["email"]["hasUniqueValue"] is True


@pytest.mark.parametrize("path", [PATH, "/crm/properties/2026-03/0-1", "/crm/properties/2026-09/contact"])
def test_a_property_is_made_once_and_then_taken(pair: tuple[Sandbox, Api], path: str) -> None:
    sandbox, api = pair
    assert api("GET", f"{path}/sk_need").status == 404
    assert api("POST", path, NEED).status == 400
    assert (api("POST", f"{path}/groups", GROUP).status, api("POST", f"{path}/groups", GROUP).status) == (201, 409)
    assert api("GET", f"{path}/groups/stagekeeper").body["label"] == "Stagekeeper"
    assert api("GET", f"{path}/groups/none").status == 404
    assert "stagekeeper" in [one["name"] for one in api("GET", f"{path}/groups").body["results"]]
    made, again = api("POST", path, NEED), api("POST", path, NEED)
    assert (made.status, again.status, again.body["category"]) == (201, 409, "CONFLICT")
    assert api("GET", f"{path}/sk_need").body == made.body
    contact = sandbox.create_contact({"sk_need": "definite"})
    assert sandbox.contact(contact)["sk_need"] == "definite"


def test_a_new_property_fires_events(pair: tuple[Sandbox, Api]) -> None:
    sandbox, api = pair
    api("POST", f"{PATH}/groups", GROUP)
    api("POST", PATH, NEED)
    sandbox.create_contact({"sk_need": "none"})
    assert [event.get("propertyName") for event in sandbox.webhooks.events] == [None, "sk_need"]


def test_options_that_are_patched_replace_the_list(pair: tuple[Sandbox, Api]) -> None:
    _, api = pair
    api("POST", f"{PATH}/groups", GROUP)
    api("POST", PATH, NEED)
    changed = api("PATCH", f"{PATH}/sk_need", {"options": [{"label": "Possible", "value": "possible"}]})
    assert [one["value"] for one in changed.body["options"]] == ["possible"]
    kept = api("PATCH", f"{PATH}/sk_need", {"label": "Their need"})
    assert ([one["value"] for one in kept.body["options"]], kept.body["label"]) == (["possible"], "Their need")
    refused = api("POST", "/crm/v3/objects/contacts", {"properties": {"sk_need": "definite"}})
    assert refused.body["errors"][0]["code"] == "INVALID_OPTION"


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Upper"}, {"name": "hs_mine"}, {"name": "1st"}, {"type": "colour"}, {"fieldType": "wheel"},
        {"label": ""}, {"options": [{"label": "A", "value": ""}]},
        {"type": "bool", "fieldType": "booleancheckbox", "options": []},
        {"options": [{"label": "A", "value": "a"}, {"label": "A", "value": "b"}]},
    ],
)  # fmt: skip
def test_a_definition_that_hubspot_would_not_take_is_refused(
    pair: tuple[Sandbox, Api], change: dict[str, object]
) -> None:
    _, api = pair
    api("POST", f"{PATH}/groups", GROUP)
    assert api("POST", PATH, {**NEED, **change}).status == 400


def test_hubspots_own_definitions_cannot_be_changed_or_archived(pair: tuple[Sandbox, Api]) -> None:
    _, api = pair
    assert api("PATCH", f"{PATH}/lifecyclestage", {"options": []}).status == 400
    assert api("DELETE", f"{PATH}/lifecyclestage").status == 400
    assert api("PATCH", f"{PATH}/no_such", {"label": "x"}).status == 404


def test_batches_of_definitions_name_what_is_taken_and_what_is_missing(pair: tuple[Sandbox, Api]) -> None:
    _, api = pair
    api("POST", f"{PATH}/groups", GROUP)
    inputs = [NEED, {**NEED, "name": "sk_other"}]
    assert api("POST", f"{PATH}/batch/create", {"inputs": inputs[:1]}).status == 201
    second = api("POST", f"{PATH}/batch/create", {"inputs": inputs})
    assert (second.status, [one["name"] for one in second.body["results"]]) == (207, ["sk_other"])
    assert [(one["category"], one["context"]) for one in second.body["errors"]] == [
        ("CONFLICT", {"name": ["sk_need"]})
    ]
    read = api("POST", f"{PATH}/batch/read", {"inputs": [{"name": "sk_need"}, {"name": "sk_nothing"}]})
    assert (read.status, read.body["errors"][0]["context"]) == (207, {"name": ["sk_nothing"]})
    assert api("DELETE", f"{PATH}/sk_need").status == 204
    assert api("GET", f"{PATH}/sk_need").status == 404


def test_unique_properties_of_tasks_can_be_switched_off() -> None:
    made = {"groupName": "task_information", "name": "sk_key", "label": "Key", "type": "string", "fieldType": "text",
            "hasUniqueValue": True}  # fmt: skip
    with calling(unique_task_properties=False) as (_, api):
        assert api("POST", "/crm/v3/properties/tasks", made).status == 400
        assert api("POST", "/crm/v3/properties/tasks", {**made, "hasUniqueValue": False}).status == 201

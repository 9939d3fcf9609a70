"""Associations of the practice HubSpot over HTTP, version 4 and dated."""

from collections.abc import Iterator

import pytest

from connector.sandbox import Sandbox
from tests.integration.sandbox_calls import Api, calling

NONE = {"category": "HUBSPOT_DEFINED", "label": None}


@pytest.fixture
def pair() -> Iterator[tuple[Sandbox, Api]]:
    with calling() as both:
        yield both


@pytest.mark.parametrize("path", ["/crm/v4/associations", "/crm/associations/2026-03", "/crm/associations/2026-09"])
def test_a_batch_read_gives_numbers_and_a_207_for_who_has_none(pair: tuple[Sandbox, Api], path: str) -> None:
    sandbox, api = pair
    one, two = sandbox.create_contact({}), sandbox.create_contact({})
    tasks = [sandbox.create_task({"hs_timestamp": "2099-01-01"}, contacts=[one]) for _ in range(2)]
    heard = api("POST", f"{path}/contacts/tasks/batch/read", {"inputs": [{"id": one}, {"id": two}]})
    assert heard.status == 207
    assert heard.body["results"] == [{
        "from": {"id": one},
        "to": [{"toObjectId": int(task), "associationTypes": [{**NONE, "typeId": 203}]} for task in tasks],
    }]  # fmt: skip
    assert heard.body["numErrors"] == 1
    error = heard.body["errors"][0]
    assert (error["category"], error["subCategory"]) == (
        "OBJECT_NOT_FOUND", "crm.associations.NO_ASSOCIATIONS_FOUND",
    )  # fmt: skip
    assert error["context"] == {"fromObjectId": [two], "fromObjectType": ["contact"], "toObjectType": ["task"]}
    assert error["message"] == f"No task is associated with contact {two}."


def test_a_batch_read_takes_a_thousand_inputs(pair: tuple[Sandbox, Api]) -> None:
    _, api = pair
    path = "/crm/v4/associations/contacts/tasks/batch/read"
    assert api("POST", path, {"inputs": [{"id": str(n)} for n in range(1000)]}).status == 207
    assert api("POST", path, {"inputs": [{"id": str(n)} for n in range(1001)]}).status == 400


def test_many_associations_come_in_pages(pair: tuple[Sandbox, Api]) -> None:
    sandbox, api = pair
    contact = sandbox.create_contact({})
    tasks = [sandbox.create_task({"hs_timestamp": "2099-01-01"}, contacts=[contact]) for _ in range(501)]
    path = "/crm/v4/associations/contacts/tasks/batch/read"
    first = api("POST", path, {"inputs": [{"id": contact}]}).body["results"][0]
    assert len(first["to"]) == 500
    after = first["paging"]["next"]["after"]
    rest = api("POST", path, {"inputs": [{"id": contact, "after": after}]}).body["results"][0]
    assert [one["toObjectId"] for one in rest["to"]] == [int(tasks[-1])]
    single = api("GET", f"/crm/v4/objects/contacts/{contact}/associations/tasks?limit=2").body
    assert [one["toObjectId"] for one in single["results"]] == [int(one) for one in tasks[:2]]
    assert single["paging"]["next"]["after"] == tasks[1]


@pytest.mark.parametrize("family", ["/crm/v4/objects", "/crm/objects/2026-03", "/crm/objects/2026-09"])
def test_putting_an_association_twice_is_putting_it_once(pair: tuple[Sandbox, Api], family: str) -> None:
    sandbox, api = pair
    contact, task = sandbox.create_contact({}), sandbox.create_task({"hs_timestamp": "2099-01-01"})
    path = f"{family}/task/{task}/associations/default/contact/{contact}"
    assert (api("PUT", path).status, api("PUT", path).status) == (200, 200)
    assert sandbox.contact(contact)["num_notes"] == "1"
    back = api("GET", f"{family}/contacts/{contact}/associations/tasks").body["results"]
    assert back == [{"toObjectId": int(task), "associationTypes": [{**NONE, "typeId": 203}]}]
    assert api("DELETE", f"{family}/task/{task}/associations/contact/{contact}").status == 204
    assert api("GET", f"{family}/contacts/{contact}/associations/tasks").body["results"] == []
    assert sandbox.contact(contact)["num_notes"] == "0"


def test_a_contact_has_one_primary_company_and_keeps_the_others_without_the_label(pair: tuple[Sandbox, Api]) -> None:
    sandbox, api = pair
    first, second = (sandbox.create_company({"name": name}) for name in "AB")
    contact = sandbox.create_contact({}, company=first)
    path = f"/crm/v4/objects/contacts/{contact}/associations/companies"
    primary = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1}]
    assert api("PUT", f"{path}/{second}", primary).body["labels"] == ["Primary"]
    shown = {one["toObjectId"]: [kind["label"] for kind in one["associationTypes"]]
             for one in api("GET", path).body["results"]}  # fmt: skip
    assert shown == {int(first): [None], int(second): [None, "Primary"]}
    assert sandbox.contact(contact)["associatedcompanyid"] == second
    api("DELETE", f"{path}/{second}")
    assert "associatedcompanyid" not in sandbox.contact(contact)


def test_a_company_can_crown_its_contact_too(pair: tuple[Sandbox, Api]) -> None:
    sandbox, _ = pair
    first, second = (sandbox.create_company({"name": name}) for name in "AB")
    contact = sandbox.create_contact({}, company=first)
    sandbox.associate("company", second, "contact", contact, type_id=2)
    assert sandbox.contact(contact)["associatedcompanyid"] == second


def test_a_type_of_the_other_direction_is_refused(pair: tuple[Sandbox, Api]) -> None:
    sandbox, api = pair
    contact, task = sandbox.create_contact({}), sandbox.create_task({"hs_timestamp": "2099-01-01"})
    path = f"/crm/v4/objects/tasks/{task}/associations/contacts/{contact}"
    body = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 203}]
    assert api("PUT", path, body).body["subCategory"] == "crm.associations.INVALID_ASSOCIATION_TYPE"
    assert api("PUT", path, []).status == 400
    assert api("PUT", path, [{**body[0], "associationTypeId": 204}]).status == 201
    assert api("PUT", "/crm/v4/objects/tasks/5/associations/default/contacts/6").status == 404


def test_batches_associate_many_at_once(pair: tuple[Sandbox, Api]) -> None:
    sandbox, api = pair
    contact = sandbox.create_contact({})
    tasks = [sandbox.create_task({"hs_timestamp": "2099-01-01"}) for _ in range(2)]
    inputs = [{"from": {"id": task}, "to": {"id": contact}} for task in tasks]
    path = "/crm/v4/associations/tasks/contacts/batch"
    assert api("POST", f"{path}/associate/default", {"inputs": inputs[:1]}).status == 200
    typed = [{**inputs[1], "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 204}]}]
    assert api("POST", f"{path}/create", {"inputs": typed}).status == 201
    assert [one["id"] for one in sandbox.tasks_of(contact)] == tasks
    assert api("POST", f"{path}/create", {"inputs": inputs}).status == 400
    assert api("POST", f"{path}/create", {"inputs": [{"from": 1}]}).status == 400


def test_labels_name_the_types_of_a_direction(pair: tuple[Sandbox, Api]) -> None:
    _, api = pair
    shown = api("GET", "/crm/v4/associations/contacts/companies/labels").body["results"]
    assert [(one["typeId"], one["label"]) for one in shown] == [(279, None), (1, "Primary")]
    assert api("GET", "/crm/v4/associations/tasks/tasks/labels").status == 404

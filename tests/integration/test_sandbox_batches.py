"""Batches of the practice HubSpot: what fails whole and what fails in part."""

from collections.abc import Iterator

import pytest

from connector.sandbox import Sandbox
from tests.integration.sandbox_calls import Api, calling

Pair = tuple[Sandbox, Api]
READ, UPDATE = "/crm/v3/objects/contacts/batch/read", "/crm/objects/2026-09/0-1/batch/update"
TASKS = "/crm/objects/2026-03/tasks/batch/create"


@pytest.fixture
def pair() -> Iterator[Pair]:
    with calling() as both:
        yield both


def test_a_batch_read_gives_each_contact_once_and_names_the_missing_ones_in_a_207(pair: Pair) -> None:
    sandbox, api = pair
    made = [sandbox.create_contact({"phone": str(n)}) for n in range(3)]
    heard = api("POST", READ, {"inputs": [{"id": one} for one in [made[2], "77", made[0], "78"]],
                               "properties": ["phone"]})  # fmt: skip
    assert heard.status == 207
    assert heard.body["status"] == "COMPLETE"
    assert {one["id"]: one["properties"]["phone"] for one in heard.body["results"]} == {made[0]: "0", made[2]: "2"}
    error = heard.body["errors"][0]
    assert (heard.body["numErrors"], error["category"]) == (1, "OBJECT_NOT_FOUND")
    assert error["context"] == {"ids": ["77", "78"]}


def test_a_batch_read_where_all_are_found_is_a_200_without_errors(pair: Pair) -> None:
    sandbox, api = pair
    contact = sandbox.create_contact({"email": "ana@example.com"})
    heard = api("POST", READ, {"inputs": [{"id": "ana@example.com"}], "idProperty": "email", "properties": ["email"],
                               "propertiesWithHistory": ["email"]})  # fmt: skip
    assert (heard.status, [one["id"] for one in heard.body["results"]]) == (200, [contact])
    assert heard.body["results"][0]["propertiesWithHistory"]["email"][0]["value"] == "ana@example.com"
    assert "errors" not in heard.body


@pytest.mark.parametrize("path", [READ, UPDATE, "/crm/v3/objects/contacts/batch/archive"])
def test_the_same_id_twice_refuses_the_whole_batch(pair: Pair, path: str) -> None:
    sandbox, api = pair
    contact = sandbox.create_contact({"phone": "1"})
    heard = api("POST", path, {"inputs": [{"id": contact, "properties": {"phone": "2"}}] * 2})
    assert heard.status == 400
    assert heard.body["message"] == f"Duplicate IDs found in batch input: [{contact}]. IDs must be unique"
    assert heard.body["context"] == {"ids": [contact]}
    assert sandbox.contact(contact)["phone"] == "1"


@pytest.mark.parametrize("path", [READ, UPDATE, TASKS])
def test_more_than_a_hundred_inputs_are_refused(pair: Pair, path: str) -> None:
    _, api = pair
    inputs = [{"id": str(n), "properties": {}} for n in range(101)]
    assert api("POST", path, {"inputs": inputs}).status == 400


def test_a_read_with_history_takes_fifty(pair: Pair) -> None:
    _, api = pair
    inputs = [{"id": str(n)} for n in range(51)]
    assert api("POST", READ, {"inputs": inputs, "propertiesWithHistory": ["email"]}).status == 400


def test_one_invalid_value_refuses_the_whole_batch_update(pair: Pair) -> None:
    sandbox, api = pair
    one, two = sandbox.create_contact({}), sandbox.create_contact({})
    inputs = [{"id": one, "properties": {"phone": "2"}}, {"id": two, "properties": {"hs_lead_status": "new"}}]
    heard = api("POST", UPDATE, {"inputs": [{**given, "objectWriteTraceId": given["id"]} for given in inputs]})
    assert heard.status == 400
    assert [error["code"] for error in heard.body["errors"]] == ["INVALID_OPTION"]
    assert "phone" not in sandbox.contact(one)


def test_trace_ids_on_updates_give_a_207_where_that_is_switched_on() -> None:
    with calling(trace_ids_on_update=True) as (sandbox, api):
        one, two = sandbox.create_contact({}), sandbox.create_contact({})
        inputs = [
            {"id": one, "properties": {"phone": "2"}, "objectWriteTraceId": "w-1"},
            {"id": two, "properties": {"hs_lead_status": "new"}, "objectWriteTraceId": "w-2"},
        ]
        heard = api("POST", UPDATE, {"inputs": inputs})
        assert heard.status == 207
        assert [result["objectWriteTraceId"] for result in heard.body["results"]] == ["w-1"]
        assert [error["context"] for error in heard.body["errors"]] == [{"objectWriteTraceId": ["w-2"]}]
        assert sandbox.contact(one)["phone"] == "2"


def test_a_batch_update_settles_the_good_and_names_the_missing(pair: Pair) -> None:
    sandbox, api = pair
    contact = sandbox.create_contact({"email": "ana@example.com"})
    inputs = [{"id": "5", "properties": {"phone": "2"}},
              {"id": "ana@example.com", "idProperty": "email", "properties": {"phone": "2"}}]  # fmt: skip
    heard = api("POST", UPDATE, {"inputs": inputs})
    assert (heard.status, heard.body["errors"][0]["context"]) == (207, {"ids": ["5"]})
    assert [one["id"] for one in heard.body["results"]] == [contact]
    assert heard.body["results"][0]["properties"]["phone"] == "2"


def task(contact: str, **more: object) -> dict[str, object]:
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 204}]
    return {"properties": {"hs_timestamp": "2099-01-01", "hs_task_subject": "Call", **more},
            "associations": [{"to": {"id": contact}, "types": types}]}  # fmt: skip


def test_tasks_are_created_in_a_batch_and_their_results_carry_the_trace_ids_in_another_order(pair: Pair) -> None:
    sandbox, api = pair
    contact = sandbox.create_contact({})
    inputs = [{**task(contact), "objectWriteTraceId": f"w-{n}"} for n in range(3)]
    heard = api("POST", TASKS, {"inputs": inputs})
    assert heard.status == 201
    traces = [one["objectWriteTraceId"] for one in heard.body["results"]]
    assert sorted(traces) == ["w-0", "w-1", "w-2"]
    assert traces != ["w-0", "w-1", "w-2"]
    assert {one["id"] for one in heard.body["results"]} == {one["id"] for one in sandbox.tasks_of(contact)}
    assert sandbox.contact(contact)["num_notes"] == "3"


def test_creating_the_same_again_makes_another_one(pair: Pair) -> None:
    sandbox, api = pair
    contact = sandbox.create_contact({})
    for _ in range(2):
        assert api("POST", TASKS, {"inputs": [{**task(contact), "objectWriteTraceId": "same"}]}).status == 201
    assert len(sandbox.tasks_of(contact)) == 2


@pytest.mark.parametrize(("traced", "status"), [(False, 400), (True, 207)])
def test_a_bad_task_refuses_the_batch_unless_trace_ids_can_name_it(pair: Pair, traced: bool, status: int) -> None:
    sandbox, api = pair
    contact = sandbox.create_contact({})
    inputs = [task(contact), task(contact, hs_task_priority="URGENT"), task("5"), task(contact)]
    inputs[3]["associations"][0]["types"][0]["associationTypeId"] = 203  # type: ignore[index]
    if traced:
        inputs = [{**one, "objectWriteTraceId": f"w-{n}"} for n, one in enumerate(inputs)]
    heard = api("POST", TASKS, {"inputs": inputs})
    assert heard.status == status
    assert len(sandbox.tasks_of(contact)) == (1 if traced else 0)
    if traced:
        named = [error["context"]["objectWriteTraceId"] for error in heard.body["errors"]]
        assert named == [["w-1"], ["w-2"], ["w-3"]]


def test_trace_ids_that_are_not_unique_name_nothing(pair: Pair) -> None:
    sandbox, api = pair
    contact = sandbox.create_contact({})
    inputs = [{**task(contact, hs_task_type=one), "objectWriteTraceId": "same"} for one in ("CALL", "FAX")]
    assert api("POST", TASKS, {"inputs": inputs}).status == 400


def test_an_address_that_stands_twice_in_a_batch_create_is_a_conflict(pair: Pair) -> None:
    sandbox, api = pair
    inputs = [{"properties": {"email": "ana@example.com"}}, {"properties": {"email": "ANA@example.com"}}]
    assert api("POST", "/crm/v3/objects/contacts/batch/create", {"inputs": inputs}).status == 409
    assert sandbox.portal.records["0-1"].live == {}


def test_an_upsert_by_a_unique_property_creates_once_and_then_updates(pair: Pair) -> None:
    _, api = pair
    made = {"groupName": "task_information", "name": "sk_key", "label": "Key", "type": "string", "fieldType": "text",
            "hasUniqueValue": True}  # fmt: skip
    assert api("POST", "/crm/v3/properties/tasks", made).status == 201
    path = "/crm/v3/objects/tasks/batch/upsert"
    inputs = [{"id": "k-1", "idProperty": "sk_key", "properties": {"hs_timestamp": "2099-01-01"}}]
    first, second = (api("POST", path, {"inputs": inputs}).body["results"][0] for _ in range(2))
    assert (first["new"], second["new"]) == (True, False)
    assert first["id"] == second["id"]
    assert first["properties"]["hs_timestamp"] == "2099-01-01T00:00:00Z"
    assert api("POST", path, {"inputs": [{"id": "k-1", "properties": {}}]}).status == 400
    double = {"inputs": [{"properties": {"hs_timestamp": "2099-01-01", "sk_key": "k-1"}}]}
    assert api("POST", TASKS, double).body["errors"][0]["code"] == "CANNOT_HAVE_DUPLICATE_VALUE"


def test_a_batch_archive_deletes_what_is_there(pair: Pair) -> None:
    sandbox, api = pair
    contact = sandbox.create_contact({})
    inputs = [{"id": contact}, {"id": "5"}]
    assert api("POST", "/crm/v3/objects/contacts/batch/archive", {"inputs": inputs}).status == 204
    assert sandbox.portal.records["0-1"].live == {}

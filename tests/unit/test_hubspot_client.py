"""What the rest of the product asks of a portal, through the official client and the whole transport."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import responses
from requests import PreparedRequest

from connector.hubspot.client import HubSpotPortal
from connector.hubspot.deals import DealInput
from connector.hubspot.failure import HubSpotError, PortalTrouble
from connector.hubspot.tasks import TaskInput
from tests.hubspot_portals import API, Time, a_portal

OBJECTS = f"{API}/crm/v3/objects"
ASSOCIATIONS = f"{API}/crm/v4/associations"


@pytest.fixture
def hubspot() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


def sent(hubspot: responses.RequestsMock, place: int = 0) -> Any:
    return json.loads(hubspot.calls[place].request.body or "")


def batch(answer: Callable[[list[dict[str, Any]]], tuple[int, object]]) -> Callable[[PreparedRequest], Any]:
    def callback(request: PreparedRequest) -> tuple[int, dict[str, str], str]:
        status, body = answer(json.loads(request.body or "")["inputs"])
        return status, {}, json.dumps(body)

    return callback


def record(contact: str, **properties: str) -> dict[str, object]:
    return {"id": contact, "properties": properties}


def test_contacts_are_read_by_the_hundred(hubspot: responses.RequestsMock) -> None:
    hubspot.add_callback(
        "POST", f"{OBJECTS}/contacts/batch/read",
        batch(lambda inputs: (200, {"results": [record(each["id"], email="a") for each in inputs]})),
    )  # fmt: skip
    ids = [str(number) for number in range(1, 131)]
    answer = a_portal().contacts.read([*ids, "7"], ["email", "email", "lifecyclestage"])
    assert (set(answer.found), answer.missing, answer.failed) == (set(ids), frozenset(), {})
    assert [len(sent(hubspot, place)["inputs"]) for place in (0, 1)] == [100, 30]
    assert sent(hubspot)["properties"] == ["email", "lifecyclestage"]


def test_a_contact_that_hubspot_does_not_hold_is_missing(hubspot: responses.RequestsMock) -> None:
    errors = [{"status": "error", "category": "OBJECT_NOT_FOUND", "context": {"ids": ["2"]}}]
    hubspot.post(f"{OBJECTS}/contacts/batch/read", status=207, json={"results": [record("1")], "errors": errors})
    answer = a_portal().contacts.read(["1", "2", "no-id"], ["email"])
    assert (answer.found, answer.missing, answer.failed) == ({"1": record("1")}, {"2", "no-id"}, {})
    assert sent(hubspot)["inputs"] == [{"id": "1"}, {"id": "2"}]


def test_history_comes_with_fifty_contacts_a_call(hubspot: responses.RequestsMock) -> None:
    hubspot.add_callback(
        "POST", f"{OBJECTS}/contacts/batch/read",
        batch(lambda inputs: (200, {"results": [record(each["id"]) for each in inputs]})),
    )  # fmt: skip
    a_portal().contacts.read(map(str, range(1, 61)), ["email"], history=["lifecyclestage"])
    assert [len(sent(hubspot, place)["inputs"]) for place in (0, 1)] == [50, 10]
    assert sent(hubspot)["propertiesWithHistory"] == ["lifecyclestage"]


def test_one_contact_is_read_even_by_an_id_that_was_merged_away(hubspot: responses.RequestsMock) -> None:
    hubspot.get(f"{OBJECTS}/contacts/2", json=record("3", email="a"))
    assert a_portal().contacts.read_one("2", ["email"], history=["lifecyclestage"]) == record("3", email="a")
    assert hubspot.calls[0].request.params == {"properties": "email", "propertiesWithHistory": "lifecyclestage"}


def test_one_contact_that_is_gone_is_none(hubspot: responses.RequestsMock) -> None:
    hubspot.get(f"{OBJECTS}/contacts/2", status=404, json={"message": "resource not found"})
    portal = a_portal()
    assert (portal.contacts.read_one("2", ["email"]), portal.contacts.read_one("../x", ["email"])) == (None, None)


def test_one_contact_with_more_properties_than_an_address_carries_is_read_in_two_steps(
    hubspot: responses.RequestsMock,
) -> None:
    names = [f"property_number_{number}" for number in range(400)]
    hubspot.get(f"{OBJECTS}/contacts/2", json=record("3"))
    hubspot.post(f"{OBJECTS}/contacts/batch/read", json={"results": [record("3", email="a")]})
    assert a_portal().contacts.read_one("2", names) == record("3", email="a")
    assert len(sent(hubspot, 1)["properties"]) == 400


def test_changes_are_written_by_the_hundred_and_what_came_back_is_told(hubspot: responses.RequestsMock) -> None:
    hubspot.post(f"{OBJECTS}/contacts/batch/update", json={"results": [record("1", lifecyclestage="opportunity")]})
    answer = a_portal().contacts.update({"1": {"lifecyclestage": "lead", "sk_drip": ""}})
    assert answer.found["1"]["properties"]["lifecyclestage"] == "opportunity"
    assert sent(hubspot) == {
        "inputs": [{"id": "1", "properties": {"lifecyclestage": "lead", "sk_drip": ""}, "objectWriteTraceId": "1"}]
    }


def test_one_bad_value_does_not_keep_the_others_from_being_written(hubspot: responses.RequestsMock) -> None:
    def answer(inputs: list[dict[str, Any]]) -> tuple[int, object]:
        if any(each["properties"]["sk_need"] == "typo" for each in inputs):
            hidden = 'Property values were not valid: [{"error":"INVALID_OPTION","name":"sk_need"}]'
            return 400, {"category": "VALIDATION_ERROR", "message": hidden}
        return 200, {"results": [record(each["id"]) for each in inputs]}

    hubspot.add_callback("POST", f"{OBJECTS}/contacts/batch/update", batch(answer))
    changes = {str(number): {"sk_need": "typo" if number == 17 else "none"} for number in range(1, 101)}
    answered = a_portal().contacts.update(changes)
    assert (len(answered.found), set(answered.failed), answered.missing) == (99, {"17"}, frozenset())
    assert answered.failed["17"].properties == ("sk_need",)


def test_a_write_that_the_answer_does_not_name_is_unclear_and_not_missing(hubspot: responses.RequestsMock) -> None:
    hubspot.post(f"{OBJECTS}/contacts/batch/update", json={"results": [record("1")]})
    answer = a_portal().contacts.update({"1": {"a": "b"}, "2": {"a": "b"}, "no-id": {"a": "b"}})
    assert (set(answer.found), answer.missing, answer.failed["2"].kind) == ({"1"}, {"no-id"}, "unclear")


def test_all_contacts_are_listed_page_by_page(hubspot: responses.RequestsMock) -> None:
    hubspot.get(f"{OBJECTS}/contacts", json={"results": [record("1")], "paging": {"next": {"after": "1"}}})
    hubspot.get(f"{OBJECTS}/contacts", json={"results": [record("2")]})
    listing = a_portal().contacts.all(["email"], page_size=1)
    assert (next(listing)["id"], len(hubspot.calls)) == ("1", 1)
    assert [each["id"] for each in listing] == ["2"]
    assert hubspot.calls[1].request.params == {"limit": "1", "properties": "email", "after": "1"}


def test_all_contacts_with_many_properties_are_listed_and_then_read(hubspot: responses.RequestsMock) -> None:
    hubspot.get(f"{OBJECTS}/contacts", json={"results": [record("1")]})
    hubspot.post(f"{OBJECTS}/contacts/batch/read", json={"results": [record("1", email="a")]})
    names = [f"property_number_{number}" for number in range(400)]
    assert list(a_portal().contacts.all(names)) == [record("1", email="a")]


def test_a_listing_that_fails_is_not_taken_for_its_end(hubspot: responses.RequestsMock) -> None:
    hubspot.get(f"{OBJECTS}/contacts", json={"unexpected": True})
    with pytest.raises(HubSpotError, match="no results"):
        list(a_portal().contacts.all(["email"]))


def test_erasing_a_contact_twice_is_erasing_it(hubspot: responses.RequestsMock) -> None:
    hubspot.post(f"{OBJECTS}/contacts/gdpr-delete", status=204)
    hubspot.post(f"{OBJECTS}/contacts/gdpr-delete", status=404, json={"message": "resource not found"})
    portal = a_portal()
    portal.contacts.gdpr_delete("1")
    portal.contacts.gdpr_delete("1")
    assert sent(hubspot) == {"objectId": "1"}


def test_an_address_is_unsubscribed_from_everything(hubspot: responses.RequestsMock) -> None:
    hubspot.post(f"{API}/communication-preferences/v4/statuses/ana%2Fb%40example.com/unsubscribe-all", json={})
    a_portal().contacts.unsubscribe(" ana/b@example.com ")
    assert hubspot.calls[0].request.params == {"channel": "EMAIL"}


def test_deals_of_contacts_are_read_over_all_pages_and_none_is_no_failure(hubspot: responses.RequestsMock) -> None:
    def answer(inputs: list[dict[str, Any]]) -> tuple[int, object]:
        if inputs == [{"id": "1", "after": "c"}]:
            return 200, {"results": [{"from": {"id": "1"}, "to": [{"toObjectId": 12}, {"toObjectId": 11}]}]}
        nothing = {
            "status": "error", "category": "OBJECT_NOT_FOUND", "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
            "message": "No deal is associated with contact 2.", "context": {"fromObjectId": ["2"]},
        }  # fmt: skip
        first = {"from": {"id": "1"}, "to": [{"toObjectId": 11}], "paging": {"next": {"after": "c"}}}
        return 207, {"status": "COMPLETE", "results": [first], "numErrors": 1, "errors": [nothing]}

    hubspot.add_callback("POST", f"{ASSOCIATIONS}/contacts/deals/batch/read", batch(answer))
    assert a_portal().deals.of_contacts(["1", "2", "no-id"]) == {"1": ("11", "12"), "2": (), "no-id": ()}
    assert len(hubspot.calls) == 2


def test_associations_are_read_by_the_thousand(hubspot: responses.RequestsMock) -> None:
    hubspot.post(f"{ASSOCIATIONS}/contacts/deals/batch/read", json={"results": []})
    answer = a_portal().deals.of_contacts(map(str, range(1, 1_502)))
    assert (len(hubspot.calls), len(answer)) == (2, 1_501)


@pytest.mark.parametrize(
    "body",
    [
        {"results": [], "errors": [{"category": "INTERNAL_ERROR"}]},
        {"nothing": "of the kind"},
        {"results": [{"from": {"id": "1"}, "paging": {"next": {"after": "same"}}}]},
    ],
)
def test_no_associations_is_never_a_guess(hubspot: responses.RequestsMock, body: object) -> None:
    hubspot.post(f"{ASSOCIATIONS}/contacts/deals/batch/read", json=body)
    with pytest.raises(HubSpotError) as caught:
        a_portal().deals.of_contacts(["1"])
    assert caught.value.meaning.retryable


def test_tasks_are_made_with_their_marker_and_their_contact(hubspot: responses.RequestsMock) -> None:
    made = [record("901", sk_key="k2"), record("900", sk_key="k1")]
    hubspot.post(f"{OBJECTS}/tasks/batch/create", status=201, json={"status": "COMPLETE", "results": made})
    inputs = [TaskInput(key=key, contact="1", properties={"hs_timestamp": "1"}) for key in ("k1", "k2")]
    answer = a_portal().tasks.create(inputs)
    assert (answer.created, answer.failed, answer.unclear) == ({"k1": "900", "k2": "901"}, {}, frozenset())
    assert sent(hubspot)["inputs"][0] == {
        "objectWriteTraceId": "k1",
        "properties": {"hs_timestamp": "1", "sk_key": "k1"},
        "associations": [
            {"to": {"id": "1"}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 204}]}
        ],
    }


def test_deals_are_opened_for_the_contact_and_its_company(hubspot: responses.RequestsMock) -> None:
    hubspot.post(f"{OBJECTS}/deals/batch/create", status=201, json={"results": [record("9", sk_key="d1")]})
    deal = DealInput(key="d1", contact="1", company="77", properties={"dealname": "x"})
    assert a_portal().deals.create([deal]).created == {"d1": "9"}
    associations = sent(hubspot)["inputs"][0]["associations"]
    types = {each["to"]["id"]: [kind["associationTypeId"] for kind in each["types"]] for each in associations}
    assert types == {"1": [3], "77": [5, 341]}


def test_of_tasks_partly_made_each_is_told_apart(hubspot: responses.RequestsMock) -> None:
    errors = [
        {"category": "VALIDATION_ERROR", "context": {"objectWriteTraceId": ["k2"]}},
        {"category": "INTERNAL_ERROR", "context": {"objectWriteTraceId": ["k3"]}},
    ]
    body = {"results": [record("900", sk_key="k1")], "errors": errors}
    hubspot.post(f"{OBJECTS}/tasks/batch/create", status=207, json=body)
    answer = a_portal().tasks.create([TaskInput(key=f"k{n}", contact="1", properties={}) for n in (1, 2, 3, 4)])
    assert (answer.created, set(answer.failed), answer.unclear) == ({"k1": "900"}, {"k2"}, {"k3", "k4"})


@pytest.mark.parametrize("trouble", [{"status": 500}, {"status": 201, "body": "<html>"}, {"body": requests.Timeout()}])
def test_tasks_whose_fate_is_unknown_are_never_sent_again(
    hubspot: responses.RequestsMock, trouble: dict[str, Any]
) -> None:
    hubspot.post(f"{OBJECTS}/tasks/batch/create", **trouble)
    answer = a_portal().tasks.create([TaskInput(key="k1", contact="1", properties={})])
    assert (answer.created, answer.failed, answer.unclear) == ({}, {}, {"k1"})
    assert len(hubspot.calls) == 1


def test_tasks_that_surely_were_not_made_have_failed(hubspot: responses.RequestsMock) -> None:
    hubspot.post(f"{OBJECTS}/tasks/batch/create", status=400, json={"category": "VALIDATION_ERROR"})
    answer = a_portal().tasks.create([TaskInput(key=key, contact="1", properties={}) for key in ("k1", "k2")])
    assert (answer.created, set(answer.failed), answer.unclear) == ({}, {"k1", "k2"}, frozenset())


def test_the_tasks_after_a_failed_batch_were_not_sent(hubspot: responses.RequestsMock) -> None:
    hubspot.post(f"{OBJECTS}/tasks/batch/create", status=500)
    answer = a_portal().tasks.create([TaskInput(key=f"k{n}", contact="1", properties={}) for n in range(150)])
    assert (len(answer.unclear), len(answer.failed), len(hubspot.calls)) == (100, 50, 1)
    assert {why.kind for why in answer.failed.values()} == {"unreachable"}


def test_a_single_record_without_its_marker_is_still_the_one_that_was_asked_for(
    hubspot: responses.RequestsMock,
) -> None:
    hubspot.post(f"{OBJECTS}/tasks/batch/create", status=201, json={"results": [record("900")]})
    assert a_portal().tasks.create([TaskInput(key="k1", contact="1", properties={})]).created == {"k1": "900"}


def test_marked_tasks_are_found_by_association_and_never_by_search(hubspot: responses.RequestsMock) -> None:
    results = [{"from": {"id": "1"}, "to": [{"toObjectId": 900}, {"toObjectId": 901}, {"toObjectId": 902}]}]
    hubspot.post(f"{ASSOCIATIONS}/contacts/tasks/batch/read", json={"results": results})
    tasks = [record("900", sk_key="k1"), {"id": "901", "properties": {"sk_key": None}}, record("902", sk_key="k1")]
    hubspot.post(f"{OBJECTS}/tasks/batch/read", json={"results": tasks})
    assert a_portal().tasks.marked(["1", "2"]) == {"1": {"k1": "900"}, "2": {}}


def test_marked_deals_are_found_likewise(hubspot: responses.RequestsMock) -> None:
    results = [{"from": {"id": "1"}, "to": [{"toObjectId": 9}]}]
    hubspot.post(f"{ASSOCIATIONS}/contacts/deals/batch/read", json={"results": results})
    hubspot.post(f"{OBJECTS}/deals/batch/read", json={"results": [record("9", sk_key="d1")]})
    assert a_portal().deals.marked(["1"]) == {"1": {"d1": "9"}}


def test_markers_that_cannot_be_read_are_not_taken_for_absent(hubspot: responses.RequestsMock) -> None:
    results = [{"from": {"id": "1"}, "to": [{"toObjectId": 900}]}]
    hubspot.post(f"{ASSOCIATIONS}/contacts/tasks/batch/read", json={"results": results})
    hubspot.post(f"{OBJECTS}/tasks/batch/read", status=400, json={"category": "VALIDATION_ERROR"})
    with pytest.raises(HubSpotError):
        a_portal().tasks.marked(["1"])


def test_owners_are_found_by_address_and_remembered_for_ten_minutes(hubspot: responses.RequestsMock) -> None:
    queue = {"id": "5", "email": "ana@example.com", "type": "QUEUE"}
    person = {"id": "6", "email": "Ana@Example.com", "type": "PERSON", "archived": False}
    hubspot.get(f"{API}/crm/v3/owners", json={"results": [queue, person]})
    time = Time()
    owners = a_portal(time).owners
    assert [owners.by_email(address) for address in ("ana@example.com", " ANA@example.com")] == ["6", "6"]
    assert len(hubspot.calls) == 1
    time.now += 600_000
    owners.by_email("ana@example.com")
    assert len(hubspot.calls) == 2


def test_that_there_is_no_such_owner_is_remembered_too(hubspot: responses.RequestsMock) -> None:
    hubspot.get(f"{API}/crm/v3/owners", json={"results": []})
    owners = a_portal().owners
    assert (owners.by_email("x@example.com"), owners.by_email("x@example.com"), len(hubspot.calls)) == (None, None, 1)


def test_all_owners_are_listed(hubspot: responses.RequestsMock) -> None:
    hubspot.get(f"{API}/crm/v3/owners", json={"results": [{"id": "1"}], "paging": {"next": {"after": "a"}}})
    hubspot.get(f"{API}/crm/v3/owners", json={"results": [{"id": "2"}]})
    assert a_portal().owners.all() == ({"id": "1"}, {"id": "2"})


def test_definitions_pipelines_and_the_account_are_told(hubspot: responses.RequestsMock) -> None:
    hubspot.get(f"{API}/crm/v3/properties/contacts", json={"results": [{"name": "email", "type": "string"}]})
    hubspot.get(f"{API}/crm/v3/pipelines/deals", json={"results": [{"id": "default"}]})
    hubspot.get(f"{API}/account-info/v3/details", json={"portalId": 4242, "timeZone": "US/Eastern"})
    portal = a_portal()
    assert portal.properties.definitions("contacts") == {"email": {"name": "email", "type": "string"}}
    assert (portal.deals.pipelines(), portal.account()["timeZone"]) == ([{"id": "default"}], "US/Eastern")


def test_companies_and_deals_are_read(hubspot: responses.RequestsMock) -> None:
    hubspot.post(f"{OBJECTS}/companies/batch/read", json={"results": [record("7", industry="RETAIL")]})
    hubspot.post(f"{OBJECTS}/deals/batch/read", json={"results": [record("8", amount="900")]})
    portal = a_portal()
    assert portal.companies.read(["7"], ["industry"]).found == {"7": record("7", industry="RETAIL")}
    assert portal.deals.read(["8"], ["amount"]).found == {"8": record("8", amount="900")}


def test_a_revoked_token_is_raised_as_trouble_of_the_portal(hubspot: responses.RequestsMock) -> None:
    hubspot.post(f"{OBJECTS}/contacts/batch/read", status=401, json={"category": "INVALID_AUTHENTICATION"})
    with pytest.raises(PortalTrouble):
        a_portal().contacts.read(["1"], ["email"])


def test_a_held_portal_sees_a_changed_token(hubspot: responses.RequestsMock) -> None:
    hubspot.post(f"{OBJECTS}/contacts/batch/read", json={"results": []})
    token = ["old"]
    portal = a_portal(access_token=lambda: token[0])
    portal.contacts.read(["1"], ["email"])
    token[0] = "new"
    portal.contacts.read(["1"], ["email"])
    assert [call.request.headers["Authorization"] for call in hubspot.calls] == ["Bearer old", "Bearer new"]


def test_a_closed_portal_opens_again(hubspot: responses.RequestsMock) -> None:
    hubspot.get(f"{API}/account-info/v3/details", json={"portalId": 1})
    portal = a_portal()
    portal.account()
    portal.close()
    assert portal.account() == {"portalId": 1}


def test_building_a_portal_does_not_import_the_official_client() -> None:
    code = "import sys; import connector.hubspot.client; sys.exit('hubspot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_portal_is_what_its_type_says() -> None:
    assert isinstance(a_portal(), HubSpotPortal)

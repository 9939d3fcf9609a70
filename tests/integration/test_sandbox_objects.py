"""Single records of the practice HubSpot, over HTTP, in both families of paths."""

from collections.abc import Iterator

import pytest

from connector.sandbox import Sandbox
from tests.integration.sandbox_calls import Api, calling

Pair = tuple[Sandbox, Api]
FAMILIES = ("/crm/v3/objects", "/crm/objects/2026-03", "/crm/objects/2026-09")


@pytest.fixture
def pair() -> Iterator[Pair]:
    with calling() as both:
        yield both


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["contacts", "contact", "0-1"])
def test_a_contact_is_read_by_every_family_of_paths_and_every_name_of_its_kind(
    pair: Pair, family: str, kind: str
) -> None:
    sandbox, api = pair
    contact = sandbox.create_contact({"email": "Ana@Example.com", "lifecyclestage": "lead"})

    heard = api("GET", f"{family}/{kind}/{contact}?properties=email,phone,no_such_property")

    assert heard.status == 200
    assert heard.body["id"] == contact
    assert heard.body["archived"] is False
    shown = heard.body["properties"]
    assert (shown["email"], shown["phone"], shown["hs_object_id"]) == ("ana@example.com", None, contact)
    assert set(shown) == {"email", "phone", "createdate", "hs_object_id", "lastmodifieddate"}


def test_ids_do_not_fit_into_32_bits(pair: Pair) -> None:
    sandbox, _ = pair
    assert int(sandbox.create_contact({})) > 2**32


def test_a_call_that_names_no_properties_gets_the_default_ones(pair: Pair) -> None:
    sandbox, api = pair
    contact = sandbox.create_contact({"firstname": "Ana"})
    assert set(api("GET", f"/crm/v3/objects/contacts/{contact}").body["properties"]) == {
        "createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname",
    }  # fmt: skip


def test_every_value_is_text_and_numbers_and_dates_have_one_spelling(pair: Pair) -> None:
    _, api = pair
    made = api("POST", "/crm/v3/objects/companies", {"properties": {"name": "A", "numberofemployees": 12.0}})
    assert made.status == 201
    assert made.body["properties"]["numberofemployees"] == "12"
    deal = api("POST", "/crm/v3/objects/deals", {"properties": {"dealname": "D", "closedate": "1790000000000"}})
    assert deal.body["properties"]["closedate"] == "2026-09-21T14:13:20Z"


def test_history_tells_who_set_a_value_newest_first(pair: Pair) -> None:
    sandbox, api = pair
    contact = sandbox.create_contact({"phone": "1"})
    api("PATCH", f"/crm/v3/objects/contacts/{contact}", {"properties": {"phone": "2"}})
    body = api("GET", f"/crm/v3/objects/contacts/{contact}?propertiesWithHistory=phone").body
    told = [(one["value"], one["sourceType"], one["sourceId"]) for one in body["propertiesWithHistory"]["phone"]]
    assert told == [("2", "INTEGRATION", "7001"), ("1", "CRM_UI", "userId:1")]
    assert [one["updatedByUserId"] for one in body["propertiesWithHistory"]["phone"]] == [None, 1]


def test_a_contact_is_found_and_changed_by_its_address(pair: Pair) -> None:
    sandbox, api = pair
    contact = sandbox.create_contact({"email": "ana@example.com"})
    path = "/crm/v3/objects/contacts/ana%40example.com?idProperty=email"
    assert api("PATCH", path, {"properties": {"city": "Porto"}}).status == 200
    assert sandbox.contact(contact)["city"] == "Porto"
    assert api("GET", path).body["id"] == contact
    assert api("GET", "/crm/v3/objects/contacts/nobody@example.com?idProperty=email").status == 404


def test_the_same_value_written_again_changes_nothing(pair: Pair) -> None:
    sandbox, api = pair
    contact = sandbox.create_contact({"phone": "1"})
    before = sandbox.everything_about(contact)
    api("PATCH", f"/crm/v3/objects/contacts/{contact}", {"properties": {"phone": "1"}})
    assert sandbox.everything_about(contact) == before


def test_empty_text_clears_and_a_leading_semicolon_appends(pair: Pair) -> None:
    sandbox, api = pair
    contact = sandbox.create_contact({"phone": "1", "hs_buying_role": "CHAMPION"})
    heard = api("PATCH", f"/crm/v3/objects/contacts/{contact}",
                {"properties": {"phone": "", "hs_buying_role": ";DECISION_MAKER"}})  # fmt: skip
    assert heard.body["properties"]["phone"] is None
    assert heard.body["properties"]["hs_buying_role"] == "CHAMPION;DECISION_MAKER"


def test_an_address_that_is_taken_is_a_conflict_that_names_the_contact(pair: Pair) -> None:
    sandbox, api = pair
    contact = sandbox.create_contact({"email": "ana@example.com"})
    heard = api("POST", "/crm/v3/objects/contacts", {"properties": {"email": "ANA@example.com"}})
    assert (heard.status, heard.body["category"]) == (409, "CONFLICT")
    assert heard.body["message"] == f"Contact already exists. Existing ID: {contact}"


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({"no_such": "1"}, "PROPERTY_DOESNT_EXIST"),
        ({"lifecyclestage": "Lead"}, "INVALID_OPTION"),
        ({"hs_buying_role": "CHAMPION;KING"}, "INVALID_OPTION"),
        ({"email": "no address"}, "INVALID_EMAIL"),
        ({"associatedcompanyid": "many"}, "INVALID_INTEGER"),
        ({"closedate": "soon"}, "INVALID_DATE"),
        ({"num_notes": "3"}, "READ_ONLY_VALUE"),
        ({"hubspot_owner_id": "1"}, "INVALID_OWNER_ID"),
        ({"firstname": "x" * 65_537}, "PROPERTY_VALUE_TOO_LONG"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_a_code(pair: Pair, properties: dict[str, str], code: str) -> None:
    sandbox, api = pair
    contact = sandbox.create_contact({"phone": "1"})
    heard = api("PATCH", f"/crm/v3/objects/contacts/{contact}", {"properties": {"phone": "2", **properties}})
    assert (heard.status, heard.body["category"]) == (400, "VALIDATION_ERROR")
    assert [(one["code"], one["context"]) for one in heard.body["errors"]] == [
        (code, {"propertyName": [next(iter(properties))]})
    ]
    assert sandbox.contact(contact)["phone"] == "1"


def test_pages_of_a_list_follow_each_other_to_the_end(pair: Pair) -> None:
    sandbox, api = pair
    made = [sandbox.create_contact({}) for _ in range(5)]
    first = api("GET", "/crm/v3/objects/contacts?limit=3").body
    assert [one["id"] for one in first["results"]] == made[:3]
    rest = api("GET", f"/crm/v3/objects/contacts?limit=3&after={first['paging']['next']['after']}").body
    assert [one["id"] for one in rest["results"]] == made[3:]
    assert "paging" not in rest
    assert api("GET", "/crm/v3/objects/contacts?limit=101").status == 400
    assert api("GET", "/crm/v3/objects/contacts?limit=51&propertiesWithHistory=email").status == 400


def test_a_deleted_contact_is_in_the_bin_until_it_is_restored(pair: Pair) -> None:
    sandbox, api = pair
    contact = sandbox.create_contact({"email": "ana@example.com"})
    path = f"/crm/v3/objects/contacts/{contact}"
    assert api("DELETE", path).status == 204
    assert api("DELETE", path).status == 204
    assert api("GET", path).status == 404
    assert api("GET", f"{path}?archived=true").body["archived"] is True
    assert [one["id"] for one in api("GET", "/crm/v3/objects/contacts?archived=true").body["results"]] == [contact]
    sandbox.restore_contact(contact)
    assert api("GET", "/crm/v3/objects/contacts/ana@example.com?idProperty=email").body["id"] == contact


def test_a_read_with_associations_lists_their_ids_by_kind(pair: Pair) -> None:
    sandbox, api = pair
    company = sandbox.create_company({"name": "A"})
    contact = sandbox.create_contact({}, company=company)
    deal = sandbox.create_deal({"dealname": "D"}, contacts=[contact])
    body = api("GET", f"/crm/v3/objects/contacts/{contact}?associations=deals,companies,tasks").body
    assert body["associations"] == {
        "deals": {"results": [{"id": deal, "type": "contact_to_deal"}]},
        "companies": {"results": [{"id": company, "type": "contact_to_company"}]},
    }


def test_a_task_needs_a_due_date_and_counts_as_an_activity_of_its_contact(pair: Pair) -> None:
    sandbox, api = pair
    contact = sandbox.create_contact({})
    to_contact = [{"to": {"id": contact}, "types": [{"associationCategory": "HUBSPOT_DEFINED",
                                                     "associationTypeId": 204}]}]  # fmt: skip
    assert api("POST", "/crm/v3/objects/tasks", {"properties": {"hs_task_subject": "Call"}}).status == 400
    body = {"properties": {"hs_timestamp": "2099-01-01T09:00:00Z"}, "associations": to_contact}
    task = api("POST", "/crm/v3/objects/tasks", body).body["id"]
    counted = sandbox.contact(contact)
    assert (counted["num_notes"], counted["notes_next_activity_date"]) == ("1", "2099-01-01T09:00:00Z")
    api("PATCH", f"/crm/v3/objects/tasks/{task}", {"properties": {"hs_task_status": "COMPLETED"}})
    assert "notes_next_activity_date" not in sandbox.contact(contact)
    assert "hs_task_completion_date" in sandbox.tasks_of(contact)[0]["properties"]
    api("DELETE", f"/crm/v3/objects/tasks/{task}")
    assert (sandbox.contact(contact)["num_notes"], sandbox.tasks_of(contact)) == ("0", [])


@pytest.mark.parametrize("type_id", [203, 1, 99999])
def test_an_association_type_of_the_other_direction_is_refused(pair: Pair, type_id: int) -> None:
    sandbox, api = pair
    contact = sandbox.create_contact({})
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id}]
    body = {"properties": {"hs_timestamp": "2099-01-01"}, "associations": [{"to": {"id": contact}, "types": types}]}
    heard = api("POST", "/crm/v3/objects/tasks", body)
    assert (heard.status, heard.body["subCategory"]) == (400, "crm.associations.INVALID_ASSOCIATION_TYPE")
    assert sandbox.tasks_of(contact) == []


def test_unknown_paths_kinds_and_versions_are_404(pair: Pair) -> None:
    _, api = pair
    for path in ("/crm/v3/objects/unicorns/1", "/crm/v9/objects/contacts", "/crm/objects/2019-01/contacts", "/x",
                 "/crm/v4/objects/contacts/1"):  # fmt: skip
        assert api("GET", path).status == 404
    assert api("PUT", "/crm/v3/objects/contacts").status == 404


def test_bodies_that_are_no_json_object_are_refused(pair: Pair) -> None:
    _, api = pair
    assert api.raw("POST", "/crm/v3/objects/contacts", b"{").status == 400
    assert api("POST", "/crm/v3/objects/contacts", [1]).status == 400
    assert api("POST", "/crm/v3/objects/contacts", {"properties": "x"}).status == 400
    assert api("POST", "/crm/v3/objects/tasks/batch/create", {"inputs": "x"}).status == 400
    bad = {"properties": {"hs_timestamp": "2099-01-01"}, "associations": [{"to": 5}]}
    assert api("POST", "/crm/v3/objects/tasks", bad).status == 400


def test_a_url_with_too_many_properties_is_414(pair: Pair) -> None:
    sandbox, api = pair
    contact = sandbox.create_contact({})
    assert api("GET", f"/crm/v3/objects/contacts/{contact}?properties={'a_long_name,' * 800}").status == 414

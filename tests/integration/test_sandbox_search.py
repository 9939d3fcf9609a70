"""Search in the practice HubSpot: late, bounded, and strict about its bodies."""

from collections.abc import Iterator
from typing import Any

import pytest

from connector.sandbox import Sandbox
from connector.sandbox.search import MOST_RESULTS
from tests.integration.sandbox_calls import NOW, Api, Ticking, calling

PATH = "/crm/objects/2026-09/contacts/search"


@pytest.fixture
def pair() -> Iterator[tuple[Sandbox, Api]]:
    with calling(search_lag_ms=0, clock=Ticking()) as both:
        yield both


def one(name: str, operator: str, **more: Any) -> dict[str, Any]:
    return {"filterGroups": [{"filters": [{"propertyName": name, "operator": operator, **more}]}], "limit": 200}


def test_search_sees_a_change_only_after_a_while() -> None:
    clock = Ticking()
    with calling(clock=clock, search_lag_ms=1000) as (sandbox, api):
        contact = sandbox.create_contact({"phone": "1"})
        assert api("POST", PATH, {}).body["total"] == 0
        clock.now += 1000
        sandbox.update_contact(contact, {"phone": "2"})
        assert api("POST", PATH, {"properties": ["phone"]}).body["results"][0]["properties"]["phone"] == "1"
        clock.now += 1000
        assert api("POST", PATH, {"properties": ["phone"]}).body["results"][0]["properties"]["phone"] == "2"
        sandbox.delete_contact(contact)
        assert api("POST", PATH, {}).body["total"] == 1
        clock.now += 1000
        assert api("POST", PATH, {}).body == {"total": 0, "results": []}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (one("firstname", "EQ", value="ANA"), ["Ana"]),
        (one("firstname", "NEQ", value="Ana"), ["Bo", "Cy", None]),
        (one("num_notes", "GT", value="9"), ["Bo"]),
        (one("num_notes", "GTE", value="9"), ["Ana", "Bo"]),
        (one("num_notes", "LT", value="10"), ["Ana"]),
        (one("num_notes", "LTE", value="10"), ["Ana", "Bo"]),
        (one("num_notes", "BETWEEN", value="5", highValue="9.5"), ["Ana"]),
        (one("firstname", "IN", values=["ana", "bo"]), ["Ana", "Bo"]),
        (one("firstname", "IN", values=["Ana"]), []),
        (one("firstname", "NOT_IN", values=["ana", "bo"]), ["Cy", None]),
        (one("lifecyclestage", "IN", values=["lead"]), ["Ana", "Cy"]),
        (one("lifecyclestage", "EQ", value="Lead"), []),
        (one("num_notes", "HAS_PROPERTY"), ["Ana", "Bo"]),
        (one("firstname", "NOT_HAS_PROPERTY"), [None]),
        (one("email", "CONTAINS_TOKEN", value="*@example.com"), ["Ana", "Bo"]),
        (one("email", "NOT_CONTAINS_TOKEN", value="ana*"), ["Bo", "Cy", None]),
        (one("lastmodifieddate", "GTE", value=str(NOW)), ["Ana", "Bo", "Cy", None]),
        (one("lastmodifieddate", "GT", value="2030-01-01T00:00:00Z"), []),
        ({"query": "bo@"}, ["Bo"]),
        (one("hs_object_id", "GT", value="97000000002"), ["Cy", None]),
    ],
)
def test_operators_compare_by_the_type_of_the_property(
    pair: tuple[Sandbox, Api], asked: dict[str, Any], found: list[str | None]
) -> None:
    sandbox, api = pair
    sandbox.create_contact({"firstname": "Ana", "email": "ana@example.com", "num_notes": "9", "lifecyclestage": "lead"})
    sandbox.create_contact({"firstname": "Bo", "email": "bo@example.com", "num_notes": "10"})
    sandbox.create_contact({"firstname": "Cy", "lifecyclestage": "lead"})
    sandbox.create_contact({})
    heard = api("POST", PATH, {**asked, "properties": ["firstname"]})
    assert [result["properties"]["firstname"] for result in heard.body["results"]] == found
    assert heard.body["total"] == len(found)


def test_groups_are_alternatives_and_filters_of_a_group_go_together(pair: tuple[Sandbox, Api]) -> None:
    sandbox, api = pair
    made = [sandbox.create_contact({"city": city, "zip": code}) for city, code in (("A", "1"), ("A", "2"), ("B", "2"))]
    group = one("city", "EQ", value="a")["filterGroups"][0]["filters"]
    body = {"filterGroups": [{"filters": [*group, *one("zip", "EQ", value="2")["filterGroups"][0]["filters"]]},
                             {"filters": one("city", "EQ", value="b")["filterGroups"][0]["filters"]}]}  # fmt: skip
    assert [result["id"] for result in api("POST", PATH, body).body["results"]] == made[1:]


def test_results_are_sorted_and_paged(pair: tuple[Sandbox, Api]) -> None:
    sandbox, api = pair
    for number in (9, 10, 8):
        sandbox.create_contact({"num_notes": str(number)})
    sandbox.create_contact({})
    sorts = [{"propertyName": "num_notes", "direction": "DESCENDING"}]
    body = {"sorts": sorts, "properties": ["num_notes"], "limit": 2}
    first = api("POST", PATH, body).body
    rest = api("POST", PATH, {**body, "after": first["paging"]["next"]["after"]}).body
    shown = [result["properties"]["num_notes"] for result in first["results"] + rest["results"]]
    assert shown == ["10", "9", "8", None]
    assert "paging" not in rest


@pytest.mark.parametrize(
    "body",
    [
        {"limit": 201},
        {"limit": 200, "after": str(MOST_RESULTS - 100)},
        {"filterGroups": [{"filters": []}] * 6},
        {"filterGroups": [{"filters": [{"propertyName": "city", "operator": "HAS_PROPERTY"}] * 7}]},
        one("no_such", "HAS_PROPERTY"),
        one("city", "LIKES", value="a"),
        one("city", "EQ"),
        one("city", "IN", value="a"),
        one("num_notes", "GT", value="many"),
        one("createdate", "GT", value="soon"),
        {"sorts": ["city", "zip"]},
        {"sorts": ["no_such"]},
        {"query": "x" * 3001},
        {"filterGroups": "x"},
        {"filterGroups": [{"filters": 5}]},
        {"sorts": 5},
        one("hs_object_id", "GT", value="many"),
        {"after": "x"},
    ],
)
def test_searches_beyond_the_bounds_are_refused(pair: tuple[Sandbox, Api], body: dict[str, Any]) -> None:
    _, api = pair
    assert api("POST", PATH, body).status == 400


def test_merged_contacts_are_found_under_the_new_id_only(pair: tuple[Sandbox, Api]) -> None:
    sandbox, api = pair
    merged = sandbox.merge_contacts(sandbox.create_contact({}), sandbox.create_contact({}))
    assert [result["id"] for result in api("POST", PATH, {}).body["results"]] == [merged]


def test_windows_of_ids_read_everything_and_see_what_changed_in_between(pair: tuple[Sandbox, Api]) -> None:
    sandbox, api = pair
    made = [sandbox.create_contact({"city": "A"}) for _ in range(4)]

    def window(last: str) -> list[str]:
        filters = [{"propertyName": "hs_object_id", "operator": "GT", "value": last},
                   {"propertyName": "city", "operator": "EQ", "value": "a"}]  # fmt: skip
        body = {"filterGroups": [{"filters": filters}], "limit": 2}
        return [result["id"] for result in api("POST", PATH, body).body["results"]]

    assert (window("0"), window(made[1])) == (made[:2], made[2:])
    sandbox.update_contact(made[2], {"city": "B"})
    assert window(made[1]) == made[3:]

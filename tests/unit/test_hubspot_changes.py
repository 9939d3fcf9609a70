"""Reading what has changed: nothing is skipped, whatever the number and whatever changes while pages are read."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import responses
from requests import PreparedRequest

from connector.hubspot.changes import LONGEST_BODY, PAGE, ChangedPage, changes_after
from connector.hubspot.failure import HubSpotError
from connector.moments import write_moment
from connector.sandbox import Sandbox, SandboxOptions
from connector.sandbox.kinds import CONTACT
from connector.sandbox.records import Author
from tests.hubspot_portals import API, START, Time, a_portal

AN_IMPORT = Author("IMPORT", "1")
SEARCH = f"{API}/crm/v3/objects/contacts/search"


@pytest.fixture
def hubspot() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


class Index:
    """A search over contacts by their last change, as HubSpot answers it, cap and all."""

    def __init__(self, changes: dict[int, int]) -> None:
        self.changes = changes
        self.asked: list[dict[str, Any]] = []
        self.after_each: Callable[[], None] = lambda: None

    def __call__(self, request: PreparedRequest) -> tuple[int, dict[str, str], str]:
        body = json.loads(request.body or "")
        self.asked.append(body)
        filters = [one for group in body["filterGroups"] for one in group["filters"]]
        found = [record for record in self.changes if all(self._fits(record, one) for one in filters)]
        sort = body["sorts"][0]
        key = (lambda one: one) if sort["propertyName"] == "hs_object_id" else self.changes.__getitem__
        found.sort(key=key, reverse=sort["direction"] == "DESCENDING")
        results = [a_record(one, self.changes[one]) for one in found[: body["limit"]]]
        self.after_each()
        return 200, {}, json.dumps({"total": len(found), "results": results})

    def _fits(self, record: int, one: dict[str, str]) -> bool:
        have = record if one["propertyName"] == "hs_object_id" else self.changes[record]
        value = int(one["value"])
        return have > value if one["operator"] == "GT" else have <= value


def a_record(number: int, moment: int) -> dict[str, Any]:
    return {"id": str(number), "properties": {"lastmodifieddate": write_moment(moment), "email": f"{number}@x.example"}}


def pages(moment: int, *, most: int = 5_000) -> list[ChangedPage]:
    return list(changes_after(a_portal()._official, "contacts", moment, ["email"], most_in_span=most))


def ids(found: list[ChangedPage]) -> list[int]:
    return [int(record["id"]) for page in found for record in page.records]


def test_few_changes_cost_a_single_call(hubspot: responses.RequestsMock) -> None:
    index = Index({number: START + number for number in range(1, 101)})
    hubspot.add_callback("POST", SEARCH, index)
    found = pages(START)
    assert (sorted(ids(found)), [page.reached for page in found]) == (list(range(1, 101)), [START + 100])
    assert len(index.asked) == 1


def test_without_changes_nothing_is_reached(hubspot: responses.RequestsMock) -> None:
    hubspot.add_callback("POST", SEARCH, Index({1: START}))
    assert pages(START) == []


def test_many_that_changed_in_the_same_millisecond_are_read_by_their_ids(hubspot: responses.RequestsMock) -> None:
    index = Index(dict.fromkeys(range(1, 12_001), START))
    hubspot.add_callback("POST", SEARCH, index)
    found = pages(START - 1)
    assert ids(found) == list(range(1, 12_001))
    assert [page.reached for page in found if page.reached is not None] == [START]
    assert len(index.asked) == 1 + 12_000 // PAGE
    assert all("after" not in body for body in index.asked)


def test_a_long_span_is_read_in_parts_each_of_which_says_how_far_it_comes(hubspot: responses.RequestsMock) -> None:
    index = Index({number: START + number for number in range(1, 3_001)})
    hubspot.add_callback("POST", SEARCH, index)
    found = pages(START, most=1_000)
    reached = [page.reached for page in found if page.reached is not None]
    assert sorted(ids(found)) == list(range(1, 3_001))
    assert (reached, reached[-1]) == (sorted(set(reached)), START + 3_000)
    for place, page in enumerate(found):
        if page.reached is not None:
            given = set(ids(found[: place + 1]))
            assert {n for n, moment in index.changes.items() if moment <= page.reached} <= given


def test_whoever_changes_while_pages_are_read_is_given_now_or_lies_after_what_was_reached(
    hubspot: responses.RequestsMock,
) -> None:
    index = Index({number: START + number for number in range(1, 2_001)})
    later = iter(range(2_000, 0, -7))

    def change() -> None:
        for _ in range(5):
            index.changes[next(later)] = START + 10_000 + len(index.asked)

    index.after_each = change
    hubspot.add_callback("POST", SEARCH, index)
    found = pages(START)
    last = max(page.reached for page in found if page.reached is not None)
    assert {number for number, moment in index.changes.items() if moment <= last} <= set(ids(found))
    assert last == START + 2_000


def test_more_properties_than_a_search_takes_are_read_by_batch(hubspot: responses.RequestsMock) -> None:
    names = [f"property_number_{number}" for number in range(200)]
    index = Index({1: START})
    hubspot.add_callback("POST", SEARCH, index)
    whole = {"id": "1", "properties": {"property_number_7": "x"}}
    hubspot.post(f"{API}/crm/v3/objects/contacts/batch/read", json={"results": [whole]})
    (page,) = a_portal().changes_after("contacts", 0, names)
    assert (page.records, page.reached) == ((whole,), START)
    assert max(len(json.dumps(body)) for body in index.asked) < LONGEST_BODY


def test_a_search_that_ignores_the_ids_does_not_go_on_for_ever(hubspot: responses.RequestsMock) -> None:
    hubspot.post(SEARCH, json={"total": 300, "results": [a_record(5, START)]})
    assert ids(pages(0)) == [5]


@pytest.mark.parametrize("body", [{"unexpected": True}, {"total": 1, "results": [{"id": "5", "properties": {}}]}])
def test_an_answer_that_says_nothing_of_the_time_is_not_taken_for_an_end(
    hubspot: responses.RequestsMock, body: dict[str, Any]
) -> None:
    hubspot.post(SEARCH, json=body)
    with pytest.raises(HubSpotError, match=r"results|when it was changed"):
        pages(0)


def test_the_newest_change_is_asked_of_hubspots_clock() -> None:
    time = Time()
    with Sandbox(SandboxOptions(port=0, clock=time, search_lag_ms=0)) as sandbox:
        portal = a_portal(time, api_url=sandbox.address, access_token="pat-sandbox")
        assert portal.newest_change("contacts") is None
        sandbox.create_contact({"email": "a@example.com"})
        time.now += 5_000
        sandbox.create_contact({"email": "b@example.com"})
        assert (portal.newest_change("contacts"), portal.newest_change("deals")) == (time.now, None)
        portal.close()


def test_the_practice_hubspot_refuses_to_page_beyond_ten_thousand_and_is_read_all_the_same() -> None:
    time = Time()
    with Sandbox(SandboxOptions(port=0, clock=time, search_lag_ms=0)) as sandbox:
        with sandbox.portal.lock:
            store = sandbox.portal.records[CONTACT]
            imported = [store.add({}, time.now, author).id for author in [AN_IMPORT] * 10_500]
        portal = a_portal(time, api_url=sandbox.address, access_token="pat-sandbox")
        found = [str(each) for each in ids(list(portal.changes_after("contacts", time.now - 1, [])))]
        assert (len(found), sorted(found)) == (10_500, sorted(imported))
        assert sandbox.calls.count(route="/crm/objects/contacts/search", status=400) == 0
        portal.close()

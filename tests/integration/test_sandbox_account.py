"""Owners, pipelines, account details and consent of the practice HubSpot."""

import pytest

from tests.integration.sandbox_calls import calling

MAIL = "/communication-preferences/v4/statuses/ana%40example.com"


@pytest.mark.parametrize("path", ["/crm/v3/owners", "/crm/owners/2026-03"])
def test_owners_are_listed_in_pages_and_found_by_address(path: str) -> None:
    with calling() as (sandbox, api):
        owner = sandbox.add_owner("New@Acme.example", "New", "One")
        first = api("GET", f"{path}?limit=3").body
        rest = api("GET", f"{path}?limit=3&after={first['paging']['next']['after']}").body
        assert len(first["results"]) == 3
        assert [one["id"] for one in rest["results"]][-1] == owner
        found = api("GET", f"{path}?email=new@acme.example").body["results"]
        assert [(one["id"], one["firstName"], one["archived"]) for one in found] == [(owner, "New", False)]
        assert found[0]["userId"] != int(owner)
        assert api("GET", f"{path}/{owner}").body == found[0]
        assert api("GET", f"{path}/1").status == 404
        assert api("GET", f"{path}?email=nobody@acme.example").body == {"results": []}


def test_a_contact_may_be_given_to_an_owner_that_exists() -> None:
    with calling() as (sandbox, api):
        owner = api("GET", "/crm/v3/owners?email=sales@acme.example").body["results"][0]["id"]
        contact = sandbox.create_contact({})
        heard = api("PATCH", f"/crm/v3/objects/contacts/{contact}", {"properties": {"hubspot_owner_id": owner}})
        assert heard.body["properties"]["hubspot_owner_id"] == owner


def test_stages_of_deals_say_in_words_whether_they_are_closed() -> None:
    with calling() as (_, api):
        pipeline = api("GET", "/crm/v3/pipelines/deals").body["results"][0]
        metadata = {one["id"]: one["metadata"] for one in pipeline["stages"]}
        assert pipeline["id"] == "default"
        assert metadata["closedwon"] == {"isClosed": "true", "probability": "1.0"}
        assert metadata["closedlost"] == {"isClosed": "true", "probability": "0.0"}
        assert metadata["contractsent"] == {"isClosed": "false", "probability": "0.9"}
        assert api("GET", "/crm/pipelines/2026-03/deals/default").body == pipeline
        assert api("GET", "/crm/v3/pipelines/deals/default/stages").body["results"] == pipeline["stages"]
        assert api("GET", "/crm/v3/pipelines/deals/other").status == 404
        assert api("GET", "/crm/v3/pipelines/tasks").status == 404


@pytest.mark.parametrize("path", ["/account-info/v3/details", "/account-info/2026-03/details"])
def test_the_account_says_which_portal_it_is(path: str) -> None:
    with calling(portal=77, time_zone="Europe/Rome") as (_, api):
        body = api("GET", path).body
        assert (body["portalId"], body["timeZone"]) == (77, "Europe/Rome")


def test_who_is_unsubscribed_stays_so_and_the_contact_shows_it() -> None:
    with calling() as (sandbox, api):
        contact = sandbox.create_contact({"email": "ana@example.com"})
        before = api("GET", f"{MAIL}/unsubscribe-all?channel=EMAIL").body
        assert (before["status"], before["results"][0]["status"]) == ("COMPLETE", "SUBSCRIBED")
        assert api("POST", f"{MAIL}/unsubscribe-all").status == 400
        for _ in range(2):
            assert api("POST", f"{MAIL}/unsubscribe-all?channel=EMAIL&verbose=true").status == 200
        after = api("GET", f"{MAIL}/unsubscribe-all?channel=EMAIL").body["results"][0]
        assert (after["status"], after["wideStatusType"]) == ("UNSUBSCRIBED", "PORTAL_WIDE")
        statuses = api("GET", f"{MAIL}?channel=EMAIL").body["results"]
        assert {one["status"] for one in statuses} == {"UNSUBSCRIBED"}
        assert sandbox.contact(contact)["hs_email_optout"] == "true"
        assert sandbox.everything_about(contact)["unsubscribed"] is True


def test_one_kind_of_mail_can_be_taken_off() -> None:
    with calling() as (_, api):
        number = int(api("GET", "/communication-preferences/v4/definitions").body["results"][0]["id"])
        body = {"subscriptionId": number, "statusState": "UNSUBSCRIBED", "channel": "EMAIL"}
        assert api("POST", MAIL, body).body["results"][0]["status"] == "UNSUBSCRIBED"
        assert api("POST", MAIL, {**body, "subscriptionId": 5}).status == 400
        shown = {one["subscriptionId"]: one["status"] for one in api("GET", f"{MAIL}?channel=EMAIL").body["results"]}
        assert (shown[number], set(shown.values())) == ("UNSUBSCRIBED", {"UNSUBSCRIBED", "NOT_SPECIFIED"})

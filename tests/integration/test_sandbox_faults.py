"""Every fault of the practice HubSpot over real sockets, its limits, its tokens and its scopes."""

import http.client
from collections.abc import Iterator
from typing import Any

import pytest

from connector.moments import DAY, MINUTE, SECOND
from connector.sandbox import Sandbox
from connector.sandbox.faults import KINDS_OF_FAULT
from tests.integration.sandbox_calls import Api, Ticking, calling

PATH = "/crm/v3/objects/contacts"
READ = f"{PATH}/batch/read"
LOST = (ConnectionError, http.client.HTTPException)


@pytest.fixture
def pair() -> Iterator[tuple[Sandbox, Api]]:
    with calling() as both:
        yield both


@pytest.mark.parametrize(
    ("kind", "status", "part"),
    [
        ("429_ten_secondly", 429, {"errorType": "RATE_LIMIT", "policyName": "TEN_SECONDLY_ROLLING"}),
        ("429_daily", 429, {"errorType": "RATE_LIMIT", "policyName": "DAILY"}),
        ("429_secondly_search", 429, {"category": "RATE_LIMITS", "message": "You have reached your secondly limit."}),
        ("423", 423, {"category": "LOCKED"}),
        ("500", 500, {"category": "INTERNAL_ERROR"}),
        ("503", 503, {"category": "INTERNAL_ERROR"}),
        ("477", 477, {"category": "MIGRATION_IN_PROGRESS"}),
        ("401", 401, {"category": "INVALID_AUTHENTICATION"}),
        ("403_missing_scope", 403, {"category": "MISSING_SCOPES"}),
        ("400", 400, {"category": "VALIDATION_ERROR"}),
    ],
)
def test_a_fault_answers_in_hubspots_words_and_does_nothing(
    pair: tuple[Sandbox, Api], kind: str, status: int, part: dict[str, str]
) -> None:
    sandbox, api = pair
    contact = sandbox.create_contact({"phone": "1"})
    sandbox.faults.add(kind, times=1)
    heard = api("PATCH", f"{PATH}/{contact}", {"properties": {"phone": "2"}})
    assert (heard.status, {name: heard.body[name] for name in part}) == (status, part)
    assert ("policyName" in heard.body) == (kind in ("429_ten_secondly", "429_daily"))
    assert sandbox.contact(contact)["phone"] == "1"
    assert api("GET", f"{PATH}/{contact}").status == 200


@pytest.mark.parametrize("kind", ["502_html", "504"])
def test_gateways_answer_in_html(pair: tuple[Sandbox, Api], kind: str) -> None:
    sandbox, api = pair
    sandbox.faults.add(kind, times=1)
    heard = api("GET", PATH)
    assert (heard.status, heard.headers["content-type"]) == (int(kind[:3]), "text/html")
    assert heard.body.startswith(b"<html>")


def test_retry_after_comes_only_when_asked_for_except_with_477(pair: tuple[Sandbox, Api]) -> None:
    sandbox, api = pair
    for kind, asked, shown in (("429_ten_secondly", None, None), ("429_ten_secondly", "7", "7"), ("477", None, "60")):
        sandbox.faults.add(kind, times=1, retry_after=asked)
        assert api("GET", PATH).headers.get("retry-after") == shown


@pytest.mark.parametrize(("kind", "done"), [
    ("reset", False), ("timeout_before", False), ("timeout_after", True), ("reset_after", True),
])  # fmt: skip
def test_a_lost_answer_leaves_the_work_undone_or_done(pair: tuple[Sandbox, Api], kind: str, done: bool) -> None:
    sandbox, api = pair
    contact = sandbox.create_contact({})
    sandbox.faults.add(kind, route="tasks/batch/create", times=1, seconds=0.05)
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 204}]
    task = {"properties": {"hs_timestamp": "2099-01-01"}, "associations": [{"to": {"id": contact}, "types": types}]}
    with pytest.raises(LOST):
        api("POST", "/crm/v3/objects/tasks/batch/create", {"inputs": [task]})
    assert len(sandbox.tasks_of(contact)) == done
    assert sandbox.calls.count("POST", "/crm/objects/tasks/batch/create", 0) == 1
    assert api("GET", f"{PATH}/{contact}").status == 200


def test_a_hanging_call_ends_with_the_sandbox() -> None:
    with calling() as (sandbox, api):
        sandbox.faults.add("timeout_before", seconds=3600)
        api._connection.request("GET", PATH, headers=api.headers)
        sandbox.stop()
        with pytest.raises(LOST):
            api._connection.getresponse()


def test_garbage_is_a_200_that_is_no_json_and_slow_is_an_answer_all_the_same(pair: tuple[Sandbox, Api]) -> None:
    sandbox, api = pair
    contact = sandbox.create_contact({})
    sandbox.faults.add("garbage", times=1)
    heard = api("PATCH", f"{PATH}/{contact}", {"properties": {"phone": "2"}})
    assert (heard.status, type(heard.body)) == (200, bytes)
    assert sandbox.contact(contact)["phone"] == "2"
    sandbox.faults.add("slow", times=1, seconds=0.01)
    assert api("GET", f"{PATH}/{contact}").body["id"] == contact


def test_faults_are_put_in_force_listed_and_cleared_over_http(pair: tuple[Sandbox, Api]) -> None:
    _, api = pair
    fault = {"route": "batch/read$", "method": "POST", "kind": "500", "times": 2, "probability": 1.0, "seconds": 1,
             "retry_after": 3}  # fmt: skip
    assert api("POST", "/sandbox/faults", fault).status == 201
    assert api("GET", PATH).status == 200
    assert [api("POST", READ, {"inputs": []}).status for _ in range(3)] == [500, 500, 200]
    api("POST", "/sandbox/faults", {"faults": [{"kind": "503"}, {"kind": "500"}]})
    assert [one["kind"] for one in api("GET", "/sandbox/faults").body["faults"]] == ["503", "500"]
    assert [api("GET", PATH).status for _ in range(2)] == [503, 503]
    assert api("DELETE", "/sandbox/faults").status == 204
    assert api("GET", PATH).status == 200
    assert api("GET", "/sandbox/state").body["faults"] == {"in_force": [], "struck": {"500": 2, "503": 2}}


@pytest.mark.parametrize("fault", [{"kind": "earthquake"}, {"kind": "500", "route": "("}, {"kind": "500", "colour": 1}])
def test_a_fault_that_makes_no_sense_is_refused(pair: tuple[Sandbox, Api], fault: dict[str, Any]) -> None:
    _, api = pair
    assert api("POST", "/sandbox/faults", fault).status == 400


def test_a_fault_with_a_probability_strikes_alike_for_the_same_seed() -> None:
    def statuses(seed: int) -> list[int]:
        with calling(seed=seed) as (sandbox, api):
            sandbox.faults.add("500", probability=0.5)
            return [api("GET", PATH).status for _ in range(40)]

    assert statuses(1) == statuses(1)
    assert statuses(1) != statuses(2)
    assert set(statuses(1)) == {200, 500}


def test_every_kind_of_fault_is_spoken_of_in_these_tests() -> None:
    tested = {
        "429_ten_secondly", "429_daily", "429_secondly_search", "423", "500", "502_html", "503", "504", "477", "reset",
        "timeout_before", "timeout_after", "reset_after", "401", "403_missing_scope", "400", "garbage", "slow",
    }  # fmt: skip
    assert set(KINDS_OF_FAULT) == tested


def test_the_window_of_ten_seconds_rolls_and_refused_calls_do_not_count() -> None:
    clock = Ticking()
    with calling(clock=clock, calls_per_10s=2) as (_, api):
        first = api("GET", PATH)
        assert first.headers["x-hubspot-ratelimit-max"] == "2"
        assert first.headers["x-hubspot-ratelimit-remaining"] == "1"
        assert first.headers["x-hubspot-ratelimit-interval-milliseconds"] == "10000"
        clock.now += 6 * SECOND
        assert api("GET", PATH).status == 200
        refused = api("GET", PATH)
        assert (refused.status, refused.body["policyName"]) == (429, "TEN_SECONDLY_ROLLING")
        assert refused.body["message"] == "You have reached your ten_secondly_rolling limit."
        assert "retry-after" not in refused.headers
        links = api("POST", "/crm/v4/associations/contacts/deals/batch/read", {"inputs": []})
        assert links.status == 200
        clock.now += 4 * SECOND
        assert [api("GET", PATH).status for _ in range(2)] == [200, 429]


def test_the_day_ends_at_the_accounts_midnight() -> None:
    clock = Ticking(1_772_323_200_000 - 30 * MINUTE)  # half past eleven in the evening in London, past midnight in Rome
    with calling(clock=clock, calls_per_day=1, time_zone="Europe/Rome") as (_, api):
        assert api("GET", PATH).headers["x-hubspot-ratelimit-daily-remaining"] == "0"
        refused = api("GET", PATH)
        assert (refused.status, refused.body["policyName"]) == (429, "DAILY")
        clock.now += 30 * MINUTE
        assert api("GET", PATH).status == 429
        clock.now += DAY
        assert api("GET", PATH).status == 200


def test_searches_have_a_limit_of_their_own_and_no_headers() -> None:
    clock = Ticking()
    with calling(clock=clock, searches_per_second=1, calls_per_10s=1) as (_, api):
        heard = api("POST", f"{PATH}/search", {})
        assert not [name for name in heard.headers if "ratelimit" in name]
        refused = api("POST", f"{PATH}/search", {})
        assert (refused.status, refused.body["category"]) == (429, "RATE_LIMITS")
        assert "policyName" not in refused.body
        clock.now += SECOND
        assert api("POST", f"{PATH}/search", {}).status == 200
        assert api("GET", PATH).status == 200


def test_without_limits_the_headers_still_speak_of_plenty(pair: tuple[Sandbox, Api]) -> None:
    _, api = pair
    headers = api("GET", PATH).headers
    assert int(headers["x-hubspot-ratelimit-remaining"]) > 10_000
    assert int(headers["x-hubspot-ratelimit-daily-remaining"]) > 1_000_000


def test_a_token_opens_nothing_when_it_is_wrong_revoked_or_expired() -> None:
    clock = Ticking()
    with calling(clock=clock) as (sandbox, api):
        wrong = Api(sandbox, token="other")
        assert wrong("GET", PATH).status == 401
        wrong.close()
        sandbox.revoke_token()
        assert api("GET", PATH).body["category"] == "INVALID_AUTHENTICATION"
        sandbox.restore_token()
        assert api("GET", PATH).status == 200
        api("POST", "/sandbox/token", {"revoked": True})
        assert api("GET", PATH).status == 401
        api("POST", "/sandbox/token", {"revoked": False})
        form = b"grant_type=refresh_token&client_id=1&client_secret=sandbox-secret&refresh_token=refresh-sandbox"
        granted = api.raw("POST", "/oauth/2026-03/token", form).body
        assert (granted["expires_in"], granted["hub_id"], granted["token_type"]) == (1800, 4242, "bearer")
        oauth = Api(sandbox, token=granted["access_token"])
        heard = oauth("GET", PATH)
        assert heard.status == 200
        assert "x-hubspot-ratelimit-daily" not in heard.headers
        clock.now += 30 * MINUTE
        assert oauth("GET", PATH).body["category"] == "EXPIRED_AUTHENTICATION"
        oauth.close()


@pytest.mark.parametrize(("form", "status"), [
    (b"grant_type=refresh_token&client_secret=sandbox-secret&refresh_token=no", "BAD_REFRESH_TOKEN"),
    (b"grant_type=refresh_token&client_secret=no&refresh_token=refresh-sandbox", "BAD_CLIENT_SECRET"),
    (b"grant_type=password", "BAD_GRANT_TYPE"),
])  # fmt: skip
def test_a_refresh_that_fails_says_why(pair: tuple[Sandbox, Api], form: bytes, status: str) -> None:
    _, api = pair
    heard = api.raw("POST", "/oauth/v3/token", form)
    assert (heard.status, heard.body["status"]) == (400, status)


def test_a_missing_scope_is_named() -> None:
    with calling(missing_scopes=("crm.objects.deals.write",)) as (_, api):
        assert api("GET", "/crm/v3/objects/deals").status == 200
        heard = api("POST", "/crm/v3/objects/deals", {"properties": {"dealname": "D"}})
        assert (heard.status, heard.body["category"]) == (403, "MISSING_SCOPES")
        assert heard.body["errors"][0]["context"] == {"requiredGranularScopes": ["crm.objects.deals.write"]}
        api("POST", "/sandbox/scopes", {"missing": []})
        assert api("POST", "/crm/v3/objects/deals", {"properties": {"dealname": "D"}}).status == 201

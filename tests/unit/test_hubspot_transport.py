"""The one way to HubSpot: tries, waits, tokens, bounds, and what is told of them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import responses
import structlog
from urllib3.exceptions import MaxRetryError, NewConnectionError

from connector.hubspot.budget import Limits
from connector.hubspot.failure import HubSpotError, PortalTrouble
from connector.hubspot.retries import Patience
from connector.hubspot.transport import TOO_LARGE, CallSeen, Transport
from connector.moments import HOUR
from tests.hubspot_portals import API, START, WIDE, Time, a_budget

READ = "/crm/v3/objects/contacts/batch/read"
CREATE = "/crm/v3/objects/tasks/batch/create"
WELL: dict[str, object] = {"results": []}


@pytest.fixture
def hubspot() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


def a_transport(time: Time, *, limits: Limits = WIDE, **options: Any) -> Transport:
    options = {"access_token": "pat-test", "api_url": API, **options}
    return Transport(portal=4242, budget=a_budget(time, limits), clock=time, sleep=time.sleep, **options)


def answers(hubspot: responses.RequestsMock, path: str, *given: tuple[int, object] | Exception) -> None:
    for each in given:
        if isinstance(each, Exception):
            hubspot.post(API + path, body=each)
        else:
            hubspot.post(API + path, status=each[0], json=each[1])


def refused() -> requests.ConnectionError:
    return requests.ConnectionError(MaxRetryError(None, "/", NewConnectionError(None, "refused")))  # type: ignore[arg-type]


def test_a_call_carries_the_token_and_json_and_gives_raw_json(hubspot: responses.RequestsMock) -> None:
    answers(hubspot, READ, (200, {"results": [{"id": "1", "new": True}]}))
    answer = a_transport(Time()).send("POST", READ, body={"inputs": []})
    sent = hubspot.calls[0].request
    assert answer.body == {"results": [{"id": "1", "new": True}]}
    assert (sent.headers["Authorization"], json.loads(sent.body or "")) == ("Bearer pat-test", {"inputs": []})


@pytest.mark.parametrize(
    "first",
    [
        (503, {}), (502, "<html>"), (423, {}), (429, {"message": "You have reached your secondly limit."}),
        (429, {"policyName": "TEN_SECONDLY_ROLLING"}), requests.ReadTimeout(), requests.ConnectTimeout(),
        requests.ConnectionError("reset"), refused(),
    ],
)  # fmt: skip
def test_a_read_is_tried_again(hubspot: responses.RequestsMock, first: tuple[int, object] | Exception) -> None:
    time = Time()
    answers(hubspot, READ, first, (200, WELL))
    assert a_transport(time).send("POST", READ, body={}).body == WELL
    assert len(time.slept) >= 1


@pytest.mark.parametrize(
    "first",
    [
        (423, {}), (429, {"message": "You have reached your secondly limit."}), requests.ConnectTimeout(), refused(),
    ],
)  # fmt: skip
def test_a_create_is_tried_again_when_it_provably_did_not_happen(
    hubspot: responses.RequestsMock, first: tuple[int, object] | Exception
) -> None:
    answers(hubspot, CREATE, first, (201, WELL))
    assert a_transport(Time()).send("POST", CREATE, body={}).status == 201


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        ((500, {}), "unavailable"), ((502, "<html>"), "unavailable"), ((504, {}), "unavailable"),
        (requests.ReadTimeout(), "unclear"), (requests.ConnectionError("reset"), "unclear"),
        (requests.exceptions.ChunkedEncodingError(), "unclear"),
    ],
)  # fmt: skip
def test_a_create_that_may_have_happened_goes_out_once(
    hubspot: responses.RequestsMock, first: tuple[int, object] | Exception, kind: str
) -> None:
    answers(hubspot, CREATE, first)
    with pytest.raises(HubSpotError) as caught:
        a_transport(Time()).send("POST", CREATE, body={})
    assert (len(hubspot.calls), caught.value.meaning.kind) == (1, kind)
    assert caught.value.meaning.may_have_happened


@pytest.mark.parametrize("status", [400, 403, 404, 409, 414, 418, 301])
def test_what_will_not_change_within_seconds_goes_out_once(hubspot: responses.RequestsMock, status: int) -> None:
    answers(hubspot, READ, (status, {"message": "no"}))
    with pytest.raises(HubSpotError) as caught:
        a_transport(Time()).send("POST", READ, body={})
    assert (len(hubspot.calls), caught.value.meaning.status) == (1, status)


def test_tries_are_bounded_by_their_number(hubspot: responses.RequestsMock) -> None:
    answers(hubspot, READ, *[(503, {})] * 4)
    with pytest.raises(HubSpotError):
        a_transport(Time()).send("POST", READ, body={})
    assert len(hubspot.calls) == 4


def test_tries_are_bounded_by_their_time(hubspot: responses.RequestsMock) -> None:
    time = Time()
    answers(hubspot, READ, *[(429, {"policyName": "TEN_SECONDLY_ROLLING"})] * 2)
    with pytest.raises(HubSpotError) as caught:
        a_transport(time).send("POST", READ, body={})
    assert (len(hubspot.calls), caught.value.meaning.policy) == (2, "ten_secondly")
    assert 10 <= sum(time.slept) <= 20


def test_a_wait_that_hubspot_asks_for_is_kept(hubspot: responses.RequestsMock) -> None:
    time = Time()
    hubspot.post(API + READ, status=503, headers={"Retry-After": "4"})
    answers(hubspot, READ, (200, WELL))
    a_transport(time).send("POST", READ, body={})
    assert time.slept[0] >= 4


def test_a_ten_secondly_limit_makes_every_worker_of_the_portal_wait(hubspot: responses.RequestsMock) -> None:
    time = Time()
    budget = a_budget(time)
    patience = Patience(tries=1)
    transport = Transport(portal=4242, access_token="t", api_url=API, budget=budget, clock=time, patience=patience)
    answers(hubspot, READ, (429, {"policyName": "TEN_SECONDLY_ROLLING"}))
    with pytest.raises(HubSpotError):
        transport.send("POST", READ, body={})
    assert budget.wait_for_turn() == 10.0


def test_the_daily_limit_stops_the_portal_and_says_until_when(hubspot: responses.RequestsMock) -> None:
    transport = a_transport(Time())
    answers(hubspot, READ, (429, {"policyName": "DAILY"}))
    for _ in range(2):
        with pytest.raises(PortalTrouble) as caught:
            transport.send("POST", READ, body={})
        assert caught.value.until == START + HOUR
    assert len(hubspot.calls) == 1


def test_a_move_of_the_account_says_until_when(hubspot: responses.RequestsMock) -> None:
    hubspot.post(API + READ, status=477, headers={"Retry-After": "600"})
    with pytest.raises(PortalTrouble) as caught:
        a_transport(Time()).send("POST", READ, body={})
    assert caught.value.until == START + 600_000


def test_an_expired_token_is_replaced_by_the_fresh_one_and_the_call_goes_out_again(
    hubspot: responses.RequestsMock,
) -> None:
    tokens = iter(["old", "fresh", "fresh"])
    answers(hubspot, CREATE, (401, {"category": "EXPIRED_AUTHENTICATION"}), (201, WELL))
    assert a_transport(Time(), access_token=lambda: next(tokens)).send("POST", CREATE, body={}).status == 201
    assert [call.request.headers["Authorization"] for call in hubspot.calls] == ["Bearer old", "Bearer fresh"]


@pytest.mark.parametrize("token", ["pat-test", lambda: "same"])
def test_a_token_that_stays_refused_is_trouble_of_the_whole_portal(
    hubspot: responses.RequestsMock, token: object
) -> None:
    answers(hubspot, READ, (401, {"category": "INVALID_AUTHENTICATION"}))
    with pytest.raises(PortalTrouble) as caught:
        a_transport(Time(), access_token=token).send("POST", READ, body={})
    assert (len(hubspot.calls), caught.value.until, caught.value.exit_code) == (1, None, 5)
    assert "access_token" in caught.value.cure


def test_missing_scopes_are_named_in_the_cure(hubspot: responses.RequestsMock) -> None:
    context = {"requiredGranularScopes": ["crm.objects.deals.read"]}
    answers(hubspot, READ, (403, {"category": "MISSING_SCOPES", "errors": [{"context": context}]}))
    with pytest.raises(PortalTrouble) as caught:
        a_transport(Time()).send("POST", READ, body={})
    assert "crm.objects.deals.read" in caught.value.cure


@pytest.mark.parametrize("token", ["", "  ", "pat-1\nHost: evil", "pät", "two words"])
def test_a_token_that_is_none_is_never_sent(token: str) -> None:
    with pytest.raises(PortalTrouble) as caught:
        a_transport(Time(), access_token=token).send("POST", READ, body={})
    assert "evil" not in str(caught.value)


def test_every_try_takes_a_turn_of_the_budget(hubspot: responses.RequestsMock) -> None:
    time = Time()
    transport = a_transport(time, limits=Limits(calls_per_10s=1, calls_per_day=1_000, reserve=0.0))
    answers(hubspot, READ, (423, {}), (200, WELL))
    transport.send("POST", READ, body={})
    assert time.now - START >= 10_000


def test_what_is_left_is_learnt_from_the_headers(hubspot: responses.RequestsMock) -> None:
    time = Time()
    transport = a_transport(time, limits=Limits(calls_per_10s=100, calls_per_day=1_000, reserve=0.0))
    for _ in range(2):
        hubspot.post(API + READ, json=WELL, headers={"X-HubSpot-RateLimit-Remaining": "0"})
    transport.send("POST", READ, body={})
    transport.send("POST", READ, body={})
    assert sum(time.slept) == 10.0


@pytest.mark.parametrize("version", ["2026-03", "2026-09"])
def test_the_version_is_spelled_in_the_path(hubspot: responses.RequestsMock, version: str) -> None:
    hubspot.post(f"{API}/crm/objects/{version}/contacts/batch/read", json=WELL)
    assert a_transport(Time(), api_version=version).send("POST", READ, body={}).body == WELL


def test_redirects_are_not_followed(hubspot: responses.RequestsMock) -> None:
    hubspot.post(API + READ, status=307, headers={"Location": "https://elsewhere.example/"})
    with pytest.raises(HubSpotError, match="redirects are not followed"):
        a_transport(Time()).send("POST", READ, body={})


def test_an_answer_of_more_than_64_mib_is_not_taken_in(hubspot: responses.RequestsMock) -> None:
    hubspot.post(API + CREATE, body=b" " * (TOO_LARGE + 1))
    with pytest.raises(HubSpotError, match="too large") as caught:
        a_transport(Time()).send("POST", CREATE, body={})
    assert caught.value.meaning.kind == "unclear"


def test_a_success_that_is_not_json_is_unclear(hubspot: responses.RequestsMock) -> None:
    hubspot.post(API + CREATE, body="<html>", status=201)
    with pytest.raises(HubSpotError) as caught:
        a_transport(Time()).send("POST", CREATE, body={})
    assert (caught.value.meaning.kind, caught.value.meaning.may_have_happened) == ("unclear", True)


def test_each_try_is_told_to_the_metrics_without_ids(hubspot: responses.RequestsMock) -> None:
    seen: list[CallSeen] = []
    hubspot.get(f"{API}/crm/v3/objects/contacts/97000000001", status=423)
    hubspot.get(f"{API}/crm/v3/objects/contacts/97000000001", json={"id": "97000000001"})
    time = Time()
    a_transport(time, on_call=seen.append).send("GET", "/crm/v3/objects/contacts/97000000001")
    assert [(each.portal, each.endpoint, each.outcome) for each in seen] == [
        (4242, "GET /crm/objects/contacts/{id}", "locked"),
        (4242, "GET /crm/objects/contacts/{id}", "done"),
    ]
    assert [each.waited_seconds for each in seen] == [0.0, time.slept[0]]


def test_logs_name_the_call_and_carry_neither_token_nor_body_nor_address(hubspot: responses.RequestsMock) -> None:
    path = "/communication-preferences/v4/statuses/ana%40example.com/unsubscribe-all"
    hubspot.post(API + path, status=503, json={"message": "ana@example.com", "correlationId": "c-9"})
    hubspot.post(API + path, status=400, json={"message": "bad ana@example.com", "category": "VALIDATION_ERROR"})
    with structlog.testing.capture_logs() as logs, pytest.raises(HubSpotError) as caught:
        a_transport(Time()).send("POST", path)
    events = [(each["event"], each["log_level"], each["outcome"]) for each in logs]
    assert events == [
        ("hubspot.called", "debug", "unavailable"),
        ("hubspot.retry_scheduled", "info", "unavailable"),
        ("hubspot.called", "debug", "invalid"),
        ("hubspot.call_failed", "warning", "invalid"),
    ]
    assert [each["correlation_id"] for each in logs[:2]] == ["c-9", "c-9"]
    assert [secret for secret in ("ana", "example.com", "pat-test") if secret in f"{logs} {caught.value}"] == []


def test_the_exception_says_which_portal_which_call_and_what_came_back(hubspot: responses.RequestsMock) -> None:
    answers(hubspot, READ, (409, {"category": "CONFLICT", "message": "taken", "correlationId": "c-1"}))
    with pytest.raises(HubSpotError) as caught:
        a_transport(Time()).send("POST", READ, body={})
    assert str(caught.value) == (
        "HubSpot portal 4242: POST /crm/objects/contacts/batch/read: conflict (409 CONFLICT): taken "
        "(correlation id c-1)"
    )


def test_an_address_that_is_none_is_unreachable() -> None:
    with pytest.raises(HubSpotError) as caught:
        a_transport(Time(), api_url="http://").send("POST", READ, body={})
    assert caught.value.meaning.kind == "unreachable"


def test_hubspots_cookies_are_not_kept(hubspot: responses.RequestsMock) -> None:
    for _ in range(2):
        hubspot.post(API + READ, json=WELL, headers={"Set-Cookie": "__cf_bm=abc; Path=/"})
    transport = a_transport(Time())
    transport.send("POST", READ, body={})
    transport.send("POST", READ, body={})
    assert "Cookie" not in hubspot.calls[1].request.headers

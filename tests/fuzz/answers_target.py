"""What HubSpot, or whoever stands in its place, may answer: any status, any headers, any body."""

import contextlib
import random
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import orjson

from connector.hubspot.client import HubSpotPortal
from connector.hubspot.deals import DealInput
from connector.hubspot.failure import HubSpotError
from connector.hubspot.meaning import Meaning, json_of, meaning_of, meanings_within
from connector.hubspot.setup import set_up
from connector.hubspot.tasks import TaskInput
from tests.fuzz.mutations import TOKENS, spoil_bytes, spoil_tree, strange
from tests.hubspot_portals import START, Time, a_budget, a_portal

PERSON = "ana.lopez@example.com"
MOST_CALLS = 30
STATUSES = (200, 200, 200, 200, 201, 202, 204, 207, 207, 301, 400, 400, 401, 403, 404, 409, 414, 423, 429, 429, 477,
            500, 502, 503, 504, 521, 525, 0, 99, 299, 999)  # fmt: skip
_PAGING = {"next": {"after": "7", "link": "?after=7"}}
_STAMP = {"lastmodifieddate": "2026-03-02T09:00:00Z", "hs_lastmodifieddate": "2026-03-02T09:00:00Z"}
BODIES: tuple[Any, ...] = (
    {"status": "COMPLETE", "results": [{"id": "1", "properties": {"email": PERSON, "sk_key": "k1", **_STAMP}},
                                       {"id": "2", "properties": {"sk_key": "k2", **_STAMP}}]},
    {"results": [{"id": "1", "properties": {"hs_object_id": "1", **_STAMP}}], "paging": _PAGING, "total": 12_000},
    {"id": "1", "properties": {"email": PERSON}, "propertiesWithHistory": {"lifecyclestage": [{"value": "lead"}]}},
    {"status": "COMPLETE", "results": [{"id": "1", "properties": {}}], "numErrors": 1,
     "errors": [{"status": "error", "category": "OBJECT_NOT_FOUND", "message": "gone", "context": {"ids": ["2"]}}]},
    {"results": [{"from": {"id": "1"}, "to": [{"toObjectId": 5, "associationTypes": []}], "paging": _PAGING}]},
    {"results": [{"from": {"id": "1"}, "to": [{"toObjectId": 5}]}], "numErrors": 1,
     "errors": [{"category": "OBJECT_NOT_FOUND", "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
                 "context": {"fromObjectId": ["2"]}}]},
    {"status": "error", "correlationId": "c-1", "category": "VALIDATION_ERROR", "message":
     f"Property values were not valid: [{{\"isValid\":false,\"message\":\"{PERSON} was not valid\","
     "\"error\":\"INVALID_EMAIL\",\"name\":\"email\"}]"},
    {"status": "error", "message": "You have reached your ten_secondly_rolling limit.", "errorType": "RATE_LIMIT",
     "policyName": "TEN_SECONDLY_ROLLING", "correlationId": "c-2"},
    {"status": "error", "message": "Contact already exists. Existing ID: 1", "category": "CONFLICT"},
    {"status": "error", "category": "MISSING_SCOPES", "errors": [{"message": "x", "context": {
        "requiredGranularScopes": ["crm.objects.contacts.write"]}}]},
    {"results": [{"id": "9", "email": PERSON, "type": "PERSON", "archived": False}], "paging": _PAGING},
    {"results": [{"name": "sk_intent", "type": "enumeration", "fieldType": "select", "options": [
        {"label": "Unclear", "value": "unclear", "displayOrder": 0}]}, {"name": "stagekeeper", "label": "S"}]},
    {"portalId": 4242, "timeZone": "Europe/Berlin", "accountType": "STANDARD"},
)  # fmt: skip
RAW = (*(orjson.dumps(body) for body in BODIES), b"<html><body>502 Bad Gateway</body></html>", b"")
NAMES = ("Retry-After", "Content-Type", "X-HubSpot-RateLimit-Max", "X-HubSpot-RateLimit-Remaining", "Date",
         "X-HubSpot-RateLimit-Interval-Milliseconds", "X-HubSpot-RateLimit-Daily-Remaining", "X-Odd",
         "X-HubSpot-RateLimit-Daily", "X-HubSpot-RateLimit-Secondly", "X-HubSpot-Correlation-Id")  # fmt: skip
VALUES = ("0", "1", "10", "100", "-1", "1e9", "nan", "inf", "", "é", "9" * 400, "Sun, 22 Nov 2026 05:00:00 GMT", "soon",
          "application/json", "Thu, 01 Jan 1970 00:00:00 GMT", "10000", "0.5", "٣")  # fmt: skip


def _raw(rng: random.Random) -> bytes:
    match rng.randrange(8):
        case 0:
            return rng.choice(RAW)
        case 1:
            return spoil_bytes(rng, rng.choice(RAW), RAW)
        case 2:
            return rng.choice((rng.randbytes(rng.randrange(80)), rng.choice(TOKENS), orjson.dumps(strange(rng))))
        case _:
            return orjson.dumps(spoil_tree(rng, rng.choice(BODIES)))


def _headers(rng: random.Random) -> dict[str, str]:
    return {rng.choice(NAMES): rng.choice(VALUES) for _ in range(rng.choice((0, 0, 1, 2, 5)))}


def tell_a_meaning(rng: random.Random) -> str:
    """Tell what an answer means; nothing that it echoes of a person may stand in the words."""
    body = json_of(_raw(rng))
    meaning = meaning_of(rng.choice(STATUSES), _headers(rng), body)
    for each in (meaning, *meanings_within(body)):
        assert len(str(each)) < 2_000
        assert PERSON not in f"{each.message}", "a person's address was told"
        assert (each.retryable, each.may_have_happened, each.properties) is not None
    return meaning.kind


CALLS: tuple[Callable[[HubSpotPortal], object], ...] = (
    lambda portal: portal.contacts.read(["1", "2", "x"], ["email"], history=["lifecyclestage"]),
    lambda portal: portal.contacts.read_one("1", ["email"]),
    lambda portal: portal.contacts.update({"1": {"sk_drip": "true"}, "2": {"sk_intent": "?"}}),
    lambda portal: list(islice(portal.contacts.all(["email"]), 500)),
    lambda portal: list(islice(portal.changes_after("contacts", START, ["email"]), 500)),
    lambda portal: portal.newest_change("deals"),
    lambda portal: portal.contacts.gdpr_delete("1"),
    lambda portal: portal.contacts.unsubscribe(PERSON),
    lambda portal: portal.companies.read(["1", "2"], ["name"]),
    lambda portal: portal.companies.contacts_of(["1", "2"]),
    lambda portal: portal.deals.of_contacts(["1", "2"]),
    lambda portal: portal.deals.marked(["1", "2"]),
    lambda portal: portal.deals.create([DealInput(key="k1", contact="1", properties={}, company="2")]),
    lambda portal: portal.deals.pipelines(),
    lambda portal: portal.tasks.create([TaskInput(key=f"k{n}", contact="1", properties={"a": "b"}) for n in range(3)]),
    lambda portal: portal.tasks.marked(["1", "2"]),
    lambda portal: portal.tasks.read(["1"], ["sk_key"]),
    lambda portal: portal.owners.by_email(PERSON),
    lambda portal: portal.owners.all(),
    lambda portal: portal.properties.definitions("contacts"),
    lambda portal: portal.properties.definition("contacts", "sk_intent"),
    lambda portal: list(set_up(portal)),
    lambda portal: portal.account(),
)


@contextlib.contextmanager
def calls() -> Iterator[Callable[[random.Random], str]]:
    """Give what makes one call to a portal whose every answer is spoilt."""
    portal = a_portal(Time())
    transport = portal._transport
    tried = 0
    source = random.Random(0)

    def exchange(_call: object, _token: str, sent: int) -> tuple[Meaning, int, object]:
        nonlocal tried
        tried += 1
        status = source.choice(STATUSES) if tried < MOST_CALLS else 401
        headers, body = _headers(source), json_of(_raw(source))
        transport._budget.hear(headers, sent=sent)
        return meaning_of(status, headers, body), status, body

    transport._exchange = exchange  # type: ignore[assignment,method-assign]

    def one(rng: random.Random) -> str:
        nonlocal tried, source
        tried, source = 0, rng
        transport._budget = a_budget(Time())  # one that has not been told of a day that is used up
        try:
            rng.choice(CALLS)(portal)
        except HubSpotError as error:
            failure = error
        else:
            return "taken"
        assert PERSON not in str(failure), "a person's address was told"
        return type(failure).__name__

    yield one
    portal.close()

"""The rest of the account over HTTP: owners, pipelines, details, consent, OAuth."""

from urllib.parse import unquote

from connector.moments import write_moment
from connector.sandbox import standard
from connector.sandbox.exchange import Answer, Call
from connector.sandbox.kinds import CONTACT, DEAL, Kind
from connector.sandbox.portal import COUNTERS, Portal
from connector.sandbox.refusals import JsonObject, invalid, not_found
from connector.sandbox.stages import STAGE

LIFECYCLE_PIPELINE = "contacts-lifecycle-pipeline"
EVERY_SCOPE = (
    "oauth",
    *(f"crm.{what}.{kind}.{right}" for what in ("objects", "schemas") for kind in ("contacts", "companies", "deals")
      for right in ("read", "write")),
    "crm.objects.owners.read", "communication_preferences.read", "communication_preferences.write",
    "communication_preferences.read_write",
)  # fmt: skip
"""What an app of a practice portal may have been given."""
# The two kinds of mail that every portal has.
SUBSCRIPTIONS = {101: "Marketing Information", 102: "One to One"}


def list_owners(portal: Portal, call: Call) -> Answer:
    """Answer `GET /crm/owners`, all or the one with an e-mail address."""
    limit = call.number("limit", 100, 500)
    after = call.cursor()
    email = call.query.get("email", "").lower()
    archived = call.query.get("archived") == "true"
    found = [
        owner
        for owner in portal.owners.values()
        if owner.archived == archived and (not email or owner.email == email) and int(owner.id) > after
    ]
    body: JsonObject = {"results": [owner.as_json() for owner in found[:limit]]}
    if len(found) > limit:
        body["paging"] = {"next": {"after": found[limit - 1].id, "link": f"https://api.hubapi.com{call.path}"}}
    return Answer(200, body)


def read_owner(portal: Portal, call: Call) -> Answer:
    """Answer `GET /crm/owners/{id}`."""
    owner = portal.owners.get(call.parts["id"])
    if owner is None:
        raise not_found()
    return Answer(200, owner.as_json())


def list_pipelines(portal: Portal, call: Call) -> Answer:
    """Answer `GET /crm/pipelines/{type}`."""
    return Answer(200, {"results": [_pipeline(portal, call.kind())]})


def read_pipeline(portal: Portal, call: Call) -> Answer:
    """Answer `GET /crm/pipelines/{type}/{id}`."""
    pipeline = _pipeline(portal, call.kind())
    if pipeline["id"] != call.parts["id"]:
        raise not_found()
    return Answer(200, pipeline)


def list_stages(portal: Portal, call: Call) -> Answer:
    """Answer `GET /crm/pipelines/{type}/{id}/stages`."""
    body = read_pipeline(portal, call).body
    return Answer(200, {"results": body["stages"]})


def details(portal: Portal, _call: Call) -> Answer:
    """Answer `GET /account-info/details`."""
    options = portal.options
    body = {
        "portalId": options.portal, "accountType": "STANDARD", "timeZone": options.time_zone, "companyCurrency": "EUR",
        "additionalCurrencies": [], "utcOffset": "+00:00", "utcOffsetMilliseconds": 0, "uiDomain": "app.hubspot.com",
        "dataHostingLocation": "eu1",
    }  # fmt: skip
    return Answer(200, body)


def token_info(portal: Portal, call: Call) -> Answer:
    """Answer `POST /oauth/private-apps/get/access-token-info`, which knows the tokens of private and static apps."""
    options = portal.options
    if not options.tells_scopes or call.json().get("tokenKey") != options.access_token:
        raise not_found("No private app token was found")
    scopes = sorted(set(EVERY_SCOPE) - portal.missing_scopes)
    body = {"userId": 98_499_705, "hubId": options.portal, "appId": options.app_id, "scopes": scopes}
    return Answer(200, body)


def definitions(_portal: Portal, _call: Call) -> Answer:
    """Answer `GET /communication-preferences/definitions`."""
    results = [
        {"id": str(number), "name": name, "description": name, "isActive": True, "isDefault": True, "isInternal": False}
        for number, name in SUBSCRIPTIONS.items()
    ]
    return Answer(200, {"status": "COMPLETE", "results": results})


def read_statuses(portal: Portal, call: Call) -> Answer:
    """Answer `GET /communication-preferences/statuses/{email}`."""
    email = _email(call)
    return _results(portal, [_status(portal, email, number) for number in SUBSCRIPTIONS])


def write_status(portal: Portal, call: Call) -> Answer:
    """Answer `POST /communication-preferences/statuses/{email}`, one kind of mail."""
    body = call.json()
    number, state = body.get("subscriptionId"), str(body.get("statusState"))
    if not isinstance(number, int) or number not in SUBSCRIPTIONS:
        raise invalid(f"subscriptionId must be one of {sorted(SUBSCRIPTIONS)}")
    if state not in ("SUBSCRIBED", "UNSUBSCRIBED", "NOT_SPECIFIED"):
        raise invalid("statusState must be SUBSCRIBED, UNSUBSCRIBED or NOT_SPECIFIED")
    email = _email(call, str(body.get("channel")))
    portal.subscriptions[email, number] = state
    return _results(portal, [_status(portal, email, number)])


def read_unsubscribed(portal: Portal, call: Call) -> Answer:
    """Answer `GET /communication-preferences/statuses/{email}/unsubscribe-all`."""
    email = _email(call)
    moment = portal.unsubscribed.get(email)
    status = {
        "subscriberIdString": email, "channel": "EMAIL", "wideStatusType": "PORTAL_WIDE",
        "status": "SUBSCRIBED" if moment is None else "UNSUBSCRIBED",
        "timestamp": write_moment(portal.now() if moment is None else moment),
    }  # fmt: skip
    return _results(portal, [status])


def unsubscribe_all(portal: Portal, call: Call) -> Answer:
    """Answer `POST /communication-preferences/statuses/{email}/unsubscribe-all`; nobody can take it back here."""
    email = _email(call)
    portal.unsubscribed.setdefault(email, portal.now())
    record = portal.records[CONTACT].find_by("email", email)
    if record is not None:
        portal.change(record, {"hs_email_optout": "true"}, COUNTERS)
    wanted = SUBSCRIPTIONS if call.query.get("verbose") == "true" else ()
    return _results(portal, [_status(portal, email, number) for number in wanted])


def _email(call: Call, channel: str = "") -> str:
    if (channel or call.query.get("channel")) != "EMAIL":
        raise invalid("channel must be EMAIL")
    email = unquote(call.parts["email"]).strip().lower()
    if "@" not in email:
        raise invalid(f"{email} is no e-mail address")
    return email


def _status(portal: Portal, email: str, number: int) -> JsonObject:
    out = email in portal.unsubscribed
    state = "UNSUBSCRIBED" if out else portal.subscriptions.get((email, number), "NOT_SPECIFIED")
    return {
        "subscriberIdString": email, "channel": "EMAIL", "subscriptionId": number,
        "subscriptionName": SUBSCRIPTIONS[number], "status": state, "source": "API",
        "timestamp": write_moment(portal.unsubscribed.get(email, portal.now())),
    }  # fmt: skip


def _results(portal: Portal, results: list[JsonObject]) -> Answer:
    moment = write_moment(portal.now())
    return Answer(200, {"status": "COMPLETE", "results": results, "startedAt": moment, "completedAt": moment})


def _pipeline(portal: Portal, kind: Kind) -> JsonObject:
    if kind.id == DEAL:
        stages = [
            (name, label, {"isClosed": str(name.startswith("closed")).lower(), "probability": str(chance)})
            for name, label, chance in standard.DEAL_STAGES
        ]
        return _pipeline_json(portal, "default", "Sales Pipeline", stages)
    if kind.id != CONTACT:
        raise not_found(f"{kind.plural} have no pipelines")
    options = sorted(portal.properties[CONTACT].definitions[STAGE].options, key=lambda option: option.order)
    return _pipeline_json(portal, LIFECYCLE_PIPELINE, "Lifecycle Stage Pipeline",
                          [(option.value, option.label, {}) for option in options])  # fmt: skip


def _pipeline_json(
    portal: Portal, name: str, label: str, stages: list[tuple[str, str, dict[str, str]]]
) -> JsonObject:
    moment = write_moment(next(iter(portal.owners.values())).created)
    common = {"createdAt": moment, "updatedAt": moment, "archived": False}
    shown = [
        {"id": one, "label": text, "displayOrder": order, "metadata": metadata, **common}
        for order, (one, text, metadata) in enumerate(stages)
    ]
    return {"id": name, "label": label, "displayOrder": 0, "stages": shown, **common}
